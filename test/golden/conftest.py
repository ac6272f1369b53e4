# SPDX-License-Identifier: Apache-2.0
"""The program that runs the step table without a cluster, for all tests here."""
import json
import os
import pathlib
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent


def find_tool() -> str:
    """KAMAJI_RENDER_TOOL, else the newest one built with the unit tests."""
    if "KAMAJI_RENDER_TOOL" in os.environ:
        return os.environ["KAMAJI_RENDER_TOOL"]
    found = sorted(HERE.parent.parent.glob("build*/test/unit/controlplane/render_tool"), key=lambda path: path.stat().st_mtime)
    assert found, "render_tool is not built: build the unit tests first (make test does)"
    return str(found[-1])


class Render:
    def __init__(self, tool: str):
        self.tool = tool

    def run(self, text: str, *arguments: str) -> list[dict]:
        process = subprocess.run([self.tool, *arguments], input=text.encode(), capture_output=True, check=False)
        if process.returncode:
            raise AssertionError(f"{self.tool} {' '.join(arguments)}: {process.stderr.decode()}")
        return [json.loads(line) for line in process.stdout.decode().splitlines()]

    def parse(self, path: pathlib.Path) -> list[dict]:
        return [document for document in self.run(path.read_text(), "--parse") if document]


@pytest.fixture(scope="session")
def render() -> Render:
    return Render(find_tool())

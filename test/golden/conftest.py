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


def authority(folder: str) -> tuple[str, str]:
    """A CA for the etcd DataStores."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", "/CN=etcd-ca",
                    "-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.crt"], check=True, capture_output=True)
    return tuple(subprocess.run(["base64", "-w0", f"{folder}/{name}"], check=True, capture_output=True).stdout.decode()
                 for name in ("ca.crt", "ca.key"))


def stores(certificate: str, key: str) -> list[dict]:
    pair = {"certificate": {"content": certificate}, "privateKey": {"content": key}}
    etcd = [{"apiVersion": "kamaji.clastix.io/v1alpha1", "kind": "DataStore", "metadata": {"name": name},
             "spec": {"driver": "etcd", "endpoints": ["10.244.0.1:2379"], "tlsConfig": {"certificateAuthority": pair, "clientCertificate": pair}}}
            for name in ("default", "default2")]
    user = {"content": "a2FtYWpp"}
    return etcd + [{"apiVersion": "kamaji.clastix.io/v1alpha1", "kind": "DataStore", "metadata": {"name": "pg"},
                    "spec": {"driver": "PostgreSQL", "endpoints": ["127.0.0.1:5432"], "basicAuth": {"username": user, "password": user}}}]


@pytest.fixture(scope="session")
def render() -> Render:
    return Render(find_tool())


@pytest.fixture(scope="session")
def reference() -> pathlib.Path:
    return HERE / "reference"


@pytest.fixture(scope="session")
def data_stores(tmp_path_factory) -> list[dict]:
    return stores(*authority(str(tmp_path_factory.mktemp("authority"))))

# SPDX-License-Identifier: Apache-2.0
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

from api_server import ApiServer  # noqa: E402


@pytest.fixture(scope="session")
def api_server(tmp_path_factory):
    """A real API server without nodes, for what only a server knows: its schemas, its admission."""
    with ApiServer(tmp_path_factory.mktemp("staging-api")).start() as running:
        yield running

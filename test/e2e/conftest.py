# SPDX-License-Identifier: Apache-2.0
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "golden")]

from harness import Harness, crds_of_tree  # noqa: E402
from manager_process import Manager, wait_for  # noqa: E402


@pytest.fixture(scope="module")
def harness(tmp_path_factory):
    """An admin API server without nodes, for what needs no pod."""
    with Harness(tmp_path_factory.mktemp("admin")).up(crds=crds_of_tree()) as running:
        yield running


@pytest.fixture(scope="module")
def manager(harness):
    harness.apply(*harness.datastore())
    running = Manager(harness).start()
    wait_for("DataStore ready", lambda: harness.get("datastore", "default").get("status", {}).get("ready"), 30)
    yield running
    running.assert_alive()
    assert running.stop() == 0, "a graceful stop ends with 0"

# SPDX-License-Identifier: Apache-2.0
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "e2e")]

from harness import Harness, crds_of_tree, kubeconfig_text  # noqa: E402
from proxy import FaultProxy  # noqa: E402


@pytest.fixture(scope="session")
def harness(tmp_path_factory):
    with Harness(tmp_path_factory.mktemp("admin")).up(crds=crds_of_tree()) as running:
        yield running


@pytest.fixture(scope="session")
def proxy(harness):
    pki = harness.pki
    running = FaultProxy(("127.0.0.1", harness.ports["api"]), pki.path("admin-ca.crt"),
                         (pki.path("admin.crt"), pki.path("admin.key")), (pki.path("apiserver.crt"), pki.path("apiserver.key"))).start()
    path = harness.folder / "proxy.kubeconfig"
    path.write_text(kubeconfig_text(f"https://127.0.0.1:{running.port}", pki.base64("admin-ca.crt"), pki.base64("admin.crt"),
                                    pki.base64("admin.key")))
    path.chmod(0o600)
    running.kubeconfig = str(path)
    yield running
    running.stop()

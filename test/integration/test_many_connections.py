# SPDX-License-Identifier: Apache-2.0
"""More connections than the usual soft limit of open files allows, which the server raises to the hard limit."""
import contextlib
import resource
import socket
import subprocess

import pytest
import stores
from stores import harness

SOFT, HARD, CONNECTIONS = 256, 2048, 1200
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))  # and empty SETTINGS


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (SOFT, HARD))


@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_NOFILE)[1] < HARD, reason="the hard limit of open files is too low to be lowered")
def test_more_than_the_soft_limit(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, HARD), hard))
    port, metrics = harness.free_ports(2)
    log = tmp_path / "log"
    with log.open("w") as out:
        process = subprocess.Popen([stores.KAMAJI, "datastore", f"--data-dir={tmp_path}/data", f"--listen-client-urls=http://127.0.0.1:{port}",
                                    f"--listen-metrics-urls=http://127.0.0.1:{metrics}"], stdout=out, stderr=out, preexec_fn=limited)
    try:
        stores.wait_for(metrics, process, log)
        with contextlib.ExitStack() as stack:
            opened = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 10)) for _ in range(CONNECTIONS)]
            for connection in opened:
                connection.sendall(HELLO)
            for number, connection in enumerate(opened):
                connection.settimeout(10)
                head = connection.recv(9)
                assert len(head) == 9 and head[3] == 4, f"connection {number} of {CONNECTIONS} got {head!r} instead of SETTINGS"
        assert "datastore.descriptors" in log.read_text()
    finally:
        process.terminate()
        assert process.wait(30) == 0, log.read_text()[-2000:]

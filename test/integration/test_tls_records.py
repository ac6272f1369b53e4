# SPDX-License-Identifier: Apache-2.0
"""`openssl s_client` on the running server: other people's TLS 1.3 on our records, with the keys changed by hand in between."""
import json
import re
import subprocess
import threading
import time

import pytest
import stores
from stores import harness

SUITES = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
RECORD_OVERHEAD = 1 + 16  # the inner type and the tag of what is encrypted
REQUEST = "GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    pki = harness.Pki(folder / "pki")
    pki.authority("ca")
    pki.leaf("server", "ca", "/CN=etcd", "IP:127.0.0.1,DNS:localhost")
    pki.leaf("client", "ca", "/CN=root")
    port, metrics = harness.free_ports(2)
    log = folder / "log"
    with log.open("w") as out:
        process = subprocess.Popen([stores.KAMAJI, "datastore", f"--data-dir={folder}/data", f"--listen-client-urls=https://127.0.0.1:{port}",
                                    f"--listen-metrics-urls=http://127.0.0.1:{metrics}", f"--cert-file={pki.path('server.crt')}",
                                    f"--key-file={pki.path('server.key')}", f"--trusted-ca-file={pki.path('ca.crt')}", "--client-cert-auth"],
                                   stdout=out, stderr=out)
    stores.wait_for(metrics, process, log)
    yield pki, port
    process.terminate()
    assert process.wait(30) == 0, log.read_text()[-2000:]


class Client:
    """An interactive s_client: a line "K" changes both keys, "k" its own, "Q" ends in good order."""

    def __init__(self, pki: harness.Pki, port: int, *options: str):
        self.process = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_3", "-alpn", "http/1.1", "-CAfile", pki.path("ca.crt"), "-cert",
             pki.path("client.crt"), "-key", pki.path("client.key"), *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        self.text = ""
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self) -> None:
        while chunk := self.process.stdout.read1(65536):
            self.text += chunk.decode(errors="replace")

    def say(self, text: str) -> None:
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def wait_for(self, what: str, count: int = 1) -> None:
        deadline = time.monotonic() + 30
        while self.text.count(what) < count:
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise AssertionError(f"{what!r} did not come {count} times; s_client {self.process.poll()}: {self.text[-1500:]}")
            time.sleep(0.02)

    def end(self) -> None:
        self.process.stdin.close()
        assert self.process.wait(30) == 0, self.text[-1500:]
        self.reader.join(10)


@pytest.mark.parametrize("suite", SUITES)
def test_keys_change(served, suite):
    client = Client(*served, "-ciphersuites", suite)
    client.wait_for("Verify return code: 0 (ok)")
    assert suite in client.text
    for number in range(1, 5):
        client.say("K\n" if number % 2 else "k\n")
        client.wait_for("KEYUPDATE", number)
        client.say(REQUEST)
        client.wait_for('"etcdserver"', number)
    body = client.text[client.text.rindex("{"):]
    assert json.loads(body[:body.index("}") + 1])["etcdserver"]
    assert client.text.count("HTTP/1.1 200") == 4
    client.say("Q\n")
    client.end()


def test_short_fragments_are_respected(served, tmp_path):
    """A client that can take 512 bytes at once never gets more (it would end the connection)."""
    trace = tmp_path / "trace"  # in between the answer its words would tear each other apart
    client = Client(*served, "-maxfraglen", "512", "-trace", "-msgfile", str(trace))
    client.wait_for("Verify return code: 0 (ok)")
    client.say("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    client.wait_for("HTTP/1.1 200")
    client.wait_for("etcd_server_version{")
    client.say("Q\n")
    client.end()
    told = trace.read_text(errors="replace")
    lengths = [int(length) for length in re.findall(r"^Received Record\n(?:.*\n){3} *Length = (\d+)", told, re.MULTILINE)]
    assert len(lengths) > 10 and max(lengths) <= 512 + RECORD_OVERHEAD and "record overflow" not in told, lengths


def test_a_cut_connection_is_let_go(served):
    pki, port = served
    client = Client(pki, port)
    client.wait_for("Verify return code: 0 (ok)")
    client.process.kill()
    client.process.wait()
    again = Client(pki, port)
    again.wait_for("Verify return code: 0 (ok)")
    again.say(REQUEST)
    again.wait_for('"etcdserver"')
    again.say("Q\n")
    again.end()

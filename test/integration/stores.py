# SPDX-License-Identifier: Apache-2.0
"""`kamaji datastore` and a real etcd side by side on loopback, and the tools that talk to both."""
import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test" / "e2e"))

import harness  # noqa: E402

KAMAJI = os.environ.get("KAMAJI_BIN") or str(ROOT / "build" / "src" / "cmd" / "kamaji")


def missing() -> str | None:
    """Why these tests cannot run, or None."""
    for program in ("etcd", "etcdctl", "etcdutl"):
        try:
            harness.component(program)
        except harness.HarnessError as error:
            return str(error)
    return None if pathlib.Path(KAMAJI).exists() else f"{KAMAJI} is missing; run `make`"


def wait_for(port: int, process: subprocess.Popen, log: pathlib.Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(f"the server ended with {process.returncode}: {log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"no answer on port {port}: {log.read_text()[-2000:]}")


class Server:
    def __init__(self, folder: pathlib.Path, kind: str, *options: str, scheme: str = "http"):
        self.folder, self.kind, self.options = folder, kind, options
        self.port, self.peer, self.metrics = harness.free_ports(3)
        self.log = folder.with_suffix(".log")
        self.endpoint = f"{scheme}://127.0.0.1:{self.port}"
        self.user: str | None = None

    def start(self) -> "Server":
        command = [harness.component("etcd")] if self.kind == "etcd" else [KAMAJI, "datastore"]
        command += ["--data-dir", str(self.folder), "--listen-client-urls", self.endpoint, "--advertise-client-urls", self.endpoint,
                    "--listen-metrics-urls", f"http://127.0.0.1:{self.metrics}", *self.options]
        if self.kind == "etcd":
            command += ["--listen-peer-urls", f"http://127.0.0.1:{self.peer}"]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(self.metrics, self.process, self.log)
        return self

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(30) in (0, -15), self.log.read_text()[-2000:]
        text = self.log.read_text()
        assert "runtime error" not in text and "AddressSanitizer" not in text, text[-4000:]

    def http(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def run(self, *arguments: str, user: str | None = None, input: str | None = None) -> tuple[int, str, str]:
        user = user or self.user
        command = [harness.component("etcdctl"), "--endpoints", self.endpoint, *(["--user", user] if user else []), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, input=input)
        errors = [line for line in done.stderr.splitlines() if not line.startswith("{")]
        return done.returncode, done.stdout, "\n".join(errors)

    def ctl(self, *arguments: str, **options) -> str:
        code, out, errors = self.run(*arguments, **options)
        assert code == 0, f"etcdctl {' '.join(arguments)}: {errors or out}"
        return out

    def json(self, *arguments: str, **options):
        return json.loads(self.ctl(*arguments, "-w", "json", **options))

    def everything(self, *arguments: str) -> list[dict]:
        """All keys with revisions, versions, leases and values."""
        return self.json("get", "", "--prefix", *arguments).get("kvs", [])

    def hash_kv(self) -> dict:
        answer = self.json("endpoint", "hashkv")[0]["HashKV"]
        return {name: answer[name] for name in ("hash", "compact_revision", "hash_revision")}

    def revision(self) -> int:
        return self.json("endpoint", "status")[0]["Status"]["header"]["revision"]

    def snapshot(self, path: pathlib.Path) -> dict:
        self.ctl("snapshot", "save", str(path))
        done = subprocess.run([harness.component("etcdutl"), "snapshot", "status", str(path), "-w", "json"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@contextlib.contextmanager
def server(folder: pathlib.Path, kind: str, *options: str, scheme: str = "http"):
    running = Server(folder, kind, *options, scheme=scheme).start()
    try:
        yield running
    finally:
        running.stop()


def restore(snapshot: pathlib.Path, folder: pathlib.Path) -> None:
    done = subprocess.run([harness.component("etcdutl"), "snapshot", "restore", str(snapshot), "--data-dir", str(folder)],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def import_snapshot(snapshot: pathlib.Path, folder: pathlib.Path) -> subprocess.CompletedProcess:
    return subprocess.run([KAMAJI, "datastore", "import", str(snapshot), "--data-dir", str(folder)], capture_output=True, text=True)


def closed(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0

# SPDX-License-Identifier: Apache-2.0
"""The operator outside of a cluster, beside a harness: started, watched, killed, and looked into by the tests."""
from __future__ import annotations

import json
import pathlib
import re
import signal
import time
import urllib.request

from harness import Harness, HarnessError, free_ports, kamaji_program, tail


def binary() -> str:
    return kamaji_program()


class Manager:
    def __init__(self, harness: Harness, kubeconfig: str | None = None, name: str = "manager", wrapper: list[str] | None = None,
                 flags: list[str] | None = None):
        self.harness, self.kubeconfig, self.name = harness, kubeconfig or harness.kubeconfig, name
        self.wrapper, self.flags = wrapper or [], flags or []
        self.metrics_port, self.probe_port = free_ports(2)
        self.process = None

    def start(self, seconds: float = 30, ready: bool = True) -> "Manager":
        command = self.wrapper + [
            binary(), "manager", "--datastore=default",
            f"--metrics-bind-address=127.0.0.1:{self.metrics_port}", f"--health-probe-bind-address=127.0.0.1:{self.probe_port}",
            "--pod-namespace=kamaji-system", "--serviceaccount-name=kamaji", *self.flags]
        self.process = self.harness.start(self.name, command, {"KUBECONFIG": self.kubeconfig})
        if ready:
            self.harness.wait("operator ready", self.name, lambda: self.probe("/readyz") == 200, seconds)
        return self

    def stop(self, how: int = signal.SIGTERM, patience: float = 20) -> int | None:
        process = self.process
        self.harness.stop(self.name, how, patience)
        return process.returncode if process else None

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def probe(self, path: str) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.probe_port}{path}", timeout=2) as reply:
                return reply.status
        except urllib.error.HTTPError as error:
            return error.code

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=2) as reply:
            return reply.read().decode()

    @property
    def log_path(self) -> pathlib.Path:
        return self.harness.log(self.name)

    def log_text(self) -> str:
        return self.log_path.read_text(errors="replace")

    def events(self) -> list[dict]:
        """Log lines that are JSON, as the whole log ought to be."""
        found = []
        for line in self.log_text().splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                found.append({"unparsed": line})
        return found

    def resident_bytes(self) -> int:
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024

    def assert_alive(self) -> None:
        if self.process.poll() is not None:
            raise HarnessError(f"the operator ended with {self.process.returncode}:\n{tail(self.log_path, 30)}")


def wait_for(what: str, check, seconds: float, pause: float = 0.1):
    """The first true value of check(); errors count as not yet, and the last one is told."""
    end, reason = time.monotonic() + seconds, "not yet"
    while True:
        try:
            value = check()
            if value:
                return value
        except (HarnessError, OSError, KeyError) as error:
            reason = str(error)
        if time.monotonic() > end:
            raise HarnessError(f"{what}: not within {seconds:.0f} s ({reason})")
        time.sleep(pause)

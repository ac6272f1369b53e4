# SPDX-License-Identifier: Apache-2.0
"""The whole path of the staging scripts on a real cluster of `kamaji local`."""
from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import os
import pathlib
import socket
import subprocess
import time
import urllib.parse

from harness import component, kamaji_program
from render import ROOT

NAME = "stg"
INFRA = "staging-infra"
SCRIPT_SECONDS = 900


@dataclasses.dataclass
class Result:
    code: int
    text: str
    seconds: float


class StagingCluster:
    """Everything of a run lies below one short folder: sockets live there, and a socket's path is short by nature."""

    def __init__(self, root: pathlib.Path):
        self.root = root
        self.said: list[str] = []

    def script(self, action: str, *flags: str, seconds: float = SCRIPT_SECONDS) -> Result:
        start = time.monotonic()
        done = subprocess.run([str(ROOT / "scripts" / f"k8s-{action}.sh"), "--name", NAME, *flags], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=seconds, check=False,
                              env={**os.environ, "STAGING_STATE_DIR": str(self.root / "state"), "KAMAJI_BIN": kamaji_program()})
        text = done.stdout + done.stderr
        self.said.append(text)
        print(f"--- k8s-{action}.sh {' '.join(flags)}: exit {done.returncode}, {time.monotonic() - start:.1f} s\n{text}")
        return Result(done.returncode, text, time.monotonic() - start)

    def setup(self, *flags: str) -> Result:
        return self.script("setup", "--provider", "local", "--images", "offline", "--state-dir", str(self.root / "env"), *flags)

    def deploy(self, *flags: str) -> Result:
        return self.script("deploy", "--secrets", str(self.root / "secrets"), *flags)

    @property
    def settings(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in (self.root / "state" / NAME / "settings").read_text().splitlines())

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        done = subprocess.run([component("kubectl"), "--kubeconfig", self.settings["kubeconfig"], *arguments], input=stdin, capture_output=True,
                              text=True, timeout=300, check=False)
        assert not check or done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout if check else done.stdout + done.stderr

    def get(self, kind: str, namespace: str = INFRA) -> list[dict]:
        return json.loads(self.kubectl("get", kind, "-n", namespace, "-o", "json"))["items"]

    def pod_identities(self) -> dict[str, str]:
        return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in self.get("pods")}

    def psql(self, statement: str, server: str = "postgres") -> str:
        return self.kubectl("-n", INFRA, "exec", f"{server}-0", "-c", "postgres", "--", "psql", "-U", "postgres", "-tAc", statement).strip()

    def redis(self, *words: str) -> str:
        return self.kubectl("-n", INFRA, "exec", "deploy/redis", "-c", "redis", "--", "redis-cli", "-e", *words).strip()

    def secret_values(self) -> list[str]:
        return [line.split("=", 1)[1] for path in (self.root / "secrets").glob("*.env") for line in path.read_text().splitlines()]


class WebSocket:
    """A client on a bare socket: the handshake, frames there and back."""

    def __init__(self, url: str):
        parts = urllib.parse.urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port or 80), timeout=20)
        self.stream = self.socket.makefile("rb")
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                             f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n").encode())
        status = self.stream.readline().decode().strip()
        assert " 101 " in status + " ", status
        headers = {}
        while line := self.stream.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        wanted = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
        assert headers["sec-websocket-accept"] == wanted

    def exchange(self, text: bytes) -> bytes:
        mask = os.urandom(4)
        length = bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + len(text).to_bytes(2, "big") if len(text) < 65536 \
            else b"\xff" + len(text).to_bytes(8, "big")
        self.socket.sendall(b"\x81" + length + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(text)))
        head = self.stream.read(2)
        assert head[0] == 0x81, head
        size = head[1]
        if size >= 126:
            size = int.from_bytes(self.stream.read(2 if size == 126 else 8), "big")
        return self.stream.read(size)

    def close(self) -> None:
        self.stream.close()
        self.socket.close()

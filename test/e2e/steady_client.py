# SPDX-License-Identifier: Apache-2.0
"""
A client that never rests: reads and writes of one tenant, over a new connection each time and over one that is kept, without a single retry.
As a program (in whatever network namespace it is started) it works until its input ends, then prints what it saw as JSON; SteadyClient starts it.
"""
from __future__ import annotations

import base64
import http.client
import json
import os
import pathlib
import ssl
import subprocess
import sys
import tempfile
import threading
import time

PAUSE = 0.03
TIMEOUT = 5.0
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


class Stream(threading.Thread):
    """One kind of request after the other. An outage lasts from the first request that fails until the end of the next that does not."""

    def __init__(self, where: dict, tls: ssl.SSLContext, writes: bool, kept: bool, stop: threading.Event):
        super().__init__(name=f"{where['name']} {'writes' if writes else 'reads'}, {'kept connection' if kept else 'new connections'}", daemon=True)
        self.where, self.tls, self.writes, self.kept, self.stop = where, tls, writes, kept, stop
        self.connection: http.client.HTTPSConnection | None = None
        self.done, self.slowest, self.acknowledged, self.connections = 0, 0.0, 0, 0
        self.outages: list[dict] = []
        self.object = f"steady-{where['name']}-{'kept' if kept else 'new'}"

    def once(self, method: str, path: str, body: dict | None = None, content_type: str = "application/json") -> dict:
        if self.connection is None:
            self.connection = http.client.HTTPSConnection(self.where["host"], self.where["port"], context=self.tls, timeout=TIMEOUT)
            self.connections += 1
        try:
            self.connection.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": content_type})
            reply = self.connection.getresponse()
            text = reply.read()
        except BaseException:
            self.drop()
            raise
        if not self.kept or reply.will_close:
            self.drop()
        if reply.status >= 300:
            raise OSError(f"{reply.status} {text[:200].decode(errors='replace')}")
        return json.loads(text)

    def drop(self) -> None:
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def step(self) -> None:
        if not self.writes:
            self.once("GET", f"{CONFIG_MAPS}/kube-root-ca.crt")
            return
        number = self.acknowledged + 1
        self.once("PATCH", f"{CONFIG_MAPS}/{self.object}", {"data": {"number": str(number)}}, "application/merge-patch+json")
        self.acknowledged = number

    def run(self) -> None:
        failing: dict | None = None
        if self.writes:
            self.once("POST", CONFIG_MAPS, {"metadata": {"name": self.object}, "data": {"number": "0"}})
        while not self.stop.is_set():
            start = time.time()
            try:
                self.step()
            except (OSError, http.client.HTTPException) as error:
                failing = failing or {"begin": start, "reasons": []}
                failing["reasons"].append(f"{type(error).__name__}: {error}")
                failing["end"] = time.time()
                time.sleep(PAUSE / 3)
                continue
            self.done += 1
            self.slowest = max(self.slowest, time.time() - start)
            if failing:
                self.outages.append({**failing, "end": time.time()})
                failing = None
            time.sleep(PAUSE)
        if failing:
            self.outages.append(failing)

    def seen(self) -> dict:
        return {"name": self.name, "done": self.done, "slowest": self.slowest, "connections": self.connections, "outages": self.outages,
                "object": self.object if self.writes else None, "acknowledged": self.acknowledged}


def main() -> None:
    where = json.loads(sys.argv[1])
    tls = ssl.create_default_context(cafile=where["authority"])
    tls.load_cert_chain(where["pair"])
    stop = threading.Event()
    streams = [Stream(where, tls, writes, kept, stop) for writes in (False, True) for kept in (False, True)]
    for stream in streams:
        stream.start()
    sys.stdin.read()
    stop.set()
    for stream in streams:
        stream.join(TIMEOUT + 1)
    json.dump([stream.seen() for stream in streams], sys.stdout)


class SteadyClient:
    """The program above beside a test. prefix: a command that enters a namespace, ("nsenter", ...)."""

    def __init__(self, name: str, kubeconfig: dict, host: str, port: int, folder: pathlib.Path, prefix: tuple[str, ...] = ()):
        cluster, user = kubeconfig["clusters"][0]["cluster"], kubeconfig["users"][0]["user"]
        folder.mkdir(mode=0o700, exist_ok=True)
        authority, pair = folder / f"{name}.ca", folder / f"{name}.pem"
        authority.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
        with open(os.open(pair, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(b"\n".join(base64.b64decode(user[key]) for key in ("client-certificate-data", "client-key-data")))
        where = {"name": name, "host": host, "port": port, "authority": str(authority), "pair": str(pair)}
        self.name = name
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen([*prefix, sys.executable, str(pathlib.Path(__file__).resolve()), json.dumps(where)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)

    def finish(self) -> list[dict]:
        output, _ = self.process.communicate(timeout=4 * TIMEOUT)
        self.errors.seek(0)
        complaints = self.errors.read().decode()
        assert self.process.returncode == 0 and not complaints, complaints
        return json.loads(output)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


def report(streams: list[dict], zero: float) -> float:
    """Prints every stream and outage (seconds since zero); the sum of all outages, one after the other."""
    total = 0.0
    for stream in streams:
        print(f"  {stream['name']}: {stream['done']} requests on {stream['connections']} connections, slowest {stream['slowest'] * 1000:.0f} ms, "
              f"{sum(len(outage['reasons']) for outage in stream['outages'])} failed")
        for outage in stream["outages"]:
            length = outage["end"] - outage["begin"]
            total += length
            reasons = {reason: outage["reasons"].count(reason) for reason in outage["reasons"]}
            print(f"    at {outage['begin'] - zero:+.2f} s for {length * 1000:.0f} ms: " + "; ".join(f"{count} x {text}" for text, count in reasons.items()))
    return total


if __name__ == "__main__":
    main()

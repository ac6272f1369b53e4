# SPDX-License-Identifier: Apache-2.0
"""Processes of an environment of `kamaji local`, found by their cgroup and arguments and killed; and tenants that come and go meanwhile."""
from __future__ import annotations

import collections
import os
import pathlib
import random
import re
import select
import signal
import threading
import time

from api_client import ApiError
from harness import tenant
from local_cluster import LocalCluster

# What is killed, by the name that the node's supervisor has for it: what a command line must be to be it.
VICTIMS = {
    "operator": lambda words: words[1:2] == ["manager"],
    "kube-apiserver": lambda words: words[0].endswith("/kube-apiserver") and "--etcd-servers=unix:///run/kamaji/etcd.sock" in words,
    "etcd": lambda words: any(word.startswith("--data-dir=/var/lib/etcd") for word in words),
    "datastore": lambda words: any(word.startswith("--data-dir=/var/lib/datastore") for word in words),
    "kubelet": lambda words: words[0].endswith("/kubelet"),
}
FLEETING = "fleeting"
FLEETING_MAX = 3


class Faults:
    """Kills processes of one environment and counts."""

    def __init__(self, cluster: LocalCluster, dice: random.Random):
        self.cluster, self.dice = cluster, dice
        self.kills: collections.Counter = collections.Counter()
        self.away: collections.Counter = collections.Counter()   # not running when its turn came
        self.history: list[tuple[float, str]] = []               # (monotonic time, kind) of every kill

    @property
    def last(self) -> float:
        return self.history[-1][0] if self.history else 0.0

    def words_of(self, pid: int) -> list[str]:
        """The command line of a process of this environment; [] for any other."""
        try:
            folder = pathlib.Path(f"/proc/{pid}")
            if f"/kamaji-{self.cluster.name}/" not in folder.joinpath("cgroup").read_text():
                return []
            return folder.joinpath("cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
        except OSError:
            return []

    def find(self, kind: str) -> list[int]:
        every = [int(path.name) for path in pathlib.Path("/proc").iterdir() if path.name.isdigit()]
        return [pid for pid in every if (words := self.words_of(pid)) and VICTIMS[kind](words)]

    def kill(self, kind: str) -> None:
        """Returns when it is dead. By a descriptor of the process: its number cannot become another's between the look and the kill."""
        found = self.find(kind)
        assert len(found) <= 1, f"{kind}: {found}"
        for pid in found:
            try:
                process = os.pidfd_open(pid)
            except ProcessLookupError:
                break
            try:
                words = self.words_of(pid)
                if not words or not VICTIMS[kind](words):
                    break
                signal.pidfd_send_signal(process, signal.SIGKILL)
                assert select.select([process], [], [], 10)[0], f"{kind} ({pid}) does not die"
            finally:
                os.close(process)
            self.kills[kind] += 1
            self.history.append((time.monotonic(), kind))
            return
        self.away[kind] += 1

    def rage(self, seconds: float) -> None:
        """Mostly one at a time, now and then two or three at the same moment."""
        begin = time.monotonic()
        said = 0
        while time.monotonic() - begin < seconds:
            time.sleep(self.dice.uniform(2, 12))
            for kind in self.dice.sample(list(VICTIMS), self.dice.choices([1, 2, 3], [70, 22, 8])[0]):
                self.kill(kind)
            if time.monotonic() - begin > said + 60:
                said = time.monotonic() - begin
                print(f"  {said:5.0f} s: killed {dict(self.kills)}", flush=True)

    def between(self, begin: float, end: float) -> str:
        """What was killed in that time, with seconds after its begin."""
        return ", ".join(f"{kind} at {moment - begin:.1f}" for moment, kind in self.history if begin <= moment <= end) or "nothing"

    def ends(self, kind: str) -> collections.Counter:
        """How the node's supervisor saw a process of its own end, from its log: reason -> times."""
        text = "".join(path.read_text(errors="replace") for path in self.cluster.node.glob(f"log/{kind}.log*"))
        return collections.Counter(re.findall(rf" kamaji: {kind} (killed by signal \d+|exited with \d+)$", text, re.MULTILINE))


class Fleeting(threading.Thread):
    """Tenants made and deleted without waiting for either, so that the operator always has something half done when it is killed."""

    def __init__(self, cluster: LocalCluster, seed: int):
        super().__init__(name=FLEETING, daemon=True)
        self.cluster, self.dice, self.ending = cluster, random.Random(seed), threading.Event()
        self.made = self.failures = 0
        self.wrong: list[str] = []

    def until_answered(self, action, accepted: int) -> None:
        while True:
            try:
                action()
                return
            except ApiError as error:
                if error.status == accepted:
                    return
                self.failures += 1
                time.sleep(0.3)

    def names(self) -> list[str]:
        items: list[dict] = []

        def look() -> None:
            items[:] = self.cluster.get("tenantcontrolplanes", "", "default")["items"]

        self.until_answered(look, 0x7fffffff)
        return [item["metadata"]["name"] for item in items if item["metadata"]["name"].startswith(FLEETING)]

    def one(self) -> None:
        self.made += 1
        name = f"{FLEETING}-{self.made}"
        item = tenant(name, replicas=self.dice.choice([0, 0, 0, 1]))
        self.until_answered(lambda: self.cluster.api.create(item), 409)
        time.sleep(self.dice.uniform(0, 15))
        self.until_answered(lambda: self.cluster.api.delete("tenantcontrolplane", name, "default"), 404)
        while len(self.names()) >= FLEETING_MAX and not self.ending.is_set():
            time.sleep(0.5)

    def run(self) -> None:
        try:
            while not self.ending.is_set():
                self.one()
                self.ending.wait(self.dice.uniform(0, 10))
        except Exception as error:  # it would end unseen
            self.wrong.append(f"{FLEETING}: {type(error).__name__}: {error}")
            raise

    def end(self) -> None:
        self.ending.set()
        self.join(120)
        if self.is_alive():
            self.wrong.append(f"{FLEETING}: does not end")

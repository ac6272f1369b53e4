#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""etcd, kine (SQLite) and `kamaji datastore` doing the same work on this machine, one after the other, in one table.

    compare.py [--rounds 3] [--idle 10000] [--no-kine] [--json FILE] [--check]

The work is kube-apiserver's: 10,000 objects of 1 KiB created, updated, read one by one and in pages of 500, and deleted through its transactions, 32 at a
time on 4 connections, with 4 watchers of everything that want the previous value. It is done twice: by the etcd project's Go client, which takes
half of a small machine, and by lean/lean.c, which takes next to nothing. Every run has a fresh server; rounds of the servers alternate and
medians are compared. --check exits with 1 when a target is missed. About 5 minutes.
"""
from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "test" / "e2e"))

import harness  # noqa: E402

OPERATIONS = ("create", "update", "get", "page", "delete")
CLIENTS, IDLE_LIMIT_KIB = 1000, 20.0
SPARE_DESCRIPTORS = 200
SETTLE_SECONDS = 2.0  # between the last answer and the look at the memory, for every server
KINE = "v0.16.4"
# What is compared with etcd: (which client, figure, at least or at most, ratio).
TARGETS = [("ordinary", name, ">=", 1.5 if name == "page" else 1.3) for name in OPERATIONS]
TARGETS += [("lean", name, ">=", 2.0) for name in OPERATIONS]
TARGETS += [(client, name, "<=", ratio) for client in ("ordinary", "lean") for name, ratio in (("cpu", 1 / 3), ("after", 1 / 3), ("lag_p99", 0.5))]


def build(folder: pathlib.Path, kine: bool) -> None:
    run = [str(ROOT / "tools" / "with-go")]
    subprocess.run([*run, "go", "build", "-mod=readonly", "-o", str(folder / "load"), "."], cwd=HERE, check=True)
    subprocess.run(["cc", "-std=gnu17", "-O2", "-Wall", "-Wextra", "-D_GNU_SOURCE", "-o", str(folder / "lean"), str(HERE / "lean" / "lean.c")], check=True)
    if kine and not kine_program().exists():
        print("building kine, once (about two minutes)", flush=True)
        kine_program().parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([*run, "go", "build", "-mod=readonly", "-trimpath", "-o", str(kine_program()), "github.com/k3s-io/kine"], cwd=HERE / "kine",
                       env={**os.environ, "CGO_ENABLED": "1"}, check=True)


def kine_program() -> pathlib.Path:
    return harness.components_root() / "kine" / KINE / "bin" / "kine"


def command_of(kind: str, folder: pathlib.Path, ports: list[int], pki: harness.Pki | None) -> list[str]:
    url = f"{'https' if pki else 'http'}://127.0.0.1:{ports[0]}"
    if kind == "kine":
        return [str(kine_program()), "--listen-address", f"tcp://127.0.0.1:{ports[0]}", "--metrics-bind-address", "0", "--endpoint",
                f"sqlite://{folder}/state.db?_journal=WAL&cache=shared&_busy_timeout=30000&_txlock=immediate"]
    program = [harness.component("etcd"), "--log-level=error"] if kind == "etcd" else [harness.kamaji_program(), "datastore"]
    command = [*program, f"--data-dir={folder}/data", f"--listen-client-urls={url}", f"--advertise-client-urls={url}",
               f"--listen-metrics-urls=http://127.0.0.1:{ports[1]}"]
    if kind == "etcd":
        peer = f"http://127.0.0.1:{ports[2]}"
        command += [f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}"]
    if pki:
        command += [f"--cert-file={pki.path('server.crt')}", f"--key-file={pki.path('server.key')}", f"--trusted-ca-file={pki.path('ca.crt')}",
                    "--client-cert-auth"]
    return command


class Server:
    """One of the three, fresh, and what its process used."""

    def __init__(self, kind: str, folder: pathlib.Path, pki: harness.Pki | None = None):
        self.kind, self.log, self.ports = kind, folder / "log", harness.free_ports(3)
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command_of(kind, folder, self.ports, pki), stdout=log, stderr=log, cwd=folder)
        self.wait(2.0)
        self.idle, self.begin = self.resident(), self.cpu()

    def wait(self, seconds: float) -> None:
        deadline = time.monotonic() + 30
        while not self.listening():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{self.kind} does not answer: {self.log.read_text()[-2000:]}")
            time.sleep(0.05)
        time.sleep(seconds)

    def listening(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.ports[0]), 1):
            return True
        return False

    def resident(self) -> float:
        return float(harness_status(self.process.pid, "VmRSS")) / 1024

    def cpu(self) -> float:
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def load(self, command: list[str]) -> dict:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{self.kind}: {' '.join(command)}: {done.stderr.strip() or done.returncode}\n{self.log.read_text()[-2000:]}")
        found = json.loads(done.stdout)
        cpu = self.cpu() - self.begin
        time.sleep(SETTLE_SECONDS)
        return {**found, "cpu": cpu, "idle": self.idle, "after": self.resident(), "peak": float(harness_status(self.process.pid, "VmHWM")) / 1024}

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def harness_status(pid: int, name: str) -> str:
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return line.split()[1]
    return "0"


@contextlib.contextmanager
def server(kind: str, pki: harness.Pki | None = None):
    with tempfile.TemporaryDirectory(prefix=f"bench-{kind}-", dir=os.environ.get("TMPDIR", "/var/tmp")) as folder:
        running = Server(kind, pathlib.Path(folder), pki)
        try:
            yield running
        finally:
            running.stop()


def normal(found: dict) -> dict:
    return {**found, "lag_p50": found.get("lag_p50_ms", 0.0), "lag_p99": found.get("lag_p99_ms", 0.0)}


def work(kind: str, client: str, tools: pathlib.Path) -> dict:
    with server(kind) as running:
        if client == "lean":
            return normal(running.load([str(tools / "lean"), str(running.ports[0])]))
        return normal(running.load([str(tools / "load"), "--address", f"127.0.0.1:{running.ports[0]}", "--pid", str(running.process.pid)]))


def many(kind: str, tools: pathlib.Path) -> dict:
    with server(kind) as running:
        return running.load([str(tools / "load"), "--mode=clients", f"--clients={CLIENTS}", f"--address=127.0.0.1:{running.ports[0]}",
                             f"--pid={running.process.pid}"])


def idle(kind: str, tools: pathlib.Path, folder: pathlib.Path, count: int) -> dict:
    pki = harness.Pki(folder / f"pki-{kind}")
    pki.authority("ca")
    pki.leaf("server", "ca", "/CN=etcd", "IP:127.0.0.1,DNS:localhost")
    pki.leaf("client", "ca", "/CN=root")
    with server(kind, pki) as running:
        return running.load([str(tools / "load"), "--mode=idle", f"--idle={count}", f"--address=127.0.0.1:{running.ports[0]}",
                             f"--pid={running.process.pid}", f"--cert={pki.path('client.crt')}", f"--key={pki.path('client.key')}",
                             f"--cacert={pki.path('ca.crt')}"])


def median(runs: list[dict], name: str) -> float:
    return statistics.median(run.get(name, 0.0) for run in runs)


def table(client: str, kinds: list[str], results: dict) -> None:
    print(f"\n{'client: ' + client:18}{'create/s':>10}{'update/s':>10}{'get/s':>10}{'pages/s':>9}{'delete/s':>10}{'lag p50 / p99 ms':>18}"
          f"{'RSS idle -> after (peak) MiB':>31}{'server CPU':>12}")
    for kind in kinds:
        runs = results[client].get(kind)
        if not runs:
            continue
        cells = "".join(f"{median(runs, name):>{9 if name == 'page' else 10}.0f}" for name in OPERATIONS)
        lag = f"{median(runs, 'lag_p50'):.1f} / {median(runs, 'lag_p99'):.1f}"
        resident = f"{median(runs, 'idle'):.0f} -> {median(runs, 'after'):.0f} ({median(runs, 'peak'):.0f})"
        print(f"{kind:18}{cells}{lag:>18}{resident:>31}{median(runs, 'cpu'):>10.2f} s")


def judge(results: dict) -> list[str]:
    """Prints every target with its ratio; returns those that were missed."""
    missed = []
    print("\nkamaji / etcd:")
    for client, name, sign, limit in TARGETS:
        theirs, ours = median(results[client]["etcd"], name), median(results[client]["kamaji"], name)
        ratio = ours / theirs if theirs else 0.0
        good = ratio >= limit if sign == ">=" else ratio <= limit
        text = f"{client:9} {name:8} {ratio:6.2f}  (target {sign} {limit:.2f})"
        print(f"  {text}{'' if good else '   MISSED'}")
        if not good:
            missed.append(text)
    per = results["idle"]["kamaji"]["bytes_per_connection"] / 1024
    text = f"{per:.1f} KiB for each of {results['idle']['count']} idle TLS connections (target at most {IDLE_LIMIT_KIB:.0f})"
    print(f"  {text}; {results['idle']['kamaji']['handshakes']:.0f} handshakes/s")
    if per > IDLE_LIMIT_KIB:
        missed.append(text)
    for kind, found in results["clients"].items():
        print(f"  {CLIENTS} concurrent clients on {kind}: {found['requests']:.0f} requests/s, {found['failures']} errors, CPU {found['cpu']:.1f} s, "
              f"{found['after']:.0f} MiB after, {found['peak']:.0f} MiB at most")
    if results["clients"]["kamaji"]["failures"]:
        missed.append(f"{results['clients']['kamaji']['failures']} errors of {CLIENTS} clients")
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="of etcd and ours; kine runs once")
    parser.add_argument("--idle", type=int, default=10000, help="TLS connections")
    parser.add_argument("--no-kine", action="store_true")
    parser.add_argument("--json", type=pathlib.Path, help="every run, for other programs")
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < options.idle + SPARE_DESCRIPTORS:
        raise SystemExit(f"{options.idle} connections need {options.idle + SPARE_DESCRIPTORS} descriptors in one process, the hard limit is {hard}: raise it "
                         f"(ulimit -Hn as root) or give --idle {max(hard - SPARE_DESCRIPTORS, 0)}")
    if not pathlib.Path(harness.kamaji_program()).exists():
        raise SystemExit(f"{harness.kamaji_program()} is missing: run `make build`, or name the program in KAMAJI_BIN")
    kinds = ["etcd", *([] if options.no_kine else ["kine"]), "kamaji"]
    begin = time.monotonic()
    print(f"load of the machine before: {os.getloadavg()[0]:.2f}; {os.cpu_count()} processors", flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-tools-") as folder:
        tools = pathlib.Path(folder)
        build(tools, not options.no_kine)
        results: dict = {"ordinary": {}, "lean": {}}
        for number in range(options.rounds):
            for client in ("ordinary", "lean"):
                for kind in kinds:
                    if kind != "kine" or number == 0:
                        results[client].setdefault(kind, []).append(work(kind, client, tools))
        results["clients"] = {kind: many(kind, tools) for kind in ("etcd", "kamaji")}
        results["idle"] = {"count": options.idle, "kamaji": idle("kamaji", tools, tools, options.idle)}
    for client in ("ordinary", "lean"):
        table(client, kinds, results)
    missed = judge(results)
    print(f"\n{options.rounds} rounds, {time.monotonic() - begin:.0f} s; load of the machine after: {os.getloadavg()[0]:.2f}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    for text in missed:
        print(f"missed: {text}")
    return 1 if missed and options.check else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tenants with control planes that run, in a real environment of `kamaji local`: how long until Ready, and what the operator takes.

    tenants.py [--single 5] [--together 10] [--idle 60] [--datastore kamaji|etcd] [--check]

One tenant after the other, then some at once, then nothing for a while. Prints p50 and p99 of create-to-Ready, restarts of API servers, the
operator's CPU with key generation apart, its memory and what it takes at rest. --check ends with 1 when a limit is missed.
"""
from __future__ import annotations

import argparse
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "test" / "e2e"))

from harness import tenant  # noqa: E402
from local_cluster import NAMESPACE, LocalCluster  # noqa: E402
from manager_process import wait_for  # noqa: E402

READY_P50_SECONDS, TOGETHER_SECONDS, RESIDENT_MIB, CPU_PER_TENANT_SECONDS, IDLE_SHARE = 5.0, 75.0, 15.0, 0.15, 0.001
NAME = "bench"


def operator_process() -> int:
    """The operator runs in a pod; seen from the host it is the one `kamaji manager` in this environment's cgroup."""
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
            if len(command) > 1 and command[1] == b"manager" and f"kamaji-{NAME}/" in (folder / "cgroup").read_text():
                return int(folder.name)
        except OSError:
            continue
    raise SystemExit("no operator process")


class Meter:
    def __init__(self, cluster: LocalCluster):
        self.cluster, self.process = cluster, operator_process()
        self.begin, self.cpu, self.keys = time.monotonic(), self.cpu_now(), self.keys_now()

    def cpu_now(self) -> float:
        fields = pathlib.Path(f"/proc/{self.process}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def keys_now(self) -> float:
        pod = self.cluster.operator_pod()["metadata"]["name"]
        text = self.cluster.kubectl("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:8080/proxy/metrics")
        found = re.search(r"^kamaji_key_generation_cpu_seconds_total (\S+)", text, re.MULTILINE)
        return float(found.group(1)) if found else 0.0

    def resident_mib(self) -> float:
        status = pathlib.Path(f"/proc/{self.process}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024

    def spent(self) -> tuple[float, float, float]:
        """Seconds passed, CPU without key generation, CPU of key generation."""
        cpu = self.cpu_now() - self.cpu
        keys = self.keys_now() - self.keys
        return time.monotonic() - self.begin, cpu - keys, keys


def percentile(times: list[float], share: float) -> float:
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def phase_of(item: dict) -> str:
    return item.get("status", {}).get("kubernetesResources", {}).get("version", {}).get("status", "")


def one_by_one(cluster: LocalCluster, count: int) -> list[float]:
    times = []
    for number in range(count):
        start = time.monotonic()
        cluster.apply(tenant(f"single-{number}", replicas=1))
        cluster.wait_phase(f"single-{number}")
        times.append(time.monotonic() - start)
    return times


def together(cluster: LocalCluster, count: int) -> list[float]:
    start, times = time.monotonic(), {}
    cluster.apply(*[tenant(f"group-{number}", replicas=1) for number in range(count)])

    def all_ready() -> bool:
        for item in cluster.get("tenantcontrolplanes", "", "default")["items"]:
            name = item["metadata"]["name"]
            if name.startswith("group-") and phase_of(item) == "Ready":
                times.setdefault(name, time.monotonic() - start)
        return len(times) == count

    wait_for(f"{count} tenants Ready", all_ready, 600, pause=0.2)
    return list(times.values())


def restarts(cluster: LocalCluster) -> int:
    return sum(status["restartCount"] for pod in cluster.get("pods", "", "default")["items"]
               for status in pod.get("status", {}).get("containerStatuses", []) if status["name"] == "kube-apiserver")


def measure(cluster: LocalCluster, options: argparse.Namespace) -> list[str]:
    missed = []

    def limit(what: str, value: float, most: float) -> None:
        if value > most:
            missed.append(f"{what}: {value:.2f}, at most {most}")

    meter = Meter(cluster)
    if options.single:
        times = one_by_one(cluster, options.single)
        _, cpu, keys = meter.spent()
        middle = percentile(times, 0.5)
        print(f"one by one, {options.single}: p50 {middle:.1f} s, p99 {percentile(times, 0.99):.1f} s ({', '.join(f'{t:.1f}' for t in times)}); "
              f"operator {cpu / options.single:.3f} s CPU each + keys {keys / options.single:.3f} s, {meter.resident_mib():.1f} MiB", flush=True)
        limit("create to Ready, p50 (s)", middle, READY_P50_SECONDS)
        for number in range(options.single):
            cluster.kubectl("delete", "tenantcontrolplane", f"single-{number}")
    meter = Meter(cluster)
    times = together(cluster, options.together)
    _, cpu, keys = meter.spent()
    print(f"{options.together} at once: p50 {percentile(times, 0.5):.1f} s, all in {max(times):.1f} s, API servers restarted {restarts(cluster)} times; "
          f"operator {cpu / options.together:.3f} s CPU each + keys {keys / options.together:.3f} s, {meter.resident_mib():.1f} MiB", flush=True)
    limit("all Ready (s)", max(times), TOGETHER_SECONDS)
    limit("restarts of API servers", restarts(cluster), 0)
    limit("operator's memory (MiB)", meter.resident_mib(), RESIDENT_MIB)
    limit("operator's CPU for each tenant (s)", cpu / options.together, CPU_PER_TENANT_SECONDS)
    if options.idle:
        time.sleep(20)
        meter = Meter(cluster)
        time.sleep(options.idle)
        seconds, cpu, _ = meter.spent()
        print(f"at rest for {seconds:.0f} s: operator {100 * cpu / seconds:.3f} % of a core, {meter.resident_mib():.1f} MiB", flush=True)
        limit("share of a core at rest", cpu / seconds, IDLE_SHARE)
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--single", type=int, default=5)
    parser.add_argument("--together", type=int, default=10)
    parser.add_argument("--idle", type=float, default=60)
    parser.add_argument("--datastore", choices=["kamaji", "etcd"], default="kamaji")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    os.environ["KAMAJI_DATASTORE"] = options.datastore
    root = pathlib.Path(tempfile.mkdtemp(prefix="kj-", dir="/var/tmp"))
    cluster = LocalCluster(NAME, root)
    try:
        cluster.up()
        time.sleep(10)
        missed = measure(cluster, options)
    finally:
        cluster.down("--purge")
        shutil.rmtree(root, ignore_errors=True)
    for line in missed:
        print(f"missed: {line}")
    return 1 if options.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())

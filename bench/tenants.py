#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tenants with control planes that run, in a real environment of `kamaji local`: how long until Ready, and what the operator takes.

    tenants.py [--single 5] [--together 10] [--idle 60] [--datastore kamaji|etcd] [--check] [--upstream PROGRAM [--patient]]

One tenant after the other, then some at once, then nothing for a while. Prints p50 and p99 of create-to-Ready, restarts of API servers, the
operator's CPU with key generation apart, its memory and what it takes at rest. --check ends with 1 when a limit is missed.

--upstream: the same again with upstream's operator, a Linux program `kamaji`, in an environment of its own (upstream.py), and both beside each
other. Its keys are part of its CPU: it does not count them. --patient gives its tenants probes with which they can all start at once.
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

import upstream  # noqa: E402
from harness import HarnessError, tenant  # noqa: E402
from local_cluster import NAMESPACE, LocalCluster  # noqa: E402
from manager_process import wait_for  # noqa: E402

READY_P50_SECONDS, TOGETHER_SECONDS, RESIDENT_MIB, CPU_PER_TENANT_SECONDS, IDLE_SHARE = 5.0, 75.0, 15.0, 0.15, 0.001
SINGLE_PATIENCE_SECONDS = 120
OURS, UPSTREAM = "bench", "bench-up"


def operator_process(name: str) -> int:
    """The operator runs in a pod; seen from the host it is the one `kamaji manager` in this environment's cgroup."""
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
            if len(command) > 1 and command[1] == b"manager" and f"kamaji-{name}/" in (folder / "cgroup").read_text():
                return int(folder.name)
        except OSError:
            continue
    raise SystemExit("no operator process")


class Meter:
    def __init__(self, cluster: LocalCluster):
        self.cluster, self.process = cluster, operator_process(cluster.name)
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


def one_by_one(cluster: LocalCluster, count: int, more: dict) -> list[float]:
    times = []
    for number in range(count):
        start = time.monotonic()
        cluster.apply(tenant(f"single-{number}", replicas=1, **more))
        cluster.wait_phase(f"single-{number}", seconds=SINGLE_PATIENCE_SECONDS)
        times.append(time.monotonic() - start)
    return times


def together(cluster: LocalCluster, count: int, more: dict, patience: float) -> list[float]:
    """The times of those that became Ready; all of them, unless patience ended first."""
    start, times = time.monotonic(), {}
    cluster.apply(*[tenant(f"group-{number}", replicas=1, **more) for number in range(count)])

    def all_ready() -> bool:
        for item in cluster.get("tenantcontrolplanes", "", "default")["items"]:
            name = item["metadata"]["name"]
            if name.startswith("group-") and phase_of(item) == "Ready":
                times.setdefault(name, time.monotonic() - start)
        return len(times) == count

    try:
        wait_for(f"{count} tenants Ready", all_ready, patience, pause=0.2)
    except HarnessError as error:
        print(error, flush=True)
    return list(times.values())


def restarts(cluster: LocalCluster) -> int:
    return sum(status["restartCount"] for pod in cluster.get("pods", "", "default")["items"]
               for status in pod.get("status", {}).get("containerStatuses", []) if status["name"] == "kube-apiserver")


def measure_single(cluster: LocalCluster, options: argparse.Namespace, more: dict) -> dict:
    meter = Meter(cluster)
    times = one_by_one(cluster, options.single, more)
    _, cpu, keys = meter.spent()
    found = {"single p50": percentile(times, 0.5), "single p99": percentile(times, 0.99), "single cpu": cpu / options.single}
    print(f"one by one, {options.single}: p50 {found['single p50']:.1f} s, p99 {found['single p99']:.1f} s ({', '.join(f'{t:.1f}' for t in times)}); "
          f"operator {found['single cpu']:.3f} s CPU each + keys {keys / options.single:.3f} s, {meter.resident_mib():.1f} MiB", flush=True)
    for number in range(options.single):
        cluster.kubectl("delete", "tenantcontrolplane", f"single-{number}")
    return found


def measure_group(cluster: LocalCluster, options: argparse.Namespace, more: dict) -> dict:
    meter = Meter(cluster)
    times = together(cluster, options.together, more, options.patience)
    seconds, cpu, keys = meter.spent()
    slowest = max(times) if len(times) == options.together else float("inf")
    found = {"all ready": slowest, "ready": len(times), "restarts": restarts(cluster), "cpu": cpu / options.together,
             "keys": keys / options.together, "memory": meter.resident_mib()}
    told = f"all in {slowest:.1f} s" if times and slowest < seconds + 1 else f"{len(times)} Ready after {seconds:.0f} s"
    print(f"{options.together} at once: {told}, p50 of the Ready {percentile(times, 0.5) if times else float('nan'):.1f} s, "
          f"API servers restarted {found['restarts']} times; "
          f"operator {found['cpu']:.3f} s CPU each + keys {found['keys']:.3f} s, {found['memory']:.1f} MiB", flush=True)
    return found


def measure_rest(cluster: LocalCluster, options: argparse.Namespace) -> dict:
    time.sleep(20)
    meter = Meter(cluster)
    time.sleep(options.idle)
    seconds, cpu, _ = meter.spent()
    found = {"rest": cpu / seconds, "rest memory": meter.resident_mib()}
    print(f"at rest for {seconds:.0f} s: operator {100 * found['rest']:.3f} % of a core, {found['rest memory']:.1f} MiB", flush=True)
    return found


def measure(cluster: LocalCluster, options: argparse.Namespace, more: dict) -> dict:
    found = measure_single(cluster, options, more) if options.single else {}
    found |= measure_group(cluster, options, more)
    return found | (measure_rest(cluster, options) if options.idle else {})


def missed(found: dict) -> list[str]:
    limits = [("single p50", READY_P50_SECONDS, "create to Ready, p50 (s)"), ("all ready", TOGETHER_SECONDS, "all Ready (s)"),
              ("restarts", 0, "restarts of API servers"), ("memory", RESIDENT_MIB, "operator's memory (MiB)"),
              ("cpu", CPU_PER_TENANT_SECONDS, "operator's CPU for each tenant (s)"), ("rest", IDLE_SHARE, "share of a core at rest")]
    return [f"{what}: {found[name]:.4g}, at most {most}" for name, most, what in limits if name in found and found[name] > most]


def ratio(ours: float, theirs: float) -> str:
    return f"{theirs / ours:.1f}" if ours > 0 and theirs < float("inf") else "-"


def table(ours: dict, theirs: dict, count: int) -> str:
    """Markdown; the last column is how many times ours goes into upstream's."""
    def cell(value: float, form: str) -> str:
        return "never" if value == float("inf") else form.format(value)

    rows = [("single p50", "one by one: create to Ready, p50", "{:.1f} s"), ("single p99", "the same, p99", "{:.1f} s"),
            ("all ready", f"{count} at once: all Ready", "{:.1f} s"), ("ready", "Ready of them", "{:.0f}"),
            ("restarts", "API servers restarted", "{:.0f}"), ("whole cpu", f"operator's CPU for each of the {count}, keys included", "{:.3f} s"),
            ("memory", f"operator's memory with {count}", "{:.1f} MiB"), ("rest", "at rest, share of a core", "{:.3%}"),
            ("rest memory", "memory at rest", "{:.1f} MiB")]
    lines = ["| what | kamaji | upstream | ratio |", "|---|---|---|---|"]
    for found in (ours, theirs):
        found["whole cpu"] = found["cpu"] + found["keys"]
    for name, what, form in rows:
        if name in ours and name in theirs:
            lines.append(f"| {what} | {cell(ours[name], form)} | {cell(theirs[name], form)} | {ratio(ours[name], theirs[name])} |")
    return "\n".join(lines)


def in_environment(name: str, run, *up_flags: str) -> dict:
    root = pathlib.Path(tempfile.mkdtemp(prefix="kj-", dir="/var/tmp"))
    cluster = LocalCluster(name, root)
    try:
        cluster.up(*up_flags)
        return run(cluster)
    finally:
        cluster.down("--purge")
        shutil.rmtree(root, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--single", type=int, default=5)
    parser.add_argument("--together", type=int, default=10)
    parser.add_argument("--idle", type=float, default=60)
    parser.add_argument("--patience", type=float, default=180, help="seconds in which those made at once may become Ready")
    parser.add_argument("--datastore", choices=["kamaji", "etcd"], default="kamaji")
    parser.add_argument("--upstream", metavar="PROGRAM", type=pathlib.Path, help="upstream's operator, measured in the same way")
    parser.add_argument("--patient", action="store_true", help="upstream's tenants: a probe every second, 300 s to start")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if options.upstream and not os.access(options.upstream, os.X_OK):
        parser.error(f"--upstream: {options.upstream} cannot be executed; name upstream's program `kamaji` for this machine")
    os.environ["KAMAJI_DATASTORE"] = options.datastore

    def ours(cluster: LocalCluster) -> dict:
        time.sleep(10)
        return measure(cluster, options, {})

    def theirs(cluster: LocalCluster) -> dict:
        upstream.install(cluster, options.upstream)
        time.sleep(10)
        return measure(cluster, options, upstream.PATIENT if options.patient else {})

    found = in_environment(OURS, ours)
    if options.upstream:
        print("upstream:", flush=True)
        print("\n" + table(found, in_environment(UPSTREAM, theirs, "--without-operator"), options.together))
    over = missed(found)
    for line in over:
        print(f"missed: {line}")
    return 1 if options.check and over else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many sleeping tenants on a real API server: what they cost the operator when made, at rest, when it starts again, and when deleted.

    scale.py [--count 1000] [--settle SECONDS] [--check] [--delete]

While tenants are made, a line a minute tells how far it is. --check ends with 1 when a limit is missed (limits are for 1000 tenants; with fewer they are easier). Key generation is counted by the
operator itself (metric kamaji_key_generation_cpu_seconds_total) and reported apart.
"""
from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "test" / "e2e"))

from harness import Harness, crds_of_tree, tenant  # noqa: E402
from manager_process import Manager, wait_for  # noqa: E402
from tenant_checks import settled  # noqa: E402

CPU_LIMIT_SECONDS, RESIDENT_LIMIT_MIB, RESTART_LIMIT_SECONDS = 60.0, 60.0, 5.0
BATCH = 50
WRITES = {"create", "update", "patch", "delete"}


class Meter:
    """Time, CPU, key generation and requests since the last look."""

    def __init__(self, harness: Harness, manager: Manager, fresh: bool = False):
        self.harness, self.manager = harness, manager
        self.begin, self.mark = time.monotonic(), audit_end(harness)
        self.cpu, self.keys = (0.0, 0.0) if fresh else (self.cpu_now(), self.keys_now())

    def cpu_now(self) -> float:
        fields = pathlib.Path(f"/proc/{self.manager.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def keys_now(self) -> float:
        found = re.search(r"^kamaji_key_generation_cpu_seconds_total (\S+)", self.manager.metrics(), re.MULTILINE)
        return float(found.group(1)) if found else 0.0

    def report(self, what: str, seconds: float | None = None) -> dict:
        seconds = time.monotonic() - self.begin if seconds is None else seconds
        keys = self.keys_now() - self.keys
        cpu = self.cpu_now() - self.cpu - keys
        resident = self.manager.resident_bytes() / 2**20
        reads, writes = requests(self.harness, self.mark)
        print(f"{what:24s}{seconds:8.1f} s  CPU {cpu:7.2f} s + keys {keys:6.2f} s  {resident:6.1f} MiB  {reads:6d} reads {writes:6d} writes",
              flush=True)
        return {"seconds": seconds, "cpu": cpu, "resident": resident, "reads": reads, "writes": writes}


def audit_end(harness: Harness) -> int:
    return (harness.folder / "audit.log").stat().st_size


def requests(harness: Harness, since: int) -> tuple[int, int]:
    """Reads (no watches) and writes of the operator; the election's Lease is not counted."""
    reads = writes = 0
    with open(harness.folder / "audit.log", "rb") as log:
        log.seek(since)
        for line in log:
            if b'"username":"admin"' not in line or b'"resource":"leases"' in line:
                continue
            verb = json.loads(line)["verb"]
            writes += verb in WRITES
            reads += verb in ("get", "list")
    return reads, writes


def quiet(manager: Manager, patience: float, limit: float) -> float:
    """Waits until the operator used no CPU worth naming for `patience` seconds; when it last did, in time.monotonic()."""
    meter = Meter(manager.harness, manager)
    last, end, used = time.monotonic(), time.monotonic() + limit, meter.cpu_now()
    while time.monotonic() - last < patience:
        time.sleep(0.1)
        now = meter.cpu_now()
        if now - used >= 0.02:
            last, used = time.monotonic(), now
        if time.monotonic() > end:
            break
    return last


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--settle", type=float, default=1800, help="limit for all tenants to settle")
    parser.add_argument("--delete", action="store_true", help="delete all in the end, and measure that too")
    parser.add_argument("--check", action="store_true", help="exit 1 when a limit is missed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kamaji-bench-") as folder, Harness(folder).up(crds=crds_of_tree()) as harness:
        harness.apply(*harness.datastore())
        manager = Manager(harness).start()
        created = Meter(harness, manager, fresh=True)

        told = time.monotonic()

        def all_settled() -> bool:
            nonlocal told
            done = sum(settled(item) for item in harness.get("tenantcontrolplanes")["items"])
            if time.monotonic() - told > 60:
                told = time.monotonic()
                created.report(f"{done} of {options.count}")
            return done == options.count

        for begin in range(0, options.count, BATCH):
            harness.apply(*[tenant(f"t-{number}") for number in range(begin, min(begin + BATCH, options.count))])
        wait_for("all tenants", all_settled, options.settle, pause=2)
        quiet(manager, 3, 120)
        first = created.report(f"{options.count} created")
        rest = Meter(harness, manager)
        time.sleep(20)
        silent = rest.report("at rest")

        manager.stop()
        manager = Manager(harness)
        restarted = Meter(harness, manager, fresh=True)
        manager.start()
        took = quiet(manager, 4, 120) - restarted.begin
        again = restarted.report("restarted", took)
        if options.delete:
            deleted = Meter(harness, manager)
            harness.kubectl("delete", "tenantcontrolplanes", "--all", "-n", "default", "--timeout=1800s")
            deleted.report(f"{options.count} deleted")
        manager.stop()
    missed = [text for wrong, text in [
        (first["cpu"] > CPU_LIMIT_SECONDS, f"CPU over {CPU_LIMIT_SECONDS:.0f} s"),
        (max(first["resident"], again["resident"]) > RESIDENT_LIMIT_MIB, f"memory over {RESIDENT_LIMIT_MIB:.0f} MiB"),
        (silent["writes"] > 0, "writes at rest"),
        (took > RESTART_LIMIT_SECONDS, f"restart over {RESTART_LIMIT_SECONDS:.0f} s"),
        (again["writes"] > 0, "writes after a restart"),
    ] if wrong]
    print("missed: " + "; ".join(missed) if missed else "all limits kept")
    return 1 if missed and options.check else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many tenants with replicas 0 against a real API server and etcd on this machine: what they cost the operator."""
import os
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "test" / "e2e"))

from harness import Harness, crds_of_tree, tenant  # noqa: E402
from manager_process import Manager, wait_for  # noqa: E402
from tenant_checks import settled  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def report(what: str, seconds: float, manager: Manager, cpu: float) -> None:
    print(f"{what:28s}{seconds:8.1f} s{cpu:8.2f} s CPU{manager.resident_bytes() / 2**20:8.1f} MiB", flush=True)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory(prefix="kamaji-bench-") as folder, Harness(folder).up(crds=crds_of_tree()) as harness:
        harness.apply(*harness.datastore())
        flags = ["--max-concurrent-tcp-reconciles=4"]
        manager = Manager(harness, flags=flags).start()
        report("idle, no tenant", 0, manager, cpu_seconds(manager.process.pid))

        def all_settled() -> bool:
            items = harness.get("tenantcontrolplanes")["items"]
            return len(items) == count and all(settled(item) for item in items)

        start, cpu = time.monotonic(), cpu_seconds(manager.process.pid)
        harness.apply(*[tenant(f"t-{number}") for number in range(count)])
        wait_for("all tenants", all_settled, 900, pause=1)
        report(f"{count} created", time.monotonic() - start, manager, cpu_seconds(manager.process.pid) - cpu)

        cpu = cpu_seconds(manager.process.pid)
        time.sleep(30)
        report("30 s of nothing", 30, manager, cpu_seconds(manager.process.pid) - cpu)

        manager.stop()
        start = time.monotonic()
        manager = Manager(harness, flags=flags).start()
        took = time.monotonic() - start
        time.sleep(20)
        report("restarted; 20 s later", took, manager, cpu_seconds(manager.process.pid))

        start, cpu = time.monotonic(), cpu_seconds(manager.process.pid)
        harness.kubectl("delete", "tenantcontrolplanes", "--all", "-n", "default", "--timeout=600s")
        report(f"{count} deleted", time.monotonic() - start, manager, cpu_seconds(manager.process.pid) - cpu)
        manager.stop()


if __name__ == "__main__":
    main()

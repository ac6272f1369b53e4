# SPDX-License-Identifier: Apache-2.0
"""The figures that the README promises, on a machine that does nothing else."""
import shutil
import statistics
import time

import pytest
from harness import tenant
from local_cluster import LocalCluster, environment_root

pytestmark = pytest.mark.proof
UP_SECONDS = 45
READY_P50_SECONDS = 5


def test_up_with_a_tenant_and_five_more(tmp_path_factory):
    root = environment_root(tmp_path_factory.mktemp("speed"))
    cluster = LocalCluster("speed", root)
    try:
        took = cluster.up("--sample-tenant")
        print(f"\nlocal up with a sample tenant: {took:.1f} s")
        time.sleep(10)
        times = []
        for number in range(5):
            start = time.monotonic()
            cluster.apply(tenant(f"swift-{number}", replicas=1))
            cluster.wait_phase(f"swift-{number}")
            times.append(time.monotonic() - start)
        middle = statistics.median(times)
        print(f"create to Ready: {', '.join(f'{t:.1f}' for t in times)} s; p50 {middle:.1f} s")
        assert took <= UP_SECONDS
        assert middle <= READY_P50_SECONDS
    finally:
        cluster.down()
        shutil.rmtree(root, ignore_errors=True)

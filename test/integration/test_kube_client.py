# SPDX-License-Identifier: Apache-2.0
"""The kube room against a real kube-apiserver: calls, caches over restarts and compaction, an election between two processes."""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "test" / "e2e"))

from harness import Harness, component, run  # noqa: E402

CHECK = pathlib.Path(os.environ.get("KAMAJI_KUBE_CHECK", ROOT / "build-asan" / "test" / "unit" / "kube" / "kube_client_check"))
FOLLOW = re.compile(r"follow count=(\d+) digest=([0-9a-f]{16}) added=(\d+) updated=(\d+) deleted=(\d+)")


@pytest.fixture(scope="module")
def admin(tmp_path_factory):
    with Harness(tmp_path_factory.mktemp("kube")).up(controller_manager=False) as running:
        yield running


class Process:
    """One kube_client_check in the background; its output goes to a file."""

    def __init__(self, admin, name, *arguments):
        self.path = admin.folder / f"{name}.out"
        with open(self.path, "wb") as out:
            self.process = subprocess.Popen([CHECK, *arguments], stdout=out, stderr=out, env={**os.environ, "KUBECONFIG": admin.kubeconfig})

    def lines(self):
        return self.path.read_text(errors="replace").splitlines()

    def wait_for(self, what, check, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.poll() in (None, 0), "\n".join(self.lines()[-20:])
            if found := check():
                return found
            time.sleep(0.1)
        raise AssertionError(f"{what}: not within {seconds} s:\n" + "\n".join(self.lines()[-20:]))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(20)


def check(admin, *arguments, seconds=120):
    done = subprocess.run([CHECK, *arguments], capture_output=True, text=True, timeout=seconds, check=False,
                          env={**os.environ, "KUBECONFIG": admin.kubeconfig})
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert done.returncode == 0 and not failed, "\n".join(failed) + done.stderr[-4000:]
    return done.stdout


def digest(admin):
    """What a complete and current cache holds: count and the sum of FNV-1a over "namespace/name=resourceVersion"."""
    items, total = json.loads(admin.kubectl("get", "configmaps", "-A", "-o", "json"))["items"], 0
    for item in items:
        value = 0xcbf29ce484222325
        for byte in "{namespace}/{name}={resourceVersion}".format(**item["metadata"]).encode():
            value = ((value ^ byte) * 0x100000001b3) % 2**64
        total = (total + value) % 2**64
    return str(len(items)), f"{total:016x}"


def last_follow(process):
    found = [match for line in process.lines() if (match := FOLLOW.match(line))]
    return found[-1] if found else None


def has_converged(admin, process):
    seen = last_follow(process)
    return seen is not None and seen.groups()[:2] == digest(admin)


def make_config_maps(admin, count):
    admin.apply(*({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"map-{i:03}", "namespace": "default"}, "data": {"a": "b"}}
                  for i in range(count)))


def test_calls(admin):
    assert check(admin, "calls").count("ok ") > 30


def test_caches_of_a_thousand(admin):
    assert "all deletions were told" in check(admin, "caches", "1000")


def test_events_are_aggregated(admin):
    check(admin, "events")


def test_api_server_restarted(admin):
    make_config_maps(admin, 60)
    with Process(admin, "follow", "follow", "120") as follow:
        follow.wait_for("first state", lambda: has_converged(admin, follow), 30)
        admin.stop("kube-apiserver", signal.SIGKILL)
        admin.start_api_server()
        admin.kubectl("delete", "configmap", "map-000", "-n", "default")
        admin.kubectl("label", "configmap", "map-001", "-n", "default", "x=y")
        follow.wait_for("the same state after the restart", lambda: has_converged(admin, follow), 60)


def test_deletions_before_a_compaction_are_told(admin):
    """The server forgets what happened while it was down: the watch gets 410, the list's differences become deletions."""
    make_config_maps(admin, 60)
    etcd = [component("etcdctl"), "--endpoints", f"http://127.0.0.1:{admin.ports['etcd']}"]
    with Process(admin, "compacted", "follow", "120") as follow:
        follow.wait_for("first state", lambda: has_converged(admin, follow), 30)
        deleted = int(last_follow(follow)[5])
        admin.stop("kube-apiserver", signal.SIGKILL)
        for i in range(10):
            run([*etcd, "del", f"/registry/configmaps/default/map-{i:03}"])
        status = json.loads(run([*etcd, "endpoint", "status", "-w", "json"]))
        run([*etcd, "compact", str(status[0]["Status"]["header"]["revision"])])
        admin.start_api_server()
        follow.wait_for("the list's differences", lambda: has_converged(admin, follow), 60)
        follow.wait_for("ten deletions told", lambda: int(last_follow(follow)[5]) == deleted + 10, 10)
        assert any("HTTP 410" in line for line in follow.lines())


def test_election(admin):
    with Process(admin, "first", "lease", "120") as first:
        first.wait_for("the first leads", lambda: any("acquired" in line for line in first.lines()), 20)
        with Process(admin, "second", "lease", "120") as second:
            second.wait_for("the second sees it", lambda: any("leader is" in line for line in second.lines()), 20)
            assert not any("acquired" in line for line in second.lines())
            first.process.terminate()
            second.wait_for("a released Lease is taken soon", lambda: any("acquired" in line for line in second.lines()), 5)
            with Process(admin, "third", "lease", "120") as third:
                third.wait_for("the third sees it", lambda: any("leader is" in line for line in third.lines()), 20)
                killed = time.monotonic()
                second.process.kill()
                third.wait_for("an expired Lease is taken", lambda: any("acquired" in line for line in third.lines()), 30)
                assert time.monotonic() - killed > 10, "not before its holder must have stopped"
    lease = json.loads(admin.kubectl("get", "lease", "kube-check", "-n", "default", "-o", "json"))["spec"]
    assert lease["holderIdentity"] == "" and lease["leaseTransitions"] == 2


def test_a_lease_that_somebody_annotated_is_released(admin):
    """Its holder knows an older version of it at its end, as when a renewal was cut off. The next one must not wait for the Lease's end."""
    with Process(admin, "annotated", "lease", "120") as first:
        first.wait_for("it leads", lambda: any("acquired" in line for line in first.lines()), 20)
        admin.kubectl("annotate", "lease", "kube-check", "-n", "default", f"note={time.monotonic()}", "--overwrite")
        first.process.terminate()
        first.process.wait(10)
    lease = json.loads(admin.kubectl("get", "lease", "kube-check", "-n", "default", "-o", "json"))["spec"]
    assert lease["holderIdentity"] == ""

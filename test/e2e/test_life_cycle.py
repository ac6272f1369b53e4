# SPDX-License-Identifier: Apache-2.0
"""`kamaji local` itself: killed half-way, two beside each other, and nothing left in the end."""
import os
import random
import shutil
import signal
import subprocess

import leftovers
import pytest
from local_cluster import LocalCluster, environment_root


@pytest.fixture
def root(tmp_path_factory):
    folder = environment_root(tmp_path_factory.mktemp("life"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def nothing_left(root):
    before = leftovers.picture()
    yield
    left = leftovers.what_stays(before, ("half", "never", "one", "two"), str(root))
    assert not left, "left behind:\n" + "\n".join(left)


def kill_half_way(cluster: LocalCluster, after: float) -> None:
    process = subprocess.Popen(cluster.command("up", "--without-operator"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("moment", [0.3, 1.5, 4.0])
def test_killed_then_down(nothing_left, root, moment):
    cluster = LocalCluster("half", root)
    kill_half_way(cluster, moment)
    cluster.down()


def test_killed_then_up(nothing_left, root):
    cluster = LocalCluster("half", root)
    seed = int(os.environ.get("KAMAJI_TEST_SEED", random.randrange(1 << 30)))
    print(f"\nseed {seed}")
    moments = random.Random(seed)
    try:
        for _ in range(2):
            kill_half_way(cluster, moments.uniform(0.2, 6))
        cluster.up()
        assert "Ready" in cluster.kubectl("get", "nodes")
    finally:
        cluster.down()


def test_node_keeps_nothing_of_its_caller(nothing_left, root):
    """A lock or a pipe that the caller of `up` holds is not held on by the node."""
    cluster = LocalCluster("half", root)
    reader, writer = os.pipe()
    try:
        subprocess.run(cluster.command("up", "--without-operator"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=[writer], check=True)
        os.close(writer)
        os.set_blocking(reader, False)
        assert os.read(reader, 1) == b""
    finally:
        os.close(reader)
        cluster.down()


def test_down_twice_and_down_without_up(nothing_left, root):
    cluster = LocalCluster("never", root)
    cluster.down()
    cluster.down()


@pytest.mark.proof
def test_two_side_by_side(nothing_left, root):
    one, two = LocalCluster("one", root), LocalCluster("two", root)
    try:
        one.up()
        two.up()
        one.kubectl("create", "namespace", "only-in-one")
        assert "only-in-one" not in two.kubectl("get", "ns")
        one.down()
        assert "Ready" in two.kubectl("get", "nodes")
    finally:
        one.down()
        two.down()


def test_bad_names_are_refused(root):
    for name in ("Upper", "-dash", "a" * 80, "with space", "../up"):
        done = LocalCluster(name, root).call("up", check=False)
        assert done.returncode != 0 and "name" in done.stderr.lower(), (name, done.stderr)

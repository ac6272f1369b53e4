# SPDX-License-Identifier: Apache-2.0
"""Snapshots between `kamaji datastore` and a real etcd, both ways: nothing is lost, no revision changes, and damage is refused."""
import random
import shutil
import subprocess
import threading

import pytest

import stores

WHY = stores.missing()
pytestmark = pytest.mark.skipif(WHY is not None, reason=f"SKIPPED LOUDLY, snapshots were NOT tested against a real etcd: {WHY}")
PASSWORD = "root:secret"


def fill(store: stores.Server, seed: int) -> None:
    """Keys of all sizes with history, deletions, leases, a compaction in the middle, users and roles."""
    chance = random.Random(seed)
    lease = store.ctl("lease", "grant", "900").split()[1]
    script = []
    for number in range(400):
        key = f"/registry/thing/{chance.randrange(120)}"
        if chance.random() < 0.2:
            script.append(f"del {key}")
        else:
            script.append(f"put {key} {'x' * chance.choice([0, 1, 10, 300, 5000])}{number}")
    for start in range(0, len(script), 100):
        # One transaction of a hundred would write keys twice: many small ones over one connection instead.
        for line in script[start:start + 100]:
            store.ctl("txn", input=f"\n{line}\n\n\n") if line.startswith("del") else store.ctl(*line.split(" "))
        if start == 100:
            store.ctl("compact", str(store.revision() - 20))
    store.ctl("put", "--lease", lease, "/leased/one", "1")
    store.ctl("put", "--lease", lease, "/leased/two", "2")
    store.ctl("txn", input="\nput /same/a 1\nput /same/b 2\nput /same/c 3\n\n\n")
    store.ctl("put", "/large", input="y" * 900_000)
    store.ctl("put", "/registry/thing/gone", "x")
    store.ctl("del", "/registry/thing/gone")
    for arguments in (["user", "add", "root:secret"], ["user", "add", "tenant", "--no-password"], ["user", "add", "other:pass"],
                      ["role", "add", "root"], ["role", "add", "tenant"], ["role", "grant-permission", "--prefix=true", "tenant", "readwrite", "/tenant/"],
                      ["role", "grant-permission", "tenant", "read", "/a", "/b"], ["user", "grant-role", "root", "root"],
                      ["user", "grant-role", "other", "tenant"], ["auth", "enable"]):
        store.ctl(*arguments)
    store.user = PASSWORD


def facts(store: stores.Server) -> dict:
    """What must be equal on both sides."""
    store.user = PASSWORD
    compacted = store.hash_kv()["compact_revision"]
    return {
        "keys": store.everything(),
        "history": store.everything("--rev", str(compacted + 5)),
        "hash": store.hash_kv(),
        "revision": store.revision(),
        "leases": sorted(store.ctl("lease", "list").split()),
        "users": store.ctl("user", "list"),
        "roles": [store.ctl("role", "get", role) for role in store.ctl("role", "list").split()],
        "granted": [store.ctl("user", "get", user) for user in store.ctl("user", "list").split()],
    }


def check_rights(store: stores.Server) -> None:
    assert store.run("get", "/tenant/x", user="other:pass")[0] == 0
    assert "permission denied" in store.run("get", "/registry/thing/1", user="other:pass")[2]
    assert "authentication failed" in store.run("get", "/tenant/x", user="other:wrong")[2]


def watch_from(store: stores.Server, revision: int) -> str:
    """Events since a revision, as far as the newest: history below the restored point must still be there for watchers."""
    command = [stores.harness.component("etcdctl"), "--endpoints", store.endpoint, "--user", PASSWORD, "watch", "--prefix", "/", "--rev",
               str(revision), "-w", "json"]
    lines, count = [], 12
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as watching:
        killer = threading.Timer(20, watching.kill)
        killer.start()
        while sum(line.count('"kv":') for line in lines) < count:
            line = watching.stdout.readline()
            if not line:
                break
            lines.append(line)
        killer.cancel()
        watching.kill()
    events = [event for line in lines for event in stores.json.loads(line).get("Events", [])]
    return [(event.get("type", 0), event["kv"]["key"], event["kv"]["mod_revision"], event["kv"].get("value")) for event in events][:count]


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ours")
    with stores.server(folder / "store", "kamaji") as running:
        fill(running, 1)
        yield running


def test_ours_to_etcd(ours, tmp_path):
    status = ours.snapshot(tmp_path / "snapshot.db")
    assert status["revision"] == ours.revision() and status["totalKey"] == len(ours.everything()) and status["version"] == "3.7.0"
    stores.restore(tmp_path / "snapshot.db", tmp_path / "etcd")
    with stores.server(tmp_path / "etcd", "etcd") as etcd:
        expected = facts(ours)
        assert facts(etcd) == expected
        check_rights(etcd)
        since = expected["revision"] - 30
        assert len(watch_from(ours, since)) == 12 and watch_from(etcd, since) == watch_from(ours, since)
        # It goes on: the next change has the next revision, and a compaction finds everything in order.
        assert etcd.json("put", "/after", "x")["header"]["revision"] == expected["revision"] + 1
        etcd.ctl("compact", str(expected["revision"]))
        assert etcd.everything()


def test_etcd_to_ours(tmp_path):
    with stores.server(tmp_path / "etcd", "etcd") as etcd:
        fill(etcd, 2)
        etcd.snapshot(tmp_path / "snapshot.db")
        expected = facts(etcd)
        done = stores.import_snapshot(tmp_path / "snapshot.db", tmp_path / "store")
        assert done.returncode == 0, done.stderr
        assert f"revision {expected['revision']}," in done.stdout and "authentication on" in done.stdout
        again = stores.import_snapshot(tmp_path / "snapshot.db", tmp_path / "store")
        assert again.returncode == 1 and "already holds a store" in again.stderr
        with stores.server(tmp_path / "store", "kamaji") as ours:
            assert facts(ours) == expected
            check_rights(ours)
            since = expected["revision"] - 30
            assert watch_from(ours, since) == watch_from(etcd, since)
            assert ours.json("put", "/after", "x")["header"]["revision"] == expected["revision"] + 1
            # And back again, after a restart.
            ours.snapshot(tmp_path / "back.db")
        with stores.server(tmp_path / "store", "kamaji") as ours:
            ours.user = PASSWORD
            assert ours.hash_kv()["hash_revision"] == expected["revision"] + 1
    stores.restore(tmp_path / "back.db", tmp_path / "again")
    with stores.server(tmp_path / "again", "etcd") as etcd:
        etcd.user = PASSWORD
        assert [item for item in etcd.everything() if item["mod_revision"] <= expected["revision"]] == expected["keys"]


def test_database_without_checksum(ours, tmp_path):
    """A copy of an etcd's own file: no SHA-256 behind it."""
    ours.snapshot(tmp_path / "snapshot.db")
    whole = (tmp_path / "snapshot.db").read_bytes()
    (tmp_path / "bare.db").write_bytes(whole[:-32])
    done = stores.import_snapshot(tmp_path / "bare.db", tmp_path / "store")
    assert done.returncode == 0 and "no checksum" in done.stdout


def test_damage_is_refused(ours, tmp_path):
    ours.snapshot(tmp_path / "snapshot.db")
    whole = (tmp_path / "snapshot.db").read_bytes()
    chance = random.Random(3)
    for number in range(40):
        damaged = bytearray(whole)
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        path = tmp_path / "damaged.db"
        path.write_bytes(damaged)
        done = stores.import_snapshot(path, tmp_path / "refused")
        assert done.returncode == 1 and "SHA-256 is wrong" in done.stderr, done.stderr
        assert not (tmp_path / "refused").exists()
    for length in (0, 31, 4096, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        done = stores.import_snapshot(path, tmp_path / "refused")
        assert done.returncode == 1 and done.stderr.startswith("kamaji datastore import: read snapshot"), done.stderr
        shutil.rmtree(tmp_path / "refused", ignore_errors=True)


def test_consistent_while_writing(tmp_path):
    """Every transaction writes two keys: a snapshot in the middle of many has both or neither, of one revision."""
    with stores.server(tmp_path / "store", "kamaji") as ours:
        stop = threading.Event()

        def write():
            number = 0
            while not stop.is_set():
                number += 1
                ours.ctl("txn", input=f"\nput /pair/a {number}\nput /pair/b {number}\n\n\n")

        ours.ctl("txn", input="\nput /pair/a 0\nput /pair/b 0\n\n\n")
        writer = threading.Thread(target=write)
        writer.start()
        try:
            for turn in range(5):
                before = ours.revision()
                status = ours.snapshot(tmp_path / f"{turn}.db")
                assert status["revision"] >= before and status["totalKey"] == 2
                assert stores.import_snapshot(tmp_path / f"{turn}.db", tmp_path / f"import{turn}").returncode == 0
        finally:
            stop.set()
            writer.join()
    for turn in range(5):
        with stores.server(tmp_path / f"import{turn}", "kamaji") as copy:
            first, second = copy.everything()
            assert first["value"] == second["value"] and first["mod_revision"] == second["mod_revision"] == copy.revision()

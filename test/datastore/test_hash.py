# SPDX-License-Identifier: Apache-2.0
"""HashKV beside a real etcd: at the present, in the past, and at revisions that were compacted at, which both remember."""
import time

import pytest
import stores

REMEMBERED = 10


@pytest.fixture
def pair(tmp_path):
    if reason := stores.missing():
        pytest.skip(reason)
    with stores.server(tmp_path / "etcd", "etcd", "--unsafe-no-fsync") as etcd, stores.server(tmp_path / "ours", "kamaji") as ours:
        yield etcd, ours


def change(server: stores.Server, begin: int, end: int) -> None:
    """Puts and deletions in turn, each a revision of its own."""
    for number in range(begin, end):
        server.ctl(*(("del", f"key{number % 7}") if number % 5 == 4 else ("put", f"key{number % 7}", f"value{number}")))


def hash_at(server: stores.Server, revision: int) -> dict | str:
    code, out, errors = server.run("endpoint", "hashkv", "--rev", str(revision), "-w", "json")
    if code != 0:
        return errors.split("Error: ")[-1]
    answer = stores.json.loads(out)[0]["HashKV"]
    return {name: answer.get(name) for name in ("hash", "compact_revision", "hash_revision")}


def both_say(pair, revision: int) -> dict | str:
    etcd, ours = hash_at(pair[0], revision), hash_at(pair[1], revision)
    assert etcd == ours, f"at revision {revision}: etcd {etcd}, ours {ours}"
    return ours


def compact(pair, revision: int, *options: str) -> None:
    for server in pair:
        server.ctl("compaction", str(revision), *options)


def test_a_hash_outlives_the_compaction_at_its_revision(pair):
    for server in pair:
        change(server, 0, 50)
    before = both_say(pair, 30)
    compact(pair, 30, "--physical")
    assert both_say(pair, 30) == before and before["compact_revision"] == -1
    assert both_say(pair, 35)["compact_revision"] == 30
    assert "compacted" in both_say(pair, 29)
    # The second: what the first one kept counts, and the hash of the first is still told.
    second = both_say(pair, 36)
    compact(pair, 36, "--physical")
    assert both_say(pair, 36) == second and second["compact_revision"] == 30
    assert both_say(pair, 30) == before
    # At the present there is nothing to remember: asked for without a revision it is hashed anew.
    last = pair[0].revision()
    compact(pair, last, "--physical")
    assert both_say(pair, last)["compact_revision"] == 36
    assert both_say(pair, 0)["compact_revision"] == last


def test_a_compaction_that_is_not_waited_for(pair):
    """etcd compacts in the background then and is given time; ours lets the question wait for its turn."""
    for server in pair:
        change(server, 0, 20)
    before = hash_at(pair[1], 15)
    compact(pair, 15)
    assert hash_at(pair[1], 15) == before
    deadline = time.monotonic() + 20
    while hash_at(pair[0], 15) != before and time.monotonic() < deadline:
        time.sleep(0.2)
    assert both_say(pair, 15) == before


def test_everything_is_deleted_at_the_compacted_revision(pair):
    for server in pair:
        for number in range(4):
            server.ctl("put", "only", str(number))
        server.ctl("put", "other", "x")
        server.ctl("del", "other")
    compact(pair, 4, "--physical")
    for server in pair:
        server.ctl("del", "only")
    compact(pair, 8, "--physical")
    both_say(pair, 8)
    both_say(pair, 0)
    for server in pair:
        server.ctl("put", "only", "again")
    compact(pair, 9, "--physical")
    for revision in (4, 8, 9, 0):
        both_say(pair, revision)


def test_ten_are_remembered_and_none_by_the_next_process(pair):
    for server in pair:
        change(server, 0, 30)
    for revision in range(10, 10 + REMEMBERED + 2):
        compact(pair, revision, "--physical")
    for revision in (10, 11):
        assert "compacted" in both_say(pair, revision)
    told = [both_say(pair, revision) for revision in range(12, 10 + REMEMBERED + 2)]
    assert [answer["compact_revision"] for answer in told] == list(range(11, 9 + REMEMBERED + 2))
    for server in pair:
        server.stop()
        server.start()
    assert "compacted" in both_say(pair, 20)
    assert both_say(pair, 21)["compact_revision"] == 21

# SPDX-License-Identifier: Apache-2.0
"""Every command of etcdctl, the same on `kamaji datastore` and on a real etcd: what it prints and how it ends must agree."""
import json
import pathlib
import re
import subprocess
import threading
import time

import harness
import pytest
import stores
from manager_process import wait_for

pytestmark = pytest.mark.skipif(stores.missing() is not None, reason=str(stores.missing()))

LEASE = re.compile(r"\b[0-9a-f]{10,16}\b")  # printed without leading zeros
WATCH_SECONDS = 30

# Run on both, one after the other; standard input after "<".
SCRIPT = r"""
put a 1
put a 2 --prev-kv
put b beta
put c gamma
put d delta
put /x/1 one
put /x/2 two
put missing --ignore-value
put a --ignore-value
put a 3 --ignore-lease
put a 4 --lease=1234
get a
get a -w fields
get a --rev=2
get a --rev=100000
get nothing
get a d
get a --from-key
get a --from-key --limit 2
get "" --prefix
get "" --prefix --limit 3
get "" --prefix --keys-only
get "" --prefix --count-only
get "" --prefix --count-only -w fields
get "" --prefix --sort-by=MODIFY --order=DESCEND
get "" --prefix --sort-by=CREATE --order=ASCEND
get "" --prefix --sort-by=VERSION --order=DESCEND --limit 1
get "" --prefix --sort-by=VALUE --order=ASCEND
get "" --prefix --sort-by=KEY --order=DESCEND
get "" --prefix --min-mod-rev=4 --max-mod-rev=5
get "" --prefix --min-create-rev=4 --max-create-rev=6
get a --consistency=s
get a --print-value-only
get a --hex
get a -w simple
get a -w json
get --prefix /x/ -w json
del b --prev-kv
del nothing
del c e
del --prefix /x/ --prev-kv
del z --from-key
del --range c d
txn <value("a") = "3"\n\nput t yes\nget t\n\nput t no\n\n
txn <mod("t") > "0"\nver("t") = "1"\n\ndel t\n\nget t\n\n
txn <create("none") = "0"\n\nput u 1\nput u 2\n\n\n
compaction 5
compaction 5
compaction 99999
compaction 6 --physical
get a --rev=2
role add reader
role add reader
role add writer
role grant-permission reader read /x/ --prefix
role grant-permission reader read q
role grant-permission writer readwrite a c
role grant-permission writer write z --from-key
role grant-permission none read a
role get reader
role get writer
role get none
role list
role revoke-permission reader q
role revoke-permission reader q
role get reader
user add alice:secret
user add alice:secret
user add bob --no-password
user grant-role alice reader
user grant-role alice none
user grant-role nobody reader
user get alice
user get alice --detail
user get nobody
user list
user revoke-role alice reader
user revoke-role alice reader
user passwd alice <other\nother\n
user delete bob
user delete bob
role delete writer
role delete writer
auth status
auth enable
auth disable
alarm list
alarm disarm
defrag
move-leader 1
member remove 1
member promote 1
member update 1 --peer-urls=http://127.0.0.1:1
"""


def read_script() -> list[tuple[list[str], str | None]]:
    import shlex
    commands = []
    for line in SCRIPT.strip().splitlines():
        text, _, given = line.partition(" <")
        commands.append((shlex.split(text), given.encode().decode("unicode_escape") if given else None))
    return commands


def plain(text: str) -> str:
    """Without what two servers may differ in: identities, terms, sizes, addresses, times."""
    text = re.sub(r'"(ClusterID|MemberID|RaftTerm|cluster_id|member_id|raft_term)" ?: ?\d+', r'"\1":0', text)
    text = re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", text)
    text = re.sub(r"\d+(\.\d+)?(µs|ms|s)\b", "TIME", text)
    return text


@pytest.fixture
def pair(tmp_path):
    with stores.server(tmp_path / "etcd", "etcd", "--unsafe-no-fsync") as real, stores.server(tmp_path / "ours", "kamaji") as ours:
        yield real, ours


def member_text(text: str) -> str:
    return re.sub(r"\b[0-9a-f]{10,16}\b", "ID", plain(text))


def test_same_as_etcd(pair):
    different = []
    for arguments, given in read_script():
        answers = []
        for store in pair:
            code, out, errors = store.run(*arguments, input=given)
            answers.append((code, member_text(out), member_text(errors)))
        if answers[0] != answers[1]:
            different.append(f"etcdctl {' '.join(arguments)}\n  etcd {answers[0]}\n  ours {answers[1]}")
    assert not different, "\n".join(different)


def test_leases(pair):
    for store in pair:
        granted = store.ctl("lease", "grant", "300")
        lease = LEASE.search(granted).group()
        assert "granted with TTL(300s)" in granted
        store.ctl("put", "leased/1", "x", "--lease", lease)
        store.ctl("put", "leased/2", "x", "--lease", lease)
        told = store.ctl("lease", "timetolive", lease, "--keys")
        assert "granted with TTL(300s)" in told and "leased/1" in told and "leased/2" in told, told
        assert lease in store.ctl("lease", "list")
        assert "keepalived with TTL(300)" in store.ctl("lease", "keep-alive", "--once", lease)
        assert "revoked" in store.ctl("lease", "revoke", lease)
        assert store.ctl("get", "leased/", "--prefix") == ""
        assert "already expired" in store.ctl("lease", "timetolive", lease)
        code, _, errors = store.run("lease", "revoke", lease)
        assert code != 0 and "requested lease not found" in errors
        short = LEASE.search(store.ctl("lease", "grant", "1")).group()
        store.ctl("put", "short", "x", "--lease", short)
        deadline = time.monotonic() + 15
        while store.ctl("get", "short") and time.monotonic() < deadline:
            time.sleep(0.2)
        assert store.ctl("get", "short") == "", "a lease of the least length lasts for ever"


def watchers(store: stores.Server) -> int:
    found = re.search(r"^etcd_debugging_mvcc_watcher_total (\S+)$", store.http("/metrics")[1], re.MULTILINE)
    return int(float(found.group(1)))


def watch_lines(store: stores.Server, arguments: list[str], act, wanted: int) -> list[str]:
    command = [harness.component("etcdctl"), "--endpoints", store.endpoint, "watch", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    killer = threading.Timer(WATCH_SECONDS, process.kill)
    killer.start()
    try:
        if act:
            wait_for("the watch is open", lambda: watchers(store) == 1, WATCH_SECONDS)
            act(store)
        return [process.stdout.readline().rstrip("\n") for _ in range(wanted)]
    finally:
        killer.cancel()
        process.terminate()
        process.wait(10)
        wait_for("the watch is closed", lambda: watchers(store) == 0, WATCH_SECONDS)


def changes(store: stores.Server) -> None:
    store.ctl("put", "w/1", "a")
    store.ctl("put", "w/1", "b")
    store.ctl("del", "w/1")
    store.ctl("put", "other", "c")
    store.ctl("put", "w/2", "d")


@pytest.mark.parametrize("arguments,wanted", [(["--prefix", "w/"], 12), (["--prefix", "--prev-kv", "w/"], 16), (["w/1"], 9), (["w/1", "w/3"], 12)])
def test_watch(pair, arguments, wanted):
    told = [watch_lines(store, arguments, changes, wanted) for store in pair]
    assert told[0] == told[1]
    again = [watch_lines(store, ["--rev=2", *arguments], None, wanted) for store in pair]
    assert again[0] == again[1] == told[0]


def test_watch_of_a_compacted_revision(pair):
    for store in pair:
        changes(store)
        store.ctl("compaction", "5")
        code, out, errors = store.run("watch", "--rev=2", "w/1")
        assert code != 0 and "required revision has been compacted" in out + errors


def test_election_and_lock_by_the_client(pair):
    for store in pair:
        done = store.run("lock", "mutex", "echo", "held")
        assert done[0] == 0 and done[1].strip().endswith("held"), done


def test_status_and_members(tmp_path):
    with stores.server(tmp_path / "ours", "kamaji") as ours:
        ours.ctl("put", "a", "b")
        status = ours.json("endpoint", "status")[0]["Status"]
        assert status["version"] == "3.7.3" and status["header"]["revision"] == 2 and status["leader"] == status["header"]["member_id"]
        assert status["dbSize"] > 0 and status["raftIndex"] > 0
        assert ours.json("endpoint", "health")[0]["health"] is True
        assert ours.json("endpoint", "hashkv")[0]["HashKV"]["hash"] > 0
        members = ours.json("member", "list")["members"]
        assert len(members) == 1 and members[0]["clientURLs"] == [ours.endpoint]
        assert "version: 3.7.3" in ours.ctl("version") or "etcdctl version" in ours.ctl("version")
        saved = ours.snapshot(tmp_path / "snapshot.db")
        assert saved["totalKey"] >= 1 and saved["revision"] == 2
        assert ours.run("endpoint", "status", "--cluster")[0] == 0


def handled(store: stores.Server) -> dict[frozenset, float]:
    """Calls by type, service, method and code."""
    lines = [line for line in store.http("/metrics")[1].splitlines() if line.startswith("grpc_server_handled_total{")]
    found = {}
    for line in lines:
        labels, count = line.partition("{")[2].rsplit("} ", 1)
        found[frozenset(re.findall(r'(\w+)="([^"]*)"', labels))] = float(count)
    return {labels: count for labels, count in found.items() if count}


def test_calls_are_counted_as_in_etcd(pair):
    counts = []
    for store in pair:
        before = handled(store)
        for command in (["put", "a", "1"], ["put", "a", "2"], ["get", "a"], ["get", "a", "--rev=99"], ["put", "b", "x", "--lease=1"],
                        ["lease", "revoke", "1"], ["del", "a"], ["compaction", "99"]):
            store.run(*command)
        counts.append({labels: count - before.get(labels, 0) for labels, count in handled(store).items() if count != before.get(labels, 0)})
    assert counts[0] == counts[1]
    assert counts[1][frozenset({"grpc_type": "unary", "grpc_service": "etcdserverpb.KV", "grpc_method": "Put", "grpc_code": "NotFound"}.items())] == 1


@pytest.mark.proof
def test_check(tmp_path):
    with stores.server(tmp_path / "ours", "kamaji") as ours:
        done = subprocess.run([harness.component("etcdctl"), "--endpoints", ours.endpoint, "check", "perf"], capture_output=True, text=True, timeout=180)
        print(done.stdout[-400:])
        assert done.returncode == 0 and "PASS: Slowest request" in done.stdout, done.stdout[-800:]
        done = subprocess.run([harness.component("etcdctl"), "--endpoints", ours.endpoint, "check", "datascale"], capture_output=True, text=True,
                              timeout=180)
        print(done.stdout[-400:] + done.stderr[-400:])
        assert done.returncode == 0, done.stdout[-800:] + done.stderr[-800:]


def test_tls_and_unix_socket(tmp_path):
    pki = harness.Pki(tmp_path / "pki")
    pki.authority("ca")
    pki.leaf("server", "ca", "/CN=etcd", "IP:127.0.0.1,DNS:localhost")
    pki.leaf("client", "ca", "/CN=root")
    pki.authority("other")
    pki.leaf("stranger", "other", "/CN=root")
    port = harness.free_ports(1)[0]
    path = tmp_path / "socket"
    log = tmp_path / "log"
    with log.open("w") as out:
        process = subprocess.Popen([stores.KAMAJI, "datastore", "--data-dir", str(tmp_path / "data"), "--listen-client-urls",
                                    f"https://127.0.0.1:{port},unix://{path}", "--cert-file", pki.path("server.crt"), "--key-file",
                                    pki.path("server.key"), "--trusted-ca-file", pki.path("ca.crt"), "--client-cert-auth"],
                                   stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + 20
        while "datastore.ready" not in log.read_text() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)

        def ctl(endpoint: str, *arguments: str, name: str | None = "client") -> subprocess.CompletedProcess:
            identity = [f"--cert={pki.path(name + '.crt')}", f"--key={pki.path(name + '.key')}"] if name else []
            return subprocess.run([harness.component("etcdctl"), "--endpoints", endpoint, "--command-timeout=2s",
                                   *([f"--cacert={pki.path('ca.crt')}"] if endpoint.startswith("https") else []), *identity, *arguments],
                                  capture_output=True, text=True, timeout=30)

        secure, local = f"https://127.0.0.1:{port}", f"unix://{path}"
        assert ctl(secure, "put", "a", "1").stdout == "OK\n", log.read_text()
        assert ctl(local, "get", "a", name=None).stdout == "a\n1\n", log.read_text()
        assert ctl(secure, "get", "a", name="stranger").returncode != 0
        assert ctl(secure, "get", "a", name=None).returncode != 0
        assert json.loads(ctl(secure, "endpoint", "status", "-w", "json").stdout)[0]["Status"]["header"]["revision"] == 2
        for arguments in (["user", "add", "root", "--no-password"], ["role", "add", "root"], ["user", "grant-role", "root", "root"],
                          ["auth", "enable"]):
            assert ctl(secure, *arguments).returncode == 0
        assert ctl(secure, "put", "a", "2").stdout == "OK\n"
        refused = ctl(local, "put", "a", "3", name=None)
        assert refused.returncode != 0 and "user name is empty" in refused.stderr
    finally:
        process.terminate()
        assert process.wait(20) == 0, log.read_text()
    assert not pathlib.Path(path).exists()

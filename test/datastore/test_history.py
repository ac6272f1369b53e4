# SPDX-License-Identifier: Apache-2.0
"""The same random requests on a real etcd and on `kamaji datastore`; and what clients were told while the datastore was killed again and again.

Bounded here; `make proof-differential` and `make proof-crash` go further (the variables below).
"""
import os
import pathlib
import re
import subprocess
import time

import harness
import pytest
import stores

pytestmark = pytest.mark.skipif(stores.missing() is not None, reason=str(stores.missing()))

FOLDER = stores.ROOT / "test" / "differential"
# Every commit is measured against the same requests and against new ones; the proof takes as many new ones as it is told (seeds are printed).
OPERATIONS = os.environ.get("KAMAJI_DIFFERENTIAL_OPERATIONS")
BOUNDS = [["--operations", OPERATIONS]] if OPERATIONS else [["--duration", "120s", "--seed", "20261121"], ["--duration", "450s"]]
KILLS = os.environ.get("KAMAJI_CRASH_KILLS", "20")


@pytest.fixture(scope="module")
def programs(tmp_path_factory) -> pathlib.Path:
    if subprocess.run([stores.ROOT / "tools" / "with-go", "--check"], check=False).returncode:
        pytest.skip("no Go toolchain to build the clients with")
    folder = tmp_path_factory.mktemp("programs")
    done = subprocess.run([stores.ROOT / "tools" / "with-go", "go", "build", "-o", f"{folder}/", "./..."], cwd=FOLDER, capture_output=True,
                          text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stdout[-6000:])
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.differential
@pytest.mark.parametrize("bound", BOUNDS, ids=" ".join)
def test_differential(programs, tmp_path, bound):
    """Requests of every kind, watches opened afterwards and watches that were open meanwhile, leases that end by themselves."""
    with stores.server(tmp_path / "etcd", "etcd", "--unsafe-no-fsync") as real, stores.server(tmp_path / "ours", "kamaji") as ours:
        text = run([str(programs / "differential"), "--expected", f"127.0.0.1:{real.port}", "--actual", f"127.0.0.1:{ours.port}", *bound])
        assert ": equal" in text


def test_crash(programs, tmp_path):
    began = time.monotonic()
    text = run([str(programs / "crash"), "--program", stores.KAMAJI, "--data-dir", str(tmp_path / "data"), "--address",
                f"127.0.0.1:{harness.free_ports(1)[0]}", "--kills", KILLS])
    assert "all well" in text
    assert time.monotonic() - began < 10 * int(KILLS) + 60, "starts take long"


def test_full_disk(programs, tmp_path):
    """Writes until there is no room left: the server ends and says why; with room again everything acknowledged is there."""
    folder = tmp_path / "data"
    folder.mkdir()
    if subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True, check=False).returncode:
        pytest.skip("may not mount a small file system in a namespace of its own")
    errors = (tmp_path / "errors").open("w+")
    command = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=80m tmpfs "$1" && shift && exec "$@"', "sh", folder, programs / "crash", "--program",
               stores.KAMAJI, "--data-dir", folder, "--address", f"127.0.0.1:{harness.free_ports(1)[0]}", "--until-disk-full"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
        lines = [process.stdout.readline(), process.stdout.readline()]
        assert "the disk is full" in lines[1], lines
        # Still full: refused by name, as often as one tries.
        inside = ["nsenter", "-t", str(process.pid), "-m"]
        for _ in range(2):
            again = subprocess.run([*inside, stores.KAMAJI, "datastore", "--data-dir", folder, "--listen-client-urls",
                                    f"unix://{tmp_path}/socket"], capture_output=True, text=True, timeout=30, check=False)
            assert again.returncode != 0 and re.search("No space left|disk is full", again.stderr + again.stdout), again
        subprocess.run([*inside, "mount", "-o", "remount,size=400m", folder], check=True)
        out, _ = process.communicate("\n", timeout=120)
        print(out)
        assert process.returncode == 0 and "all well" in out, out[-3000:]
    errors.seek(0)
    text = errors.read()
    assert re.search("No space left|disk is full", text), text[-2000:]


def test_abuse(programs, tmp_path):
    """Clients that break every rule: refused by name and number, within bounds of memory, and unnoticed by the one beside them."""
    with stores.server(tmp_path / "ours", "kamaji") as ours:
        text = run([str(programs / "abuse"), "--address", f"127.0.0.1:{ours.port}", "--pid", str(ours.process.pid)])
        assert "refused and unharmed" in text


@pytest.mark.parametrize("kind, options", [("kamaji", []), ("etcd", ["--metadata", str(16 << 20), "--memory", "2000"])])
def test_a_large_header_block_is_answered_as_by_etcd(programs, tmp_path, kind, options):
    """One field above what a server takes (ours 16 KiB, etcd 16 MiB) costs the call and no more: both reset its stream with FRAME_SIZE_ERROR."""
    with stores.server(tmp_path / kind, kind) as server:
        text = run([str(programs / "abuse"), "--address", f"127.0.0.1:{server.port}", "--pid", str(server.process.pid), "--only",
                    "a header block above the limit", *options])
        assert "RST_STREAM FRAME_SIZE_ERROR" in text


@pytest.mark.differential
@pytest.mark.parametrize("seed", [["--seed", "20261121"], []], ids=["fixed", "fresh"])
def test_authentication_differential(programs, tmp_path, seed):
    """Users, roles and permissions change at random; users named by certificates and by tokens are let through and refused as by etcd."""
    pki = harness.Pki(tmp_path / "pki")
    pki.authority("ca")
    pki.leaf("server", "ca", "/CN=etcd", "IP:127.0.0.1,DNS:localhost")
    for name in ("root", "u0", "u1", "u2", "stranger"):
        pki.leaf(name, "ca", f"/CN={name}")
    options = ["--cert-file", pki.path("server.crt"), "--key-file", pki.path("server.key"), "--trusted-ca-file", pki.path("ca.crt"), "--client-cert-auth"]
    duration = os.environ.get("KAMAJI_AUTHENTICATION_DURATION", "20s")
    with stores.server(tmp_path / "etcd", "etcd", "--unsafe-no-fsync", *options, scheme="https") as real, \
            stores.server(tmp_path / "ours", "kamaji", *options, scheme="https") as ours:
        text = run([str(programs / "differential"), "--expected", f"127.0.0.1:{real.port}", "--actual", f"127.0.0.1:{ours.port}",
                    "--certificates", str(tmp_path / "pki"), "--duration", duration, *seed])
        assert ": equal" in text

# SPDX-License-Identifier: Apache-2.0
"""The same random requests on a real etcd and on `kamaji datastore`; and what clients were told while the datastore was killed again and again.

Bounded here; `make proof-differential` and `make proof-crash` go further (the variables below).
"""
import os
import pathlib
import subprocess
import time

import harness
import pytest
import stores

pytestmark = pytest.mark.skipif(stores.missing() is not None, reason=str(stores.missing()))

FOLDER = stores.ROOT / "test" / "differential"
# Every commit is measured against the same requests; the proof takes new ones each time (no seed given: chosen and printed).
OPERATIONS = os.environ.get("KAMAJI_DIFFERENTIAL_OPERATIONS", "20000")
SEED = os.environ.get("KAMAJI_DIFFERENTIAL_SEED", "20261121" if OPERATIONS == "20000" else "")
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


def test_differential(programs, tmp_path):
    with stores.server(tmp_path / "etcd", "etcd", "--unsafe-no-fsync") as real, stores.server(tmp_path / "ours", "kamaji") as ours:
        bound = ["--operations", OPERATIONS, *(["--seed", SEED] if SEED else [])]
        text = run([str(programs / "differential"), "--expected", f"127.0.0.1:{real.port}", "--actual", f"127.0.0.1:{ours.port}", *bound])
        assert ": equal" in text


def test_crash(programs, tmp_path):
    began = time.monotonic()
    text = run([str(programs / "crash"), "--program", stores.KAMAJI, "--data-dir", str(tmp_path / "data"), "--address",
                f"127.0.0.1:{harness.free_ports(1)[0]}", "--kills", KILLS])
    assert "all well" in text
    assert time.monotonic() - began < 10 * int(KILLS) + 60, "starts take long"

# SPDX-License-Identifier: Apache-2.0
"""The proxy itself, seen through kubectl: transparent without a plan, and each fault really reaches the client."""
import json
import subprocess
import time

import pytest
from harness import component
from proxy import Fault


def kubectl(proxy, *arguments, seconds=30):
    return subprocess.run([component("kubectl"), "--kubeconfig", proxy.kubeconfig, "--cache-dir", f"{proxy.kubeconfig}.cache", *arguments],
                          capture_output=True, text=True, timeout=seconds, check=False)


@pytest.fixture(scope="module", autouse=True)
def sample(harness):
    harness.kubectl("create", "configmap", "sample", "--from-literal", "a=b")


@pytest.fixture(autouse=True)
def no_plan(proxy):
    kubectl(proxy, "api-resources")  # discovery is cached from here on
    yield
    proxy.disarm()


def test_transparent(proxy, harness):
    assert kubectl(proxy, "create", "configmap", "transparent", "--from-literal", f"a={'x' * 100000}").returncode == 0
    through = json.loads(kubectl(proxy, "get", "configmap", "transparent", "-o", "json", "--show-managed-fields").stdout)
    assert through == harness.get("configmap", "transparent", "default")
    assert len(through["data"]["a"]) == 100000
    assert any(request.method == "POST" and request.scope == "default" for request in proxy.seen())


@pytest.mark.parametrize("kind, text", [("409", "has been modified"), ("410", "too old resource version"), ("500", "an error on the server"),
                                        ("malformed", "error"), ("truncated", "unexpected end"), ("reset", "stream error")])
def test_fault_reaches_the_client(proxy, kind, text):
    fault = Fault(kind, 1, "default")
    proxy.arm(fault)
    done = kubectl(proxy, "get", "configmap", "sample", "-o", "json")
    assert fault.hit is not None
    assert done.returncode != 0 and text in done.stderr.lower(), done.stderr


@pytest.mark.parametrize("kind", ["429", "goaway", "slow"])
def test_what_a_good_client_rides_out(proxy, kind):
    fault = Fault(kind, 1, "default")
    proxy.arm(fault)
    start = time.monotonic()
    done = kubectl(proxy, "get", "configmap", "sample")
    assert fault.hit is not None and done.returncode == 0, done.stderr
    if kind != "goaway":
        assert time.monotonic() - start > 0.9


def test_cut_connection(proxy):
    fault = Fault("cut", 1, "default")
    proxy.arm(fault)
    done = kubectl(proxy, "get", "configmap", "sample")
    assert fault.hit is not None and ("reset" in done.stderr or "EOF" in done.stderr or done.returncode == 0)


def test_black_hole_swallows(proxy):
    fault = Fault("blackhole", 1, "default")
    proxy.arm(fault)
    with pytest.raises(subprocess.TimeoutExpired):
        kubectl(proxy, "get", "configmap", "sample", seconds=4)
    proxy.disarm()
    assert kubectl(proxy, "get", "configmap", "sample").returncode == 0


@pytest.mark.parametrize("kind", ["watch-cut", "watch-half-line", "watch-410", "watch-malformed"])
def test_watch_faults(proxy, harness, kind):
    harness.kubectl("create", "configmap", kind)
    fault = Fault(kind, 1)
    proxy.arm(fault)
    process = subprocess.Popen([component("kubectl"), "--kubeconfig", proxy.kubeconfig, "get", "configmap", kind, "-w", "-o", "name"],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        end = time.monotonic() + 20
        while fault.hit is None and time.monotonic() < end:
            harness.kubectl("annotate", "configmap", kind, f"at={time.monotonic_ns()}", "--overwrite")
            time.sleep(0.2)
        assert fault.hit is not None and fault.hit.watch
    finally:
        process.kill()
        process.wait()

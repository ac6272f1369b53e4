# SPDX-License-Identifier: Apache-2.0
"""The whole path on a real cluster of this machine: pods, kubelet, containerd, the operator as a pod of the admin cluster."""
import base64
import json
import os
import pathlib
import random
import signal
import statistics
import subprocess
import time

import pytest
from harness import HarnessError, tenant
from local_cluster import NAMESPACE, LocalCluster, whole_life
from manager_process import binary, wait_for
from tenant_checks import check_complete, keys_below, leaks, users_and_roles

READY_P50_SECONDS = 5.0
SILENCE_SECONDS = 60
# Five on a busy machine may be slower than the figure promised for an idle one; the proof holds to the figure, CI to this.
READY_P50_LIMIT_IN_CI = 15.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with whole_life("e2e", tmp_path_factory.mktemp("cluster")) as running:
        yield running


def pods_tenant(name: str, **spec) -> dict:
    return tenant(name, replicas=1, **spec)


@pytest.fixture(scope="module")
def pair(cluster):
    cluster.apply(pods_tenant("blue"), pods_tenant("green"))
    return [cluster.wait_phase("blue"), cluster.wait_phase("green")]


def test_second_up_is_quick(cluster):
    took = cluster.up()
    print(f"\nsecond up: {took:.1f} s")
    assert took < 10


def test_create_to_ready_one_after_the_other(cluster):
    times = []
    for number in range(5):
        name = f"swift-{number}"
        start = time.monotonic()
        cluster.apply(pods_tenant(name))
        cluster.wait_phase(name)
        times.append(time.monotonic() - start)
    middle = statistics.median(times)
    print(f"\ncreate to Ready: {', '.join(f'{t:.1f}' for t in times)} s; p50 {middle:.1f} s")
    for number in range(5):
        cluster.kubectl("delete", "tenantcontrolplane", f"swift-{number}", "--timeout=60s")
    assert middle <= READY_P50_LIMIT_IN_CI


def test_status_and_doctor(cluster, pair):
    text = cluster.call("status").stdout
    for word in ("e2e-admin", "kube-apiserver", "default/blue", "default/green", "Ready", "MiB", "components"):
        assert word in text, f"no {word} in:\n{text}"
    doctor = subprocess.run([binary(), "local", "doctor"], capture_output=True, text=True, check=False)
    assert "cgroup" in doctor.stdout, doctor.stdout + doctor.stderr


def test_kubectl_inside_a_tenant(cluster, pair):
    config = cluster.tenant_kubeconfig("blue")

    def kubectl(*arguments, **options):
        return cluster.kubectl(*arguments, kubeconfig=config, **options)

    kubectl("create", "namespace", "shop")
    kubectl("create", "configmap", "prices", "-n", "shop", "--from-literal=tea=3")
    assert json.loads(kubectl("get", "configmap", "prices", "-n", "shop", "-o", "json"))["data"] == {"tea": "3"}
    kubectl("delete", "configmap", "prices", "-n", "shop")
    with pytest.raises(HarnessError, match="NotFound"):
        kubectl("get", "configmap", "prices", "-n", "shop")
    kubectl("delete", "namespace", "shop", "--timeout=60s")
    assert json.loads(kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"] == "v1.36.3"


def test_what_a_worker_needs_to_join_is_there(cluster, pair):
    config = cluster.tenant_kubeconfig("blue")

    def there():
        names = cluster.kubectl("get", "configmap", "-n", "kube-system", "-o", "name", kubeconfig=config)
        public = cluster.kubectl("get", "configmap", "-n", "kube-public", "-o", "name", kubeconfig=config)
        roles = cluster.kubectl("get", "clusterrolebindings", "-o", "name", kubeconfig=config)
        return ("kubeadm-config" in names and "kubelet-config" in names and "cluster-info" in public
                and "kubeadm:node-autoapprove-bootstrap" in roles)

    wait_for("kubeadm's objects in the tenant", there, 30, pause=0.5)


def test_tenants_cannot_read_each_other(cluster, pair, tmp_path):
    """Blue's client certificate opens blue's prefix in the shared etcd and nothing else."""
    blue, green = (item["status"]["storage"]["setup"] for item in pair)
    secret = cluster.get("secret", "blue-datastore-certificate", "default")["data"]
    files = []
    for key in ("ca.crt", "server.crt", "server.key"):
        path = tmp_path / key
        path.touch(mode=0o600)
        path.write_bytes(base64.b64decode(secret[key]))
        files.append(str(path))
    assert keys_below(cluster.etcdctl, f"/{green['schema']}/") > 0
    own = cluster.etcdctl("get", f"/{blue['schema']}/", "--prefix", "--keys-only", "--limit=1", certificate=tuple(files))
    assert own.startswith(f"/{blue['schema']}/")
    for attempt in (["get", f"/{green['schema']}/", "--prefix"], ["get", "/", "--prefix"], ["put", f"/{green['schema']}/x", "y"],
                    ["put", "/outside", "y"], ["del", f"/{green['schema']}/", "--prefix"], ["user", "list"],
                    ["get", f"/{blue['schema']}/", f"/{blue['schema']}0x"]):
        with pytest.raises(HarnessError, match="permission denied"):
            cluster.etcdctl(*attempt, certificate=tuple(files))
    with pytest.raises(HarnessError):
        cluster.kubectl("get", "ns", "--server", f"https://{pair[1]['status']['controlPlaneEndpoint']}", kubeconfig=cluster.tenant_kubeconfig("blue"))


def test_converged_is_silent(cluster, pair):
    """With nothing changing the operator writes nothing but its own Lease and reads nothing but watch renewals."""
    time.sleep(10)
    assert cluster.operator_noise(SILENCE_SECONDS) == []


def test_delete_and_recreate(cluster, pair):
    cluster.apply(pods_tenant("phoenix"))
    first = cluster.wait_phase("phoenix")
    setup = first["status"]["storage"]["setup"]
    assert keys_below(cluster.etcdctl, f"/{setup['schema']}/") > 0
    cluster.kubectl("delete", "tenantcontrolplane", "phoenix", "--timeout=60s")
    users, roles = users_and_roles(cluster.etcdctl)
    assert setup["user"] not in users and setup["schema"] not in roles
    wait_for("objects and keys gone", lambda: not [
        item for item in cluster.get("secrets,configmaps,services,deployments,pods", "", "default")["items"]
        if item["metadata"]["name"].startswith("phoenix")] and keys_below(cluster.etcdctl, f"/{setup['schema']}/") == 0, 90, pause=1)
    cluster.apply(pods_tenant("phoenix"))
    cluster.wait_phase("phoenix")
    check_complete(cluster, cluster.etcdctl, "default", "phoenix")
    assert cluster.kubectl("get", "ns", "-o", "name", kubeconfig=cluster.tenant_kubeconfig("phoenix")).count("namespace/") >= 4
    cluster.kubectl("delete", "tenantcontrolplane", "phoenix", "--timeout=60s")


def test_operator_killed_during_creation(cluster, pair):
    seed = int(os.environ.get("KAMAJI_TEST_SEED", random.randrange(1 << 30)))
    print(f"\nseed {seed}")
    moments = random.Random(seed)
    for number in range(3):
        name = f"orphan-{number}"
        cluster.apply(pods_tenant(name))
        time.sleep(moments.uniform(0, 2.5))
        pod = cluster.operator_pod()["metadata"]["name"]
        cluster.kubectl("delete", "pod", "-n", NAMESPACE, pod, "--grace-period=0", "--force", "--wait=false")
        cluster.wait_phase(name, seconds=150)
        check_complete(cluster, cluster.etcdctl, "default", name)
        cluster.kubectl("delete", "tenantcontrolplane", name, "--timeout=60s")


def test_admin_api_server_restarted(cluster, pair):
    """Killed as a process; the node's init starts it again, and the operator finds its way back."""
    victims = [pid for pid, words in node_processes() if words[0].endswith("/kube-apiserver") and str(cluster.audit_log) in " ".join(words)]
    assert len(victims) == 1, victims
    before = cluster.operator_pod()["metadata"]["uid"]
    os.kill(victims[0], signal.SIGKILL)
    wait_for("API server back", lambda: cluster.kubectl("get", "--raw=/readyz") == "ok", 60, pause=0.5)
    cluster.apply(pods_tenant("reborn"))
    cluster.wait_phase("reborn")
    assert cluster.operator_pod()["metadata"]["uid"] == before
    cluster.kubectl("delete", "tenantcontrolplane", "reborn", "--timeout=60s")


def node_processes() -> list[tuple[int, list[str]]]:
    found = []
    for path in pathlib.Path("/proc").iterdir():
        try:
            if path.name.isdigit():
                words = path.joinpath("cmdline").read_bytes().decode(errors="replace").split("\0")
                if words[0]:
                    found.append((int(path.name), words))
        except OSError:
            continue
    return found


def test_no_secret_in_any_log(cluster, pair):
    text = cluster.operator_logs()
    assert len(text) > 200
    assert leaks(text, cluster.get("secrets", "", "default")["items"] + cluster.get("secrets", "", NAMESPACE)["items"]) == []


def test_operator_is_confined(cluster, pair):
    spec = cluster.operator_pod()["spec"]
    container = spec["containers"][0]["securityContext"]
    assert {**spec.get("securityContext", {}), **container}["runAsNonRoot"] is True
    assert container["allowPrivilegeEscalation"] is False and container["readOnlyRootFilesystem"] is True
    assert container["capabilities"]["drop"] == ["ALL"]
    assert not [volume for volume in spec.get("volumes", []) if "hostPath" in volume]

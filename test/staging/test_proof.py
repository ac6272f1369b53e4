# SPDX-License-Identifier: Apache-2.0
"""`make proof-staging`: set-up, deploy, verify, teardown on a real cluster. The tests are one story, told in order.

authentik is a STAND-IN here (test/staging/standin/ak): what these tests show about /auth/ is the way there.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import time
import urllib.request

import pytest

from api_server import gateway_definitions
from staging_cluster import INFRA, NAME, StagingCluster, WebSocket

pytestmark = pytest.mark.proof


@pytest.fixture(scope="module")
def cluster():
    root = pathlib.Path("/var/tmp") / f"stg-{os.getpid()}"
    root.mkdir(mode=0o700)
    running = StagingCluster(root)
    yield running
    if (root / "state" / NAME / "made").exists():
        running.script("teardown", "--yes")
    shutil.rmtree(root, ignore_errors=True)


def fetch(url: str) -> tuple[int, dict, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def test_setup(cluster):
    done = cluster.setup()
    assert done.code == 0
    assert "requests 1150m CPU" in done.text
    assert cluster.settings["url"].startswith("http://10."), "the ingress controller has a LoadBalancer address"


def test_setup_again_changes_nothing(cluster):
    before = cluster.get("pods", "ingress")
    done = cluster.setup()
    assert done.code == 0
    assert " 0 brought in" in done.text
    assert [pod["metadata"]["uid"] for pod in cluster.get("pods", "ingress")] == [pod["metadata"]["uid"] for pod in before]
    assert done.seconds < 30


def test_deploy(cluster):
    done = cluster.deploy()
    assert done.code == 0
    assert "STAND-IN" in done.text
    pods = cluster.get("pods")
    assert {pod["metadata"]["labels"]["app.kubernetes.io/name"] for pod in pods} == {
        "postgres", "redis", "authentik-postgres", "authentik-redis", "authentik-server", "authentik-worker"}
    for pod in pods:
        name = pod["metadata"]["name"]
        assert pod["status"]["phase"] == "Running", name
        assert all(status["ready"] and status["restartCount"] == 0 for status in pod["status"]["containerStatuses"]), name


def test_the_stand_in_is_labelled(cluster):
    for pod in cluster.get("pods"):
        authentik = pod["metadata"]["labels"].get("app.kubernetes.io/part-of") == "authentik"
        assert ("staging/stand-in" in pod["metadata"]["labels"]) == authentik
        assert ("standin" in pod["spec"]["containers"][0]["image"]) == authentik
    _, headers, body = fetch(cluster.settings["url"] + "/auth/")
    assert headers["X-Stand-In"] == "authentik" and json.loads(body)["stand-in"] == "authentik"


def test_server_side_apply(cluster):
    """Fields belong to the scripts' manager by Apply; nothing carries kubectl's client-side annotation."""
    for item in cluster.get("deployments,statefulsets,services,persistentvolumeclaims,ingresses,configmaps,secrets"):
        if item["metadata"]["name"] == "kube-root-ca.crt":
            continue
        owners = {(entry["manager"], entry["operation"]) for entry in json.loads(cluster.kubectl(
            "get", item["kind"], item["metadata"]["name"], "-n", INFRA, "-o", "json", "--show-managed-fields"))["metadata"]["managedFields"]}
        assert ("staging", "Apply") in owners, item["metadata"]["name"]
        assert "kubectl.kubernetes.io/last-applied-configuration" not in item["metadata"].get("annotations", {})


def test_deploy_again_changes_nothing(cluster):
    before = cluster.pod_identities()
    done = cluster.deploy()
    assert done.code == 0 and "unchanged" in done.text
    assert cluster.pod_identities() == before


def test_verify(cluster):
    done = cluster.script("verify")
    assert done.code == 0
    for name in ("psql -l", "redis-cli ping", "HTTP through /auth/api/v3/", "WebSocket through /auth/", "DNS name of postgres"):
        assert any("passed" in line and name in line for line in done.text.splitlines()), name


def test_verify_finds_what_is_broken(cluster):
    cluster.kubectl("-n", INFRA, "scale", "deployment/redis", "--replicas=0")
    cluster.kubectl("-n", INFRA, "wait", "--for=delete", "pod", "-l", "app.kubernetes.io/name=redis", "--timeout=60s")
    done = cluster.script("verify")
    assert done.code == 1
    assert any("FAILED" in line and "redis: redis-cli ping" in line for line in done.text.splitlines())
    assert cluster.deploy().code == 0, "deploy mends it"


def test_websocket_frames_pass_the_ingress(cluster):
    connection = WebSocket(cluster.settings["url"] + "/auth/ws/echo/")
    try:
        for text in (b"one", b"x" * 70000):
            assert connection.exchange(text) == text
        time.sleep(5)
        assert connection.exchange(b"after a silence") == b"after a silence"
    finally:
        connection.close()


def test_ingress_says_whom_the_browser_asked(cluster):
    status, _, body = fetch(cluster.settings["url"] + "/auth/api/v3/")
    assert status == 200
    assert json.loads(body)["forwarded-host"] == cluster.settings["url"].removeprefix("http://")


def test_restricted_pods_only(cluster):
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root", "namespace": "staging-core"},
           "spec": {"containers": [{"name": "root", "image": "localhost/staging/redis:7.0-debian"}]}}
    assert 'violates PodSecurity "restricted' in cluster.kubectl("apply", "-f", "-", stdin=json.dumps(pod), check=False)


def test_data_survives_new_pods(cluster):
    done = cluster.script("verify", "--data")
    assert done.code == 0
    assert any("passed" in line and "data survives new pods" in line for line in done.text.splitlines())


def test_media_survives_new_pods(cluster):
    pod = next(pod["metadata"]["name"] for pod in cluster.get("pods") if pod["metadata"]["name"].startswith("authentik-server"))
    starts = cluster.kubectl("-n", INFRA, "exec", pod, "--", "cat", "/data/media/starts").splitlines()
    assert sum(line.startswith("server") for line in starts) >= 2, "the file of the first pod is still there"
    assert any(line.startswith("worker") for line in starts), "the worker writes to the same volume"


def test_worker_works_with_its_database(cluster):
    assert cluster.kubectl("-n", INFRA, "exec", "authentik-postgres-0", "-c", "postgres", "--", "psql", "-U", "postgres", "-d", "authentik", "-tAc",
                           "SELECT tableowner FROM pg_tables WHERE tablename = 'standin_heartbeat'").strip() == "authentik"


def test_data_survives_redeploy(cluster):
    """Workloads away (as with an overlay that is taken out of a shared cluster), claims stay, deploy brings the same data back."""
    cluster.psql("CREATE TABLE kept (text text); INSERT INTO kept VALUES ('here')")
    cluster.redis("set", "kept", "here")
    time.sleep(2)  # appendfsync everysec; a pod that is ended politely would write anyway
    remove = ["--name", "other", "--provider", "none", "--kubeconfig", cluster.settings["kubeconfig"], "--yes"]
    assert cluster.script("teardown", *remove, "--dry-run").code == 0
    assert len(cluster.get("deployments")) == 4, "a dry run removes nothing"
    assert cluster.script("teardown", *remove).code == 0
    cluster.kubectl("-n", INFRA, "wait", "--for=delete", "pods", "--all", "--timeout=90s", check=False)
    assert not cluster.get("deployments,statefulsets,services,ingresses,pods")
    assert len(cluster.get("persistentvolumeclaims")) == 5
    assert cluster.deploy().code == 0
    assert cluster.psql("SELECT text FROM kept") == "here"
    assert cluster.redis("get", "kept") == "here"


def test_volume_outlives_its_claim(cluster):
    claim = next(item for item in cluster.get("persistentvolumeclaims") if item["metadata"]["name"] == "authentik-redis-data")
    cluster.kubectl("-n", INFRA, "scale", "deployment/authentik-redis", "--replicas=0")
    cluster.kubectl("-n", INFRA, "delete", "pvc", "authentik-redis-data", "--timeout=90s")
    volume = json.loads(cluster.kubectl("get", "pv", claim["spec"]["volumeName"], "-o", "json"))
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain" and volume["status"]["phase"] == "Released"
    folder = cluster.root / "env" / NAME / "nodes" / "admin" / volume["spec"].get("hostPath", volume["spec"].get("local"))["path"].lstrip("/")
    assert any(folder.rglob("*.aof")), "the data is on the disk"
    cluster.kubectl("delete", "pv", claim["spec"]["volumeName"])
    assert cluster.deploy().code == 0
    again = next(item for item in cluster.get("persistentvolumeclaims") if item["metadata"]["name"] == "authentik-redis-data")
    assert again["metadata"]["uid"] != claim["metadata"]["uid"] and again["status"]["phase"] == "Bound"


def test_rotation_of_a_database_password(cluster):
    """The procedure of k8s/README.md#rotating-secrets."""
    old = (cluster.root / "secrets" / "postgres-secrets.env").read_text()
    before = cluster.pod_identities()
    assert cluster.script("secrets", "--secrets", str(cluster.root / "secrets"), "--renew", "postgres-secrets").code == 0
    password = (cluster.root / "secrets" / "postgres-secrets.env").read_text().strip().split("=", 1)[1]
    assert password not in old
    cluster.kubectl("-n", INFRA, "exec", "-i", "postgres-0", "-c", "postgres", "--", "psql", "-U", "postgres", "-q",
                    stdin=f"ALTER ROLE postgres PASSWORD '{password}';\n")
    assert cluster.deploy().code == 0
    after = cluster.pod_identities()
    assert after["postgres-0"] != before["postgres-0"], "the pod that reads the Secret is new"
    assert all(after[name] == before[name] for name in after if name != "postgres-0"), "no other pod is"
    assert cluster.script("verify").code == 0


def test_backup_and_restore(cluster):
    """The commands of k8s/README.md#backup-and-restore."""
    backup = cluster.kubectl("-n", INFRA, "exec", "-i", "postgres-0", "-c", "postgres", "--", "pg_dumpall", "-U", "postgres")
    assert "CREATE TABLE public.kept" in backup
    cluster.psql("DROP TABLE kept")
    cluster.kubectl("-n", INFRA, "exec", "-i", "postgres-0", "-c", "postgres", "--", "psql", "-q", "-U", "postgres", stdin=backup)
    assert cluster.psql("SELECT text FROM kept") == "here"
    command = "redis-cli -e --rdb /data/backup.rdb >/dev/null && head -c 5 /data/backup.rdb && rm /data/backup.rdb"
    assert cluster.kubectl("-n", INFRA, "exec", "-i", "deploy/redis", "-c", "redis", "--", "sh", "-c", command) == "REDIS"


def test_gateway_api_instead_of_ingress(cluster):
    """The same path by a Gateway and an HTTPRoute; then back to the Ingress."""
    definitions = gateway_definitions()
    if definitions is None:
        pytest.skip("the CRDs of Gateway API lie in a Go module, and there is no Go toolchain to fetch it")
    cluster.kubectl("apply", "--server-side", "-f", str(definitions))
    assert cluster.setup("--ingress", "traefik-gateway").code == 0
    assert cluster.settings["overlay"] == "local-offline-gateway"
    assert cluster.deploy().code == 0
    cluster.kubectl("-n", INFRA, "delete", "ingress", "authentik")
    cluster.kubectl("-n", INFRA, "wait", "gateway/staging", "--for=condition=Programmed", "--timeout=60s")
    cluster.kubectl("-n", INFRA, "wait", "httproute/authentik", "--for=jsonpath={.status.parents[0].conditions[?(@.type=='Accepted')].status}=True", "--timeout=60s")
    assert cluster.script("verify").code == 0
    cluster.kubectl("-n", INFRA, "delete", "gateway,httproute", "--all")
    assert cluster.setup().code == 0 and cluster.deploy().code == 0
    assert cluster.script("verify").code == 0


def test_time_out_says_why(cluster):
    node = json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"][0]["metadata"]["name"]
    cluster.kubectl("cordon", node)
    try:
        cluster.kubectl("-n", INFRA, "delete", "pods", "-l", "app.kubernetes.io/name=redis")
        done = cluster.deploy("--timeout", "6")
        assert done.code == 4
        assert "redis (0/1)" in done.text and "unschedulable" in done.text
    finally:
        cluster.kubectl("uncordon", node)
    assert cluster.deploy().code == 0


def test_no_secret_is_ever_shown(cluster):
    values = cluster.secret_values()
    assert len(values) == 6
    said = "\n".join(cluster.said)
    running = subprocess.run(["ps", "-eo", "args", "-ww"], capture_output=True, text=True, check=True).stdout
    logs = cluster.kubectl("-n", INFRA, "logs", "--all-containers", "--prefix", "--tail=-1", "-l", "environment!=none")
    for value in values:
        assert value not in said and value not in running and value not in logs


def test_teardown_needs_a_yes(cluster):
    done = cluster.script("teardown")
    assert done.code == 2 and "--yes" in done.text
    assert cluster.get("pods")


def test_cluster_comes_back_with_its_data(cluster):
    cluster.psql("CREATE TABLE came_back (text text); INSERT INTO came_back VALUES ('here')")
    assert cluster.script("teardown", "--keep-data", "--yes").code == 0
    assert cluster.setup().code == 0
    assert cluster.deploy().code == 0
    assert cluster.psql("SELECT text FROM came_back") == "here"


def test_teardown_leaves_nothing(cluster):
    seen = subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout
    assert f"kj-{NAME}" in seen, "what is looked for below exists while the cluster does"
    done = cluster.script("teardown", "--yes")
    assert done.code == 0
    assert not (cluster.root / "state" / NAME).exists() and not (cluster.root / "env" / NAME).exists()
    assert str(cluster.root / "env") not in pathlib.Path("/proc/mounts").read_text()
    running = subprocess.run(["ps", "-eo", "args", "-ww"], capture_output=True, text=True, check=True).stdout
    assert str(cluster.root / "env") not in running
    # By name: an address that is free again may be another environment's a moment later.
    mine = re.compile(rf"\b(kj|kamaji|kamaji-local)-{NAME}\b")
    for what in (["ip", "link"], ["ip", "route"], ["nft", "list", "ruleset"], ["find", "/sys/fs/cgroup", "-type", "d", "-name", "kamaji*"]):
        found = mine.search(subprocess.run(what, capture_output=True, text=True, check=True).stdout)
        assert not found, f"{what}: {found.group(0)}"
    again = cluster.script("teardown", "--yes")
    assert again.code == 0 and "there is no cluster" in again.text

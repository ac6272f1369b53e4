# SPDX-License-Identifier: Apache-2.0
"""Workers of tenants on a real cluster: they join by kubeadm, run pods, are left, killed and taken away; and every way in."""
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import time

import awareness
import leftovers
import probe_image
import pytest
from harness import HarnessError
from local_cluster import whole_life
from manager_process import wait_for
from worker_tools import Tenant, add, give_image, make_tenant, record_of, records, worker

NAME = "wk"
LANDLORD = "landlord-rooms"
ADD_ON_PODS = {"coredns": 2, "kube-proxy": 1}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return probe_image.make(tmp_path_factory.mktemp("image") / "probe.tar")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with whole_life(NAME, tmp_path_factory.mktemp("workers")) as running:
        yield running


@pytest.fixture(scope="module")
def blue(cluster):
    return make_tenant(cluster, "blue", LANDLORD)


@pytest.fixture(scope="module")
def one(cluster, blue, archive):
    """The first worker, with the image that the tests' pods use."""
    start = time.monotonic()
    added = add(cluster, blue, "one")
    print(f"\nworker add: {time.monotonic() - start:.1f} s")
    give_image(cluster, archive, record_of(cluster, blue, "one")[0])
    return added


@pytest.fixture(scope="module")
def probe(blue, one):
    """A pod with a shell."""
    blue.kubectl("run", "probe", f"--image={probe_image.NAME}", "--image-pull-policy=IfNotPresent", "--labels=run=probe")
    blue.wait_pods("run=probe", 1)
    return "probe"


def test_worker_is_ready_with_the_tenants_add_ons(cluster, blue, one):
    node = blue.node("one")
    assert blue.is_ready("one")
    assert node["status"]["nodeInfo"]["kubeletVersion"] == "v1.36.3" == one["version"]
    assert node["spec"]["podCIDR"] == one["pods"]
    assert {"type": "InternalIP", "address": one["address"]} in node["status"]["addresses"]
    # kubeadm itself wrote this annotation's successor: the socket is in the kubelet's own configuration.
    assert (cluster.folder / "nodes" / record_of(cluster, blue, "one")[0] / "var/lib/kubelet/config.yaml").exists()
    for name, count in ADD_ON_PODS.items():
        pods = blue.wait_pods(f"k8s-app={'kube-dns' if name == 'coredns' else name}", count, "kube-system")
        assert all(pod["spec"]["nodeName"] == "one" for pod in pods)
    log = blue.kubectl("logs", "-n", "kube-system", "-l", "k8s-app=kube-proxy", "--tail=-1")
    assert "Sync failed" not in log and "Failed to execute" not in log, log


def test_bootstrap_token_is_gone(blue, one):
    secrets = blue.get("secrets", "-n", "kube-system")["items"]
    assert [s["metadata"]["name"] for s in secrets if s["metadata"]["name"].startswith("bootstrap-token-")] == []


def test_run_logs_exec(blue, probe):
    blue.kubectl("run", "speaker", f"--image={probe_image.NAME}", "--image-pull-policy=IfNotPresent", "--restart=Never", "--", "/bin/sh", "-c",
                 "echo spoken; sleep 1000000")
    blue.wait_pods("run=speaker", 1)
    assert blue.kubectl("logs", "speaker").strip() == "spoken"
    assert blue.execute(probe, "cat", "/proc/sys/kernel/hostname").strip() == "probe"
    with pytest.raises(HarnessError, match="exit"):
        blue.execute(probe, "sh", "-c", "exit 7")
    blue.kubectl("delete", "pod", "speaker", "--grace-period=1")


WEB = [{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}},
                 "template": {"metadata": {"labels": {"app": "web"}},
                              "spec": {"terminationGracePeriodSeconds": 1, "topologySpreadConstraints": [
                                  {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule",
                                   "labelSelector": {"matchLabels": {"app": "web"}}}],
                                  "containers": [{"name": "web", "image": probe_image.NAME, "imagePullPolicy": "IfNotPresent",
                                                  "command": ["/bin/sh", "-c", "mkdir /tmp/www; cat /proc/sys/kernel/hostname > /tmp/www/index.html; "
                                                              "exec busybox httpd -f -p 8080 -h /tmp/www"],
                                                  "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1}}]}}}},
       {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}}]


def serve(who: Tenant) -> list[dict]:
    who.apply(*WEB)
    return who.wait_pods("app=web", 2)


def answers(who: Tenant, pod: str, count: int) -> set[str]:
    """Names of the pods that answered behind the Service, asked by its DNS name."""
    return set(who.execute(pod, "sh", "-c", f"i=0; while [ $i -lt {count} ]; do curl -s --max-time 5 http://web.default.svc.cluster.local/ || exit 9; "
                           "i=$((i+1)); done").split())


def test_pod_resolves_a_service_by_dns(blue, probe):
    pods = serve(blue)
    address = blue.get("service", "web")["spec"]["clusterIP"]
    assert blue.execute(probe, "getent", "hosts", "web").split()[0] == address
    wait_answers(blue, probe, pods)


def wait_answers(who: Tenant, pod: str, pods: list[dict]) -> None:
    """From every one of these: kube-proxy learns of a pod a moment after it is ready."""
    wanted = {one["metadata"]["name"] for one in pods}
    wait_for(f"the Service answers {pod} from all of {wanted}", lambda: answers(who, pod, 30) == wanted, 60, pause=0.5)


ASK_WHO_I_AM = """d=/var/run/secrets/kubernetes.io/serviceaccount
curl -s --max-time 10 --cacert $d/ca.crt -H "Authorization: Bearer $(cat $d/token)" -H 'Content-Type: application/json' \
  -d '{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}' https://kubernetes.default.svc/apis/authentication.k8s.io/v1/selfsubjectreviews"""


def who_the_pod_is(who: Tenant, pod: str) -> str:
    return json.loads(who.execute(pod, "sh", "-c", ASK_WHO_I_AM))["status"]["userInfo"]["username"]


def test_pod_reaches_its_tenants_api(blue, probe):
    """By the `kubernetes` Service, with the certificate checked and the pod's own identity."""
    assert blue.get("service", "kubernetes")["spec"]["clusterIP"] == "10.96.0.1"
    assert who_the_pod_is(blue, probe) == "system:serviceaccount:default:default"


def test_worker_knows_nothing_of_the_admin_cluster(cluster, blue, one, probe):
    """Every file of the node and of its pods' volumes; what may be there is in the table of SECURITY.md."""
    _, record = record_of(cluster, blue, "one")
    words = awareness.Words(cluster.get, blue.namespace, blue.name)
    words.add("address of the admin cluster", str(one["address"]).rsplit(".", 1)[0] + ".2")
    words.add("node name", f"{NAME}-admin")
    for name in ("ca", "front-proxy-ca", "datastore-ca"):
        words.add("certificate of the admin cluster", (cluster.folder / "pki" / f"{name}.crt").read_text().split("\n")[3])
    root = f"/proc/{record['pid']}/root"
    mounts = [line.split()[4] for line in pathlib.Path(f"/proc/{record['pid']}/mountinfo").read_text().splitlines()]
    shown = ["etc", "run/node/log", "var/log", "var/lib/kubelet", *(path.lstrip("/") for path in mounts if re.match("/etc/|/var/lib/kubelet/", path))]
    found = awareness.search_files(words, root, tuple(shown))
    assert pathlib.Path(root, "run/node/node.json").read_bytes() == b"", "what the node is made of is read before it is one"
    assert found.get("worker:/etc/kubernetes/kubelet.conf") == {"own address"}, "the search sees the node"
    assert any("/volumes/" in place for place in found), "and the volumes of its pods"
    assert awareness.not_allowed(found) == []


def test_status_lists_workers(cluster, blue, one):
    nodes = json.loads(cluster.call("status", "-o", "json").stdout)["nodes"]
    found = next(node for node in nodes if node.get("tenant") == blue.reference)
    assert (found["hostname"], found["role"], found["running"], found["address"]) == ("one", "worker", True, one["address"])
    assert [p["name"] for p in found["processes"] if p["state"] == "ready"] == ["containerd", "kubelet"]
    assert "NODE one (worker of landlord-rooms/blue)" in cluster.call("status").stdout


def test_second_add_changes_nothing(cluster, blue, one):
    before = records(cluster)
    assert add(cluster, blue, "one") == {**one, "wasThere": True}
    assert records(cluster) == before


def test_words_that_make_no_sense_are_refused(cluster, blue):
    for arguments, code, text in ((["nobody", "one"], 1, "there is no tenant default/nobody"), ([blue.reference, "No_Name"], 1, "DNS label"),
                                  (["a/b/c", "one"], 1, "NAMESPACE/NAME"), (["blue"], 2, "expected TENANT and NAME"),
                                  ([blue.reference, "x", "--host", "nonsense"], 1, "NAME=ADDRESS")):
        done = worker(cluster, "add", *arguments, check=False)
        assert done.returncode == code and text in done.stderr, done.stderr
    assert [one["name"] for one in records(cluster).values() if one["name"] != "one"] == []


def test_eviction_that_is_not_allowed_is_told_in_time(cluster, blue, one, probe):
    blue.apply({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "probe"},
                "spec": {"minAvailable": 1, "selector": {"matchLabels": {"run": "probe"}}}})
    wait_for("the budget is counted", lambda: blue.get("pdb", "probe")["status"].get("expectedPods") == 1, 30)
    start = time.monotonic()
    done = worker(cluster, "remove", blue.reference, "one", "--timeout", "6s", check=False)
    took = time.monotonic() - start
    blue.kubectl("delete", "pdb", "probe")
    assert done.returncode == 1
    assert "disruption budget" in done.stderr and "probe" in done.stderr and "could not be evicted within 6 s" in done.stderr, done.stderr
    assert took < 25, f"{took:.0f} s"
    assert blue.is_ready("one") and not blue.node("one")["spec"].get("unschedulable"), "the worker goes on as before"


def test_remove_leaves_nothing(cluster, blue):
    """A second worker comes and goes, and the machine is what it was."""
    before, ports = leftovers.picture(), bridge_ports()
    add(cluster, blue, "two")
    identifier, record = record_of(cluster, blue, "two")
    assert is_running(record["pid"])
    during = leftovers.difference(before, leftovers.picture(), (NAME,), str(cluster.root))
    assert any("containerd" in line for line in during) and len(bridge_ports()) == len(ports) + 1, "the pictures see a worker"
    worker(cluster, "remove", blue.reference, "two", "--timeout", "60s")
    assert blue.node("two") is None
    assert not (cluster.folder / "nodes" / identifier).exists() and identifier not in records(cluster)
    assert not is_running(record["pid"])
    left = leftovers.what_stays(before, (NAME,), str(cluster.root))
    # Of the first worker: pods that moved over to it.
    left = [line for line in left if f"/{identifier}" in line or not re.search(r"worker-\d+", line)]
    assert left == [] and bridge_ports() == ports
    assert worker(cluster, "remove", blue.reference, "two").stdout == "There is no worker two of tenant landlord-rooms/blue here.\n"


def is_running(pid: int) -> bool:
    """One that has ended and waits for its parent to take notice does not run."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def bridge_ports() -> list[str]:
    return sorted(os.listdir(f"/sys/class/net/kj-{NAME}/brif"))


# --- slower: proofs ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def green(cluster):
    return make_tenant(cluster, "green")


def end_all(cluster) -> None:
    for one in list(records(cluster).values()):
        worker(cluster, "remove", f"{one['namespace']}/{one['tenant']}", one["name"], "--timeout", "20s", "--force")


@pytest.mark.proof
def test_several_workers_of_several_tenants(cluster, blue, green, archive):
    """Two tenants with the same names of workers and the same ranges of pods, which do not meet."""
    end_all(cluster)
    for who in (blue, green):
        for name in ("east", "west"):
            start = time.monotonic()
            add(cluster, who, name)
            print(f"\n{who.name} {name}: {time.monotonic() - start:.1f} s")
            give_image(cluster, archive, record_of(cluster, who, name)[0])
    assert len({one["pods"] for one in records(cluster).values() if one["tenant"] == "blue"}) == 2
    for who in (blue, green):
        check_two_workers(who)
    # The same names and ranges, other clusters.
    names = [{pod["metadata"]["name"] for pod in who.wait_pods("app=web", 2)} for who in (blue, green)]
    assert not names[0] & names[1]


def check_two_workers(who: Tenant) -> None:
    for node in ("east", "west"):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"probe-{node}", "labels": {"run": "probe"}},
               "spec": {"nodeName": node, "terminationGracePeriodSeconds": 1,
                        "containers": [{"name": "probe", "image": probe_image.NAME, "imagePullPolicy": "IfNotPresent"}]}}
        who.apply(pod)
    who.wait_pods("run=probe", 2)
    who.kubectl("delete", "deployment", "web", "--ignore-not-found")
    who.wait_pods("app=web", 0)
    pods = serve(who)
    assert {pod["spec"]["nodeName"] for pod in pods} == {"east", "west"}, "the web server runs on both"
    for node in ("east", "west"):
        wait_answers(who, f"probe-{node}", pods)
        assert who_the_pod_is(who, f"probe-{node}") == "system:serviceaccount:default:default"
        assert who.kubectl("logs", f"probe-{node}") == ""


@pytest.mark.proof
def test_workers_come_back_after_down_and_up(cluster, blue, green, archive):
    """Needs the test above. The Node objects, certificates and pods are those of before."""
    uids = {(who.name, name): who.node(name)["metadata"]["uid"] for who in (blue, green) for name in ("east", "west")}
    cluster.down()
    assert all("pid" not in one for one in records(cluster).values())
    start = time.monotonic()
    cluster.up()
    print(f"\nup with four workers: {time.monotonic() - start:.1f} s")
    for who in (blue, green):
        assert all(who.is_ready(name) and who.node(name)["metadata"]["uid"] == uids[who.name, name] for name in ("east", "west"))
        who.wait_pods("run=probe", 2)
        pods = who.wait_pods("app=web", 2)
        wait_answers(who, "probe-east", pods)


@pytest.mark.proof
def test_worker_whose_init_was_killed_comes_back_with_up(cluster, blue):
    _, record = record_of(cluster, blue, "east")
    os.kill(record["pid"], signal.SIGKILL)
    status = json.loads(cluster.call("status", "-o", "json").stdout)["nodes"]
    assert [node["running"] for node in status if node.get("tenant") == blue.reference and node["hostname"] == "east"] == [False]
    cluster.up()
    wait_for("node Ready", lambda: blue.is_ready("east"), 60)
    assert record_of(cluster, blue, "east")[1]["pid"] != record["pid"]


@pytest.mark.proof
def test_add_killed_at_random_moments(cluster, blue, archive):
    """SIGKILL for the command, again and again; then one run makes it whole, and nothing is there twice."""
    seed = int(os.environ.get("KAMAJI_TEST_SEED", random.randrange(1 << 30)))
    print(f"\nseed {seed}")
    moments = random.Random(seed)
    command = [*cluster.command("worker")[:3], "add", blue.reference, "mole", "--name", cluster.name, "--state-dir", str(cluster.root)]
    for _ in range(6):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=moments.uniform(0.05, 4.0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if moments.random() < 0.3:
            worker(cluster, "remove", blue.reference, "mole", "--timeout", "20s", "--force")
            assert not [one for one in records(cluster).values() if one["name"] == "mole"] and blue.node("mole") is None
    add(cluster, blue, "mole")
    assert blue.is_ready("mole")
    identifier, _ = record_of(cluster, blue, "mole")
    inits = [line for line in leftovers.processes() if f"nodes/{identifier}/node.json" in line and "node-init" in line]
    assert len(inits) == 1, inits
    give_image(cluster, archive, identifier)
    worker(cluster, "remove", blue.reference, "mole", "--timeout", "30s")
    assert [line for line in leftovers.processes() + leftovers.cgroups() if f"/{identifier}/" in line] == []


@pytest.mark.proof
def test_add_interrupted_says_how_to_go_on(cluster, blue):
    process = subprocess.Popen([*cluster.command("worker")[:3], "add", blue.reference, "hasty", "--name", cluster.name, "--state-dir", str(cluster.root)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_for("the record", lambda: any(one["name"] == "hasty" for one in records(cluster).values()), 30, pause=0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1 and "interrupted. Call it again to continue" in said, said
    worker(cluster, "remove", blue.reference, "hasty", "--timeout", "20s")
    assert blue.node("hasty") is None and not any(one["name"] == "hasty" for one in records(cluster).values())


@pytest.mark.proof
def test_remove_killed_at_random_moments(cluster, blue):
    seed = int(os.environ.get("KAMAJI_TEST_SEED", random.randrange(1 << 30)))
    print(f"\nseed {seed}")
    moments = random.Random(seed)
    command = [*cluster.command("worker")[:3], "remove", blue.reference, "mole", "--name", cluster.name, "--state-dir", str(cluster.root)]
    for _ in range(4):
        add(cluster, blue, "mole")
        identifier, _ = record_of(cluster, blue, "mole")
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=moments.uniform(0.05, 2.0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        worker(cluster, "remove", blue.reference, "mole", "--timeout", "30s")
        assert blue.node("mole") is None and not (cluster.folder / "nodes" / identifier).exists()
        assert [line for line in leftovers.processes() + leftovers.cgroups() if f"/{identifier}/" in line] == []


@pytest.mark.proof
def test_worker_of_a_deleted_tenant_is_taken_away(cluster, archive):
    gone = make_tenant(cluster, "gone")
    add(cluster, gone, "orphan")
    cluster.kubectl("delete", "tenantcontrolplane", "gone", "--timeout=60s")
    assert "stays away" in cluster.call("up").stderr, "`up` says so and goes on"
    worker(cluster, "remove", "gone", "orphan")
    assert not [one for one in records(cluster).values() if one["name"] == "orphan"]


@pytest.mark.proof
def test_up_goes_on_without_a_worker_that_cannot_come(cluster, blue):
    """Last: its tenant's API server is away. The environment and the other workers are up, and the reason is told."""
    add(cluster, blue, "late")
    ill = make_tenant(cluster, "ill")
    add(cluster, ill, "first")
    _, record = record_of(cluster, ill, "first")
    os.kill(record["pid"], signal.SIGKILL)
    cluster.kubectl("patch", "tenantcontrolplane", "ill", "--type=merge", "-p", '{"spec":{"controlPlane":{"deployment":{"replicas":0}}}}')
    cluster.wait_phase("ill", "Sleeping")
    _, record = record_of(cluster, blue, "late")
    os.kill(record["pid"], signal.SIGKILL)
    done = cluster.call("up")
    assert "worker first stays away" in done.stderr and "sleeps" in done.stderr
    assert blue.is_ready("late")
    assert json.loads(cluster.call("status", "-o", "json").stdout)["phase"] == "up"
    refused = worker(cluster, "remove", ill.reference, "first", check=False)
    assert refused.returncode == 1 and "sleeps" in refused.stderr and "--force" in refused.stderr
    worker(cluster, "remove", ill.reference, "first", "--force")
    assert [one["name"] for one in records(cluster).values() if one["tenant"] == "ill"] == []

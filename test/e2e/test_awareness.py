# SPDX-License-Identifier: Apache-2.0
"""A tenant has no awareness of the admin cluster: everything that its API serves is searched for the admin cluster's addresses,
names and credentials. What may be found is the table of SECURITY.md."""
import pathlib
import urllib.error

import awareness
import pytest
from harness import Harness, crds_of_tree, free_ports, tenant
from manager_process import Manager, wait_for
from tenant_process import POD_NAME, TenantProcesses, private_network

NAMESPACE, NAME = "landlord-rooms", "lodger"
# What is no object but may be read with rights on it.
PATHS = ["/version", "/metrics", "/flagz", "/statusz", "/configz", "/healthz?verbose", "/readyz?verbose", "/openid/v1/jwks",
         "/.well-known/openid-configuration", "/debug/pprof/cmdline", "/debug/api_priority_and_fairness/dump_priority_levels"]


@pytest.fixture(scope="module")
def harness(tmp_path_factory):
    with private_network(), Harness(tmp_path_factory.mktemp("admin")).up(crds=crds_of_tree()) as running:
        yield running


@pytest.fixture(scope="module")
def lodger(harness):
    """With every add-on, the write guard, a bootstrap token and its controllers at work; a second tenant beside it."""
    harness.apply(*harness.datastore())
    # As in a cluster: the guard names the operator's Service (which nothing resolves here, so nothing is deleted).
    manager = Manager(harness, flags=[f"--webhook-bind-address=127.0.0.1:{free_ports(1)[0]}"]).start()
    wait_for("DataStore ready", lambda: harness.get("datastore", "default").get("status", {}).get("ready"), 30)
    harness.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    add_ons = {"coreDNS": {}, "kubeProxy": {}, "konnectivity": {"server": {"port": 8132}, "agent": {"mode": "DaemonSet"}}}
    harness.apply(tenant(NAME, NAMESPACE, replicas=1, addons=add_ons, writePermissions={"blockDeletion": True}),
                  tenant("neighbour", "default", replicas=1))
    wait_for("Deployment", lambda: harness.get("deployment", NAME, NAMESPACE), 30)
    running = TenantProcesses(harness, NAME, NAMESPACE).start()
    guard = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/kamaji-write-permissions"
    wait_for("the inside is there", lambda: running.find(guard), 20)
    running.kubectl("create", "secret", "generic", "bootstrap-token-abcdef", "-n", "kube-system", "--type=bootstrap.kubernetes.io/token",
                    "--from-literal=token-id=abcdef", "--from-literal=token-secret=0123456789abcdef", "--from-literal=usage-bootstrap-signing=true",
                    "--from-literal=usage-bootstrap-authentication=true", "--from-literal=auth-extra-groups=system:bootstrappers:kubeadm:default-node-token")
    with running.controllers():
        info = "/api/v1/namespaces/kube-public/configmaps/cluster-info"
        wait_for("cluster-info signed", lambda: "jws-kubeconfig-abcdef" in running.find(info)["data"], 30)
        yield running
    running.stop()
    assert manager.stop() == 0


@pytest.fixture(scope="module")
def words(harness, lodger):
    found = awareness.Words(harness.get, NAMESPACE, NAME)
    # The processes' host name, which in a pod is the pod's name.
    found.add("pod name", POD_NAME)
    found.add("address of the admin API server", f"127.0.0.1:{harness.ports['api']}")
    found.add("certificate of the admin cluster", harness.pki.text("admin-ca.crt").split("\n")[3])
    return found


def test_the_words_are_real(words):
    """A search for nothing finds nothing: what is looked for is what the admin cluster has."""
    kinds = {what for what, _ in words.words}
    assert {"own address", "namespace", "operator namespace", "store user", "store schema", "store address", "address of another Service",
            "pod name", "private key", "certificate of the admin cluster", "webhook authority", "password",
            "address of the admin API server"} <= kinds, kinds
    assert len([1 for what, _ in words.words if what == "private key"]) >= 15


def test_a_planted_word_is_found(words):
    by_kind = dict(words.words)
    key = by_kind["private key"]
    planted = {"x": {"kind": "ConfigMap", "metadata": {"name": "x", "namespace": "y"}, "data": {"a": f"-----\n{key}\n-----"}}}
    assert awareness.search_objects(words, planted) == {"ConfigMap/y/x": {"private key"}}
    assert awareness.not_allowed({"ConfigMap/y/x": {"private key"}}) == ["ConfigMap/y/x: private key"]


def test_objects_know_nothing(words, lodger):
    objects = lodger.everything()
    assert len(objects) > 150 and len({item["kind"] for item in objects.values()}) > 15
    found = awareness.search_objects(words, objects) | answers(words, lodger)
    for place, what in sorted(found.items()):
        print(f"{place}: {', '.join(sorted(what))}")
    assert awareness.not_allowed(found) == []
    assert awareness.unused_rows(found) == []


def answers(words, lodger) -> dict[str, set[str]]:
    found = {}
    for path in PATHS:
        try:
            what = words.found_in(lodger.raw(path).decode(errors="replace").replace("\0", "\n"))
        except urllib.error.HTTPError as error:
            print(f"{path}: {error.code}")
            continue
        if what:
            found[path] = what
    return found


def test_a_workers_files_are_searched(words, tmp_path: pathlib.Path):
    """What the test of a joined worker calls, on files laid out like a worker's."""
    by_kind = dict(words.words)
    (tmp_path / "etc/kubernetes").mkdir(parents=True)
    (tmp_path / "etc/kubernetes/kubelet.conf").write_text(f"server: https://{by_kind['own address']}:6443\n")
    (tmp_path / "var/lib/kubelet").mkdir(parents=True)
    (tmp_path / "var/lib/kubelet/leak").write_text(by_kind["store address"])
    found = awareness.search_files(words, str(tmp_path))
    assert found == {"worker:/etc/kubernetes/kubelet.conf": {"own address"}, "worker:/var/lib/kubelet/leak": {"store address"}}
    assert awareness.not_allowed(found) == ["worker:/var/lib/kubelet/leak: store address"]

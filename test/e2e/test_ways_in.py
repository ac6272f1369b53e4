# SPDX-License-Identifier: Apache-2.0
"""
How people and nodes reach a tenant: LoadBalancer, NodePort, and one address for all with the tenant chosen by SNI. The SNI proxy is
Debian's haproxy. No Ingress or Gateway controller is at work here: this test configures haproxy from the Ingress and the TLSRoute that the
operator made, and reports the route as taken, as such a controller would.
"""
import csv
import io
import ipaddress
import json
import pathlib
import socket
import subprocess

import pytest
from harness import HarnessError
from local_cluster import NAMESPACE, LocalCluster, whole_life
from manager_process import wait_for
from worker_tools import Tenant, add, make_tenant, record_of, worker

pytestmark = pytest.mark.proof
NAME = "ways"
SNI_PORT = 6443
CRDS = pathlib.Path(__file__).resolve().parent.parent / "golden" / "gateway-api.yaml"
INGRESS_HOST, ROUTE_HOST = "inn.example.test", "road.example.test"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with whole_life(NAME, tmp_path_factory.mktemp("ways")) as running:
        # The operator looks for the Gateway API when it starts.
        running.kubectl("apply", "-f", str(CRDS))
        running.kubectl("rollout", "restart", "deployment/kamaji", "-n", NAMESPACE)
        running.kubectl("rollout", "status", "deployment/kamaji", "-n", NAMESPACE, "--timeout=90s")
        yield running


@pytest.fixture(scope="module")
def block(cluster) -> ipaddress.IPv4Network:
    return ipaddress.ip_network(json.loads(cluster.call("status", "-o", "json").stdout)["block"])


class Haproxy:
    """Debian's, as the machine's one door; it sees names and passes bytes."""

    def __init__(self, folder: pathlib.Path, address: str):
        self.folder, self.address, self.process = folder, address, None

    def start(self, ways: dict[str, str]) -> None:
        """ways: host name -> "address:port" behind it."""
        lines = ["global", f"  stats socket {self.folder}/stats mode 600 level admin", "defaults", "  mode tcp", "  timeout connect 5s",
                 "  timeout client 1h", "  timeout server 1h", "frontend door", f"  bind {self.address}:{SNI_PORT}",
                 "  tcp-request inspect-delay 5s", "  tcp-request content accept if { req.ssl_hello_type 1 }"]
        lines += [f"  use_backend {host} if {{ req.ssl_sni -i {host} }}" for host in ways]
        for host, target in ways.items():
            lines += [f"backend {host}", f"  server control-plane {target}"]
        path = self.folder / "haproxy.cfg"
        path.write_text("\n".join(lines) + "\n")
        with open(self.folder / "haproxy.log", "wb") as log:
            self.process = subprocess.Popen(["haproxy", "-db", "-f", str(path)], stdout=log, stderr=log)
        wait_for("haproxy listens", self.listens, 10, pause=0.1)

    def listens(self) -> bool:
        assert self.process.poll() is None, (self.folder / "haproxy.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex((self.address, SNI_PORT)) == 0

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(20)

    def count(self, host: str, column: str) -> int:
        """stot: connections so far; scur: now."""
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(f"{self.folder}/stats")
            control.sendall(b"show stat\n")
            text = b"".join(iter(lambda: control.recv(65536), b"")).decode()
        rows = csv.DictReader(io.StringIO(text.removeprefix("# ")))
        return next(int(row[column]) for row in rows if row["pxname"] == host and row["svname"] == "BACKEND")


def kubelet_server(cluster, who: Tenant, name: str) -> str:
    """Where the kubelet of a worker goes, from the file that kubeadm and the kubelet wrote."""
    identifier, _ = record_of(cluster, who, name)
    text = (cluster.folder / "nodes" / identifier / "kubernetes" / "kubelet.conf").read_text()
    return next(line.split()[1] for line in text.splitlines() if line.strip().startswith("server:"))


def check_worker(cluster, who: Tenant, name: str, server: str, *flags: str) -> None:
    """It joins, its add-ons run, kubectl looks into a pod on it, it goes."""
    add(cluster, who, name, *flags)
    assert kubelet_server(cluster, who, name) == server
    for selector, count in (("k8s-app=kube-proxy", 1), ("k8s-app=kube-dns", 2)):
        who.wait_pods(selector, count, "kube-system")
    pod = who.get("pods", "-n", "kube-system", "-l", "k8s-app=kube-proxy")["items"][0]["metadata"]["name"]
    assert who.kubectl("exec", "-n", "kube-system", pod, "--", "/usr/local/bin/kube-proxy", "--version").strip() == "Kubernetes v1.36.3"
    assert "Caches are synced" in who.kubectl("logs", "-n", "kube-system", pod)


def leave(cluster, who: Tenant, name: str) -> None:
    worker(cluster, "remove", who.reference, name, "--timeout", "30s")
    cluster.kubectl("delete", "tenantcontrolplane", who.name, "--timeout=60s")


def test_load_balancer(cluster, block):
    who = make_tenant(cluster, "balanced")
    endpoint = cluster.get("tenantcontrolplane", "balanced", "default")["status"]["controlPlaneEndpoint"]
    assert ipaddress.ip_address(endpoint.split(":")[0]) in ipaddress.ip_network(f"{block.network_address + 256}/24")
    assert f"https://{endpoint}" in who.kubectl("cluster-info")
    check_worker(cluster, who, "lb", f"https://{endpoint}")
    leave(cluster, who, "lb")


def test_node_port(cluster, block):
    node = str(block.network_address + 2)
    who = make_tenant(cluster, "ported", controlPlane={"deployment": {"replicas": 1}, "service": {"serviceType": "NodePort"}},
                      networkProfile={"address": node, "port": 31443})
    assert cluster.get("service", "ported", "default")["spec"]["ports"][0]["nodePort"] == 31443
    assert f"https://{node}:31443" in who.kubectl("cluster-info")
    check_worker(cluster, who, "np", f"https://{node}:31443")
    leave(cluster, who, "np")


def behind_a_name(cluster, name: str, **way) -> None:
    cluster.apply({"apiVersion": "kamaji.clastix.io/v1alpha1", "kind": "TenantControlPlane", "metadata": {"name": name, "namespace": "default"},
                   "spec": {"dataStore": "default", "kubernetes": {"version": "v1.36.3", "kubelet": {"cgroupfs": "cgroupfs"}},
                            "controlPlane": {"deployment": {"replicas": 1}, "service": {"serviceType": "ClusterIP"}, **way},
                            "networkProfile": {"port": 6443}, "addons": {"coreDNS": {}, "kubeProxy": {}}}})


def take_route(cluster, name: str) -> None:
    """The part of a Gateway controller: it says that it has taken the route."""
    status = {"status": {"parents": [{"controllerName": "example.test/haproxy", "parentRef": {
        "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "door", "namespace": "default"},
        "conditions": [{"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}]}}
    wait_for(f"TLSRoute {name}", lambda: name in cluster.kubectl("get", "tlsroutes", "-o", "name"), 30)
    cluster.kubectl("patch", "tlsroute", name, "--subresource=status", "--type=merge", "-p", json.dumps(status))


def service_target(cluster, name: str, port: int) -> str:
    return f"{cluster.get('service', name, 'default')['spec']['clusterIP']}:{port}"


def ways_of_ingresses(cluster) -> dict[str, str]:
    found = {}
    for item in cluster.get("ingresses", "", "default")["items"]:
        for rule in item["spec"]["rules"]:
            backend = rule["http"]["paths"][0]["backend"]["service"]
            found[rule["host"]] = service_target(cluster, backend["name"], backend["port"]["number"])
    return found


def ways_of_routes(cluster) -> dict[str, str]:
    found = {}
    for item in json.loads(cluster.kubectl("get", "tlsroutes", "-n", "default", "-o", "json"))["items"]:
        backend = item["spec"]["rules"][0]["backendRefs"][0]
        for host in item["spec"]["hostnames"]:
            found[host] = service_target(cluster, backend["name"], backend["port"])
    return found


@pytest.fixture(scope="module")
def door(cluster, block, tmp_path_factory):
    """Two tenants behind one address: one by an Ingress, one by a TLSRoute."""
    address = str(block.network_address + 1)
    behind_a_name(cluster, "inn", ingress={"hostname": f"{INGRESS_HOST}:{SNI_PORT}"})
    cluster.apply({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "door", "namespace": "default"},
                   "spec": {"gatewayClassName": "haproxy", "listeners": [{"name": "tls", "port": SNI_PORT, "protocol": "TLS",
                                                                         "tls": {"mode": "Passthrough"}}]}})
    cluster.kubectl("patch", "gateway", "door", "--subresource=status", "--type=merge", "-p", json.dumps({"status": {"conditions": [
        {"type": "Programmed", "status": "True", "reason": "Programmed", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}))
    # A host name for a route has no port: the tenant's own is meant.
    behind_a_name(cluster, "road", gateway={"hostname": ROUTE_HOST, "parentRefs": [{"name": "door"}]})
    take_route(cluster, "road")
    for name in ("inn", "road"):
        cluster.wait_phase(name)
    wait_for("Ingress", lambda: ways_of_ingresses(cluster), 30)
    proxy = Haproxy(tmp_path_factory.mktemp("haproxy"), address)
    proxy.start(ways_of_ingresses(cluster) | ways_of_routes(cluster))
    yield proxy
    proxy.stop()


@pytest.mark.parametrize(("name", "host"), [("inn", INGRESS_HOST), ("road", ROUTE_HOST)])
def test_sni_pass_through(cluster, door, name, host):
    who = Tenant(cluster, name)
    assert f"https://{host}:{SNI_PORT}" in pathlib.Path(who.config).read_text(), "the tenant's own kubeconfig names the door"
    # The name is not in any DNS here, so kubectl is told where it leads and whom to expect there.
    who.flags = ["--server", f"https://{door.address}:{SNI_PORT}", "--tls-server-name", host]
    who.wait_rights()
    before = door.count(host, "stot")
    assert "kube-system" in who.kubectl("get", "namespaces", "-o", "name")
    assert door.count(host, "stot") > before
    check_worker(cluster, who, f"by-{name}", f"https://{host}:{SNI_PORT}", "--host", f"{host}={door.address}")
    assert door.count(host, "scur") >= 1, "the kubelet's connection goes through the door"


def test_each_name_leads_to_its_own_tenant(cluster, door):
    """The other tenant answers by the other name, with a certificate that this one's kubeconfig does not trust; without a name nobody does."""
    who = Tenant(cluster, "inn")
    for host in (ROUTE_HOST, "nobody.example.test"):
        who.flags = ["--server", f"https://{door.address}:{SNI_PORT}", "--tls-server-name", host, "--request-timeout=8s"]
        with pytest.raises(HarnessError, match="certificate|EOF|reset"):
            who.kubectl("get", "namespaces")


def test_they_go_again(cluster, door):
    for name in ("inn", "road"):
        leave(cluster, Tenant(cluster, name), f"by-{name}")
    assert ways_of_ingresses(cluster) == {} and ways_of_routes(cluster) == {}

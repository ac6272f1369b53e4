# SPDX-License-Identifier: Apache-2.0
"""What the captured inputs do not hold: combinations, the other SQL drivers, TLS to a database, IPv6. Wanted are the texts of the contract."""
import pytest
from captured import base_spec, change, stream

CONTENT = {"content": "a2FtYWpp"}
PAIR = {"certificate": CONTENT, "privateKey": CONTENT}


def sql_store(driver: str, tls: bool, client: bool) -> dict:
    spec = {"driver": driver, "endpoints": ["db.example.com:1234", "db2.example.com:1234"], "basicAuth": {"username": CONTENT, "password": CONTENT}}
    if tls:
        spec["tlsConfig"] = {"certificateAuthority": {"certificate": CONTENT}, **({"clientCertificate": PAIR} if client else {})}
    return {"apiVersion": "kamaji.clastix.io/v1alpha1", "kind": "DataStore", "metadata": {"name": "sql"}, "spec": spec}


@pytest.fixture(scope="module")
def make(render, data_stores):
    def of(changes: dict, *stores: dict, address: str = "") -> dict:
        tenant = {"apiVersion": "kamaji.clastix.io/v1alpha1", "kind": "TenantControlPlane", "spec": change(base_spec(render), changes),
                  "metadata": {"name": "t", "namespace": "n", "uid": "<uid>"}, "status": {"controlPlaneEndpoint": ""}}
        arguments = ["--profile", "upstream", "--describe", "--gateway"] + (["--cluster-ip", address] if address else [])
        return {f"{item['kind']}/{item['metadata']['name']}": item for item in render.run(stream([tenant, *data_stores, *stores]), *arguments)}
    return of


def pod(found: dict) -> dict:
    return found["Deployment/t"]["spec"]["template"]["spec"]


def named(items: list[dict], name: str) -> dict:
    return next(item for item in items if item["name"] == name)


def names(items: list[dict]) -> list[str]:
    return [item["name"] for item in items]


def test_kine_and_konnectivity_side_by_side(make) -> None:
    found = make({"dataStore": "sql", "addons.konnectivity": {}, "controlPlane.deployment.additionalContainers": [{"name": "side", "image": "i"}]},
                 sql_store("PostgreSQL", False, False))
    assert names(pod(found)["containers"]) == ["side", "kube-apiserver", "kube-scheduler", "kube-controller-manager", "kine", "konnectivity-server"]
    volumes = names(pod(found)["volumes"])
    assert volumes[-6:] == ["kine-uds", "kine-config", "kine-certs", "konnectivity-uds", "egress-selector-configuration",
                            "konnectivity-server-kubeconfig"]
    mounts = names(named(pod(found)["containers"], "kube-apiserver")["volumeMounts"])
    assert mounts[-3:] == ["konnectivity-uds", "egress-selector-configuration", "kine-uds"]


@pytest.mark.parametrize("driver, endpoint", [
    ("MySQL", "mysql://$(DB_USER):$(DB_PASSWORD)@tcp($(DB_CONNECTION_STRING))/$(DB_SCHEMA)"),
    ("PostgreSQL", "postgres://$(DB_USER):$(DB_PASSWORD)@$(DB_CONNECTION_STRING)/$(DB_SCHEMA)"),
    ("NATS", "nats://$(DB_USER):$(DB_PASSWORD)@$(DB_CONNECTION_STRING)?bucket=$(DB_SCHEMA)&noEmbed")])
def test_endpoint_of_every_driver(make, driver: str, endpoint: str) -> None:
    found = make({"dataStore": "sql"}, sql_store(driver, False, False))
    assert named(pod(found)["containers"], "kine")["args"] == [f"--endpoint={endpoint}", "--listen-address=unix:///uds/kine"]
    config = found["Secret/t-datastore-config"]["data"]
    assert config["DB_CONNECTION_STRING"] == "db.example.com:1234", "the first endpoint"
    assert config["DB_USER"] == ("kamaji" if driver == "NATS" else "golden_minimal"), "NATS: the DataStore's own"
    assert "initContainers" not in pod(found)


@pytest.mark.parametrize("client", [False, True])
def test_tls_to_a_database(make, client: bool) -> None:
    """Keys are copied with a mode that database clients take; the Secret is the DataStore's, word for word."""
    found = make({"dataStore": "sql"}, sql_store("MySQL", True, client))
    flags = ["--ca-file=/certs/ca.crt"] + (["--cert-file=/certs/server.crt"] if client else [])
    assert named(pod(found)["containers"], "kine")["args"][:len(flags)] == flags
    assert ("--key-file=/certs/server.key" in named(pod(found)["containers"], "kine")["args"]) == client
    (chmod,) = pod(found)["initContainers"]
    assert chmod["name"] == "chmod" and chmod["command"] == ["sh"] and chmod["args"][0] == "-c"
    assert [(mount["name"], mount["mountPath"], mount.get("readOnly", False)) for mount in chmod["volumeMounts"]] == [
        ("kine-config", "/kine", True), ("kine-certs", "/certs", False)]
    assert sorted(found["Secret/t-datastore-certificate"]["data"]) == (["ca.crt", "server.crt", "server.key"] if client else ["ca.crt"])
    assert found["Secret/t-datastore-certificate"]["data"]["ca.crt"] == "kamaji"


def test_a_container_called_kine_is_adopted(make) -> None:
    """It keeps its image and its place; without kine it would be of no use and is left out."""
    own = {"controlPlane.deployment.additionalContainers": [{"name": "kine", "image": "mine/kine:1"}, {"name": "side", "image": "i"}]}
    found = make({"dataStore": "sql", **own}, sql_store("PostgreSQL", False, False))
    containers = pod(found)["containers"]
    assert names(containers)[:3] == ["kine", "side", "kube-apiserver"] and names(containers).count("kine") == 1
    assert containers[0]["image"] == "mine/kine:1" and containers[0]["command"] == ["/bin/kine"]
    assert "kine" not in names(pod(make(own))["containers"])


def test_ports_of_a_node_port_with_konnectivity(make) -> None:
    extra = {"name": "extra", "port": 9000, "targetPort": 9000}
    found = make({"controlPlane.service.serviceType": "NodePort", "networkProfile.address": "192.0.2.9", "networkProfile.port": 30443,
                  "networkProfile.allowAddressAsExternalIP": True, "addons.konnectivity": {"server": {"port": 30132}},
                  "controlPlane.service.additionalPorts": [extra]})
    service = found["Service/t"]["spec"]
    assert [(port["name"], port["port"], port["targetPort"], port.get("nodePort")) for port in service["ports"]] == [
        ("kube-apiserver", 30443, 30443, 30443), ("konnectivity-server", 30132, 30132, 30132), ("extra", 9000, 9000, None)]
    assert service["externalIPs"] == ["192.0.2.9"]


def test_no_node_ports_for_any_port_of_a_load_balancer(make) -> None:
    found = make({"controlPlane.service.serviceType": "LoadBalancer", "networkProfile.address": "192.0.2.9", "addons.konnectivity": {},
                  "controlPlane.service.allocateLoadBalancerNodePorts": False})
    service = found["Service/t"]["spec"]
    assert service["allocateLoadBalancerNodePorts"] is False and not [port for port in service["ports"] if "nodePort" in port]


def test_authorization_by_configuration(make) -> None:
    """kube-apiserver refuses the mode beside a configuration."""
    flag = "--authorization-config=/etc/authorization.yaml"
    arguments = named(pod(make({"controlPlane.deployment.extraArgs": {"apiServer": [flag]}}))["containers"], "kube-apiserver")["args"]
    assert flag in arguments and not [text for text in arguments if text.startswith("--authorization-mode")]


def test_ipv6_alone(make) -> None:
    found = make({"networkProfile": {"port": 6443, "serviceCidrs": ["fd00:96::/112"], "podCidrs": ["fd00:244::/56"]}}, address="fd00:1::9")
    assert found["TenantControlPlane/t"]["status"]["controlPlaneEndpoint"] == "[fd00:1::9]:6443"
    arguments = named(pod(found)["containers"], "kube-apiserver")["args"]
    assert {"--advertise-address=fd00:1::9", "--service-cluster-ip-range=fd00:96::/112"} <= set(arguments)
    assert "--cluster-cidr=fd00:244::/56" in named(pod(found)["containers"], "kube-controller-manager")["args"]
    admin = found["Secret/t-admin-kubeconfig"]["data"]["admin.conf"]["kubeconfig"]
    assert admin["clusters"][0]["cluster"]["server"] == "https://[fd00:1::9]:6443"
    names_of = found["Secret/t-api-server-certificate"]["data"]["apiserver.crt"]["certificate"]["san"]
    assert {"fd00:1::9", "fd00:96::1"} <= set(names_of)


def test_dual_stack_keeps_the_services_family(make) -> None:
    found = make({"networkProfile": {"port": 6443, "serviceCidrs": ["fd00:96::/112", "10.96.0.0/16"], "podCidrs": ["10.244.0.0/16", "fd00:244::/56"]}})
    assert "ipFamilyPolicy" not in found["Service/t"]["spec"] and "ipFamilies" not in found["Service/t"]["spec"]
    arguments = named(pod(found)["containers"], "kube-apiserver")["args"]
    assert "--service-cluster-ip-range=10.96.0.0/16,fd00:96::/112" in arguments
    assert "10.96.0.1" in found["Secret/t-api-server-certificate"]["data"]["apiserver.crt"]["certificate"]["san"]


def test_rendering_does_not_depend_on_what_is_given_twice(make) -> None:
    """The same spec gives the same objects: nothing in a template may differ from pass to pass."""
    first, second = make({"addons.konnectivity": {}}), make({"addons.konnectivity": {}})
    assert first["Deployment/t"] == second["Deployment/t"]

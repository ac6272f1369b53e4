# SPDX-License-Identifier: Apache-2.0
"""Every field of the schema, one at a time: what exactly changes in the admin cluster when it is set. The differences are reviewed in
fields.json; after a wanted change: KAMAJI_GOLDEN_UPDATE=1 pytest test/golden, and review."""
import json
import os

import pytest
from captured import HERE, ROOT, base_spec, change, stream

FILE = HERE / "fields.json"
DEPLOYMENT = "controlPlane.deployment."
LOAD_BALANCER = {"controlPlane.service.serviceType": "LoadBalancer", "networkProfile.address": "192.0.2.9"}
KONNECTIVITY = {"addons.konnectivity": {"server": {"port": 8132}}}
GATEWAY = {"controlPlane.gateway": {"hostname": "t.example.com", "parentRefs": [{"name": "edge"}]}}
INGRESS = {"controlPlane.ingress": {"hostname": "t.example.com"}}
KINE = {"dataStore": "pg"}
PORT = {"name": "extra", "port": 9000, "targetPort": 9001}
CONTAINER = [{"name": "side", "image": "example.org/side:1"}]
CONTEXT = {"runAsNonRoot": True}
RESOURCES = {"limits": {"cpu": "1"}}
MOUNTS = [{"name": "extra", "mountPath": "/extra"}]
VOLUMES = {DEPLOYMENT + "additionalVolumes": [{"name": "extra", "emptyDir": {}}]}
METADATA = {"labels": {"team": "blue"}, "annotations": {"example.com/team": "blue"}}
PARENTS = {"group": "example.com", "kind": "Edge", "name": "other", "namespace": "infra", "port": 8443, "sectionName": "api"}

# field -> value, or (what must be set as well, value)
FIELDS = {
    "dataStore": "default2",
    "dataStoreSchema": "other_schema",
    "dataStoreUsername": "other_user",
    "dataStoreOverrides.resource": [{"resource": "/events", "dataStore": "default2"}],
    "dataStoreOverrides.dataStore": [{"resource": "/leases", "dataStore": "default2"}],
    DEPLOYMENT + "replicas": 3,
    DEPLOYMENT + "registrySettings.registry": "mirror.example.org",
    DEPLOYMENT + "registrySettings.apiServerImage": "api",
    DEPLOYMENT + "registrySettings.controllerManagerImage": "kcm",
    DEPLOYMENT + "registrySettings.schedulerImage": "sched",
    DEPLOYMENT + "registrySettings.tagSuffix": "-fips",
    DEPLOYMENT + "nodeSelector": {"disk": "ssd"},
    DEPLOYMENT + "runtimeClassName": "kata",
    DEPLOYMENT + "strategy": {"type": "Recreate"},
    DEPLOYMENT + "tolerations": [{"key": "tenants", "operator": "Exists"}],
    DEPLOYMENT + "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    DEPLOYMENT + "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
    DEPLOYMENT + "resources.apiServer": RESOURCES,
    DEPLOYMENT + "resources.controllerManager": RESOURCES,
    DEPLOYMENT + "resources.scheduler": RESOURCES,
    DEPLOYMENT + "resources.kine": (KINE, RESOURCES),
    DEPLOYMENT + "extraArgs.apiServer": ["--v=3", "--secure-port=1", "--allow-privileged=false"],
    DEPLOYMENT + "extraArgs.controllerManager": ["--leader-elect=false"],
    DEPLOYMENT + "extraArgs.scheduler": ["--leader-elect=false", "--v=3"],
    DEPLOYMENT + "extraArgs.kine": (KINE, ["--metrics-bind-address=0"]),
    DEPLOYMENT + "additionalMetadata.labels": METADATA["labels"],
    DEPLOYMENT + "additionalMetadata.annotations": METADATA["annotations"],
    DEPLOYMENT + "podAdditionalMetadata.labels": METADATA["labels"],
    DEPLOYMENT + "podAdditionalMetadata.annotations": METADATA["annotations"],
    DEPLOYMENT + "additionalInitContainers": CONTAINER,
    DEPLOYMENT + "additionalContainers": CONTAINER,
    DEPLOYMENT + "additionalVolumes": [{"name": "extra", "emptyDir": {}}],
    DEPLOYMENT + "additionalVolumeMounts.apiServer": (VOLUMES, MOUNTS),
    DEPLOYMENT + "additionalVolumeMounts.controllerManager": (VOLUMES, MOUNTS),
    DEPLOYMENT + "additionalVolumeMounts.scheduler": (VOLUMES, MOUNTS),
    DEPLOYMENT + "serviceAccountName": "tenants",
    DEPLOYMENT + "automountServiceAccountToken": True,
    DEPLOYMENT + "containerSecurityContexts.apiServer": CONTEXT,
    DEPLOYMENT + "containerSecurityContexts.controllerManager": CONTEXT,
    DEPLOYMENT + "containerSecurityContexts.scheduler": CONTEXT,
    DEPLOYMENT + "podSecurityContext": CONTEXT,
    "controlPlane.service.serviceType": ({"networkProfile.address": "192.0.2.9"}, "NodePort"),
    "controlPlane.service.additionalMetadata.labels": METADATA["labels"],
    "controlPlane.service.additionalMetadata.annotations": METADATA["annotations"],
    "controlPlane.service.allocateLoadBalancerNodePorts": (LOAD_BALANCER, False),
    "controlPlane.service.additionalPorts.name": [{**PORT, "name": "other"}],
    "controlPlane.service.additionalPorts.port": (KONNECTIVITY, [{**PORT, "port": 9100}]),
    "controlPlane.service.additionalPorts.targetPort": [{**PORT, "targetPort": "named"}],
    "controlPlane.service.additionalPorts.protocol": [{**PORT, "protocol": "UDP"}],
    "controlPlane.service.additionalPorts.appProtocol": [{**PORT, "appProtocol": "https"}],
    "controlPlane.ingress.hostname": (INGRESS, "other.example.com:443"),
    "controlPlane.ingress.ingressClassName": (INGRESS, "nginx"),
    "controlPlane.ingress.additionalMetadata.labels": (INGRESS, METADATA["labels"]),
    "controlPlane.ingress.additionalMetadata.annotations": (INGRESS, METADATA["annotations"]),
    "controlPlane.gateway.hostname": (GATEWAY, "other.example.com"),
    "controlPlane.gateway.additionalMetadata.labels": (GATEWAY, METADATA["labels"]),
    "controlPlane.gateway.additionalMetadata.annotations": (GATEWAY, METADATA["annotations"]),
    **{f"controlPlane.gateway.parentRefs.{name}": (GATEWAY, [{"name": "edge", name: value}]) for name, value in PARENTS.items()},
    "kubernetes.version": "v1.35.2",
    "kubernetes.kubelet.preferredAddressTypes": ["Hostname", "InternalDNS"],
    "kubernetes.admissionControllers": ["NodeRestriction", "LimitRanger"],
    "networkProfile.port": 7443,
    "networkProfile.address": "192.0.2.9",
    "networkProfile.advertiseAddress": "198.51.100.9",
    "networkProfile.allowAddressAsExternalIP": ({"networkProfile.address": "192.0.2.9"}, True),
    "networkProfile.certSANs": ["a.example.com", "*.b.example.com", "192.0.2.7"],
    "networkProfile.clusterDomain": "tenants.example",
    "networkProfile.loadBalancerClass": (LOAD_BALANCER, "example.com/lb"),
    "networkProfile.loadBalancerSourceRanges": (LOAD_BALANCER, ["192.0.2.0/24"]),
    "networkProfile.serviceCidr": ({"networkProfile.serviceCidrs": "__del__"}, "10.128.0.0/16"),
    "networkProfile.serviceCidrs": ["fd00:96::/112", "10.128.0.0/16"],
    "networkProfile.podCidr": ({"networkProfile.podCidrs": "__del__"}, "10.129.0.0/16"),
    "networkProfile.podCidrs": ["10.129.0.0/16", "fd00:10::/64"],
    "addons.konnectivity.server.port": (KONNECTIVITY, 9132),
    "addons.konnectivity.server.image": (KONNECTIVITY, "mirror.example.org/server"),
    "addons.konnectivity.server.version": (KONNECTIVITY, "v9"),
    "addons.konnectivity.server.resources": (KONNECTIVITY, RESOURCES),
    "addons.konnectivity.server.extraArgs": (KONNECTIVITY, ["--mode=http-connect", "--v=3"]),
    "addons.konnectivity.server.securityContext": (KONNECTIVITY, CONTEXT),
}
# Said to the tenant's own cluster: nothing of the admin cluster's may follow.
INSIDE = {
    "kubernetes.kubelet.cgroupfs": "cgroupfs",
    **{f"kubernetes.kubelet.configurationJSONPatches.{name}": [{"op": "add", "path": "/maxPods", "value": 7, "from": "/a"}]
       for name in ("op", "path", "from", "value")},
    "networkProfile.dnsServiceIPs": ["10.96.0.53"],
    **{f"addons.{name}.{member}": "x" for name in ("coreDNS", "kubeProxy") for member in ("imageRepository", "imageTag")},
    **{f"addons.konnectivity.agent.{name}": (KONNECTIVITY, value) for name, value in {
        "image": "x", "version": "v9", "tolerations": [], "extraArgs": ["--v=1"], "hostNetwork": True, "mode": "Deployment", "replicas": 2}.items()},
    **{f"writePermissions.{name}": True for name in ("blockCreation", "blockUpdate", "blockDeletion")},
}
PROBES = {name: (f"{name}Probe", {"initialDelaySeconds": 0, "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3})
          for name in ("liveness", "readiness", "startup")}
COMPONENTS = {"apiServer": "kube-apiserver", "controllerManager": "kube-controller-manager", "scheduler": "kube-scheduler"}

# Schemas of Kubernetes' own, taken whole.
WHOLE = {"affinity", "tolerations", "topologySpreadConstraints", "additionalInitContainers", "additionalContainers", "additionalVolumes",
         "podSecurityContext", "strategy", "securityContext", "value"}
WHOLE_BELOW = {"resources", "containerSecurityContexts", "additionalVolumeMounts"}


def leaves(schema: dict, path: tuple[str, ...] = ()) -> list[str]:
    node = schema["items"] if schema.get("type") == "array" and "items" in schema else schema
    last, above = (path[-1:] or ("",))[0], (path[-2:-1] or ("",))[0]
    whole = last in WHOLE or above in WHOLE_BELOW or (above, last) == ("server", "resources")
    if whole or not node.get("properties"):
        return [".".join(path)]
    return [leaf for name, member in node["properties"].items() for leaf in leaves(member, (*path, name))]


def flatten(value, path: str, into: dict) -> None:
    """Leaves by path; list items by name or flag where they have one."""
    if isinstance(value, dict) and value:
        for name, member in value.items():
            flatten(member, f"{path}.{name}", into)
    elif isinstance(value, list) and value:
        for number, item in enumerate(value):
            if isinstance(item, dict) and "name" in item:
                flatten({name: member for name, member in item.items() if name != "name"}, f"{path}[{item['name']}]", into)
            elif isinstance(item, str) and item.startswith("--"):
                flag, _, text = item.partition("=")
                into[f"{path}[{flag}]"] = text
            elif path.endswith(".san"):  # sorted by the description
                into[f"{path}[{item}]"] = True
            else:
                flatten(item, f"{path}[{number}]", into)
    else:
        into[path] = value


def rendered(render, data_stores, spec: dict) -> dict:
    tenant = {"apiVersion": "kamaji.clastix.io/v1alpha1", "kind": "TenantControlPlane", "spec": spec,
              "metadata": {"name": "t", "namespace": "n", "uid": "<uid>"}, "status": {"controlPlaneEndpoint": ""}}
    found = {}
    for item in render.run(stream([tenant, *data_stores]), "--profile", "upstream", "--describe", "--gateway"):
        if item["kind"] != "TenantControlPlane":
            for member in ("data", "spec", "metadata", "type"):
                flatten(item.get(member), f"{item['kind']}/{item['metadata']['name']}.{member}", found)
    return found


def short(value):
    """kubeadm's configuration is one long line of JSON."""
    if not (isinstance(value, str) and value.startswith("{")):
        return value
    found: dict = {}
    flatten(json.loads(value), "", found)
    return found


def differences(before: dict, after: dict) -> dict:
    result = {}
    for path in sorted(before.keys() | after.keys()):
        old, new = short(before.get(path)), short(after.get(path))
        if isinstance(old, dict) and isinstance(new, dict):
            for inner in sorted(old.keys() | new.keys()):
                if old.get(inner) != new.get(inner):
                    result[f"{path}:{inner}"] = [old.get(inner), new.get(inner)]
        elif old != new:
            result[path] = [old, new]
    return result


@pytest.fixture(scope="module")
def look(render, data_stores):
    """field, value -> what changes; renderings of what must be set as well are kept."""
    base, kept = base_spec(render), {}

    def of(field: str, given) -> dict:
        besides, value = given if isinstance(given, tuple) else ({}, given)
        spec, key = change(base, besides), json.dumps(besides, sort_keys=True)
        if key not in kept:
            kept[key] = rendered(render, data_stores, spec)
        path, member = field.rsplit(".", 1) if "." in field else (field, "")
        if not (isinstance(value, list) and value and isinstance(value[0], dict) and member in value[0]):
            path = field  # else a member of the items of a list
        return differences(kept[key], rendered(render, data_stores, change(spec, {path: value})))
    return of


def probe_fields() -> list[str]:
    numbers = PROBES["liveness"][1]
    return [f"{DEPLOYMENT}probes.{scope}{probe}.{number}" for scope in ("", *(f"{name}." for name in COMPONENTS)) for probe in PROBES for number in numbers]


def test_every_field_is_here(render) -> None:
    crd = render.parse(ROOT / "manifests/crds/kamaji.clastix.io_tenantcontrolplanes.yaml")[0]
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert sorted(leaves(spec)) == sorted([*FIELDS, *INSIDE, *probe_fields()])


def test_what_each_field_changes(look) -> None:
    found = {field: look(field, given) for field, given in FIELDS.items()}
    nothing = [field for field, changes in found.items() if not changes]
    assert nothing == [], "these shape no object"
    if os.environ.get("KAMAJI_GOLDEN_UPDATE"):
        FILE.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    reviewed = json.loads(FILE.read_text())
    assert sorted(found) == sorted(reviewed)
    for field, changes in found.items():
        assert changes == reviewed[field], field


def test_what_is_said_to_the_tenant_changes_nothing_here(look) -> None:
    for field, given in INSIDE.items():
        assert look(field, given) == {}, field


def test_every_number_of_every_probe(look) -> None:
    """Field by field: built-in, then for all components, then for one."""
    for field in probe_fields():
        scope, (probe, number) = field.removeprefix(f"{DEPLOYMENT}probes.").split(".")[:-2], field.split(".")[-2:]
        name, numbers = PROBES[probe]
        containers = [COMPONENTS[scope[0]]] if scope else list(COMPONENTS.values())
        old = None if number == "initialDelaySeconds" else numbers[number]
        assert look(field, 7) == {f"Deployment/t.spec.template.spec.containers[{container}].{name}.{number}": [old, 7] for container in containers}, field


def test_an_empty_list_of_admission_controllers_is_the_default(look) -> None:
    """A bare --enable-admission-plugins would take the next flag for its value."""
    assert look("kubernetes.admissionControllers", []) == {}

# SPDX-License-Identifier: Apache-2.0
"""Upstream's operator in an environment of `kamaji local --without-operator`, from its program alone: an image, its serving certificate of our
own making in place of cert-manager's, rights, the DataStore, its webhooks. Nothing is fetched."""
from __future__ import annotations

import base64
import json
import pathlib
import urllib.parse

import probe_image
from harness import ROOT, Pki, component, run
from local_cluster import NAMESPACE, LocalCluster

IMAGE = "localhost/kamaji-upstream:bench"
SERVICE_ACCOUNT, CERTIFICATE_SECRET, SERVICE = "kamaji-controller-manager", "kamaji-webhook-server-cert", "kamaji-webhook-service"
SERVING_FOLDER = "/tmp/k8s-webhook-server/serving-certs"
DATASTORE_PORT = 2379
# With upstream's own numbers an API server has 30 s to start: on two cores ten at once are killed for ever.
PATIENT = {"controlPlane": {"service": {"serviceType": "ClusterIP"}, "deployment": {"replicas": 1, "probes": {
    "startup": {"periodSeconds": 1, "failureThreshold": 300}, "readiness": {"periodSeconds": 1}}}}}


def make(kind: str, name: str, version: str = "v1", namespace: str | None = NAMESPACE, **members) -> dict:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **members}


def import_image(cluster: LocalCluster, program: pathlib.Path) -> None:
    content = probe_image.layer({"/kamaji": str(program), **{library: library for library in probe_image.closure(str(program))}},
                                {"etc/passwd": "kamaji:x:65532:65532::/:/kamaji\n"})
    archive = probe_image.make(cluster.folder / "upstream.tar", IMAGE, content)
    run([component("ctr"), "--address", str(cluster.node / "containerd.sock"), "--namespace", "k8s.io", "images", "import", "--local",
         str(archive)])


def serving_certificate(folder: pathlib.Path) -> tuple[dict, str]:
    """The Secret that upstream's chart has cert-manager make, and the authority's bundle for API servers, base64."""
    pki = Pki(folder)
    name = f"{SERVICE}.{NAMESPACE}.svc"
    pki.authority("ca")
    pki.leaf("tls", "ca", f"/CN={name}", f"DNS:{name},DNS:{name}.cluster.local")
    data = {file: pki.base64(file) for file in ("ca.crt", "tls.crt", "tls.key")}
    return make("Secret", CERTIFICATE_SECRET, type="kubernetes.io/tls", data=data), data["ca.crt"]


def datastore(cluster: LocalCluster) -> list[dict]:
    """What `kamaji local up` makes when it brings the operator, too (manifests/local/datastore.yaml)."""
    def data(**files: str) -> dict:
        return {key.replace("_", "."): base64.b64encode((cluster.folder / "pki" / file).read_bytes()).decode() for key, file in files.items()}

    def reference(secret: str, key: str) -> dict:
        return {"secretReference": {"name": secret, "namespace": NAMESPACE, "keyPath": key}}

    server = cluster.kubectl("config", "view", "--raw", "-o", "jsonpath={.clusters[0].cluster.server}")
    authority, root = "local-datastore-ca", "local-datastore-root"
    return [
        make("Secret", authority, data=data(ca_crt="datastore-ca.crt", ca_key="datastore-ca.key")),
        make("Secret", root, type="kubernetes.io/tls", data=data(tls_crt="datastore-root.crt", tls_key="datastore-root.key")),
        make("DataStore", "default", "kamaji.clastix.io/v1alpha1", None, spec={
            "driver": "etcd", "endpoints": [f"{urllib.parse.urlsplit(server).hostname}:{DATASTORE_PORT}"], "tlsConfig": {
                "certificateAuthority": {"certificate": reference(authority, "ca.crt"), "privateKey": reference(authority, "ca.key")},
                "clientCertificate": {"certificate": reference(root, "tls.crt"), "privateKey": reference(root, "tls.key")}}}),
    ]


def present_images() -> list[dict]:
    """Upstream's API servers pull their image always, which needs a registry: pods of tenants take the node's in its place."""
    expression = """Object{spec: Object.spec{containers:
        object.spec.containers.map(c, Object.spec.containers{name: c.name, imagePullPolicy: "IfNotPresent"})}}"""
    policy = make("MutatingAdmissionPolicy", "present-images", "admissionregistration.k8s.io/v1", None, spec={
        "failurePolicy": "Fail", "reinvocationPolicy": "Never",
        "matchConstraints": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}},
                             "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]},
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}]})
    binding = make("MutatingAdmissionPolicyBinding", "present-images", "admissionregistration.k8s.io/v1", None,
                   spec={"policyName": "present-images"})
    return [policy, binding]


def deployment() -> dict:
    """As upstream's chart has it; the rights are wider, which costs an operator nothing."""
    labels = {"app.kubernetes.io/name": "kamaji", "app.kubernetes.io/component": "controller-manager"}

    def field(name: str, path: str) -> dict:
        return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}

    container = {
        "name": "manager", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["/kamaji"],
        "args": ["manager", "--health-probe-bind-address=:8081", "--leader-elect", "--metrics-bind-address=:8080", "--tmp-directory=/tmp/kamaji",
                 "--datastore=default", "--disable-telemetry", "--zap-devel=false"],
        "env": [field("POD_NAMESPACE", "metadata.namespace"), field("SERVICE_ACCOUNT", "spec.serviceAccountName")],
        "ports": [{"name": "webhooks", "containerPort": 9443}, {"name": "metrics", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8081}, "periodSeconds": 2},
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, {"name": "certificate", "mountPath": SERVING_FOLDER, "readOnly": True}]}
    pod = {"serviceAccountName": SERVICE_ACCOUNT, "containers": [container], "securityContext": {
        "runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}}, "volumes": [
        {"name": "tmp", "emptyDir": {"medium": "Memory"}}, {"name": "certificate", "secret": {"secretName": CERTIFICATE_SECRET}}]}
    return make("Deployment", "kamaji", "apps/v1", spec={
        "replicas": 1, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}})


def trust(cluster: LocalCluster, bundle: str) -> None:
    """What cert-manager's injector does."""
    for kind in ("mutatingwebhookconfiguration", "validatingwebhookconfiguration"):
        name = f"kamaji-{kind.removesuffix('webhookconfiguration')}-webhook-configuration"
        count = len(json.loads(cluster.kubectl("get", kind, name, "-o", "json"))["webhooks"])
        patch = [{"op": "add", "path": f"/webhooks/{number}/clientConfig/caBundle", "value": bundle} for number in range(count)]
        cluster.kubectl("patch", kind, name, "--type=json", "-p", json.dumps(patch))
    cluster.kubectl("patch", "crd", "tenantcontrolplanes.kamaji.clastix.io", "--type=json", "-p", json.dumps(
        [{"op": "add", "path": "/spec/conversion/webhook/clientConfig/caBundle", "value": bundle}]))


def install(cluster: LocalCluster, program: pathlib.Path) -> None:
    manifests = ROOT / "manifests"
    import_image(cluster, program)
    cluster.kubectl("apply", "--server-side", "-k", str(manifests / "crds"))
    for file in ("operator/00-namespace.yaml", "operator/10-service-account.yaml"):
        cluster.kubectl("apply", "--server-side", "-f", str(manifests / file))
    cluster.kubectl("wait", "--for=condition=Established", "crd/datastores.kamaji.clastix.io", "crd/tenantcontrolplanes.kamaji.clastix.io")
    certificate, bundle = serving_certificate(cluster.folder / "upstream-pki")
    subject = {"kind": "ServiceAccount", "name": SERVICE_ACCOUNT, "namespace": NAMESPACE}
    administrator = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    # It looks for its DataStore as it starts, and nothing asks its webhooks before they are registered.
    cluster.apply(certificate, *datastore(cluster), *present_images(),
                  make("ClusterRoleBinding", "kamaji-upstream", "rbac.authorization.k8s.io/v1", None, subjects=[subject], roleRef=administrator))
    cluster.apply(deployment())
    cluster.kubectl("rollout", "status", "-n", NAMESPACE, "deployment/kamaji", "--timeout=120s")
    cluster.kubectl("apply", "--server-side", "-f", str(manifests / "operator" / "50-webhooks.yaml"))
    trust(cluster, bundle)

# SPDX-License-Identifier: Apache-2.0
"""What must hold of a tenant, looked at from outside: its objects, its certificates, what its DataStore holds."""
from __future__ import annotations

import base64
import json
import re
import subprocess
import tempfile

SECRETS = ["admin-kubeconfig", "api-server-certificate", "api-server-kubelet-client-certificate", "ca", "controller-manager-kubeconfig",
           "datastore-certificate", "datastore-config", "front-proxy-ca-certificate", "front-proxy-client-certificate", "sa-certificate",
           "scheduler-kubeconfig"]
FINALIZER = "finalizer.kamaji.clastix.io"


def phase(tenant: dict) -> str:
    return tenant.get("status", {}).get("kubernetesResources", {}).get("version", {}).get("status", "")


def settled(tenant: dict, wanted: str = "Sleeping") -> bool:
    status = tenant.get("status", {})
    return (phase(tenant) == wanted and status.get("observedGeneration") == tenant["metadata"]["generation"]
            and FINALIZER in tenant["metadata"].get("finalizers", []))


def describe(tenant: dict) -> str:
    status = tenant.get("status", {})
    conditions = [f"{c['type']}={c['status']} {c.get('reason', '')}: {c.get('message', '')}" for c in status.get("conditions", [])]
    return f"phase {phase(tenant)!r}, observed {status.get('observedGeneration')} of {tenant['metadata']['generation']}; " + "; ".join(conditions)


def owned(cluster, namespace: str, name: str) -> dict:
    """kind/name -> object, of everything in the namespace that the tenant owns."""
    uid = cluster.get("tenantcontrolplane", name, namespace)["metadata"]["uid"]
    found = {}
    for item in cluster.get("secrets,configmaps,services,deployments,ingresses", "", namespace)["items"]:
        if any(owner["uid"] == uid for owner in item["metadata"].get("ownerReferences", [])):
            found[f"{item['kind']}/{item['metadata']['name']}"] = item
    return found


def expected_objects(name: str) -> set[str]:
    return {f"Service/{name}", f"Deployment/{name}", f"ConfigMap/{name}-kubeadmconfig"} | {f"Secret/{name}-{part}" for part in SECRETS}


def secret_value(objects: dict, secret: str, key: str) -> bytes:
    return base64.b64decode(objects[f"Secret/{secret}"]["data"][key])


def openssl(*arguments: str, stdin: bytes | None = None) -> str:
    done = subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, f"openssl {' '.join(arguments)}: {done.stderr.decode()}"
    return done.stdout.decode()


def verify(authority: bytes, certificate: bytes) -> None:
    with tempfile.NamedTemporaryFile() as trusted, tempfile.NamedTemporaryFile() as leaf:
        trusted.write(authority)
        trusted.flush()
        leaf.write(certificate)
        leaf.flush()
        openssl("verify", "-CAfile", trusted.name, leaf.name)


def check_certificates(objects: dict, name: str) -> None:
    """Every leaf comes from the one CA that the tenant has, and every kubeconfig trusts that CA."""
    authority = secret_value(objects, f"{name}-ca", "ca.crt")
    front = secret_value(objects, f"{name}-front-proxy-ca-certificate", "front-proxy-ca.crt")
    verify(authority, secret_value(objects, f"{name}-api-server-certificate", "apiserver.crt"))
    verify(authority, secret_value(objects, f"{name}-api-server-kubelet-client-certificate", "apiserver-kubelet-client.crt"))
    verify(front, secret_value(objects, f"{name}-front-proxy-client-certificate", "front-proxy-client.crt"))
    for secret, keys in (("admin-kubeconfig", ["admin.conf", "super-admin.conf"]), ("controller-manager-kubeconfig", ["controller-manager.conf"]),
                         ("scheduler-kubeconfig", ["scheduler.conf"])):
        for key in keys:
            text = secret_value(objects, f"{name}-{secret}", key).decode()
            assert base64.b64encode(authority).decode() in text, f"{secret}/{key} trusts another CA"
    public = openssl("pkey", "-pubout", stdin=secret_value(objects, f"{name}-sa-certificate", "sa.key"))
    assert public.strip() == secret_value(objects, f"{name}-sa-certificate", "sa.pub").decode().strip()


def check_store(etcdctl, tenant: dict) -> None:
    """One user with one role, and the role reaches the tenant's prefix and nothing else."""
    setup = tenant["status"]["storage"]["setup"]
    user = json.loads(etcdctl("user", "get", setup["user"], "-w", "json"))
    assert user["roles"] == [setup["schema"]], user
    role = json.loads(etcdctl("role", "get", setup["schema"], "-w", "json"))
    ranges = {(base64.b64decode(p["key"]).decode(), base64.b64decode(p["range_end"]).decode()) for p in role["perm"]}
    assert ranges == {(f"/{setup['schema']}/", f"/{setup['schema']}0")}, ranges
    assert all(p.get("permType") == 2 for p in role["perm"]), "read and write"


def check_complete(cluster, etcdctl, namespace: str, name: str) -> dict:
    tenant = cluster.get("tenantcontrolplane", name, namespace)
    objects = owned(cluster, namespace, name)
    missing, extra = expected_objects(name) - set(objects), set(objects) - expected_objects(name)
    assert not missing and not extra, f"missing {sorted(missing)}, too many {sorted(extra)}"
    check_certificates(objects, name)
    check_store(etcdctl, tenant)
    return objects


def users_and_roles(etcdctl) -> tuple[set[str], set[str]]:
    return set(etcdctl("user", "list").split()), set(etcdctl("role", "list").split())


def keys_below(etcdctl, prefix: str) -> int:
    return int(re.search(r'"Count" : (\d+)', etcdctl("get", prefix, "--prefix", "--count-only", "-w", "fields")).group(1))


# Members of Secrets that are names, not secrets.
PUBLIC_KEYS = {"DB_SCHEMA", "DB_USER"}


def leaks(text: str, secrets: list) -> list[str]:
    """Names of the members of these Secrets whose value stands in the text, in whole or, for a key, a line of it."""
    found = ["a PEM marker"] if "PRIVATE KEY" in text or "BEGIN CERT" in text else []
    for item in secrets:
        for key, value in item.get("data", {}).items():
            plain = base64.b64decode(value).decode(errors="replace")
            forms = [value, plain, json.dumps(plain)[1:-1]]
            forms += [line for line in plain.split("\n") if len(line) >= 40 and "PRIVATE KEY" in plain]
            if key not in PUBLIC_KEYS and any(len(form) >= 12 and form in text for form in forms):
                found.append(f"{item['metadata']['namespace']}/{item['metadata']['name']}/{key}")
    return found

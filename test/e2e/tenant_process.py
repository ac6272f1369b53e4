# SPDX-License-Identifier: Apache-2.0
"""A tenant's control plane as processes beside the harness, for what needs a served tenant but no node: started from the
Deployment that the operator made, with the files of its volumes and the arguments of its containers. The pod is then
reported ready, as a kubelet would."""
from __future__ import annotations

import base64
import contextlib
import ctypes
import json
import os
import ssl
import urllib.request

from api_client import ApiClient, ApiError
from harness import AUDIT_POLICY, Harness, component, run
from manager_process import wait_for

CLONE_NEWNET, CLONE_NEWUTS = 0x40000000, 0x04000000
POD_NAME = "control-plane-7d4b9c-x2x4z"
SERVICE_NETWORK = "10.96.0.0/16"


@contextlib.contextmanager
def private_network():
    """A network namespace in which every Service address of the admin cluster is this machine, and a host name as a pod has one:
    for this thread and what it starts."""
    libc = ctypes.CDLL(None, use_errno=True)

    def check(result: int) -> None:
        if result != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    with open("/proc/thread-self/ns/net") as network, open("/proc/thread-self/ns/uts") as host:
        check(libc.unshare(CLONE_NEWNET | CLONE_NEWUTS))
        try:
            check(libc.sethostname(POD_NAME.encode(), len(POD_NAME)))
            run(["ip", "link", "set", "lo", "up"])
            run(["ip", "route", "add", "local", SERVICE_NETWORK, "dev", "lo"])
            yield
        finally:
            check(libc.setns(network.fileno(), CLONE_NEWNET))
            check(libc.setns(host.fileno(), CLONE_NEWUTS))


class TenantProcesses:
    """One served tenant. `api` asks as its administrator, `folder` holds kubeconfig, logs of requests and the containers' files."""

    def __init__(self, harness: Harness, name: str, namespace: str = "default"):
        self.harness, self.name, self.namespace = harness, name, namespace
        self.folder = harness.folder / f"tenant-{namespace}-{name}"
        self.folder.mkdir(mode=0o700)
        self.audit_log = self.folder / "audit.log"
        self.started: list[str] = []
        self._api: ApiClient | None = None

    # --- life cycle -------------------------------------------------------------------------------------------------

    def start(self) -> "TenantProcesses":
        deployment = wait_for("the tenant's Deployment", lambda: self.harness.get("deployment", self.name, self.namespace), 30)
        self.address = self.harness.get("service", self.name, self.namespace)["spec"]["clusterIP"]
        spec = deployment["spec"]["template"]["spec"]
        self._write_volumes(spec)
        policy = self.folder / "audit-policy.yaml"
        policy.write_text(AUDIT_POLICY)
        self._start_container(spec, "kube-apiserver", [
            f"--bind-address={self.address}", f"--audit-policy-file={policy}", f"--audit-log-path={self.audit_log}",
            "--audit-log-mode=blocking"])
        self._write_kubeconfigs()
        self.harness.wait("tenant's API server ready", self._process("kube-apiserver"), lambda: self.raw("/readyz") == b"ok")
        self.report_ready()
        return self

    def stop(self) -> None:
        for name in reversed(self.started):
            self.harness.stop(name)

    @contextlib.contextmanager
    def controllers(self):
        """With the tenant's kube-controller-manager: garbage collection, bootstrap signer, service accounts."""
        spec = self.harness.get("deployment", self.name, self.namespace)["spec"]["template"]["spec"]
        # Its kubeconfig names 127.0.0.1, which it shares with the API server in a pod.
        self._start_container(spec, "kube-controller-manager", [f"--bind-address={self.address}", f"--master=https://{self.address}:6443"])
        leading = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-controller-manager"
        wait_for("the tenant's controllers", lambda: (self.find(leading) or {}).get("spec", {}).get("holderIdentity"), 30)
        try:
            yield
        finally:
            self.harness.stop(self.started.pop())

    def _process(self, container: str) -> str:
        return f"{self.namespace}-{self.name}-{container}"

    def _start_container(self, spec: dict, name: str, more: list[str]) -> None:
        container = next(item for item in spec["containers"] if item["name"] == name)
        mounts = sorted(container.get("volumeMounts", []), key=lambda mount: -len(mount["mountPath"]))

        def inside(argument: str) -> str:
            flag, equals, value = argument.partition("=")
            for mount in mounts:
                if value == mount["mountPath"] or value.startswith(mount["mountPath"] + "/"):
                    return f"{flag}{equals}{self.folder}/volumes/{mount['name']}{value[len(mount['mountPath']):]}"
            return argument

        # No tunnel runs beside: the agent is looked at as an object.
        arguments = [inside(item) for item in container["args"] if not item.startswith("--egress-selector-config-file=")]
        self.harness.start(self._process(name), [component(name), *arguments, *more])
        self.started.append(self._process(name))

    def _write_volumes(self, spec: dict) -> None:
        for volume in spec["volumes"]:
            root = self.folder / "volumes" / volume["name"]
            sources = volume.get("projected", {}).get("sources", [])
            if "secret" in volume:
                sources = [{"secret": {"name": volume["secret"]["secretName"], "items": volume["secret"].get("items")}}]
            for source in sources:
                data = self.harness.get("secret", source["secret"]["name"], self.namespace)["data"]
                for item in source["secret"].get("items") or [{"key": key, "path": key} for key in data]:
                    path = root / item["path"]
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.touch(mode=0o600)
                    path.write_bytes(base64.b64decode(data[item["key"]]))

    def _write_kubeconfigs(self) -> None:
        secret = self.harness.get("secret", f"{self.name}-admin-kubeconfig", self.namespace)["data"]
        for item in ("admin.conf", "super-admin.conf"):
            path = self.folder / item
            path.touch(mode=0o600)
            path.write_bytes(base64.b64decode(secret[item]))

    def report_ready(self) -> None:
        """What a kubelet does for the pods of the Deployment."""
        def reported() -> bool:
            for pod in self.harness.get("pods", "", self.namespace)["items"]:
                if pod["metadata"].get("labels", {}).get("kamaji.clastix.io/name") == self.name and not pod["status"].get("conditions"):
                    self.harness.api.call("PATCH", ApiClient.path("pod", pod["metadata"]["name"], self.namespace) + "/status",
                                          {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}},
                                          "application/merge-patch+json")
            status = self.harness.get("deployment", self.name, self.namespace).get("status", {})
            return status.get("readyReplicas", 0) > 0

        wait_for("a ready replica", reported, 30)

    # --- use --------------------------------------------------------------------------------------------------------

    @property
    def kubeconfig(self) -> str:
        """The operator and these tests ask as the same member of system:masters; the audit log tells them apart by user agent."""
        return str(self.folder / "super-admin.conf")

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return run([component("kubectl"), "--kubeconfig", self.kubeconfig, *arguments], input=stdin)

    def raw(self, path: str) -> bytes:
        """Without a client library: answers that are no JSON too."""
        view = json.loads(run([component("kubectl"), "--kubeconfig", self.kubeconfig, "config", "view", "--raw", "-o", "json"]))
        context = ssl.create_default_context(cadata=base64.b64decode(view["clusters"][0]["cluster"]["certificate-authority-data"]).decode())
        pair = self.folder / "client.pem"
        pair.touch(mode=0o600)
        pair.write_bytes(b"\n".join(base64.b64decode(view["users"][0]["user"][item])
                                    for item in ("client-certificate-data", "client-key-data")))
        context.load_cert_chain(pair)
        with urllib.request.urlopen(view["clusters"][0]["cluster"]["server"] + path, context=context, timeout=5) as reply:
            return reply.read()

    @property
    def api(self) -> ApiClient:
        if self._api is None:
            self._api = ApiClient(component("kubectl"), self.kubeconfig)
        return self._api

    def call(self, method: str, path: str, body: dict | None = None) -> dict:
        return self.api.call(method, path, body, "application/merge-patch+json" if method == "PATCH" else "application/json")

    def find(self, path: str) -> dict | None:
        try:
            return self.call("GET", path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def everything(self) -> dict[str, dict]:
        """Path -> object, of all that the tenant's API serves in lists, whatever the group; the stored version of each once."""
        found: dict[str, dict] = {}
        for prefix, resource in self.resources():
            listed = self.call("GET", f"{prefix}/{resource['name']}")
            for item in listed.get("items") or []:
                metadata = item["metadata"]
                place = f"/namespaces/{metadata['namespace']}" if resource["namespaced"] else ""
                found[f"{prefix}{place}/{resource['name']}/{metadata['name']}"] = {
                    "kind": listed["kind"].removesuffix("List"), "apiVersion": listed["apiVersion"], **item}
        return found

    def resources(self) -> list[tuple[str, dict]]:
        groups = ["/api/v1"] + [f"/apis/{group['preferredVersion']['groupVersion']}" for group in self.call("GET", "/apis")["groups"]]
        return [(prefix, resource) for prefix in groups for resource in self.call("GET", prefix)["resources"]
                if "list" in resource["verbs"] and "/" not in resource["name"]]

    def requests(self, offset: int = 0) -> list[dict]:
        """Audit events of the operator's requests from that byte of the log on."""
        with open(self.audit_log) as stream:
            stream.seek(offset)
            events = [json.loads(line) for line in stream if line.endswith("}\n")]
        return [event for event in events if event.get("userAgent", "").startswith("kamaji/")]

    def log_offset(self) -> int:
        return self.audit_log.stat().st_size


# SPDX-License-Identifier: Apache-2.0
"""A small REST client for tests that look often: starting kubectl for every look would load the machine that is measured."""
from __future__ import annotations

import base64
import http.client
import json
import os
import ssl
import subprocess
import tempfile
import threading
import urllib.parse

KAMAJI = "/apis/kamaji.clastix.io/v1alpha1"
# kind -> (prefix, plural, namespaced)
KINDS = {
    "namespace": ("/api/v1", "namespaces", False), "node": ("/api/v1", "nodes", False), "secret": ("/api/v1", "secrets", True),
    "configmap": ("/api/v1", "configmaps", True), "service": ("/api/v1", "services", True), "pod": ("/api/v1", "pods", True),
    "event": ("/api/v1", "events", True), "deployment": ("/apis/apps/v1", "deployments", True),
    "ingress": ("/apis/networking.k8s.io/v1", "ingresses", True), "tenantcontrolplane": (KAMAJI, "tenantcontrolplanes", True),
    "datastore": (KAMAJI, "datastores", False),
}
KINDS |= {plural: entry for entry in list(KINDS.values()) for plural in [entry[1]]}


class ApiError(OSError):
    def __init__(self, status: int, text: str):
        super().__init__(f"{status}: {text}")
        self.status = status


class ApiClient:
    """Any thread; a connection for each."""

    def __init__(self, kubectl: str, kubeconfig: str, timeout: float = 15):
        self.timeout = timeout
        view = json.loads(subprocess.run([kubectl, "--kubeconfig", kubeconfig, "config", "view", "--raw", "--minify", "-o", "json"],
                                         capture_output=True, check=True).stdout)
        cluster, user = view["clusters"][0]["cluster"], view["users"][0]["user"]
        self.host = urllib.parse.urlsplit(cluster["server"]).netloc
        self.tls = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        pair = [base64.b64decode(user[name]) for name in ("client-certificate-data", "client-key-data")]
        with tempfile.NamedTemporaryFile() as file:
            os.chmod(file.name, 0o600)
            file.write(b"\n".join(pair))
            file.flush()
            self.tls.load_cert_chain(file.name)
        self.local = threading.local()

    def call(self, method: str, path: str, body: dict | None = None, content_type: str = "application/json") -> dict:
        for attempt in (1, 2):
            connection = getattr(self.local, "connection", None)
            if connection is None:
                connection = self.local.connection = http.client.HTTPSConnection(self.host, context=self.tls, timeout=self.timeout)
            try:
                connection.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": content_type})
                reply = connection.getresponse()
                text = reply.read()
                break
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self.local.connection = None
                # An idle connection that was closed meanwhile is no news; anything but a read is not repeated.
                if attempt == 2 or method != "GET":
                    raise ApiError(0, f"{method} {path}: {error}") from error
        if reply.status >= 300:
            raise ApiError(reply.status, json.loads(text).get("message", "") if text.startswith(b"{") else text.decode(errors="replace")[:200])
        return json.loads(text)

    @staticmethod
    def path(kind: str, name: str = "", namespace: str = "") -> str:
        prefix, plural, namespaced = KINDS[kind]
        return prefix + (f"/namespaces/{namespace}" if namespaced and namespace else "") + f"/{plural}" + (f"/{name}" if name else "")

    def get(self, kind: str, name: str = "", namespace: str = "") -> dict:
        """One object, or a List; several kinds with commas, as kubectl takes them. Items carry their kind. namespace "" lists all."""
        if name:
            return self.call("GET", self.path(kind, name, namespace))
        items = []
        for each in kind.split(","):
            found = self.call("GET", self.path(each, "", namespace))
            items += [{"kind": found["kind"].removesuffix("List"), "apiVersion": found["apiVersion"], **item} for item in found["items"]]
        return {"kind": "List", "items": items}

    def create(self, item: dict) -> dict:
        metadata = item["metadata"]
        return self.call("POST", self.path(item["kind"].lower(), "", metadata.get("namespace", "")) + "?fieldManager=observer", item)

    def delete(self, kind: str, name: str, namespace: str = "") -> None:
        self.call("DELETE", self.path(kind, name, namespace))

# SPDX-License-Identifier: Apache-2.0
"""A real environment of `kamaji local`: node, kubelet, containerd, pods."""
from __future__ import annotations

import base64
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import time

import leftovers
from api_client import ApiClient
from harness import HarnessError, component, run, store_kind, tail
from manager_process import binary, wait_for

UP_SECONDS = 300
NAMESPACE = "kamaji-system"


class LocalCluster:
    def __init__(self, name: str, root: pathlib.Path):
        self.name, self.root = name, root
        self._api: ApiClient | None = None

    # --- the command ------------------------------------------------------------------------------------------------

    def command(self, action: str, *flags: str) -> list[str]:
        if action == "up":
            flags = (f"--datastore={store_kind()}", *flags)
        return [binary(), "local", action, "--name", self.name, "--state-dir", str(self.root), *flags]

    def call(self, action: str, *flags: str, seconds: float = UP_SECONDS, check: bool = True) -> subprocess.CompletedProcess:
        done = subprocess.run(self.command(action, *flags), capture_output=True, text=True, timeout=seconds, check=False)
        if check and done.returncode:
            raise HarnessError(f"kamaji local {action}: exit {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done

    def up(self, *flags: str, seconds: float = UP_SECONDS) -> float:
        start = time.monotonic()
        self.call("up", "--audit", *flags, seconds=seconds)
        return time.monotonic() - start

    def down(self, *flags: str) -> None:
        self.call("down", *flags)

    def status(self) -> dict:
        return json.loads(self.call("status", "-o", "json").stdout)

    # --- inside -----------------------------------------------------------------------------------------------------

    @property
    def folder(self) -> pathlib.Path:
        return self.root / self.name

    @property
    def node(self) -> pathlib.Path:
        return self.folder / "nodes" / "admin"

    @property
    def audit_log(self) -> pathlib.Path:
        return self.node / "log" / "audit.log"

    def kubectl(self, *arguments: str, stdin: str | None = None, kubeconfig: str | None = None) -> str:
        return run([component("kubectl"), "--kubeconfig", kubeconfig or str(self.folder / "kubeconfig"), *arguments], input=stdin)

    def apply(self, *objects: dict) -> None:
        self.kubectl("apply", "--server-side", "--field-manager=observer", "-f", "-",
                     stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))

    @property
    def api(self) -> ApiClient:
        if self._api is None:
            self._api = ApiClient(component("kubectl"), str(self.folder / "kubeconfig"))
        return self._api

    def get(self, kind: str, name: str = "", namespace: str = "") -> dict:
        return self.api.get(kind, name, namespace)

    @property
    def store_endpoint(self) -> str:
        return "https://" + self.get("datastore", "default")["spec"]["endpoints"][0]

    def etcdctl(self, *arguments: str, certificate: tuple[str, str, str] | None = None) -> str:
        pki = self.folder / "pki"
        authority, crt, key = certificate or (str(pki / "datastore-ca.crt"), str(pki / "datastore-root.crt"), str(pki / "datastore-root.key"))
        return run([component("etcdctl"), f"--endpoints={self.store_endpoint}", f"--cacert={authority}", f"--cert={crt}", f"--key={key}",
                    "--command-timeout=5s", *arguments])

    def operator_pod(self) -> dict:
        items = [item for item in self.get("pods", "", NAMESPACE)["items"]
                 if any("kamaji" in c["image"] for c in item["spec"]["containers"]) and "deletionTimestamp" not in item["metadata"]]
        if not items:
            raise HarnessError("no operator pod")
        return items[0]

    def operator_logs(self) -> str:
        """Of every container that ran as operator, ended ones included."""
        logs = self.node / "var" / "log" / "pods"
        found = [path.read_text(errors="replace") for path in sorted(logs.glob(f"{NAMESPACE}_*/*/*.log"))] if logs.is_dir() else []
        return "\n".join(found) or self.kubectl("logs", "-n", NAMESPACE, self.operator_pod()["metadata"]["name"])

    def operator_noise(self, seconds: float) -> list[str]:
        """What the operator asked of the API server in that time beyond watching and holding its Lease. Converged means nothing."""
        with open(self.audit_log) as stream:
            stream.seek(0, os.SEEK_END)
            time.sleep(seconds)
            lines = stream.readlines()
            if os.stat(self.audit_log).st_ino != os.fstat(stream.fileno()).st_ino:  # a new file was begun meanwhile
                lines += self.audit_log.read_text().splitlines(keepends=True)
        events = [json.loads(line) for line in lines if line.endswith("}\n")]
        own = [event for event in events if event["user"]["username"].startswith(f"system:serviceaccount:{NAMESPACE}:")]
        if not any("/leases/" in event["requestURI"] for event in own):
            raise HarnessError("the audit log does not show the operator")
        return [f"{event['verb']} {event['requestURI']}" for event in own if event["verb"] != "watch" and "/leases/" not in event["requestURI"]]

    def tenant_kubeconfig(self, name: str, namespace: str = "default") -> str:
        secret = self.get("secret", f"{name}-admin-kubeconfig", namespace)
        path = self.folder / f"{namespace}-{name}.kubeconfig"
        path.write_bytes(base64.b64decode(secret["data"]["admin.conf"]))
        path.chmod(0o600)
        return str(path)

    def wait_phase(self, name: str, wanted: str = "Ready", namespace: str = "default", seconds: float = 120) -> dict:
        def look():
            item = self.get("tenantcontrolplane", name, namespace)
            return item if item.get("status", {}).get("kubernetesResources", {}).get("version", {}).get("status") == wanted else None

        try:
            return wait_for(f"tenant {name} {wanted}", look, seconds, pause=0.1)
        except HarnessError as error:
            raise AssertionError(f"{error}\n{self.why(name, namespace)}") from None

    def why(self, name: str, namespace: str = "default") -> str:
        """What a person would look at when a tenant does not come up."""
        parts = []
        for arguments in (["get", "tenantcontrolplane,pods,events", "-n", namespace], ["describe", "tenantcontrolplane", name, "-n", namespace]):
            try:
                parts.append(self.kubectl(*arguments)[-2500:])
            except HarnessError as error:
                parts.append(str(error))
        for path in self.node.glob("log/kubelet*.log"):
            parts.append(f"{path.name}:\n{tail(path, 5)}")
        try:
            parts.append("operator:\n" + "\n".join(self.operator_logs().splitlines()[-15:]))
        except HarnessError as error:
            parts.append(str(error))
        return "\n".join(parts)


def environment_root(folder: pathlib.Path) -> pathlib.Path:
    """Sockets live below, and a socket's path is short by nature: a short folder, not pytest's."""
    root = pathlib.Path(os.environ.get("KAMAJI_E2E_ROOT", "/var/tmp")) / f"kamaji-e2e-{os.getpid()}-{folder.name[-6:]}"
    root.mkdir(mode=0o700, parents=True)
    return root


@contextlib.contextmanager
def whole_life(name: str, folder: pathlib.Path, *flags: str, seconds: float = UP_SECONDS):
    """An environment that is up (flags and seconds are those of `up`); after its end the machine must be what it was before."""
    before = leftovers.picture()
    root = environment_root(folder)
    running = LocalCluster(name, root)
    took = running.up(*flags, seconds=seconds)
    print(f"\nlocal up: {took:.1f} s")
    try:
        yield running
    finally:
        running.down()
    left = leftovers.what_stays(before, (name,), str(root))
    shutil.rmtree(root)
    assert not left, "down left something behind:\n" + "\n".join(left)

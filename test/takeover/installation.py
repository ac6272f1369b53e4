# SPDX-License-Identifier: Apache-2.0
"""The frozen installation of upstream Kamaji (reference/), thawed: its admin cluster's etcd under a real API server, its tenants' etcd
where its DataStore says, in a network namespace of our own. The API server has the credentials of then (authority, serving certificate, service-account
key); only its clients' certificates are new, one for each of us, so that the audit log tells who asked."""
from __future__ import annotations

import contextlib
import ctypes
import json
import lzma
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
REFERENCE = HERE / "reference"
sys.path.insert(0, str(HERE.parent / "e2e"))

from api_client import ApiError  # noqa: E402
from harness import Harness, component, kamaji_program, run, store_command, store_kind  # noqa: E402

CLONE_NEWNET = 0x40000000
STORE_ADDRESS = "10.244.0.1"  # where the DataStores' endpoints are
TENANTS = ["asleep-konnectivity", "extras", "kine", "plain"]
ON_ETCD = ["asleep-konnectivity", "extras", "plain"]
WRITES = {"create", "update", "patch", "delete", "deletecollection"}


def unpack(name: str) -> bytes:
    return lzma.decompress((REFERENCE / name).read_bytes())


def reference_json(name: str):
    return json.loads(unpack(name))


@contextlib.contextmanager
def own_network():
    """This process, and what it starts, sees only a loopback interface with the stores' address on it."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net", encoding="ascii") as before:
        if libc.unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "a network namespace is needed (run as root)")
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            subprocess.run(["ip", "address", "add", f"{STORE_ADDRESS}/32", "dev", "lo"], check=True)
            yield
        finally:
            if libc.setns(before.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "back to the network of before")


class Installation(Harness):
    """`up()` as the harness does it, on restored stores."""

    def _restore(self, snapshot: str, name: str) -> None:
        """As etcd's own tool does it, or as ours does."""
        file = self.folder / f"{name}.db"
        file.write_bytes(unpack(snapshot))
        if store_kind() != "etcd":
            run([kamaji_program(), "datastore", "import", str(file), f"--data-dir={self.folder}/{name}"])
            file.unlink()
            return
        peer = f"http://127.0.0.1:{self.ports[f'{name}_peer']}"
        member = "admin" if name == "etcd" else "store"
        run([component("etcdutl"), "snapshot", "restore", str(file), f"--data-dir={self.folder}/{name}", f"--name={member}",
             f"--initial-cluster={member}={peer}", f"--initial-advertise-peer-urls={peer}"])
        file.unlink()

    def make_api_server_pki(self) -> None:
        for ours, theirs in (("admin-ca.crt", "ca.crt"), ("admin-ca.key", "ca.key"), ("apiserver.crt", "apiserver.crt"),
                             ("apiserver.key", "apiserver.key"), ("sa.key", "sa.key"), ("sa.pub", "sa.pub")):
            path = self.pki.folder / ours
            path.touch(mode=0o600)
            path.write_bytes((REFERENCE / "admin-pki" / theirs).read_bytes())

    def start_etcd(self) -> None:
        self._restore("admin.etcd.db.xz", "etcd")
        super().start_etcd()

    def start_store(self) -> None:
        self._restore("tenants.etcd.db.xz", "store")
        pki, peer, url = REFERENCE / "datastore-pki", self.ports["store_peer"], f"https://{STORE_ADDRESS}:2379"
        self.start("store", [*store_command(), "--name=store", f"--data-dir={self.folder}/store", f"--listen-client-urls={url}",
                             f"--advertise-client-urls={url}", f"--listen-peer-urls=http://127.0.0.1:{peer}",
                             f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
                             f"--initial-cluster=store=http://127.0.0.1:{peer}", "--client-cert-auth",
                             f"--trusted-ca-file={pki / 'ca.crt'}", f"--cert-file={pki / 'server.crt'}",
                             f"--key-file={pki / 'server.key'}", "--log-level=warn"])

    def etcdctl(self, *arguments: str, certificate: str = "root") -> str:
        pki = REFERENCE / "datastore-pki"
        return run([component("etcdctl"), f"--endpoints=https://{STORE_ADDRESS}:2379", f"--cacert={pki / 'ca.crt'}",
                    f"--cert={pki / certificate}.crt", f"--key={pki / certificate}.key", "--command-timeout=5s", *arguments])

    def thaw(self) -> "Installation":
        """Upstream's webhooks point to where nobody answers: a switch-over removes them first."""
        self.up(controller_manager=False)
        for kind in ("validatingwebhookconfigurations", "mutatingwebhookconfigurations"):
            self.kubectl("delete", kind, "--all")
        self.start_controller_manager()
        self.wait("tenants served", "kube-apiserver", self._served)
        return self

    def _served(self) -> bool:
        try:
            return len(self.get("tenantcontrolplanes", namespace="default")["items"]) == len(TENANTS)
        except ApiError:
            return False

    # --- looking ----------------------------------------------------------------------------------------------------

    def objects(self, kinds: str = "deployments,replicasets,services,configmaps,secrets") -> dict[str, dict]:
        items = json.loads(self.kubectl("get", kinds, "-n", "default", "-o", "json", "--show-managed-fields"))["items"]
        return {f"{item['kind']}/{item['metadata']['name']}": item for item in items}

    def audit(self, since: int = 0) -> list[dict]:
        """The operator's requests after that byte of the audit log."""
        with open(self.folder / "audit.log", "rb") as log:
            log.seek(since)
            lines = [line for line in log.read().split(b"\n") if line.strip()]
        events = [json.loads(line) for line in lines]
        return [event for event in events if event.get("user", {}).get("username") == "admin"]

    def audit_end(self) -> int:
        return os.stat(self.folder / "audit.log").st_size


def written(event: dict) -> bool:
    """A request that stores something; the Lease and Events are not about the tenants' objects."""
    what = event.get("objectRef", {})
    return (event["verb"] in WRITES and what.get("resource") not in ("leases", "events")
            and event.get("responseStatus", {}).get("code", 0) < 300)


def said(event: dict) -> str:
    what = event.get("objectRef", {})
    return f"{event['verb']} {what.get('resource')}/{what.get('name', '')}{'/' + what['subresource'] if what.get('subresource') else ''}"

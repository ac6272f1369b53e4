#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A real admin API server without a node: etcd, kube-apiserver and kube-controller-manager on loopback, beside a second
etcd with authentication on that serves as DataStore. For everything that needs no pod: tenants with replicas 0, fault
sweeps, valgrind runs, the operator under a debugger.

    harness.py up DIR [--crds FILE_OR_FOLDER]   start in the background; prints what to export
    harness.py down DIR                         stop what `up` started
    harness.py env DIR                          print the exports again
"""
from __future__ import annotations

import argparse
import base64
import ctypes
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request

from api_client import ApiClient

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PR_SET_PDEATHSIG = 1
START_BUDGET_SECONDS = 90


class HarnessError(Exception):
    """Something did not come up; the text says what and shows the end of its log."""


def components_root() -> pathlib.Path:
    named = os.environ.get("KAMAJI_COMPONENTS_CACHE")
    if named:
        return pathlib.Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return pathlib.Path(cache) / "kamaji" / "components"


def kamaji_program() -> str:
    return os.environ.get("KAMAJI_BIN") or str(ROOT / "build" / "src" / "cmd" / "kamaji")


def store_kind() -> str:
    """Which etcd server stands behind API servers and tenants: `kamaji` (what a user gets) or `etcd` (make proof-etcd)."""
    return os.environ.get("KAMAJI_DATASTORE") or "kamaji"


def store_command() -> list[str]:
    """Start of the command line of an etcd server; both kinds take the same flags after it."""
    return [component("etcd"), "--unsafe-no-fsync"] if store_kind() == "etcd" else [kamaji_program(), "datastore"]


def component(program: str) -> str:
    """Path of an upstream program in the components cache; the version is the one the lock file names."""
    lock = ROOT / "components" / "components.lock"
    name, version = None, None
    for line in lock.read_text().splitlines():
        text = line.strip()
        if text.startswith("- name: ") and line.startswith("  - "):
            name, version = text.removeprefix("- name: "), None
        elif text.startswith("version: "):
            version = text.removeprefix("version: ").strip("'\"")
        elif text == f"- name: {program}" and name and version:
            path = components_root() / name / version / "bin" / program
            if path.exists():
                return str(path)
            raise HarnessError(f"{path} is missing; run `make components`")
    raise HarnessError(f"{program} is not in {lock}")


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [item.getsockname()[1] for item in sockets]
    finally:
        for item in sockets:
            item.close()


def tail(path: pathlib.Path, lines: int = 15) -> str:
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"


def run(command: list[str], **options) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode:
        raise HarnessError(f"{' '.join(command[:4])}: exit {done.returncode}\n{done.stderr.strip()}")
    return done.stdout


class Pki:
    """A certificate authority and its leaves, made with the openssl program. EC P-256, a year, files 0600."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        os.chmod(folder, 0o700)

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def key(self, name: str, rsa: bool = False) -> None:
        kind = ["rsa", "-pkeyopt", "rsa_keygen_bits:2048"] if rsa else ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        run(["openssl", "genpkey", "-quiet", "-algorithm", *kind, "-out", self.path(name)])
        os.chmod(self.path(name), 0o600)

    def authority(self, name: str) -> None:
        self.key(f"{name}.key")
        run(["openssl", "req", "-x509", "-new", "-key", self.path(f"{name}.key"), "-days", "3650", "-subj", f"/CN={name}",
             "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,digitalSignature,keyCertSign",
             "-out", self.path(f"{name}.crt")])

    def leaf(self, name: str, authority: str, subject: str, sans: str = "", days: int = 365) -> None:
        self.key(f"{name}.key")
        extensions = "basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n"
        if sans:
            extensions += f"subjectAltName={sans}\n"
        self.folder.joinpath(f"{name}.ext").write_text(extensions)
        run(["openssl", "req", "-new", "-key", self.path(f"{name}.key"), "-subj", subject, "-out", self.path(f"{name}.csr")])
        run(["openssl", "x509", "-req", "-in", self.path(f"{name}.csr"), "-CA", self.path(f"{authority}.crt"), "-CAkey",
             self.path(f"{authority}.key"), "-CAcreateserial", "-days", str(days), "-extfile", self.path(f"{name}.ext"),
             "-out", self.path(f"{name}.crt")])

    def text(self, name: str) -> str:
        return self.folder.joinpath(name).read_text()

    def base64(self, name: str) -> str:
        return base64.b64encode(self.folder.joinpath(name).read_bytes()).decode()


def kubeconfig_text(server: str, authority: str, certificate: str, key: str) -> str:
    """authority, certificate and key are base64 of PEM."""
    return json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "admin",
        "clusters": [{"name": "admin", "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": "admin", "user": {"client-certificate-data": certificate, "client-key-data": key}}],
        "contexts": [{"name": "admin", "context": {"cluster": "admin", "user": "admin"}}],
    }, indent=1)


AUDIT_POLICY = """apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
"""


class Harness:
    """One admin API server. `detached` processes outlive this program (the command line); otherwise they end with it."""

    def __init__(self, folder: str | pathlib.Path, detached: bool = False):
        self.folder = pathlib.Path(folder).resolve()
        self.detached = detached
        self.pki = Pki(self.folder / "pki")
        self.logs = self.folder / "log"
        self.processes: dict[str, subprocess.Popen] = {}
        self.ports: dict[str, int] = {}
        self._api: ApiClient | None = None

    # --- life cycle -------------------------------------------------------------------------------------------------

    def up(self, crds: str | None = None, controller_manager: bool = True) -> "Harness":
        self.logs.mkdir(parents=True, exist_ok=True)
        names = ["etcd", "etcd_peer", "store", "store_peer", "api", "controllers"]
        self.ports = dict(zip(names, free_ports(len(names))))
        (self.folder / "ports.json").write_text(json.dumps(self.ports))
        try:
            self._make_pki()
            self.start_etcd()
            self.start_store()
            self.start_api_server()
            self._enable_store_authentication()
            if crds:
                self.install_crds(crds)
            # After the kinds: its garbage collector looks for new ones every 30 s only, and asks ever less often for owners of a kind it does not know.
            if controller_manager:
                self.start_controller_manager()
        except BaseException:
            self.down()
            raise
        return self

    def down(self) -> None:
        for name in reversed(list(self.processes)):
            self.stop(name)

    def __enter__(self) -> "Harness":
        return self

    def __exit__(self, *_) -> None:
        self.down()

    def _make_pki(self) -> None:
        pki, loopback = self.pki, "IP:127.0.0.1,DNS:localhost"
        self.make_api_server_pki()
        pki.leaf("admin", "admin-ca", "/O=system:masters/CN=admin")
        pki.leaf("observer", "admin-ca", "/O=system:masters/CN=observer")
        pki.leaf("controllers", "admin-ca", "/O=system:masters/CN=controllers")
        pki.authority("store-ca")
        pki.leaf("store-server", "store-ca", "/CN=etcd", loopback)
        pki.leaf("store-root", "store-ca", "/CN=root")
        for user in ("admin", "observer", "controllers"):
            path = self.folder / f"{user}.kubeconfig"
            path.write_text(kubeconfig_text(self.server, pki.base64("admin-ca.crt"), pki.base64(f"{user}.crt"),
                                            pki.base64(f"{user}.key")))
            path.chmod(0o600)

    def make_api_server_pki(self) -> None:
        """admin-ca, apiserver and sa: a subclass may bring its own."""
        pki = self.pki
        pki.authority("admin-ca")
        pki.leaf("apiserver", "admin-ca", "/CN=kube-apiserver",
                 "IP:127.0.0.1,DNS:localhost,IP:10.96.0.1,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc")
        pki.key("sa.key", rsa=True)
        run(["openssl", "pkey", "-in", pki.path("sa.key"), "-pubout", "-out", pki.path("sa.pub")])

    # --- processes --------------------------------------------------------------------------------------------------

    def start(self, name: str, command: list[str], environment: dict | None = None) -> subprocess.Popen:
        libc = ctypes.CDLL(None)
        detached = self.detached

        def die_with_parent() -> None:
            if not detached:
                libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

        with open(self.logs / f"{name}.log", "ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                       preexec_fn=die_with_parent, cwd=self.folder,
                                       env={**os.environ, **(environment or {})})
        self.processes[name] = process
        (self.folder / f"{name}.pid").write_text(str(process.pid))
        return process

    def stop(self, name: str, how: int = signal.SIGTERM, patience: float = 15.0) -> None:
        process = self.processes.pop(name, None)
        if process is None or process.poll() is not None:
            return
        process.send_signal(how)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)

    def log(self, name: str) -> pathlib.Path:
        return self.logs / f"{name}.log"

    def wait(self, what: str, name: str, check, seconds: float = START_BUDGET_SECONDS) -> None:
        end = time.monotonic() + seconds
        while True:
            process = self.processes.get(name)
            if process is not None and process.poll() is not None:
                raise HarnessError(f"{name} ended with {process.returncode}:\n{tail(self.log(name))}")
            try:
                if check():
                    return
                reason = "not yet"
            except (OSError, HarnessError) as error:
                reason = str(error)
            if time.monotonic() > end:
                raise HarnessError(f"{what}: not within {seconds:.0f} s ({reason}):\n{tail(self.log(name))}")
            time.sleep(0.1)

    def start_etcd(self) -> None:
        port, peer = self.ports["etcd"], self.ports["etcd_peer"]
        self.start("etcd", [*store_command(), "--name=admin", f"--data-dir={self.folder}/etcd",
                            f"--listen-client-urls=http://127.0.0.1:{port}", f"--advertise-client-urls=http://127.0.0.1:{port}",
                            f"--listen-peer-urls=http://127.0.0.1:{peer}", f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
                            f"--initial-cluster=admin=http://127.0.0.1:{peer}", "--log-level=warn"])

    def start_store(self) -> None:
        """The DataStore's server: TLS with client certificates, authentication switched on once it answers."""
        port, peer = self.ports["store"], self.ports["store_peer"]
        self.start("store", [*store_command(), "--name=store", f"--data-dir={self.folder}/store",
                             f"--listen-client-urls=https://127.0.0.1:{port}", f"--advertise-client-urls=https://127.0.0.1:{port}",
                             f"--listen-peer-urls=http://127.0.0.1:{peer}", f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
                             f"--initial-cluster=store=http://127.0.0.1:{peer}", "--client-cert-auth",
                             f"--trusted-ca-file={self.pki.path('store-ca.crt')}", f"--cert-file={self.pki.path('store-server.crt')}",
                             f"--key-file={self.pki.path('store-server.key')}", "--log-level=warn"])

    def start_api_server(self) -> None:
        pki = self.pki
        policy = self.folder / "audit-policy.yaml"
        policy.write_text(AUDIT_POLICY)
        self.start("kube-apiserver", [
            component("kube-apiserver"), f"--etcd-servers=http://127.0.0.1:{self.ports['etcd']}", "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1", f"--secure-port={self.ports['api']}", f"--client-ca-file={pki.path('admin-ca.crt')}",
            f"--tls-cert-file={pki.path('apiserver.crt')}", f"--tls-private-key-file={pki.path('apiserver.key')}",
            f"--service-account-key-file={pki.path('sa.pub')}", f"--service-account-signing-key-file={pki.path('sa.key')}",
            "--service-account-issuer=https://kubernetes.default.svc", "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=Node,RBAC", "--endpoint-reconciler-type=none", f"--audit-policy-file={policy}",
            f"--audit-log-path={self.folder}/audit.log", "--audit-log-mode=blocking", "--profiling=false"])
        self.wait("kube-apiserver ready", "kube-apiserver", lambda: self._get("/readyz") == b"ok")

    def start_controller_manager(self) -> None:
        pki, config = self.pki, f"{self.folder}/controllers.kubeconfig"
        self.start("kube-controller-manager", [
            component("kube-controller-manager"), f"--kubeconfig={config}", f"--authentication-kubeconfig={config}",
            f"--authorization-kubeconfig={config}", "--bind-address=127.0.0.1", f"--secure-port={self.ports['controllers']}",
            "--leader-elect=false", f"--root-ca-file={pki.path('admin-ca.crt')}", "--use-service-account-credentials=false",
            f"--service-account-private-key-file={pki.path('sa.key')}",
            "--controllers=deployment-controller,replicaset-controller,garbage-collector-controller,namespace-controller,"
            "serviceaccount-controller,endpoints-controller,endpointslice-controller"])

    def _enable_store_authentication(self) -> None:
        self.wait("store ready", "store", lambda: "true" in self.etcdctl("endpoint", "health", "-w", "json"))
        if self.etcdctl("auth", "status").startswith("Authentication Status: true"):
            return
        self.etcdctl("user", "add", "root", "--no-password")
        self.etcdctl("role", "add", "root")
        self.etcdctl("user", "grant-role", "root", "root")
        self.etcdctl("auth", "enable")

    # --- use --------------------------------------------------------------------------------------------------------

    @property
    def server(self) -> str:
        return f"https://127.0.0.1:{self.ports['api']}"

    @property
    def kubeconfig(self) -> str:
        """For the program under test. Tests themselves use the other identity, so that the audit log tells them apart."""
        return str(self.folder / "admin.kubeconfig")

    def _get(self, path: str) -> bytes:
        context = ssl.create_default_context(cafile=self.pki.path("admin-ca.crt"))
        context.load_cert_chain(self.pki.path("observer.crt"), self.pki.path("observer.key"))
        with urllib.request.urlopen(self.server + path, context=context, timeout=5) as reply:
            return reply.read()

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return run([component("kubectl"), "--kubeconfig", str(self.folder / "observer.kubeconfig"), *arguments], input=stdin)

    def apply(self, *objects: dict) -> None:
        items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("apply", "--server-side", "--field-manager=observer", "-f", "-", stdin=json.dumps(items))

    @property
    def api(self) -> ApiClient:
        if self._api is None:
            self._api = ApiClient(component("kubectl"), str(self.folder / "observer.kubeconfig"))
        return self._api

    def get(self, kind: str, name: str = "", namespace: str = "") -> dict:
        return self.api.get(kind, name, namespace)

    def etcdctl(self, *arguments: str, certificate: str = "store-root") -> str:
        pki = self.pki
        return run([component("etcdctl"), f"--endpoints=https://127.0.0.1:{self.ports['store']}", f"--cacert={pki.path('store-ca.crt')}",
                    f"--cert={pki.path(certificate + '.crt')}", f"--key={pki.path(certificate + '.key')}", "--command-timeout=5s",
                    *arguments])

    def install_crds(self, where: str) -> None:
        self.kubectl("apply", "--server-side", "-k" if pathlib.Path(where).is_dir() else "-f", where)
        self.wait("CRDs served", "kube-apiserver", lambda: self.kubectl("get", "tenantcontrolplanes,datastores", "-A") is not None)

    def datastore(self, name: str = "default", endpoint: str | None = None) -> list[dict]:
        """A DataStore over the store with its three credentials in Secrets, as the kamaji-etcd chart lays them."""
        pki, namespace = self.pki, "kamaji-system"

        def secret(secret_name: str, **data: str) -> dict:
            return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret_name, "namespace": namespace}, "data": data}

        def reference(secret_name: str, key: str) -> dict:
            return {"secretReference": {"name": secret_name, "namespace": namespace, "keyPath": key}}

        certs, root = f"{name}-etcd-certs", f"{name}-etcd-root"
        return [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
            secret(certs, **{"ca.crt": pki.base64("store-ca.crt"), "ca.key": pki.base64("store-ca.key")}),
            secret(root, **{"tls.crt": pki.base64("store-root.crt"), "tls.key": pki.base64("store-root.key")}),
            {"apiVersion": "kamaji.clastix.io/v1alpha1", "kind": "DataStore", "metadata": {"name": name}, "spec": {
                "driver": "etcd", "endpoints": [endpoint or f"127.0.0.1:{self.ports['store']}"],
                "tlsConfig": {
                    "certificateAuthority": {"certificate": reference(certs, "ca.crt"), "privateKey": reference(certs, "ca.key")},
                    "clientCertificate": {"certificate": reference(root, "tls.crt"), "privateKey": reference(root, "tls.key")}}}},
        ]

    def exports(self) -> str:
        pki = self.pki
        return "\n".join([
            f"export KUBECONFIG={self.kubeconfig}",
            f"export PATH={pathlib.Path(component('kubectl')).parent}:{pathlib.Path(component('etcdctl')).parent}:$PATH",
            f"export ETCDCTL_ENDPOINTS=https://127.0.0.1:{self.ports['store']} ETCDCTL_CACERT={pki.path('store-ca.crt')} "
            f"ETCDCTL_CERT={pki.path('store-root.crt')} ETCDCTL_KEY={pki.path('store-root.key')}",
            f"# DataStore: {self.folder}/datastore.json; logs: {self.logs}; audit log: {self.folder}/audit.log"])


def crds_of_tree() -> str | None:
    folder = ROOT / "manifests" / "crds"
    return str(folder) if folder.is_dir() and any(folder.iterdir()) else None


def tenant(name: str, namespace: str = "default", replicas: int = 0, version: str = "v1.36.3", **spec) -> dict:
    """A small TenantControlPlane; keyword arguments replace members of spec."""
    return {"apiVersion": "kamaji.clastix.io/v1alpha1", "kind": "TenantControlPlane",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"dataStore": "default", "controlPlane": {"deployment": {"replicas": replicas}, "service": {"serviceType": "ClusterIP"}},
                     "kubernetes": {"version": version, "kubelet": {"cgroupfs": "cgroupfs"}},
                     "networkProfile": {"port": 6443}, "addons": {}, **spec}}


def stop_detached(folder: pathlib.Path) -> None:
    """Ends what an earlier `up` started there, by its recorded pids, provided they still are what was started."""
    for path in sorted(folder.glob("*.pid")):
        pid = int(path.read_text())
        try:
            command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
            if str(folder).encode() in command:
                os.kill(pid, signal.SIGTERM)
                for _ in range(150):
                    if not pathlib.Path(f"/proc/{pid}").exists():
                        break
                    time.sleep(0.1)
                else:
                    os.kill(pid, signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            pass
        path.unlink()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["up", "down", "env"])
    parser.add_argument("folder")
    parser.add_argument("--crds", default=crds_of_tree(), help="file or folder with the CustomResourceDefinitions")
    options = parser.parse_args()
    folder = pathlib.Path(options.folder).resolve()
    try:
        if options.action == "down":
            stop_detached(folder)
            shutil.rmtree(folder, ignore_errors=True)
            return 0
        if options.action == "up":
            stop_detached(folder)
            shutil.rmtree(folder, ignore_errors=True)
        harness = Harness(folder, detached=True)
        if options.action == "up":
            harness.up(crds=options.crds)
            items = {"apiVersion": "v1", "kind": "List", "items": harness.datastore()}
            (folder / "datastore.json").write_text(json.dumps(items, indent=1))
        else:
            harness.ports = json.loads((folder / "ports.json").read_text())
        print(harness.exports())
    except (HarnessError, OSError) as error:
        print(f"harness: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

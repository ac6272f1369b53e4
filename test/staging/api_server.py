# SPDX-License-Identifier: Apache-2.0
"""A real API server with its store and nothing else, and what it says about objects."""
from __future__ import annotations

import functools
import json
import os
import pathlib
import subprocess

from harness import ROOT, Harness, component, free_ports, kamaji_program, run

SMALL_GATEWAY_MODULE = "sigs.k8s.io/gateway-api"


class ApiServer(Harness):
    def start(self, name: str | None = None, *arguments, **options):
        if name is not None:
            return super().start(name, *arguments, **options)
        self.logs.mkdir(parents=True, exist_ok=True)
        names = ["etcd", "etcd_peer", "store", "store_peer", "api", "controllers"]
        self.ports = dict(zip(names, free_ports(len(names))))
        try:
            self._make_pki()
            self.start_etcd()
            self.start_api_server()
        except BaseException:
            self.down()
            raise
        return self

    def apply_strictly(self, text: str, *flags: str) -> tuple[int, str, str]:
        """Server-side, unknown fields refused; warnings are in the third."""
        done = subprocess.run([component("kubectl"), "--kubeconfig", self.kubeconfig, "apply", "--server-side", "--force-conflicts",
                               "--field-manager=check", "--validate=strict", "-f", "-", *flags], input=text, capture_output=True, text=True,
                              timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr


def gateway_definitions() -> pathlib.Path | None:
    """CRDs of Gateway API, of the version that the pinned ingress controller is built with: they lie in its Go module."""
    if (ROOT / "tools" / "with-go").exists():
        folder = ROOT / "k8s" / "offline" / "programs" / "go" / "traefik"
        environment = {**os.environ, "GOFLAGS": "-mod=mod", "PATH": os.environ["PATH"] + ":/usr/local/go/bin"}
        done = subprocess.run([str(ROOT / "tools" / "with-go"), "go", "mod", "download", "-json", SMALL_GATEWAY_MODULE], cwd=folder, env=environment,
                              capture_output=True, text=True, timeout=120, check=False)
        if done.returncode == 0:
            return pathlib.Path(json.loads(done.stdout)["Dir"]) / "config" / "crd" / "standard"
    return None


@functools.cache
def kubeconform() -> str:
    return run([str(ROOT / "k8s" / "offline" / "programs" / "fetch"), "kubeconform"], env={**os.environ, "KAMAJI_BIN": kamaji_program()}).strip()

# SPDX-License-Identifier: Apache-2.0
"""The program that runs the step table without a cluster, for all tests here."""
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from captured import REFERENCE, Render  # noqa: E402


def authority(folder: str) -> tuple[str, str]:
    """A CA for the etcd DataStores."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", "/CN=etcd-ca",
                    "-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.crt"], check=True, capture_output=True)
    return tuple(subprocess.run(["base64", "-w0", f"{folder}/{name}"], check=True, capture_output=True).stdout.decode()
                 for name in ("ca.crt", "ca.key"))


def stores(certificate: str, key: str) -> list[dict]:
    pair = {"certificate": {"content": certificate}, "privateKey": {"content": key}}
    etcd = [{"apiVersion": "kamaji.clastix.io/v1alpha1", "kind": "DataStore", "metadata": {"name": name},
             "spec": {"driver": "etcd", "endpoints": ["10.244.0.1:2379"], "tlsConfig": {"certificateAuthority": pair, "clientCertificate": pair}}}
            for name in ("default", "default2")]
    user = {"content": "a2FtYWpp"}
    return etcd + [{"apiVersion": "kamaji.clastix.io/v1alpha1", "kind": "DataStore", "metadata": {"name": "pg"},
                    "spec": {"driver": "PostgreSQL", "endpoints": ["127.0.0.1:5432"], "basicAuth": {"username": user, "password": user}}}]


@pytest.fixture(scope="session")
def render() -> Render:
    return Render()


@pytest.fixture(scope="session")
def reference() -> pathlib.Path:
    return REFERENCE


@pytest.fixture(scope="session")
def data_stores(tmp_path_factory) -> list[dict]:
    return stores(*authority(str(tmp_path_factory.mktemp("authority"))))

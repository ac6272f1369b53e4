# SPDX-License-Identifier: Apache-2.0
"""What a tenant and its workers can know of the admin cluster: words that must not appear there, the search for them, and
the exceptions, which are the table of SECURITY.md and nothing else."""
from __future__ import annotations

import base64
import binascii
import fnmatch
import json
import os
import pathlib
import re

from harness import ROOT

HEADING = "## What a tenant sees of the admin cluster"
LARGEST_FILE = 4 * 1024 * 1024
LONG_BASE64 = re.compile(r"[A-Za-z0-9+/]{60,}={0,2}")


class Words:
    """(what it is, text) of everything that belongs to the admin cluster. `get` is that of a harness or a local cluster."""

    def __init__(self, get, namespace: str, name: str, operator_namespace: str = "kamaji-system"):
        self.words: list[tuple[str, str]] = []
        tenant = get("tenantcontrolplane", name, namespace)
        own = tenant["status"]["controlPlaneEndpoint"].rsplit(":", 1)[0].strip("[]")
        self.add("own address", own)
        self.add("namespace", namespace)
        self.add("operator namespace", operator_namespace)
        setup = tenant["status"]["storage"]["setup"]
        self.add("store user", setup["user"])
        self.add("store schema", setup["schema"])
        for store in get("datastore")["items"]:
            for endpoint in store["spec"]["endpoints"]:
                self.add("store address", endpoint)
        for service in get("service")["items"]:
            address = service["spec"].get("clusterIP", "")
            # The tenant has a Service network of its own, whose first address is a Service of its own.
            if address not in ("", "None", own) and service["metadata"]["name"] != "kubernetes":
                self.add("address of another Service", address)
        for pod in get("pod")["items"]:
            self.add("pod name", pod["metadata"]["name"])
            self.add("pod address", pod["status"].get("podIP", ""))
        for node in get("node")["items"]:
            self.add("node name", node["metadata"]["name"])
        self.secrets(get("secret")["items"], namespace, name)

    def add(self, what: str, text: str) -> None:
        if len(text) >= 4 and (what, text) not in self.words:
            self.words.append((what, text))

    def secrets(self, items: list[dict], namespace: str, name: str) -> None:
        """Keys and passwords whole; certificates of others by their first line of content, which no two share."""
        mine = {"ca.crt", "front-proxy-ca.crt", "apiserver.crt", "tls.crt"}
        for item in items:
            own = item["metadata"]["namespace"] == namespace and item["metadata"]["name"].startswith(f"{name}-")
            for key, value in item.get("data", {}).items():
                text = base64.b64decode(value).decode(errors="replace")
                for block in re.findall(r"-----BEGIN ([A-Z ]+)-----\n(.*?)-----END", text, re.S):
                    lines = block[1].split("\n")
                    if "PRIVATE" in block[0]:
                        self.add("private key", lines[len(lines) // 2] if len(lines) > 3 else lines[0])
                    elif block[0] == "CERTIFICATE" and not (own and (key in mine or key.endswith(".crt")) and "datastore" not in item["metadata"]["name"]):
                        what = "webhook authority" if "webhook" in item["metadata"]["name"] else "certificate of the admin cluster"
                        self.add(what, lines[len(lines) // 2])
                if key in ("DB_PASSWORD",):
                    self.add("password", text)

    def found_in(self, text: str) -> set[str]:
        """Also inside base64, one layer down."""
        found = {what for what, word in self.words if word_stands_in(word, text)}
        for piece in LONG_BASE64.findall(text):
            try:
                inner = base64.b64decode(piece + "=" * (-len(piece) % 4)).decode(errors="replace")
            except (binascii.Error, ValueError):
                continue
            found |= {what for what, word in self.words if word_stands_in(word, inner)}
        return found


def word_stands_in(word: str, text: str) -> bool:
    """An address is not found in a longer one, nor a name inside another word."""
    at = text.find(word)
    while at >= 0:
        before, after = text[at - 1:at], text[at + len(word):at + len(word) + 1]
        if not (before.isalnum() and word[0].isalnum()) and not (after.isalnum() and word[-1].isalnum()):
            return True
        at = text.find(word, at + 1)
    return False


def search_objects(words: Words, objects: dict[str, dict]) -> dict[str, set[str]]:
    """`Kind/namespace/name` -> what of the admin cluster stands in it."""
    found = {}
    for item in objects.values():
        metadata = item["metadata"]
        text = json.dumps(item, ensure_ascii=False)
        for value in (item.get("data") or {}).values() if item["kind"] == "Secret" else []:
            text += "\n" + base64.b64decode(value).decode(errors="replace")
        what = words.found_in(text.replace("\\n", "\n"))
        if what:
            found["/".join(part for part in (item["kind"], metadata.get("namespace"), metadata["name"]) if part)] = what
    return found


def search_files(words: Words, root: str, folders: tuple[str, ...] = ("etc", "var/lib/kubelet", "var/log", "root", "tmp")) -> dict[str, set[str]]:
    """The same of a worker's own files: `worker:/path` -> what. Other file systems, sockets and large files are left out."""
    found = {}
    for folder in folders:
        for place, names, files in os.walk(pathlib.Path(root) / folder):
            names[:] = [name for name in names if not os.path.ismount(os.path.join(place, name))]
            for name in files:
                path = pathlib.Path(place) / name
                if path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST_FILE:
                    continue
                what = words.found_in(path.read_text(errors="replace"))
                if what:
                    found[f"worker:/{path.relative_to(root)}"] = what
    return found


def allowed() -> list[tuple[str, set[str]]]:
    """(pattern of the place, what may be there), the rows of the table in SECURITY.md."""
    text = (ROOT / "SECURITY.md").read_text()
    assert HEADING in text
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", text.split(HEADING)[1].split("\n## ")[0], re.M)
    return [(place, set(re.findall(r"`([^`]+)`", what))) for place, what in rows]


def not_allowed(found: dict[str, set[str]]) -> list[str]:
    """What was found and stands in no row."""
    rows, wrong = allowed(), []
    for place, what in sorted(found.items()):
        permitted = set().union(*(words for pattern, words in rows if fnmatch.fnmatchcase(place, pattern)), set())
        wrong += [f"{place}: {word}" for word in sorted(what - permitted)]
    return wrong


def unused_rows(found: dict[str, set[str]], prefix: str = "") -> list[str]:
    """Rows that allow what is not there: a table that says too much is wrong too. Worker rows are looked at with files only."""
    return [pattern for pattern, words in allowed() if pattern.startswith("worker:") == (prefix == "worker:")
            and not words <= set().union(*(what for place, what in found.items() if fnmatch.fnmatchcase(place, pattern)), set())]


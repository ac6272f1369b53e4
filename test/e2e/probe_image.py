# SPDX-License-Identifier: Apache-2.0
"""An image for pods of tests, made of this machine's own programs and their libraries: a shell, curl, getent, a web server."""
from __future__ import annotations

import hashlib
import io
import json
import os
import pathlib
import platform
import shutil
import subprocess
import tarfile

NAME = "localhost/kamaji-probe:v1"
PROGRAMS = ["dash", "cat", "sleep", "curl", "getent", "ls", "head", "mkdir", "touch", "busybox"]


def closure(program: str) -> set[str]:
    text = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return {word for word in text.split() if word.startswith("/")}


def probe_layer() -> bytes:
    files = {}
    for name in PROGRAMS:
        path = shutil.which(name)
        if path:
            files[f"/bin/{name}"] = path
            files |= {library: library for library in closure(path)}
    return layer(files, {"etc/nsswitch.conf": "hosts: files dns\n", "etc/passwd": "root:x:0:0::/:/bin/sh\n"}, {"bin/sh": "dash"})


def layer(files: dict[str, str], texts: dict[str, str], links: dict[str, str] | None = None) -> bytes:
    """A tar archive of files (place -> this machine's path), texts, symbolic links, and /tmp."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for target, source in sorted(files.items()):
            info = archive.gettarinfo(os.path.realpath(source), arcname=target.lstrip("/"))
            info.uid = info.gid = info.mtime = 0
            with open(source, "rb") as stream:
                archive.addfile(info, stream)
        for target, text in texts.items():
            info = tarfile.TarInfo(target)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
        for target, name in (links or {}).items():
            link = tarfile.TarInfo(target)
            link.type, link.linkname = tarfile.SYMTYPE, name
            archive.addfile(link)
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        archive.addfile(folder)
    return out.getvalue()


def make(path: pathlib.Path, name: str = NAME, content: bytes | None = None) -> pathlib.Path:
    """Writes the archive of an image with one layer (the probes' own by default); `ctr images import` takes it."""
    blobs = {}

    def blob(data: bytes) -> dict:
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        return {"digest": f"sha256:{digest}", "size": len(data)}

    content = content or probe_layer()
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    config = json.dumps({"architecture": machine, "os": "linux", "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sleep", "1000000"]},
                         "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(content).hexdigest()]}}).encode()
    manifest = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                           "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **blob(config)},
                           "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", **blob(content)}]}).encode()
    index = {"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", **blob(manifest),
                                                "annotations": {"io.containerd.image.name": name}}]}
    with tarfile.open(path, "w") as archive:
        for name, data in {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": json.dumps(index).encode(), **blobs}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path

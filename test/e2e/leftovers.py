#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an environment could leave on a machine: a picture before, a picture after, and the difference.

    leftovers.py save FILE        leftovers.py compare FILE
"""
from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
import time

# Places where programs of this kind keep things when nobody tells them otherwise.
FOLDERS = ["/etc/cni", "/etc/kubernetes", "/opt/cni", "/run/containerd", "/run/netns", "/run/kubernetes", "/var/lib/cni", "/var/lib/kubelet",
           "/var/lib/containerd", "/var/lib/etcd", "/var/log/pods", "/var/log/containers", "/run/flannel", "/run/kamaji", "/etc/containerd"]
SETTINGS = ["net/ipv4/ip_forward", "net/ipv4/conf/all/route_localnet", "fs/inotify/max_user_instances", "fs/inotify/max_user_watches",
            "vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
            "net/bridge/bridge-nf-call-iptables", "vm/panic_on_oom", "net/netfilter/nf_conntrack_max"]


def lines(*command: str) -> list[str]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []


def processes() -> list[str]:
    """By program and arguments; kernel threads and this program's own family are not looked at."""
    found = []
    for path in pathlib.Path("/proc").iterdir():
        if not path.name.isdigit():
            continue
        try:
            words = path.joinpath("cmdline").read_bytes().decode(errors="replace").split("\0")
            program = os.path.basename(words[0].split(" ")[0].rstrip(":"))
        except OSError:
            continue
        if re.match(r"(kube|etcd|containerd|runc|coredns|kamaji|pause|local-path)", program):
            found.append(f"{environment_of(path)} {' '.join(words).strip()[:160]}")
    return sorted(found)


def environment_of(process: pathlib.Path) -> str:
    """The cgroup of the environment and of the node in it, or "-"."""
    try:
        found = re.search(r"/(kamaji-[^/\n]+(?:/[^/\n]+)?)", process.joinpath("cgroup").read_text())
    except OSError:
        return "-"
    return found.group(1) if found else "-"


def environments() -> list[str]:
    """Names of all that have a cgroup on this machine, whoever runs them."""
    return sorted({path.name.removeprefix("kamaji-") for pattern in ("*/kamaji-*", "kamaji-*") for path in pathlib.Path("/sys/fs/cgroup").glob(pattern)})


def cgroups() -> list[str]:
    found = []
    for top, folders, _ in os.walk("/sys/fs/cgroup"):
        found += [os.path.join(top, name) for name in folders if re.search(r"kamaji|kube", name)]
        if top.count("/") > 5:
            folders.clear()
    return sorted(found)


def files() -> list[str]:
    found = []
    for folder in FOLDERS:
        for top, _, names in os.walk(folder):
            found.append(top)
            found += [os.path.join(top, name) for name in names]
    return sorted(found)


def picture() -> dict[str, list[str]]:
    rules = [re.sub(r"\s*counter packets \d+ bytes \d+|\s*# handle \d+", "", line) for line in lines("nft", "list", "ruleset")]
    return {
        "environments": environments(),
        "processes": processes(),
        "mounts": sorted(line.split()[1] for line in pathlib.Path("/proc/mounts").read_text().splitlines()),
        "cgroups": cgroups(),
        "interfaces": sorted(os.listdir("/sys/class/net")),
        "routes": sorted(line.strip() for line in lines("ip", "route", "show", "table", "all")),
        "rules": sorted(lines("ip", "rule")),
        "firewall": rules,
        "iptables": [line for line in lines("iptables-save") if not line.startswith(("#", ":"))],
        "files": files(),
        "settings": [f"{name}={pathlib.Path('/proc/sys', name).read_text().strip()}" for name in SETTINGS if pathlib.Path("/proc/sys", name).exists()],
    }


def difference(before: dict, after: dict, mine: tuple[str, ...] = (), root: str = "") -> list[str]:
    """
    Only what has been added or changed: something that ended meanwhile is not ours to blame. `mine` names the environments that were
    used, `root` is their folder: processes are told by cgroup and folder. Where somebody else's environment runs beside the tests, only
    what carries a name of ours is looked at; alone on the machine, everything.
    """
    shared = {name for name in set(before["environments"]) | set(after["environments"]) if name not in mine}
    ours = re.compile("|".join([rf"\b(?:kamaji|kj|kamaji-local)-{re.escape(name)}\b" for name in mine] + ([re.escape(root)] if root else [])) or r"(?!)")
    found = []
    for kind, now in after.items():
        then = list(before.get(kind, []))
        for item in now:
            if item in then:
                then.remove(item)
            elif ours.search(item) or not mine or (kind not in ("environments", "processes") and not shared):
                found.append(f"{kind}: {item}")
    return found


def what_stays(before: dict, mine: tuple[str, ...], root: str, seconds: float = 10) -> list[str]:
    """The difference to now; what goes by itself, as cgroups of processes that have just ended, gets a moment."""
    end = time.monotonic() + seconds
    while (found := difference(before, picture(), mine, root)) and time.monotonic() < end:
        time.sleep(0.5)
    return found


def main() -> int:
    if len(sys.argv) != 3 or sys.argv[1] not in ("save", "compare"):
        print(__doc__, file=sys.stderr)
        return 2
    path = pathlib.Path(sys.argv[2])
    if sys.argv[1] == "save":
        path.write_text(json.dumps(picture(), indent=1))
        return 0
    found = difference(json.loads(path.read_text()), picture())
    print("\n".join(found) or "nothing is left")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

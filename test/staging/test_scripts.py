# SPDX-License-Identifier: Apache-2.0
"""The scripts' manners, without a cluster: options, dry runs, sums, refusals. kind and Docker are recorders here; they are not run."""
import os
import pathlib
import re
import subprocess

import pytest

from harness import component, kamaji_program
from render import ROOT

SCRIPTS = ["setup", "deploy", "verify", "teardown", "secrets"]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "bin").mkdir()
    return tmp_path


def call(folder: pathlib.Path, action: str, *flags: str, **environment: str) -> subprocess.CompletedProcess:
    path = f"{folder}/bin:{os.environ['PATH']}"
    return subprocess.run([str(ROOT / "scripts" / f"k8s-{action}.sh"), *flags], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
                          check=False, env={**os.environ, "PATH": path, "STAGING_STATE_DIR": f"{folder}/state", "KAMAJI_BIN": kamaji_program(), **environment})


def program(folder: pathlib.Path, name: str, text: str) -> None:
    path = folder / "bin" / name
    path.write_text(f"#!/bin/sh\necho \"{name} $*\" >>{folder}/calls\n{text}\n")
    path.chmod(0o755)


def docker(folder: pathlib.Path, cores: int = 8) -> None:
    program(folder, "docker", f'case "$*" in *NCPU*) echo {cores} ;; *MemTotal*) echo 16000000000 ;; *Running*) echo true ;; esac')


def calls(folder: pathlib.Path) -> str:
    return (folder / "calls").read_text() if (folder / "calls").exists() else ""


def test_shellcheck():
    """What has no first line to be found by; tools/lint has the rest."""
    files = ["scripts/lib/staging.sh", *(str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("k8s/offline/images/*/image")))]
    done = subprocess.run(["shellcheck", *files], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_old_bash():
    """macOS has bash 3.2: no associative arrays, no mapfile, no ${name,,}."""
    for path in [*ROOT.glob("scripts/*.sh"), ROOT / "scripts" / "lib" / "staging.sh"]:
        assert not re.search(r"declare -A|mapfile|readarray|\$\{\w+(,,|\^\^)|&>>|\|&|sed -i", path.read_text()), path.name


def test_nothing_ends_a_pipe_early():
    """`grep -q` and `head` may end before the program that writes to them, which then ends by a signal; with pipefail that is a failure."""
    for path in [*ROOT.glob("scripts/*.sh"), ROOT / "scripts" / "lib" / "staging.sh", ROOT / "k8s" / "offline" / "make-images", ROOT / "k8s" / "offline" / "programs" / "fetch"]:
        assert not re.search(r"\| *(grep -\w*q|head\b)", path.read_text()), path.name


def test_no_terminal_is_asked_for():
    """kubectl exec with -t fails where there is none."""
    for path in [*ROOT.glob("scripts/*.sh"), ROOT / "scripts" / "lib" / "staging.sh"]:
        assert not re.search(r"exec (-it|-ti|-t)\b", path.read_text()), path.name


@pytest.mark.parametrize("action", SCRIPTS)
def test_help(action, folder):
    done = call(folder, action, "--help")
    assert done.returncode == 0 and done.stdout.startswith(f"k8s-{action}.sh") and "--dry-run" in done.stdout
    assert not (folder / "state").exists()


@pytest.mark.parametrize("action", SCRIPTS)
@pytest.mark.parametrize("flags", [["--what"], ["--timeout"], ["--timeout", "soon"], ["--provider", "minikube"], ["--name", "Big Name"], ["--ingress", "x"]])
def test_wrong_command_line(action, flags, folder):
    done = call(folder, action, *flags)
    assert done.returncode == 2 and flags[0] in done.stderr
    assert not (folder / "state").exists()


def test_setup_dry_run_touches_nothing(folder):
    done = call(folder, "setup", "--provider", "local", "--dry-run", "--images", "offline", "--force", "--state-dir", str(folder / "env"))
    assert done.returncode == 0, done.stderr
    assert "+ " in done.stdout and "local up --name staging" in done.stdout and "apply --server-side" in done.stdout
    assert not (folder / "state").exists() and not (folder / "env").exists()


def test_setup_adds_up_what_is_requested(folder):
    """The six workloads' 1050m and 1152Mi, and the ingress controller's."""
    done = call(folder, "setup", "--provider", "local", "--dry-run", "--images", "offline", "--force")
    assert "requests 1150m CPU, 1248Mi memory, 20Gi storage" in done.stdout
    done = call(folder, "setup", "--provider", "local", "--dry-run", "--images", "offline", "--ingress", "none", "--force")
    assert "requests 1050m CPU, 1152Mi memory, 20Gi storage" in done.stdout


def test_setup_says_what_does_not_fit(folder):
    program(folder, "getconf", "echo 1")
    done = call(folder, "setup", "--provider", "local", "--dry-run", "--images", "offline")
    assert done.returncode == 3
    assert "CPU: 1150 m asked" in done.stderr and "1000 m there" in done.stderr and "--force" in done.stderr
    assert re.search(r"StatefulSet +postgres +250m +256Mi", done.stdout), "who asks for what"
    assert call(folder, "setup", "--provider", "local", "--dry-run", "--images", "offline", "--force").returncode == 0


def test_kind_does_not_fit_two_cores(folder):
    docker(folder, cores=2)
    program(folder, "kind", "")
    done = call(folder, "setup", "--provider", "kind", "--dry-run", "--images", "upstream")
    assert done.returncode == 3 and "CPU: 1150 m asked and 950 m for the cluster itself, 2000 m there" in done.stderr


def test_missing_programs(folder):
    (folder / "empty").mkdir()
    for name in ("bash", "dirname", "basename", "cat", "sed", "env"):
        (folder / "empty" / name).symlink_to(f"/usr/bin/{name}")
    done = subprocess.run(["/bin/bash", str(ROOT / "scripts" / "k8s-setup.sh"), "--provider", "kind", "--dry-run"], capture_output=True, text=True, check=False,
                          env={"PATH": f"{folder}/empty", "HOME": str(folder), "KUBECTL": "/bin/true"})
    assert done.returncode == 3 and "docker is missing" in done.stderr and "--provider local" in done.stderr


def test_kind_cluster_is_made_from_the_configuration(folder):
    """Ports and the data folder go into the configuration that lies beside the overlay (S-43, S-71)."""
    docker(folder)
    program(folder, "kind", f'case "$1 $2" in "create cluster") cp {folder}/state/mine/kind.yaml {folder}/config; exit 1 ;; esac')
    done = call(folder, "setup", "--provider", "kind", "--name", "mine", "--images", "upstream", "--http-port", "8080", "--https-port", "8443", "--data-dir", "/srv/volumes")
    assert done.returncode == 1 and "kind create cluster" in done.stderr, "the recorder ends it here"
    text = (folder / "config").read_text()
    assert "name: mine\n" in text
    assert "containerPort: 30080\n        hostPort: 8080\n" in text and "containerPort: 30443\n        hostPort: 8443\n" in text
    assert "      - hostPath: /srv/volumes\n        containerPath: /var/local-path-provisioner\n" in text
    assert f"--kubeconfig {folder}/state/mine/kubeconfig" in calls(folder), "never the user's own"


def test_interrupted_setup_is_continued_and_removed(folder):
    """What a run left half made is its own: the next one goes on with it, and teardown removes it."""
    docker(folder)
    program(folder, "kind", f'case "$1 $2" in "get clusters") [ ! -f {folder}/there ] || echo mine ;; "create cluster") touch {folder}/there; exit 1 ;; esac')
    flags = ["--provider", "kind", "--name", "mine", "--images", "upstream", "--timeout", "2"]
    assert call(folder, "setup", *flags).returncode == 1
    again = call(folder, "setup", *flags)
    assert again.returncode == 4 and "does not answer" in again.stderr, "not refused as somebody else's; the recorder has no API server"
    assert call(folder, "teardown", "--name", "mine", "--yes").returncode == 0
    assert "kind delete cluster --name mine" in calls(folder) and not (folder / "state" / "mine").exists()


def test_kind_ports_of_ingress_nginx(folder):
    docker(folder)
    program(folder, "kind", f'case "$1 $2" in "create cluster") cp {folder}/state/mine/kind.yaml {folder}/config; exit 1 ;; esac')
    call(folder, "setup", "--provider", "kind", "--name", "mine", "--images", "upstream", "--ingress", "ingress-nginx")
    text = (folder / "config").read_text()
    assert "containerPort: 80\n        hostPort: 80\n" in text and "containerPort: 443\n        hostPort: 443\n" in text


def test_kind_cluster_of_somebody_else(folder):
    docker(folder)
    program(folder, "kind", 'case "$1 $2" in "get clusters") echo staging ;; esac')
    done = call(folder, "setup", "--provider", "kind", "--images", "upstream")
    assert done.returncode == 5 and "was not made by this script" in done.stderr
    assert "create" not in calls(folder) and "delete" not in calls(folder) and not (folder / "state").exists()
    assert call(folder, "teardown", "--provider", "kind", "--yes").returncode == 0
    assert "kind delete" not in calls(folder), "what was not made here is not removed"


def test_local_environment_of_somebody_else(folder):
    (folder / "env" / "staging").mkdir(parents=True)
    flags = ["--provider", "local", "--state-dir", str(folder / "env"), "--dry-run"]
    assert call(folder, "setup", "--images", "offline", "--force", *flags).returncode == 5
    assert call(folder, "teardown", *flags).returncode == 5


@pytest.mark.skipif(os.geteuid() != 0, reason="`kamaji local` needs root, and set-up asks for it")
def test_fetching_does_not_count(folder):
    """A first run fetches or builds for minutes; the time that is left for waiting must not shrink by that."""
    program(folder, "kamaji", 'case "$2" in components) sleep 4 ;; up) exit 1 ;; esac')
    done = call(folder, "setup", "--provider", "local", "--images", "upstream", "--force", "--timeout", "3", "--state-dir", str(folder / "env"),
                KAMAJI_BIN=str(folder / "bin" / "kamaji"), KUBECTL=component("kubectl"))
    assert done.returncode == 1, done.stderr
    left = re.search(r"local up .*--wait-timeout (-?\d+)s", calls(folder))
    assert left and 1 <= int(left.group(1)) <= 3


def test_kind_teardown_removes_its_own(folder):
    docker(folder)
    program(folder, "kind", "")
    state = folder / "state" / "staging"
    state.mkdir(parents=True)
    (state / "made").touch()
    (state / "settings").write_text("provider=kind\nkubeconfig=x\n")
    done = call(folder, "teardown")
    assert done.returncode == 2 and "--yes" in done.stderr and "kind delete" not in calls(folder), "asks, and nobody is there"
    assert call(folder, "teardown", "--yes", "--dry-run").returncode == 0 and state.exists() and "kind delete" not in calls(folder)
    assert call(folder, "teardown", "--yes").returncode == 0
    assert f"kind delete cluster --name staging --kubeconfig {state}/kubeconfig" in calls(folder)
    assert not state.exists()


def test_teardown_of_nothing(folder):
    for _ in range(2):
        done = call(folder, "teardown", "--yes", "--state-dir", str(folder / "env"))
        assert done.returncode == 0 and "there is no cluster 'staging'" in done.stdout


def test_deploy_and_verify_without_a_cluster(folder):
    for action in ("deploy", "verify"):
        done = call(folder, action)
        assert done.returncode == 3 and "run scripts/k8s-setup.sh" in done.stderr
    done = call(folder, "deploy", "--dry-run", "--overlay", "production")
    assert done.returncode == 0 and "objects of production; no cluster to ask" in done.stdout


def test_deploy_dry_run_asks_the_server(folder, api_server):
    """S-80: the dry run that needs a server, with the files of credentials made for it; nothing changes in the cluster."""
    secrets = folder / "secrets"
    assert call(folder, "secrets", "--secrets", str(secrets)).returncode == 0
    flags = ["--kubeconfig", api_server.kubeconfig, "--overlay", "staging-eks", "--secrets", str(secrets)]
    before = api_server.kubectl("get", "deployments,statefulsets,secrets", "-A", "-o", "name")
    done = call(folder, "deploy", "--dry-run", *flags)
    assert done.returncode == 0, done.stderr
    assert re.search(r"4[0-9] objects of staging-eks would be", done.stdout)
    assert api_server.kubectl("get", "deployments,statefulsets,secrets", "-A", "-o", "name") == before
    assert not list((ROOT / "k8s" / ".generated").glob("staging.*")), "the credentials that were copied for kustomize are gone"


def test_verify_lists_its_checks(folder):
    done = call(folder, "verify", "--dry-run", "--data")
    assert done.returncode == 0
    for name in ("pods of staging-infra Running", "postgres: psql -l", "redis: redis-cli ping", "HTTP through /auth/api/v3/", "WebSocket through /auth/",
                 "pods of all namespaces", "user interface at /auth/", "data survives new pods"):
        assert f"  {name}\n" in done.stdout


def test_names_of_the_two_environments_differ():
    """`kamaji local` and staging must not touch each other."""
    assert re.search(r"\bname=staging\b", (ROOT / "scripts" / "lib" / "staging.sh").read_text())
    assert '#define LOCAL_DEFAULT_NAME "kamaji"' in (ROOT / "src" / "local" / "environment.h").read_text()

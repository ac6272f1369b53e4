# SPDX-License-Identifier: Apache-2.0
"""Command lines as people type them, right and wrong: help that is complete, answers that can be parsed, errors that say what to do."""
import hashlib
import io
import json
import os
import pathlib
import subprocess
import tarfile

import pytest
from local_cluster import LocalCluster
from manager_process import binary

COMMANDS = ["manager", "datastore", "datastore import", "why", "version", "tenant", "tenant create", "tenant list", "tenant kubeconfig",
            "tenant delete", "local", "local up", "local down", "local status", "local doctor", "local kubeconfig", "local components",
            "local image", "local worker add", "local worker remove", "takeover", "handback"]


def kamaji(*arguments: str, code: int = 0) -> str:
    done = subprocess.run([binary(), *arguments], capture_output=True, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL,
                          env={**os.environ, "KUBECONFIG": "/nonexistent"})
    assert done.returncode == code, f"exit {done.returncode}: {done.stdout}{done.stderr}"
    assert "\033[" not in done.stdout + done.stderr, "no colours but on a terminal"
    return done.stdout + done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_complete(command):
    text = kamaji(*command.split(), "--help")
    assert "Usage: kamaji " in text and "Examples:\n" in text and "Exit codes: 0 " in text and "2 wrong" in text
    assert "(may be repeated) (may be repeated)" not in text and "; may be repeated (" not in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_that_help_shows_in_an_example_is_known(command):
    text = kamaji(*command.split(), "--help")
    options = {word.split("=")[0] for line in text.splitlines() if line.startswith("  --") for word in line.split()[:1]}
    shown = text[text.index("Examples:\n"):text.index("Exit codes")] if text.index("Exit codes") > text.index("Examples:\n") else \
        text[text.index("Examples:\n"):text.index("\n\n", text.index("Examples:\n"))]
    own = [line for line in shown.splitlines() if line.strip().startswith(f"kamaji {command} ")]
    for line in own:
        used = {word.split("=")[0] for word in line.split() if word.startswith("--")}
        assert not options or used <= options, f"{line}: {used - options}"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_is_its_own(command):
    assert kamaji("help", *command.split()) == kamaji(*command.split(), "--help")


@pytest.mark.parametrize("option, said", [
    ("--listen-client-urls=localhost:2379", '--listen-client-urls: "localhost:2379" does not begin with http://'),
    ("--listen-client-urls=https://127.0.0.1:0", "needs --cert-file and --key-file"),
    ("--listen-metrics-urls=https://127.0.0.1:0", "--listen-metrics-urls: only http:// is supported"),
    ("--listen-metrics-urls=127.0.0.1:9", '--listen-metrics-urls: "127.0.0.1:9" does not begin with'),
    ("--auto-compaction-retention=never", "--auto-compaction-retention")])
def test_a_store_that_is_asked_for_wrongly_leaves_no_folder(tmp_path, option, said):
    folder = tmp_path / "data"
    assert said in kamaji("datastore", f"--data-dir={folder}", "--listen-client-urls=http://127.0.0.1:0", option, code=2)
    assert not folder.exists()


def test_output_in_both_spellings():
    assert json.loads(kamaji("version", "-o", "json")) == json.loads(kamaji("version", "--output", "json"))


@pytest.mark.parametrize("command", ["version", "tenant list", "why x", "local status", "local doctor", "local worker add a b"])
def test_wrong_output_is_told_as_it_was_typed(command):
    said = kamaji(*command.split(), "-o", "yaml", code=2)
    assert '-o: "yaml" is none of ' in said and "--o:" not in said


def test_unknown_options_and_commands():
    assert "unknown option -z" in kamaji("version", "-z", code=2)
    assert "did you mean --name?" in kamaji("local", "up", "--nam", "x", code=2)
    assert "the commands are " in kamaji("loacl", code=2)
    assert "`kamaji local --help` lists them" in kamaji("local", "pu", code=2)


def test_image_for_a_cluster_of_ones_own(tmp_path: pathlib.Path):
    """An OCI archive whose index, manifest, configuration and layer belong together, with this very program in it."""
    path = tmp_path / "kamaji.tar"
    told = json.loads(kamaji("local", "image", "--to", str(path), "-o", "json"))
    assert told["path"] == str(path) and told["image"] == "localhost/kamaji:local"
    with tarfile.open(path) as archive:
        def blob(digest: str) -> bytes:
            data = archive.extractfile("blobs/" + digest.replace(":", "/")).read()
            assert "sha256:" + hashlib.sha256(data).hexdigest() == digest
            return data
        index = json.loads(archive.extractfile("index.json").read())
        assert [entry["digest"] for entry in index["manifests"]] == [told["digest"]]
        manifest = json.loads(blob(told["digest"]))
        configuration = json.loads(blob(manifest["config"]["digest"]))["config"]
        assert configuration["Entrypoint"] == ["/kamaji"] and configuration["User"] == "65532:65532"
        with tarfile.open(fileobj=io.BytesIO(blob(manifest["layers"][0]["digest"]))) as layer:
            member = next(item for item in layer if item.name.lstrip("./") == "kamaji")
            assert layer.extractfile(member).read() == pathlib.Path(binary()).read_bytes()
    assert "--to FILE is needed" in kamaji("local", "image", code=2)
    assert "No such file or directory" in kamaji("local", "image", "--to", "/nonexistent/kamaji.tar", code=1)


@pytest.mark.parametrize("arguments, part", [
    (["--name", "Bad_Name"], "--name: the environment name 'Bad_Name' must consist of"),
    (["--name", "x" * 41], "is longer than 40 characters"),
    (["--block", "10.3.0.0/24"], "--block: the block of an environment must be a /16"),
    (["--block", "there"], "--block: 'there' is not an IPv4 range"),
])
def test_wrong_up_makes_nothing(tmp_path: pathlib.Path, arguments, part):
    said = kamaji("local", "up", "--state-dir", str(tmp_path), *arguments, code=2)
    assert part in said and "doctor" not in said
    assert list(tmp_path.iterdir()) == []


def test_status_of_what_is_not_there_names_what_is(tmp_path: pathlib.Path):
    assert "'kamaji local up --name other' makes it." in kamaji("local", "status", "--state-dir", str(tmp_path), "--name", "other", code=1)
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "state.json").write_text("{}")
    said = kamaji("local", "status", "--state-dir", str(tmp_path), code=1)
    assert "'kamaji local up' makes it." in said and f"Environments in {tmp_path}: first (--name NAME shows one)" in said
    found = json.loads(kamaji("local", "status", "--state-dir", str(tmp_path), "-o", "json", code=1))
    assert found["phase"] == "absent"


def test_commands_that_up_tells_work_as_they_stand(tmp_path_factory):
    """Also for an environment of another name in another folder; and going down says what it does."""
    cluster = LocalCluster("told", tmp_path_factory.mktemp("local"))
    try:
        told = cluster.call("up", "--without-operator").stdout.splitlines()
        lines = [line.strip() for line in told[told.index("Admin cluster:"):] if line.startswith("  ")]
        assert len(lines) == 3 and lines[-1].endswith(f" local down --name told --state-dir {cluster.root}"), lines
        for line in lines:
            done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False, timeout=60)
            assert done.returncode == 0, f"{line}: exit {done.returncode}: {done.stdout}{done.stderr}"
        assert "processes and network" in done.stderr and "nothing is left" in done.stderr
        assert cluster.call("status", check=False).returncode == 1
    finally:
        done = cluster.call("down", "--purge", "--quiet")
    assert done.stderr == "" and list(cluster.root.iterdir()) == []

# SPDX-License-Identifier: Apache-2.0
"""Command lines as people type them, right and wrong: help that is complete, answers that can be parsed, errors that say what to do."""
import json
import os
import pathlib
import subprocess

import pytest
from manager_process import binary

COMMANDS = ["manager", "datastore", "datastore import", "why", "version", "tenant", "tenant create", "tenant list", "tenant kubeconfig",
            "tenant delete", "local", "local up", "local down", "local status", "local doctor", "local kubeconfig", "local components",
            "local worker add", "local worker remove"]


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

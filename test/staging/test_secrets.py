# SPDX-License-Identifier: Apache-2.0
"""Credentials: none in git, none in what is rendered, none shown; the generator's values are worth something."""
import math
import os
import pathlib
import re
import subprocess

from render import K8S, OVERLAYS, ROOT, rendered

CREDENTIAL = re.compile(r"^\s*(?:value|[\w.-]*(?:password|secret_key|token))\s*[:=]\s*[\"']?(?!/)[A-Za-z0-9+/=]{24,}[\"']?$", re.IGNORECASE | re.MULTILINE)
EXAMPLES = sorted(K8S.glob("secrets/*.env.example"))


def keys_of(path: pathlib.Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def secrets_script(folder: pathlib.Path, *flags: str) -> subprocess.CompletedProcess:
    return subprocess.run([str(ROOT / "scripts" / "k8s-secrets.sh"), "--secrets", str(folder), *flags], capture_output=True, text=True, timeout=60, check=False)


def git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout


def test_no_credentials_in_git():
    """S-51: what git has of Secrets are examples with placeholders."""
    names = git("ls-files", "k8s").split()
    assert names, "the tree is in git"
    assert not [name for name in names if name.endswith(".env") or name.endswith("secrets.yaml") or ".generated/" in name]
    for name in names:
        text = (ROOT / name).read_text(errors="replace") if (ROOT / name).exists() else ""
        assert not re.search(r"(?m)^kind: Secret$", text), name
        assert not CREDENTIAL.search(text), name


def test_a_credential_would_be_seen():
    for text in ("  POSTGRES_PASSWORD=fT8kq2LmN4pR7sVxZ1aB3cD5", "  AUTHENTIK_SECRET_KEY: \"fT8kq2LmN4pR7sVxZ1aB3cD5\"", "  value: ZlQ4a3EyTG1ONHBSN3NWeFoxYUIzY0Q1"):
        assert CREDENTIAL.search(text), text


def test_git_ignores_real_values():
    for name in ("k8s/secrets/authentik-secrets.env", "k8s/base/authentik/secrets.yaml", "k8s/overlays/local/some.secret.yaml", "k8s/.generated/x/kustomization.yaml"):
        assert git("check-ignore", name).strip() == name
    for example in EXAMPLES:
        assert not git("check-ignore", str(example.relative_to(ROOT)))


def test_examples_hold_placeholders():
    assert len(EXAMPLES) == 5
    for example in EXAMPLES:
        assert set(keys_of(example).values()) == {"change-me"}, example.name


def test_examples_have_what_the_pods_read():
    """S-50: every Secret and key that a pod names is in an example, authentik-secrets with its two keys."""
    there = {(example.name.removesuffix(".env.example"), key) for example in EXAMPLES for key in keys_of(example)}
    wanted = set()
    for overlay in OVERLAYS:
        for item in rendered(f"overlays/{overlay}"):
            for one in item.get("spec", {}).get("template", {}).get("spec", {}).get("containers", []):
                for entry in one.get("env", []):
                    if "valueFrom" in entry:
                        reference = entry["valueFrom"]["secretKeyRef"]
                        wanted.add((reference["name"], reference["key"]))
    assert wanted == there
    assert {("authentik-secrets", "AUTHENTIK_SECRET_KEY"), ("authentik-secrets", "AUTHENTIK_POSTGRES_PASSWORD")} <= there


def test_nothing_rendered_is_a_secret():
    for overlay in OVERLAYS:
        assert not [item for item in rendered(f"overlays/{overlay}") if item["kind"] == "Secret"]


def test_generator(tmp_path):
    """S-53: enough entropy, readable by the owner alone, never shown, never made again."""
    folder = tmp_path / "secrets"
    first = secrets_script(folder)
    assert first.returncode == 0
    values = {}
    for example in EXAMPLES:
        path = folder / example.name.removesuffix(".example")
        assert path.stat().st_mode & 0o777 == 0o600
        made = keys_of(path)
        assert made.keys() == keys_of(example).keys()
        values.update({(path.name, key): value for key, value in made.items()})
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(set(values.values())) == len(values) == 6
    for (_, key), value in values.items():
        assert re.fullmatch(r"[A-Za-z0-9]+", value), "safe in a configuration file, in SQL and in a URL"
        assert len(value) * math.log2(62) >= (350 if key == "AUTHENTIK_SECRET_KEY" else 230), "bits"
        assert value not in first.stdout + first.stderr
    again = secrets_script(folder)
    assert again.returncode == 0 and "5 kept, made: none" in again.stdout
    assert {(path.name, key): value for path in folder.glob("*.env") for key, value in keys_of(path).items()} == values


def test_generator_renews_one(tmp_path):
    secrets_script(tmp_path)
    before = {path.name: path.read_text() for path in tmp_path.glob("*.env")}
    done = secrets_script(tmp_path, "--renew", "redis-secrets")
    after = {path.name: path.read_text() for path in tmp_path.glob("*.env")}
    assert done.returncode == 0 and "made: redis-secrets" in done.stdout
    assert [name for name in before if before[name] != after[name]] == ["redis-secrets.env"]
    wrong = secrets_script(tmp_path, "--renew", "nothing")
    assert wrong.returncode == 2 and "there are: " in wrong.stderr


def test_generator_dry_run(tmp_path):
    done = secrets_script(tmp_path / "none", "--dry-run")
    assert done.returncode == 0 and "authentik-secrets" in done.stdout
    assert not (tmp_path / "none").exists()


def test_no_value_is_an_argument(tmp_path):
    """The scripts give no credential to a program as an argument: all that is run while secrets are made is seen by a shell trace."""
    with open(tmp_path / "trace", "wb") as trace:
        environment = {**os.environ, "BASH_XTRACEFD": str(trace.fileno()), "PS4": "+ "}
        subprocess.run(["bash", "-x", str(ROOT / "scripts" / "k8s-secrets.sh"), "--secrets", str(tmp_path / "s")], env=environment,
                       pass_fds=[trace.fileno()], check=True, capture_output=True, timeout=60)
    values = [value for path in (tmp_path / "s").glob("*.env") for value in keys_of(path).values()]
    external = [line for line in (tmp_path / "trace").read_text().splitlines() if re.match(r"\++ (?!printf|text=|\[)", line)]
    assert external and not [line for line in external for value in values if value in line]


def test_passwords_are_not_arguments_of_containers():
    """What a process is started with is seen by everyone on its node; S-53."""
    for overlay in OVERLAYS:
        for item in rendered(f"overlays/{overlay}"):
            for one in item.get("spec", {}).get("template", {}).get("spec", {}).get("containers", []):
                words = " ".join([*one.get("command", []), *one.get("args", [])])
                assert "$(" not in words, "Kubernetes would put the variable's value into the command line"
                assert not re.search(r"--requirepass|-a \$", words)

# SPDX-License-Identifier: Apache-2.0
"""The tree as kustomize sees it: everything renders, from a fresh clone, without a warning; every patch changes something."""
import pathlib
import re
import shutil
import subprocess

import pytest

from render import CLOUD, K8S, OVERLAYS, ROOT, find, kustomize, kustomize_unchanged, rendered

FOLDERS = [".", "base", *(f"overlays/{name}" for name in OVERLAYS), *(f"ingress/{path.parent.name}" for path in sorted(K8S.glob("ingress/*/kustomization.yaml")))]
DEPRECATED = ("bases", "commonLabels", "imageTags", "patchesJson6902", "patchesStrategicMerge", "vars")
KUSTOMIZATIONS = sorted(path for path in K8S.rglob("kustomization.yaml") if ".generated" not in path.parts)


def references(path: pathlib.Path) -> list[pathlib.Path]:
    """Folders and files that a kustomization names under resources and components."""
    found, section = [], ""
    for line in path.read_text().splitlines():
        if re.match(r"\w+:", line):
            section = line.split(":")[0]
        elif section in ("resources", "components") and re.match(r"\s+- \S+$", line):
            found.append((path.parent / line.strip()[2:]).resolve())
    return found


def reached(path: pathlib.Path) -> set[pathlib.Path]:
    all_files = {path}
    for target in references(path):
        if target.is_dir():
            all_files |= reached(target / "kustomization.yaml")
    return all_files


def split_patches(text: str) -> list[str]:
    """The items of a kustomization's patches:, as written."""
    lines, items, inside = text.splitlines(keepends=True), [], False
    for line in lines:
        if re.match(r"\w+:", line):
            inside = line.startswith("patches:")
        elif inside and line.startswith("  - target:"):
            items.append(line)
        elif inside and items and line.startswith("    "):
            items[-1] += line
    return items


def aimed_elsewhere(patch: str) -> str:
    """The same patch with a target that nothing has."""
    assert patch.startswith("  - target:\n      kind: ")
    return re.sub(r"(?m)^      kind: \S+", "      kind: NoSuchKind", patch, count=1)


PATCHES = [(path, number) for path in KUSTOMIZATIONS for number in range(len(split_patches(path.read_text())))]


def test_tree():
    """S-03: the folders that the text names."""
    for name in ("kustomization.yaml", "base/kustomization.yaml", "base/namespaces", "base/postgres", "base/redis", "base/authentik",
                 "overlays/local/kustomization.yaml", "overlays/local/kind-cluster-config.yaml", "overlays/staging/kustomization.yaml",
                 "overlays/production/kustomization.yaml"):
        assert (K8S / name).exists(), name
    for name in ("k8s-setup.sh", "k8s-deploy.sh", "k8s-teardown.sh"):
        assert (ROOT / "scripts" / name).stat().st_mode & 0o111, name


@pytest.mark.parametrize("folder", FOLDERS)
def test_renders_without_a_warning(folder):
    code, out, errors = kustomize_unchanged(K8S / folder)
    assert (code, errors) == (0, "")
    assert out.count("\nkind: ") >= 7


def test_the_top_is_the_local_overlay():
    assert rendered(".") == rendered("overlays/local")


@pytest.mark.parametrize("path", KUSTOMIZATIONS, ids=lambda path: str(path.parent.relative_to(K8S)))
def test_nothing_deprecated(path):
    keys = [line.split(":")[0] for line in path.read_text().splitlines() if re.match(r"\w+:", line)]
    assert not set(keys) & set(DEPRECATED)
    assert "namespace" not in keys, "it would move every object of a tree with several namespaces"


def test_every_kustomization_is_used():
    roots = [K8S / folder / "kustomization.yaml" for folder in FOLDERS]
    used = set().union(*(reached(path.resolve()) for path in roots))
    assert {path.resolve() for path in KUSTOMIZATIONS} == used


def test_renders_from_a_fresh_clone(tmp_path):
    """Only what git has: no file of credentials, nothing generated."""
    names = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "k8s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in names:
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    for folder in ["base", *(name for name in FOLDERS if name.startswith("overlays/"))]:
        assert kustomize(tmp_path / "k8s" / folder) == kustomize_unchanged(K8S / folder), folder


@pytest.mark.parametrize("path,number", PATCHES, ids=[f"{path.parent.relative_to(K8S)}-{number}" for path, number in PATCHES])
def test_patch_matches_something(path, number, tmp_path):
    """kustomize is silent when a patch's target is not there. Every folder that reaches the patch must render differently when the patch
    is aimed at something that does not exist."""
    copy = tmp_path / "k8s"
    shutil.copytree(K8S, copy, ignore=shutil.ignore_patterns(".generated", "offline", "*.env"))
    patch = split_patches(path.read_text())[number]
    changed = copy / path.relative_to(K8S)
    assert changed.read_text().count(patch) == 1
    changed.write_text(changed.read_text().replace(patch, aimed_elsewhere(patch)))
    seen = 0
    for folder in FOLDERS:
        if path.resolve() in reached((K8S / folder / "kustomization.yaml").resolve()):
            code, out, errors = kustomize(copy / folder)
            assert code == 0, errors
            assert out != kustomize_unchanged(K8S / folder)[1], f"the patch changes nothing in {folder}"
            seen += 1
    assert seen


def test_a_patch_without_a_match_is_found(tmp_path):
    """The check above sees what kustomize passes over."""
    text = ("resources: [object.yaml]\npatches:\n  - target:\n      kind: Deployment\n      name: nobody\n    patch: |-\n"
            "      - op: remove\n        path: /spec\n")
    (tmp_path / "kustomization.yaml").write_text(text)
    (tmp_path / "object.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: any\n")
    before = kustomize(tmp_path)
    assert before[0] == 0 and before[2] == "", "kustomize does not complain"
    (patch,) = split_patches(text)
    (tmp_path / "kustomization.yaml").write_text(text.replace(patch, aimed_elsewhere(patch)))
    assert kustomize(tmp_path)[1] == before[1], "without a difference: test_patch_matches_something would fail"


# --- overlays (S-70 to S-73, S-44) ------------------------------------------------------------------------------------------------


def test_local_overlay():
    """S-71: memory limits patched by name, the example's 512Mi; the caches keep theirs; the kind configuration lies beside it."""
    def limit(where, name):
        return find(where, "Deployment", name)["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"]

    assert limit("overlays/local", "authentik-worker") == "512Mi" != limit("base", "authentik-worker")
    assert limit("overlays/local", "authentik-server") == "512Mi"
    assert limit("overlays/local", "redis") == limit("base", "redis") == "256Mi"


@pytest.mark.parametrize("overlay", CLOUD)
def test_cloud_overlays(overlay):
    """S-72, S-73: the storage class of every claim is patched, memory limits rise to 1Gi, in production to more."""
    wanted = "2Gi" if overlay == "production" else "1Gi"
    for kind, name in (("Deployment", "authentik-server"), ("StatefulSet", "postgres"), ("StatefulSet", "authentik-postgres")):
        limits = find(f"overlays/{overlay}", kind, name)["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
        assert limits["memory"] == wanted, name
    assert find(f"overlays/{overlay}", "Deployment", "redis")["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] == "256Mi"
    assert find(f"overlays/{overlay}", "Ingress", "authentik")["spec"]["rules"][0]["host"]


@pytest.mark.parametrize("overlay,provisioner", [("local", "rancher.io/local-path"), ("staging", "pd.csi.storage.gke.io"), ("staging-eks", "ebs.csi.aws.com"),
                                                 ("staging-aks", "disk.csi.azure.com"), ("production", "pd.csi.storage.gke.io")])
def test_storage_of_each_cloud(overlay, provisioner):
    """S-41, S-44: every claim of the overlay lies in a class that keeps the volume, made by the cloud's own driver."""
    storage = find(f"overlays/{overlay}", "StorageClass", "staging-retain")
    assert (storage["provisioner"], storage["reclaimPolicy"], storage["volumeBindingMode"]) == (provisioner, "Retain", "WaitForFirstConsumer")
    claims = [item for item in rendered(f"overlays/{overlay}") if item["kind"] == "PersistentVolumeClaim"]
    assert len(claims) >= 4 and all(item["spec"]["storageClassName"] == "staging-retain" for item in claims)


def test_components_that_can_be_switched_on():
    """Phase two, made real: each of them adds its objects to the overlays that name it, and to no other."""
    kinds = {overlay: [item["kind"] for item in rendered(f"overlays/{overlay}")] for overlay in OVERLAYS}
    for overlay in OVERLAYS:
        cloud = overlay in CLOUD
        assert (kinds[overlay].count("NetworkPolicy") >= 6) == cloud, overlay
        assert (kinds[overlay].count("PodDisruptionBudget") == 5) == cloud, overlay
        assert (kinds[overlay].count("HorizontalPodAutoscaler") == 2) == (overlay == "production"), overlay
        assert ("HTTPRoute" in kinds[overlay], "Ingress" in kinds[overlay]) == (overlay.endswith("-gateway"), not overlay.endswith("-gateway")), overlay


def test_autoscaled_workloads_name_no_number():
    for item in rendered("overlays/production"):
        if item["kind"] == "HorizontalPodAutoscaler":
            target = find("overlays/production", "Deployment", item["spec"]["scaleTargetRef"]["name"])
            assert "replicas" not in target["spec"], "every apply would undo the autoscaler"
            assert target["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"]


def selects(selector: dict, labels: dict) -> bool:
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


@pytest.mark.parametrize("overlay", CLOUD)
def test_policies_and_budgets_select_pods(overlay):
    """A selector that matches nothing protects nothing."""
    items = rendered(f"overlays/{overlay}")
    labels = [item["spec"]["template"]["metadata"]["labels"] for item in items if item["kind"] in ("Deployment", "StatefulSet")]
    for item in items:
        if item["kind"] in ("NetworkPolicy", "PodDisruptionBudget"):
            selector = item["spec"].get("podSelector") or item["spec"].get("selector") or {}
            assert any(selects(selector, one) for one in labels), item["metadata"]["name"]

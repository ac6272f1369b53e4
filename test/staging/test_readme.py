# SPDX-License-Identifier: Apache-2.0
"""The README has the sections that others point to; CHECKS.md names a test for every requirement, and the tests exist."""
import re

from render import K8S, ROOT

README = (K8S / "README.md").read_text()
NUMBERS = [*range(1, 6), *range(10, 16), *range(20, 27), *range(30, 35), *range(40, 45), *range(50, 54), *range(60, 64), *range(70, 75), 80, 81, 82, 90, 91]


def anchors(text: str) -> list[str]:
    headings = re.findall(r"(?m)^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings]


def section(name: str) -> str:
    found = re.search(rf"(?m)^(#+) {re.escape(name)}\n(.*?)(?=^#{{2,3}} |\Z)", README, re.DOTALL)
    assert found, name
    return found.group(2)


def test_sections():
    wanted = {"scripts", "deploying", "deploying-core-backend", "deploying-ai-service", "deploying-web-client", "secrets", "rotating-secrets",
              "backup-and-restore", "reset", "cloud-migration", "gke", "eks", "aks", "troubleshooting", "decision-log", "future-phases"}
    assert wanted <= set(anchors(README))
    for script in ROOT.glob("scripts/k8s-*.sh"):
        assert script.name in section("Scripts"), script.name
    assert "External Secrets Operator" in section("Secrets")
    assert "ALTER ROLE" in section("Rotating secrets") and "every session ends" in section("Rotating secrets")
    assert "delete pvc" in section("Reset") and "delete pv " in section("Reset")


def test_links_lead_somewhere():
    there = set(anchors(README))
    assert not {target for target in re.findall(r"\]\(#([\w-]+)\)", README)} - there
    for other in [ROOT / "scripts" / name for name in ("k8s-setup.sh", "k8s-secrets.sh")]:
        assert not {target for target in re.findall(r"k8s/README\.md#([\w-]+)", other.read_text())} - there
    for name in re.findall(r"\]\(([\w./-]+\.md)\)", README):
        assert (K8S / name).exists(), name


def test_cloud_commands():
    """S-74: the clusters of the text, and the overlay of each."""
    assert "gcloud container clusters create wrightnow-staging --zone us-central1-a --num-nodes 3" in section("GKE") and "--overlay staging " in section("GKE")
    assert "eksctl create cluster --name wrightnow-staging --region us-west-2 --nodes 3" in section("EKS") and "--overlay staging-eks" in section("EKS")
    assert "az aks create --resource-group wrightnow --name wrightnow-staging --node-count 3" in section("AKS") and "--overlay staging-aks" in section("AKS")


def test_decision_log():
    rows = re.findall(r"(?m)^\| (\d{4}-\d\d-\d\d) \| (.+?) \| (.+?) \| (\w.+?) \|$", section("Decision log"))
    assert [row[0] for row in rows].count("2025-11-11") == 6, "those of the text"
    assert len(rows) >= 14 and [row[0] for row in rows] == sorted(row[0] for row in rows)


def test_future_phases():
    text = section("Future phases")
    for word in ("Prometheus", "Grafana", "ELK", "EFK", "Jaeger", "HorizontalPodAutoscaler", "VerticalPodAutoscaler", "PodDisruptionBudgets", "NetworkPolicies",
                 "Istio", "Linkerd", "mTLS", "traffic shaping", "circuit breakers"):
        assert word in text, word


def test_what_was_not_run_is_said():
    text = section("What has not been run")
    for word in ("Real authentik", "kind", "clouds", "ingress-nginx", "Valkey"):
        assert word in text, word


def test_every_requirement_has_a_check():
    rows = re.findall(r"(?m)^\| S-(\d+) \| .+? \| (.+) \|$", (K8S / "CHECKS.md").read_text())
    assert [int(number) for number, _ in rows] == NUMBERS
    for number, checks in rows:
        named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", checks)
        assert named, f"S-{number}"
        for name, function in named:
            assert re.search(rf"(?m)^def {function}\(", (ROOT / "test" / "staging" / name).read_text()), f"S-{number}: {name}::{function}"

# SPDX-License-Identifier: Apache-2.0
"""Upstream's answers at admission against our validation: what its webhook refuses, ours refuses; what it accepts, ours accepts, but for
what can never work."""
import json

import pytest
from captured import ADMISSION_ANSWERS, REFUSED, SCHEMA, admission_answers, base_spec, change

# What needs the API server: does the object that is named exist?
OUTSIDE = ("DataStore does not exist", "Gateway API")


def tenant(spec: dict) -> dict:
    return {"apiVersion": "kamaji.clastix.io/v1alpha1", "kind": "TenantControlPlane", "metadata": {"name": "adm", "namespace": "golden"},
            "spec": spec}


@pytest.fixture(scope="module")
def answers(render) -> list[dict]:
    """Every captured case with our problems."""
    base = base_spec(render)
    found = []
    for case in admission_answers(render):
        first = change(base, case.get("first", {}))
        documents = [tenant(change(first, case.get("spec_changes", case.get("patch"))))]
        if case["operation"] == "UPDATE":
            documents.append(tenant(first))
        problems = render.run("\n---\n".join(json.dumps(document) for document in documents), "--validate")
        found.append(dict(case, problems=problems))
    return found


def test_all_cases_are_there(answers) -> None:
    assert len(answers) == ADMISSION_ANSWERS
    accepted = {case["case"] for case in answers if case["answer"] == "accepted"}
    assert REFUSED.keys() <= accepted


def test_what_upstream_refuses_is_refused(answers) -> None:
    missed = []
    for case in answers:
        message = case["message"] or ""
        if case["answer"] != "refused" or SCHEMA in message or any(text in message for text in OUTSIDE):
            continue
        if "doc is missing path" in message:
            continue  # a defect of upstream: the patch of its own webhook cannot be applied
        if not any(problem["upstream"] for problem in case["problems"]):
            missed.append(f"{case['case']}: {message}")
    assert not missed, "\n".join(missed)


def test_what_upstream_accepts_is_accepted_or_can_never_work(answers) -> None:
    wrong = []
    for case in answers:
        blocking = [problem for problem in case["problems"] if not problem["hint"]]
        if case["answer"] != "accepted" or not blocking:
            continue
        if blocking[0]["field"] != REFUSED.get(case["case"]):
            wrong.append(f"{case['operation']} {case['case']}: {blocking}")
    assert not wrong, "\n".join(wrong)

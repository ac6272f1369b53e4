# SPDX-License-Identifier: Apache-2.0
"""What judges in test_chaos.py is judged: the clients find nothing where nothing is wrong, and every loss that is made behind their backs."""
import time

import pytest
from api_client import ApiError
from chaos_clients import NAMESPACE, Clients, contents
from harness import component

WRITE_SECONDS = 5


@pytest.fixture(scope="module")
def clients(harness):
    running = Clients("harness", component("kubectl"), str(harness.folder / "observer.kubeconfig"), 2, 20261121)
    running.start()
    time.sleep(WRITE_SECONDS)
    running.end()
    return running


@pytest.fixture
def records(clients):
    """(some that live, some that are deleted); what the last test found and spoiled is forgotten."""
    clients.tally.wrong.clear()
    mine = clients.clients[0]
    return mine.live, [record for record in mine.ended if record.allowed == [None]]


def verify(clients) -> list[str]:
    clients.verify()
    return clients.tally.wrong


def test_nothing_is_wrong(clients, records):
    live, deleted = records
    assert clients.tally.writes > 20 and live and deleted and not clients.tally.failures
    assert verify(clients) == []


def test_losses_are_found(harness, clients, records):
    live, deleted = records
    harness.api.delete("configmap", live[0].name, NAMESPACE)
    assert verify(clients) == [f"harness: at the end {live[0].name} is None, may be {live[0].allowed}"]
    # Looked at in passing it is found, too, and told once.
    clients.tally.wrong.clear()
    lost = live[0]
    clients.clients[0].look(lost)
    assert len(clients.tally.wrong) == 1 and lost not in clients.clients[0].live
    clients.tally.wrong.clear()
    assert verify(clients) == []


def test_a_deleted_one_that_is_back_is_found(harness, clients, records):
    _, deleted = records
    name = deleted[0].name
    harness.api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": NAMESPACE}, "data": contents(name, 1)})
    assert verify(clients) == [f"harness: at the end {name} is 1, may be [None]"]
    harness.api.delete("configmap", name, NAMESPACE)


@pytest.mark.parametrize("data", [{"number": "0", "digest": None}, {"digest": "changed"}], ids=["older", "spoiled"])
def test_other_contents_are_found(harness, clients, records, data):
    record = records[0][-1]
    change = contents(record.name, 0) if data.get("number") == "0" else data
    harness.api.call("PATCH", harness.api.path("configmap", record.name, NAMESPACE), {"data": change}, "application/merge-patch+json")
    assert [text for text in verify(clients) if f" {record.name} is " in text], clients.tally.wrong
    clients.tally.wrong.clear()
    clients.clients[0].update(record)  # the version is another's
    assert any("409" in text for text in clients.tally.wrong), clients.tally.wrong
    clients.clients[0].look(record)
    clients.tally.wrong.clear()
    clients.clients[0].update(record)
    assert verify(clients) == []


@pytest.mark.parametrize("happened", [True, False], ids=["happened", "did not happen"])
def test_what_was_not_answered_may_be_either(clients, records, monkeypatch, happened):
    """Both are right until it is read or something newer is acknowledged; then only one is."""
    record, mine = records[0][-2], clients.clients[0]
    before, ask = record.number, clients.api.call

    def unanswered(*request):
        if happened:
            ask(*request)
        raise ApiError(0, "no answer")

    with monkeypatch.context() as patch:
        patch.setattr(clients.api, "call", unanswered)
        mine.update(record)
    assert record.doubtful and record.allowed == [before, before + 1]
    assert verify(clients) == []
    mine.look(record)
    assert not record.doubtful and record.allowed == ([before + 1] if happened else [before, before + 1])
    mine.update(record)
    assert record.allowed == [before + 2] and verify(clients) == []

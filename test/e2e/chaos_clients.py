# SPDX-License-Identifier: Apache-2.0
"""Clients that write, read and delete ConfigMaps without a pause while servers die, and that know what must be there afterwards.

Every request that changes something names the version it changes. So one that was never answered can come true late only while nothing
newer was acknowledged, and what was acknowledged can never be undone by it: each ConfigMap has a small set of contents it may have.
"""
from __future__ import annotations

import collections
import dataclasses
import hashlib
import random
import threading
import time

from api_client import ApiClient, ApiError

NAMESPACE = "chaos"
PAUSE_SECONDS = 0.05          # between requests: load enough to be in the middle of something at every kill, on two cores
PAUSE_AFTER_FAILURE = 0.2
ANSWER_SECONDS = 10           # a request without an answer for so long has failed
LIVE_MAX = 60                 # ConfigMaps of one client that live at once
PAGE = 500


def contents(name: str, number: int) -> dict:
    return {"number": str(number), "digest": hashlib.sha256(f"{name} {number}".encode()).hexdigest()}


@dataclasses.dataclass
class Record:
    """A ConfigMap of one client. `allowed`: numbers of the contents that it may have, None for absent. The first is what was last known."""
    name: str
    allowed: list[int | None]
    number: int = 0               # of the last contents that were asked for
    version: str = ""             # resourceVersion of what was last known
    doubtful: bool = False        # the last change was not answered: to be read before anything else

    def settle(self, outcome: int | None, version: str) -> None:
        self.allowed, self.version, self.doubtful = [outcome], version, False


class Tally:
    """What the clients of one API server have seen."""

    def __init__(self, name: str):
        self.name, self.lock = name, threading.Lock()
        self.writes = self.reads = 0
        self.failures: collections.Counter = collections.Counter()
        self.wrong: list[str] = []
        self.last_write = self.begin = time.monotonic()
        self.longest_gap, self.gap_end = 0.0, self.begin

    def acknowledged(self) -> None:
        with self.lock:
            now = time.monotonic()
            if now - self.last_write > self.longest_gap:
                self.longest_gap, self.gap_end = now - self.last_write, now
            self.last_write = now
            self.writes += 1

    def read(self) -> None:
        with self.lock:
            self.reads += 1

    def failed(self, error: ApiError) -> None:
        with self.lock:
            self.failures[str(error.status or "no answer")] += 1

    def found_wrong(self, text: str) -> None:
        with self.lock:
            self.wrong.append(f"{self.name}: {text}")


class Client(threading.Thread):
    """One writer of its own ConfigMaps. `stop` ends it after the request under way."""

    def __init__(self, api: ApiClient, tally: Tally, identity: str, seed: int, stop: threading.Event):
        super().__init__(name=f"{tally.name}-{identity}", daemon=True)
        self.api, self.tally, self.identity, self.ending = api, tally, identity, stop
        self.dice = random.Random(seed)
        self.live: list[Record] = []
        self.ended: list[Record] = []
        self.made = 0

    # --- requests ---------------------------------------------------------------------------------------------------

    def path(self, record: Record) -> str:
        return self.api.path("configmap", record.name, NAMESPACE)

    def body(self, record: Record) -> dict:
        metadata = {"name": record.name, "namespace": NAMESPACE}
        if record.version:
            metadata["resourceVersion"] = record.version
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": contents(record.name, record.number)}

    def change(self, record: Record, method: str, path: str, body: dict, outcome: int | None) -> bool:
        """Asks for it. Unanswered it may have happened; refused for its version, what is known must have been in doubt before."""
        certain = len(record.allowed) == 1
        record.allowed.append(outcome)
        try:
            reply = self.api.call(method, path, body)
        except ApiError as error:
            record.doubtful = True
            self.tally.failed(error)
            if 400 <= error.status < 500:  # refused: it has not happened and will not
                record.allowed.pop()
            if certain and (error.status == 409 or (error.status == 404 and method != "POST")):
                self.tally.found_wrong(f"{method} {record.name}, last known {record.allowed[0]} at {record.version}: {error}")
            return False
        record.settle(outcome, reply["metadata"]["resourceVersion"] if outcome is not None else "")
        self.tally.acknowledged()
        return True

    def create(self) -> None:
        self.made += 1
        record = Record(f"{self.identity}-{self.made:06d}", [None], number=1)
        self.live.append(record)
        self.change(record, "POST", self.api.path("configmap", "", NAMESPACE), self.body(record), 1)

    def update(self, record: Record) -> None:
        record.number += 1
        self.change(record, "PUT", self.path(record), self.body(record), record.number)

    def delete(self, record: Record) -> None:
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"resourceVersion": record.version}}
        if self.change(record, "DELETE", self.path(record), options, None):
            self.end(record)

    def end(self, record: Record) -> None:
        self.live.remove(record)
        self.ended.append(record)

    def look(self, record: Record) -> None:
        """Reads it: it must be one of what it may be. What was in doubt and is seen has happened; not seen, it may still."""
        try:
            item = self.api.call("GET", self.path(record))
        except ApiError as error:
            if error.status != 404:
                self.tally.failed(error)
                return
            item = None
        self.tally.read()
        seen = number_of(item) if item else None
        if seen not in record.allowed:
            self.tally.found_wrong(f"{record.name} is {seen}, may be {record.allowed}")
        if seen != record.allowed[0] or seen not in record.allowed:
            record.settle(seen, item["metadata"]["resourceVersion"] if item else "")
        record.doubtful = False
        # A creation that was not answered and is not there is left alone: it may come true, and is allowed to.
        if seen is None and record in self.live:
            self.end(record)

    # --- life -------------------------------------------------------------------------------------------------------

    def step(self) -> None:
        doubtful = next((record for record in self.live if record.doubtful), None)
        if doubtful:
            self.look(doubtful)
            return
        action = self.dice.choices(["create", "update", "delete", "read", "read ended"], [25, 40, 15, 15, 5])[0]
        if not self.live or (action == "create" and len(self.live) < LIVE_MAX):
            self.create()
        elif action == "read ended":
            if self.ended:
                self.look(self.dice.choice(self.ended))
        else:
            {"create": self.update, "update": self.update, "delete": self.delete, "read": self.look}[action](self.dice.choice(self.live))

    def run(self) -> None:
        while not self.ending.is_set():
            failed = sum(self.tally.failures.values())
            try:
                self.step()
            except Exception as error:  # a client that ends unseen would prove nothing
                self.tally.found_wrong(f"client {self.identity} ended: {type(error).__name__}: {error}")
                raise
            self.ending.wait(PAUSE_AFTER_FAILURE if sum(self.tally.failures.values()) > failed else PAUSE_SECONDS)


def number_of(item: dict) -> int | str:
    """The number of its contents; a text when they are nobody's."""
    data = item.get("data") or {}
    number = int(data.get("number", 0))
    return number if data == contents(item["metadata"]["name"], number) else f"spoiled: {data}"


class Clients:
    """All clients of one API server."""

    def __init__(self, name: str, kubectl: str, kubeconfig: str, count: int, seed: int):
        self.stop = threading.Event()
        self.tally = Tally(name)
        self.api = ApiClient(kubectl, kubeconfig, timeout=ANSWER_SECONDS)
        self.clients = [Client(self.api, self.tally, f"writer-{number}", seed + number, self.stop) for number in range(count)]

    def start(self) -> None:
        self.api.call("POST", self.api.path("namespace"), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        self.tally.last_write = time.monotonic()
        for client in self.clients:
            client.start()

    def end(self) -> None:
        self.stop.set()
        for client in self.clients:
            client.join(ANSWER_SECONDS * 2)
            if client.is_alive():
                self.tally.found_wrong(f"client {client.identity} does not end")

    def everything(self) -> dict[str, int | str]:
        """What is there, by name, page by page."""
        found, more = {}, ""
        while True:
            page = self.api.call("GET", f"{self.api.path('configmap', '', NAMESPACE)}?limit={PAGE}{more}")
            found |= {item["metadata"]["name"]: number_of(item) for item in page["items"] if item["metadata"]["name"].startswith("writer-")}
            token = page["metadata"].get("continue")
            if not token:
                return found
            more = f"&continue={token}"

    def verify(self) -> int:
        """Compares everything there with everything acknowledged; how many ConfigMaps were compared."""
        found = self.everything()
        records = [record for client in self.clients for record in client.live + client.ended]
        for record in records:
            seen = found.pop(record.name, None)
            if seen not in record.allowed:
                self.tally.found_wrong(f"at the end {record.name} is {seen}, may be {record.allowed}")
        for name in found:
            self.tally.found_wrong(f"at the end {name} is there, and nobody made it")
        return len(records)

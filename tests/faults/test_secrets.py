"""A whole life of the service at its most talkative: nothing that it shows holds a secret, a signature or a person."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from bridge.store import Store, inbox, open_store, outbox, schema
from bridge.store.inbox import InboxStatus
from bridge.store.outbox import DeliveryStatus
from processors import processors
from processors.interface import SignedWebhook
from tests.fake_pulsora import Reply, ScriptedPulsora
from tests.faults.service import SECRETS, Service, free_port, running
from tests.settings import ADMIN_TOKEN, PADDLE_SECRET, STRIPE_SECRET, TOKEN

API_KEYS = {
    "STRIPE_API_KEY": "rk_test_fake_key_of_the_tests",
    "PADDLE_API_KEY": "pdl_sdbx_apikey_fake_key_of_the_tests",
}
KEYS = {"stripe": STRIPE_SECRET, "paddle": PADDLE_SECRET}
PERSON = {
    "name": "Grete Hermannsdottir",
    "email": "grete.private@example.org",
    "phone": "+49 30 5550199",
    "line1": "Lindenallee 99a",
    "city": "Hintertupfingen",
    "postal_code": "37073-77",
    "last4": "0341",
    "tax": "DE811907980",
}
ADDRESS = {name: PERSON[name] for name in ("line1", "city", "postal_code")}
WHO: Mapping[str, Any] = {name: PERSON[name] for name in ("name", "email", "phone")} | {"address": ADDRESS}
CARD: Mapping[str, Any] = {"card": {"last4": PERSON["last4"], "brand": "visa"}, "type": "card"}
OF_STRIPE: Mapping[str, Any] = {
    **{f"customer_{key}": value for key, value in WHO.items()},
    "customer_details": {**WHO, "tax_ids": [{"type": "eu_vat", "value": PERSON["tax"]}]},
    "billing_details": WHO,
    "receipt_email": PERSON["email"],
    "shipping": WHO,
    "payment_method_details": CARD,
}
OF_PADDLE: Mapping[str, Any] = {
    "customer": WHO,
    "address": {**ADDRESS, "first_line": PERSON["line1"]},
    "business": {"name": PERSON["name"], "tax_identifier": PERSON["tax"], "contacts": [WHO]},
    "payments": [{"method_details": {**CARD, "card": {**CARD["card"], "cardholder_name": PERSON["name"]}}}],
}
ODD: Sequence[Mapping[str, Any]] = ({"amount": WHO}, {"currency": WHO}, {"created": WHO}, {"status": [WHO]})
BORN = datetime.now(UTC) - timedelta(days=90)
PATIENCE_SECONDS = 90
REFUSAL = Reply(
    status=401,
    body=json.dumps({"error": f"{TOKEN} of {PERSON['email']} is wrong, Authorization: Bearer {TOKEN}"}).encode(),
)
DISLIKE = Reply(status=400, body=json.dumps({"message": f"x-api-token={TOKEN} {PERSON['email']}"}).encode())
PAGES = ("metrics", "readyz", "healthz", "admin/", "admin/events", "admin/deliveries", "admin/deliveries?status=dead")
COMMANDS = (["status"], ["check"], ["events", "list"], ["deliveries", "list"])
DRIVER = """
import json, sys
from bridge.cli import main

for command in json.loads(sys.argv[1]):
    print("$", *command)
    try:
        main(command)
    except SystemExit as ended:
        print("ended with", ended.code or 0, flush=True)
"""
UNDONE = {InboxStatus.RECEIVED, InboxStatus.WAITING, DeliveryStatus.PENDING, DeliveryStatus.HELD}


@dataclass(kw_only=True)
class Shown:
    """Everything that could be seen from outside, by where; and the signatures that were sent in."""

    texts: dict[str, str] = field(default_factory=dict)
    signatures: set[str] = field(default_factory=set)

    def answer(self, where: str, answer: requests.Response) -> requests.Response:
        """Keeps an answer: head and body."""
        self.texts[f"{len(self.texts)} {where}"] = f"{answer.status_code} {answer.headers}\n{answer.text}"
        return answer

    def leaks(self) -> list[str]:
        """Where what must not be seen stands."""
        hidden = [*SECRETS, *API_KEYS.values(), "hunter2", *self.signatures, *PERSON.values()]
        return [
            f"{where}: {line[:300]}"
            for where, text in self.texts.items()
            for line in text.splitlines()
            if any(holds(line, one) for one in hidden)
        ]


def holds(text: str, hidden: str) -> bool:
    """Whether it stands there. The digits of a card do not where they are a part of something longer."""
    return hidden in text and bool(not hidden.isdigit() or re.search(rf"(?<![\w.]){hidden}(?!\w)", text))


def with_a_person(name: str, body: bytes) -> bytes:
    """The webhook with all that a processor knows of its customer."""
    event = json.loads(body)
    found = event["data"]["object"] if name == "stripe" else event["data"]
    found |= OF_STRIPE if name == "stripe" else OF_PADDLE
    if found.get("object") == "customer" or event.get("event_type", "").startswith("customer."):
        found |= WHO
    if isinstance(found.get("metadata"), dict):
        found["metadata"] |= {"email": PERSON["email"], "note": PERSON["name"]}
    if isinstance(found.get("custom_data"), dict):
        found["custom_data"] |= {"email": PERSON["email"], "note": PERSON["name"]}
    return json.dumps(event).encode()


def webhooks(name: str) -> list[SignedWebhook]:
    bodies = processors()[name].scenarios["lifecycle"].events("ada", BORN)
    return [sign(name, with_a_person(name, body)) for body in bodies]


def sign(name: str, body: bytes) -> SignedWebhook:
    return processors()[name].sign(body, KEYS[name], datetime.now(UTC))


def odd_ones() -> Iterator[Mapping[str, Any]]:
    """Webhooks whose fields hold a person where none should be: what is wrong with them is told."""
    charge = {"object": "charge", "amount": 1, "currency": "eur", "customer": WHO}
    for number, spoilt in enumerate(ODD):
        event = {"id": f"evt_odd_{number}", "object": "event", "type": "charge.succeeded", "created": 1767225600}
        yield {**event, "data": {"object": {"id": f"ch_odd_{number}", **charge, **spoilt}}}
    yield {"id": "evt_odd", "object": "event", "type": "charge.succeeded", "created": WHO, "data": {"object": [WHO]}}


def forged(name: str, good: SignedWebhook) -> Iterator[dict[str, str]]:
    """Headers of an unsigned webhook, of half-signed ones, and of one from somebody who mixed up what goes where."""
    (header, value), *_ = good.headers.items()
    digest = value.rpartition("=")[2]
    yield {}
    yield {header: ""}
    yield {header: value[:-1]}
    yield {header: value.replace("=1", "=2", 1)}  # another instant
    yield {header: value.replace(digest, digest[::-1])}
    yield {header: digest}
    yield {header: KEYS[name], "Authorization": f"Bearer {TOKEN}", "Cookie": f"token={ADMIN_TOKEN}"}


def refuse(service: Service, shown: Shown, name: str, good: SignedWebhook) -> None:
    """Posts what must be refused, and what is more or less lost."""
    for headers in forged(name, good):
        answer = requests.post(f"{service.url}/webhooks/{name}", good.body, headers=headers, timeout=10)
        assert shown.answer(f"{name} {headers.keys()}", answer).status_code == 400
    for path in (f"webhooks/{KEYS[name]}", f"webhooks/{PERSON['email']}", f"admin/events/{KEYS[name]}"):
        shown.answer(path, requests.post(f"{service.url}/{path}", good.body, headers=good.headers, timeout=10))
    shown.answer("login", requests.post(f"{service.url}/admin/login", data={"token": ADMIN_TOKEN[:-1]}, timeout=10))
    shown.answer("query", requests.get(f"{service.url}/admin/?token={ADMIN_TOKEN}&status={TOKEN}", timeout=10))
    told = {"visitor_fingerprint": "fp", "session_id": "s", "source": PERSON["email"], "customer_id": "cus_1"}
    operator = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    shown.answer("attributions", requests.post(f"{service.url}/attributions", json=told, headers=operator, timeout=10))


def take(service: Service, shown: Shown, name: str, signed: list[SignedWebhook]) -> None:
    """Posts what must be taken."""
    for webhook in signed:
        shown.signatures |= set(re.findall(r"[0-9a-f]{64}", str(webhook.headers)))
        answer = requests.post(f"{service.url}/webhooks/{name}", webhook.body, headers=webhook.headers, timeout=10)
        assert shown.answer(f"{name} webhook", answer).status_code == 200


def look(service: Service, shown: Shown, rows: Sequence[inbox.InboxRow]) -> None:
    """Looks at every page, and runs every command that shows something of what is stored."""
    operator = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    for path in [*PAGES, *(f"admin/events/{row.id}" for row in rows)]:
        answer = requests.get(f"{service.url}/{path}", headers=operator, timeout=10)
        assert shown.answer(path, answer).status_code == 200
    each = [[*command, row.event_id] for row in rows for command in (["events", "show"], ["explain"])]
    commands = [command + more for command in [*COMMANDS, *each] for more in ([], ["--json"])]
    told = service.run(DRIVER, json.dumps(commands))
    shown.texts["commands"] = told
    assert told.count("ended with 0") >= len(commands) - 2  # `check` finds that this and that could be better


def settle_and_send(service: Service, ingest: ScriptedPulsora, url: str) -> Sequence[inbox.InboxRow]:
    """Waits until the ingest has refused, disliked one event and taken the others; the stored webhooks."""
    disliked: list[object] = []

    def dislike_one(data: object) -> Reply | None:
        if disliked:
            return None
        disliked.append(data)
        return DISLIKE

    store = open_store(url)
    await_(lambda: bool(ingest.received), service)
    ingest.rule = dislike_one
    await_(lambda: is_done(store), service)
    with store.reading() as tx:
        rows = inbox.listing(tx, limit=1000)
    store.close()
    return rows


def is_done(store: Store) -> bool:
    """Whether all is settled and sent. What was put off is brought forward, as if its minutes were over."""
    waiting = schema.outbox.update().where(schema.outbox.c.is_head, schema.outbox.c.leased_by.is_(None))
    with store.transaction() as tx:
        tx.execute(schema.pauses.update().values(until=BORN))
        tx.execute(waiting.values(next_at=BORN, ready_at=BORN))
        found = {status for counts in (inbox.counts(tx), outbox.counts(tx)) for (_, status), n in counts.items() if n}
    return DeliveryStatus.DELIVERED in found and not found & UNDONE


def await_(what: Callable[[], bool], service: Service) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not what():
        assert time.monotonic() < until, service.logged()[-3000:]
        time.sleep(0.2)


@pytest.fixture(name="proxy")
def _proxy() -> str:
    """An address where nobody listens, with a password: what the processors' APIs are asked through."""
    return f"http://bridge:hunter2@127.0.0.1:{free_port()}"


def test_nothing_that_the_service_shows_holds_a_secret_or_a_person(sqlite_url: str, tmp_path: Path, proxy: str) -> None:
    shown = Shown()
    more = {**API_KEYS, "HTTPS_PROXY": proxy, "LOG_LEVEL": "debug", "COLUMNS": "500", "HOLD_HOURS": "0"}
    with (
        ScriptedPulsora(TOKEN, rule=lambda _: REFUSAL) as ingest,
        running(tmp_path, database_url=sqlite_url, endpoint=ingest.endpoint, **more) as service,
    ):
        for name in KEYS:
            good = webhooks(name)
            refuse(service, shown, name, good[0])
            take(service, shown, name, good)
        take(service, shown, "stripe", [sign("stripe", json.dumps(one).encode()) for one in odd_ones()])

        rows = settle_and_send(service, ingest, sqlite_url)
        look(service, shown, [*{row.type: row for row in rows}.values(), *rows[:5]])  # the newest are the odd ones
        shown.texts["the log"] = service.logged()
        sent = b"".join(request.body for request in ingest.received).decode()
    logged = {json.loads(line)["event"] for line in shown.texts["the log"].splitlines() if line.startswith("{")}

    assert {"refused", "source_unknown", "paused", "api_unavailable", "dead", "delivered"} <= logged
    assert shown.leaks() == []
    assert not [value for value in PERSON.values() if holds(sent, value)]

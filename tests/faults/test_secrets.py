"""Runs the service at LOG_LEVEL=debug: no output contains a secret, a signature or personal data."""

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
CONTACT: Mapping[str, Any] = {name: PERSON[name] for name in ("name", "email", "phone")} | {"address": ADDRESS}
CARD: Mapping[str, Any] = {"card": {"last4": PERSON["last4"], "brand": "visa"}, "type": "card"}
OF_STRIPE: Mapping[str, Any] = {
    **{f"customer_{key}": value for key, value in CONTACT.items()},
    "customer_details": {**CONTACT, "tax_ids": [{"type": "eu_vat", "value": PERSON["tax"]}]},
    "billing_details": CONTACT,
    "receipt_email": PERSON["email"],
    "shipping": CONTACT,
    "payment_method_details": CARD,
}
OF_PADDLE: Mapping[str, Any] = {
    "customer": CONTACT,
    "address": {**ADDRESS, "first_line": PERSON["line1"]},
    "business": {"name": PERSON["name"], "tax_identifier": PERSON["tax"], "contacts": [CONTACT]},
    "payments": [{"method_details": {**CARD, "card": {**CARD["card"], "cardholder_name": PERSON["name"]}}}],
}
MALFORMED: Sequence[Mapping[str, Any]] = (
    {"amount": CONTACT},
    {"currency": CONTACT},
    {"created": CONTACT},
    {"status": [CONTACT]},
)
START = datetime.now(UTC) - timedelta(days=90)
PATIENCE_SECONDS = 90
REFUSAL = Reply(
    status=401,
    body=json.dumps({"error": f"{TOKEN} of {PERSON['email']} is wrong, Authorization: Bearer {TOKEN}"}).encode(),
)
REJECTION = Reply(status=400, body=json.dumps({"message": f"x-api-token={TOKEN} {PERSON['email']}"}).encode())
PAGES = (
    "metrics",
    "readyz",
    "healthz",
    "admin/",
    "admin/webhooks",
    "admin/deliveries",
    "admin/deliveries?status=failed",
)
COMMANDS = (["status"], ["events", "list"], ["deliveries", "list"])
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
UNFINISHED = {InboxStatus.RECEIVED, InboxStatus.WAITING, DeliveryStatus.PENDING, DeliveryStatus.HELD}


@dataclass(kw_only=True)
class VisibleOutput:
    """All visible output by location, and the signatures that were sent."""

    texts: dict[str, str] = field(default_factory=dict)
    signatures: set[str] = field(default_factory=set)

    def response(self, where: str, response: requests.Response) -> requests.Response:
        """Adds a response: headers and body."""
        self.texts[f"{len(self.texts)} {where}"] = f"{response.status_code} {response.headers}\n{response.text}"
        return response

    def leaks(self) -> list[str]:
        """The lines that contain a secret."""
        secrets = [*SECRETS, *API_KEYS.values(), "hunter2", *self.signatures, *PERSON.values()]
        return [
            f"{where}: {line[:300]}"
            for where, text in self.texts.items()
            for line in text.splitlines()
            if any(contains(line, one) for one in secrets)
        ]


def contains(text: str, secrets: str) -> bool:
    """Whether the text contains the secret. Digits of a card count only as a whole number."""
    return secrets in text and bool(not secrets.isdigit() or re.search(rf"(?<![\w.]){secrets}(?!\w)", text))


def with_personal_data(name: str, body: bytes) -> bytes:
    """The webhook with all the personal data that a processor may include."""
    event = json.loads(body)
    found = event["data"]["object"] if name == "stripe" else event["data"]
    found |= OF_STRIPE if name == "stripe" else OF_PADDLE
    if found.get("object") == "customer" or event.get("event_type", "").startswith("customer."):
        found |= CONTACT
    if isinstance(found.get("metadata"), dict):
        found["metadata"] |= {"email": PERSON["email"], "note": PERSON["name"]}
    if isinstance(found.get("custom_data"), dict):
        found["custom_data"] |= {"email": PERSON["email"], "note": PERSON["name"]}
    return json.dumps(event).encode()


def webhooks(name: str) -> list[SignedWebhook]:
    bodies = processors()[name].scenarios["lifecycle"].events("ada", START)
    return [sign(name, with_personal_data(name, body)) for body in bodies]


def sign(name: str, body: bytes) -> SignedWebhook:
    return processors()[name].sign(body, KEYS[name], datetime.now(UTC))


def malformed_webhooks() -> Iterator[Mapping[str, Any]]:
    """Webhooks with personal data in unexpected fields, so that it appears in error messages."""
    charge = {"object": "charge", "amount": 1, "currency": "eur", "customer": CONTACT}
    for number, malformed in enumerate(MALFORMED):
        event = {"id": f"evt_odd_{number}", "object": "event", "type": "charge.succeeded", "created": 1767225600}
        yield {**event, "data": {"object": {"id": f"ch_odd_{number}", **charge, **malformed}}}
    yield {
        "id": "evt_odd",
        "object": "event",
        "type": "charge.succeeded",
        "created": CONTACT,
        "data": {"object": [CONTACT]},
    }


def forged(name: str, valid: SignedWebhook) -> Iterator[dict[str, str]]:
    """Missing and invalid signature headers, and secrets in the wrong headers."""
    (header, value), *_ = valid.headers.items()
    digest = value.rpartition("=")[2]
    yield {}
    yield {header: ""}
    yield {header: value[:-1]}
    yield {header: value.replace("=1", "=2", 1)}  # another timestamp
    yield {header: value.replace(digest, digest[::-1])}
    yield {header: digest}
    yield {header: KEYS[name], "Authorization": f"Bearer {TOKEN}", "Cookie": f"token={ADMIN_TOKEN}"}


def post_invalid(service: Service, visible: VisibleOutput, name: str, valid: SignedWebhook) -> None:
    """Posts invalid webhooks and requests with secrets in paths and queries."""
    for headers in forged(name, valid):
        response = requests.post(f"{service.url}/webhooks/{name}", valid.body, headers=headers, timeout=10)
        assert visible.response(f"{name} {headers.keys()}", response).status_code == 400
    for path in (f"webhooks/{KEYS[name]}", f"webhooks/{PERSON['email']}", f"admin/webhooks/{KEYS[name]}"):
        visible.response(path, requests.post(f"{service.url}/{path}", valid.body, headers=valid.headers, timeout=10))
    visible.response("login", requests.post(f"{service.url}/admin/login", data={"token": ADMIN_TOKEN[:-1]}, timeout=10))
    visible.response("query", requests.get(f"{service.url}/admin/?token={ADMIN_TOKEN}&status={TOKEN}", timeout=10))
    output = {"visitor_fingerprint": "fp", "session_id": "s", "source": PERSON["email"], "customer_id": "cus_1"}
    operator = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    visible.response(
        "attributions", requests.post(f"{service.url}/attributions", json=output, headers=operator, timeout=10)
    )


def post_valid(service: Service, visible: VisibleOutput, name: str, signed: list[SignedWebhook]) -> None:
    """Posts webhooks that must be accepted."""
    for webhook in signed:
        visible.signatures |= set(re.findall(r"[0-9a-f]{64}", str(webhook.headers)))
        response = requests.post(f"{service.url}/webhooks/{name}", webhook.body, headers=webhook.headers, timeout=10)
        assert visible.response(f"{name} webhook", response).status_code == 200


def visit_everything(service: Service, visible: VisibleOutput, rows: Sequence[inbox.InboxRow]) -> None:
    """Visits every page, and runs every command that shows stored data."""
    operator = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    for path in [*PAGES, *(f"admin/webhooks/{row.id}" for row in rows)]:
        response = requests.get(f"{service.url}/{path}", headers=operator, timeout=10)
        assert visible.response(path, response).status_code == 200
    each = [[*command, row.event_id] for row in rows for command in (["events", "show"], ["explain"])]
    commands = [command + more for command in [*COMMANDS, *each] for more in ([], ["--json"])]
    commands.append(["check"])  # once: it waits for the API that cannot be reached
    output = service.run(DRIVER, json.dumps(commands))
    visible.texts["commands"] = output
    assert output.count("ended with 0") == len(commands) - 1  # `check` reports the APIs


def settle_and_send(service: Service, pulsora: ScriptedPulsora, url: str) -> Sequence[inbox.InboxRow]:
    """Waits until Pulsora has refused the token, rejected one event and accepted the others. Returns the webhooks."""
    rejected: list[object] = []

    def reject_one(data: object) -> Reply | None:
        if rejected:
            return None
        rejected.append(data)
        return REJECTION

    store = open_store(url)
    await_(lambda: bool(pulsora.received), service)
    pulsora.rule = reject_one
    await_(lambda: is_done(store), service)
    with store.reading() as tx:
        rows = inbox.listing(tx, limit=1000)
    store.close()
    return rows


def is_done(store: Store) -> bool:
    """Whether everything is settled and sent. Makes postponed deliveries due at once."""
    waiting = schema.outbox.update().where(schema.outbox.c.is_head, schema.outbox.c.leased_by.is_(None))
    with store.transaction() as tx:
        tx.execute(schema.pauses.update().values(until=START))
        tx.execute(waiting.values(next_at=START, ready_at=START))
        found = {status for counts in (inbox.counts(tx), outbox.counts(tx)) for (_, status), n in counts.items() if n}
    return DeliveryStatus.DELIVERED in found and not found & UNFINISHED


def await_(condition: Callable[[], bool], service: Service) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < until, service.logged()[-3000:]
        time.sleep(0.2)


@pytest.fixture(name="proxy")
def _proxy() -> str:
    """A proxy URL with a password, where nothing listens, for the calls to the processors' APIs."""
    return f"http://bridge:hunter2@127.0.0.1:{free_port()}"


def test_nothing_that_the_service_shows_holds_a_secret_or_a_person(sqlite_url: str, tmp_path: Path, proxy: str) -> None:
    visible = VisibleOutput()
    more = {**API_KEYS, "HTTPS_PROXY": proxy, "LOG_LEVEL": "debug", "COLUMNS": "500", "HOLD_HOURS": "0"}
    with (
        ScriptedPulsora(TOKEN, rule=lambda _: REFUSAL) as pulsora,
        running(tmp_path, database_url=sqlite_url, endpoint=pulsora.endpoint, **more) as service,
    ):
        for name in KEYS:
            valid = webhooks(name)
            post_invalid(service, visible, name, valid[0])
            post_valid(service, visible, name, valid)
        post_valid(
            service, visible, "stripe", [sign("stripe", json.dumps(one).encode()) for one in malformed_webhooks()]
        )

        rows = settle_and_send(service, pulsora, sqlite_url)
        visit_everything(
            service, visible, [*{row.type: row for row in rows}.values(), *rows[:5]]
        )  # the newest are the malformed ones
        visible.texts["the log"] = service.logged()
        sent = b"".join(request.body for request in pulsora.received).decode()
    logged = {json.loads(line)["event"] for line in visible.texts["the log"].splitlines() if line.startswith("{")}

    assert {"refused", "source_unknown", "paused", "api_unavailable", "delivery_failed", "delivered"} <= logged
    assert visible.leaks() == []
    assert not [value for value in PERSON.values() if contains(sent, value)]

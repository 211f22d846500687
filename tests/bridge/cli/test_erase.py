"""`erase`: asks, refuses what would lose revenue, and prints a receipt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.store import Store
from tests.bridge.cli.conftest import Command
from tests.bridge.upgrade.backlog import ADA, NOW, SETTINGS, receive, send, work


@pytest.fixture
def erase(bare: Command, sqlite_url: str) -> Command:
    def run(*args: str) -> object:
        return bare("erase", *args, DATABASE_URL=sqlite_url, **SETTINGS)

    return run


@pytest.fixture
def ada(sqlite_store: Store) -> Store:
    receive(sqlite_store, ADA.webhooks, NOW)
    work(sqlite_store, NOW)
    return sqlite_store


def test_an_unknown_customer_is_an_error(erase: Command, ada: Store) -> None:
    ended = erase("cus_nobody", "--yes")

    assert ended.status == 1
    assert "no customer has the id cus_nobody; nothing was erased" in ended.err


def test_undelivered_revenue_events_are_named_and_nothing_is_erased(erase: Command, ada: Store) -> None:
    work(ada, NOW.replace(hour=14))

    ended = erase("cus_ada", "--yes")

    assert ended.status == 1
    assert "2 revenue events of the customer (49.00 USD, 49.00 USD) not delivered" in ended.err
    assert "--drop-undelivered" in ended.err


def test_without_a_terminal_it_needs_a_confirmation(erase: Command, ada: Store) -> None:
    ended = erase("cus_ada")

    assert ended.status == 2
    assert "will be erased. This cannot be undone. Add --yes to confirm" in ended.err


def test_the_question_and_the_receipt_say_how_many_webhooks_share_only_an_address(
    erase: Command, sqlite_store: Store
) -> None:
    receive(sqlite_store, [with_address(body) for body in ADA.webhooks], NOW)
    work(sqlite_store, NOW)
    work(sqlite_store, NOW.replace(hour=14))
    send(sqlite_store, NOW.replace(hour=14))
    receive(sqlite_store, [ignored("evt_1", email="Ada@Example.com"), ignored("evt_2", email="ada@example.com")], NOW)
    receive(sqlite_store, [ignored("evt_3", email="ada@example.com", customer="cus_ada")], NOW)
    receive(sqlite_store, [ignored("evt_4", email="bob@example.com")], NOW)
    work(sqlite_store, NOW.replace(hour=15))

    asked, erased = erase("cus_ada"), erase("cus_ada", "--yes")

    webhooks = len(ADA.webhooks) + 3
    assert f"{webhooks} webhooks, {webhooks} payloads, 2 revenue events" in asked.err
    assert " In 2 of the webhooks only the e-mail address is the customer's. This cannot be undone." in asked.err
    assert f": {webhooks} webhooks, {webhooks} payloads, 2 revenue events" in erased.out
    assert erased.out.splitlines()[0].endswith(". In 2 of the webhooks only the e-mail address is the customer's.")


def with_address(body: bytes) -> bytes:
    """The webhook, with an e-mail address in its object."""
    event = json.loads(body)
    event["data"]["object"]["email"] = "ada@example.com"
    return json.dumps(event).encode()


def ignored(event_id: str, **fields: str) -> bytes:
    """A webhook of a type that the bridge ignores."""
    object_ = {"id": f"radar_of_{event_id}", "object": "radar.early_fraud_warning", **fields}
    event = {
        "id": event_id,
        "object": "event",
        "type": "radar.early_fraud_warning.created",
        "data": {"object": object_},
    }
    return json.dumps({**event, "created": int(NOW.timestamp()), "livemode": True}).encode()


def test_the_receipt_has_numbers_and_a_digest_and_no_id(erase: Command, ada: Store, sqlite_url: str) -> None:
    work(ada, NOW.replace(hour=14))
    send(ada, NOW.replace(hour=14))

    ended = erase("cus_ada", "--yes", "--json")

    assert ended.status == 0
    assert ended.json["counts"]["revenue_events"] == 2
    assert len(ended.json["digest"]) == 64
    assert "cus_ada" not in ended.out
    assert b"cus_ada" not in Path(sqlite_url.removeprefix("sqlite:///")).read_bytes()

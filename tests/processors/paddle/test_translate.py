"""The table of Paddle's events."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.paddle.simulation import payloads
from processors.paddle.simulation.scenarios import SCENARIOS
from processors.paddle.translate import EVENTS, SILENT, TRANSLATORS, translate
from tests.processors.paddle.translating import AT, a_transaction, translated

BODIES = [body for name in ("lifecycle", "trial", "chargeback") for body in SCENARIOS[name].events("ada", AT)]
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["id", "amount"]), inner, max_size=2),
    max_leaves=4,
)

# All that Paddle can send: the SDK's list of event types.
OTHERS = [
    "address.created",
    "address.imported",
    "address.updated",
    "api_key.created",
    "api_key.expired",
    "api_key.expiring",
    "api_key.revoked",
    "api_key.updated",
    "api_key_exposure.created",
    "business.created",
    "business.imported",
    "business.updated",
    "client_token.created",
    "client_token.revoked",
    "client_token.updated",
    "discount_group.created",
    "discount_group.updated",
    "invoice.canceled",
    "invoice.created",
    "invoice.issued",
    "invoice.overdue",
    "invoice.paid",
    "invoice.scheduled",
    "payment_method.deleted",
    "payment_method.saved",
    "payout.created",
    "payout.paid",
    "report.created",
    "report.updated",
]


def test_every_event_that_paddle_sends_has_its_place() -> None:
    assert len({*EVENTS, *SILENT, *OTHERS}) == len(EVENTS) + len(SILENT) + len(OTHERS) == 62


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_not_about_revenue_gives_a_reason(kind: str) -> None:
    translation = translated(kind, {"id": "x_1"})

    assert translation.facts == ()
    assert translation.reason == f"{kind} is not an event that the bridge uses"


@pytest.mark.parametrize("kind", SILENT)
def test_what_is_no_money_yet_says_why(kind: str) -> None:
    translation = translated(kind, a_transaction())

    assert (translation.facts, translation.reason) == ((), SILENT[kind])


@pytest.mark.parametrize("kind", TRANSLATORS)
def test_an_entity_without_anything_in_it_gives_a_reason(kind: str) -> None:
    translation = translated(kind, {"something": "else"})

    assert translation.facts == ()
    assert translation.reason


@pytest.mark.parametrize("key", ["event_id", "event_type", "occurred_at"])
def test_an_envelope_that_lacks_something_gives_a_reason(key: str) -> None:
    body = json.loads(payloads.event("transaction.completed", a_transaction(), at=AT, event_id="evt_1"))
    del body[key]

    translation = translate(json.dumps(body).encode(), {})

    assert translation.reason == "no Paddle event: event_id, event_type or occurred_at is missing"


@pytest.mark.parametrize("data", [None, [], "txn_1", {}])
def test_an_event_without_an_entity_gives_a_reason(data: object) -> None:
    assert translated("transaction.completed", data).reason == "the event carries no entity"


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b'{"a": NaN}', b"{" * 50_000])
def test_what_cannot_be_read_gives_a_reason(body: bytes) -> None:
    assert (translate(body, {}).reason or "").startswith("the body cannot be read")


@settings(deadline=None, max_examples=300)
@given(body=st.sampled_from(BODIES), places=st.lists(st.integers(0, 10**6), min_size=1, max_size=3), odd=ODD)
def test_any_value_anywhere_in_an_event_gives_facts_or_a_reason(body: bytes, places: list[int], odd: Any) -> None:
    event = json.loads(body)
    for place in places:
        holders = list(_holders(event))
        holder, key = holders[place % len(holders)]
        holder[key] = json.loads(json.dumps(odd))

    translation = translate(json.dumps(event).encode(), {})

    assert bool(translation.facts) != bool(translation.reason)


def _holders(value: Any) -> Any:
    """Every position in a JSON value, as container and key."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _holders(value[key])

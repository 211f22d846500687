"""The payload: the JSON of an event, and the violations that are found before it is sent."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.ledger.events import EventType, RevenueEvent
from bridge.sender import payload
from processors.values import names_of

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40).filter(lambda text: text.strip())
AMOUNTS = st.decimals(min_value=-(10**9), max_value=10**9, places=3, allow_nan=False)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | TEXTS | AMOUNTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
EVENTS = st.builds(
    RevenueEvent,
    output_key=TEXTS,
    event_type=st.sampled_from(EventType),
    amount=AMOUNTS,
    currency=st.from_regex(r"[A-Z]{3}", fullmatch=True),
    transaction_id=TEXTS,
    customer_id=TEXTS,
    visitor_fingerprint=TEXTS,
    session_id=TEXTS,
    payment_processor=TEXTS,
    is_recurring=st.booleans(),
    occurred_at=st.datetimes(timezones=st.just(UTC)),
    subscription_id=st.none() | TEXTS,
    mrr_impact=st.none() | AMOUNTS,
    metadata=st.dictionaries(TEXTS, VALUES, max_size=4),
)


def an_event(**changes: object) -> RevenueEvent:
    fields: dict[str, object] = {
        "output_key": "payment:pi_1",
        "event_type": EventType.RENEWAL,
        "amount": Decimal("49.990"),
        "currency": "EUR",
        "transaction_id": "in_1",
        "customer_id": "cus_1",
        "visitor_fingerprint": "fp_1",
        "session_id": "sess_1",
        "payment_processor": "stripe",
        "is_recurring": True,
        "occurred_at": datetime(2025, 3, 1, 13, 30, tzinfo=timezone(timedelta(hours=1))),
        "subscription_id": "sub_1",
        "mrr_impact": Decimal("0.00"),
        "metadata": {"plan": "Pro", "interval": "monthly"},
    }
    return RevenueEvent(**{**fields, **changes})  # type: ignore[arg-type]  # the fields are those of the class


def valid(**changes: object) -> dict[str, object]:
    return {**payload.data(an_event()), **changes}


def test_an_event_is_written_as_the_reference_has_it() -> None:
    event = an_event()

    text = payload.dump(event)

    assert text == (
        '{"visitor_fingerprint":"fp_1","session_id":"sess_1","customer_id":"cus_1","amount":49.99,"currency":"EUR",'
        '"transaction_id":"in_1","payment_processor":"stripe","event_type":"renewal",'
        '"customer_subscription_id":"sub_1","mrr_impact":0,"is_recurring":true,'
        '"metadata":{"interval":"monthly","occurred_at":"2025-03-01T12:30:00Z","plan":"Pro"}}'
    )


def test_what_is_not_known_is_left_out() -> None:
    event = an_event(subscription_id=None, mrr_impact=None)

    written = payload.data(event)

    assert "customer_subscription_id" not in written
    assert "mrr_impact" not in written


def test_the_body_is_the_text_in_its_envelope() -> None:
    text = payload.dump(an_event())

    body = payload.body(text, 'sec_"fake"')

    assert body.startswith(b'{"type":"revenue","token":"sec_\\"fake\\"","data":{"visitor_fingerprint"')
    assert json.loads(body) == {"type": "revenue", "token": 'sec_"fake"', "data": json.loads(text)}


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("49.990", "49.99"),
        ("49", "49"),
        ("49.00", "49"),
        ("4.9E+3", "4900"),
        ("-0.00", "0"),
        ("-14.50", "-14.5"),
        ("0.001", "0.001"),
        ("123456789012.345", "123456789012.345"),
    ],
)
def test_an_amount_is_a_number_with_its_exact_digits(amount: str, text: str) -> None:
    event = an_event(amount=Decimal(amount))

    written = payload.dump(event)

    assert f'"amount":{text},' in written


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "1E+400", "1E-300", "1234567890123456"])
def test_a_number_that_is_no_amount_is_refused_not_spelt_out(amount: str) -> None:
    text = payload.dump(an_event(amount=Decimal(amount)))

    found = payload.problems(payload.load(text))

    assert len(text) < 600
    assert len(found) == 1
    assert found[0].startswith("amount ")


def test_the_api_references_own_example_is_accepted() -> None:
    example = {
        "visitor_fingerprint": "fp_abc",
        "session_id": "sess_xyz",
        "customer_id": "cus_42",
        "amount": 499,
        "currency": "USD",
        "transaction_id": "ch_1Nv...",
        "payment_processor": "stripe",
        "event_type": "purchase",
    }

    found = payload.problems(example)

    assert found == ()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"amount": "49.99"}, "amount must be a number."),
        ({"amount": True}, "amount must be a number."),
        ({"amount": float("nan")}, "amount must be a number."),
        ({"amount": None}, "amount is null."),
        ({"mrr_impact": "0"}, "mrr_impact must be a number."),
        ({"session_id": " "}, "session_id is empty."),
        ({"customer_id": 42}, "customer_id must be text."),
        ({"customer_id": "cus_\ud800"}, "customer_id contains an unpaired surrogate."),
        ({"currency": "usd"}, "currency must be three capital letters, such as USD."),
        ({"currency": "USD\n"}, "currency must be three capital letters, such as USD."),
        ({"event_type": "upsell"}, "event_type is not an event type of Pulsora."),
        ({"is_recurring": "true"}, "is_recurring must be true or false."),
        ({"metadata": []}, "metadata must be an object."),
        ({"metadata": {"plan": ["\udfff"]}}, "metadata contains an unpaired surrogate or a number that is not finite."),
        ({"email": "somebody@example.com"}, "email is not a field of a revenue event."),
    ],
)
def test_what_breaks_the_contract_is_named_without_its_value(change: dict[str, object], problem: str) -> None:
    data = valid(**change)

    found = payload.problems(data)

    assert found == (problem,)


@pytest.mark.parametrize("field", ["visitor_fingerprint", "session_id", "customer_id", "amount", "transaction_id"])
def test_a_required_field_is_missed(field: str) -> None:
    data = valid()
    del data[field]

    found = payload.problems(data)

    assert found == (f"{field} is missing.",)


@pytest.mark.parametrize("text", ["", "null", "[]", "{", "49", "[" * 100_000])
def test_what_is_no_object_is_refused(text: str) -> None:
    found = payload.problems(payload.load(text))

    assert found == ("The event is not a JSON object.",)


@given(EVENTS)
def test_what_the_ledger_can_say_keeps_the_contract(event: RevenueEvent) -> None:
    text = payload.dump(event)
    loaded = payload.load(text)

    assert payload.problems(loaded) == ()
    assert isinstance(loaded, dict)
    assert Decimal(loaded["amount"]) == event.amount
    assert text.isascii()
    assert loaded["metadata"]["occurred_at"].endswith("Z")


@given(EVENTS)
def test_equal_events_are_written_alike_whatever_the_order_of_their_metadata(event: RevenueEvent) -> None:
    turned = RevenueEvent(
        **{name: getattr(event, name) for name in names_of(event) if name != "metadata"},
        metadata=dict(reversed(list(event.metadata.items()))),
    )

    assert payload.dump(turned) == payload.dump(event)


@given(st.recursive(st.none() | st.floats() | st.text(max_size=3), lambda v: st.dictionaries(st.text(max_size=3), v)))
def test_no_value_makes_the_check_stumble(value: object) -> None:
    found = payload.problems(value)

    assert found
    assert all(sentence.endswith(".") for sentence in found)

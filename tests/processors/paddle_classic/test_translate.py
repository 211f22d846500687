"""The table of Paddle Classic's alerts, and alerts published by others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.facts import Refund, Status, SubscriptionState
from processors.interface import Translation
from processors.paddle_classic.translate import SILENT, TRANSLATORS, translate
from tests.processors.paddle_classic.translating import (
    CANCELLED,
    CREATED,
    PAID,
    REFUNDED,
    TABLE,
    UPDATED,
    body,
    translated,
)

CLASSIC = Path(__file__).resolve().parents[2] / "fixtures" / "paddle" / "classic"
OTHERS = (
    "locker_processed",
    "new_audience_member",
    "update_audience_member",
    "transfer_created",
    "transfer_paid",
    "an_alert_of_the_future",
)
FULL = {
    "subscription_created": CREATED,
    "subscription_updated": UPDATED,
    "subscription_cancelled": CANCELLED,
    "subscription_payment_succeeded": PAID,
    "subscription_payment_refunded": REFUNDED,
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_not_about_revenue_gives_a_reason(name: str) -> None:
    assert translated(name, {}) == Translation(reason=f"{name} is not an alert that the bridge uses")


@pytest.mark.parametrize("name", SILENT)
def test_what_is_no_money_says_why(name: str) -> None:
    assert translated(name, PAID) == Translation(reason=SILENT[name])


@pytest.mark.parametrize("name", TRANSLATORS)
def test_an_alert_without_anything_in_it_gives_a_reason(name: str) -> None:
    translation = translate(urlencode({"alert_id": "1", "alert_name": name, "event_time": "2026-01-01"}).encode(), {})

    assert translation.facts == ()
    assert translation.reason


@pytest.mark.parametrize("key", ["alert_id", "alert_name", "event_time"])
def test_an_alert_that_lacks_its_head_gives_a_reason(key: str) -> None:
    assert translated("payment_succeeded", PAID, **{key: ""}).reason == (
        "no alert: alert_id, alert_name or event_time is missing"
    )


@pytest.mark.parametrize("found", [b"nonsense", b"\xff", b"a=%ff", b"a=1&a=2"])
def test_what_cannot_be_read_gives_a_reason(found: bytes) -> None:
    assert (translate(found, {}).reason or "").startswith("the body cannot be read")


@settings(deadline=None)
@given(data=st.data())
def test_an_odd_value_in_any_field_raises_nothing(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(FULL)))
    odd = st.sampled_from(["", "0", "-1", "1e400", "NaN", "9" * 60, "2026-02-31", "{}", "null"]) | st.text(
        st.characters(codec="utf-8"), max_size=20
    )
    spoilt = data.draw(st.dictionaries(st.sampled_from(sorted(FULL[name])), odd, max_size=4))

    translation = translate(body(name, FULL[name], **spoilt), data.draw(st.sampled_from([{}, TABLE])))

    assert translation.facts or translation.reason


# ---- Alerts that others published ---------------------------------------------------------------------------------


def published(name: str, **more: Any) -> Translation:
    fields = {**json.loads((CLASSIC / f"{name}.json").read_bytes()), **more}
    flat = {key: value if isinstance(value, str) else json.dumps(value) for key, value in fields.items()}
    return translate(urlencode(flat).encode(), {})


def test_published_alerts_with_names_for_numbers_give_reasons() -> None:
    for name in ("subscription_created", "subscription_updated"):
        assert published(name).reason == "the alert has no subscription, plan, status, price or currency"


def test_published_alerts_with_their_numbers_filled_in_give_their_facts() -> None:
    (created,) = published("subscription_created", unit_price="10.00").facts
    (ended,) = published("subscription_cancelled").facts  # nor is this one's: it ends all the same
    (paid,) = published("subscription_payment_succeeded").facts  # its unit price is no number: only the money
    (refunded,) = published("subscription_payment_refunded").facts

    assert isinstance(created, SubscriptionState)
    assert isinstance(ended, SubscriptionState)
    assert isinstance(refunded, Refund)
    assert (created.now.status, created.now.items[0].quantity, created.now.currency.code) == (
        Status.TRIALING,
        97,
        "GBP",
    )
    assert (ended.now.status, ended.at.isoformat()) == (Status.ENDED, "2020-11-18T11:18:16+00:00")
    assert (paid.ids.payment_id, paid.ids.subscription_id) == ("order:2", "8")
    assert (refunded.amount.minor, refunded.ids.payment_id) == (17, "order:4")

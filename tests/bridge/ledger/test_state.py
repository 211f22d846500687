"""The state of a stream: unchanged by storing it, small, and refused if another version stored it."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from bridge.ledger import EMPTY, Policy, settle
from bridge.ledger.state import dump, load
from processors.facts import Duration, Interval, Reason, Tier, TiersMode
from tests.builders import (
    PENDING,
    a_coupon,
    a_created,
    a_discount,
    a_dispute,
    a_line,
    a_paid_invoice,
    a_payment,
    a_price,
    a_purchase,
    a_refund,
    a_refunded_total,
    after,
    an_attribution,
    an_invoice,
    an_item,
    terms,
)

RICH = terms(
    items=(
        an_item("0.125", seats="2.5", discounts=(a_discount(a_coupon(10, duration=Duration.ONCE)),)),
        an_item(price=a_price(None, tiered=True, tiers=(Tier(up_to=None),), tiers_mode=TiersMode.VOLUME)),
        an_item(price=a_price(1000, Interval.WEEK, interval_count=2, divide_by=3)),
    ),
    discounts=(a_discount(a_coupon(off={"USD": 100}), starts_at=after(), ends_at=after(days=9)),),
    cancels_at=after(days=9),
)

TIMELINE = [
    a_created(now=RICH, trial_ends_at=after(days=1), changed_at=after(seconds=1)),
    *a_paid_invoice(4900, 1, Reason.START, lines=(a_line(),), tax=100, plan="Pro"),
    a_payment(700, "pi_7"),
    a_purchase(900, "pi_9", at=after(days=2)),
    an_invoice(800, "in_8", at=after(days=3)),
    a_refund(100, "re_1", status=PENDING),
    a_refunded_total(300, of="pi_9"),
    a_dispute(50, of="pi_9"),
    an_attribution(subscription_id="sub_1"),
]


def test_an_empty_state_is_what_nothing_written_reads_as() -> None:
    assert load(None) == EMPTY
    assert load(dump(EMPTY)) == EMPTY


def test_a_state_is_the_same_after_it_was_written_down() -> None:
    state = settle(EMPTY, TIMELINE, Policy()).state

    read = load(dump(state))

    assert read == state
    assert dump(read) == dump(state)
    assert dump(load(dump(read))) == dump(state)


def test_default_values_are_not_written() -> None:
    assert json.loads(dump(EMPTY)) == {"version": 2, "state": {}}


def test_a_state_that_holds_only_the_lines_of_the_last_bill_is_read() -> None:
    line = {"price_id": "price_1", "amount": "2000", "quantity": "1"}
    stored = {"id": "sub_1", "currency": "USD:2", "first_seen_at": "2026-01-01T00:00:00+00:00"}
    stored |= {"at": "2026-01-02T00:00:00+00:00", "billed_lines": {"price_1": line}}

    read = load(json.dumps({"version": 2, "state": {"subscriptions": {"sub_1": stored}}}))

    (one,) = read.subscriptions["sub_1"].measured["price_1"]
    assert (one.line.amount, one.line.price_id, one.at.day) == (Decimal(2000), "price_1", 2)


def test_a_state_of_a_newer_program_is_refused() -> None:
    with pytest.raises(ValueError, match="layout 3; this program reads 2"):
        load('{"version":3,"state":{}}')

"""Simulated Paddle customers: all webhooks in Paddle's order, with consistent amounts."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from processors.facts import Refund, RefundKind, RefundStatus
from processors.paddle import processor
from processors.paddle.simulation.customer import PRO, STARTER, TEAM, Customer
from processors.paddle.simulation.scenarios import SCENARIOS
from processors.paddle.translate import translate

START = datetime(2026, 1, 31, 9, 0, tzinfo=UTC)
CHECKOUT = [
    "transaction.created",
    "customer.created",
    "address.created",
    "transaction.updated",
    "transaction.ready",
    "transaction.updated",
    "transaction.paid",
]
BILL = [
    "transaction.created",
    "transaction.billed",
    "transaction.updated",
    "transaction.paid",
    "transaction.updated",
    "transaction.completed",
]
ACTIVATED = ["subscription.updated", "subscription.activated"]

Step = Callable[[Customer], Customer]


def begun() -> Customer:
    return Customer.begin("ada", START)


def read(customer: Customer, since: Customer | None = None) -> list[dict[str, Any]]:
    """The webhooks of a customer since an earlier state."""
    return [json.loads(body) for body in customer.webhooks[len(since.webhooks) if since else 0 :]]


def types(customer: Customer, since: Customer | None = None) -> list[str]:
    return [body["event_type"] for body in read(customer, since)]


def entities(customer: Customer, kind: str) -> list[dict[str, Any]]:
    return [body["data"] for body in read(customer) if body["event_type"] == kind]


# ---- What is sent, in the order of Paddle's own scenarios -----------------------------------------------------------


def test_a_purchase_sends_these_webhooks() -> None:
    assert types(begun().buy()) == [*CHECKOUT, "transaction.updated", "transaction.completed"]


def test_a_signup_sends_these_webhooks() -> None:
    assert types(begun().subscribe(PRO)) == [
        *CHECKOUT,
        "subscription.created",
        "subscription.activated",
        "transaction.updated",
        "transaction.updated",
        "transaction.completed",
    ]


def test_a_signup_with_a_trial_is_trialing_and_costs_nothing() -> None:
    customer = begun().subscribe(PRO, trial_days=14)

    (found,) = entities(customer, "transaction.completed")
    assert types(customer)[7:9] == ["subscription.created", "subscription.trialing"]
    assert (found["details"]["totals"]["grand_total"], found["payments"]) == ("0", [])


def test_a_known_customer_is_not_created_again() -> None:
    first = begun().buy()

    assert types(first.buy(), since=first) == [
        "transaction.created",
        *CHECKOUT[3:],
        "transaction.updated",
        "transaction.completed",
    ]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (lambda ada: ada.renew(), ["subscription.updated", *BILL]),
        (lambda ada: ada.become("paused").resume(), [
            "subscription.updated", "subscription.paused", "subscription.updated", "subscription.resumed",
            *BILL, *ACTIVATED,
        ]),
        (lambda ada: ada.become("paused").renew(), [
            "subscription.updated", "subscription.paused", "subscription.updated", "subscription.resumed",
            *BILL, *ACTIVATED,
        ]),
        (lambda ada: ada.change(TEAM), ["subscription.updated"]),
        (lambda ada: ada.change(TEAM, billed=3333), ["subscription.updated", *BILL]),
        (lambda ada: ada.charge(), BILL),
        (lambda ada: ada.cancel(), ["subscription.updated", "subscription.canceled"]),
        (lambda ada: ada.cancel(scheduled=True), ["subscription.updated"]),
        (lambda ada: ada.refund(), ["adjustment.created", "adjustment.updated"]),
        (lambda ada: ada.adjusted("chargeback"), ["adjustment.created"]),
        (lambda ada: ada.adjusted("chargeback").adjusted("chargeback_reverse"), [
            "adjustment.created", "adjustment.updated", "adjustment.created",
        ]),
    ],
    ids=[
        "renewal", "resumption", "renewal after a pause", "change", "change billed at once", "charge", "cancellation",
        "scheduled cancellation", "refund", "chargeback", "chargeback that is won",
    ],
)  # fmt: skip
def test_a_later_step_sends_these_webhooks(step: Step, expected: list[str]) -> None:
    ada = begun().subscribe(PRO).later(days=10)

    assert types(step(ada), since=ada) == expected


def test_a_trials_end_is_billed_and_then_activates() -> None:
    ada = begun().subscribe(PRO, trial_days=14)

    events = read(ada.renew(), since=ada)

    assert [body["event_type"] for body in events] == ["subscription.updated", *BILL, *ACTIVATED]
    assert [events[0]["data"]["status"], events[-1]["data"]["status"]] == ["trialing", "active"]


# ---- Contents of the webhooks --------------------------------------------------------------------------------------


def test_a_draft_knows_neither_customer_nor_subscription() -> None:
    customer = begun().subscribe(PRO)

    first, *later = [body["data"] for body in read(customer) if body["event_type"].startswith("transaction.")]
    assert (first["status"], first["customer_id"], first["subscription_id"]) == ("draft", None, None)
    assert {found["customer_id"] for found in later} == {"ctm_ada"}
    assert [found["subscription_id"] for found in later] == [None] * 4 + ["sub_ada_1"] * 3


def test_the_creation_names_the_transaction_that_began_it() -> None:
    customer = begun().subscribe(PRO)

    (created,), (activated,) = (entities(customer, f"subscription.{word}") for word in ("created", "activated"))
    (paid,) = entities(customer, "transaction.completed")
    assert created["transaction_id"] == paid["id"]
    assert "transaction_id" not in activated


def test_a_change_billed_at_once_asks_for_the_new_plan_less_the_old() -> None:
    customer = begun().subscribe(PRO).later(days=10).change(TEAM, billed=3333)

    new, old = entities(customer, "transaction.completed")[-1]["details"]["line_items"]
    assert (new["price_id"], new["totals"]["subtotal"]) == ("pri_team", "6600")  # two thirds of 99.00
    assert (old["price_id"], old["totals"]["subtotal"], old["quantity"]) == ("pri_pro", "-3267", -1)  # and of 49.00
    assert new["proration"] == old["proration"] == {"rate": "0.66667"}


def test_a_chargeback_that_is_won_marks_the_first_as_reversed_and_counts_it_once() -> None:
    customer = begun().subscribe(PRO).adjusted("chargeback").adjusted("chargeback_reverse")

    found = [fact for body in customer.webhooks for fact in translate(body, {}).facts if isinstance(fact, Refund)]
    first, again, back = found
    assert [one["status"] for one in entities(customer, "adjustment.updated")] == ["reversed"]
    assert (first.key, first.kind, first.status) == (again.key, again.kind, again.status)
    assert (back.kind, back.status, back.amount) == (RefundKind.REVERSAL, RefundStatus.SUCCEEDED, first.amount)


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_amount_adds_up(name: str) -> None:
    for body in SCENARIOS[name].events("ada", START):
        events = json.loads(body)
        if not events["event_type"].startswith("transaction."):
            continue
        details = events["data"]["details"]
        totals = {part: int(minor or 0) for part, minor in details["totals"].items() if part != "currency_code"}
        lines = [found["totals"] for found in details["line_items"]]
        for part in ("subtotal", "discount", "tax", "total"):
            assert totals[part] == sum(int(line[part]) for line in lines)
        assert totals["total"] == totals["subtotal"] - totals["discount"] + totals["tax"]
        assert totals["grand_total"] == totals["total"] - totals["credit"]
        paid = sum(int(payment["amount"]) for payment in events["data"]["payments"])
        assert totals["balance"] == totals["grand_total"] - paid
        if events["event_type"] == "transaction.completed":
            assert totals["earnings"] == totals["grand_total"] - totals["grand_total_tax"] - totals["fee"]


# ---- Scenarios ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_is_dated_from_its_start_on_and_names_each_event_once(name: str) -> None:
    events = [json.loads(body) for body in SCENARIOS[name].events("ada", START)]

    dates = [datetime.fromisoformat(body["occurred_at"]) for body in events]
    assert dates[0] == START
    assert all(later >= earlier - timedelta(seconds=1) for earlier, later in pairwise(dates))
    assert len({body["event_id"] for body in events}) == len(events)


@pytest.mark.parametrize("name", SCENARIOS)
def test_two_tags_share_no_id(name: str) -> None:
    one, other = (b"".join(SCENARIOS[name].events(tag, START)).decode() for tag in ("ada", "bert"))

    assert "_ada" not in other
    assert one.replace("ada", "bert") == other


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_webhook_of_a_scenario_is_proven_and_has_a_meaning_or_a_reason(name: str) -> None:
    for body in SCENARIOS[name].events("ada", START):
        signed = processor.sign(body, processor.demo_secret, START)

        event = processor.verify(signed.body, signed.headers, [processor.demo_secret], START, timedelta(minutes=5))
        said = processor.translate(signed.body, {})

        assert event.livemode
        assert bool(said.facts) != bool(said.reason)


def test_what_is_bought_in_another_currency_is_all_in_it() -> None:
    customer = Customer.begin("ada", START, currency="JPY").subscribe(STARTER)

    assert {found["currency_code"] for found in entities(customer, "transaction.completed")} == {"JPY"}
    assert {found["currency_code"] for found in entities(customer, "subscription.created")} == {"JPY"}

"""Payloads that Stripe and others published with their tests, and the expected outcome of each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from processors.facts import (
    Attribution,
    Fact,
    Link,
    Membership,
    Payment,
    Reason,
    Refund,
    RefundKind,
    RefundStatus,
    Stage,
    Status,
    SubscriptionState,
)
from processors.interface import Translation
from processors.stripe.envelope import Snapshot
from processors.stripe.simulation.payloads import event
from processors.stripe.translate import READERS, translate
from tests.processors.stripe.translating import AT

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "stripe"
# More dates of the same resources, where they lie next to the checkout.
MORE_DATES = Path(__file__).resolve().parents[4] / "shared" / "fixtures" / "stripe" / "openapi"
NO_MONEY = ("failed", "pending", "expired")


def body_of(path: str) -> Any:
    return json.loads((FIXTURES / path).read_bytes())


def kinds(translation: Translation) -> list[str]:
    return [type(fact).__name__ for fact in translation.facts]


# ---- sync-engine: whole events ------------------------------------------------------------------------------------


def sync_engine(name: str) -> Translation:
    return translate((FIXTURES / "sync-engine" / f"{name}.json").read_bytes(), {})


# By file: the facts it gives; for the rest, the sentence that says why it gives none.
FACTS = {
    "charge_dispute_closed": ["Link"],
    "charge_dispute_created": ["Link"],
    "charge_dispute_funds_reinstated": ["Refund"],
    "charge_dispute_funds_withdrawn": ["Refund"],
    "charge_dispute_updated": ["Link"],
    "charge_refunded": ["Refund"],
    "charge_succeeded": ["Payment"],
    "checkout_session_completed": ["Attribution", "Payment"],
    "customer_updated": ["Attribution"],
    "invoice_finalized": ["Link", "Attribution"],
    "invoice_paid": ["Payment"],
    "invoice_payment_paid": ["Payment"],
    "invoice_updated": ["Link", "Attribution"],
    "invoice_voided": ["Link", "Attribution"],
    "payment_intent_succeeded": ["Payment"],
    "refund_created": ["Refund"],
    "refund_failed": ["Refund"],
    "refund_updated": ["Refund"],
    "subscription_created": ["SubscriptionState"],
    "subscription_deleted": ["SubscriptionState"],
    "subscription_updated": ["SubscriptionState"],
}
NOT_PAID = "a payment intent that is not paid (yet)"
SET_UP = "a payment method that was set up: no money"
SCHEDULED = "the change itself arrives as customer.subscription.updated"
CREDIT_NOTE = "a credit note is no money: its refunds have their own events"
REMEMBERED = "a price, remembered for later"
NAMED = "a product's name, remembered for later"
REASONS = {
    "active_entitlement_summary_updated": "entitlements.active_entitlement_summary.updated is not an event",
    "charge_captured": "a charge that is not captured (yet)",  # a declined charge under this type: made up
    "charge_expired": "an authorisation that expired",
    "charge_failed": "a charge that failed",
    "charge_pending": "a charge that is not paid yet",
    "charge_updated": "a charge that is not captured (yet)",
    "credit_note_created": CREDIT_NOTE,
    "credit_note_updated": CREDIT_NOTE,
    "credit_note_voided": CREDIT_NOTE,
    "customer_deleted": "its subscriptions end with their own events",
    "customer_tax_id_created": "customer.tax_id.created is not an event that the bridge uses",
    "customer_tax_id_deleted": "customer.tax_id.deleted is not an event that the bridge uses",
    "customer_tax_id_updated": "customer.tax_id.updated is not an event that the bridge uses",
    "early_fraud_warning_created": "radar.early_fraud_warning.created is not an event",
    "early_fraud_warning_updated": "radar.early_fraud_warning.updated is not an event",
    "invoice_deleted": "an invoice that moved no money",
    "payment_intent_amount_capturable_updated": NOT_PAID,
    "payment_intent_canceled": NOT_PAID,
    "payment_intent_created": NOT_PAID,
    "payment_intent_partially_funded": NOT_PAID,
    "payment_intent_payment_failed": NOT_PAID,
    "payment_intent_processing": NOT_PAID,
    "payment_intent_requires_action": NOT_PAID,
    "payment_method_attached": "payment_method.attached is not an event",
    "payment_method_automatically_updated": "payment_method.automatically_updated is not an event",
    "payment_method_detached": "payment_method.detached is not an event",
    "payment_method_updated": "payment_method.updated is not an event",
    "plan_created": REMEMBERED,
    "plan_deleted": "the price stays in the catalog",
    "plan_updated": REMEMBERED,
    "price_created": REMEMBERED,
    "price_deleted": "the price stays in the catalog",
    "price_updated": REMEMBERED,
    "product_created": NAMED,
    "product_deleted": "the name stays in the catalog",
    "product_updated": NAMED,
    "review_closed": "review.closed is not an event",
    "review_opened": "review.opened is not an event",
    "setup_intent_canceled": SET_UP,
    "setup_intent_created": SET_UP,
    "setup_intent_requires_action": SET_UP,
    "setup_intent_setup_failed": SET_UP,
    "setup_intent_succeeded": SET_UP,
    "subscription_schedule_aborted": SCHEDULED,
    "subscription_schedule_canceled": SCHEDULED,
    "subscription_schedule_completed": SCHEDULED,
    "subscription_schedule_created": SCHEDULED,
    "subscription_schedule_expiring": SCHEDULED,
    "subscription_schedule_released": SCHEDULED,
    "subscription_schedule_updated": SCHEDULED,
}


def test_every_event_of_sync_engine_has_its_outcome_written_down() -> None:
    files = {path.stem for path in (FIXTURES / "sync-engine").glob("*.json")}

    assert files == FACTS.keys() | REASONS.keys()


@pytest.mark.parametrize("name", sorted(FACTS))
def test_events_of_sync_engine_with_facts(name: str) -> None:
    translation = sync_engine(name)

    assert kinds(translation) == FACTS[name]
    assert translation.reason is None


@pytest.mark.parametrize("name", sorted(REASONS))
def test_events_of_sync_engine_without(name: str) -> None:
    translation = sync_engine(name)

    assert translation.facts == ()
    assert (translation.reason or "").startswith(REASONS[name])


def only(translation: Translation) -> Fact:
    (fact,) = translation.facts
    return fact


def test_the_paid_invoice_of_nothing_is_a_cycle_of_0() -> None:
    found = only(sync_engine("invoice_paid"))

    assert isinstance(found, Payment)
    assert (found.amount.minor, found.reason, found.tax) == (0, Reason.CYCLE, 0)
    assert (found.ids.subscription_id, found.subscription_metadata["organization_id"]) == ("sub_JsuPyCPhXWfZar", "91")


def test_the_updated_subscription_had_the_same_terms_before() -> None:
    found = only(sync_engine("subscription_updated"))

    assert isinstance(found, SubscriptionState)
    assert found.before == found.now
    assert found.stage is Stage.CHANGED


def test_the_refunded_charge_gives_its_one_refund() -> None:
    found = only(sync_engine("charge_refunded"))

    assert isinstance(found, Refund)
    assert (found.key, found.amount.minor, found.ids.invoice_id) == (
        "re_3Kl36gJDPojXS6LN0eP4yPDz",
        2500,
        "in_1KJdKkJDPojXS6LNSwSWkZSN",
    )


def test_the_checkout_session_belongs_to_its_invoice() -> None:
    origin, payment = sync_engine("checkout_session_completed").facts

    assert isinstance(origin, Attribution)
    assert isinstance(payment, Payment)
    assert (payment.membership, payment.amount.minor, payment.amount.currency.code, payment.tax) == (
        Membership.INVOICE,
        999,
        "EUR",
        65,
    )


def test_the_disputes_money_goes_and_comes_back() -> None:
    gone, back = (
        only(sync_engine("charge_dispute_funds_withdrawn")),
        only(sync_engine("charge_dispute_funds_reinstated")),
    )

    assert isinstance(gone, Refund)
    assert isinstance(back, Refund)
    assert (gone.kind, back.kind, back.reverses) == (RefundKind.DISPUTE, RefundKind.REVERSAL, gone.key)
    assert gone.amount == back.amount


def test_the_failed_refund_has_failed() -> None:
    found = only(sync_engine("refund_failed"))

    assert isinstance(found, Refund)
    assert found.status is RefundStatus.FAILED


# ---- pay: objects without their envelope --------------------------------------------------------------------------

# By file: the type that the body was published for, and the facts it gives.
PAY: dict[str, tuple[str, list[str]]] = {
    "account.updated": ("account.updated", []),
    "charge.refunded": ("charge.refunded", ["Refund"]),
    "charge.succeeded": ("charge.succeeded", ["Payment"]),
    "charge.updated": ("charge.updated", []),  # a charge of 2012, and no word of what changed
    "checkout.session.completed": ("checkout.session.completed", ["Attribution"]),
    "customer.deleted": ("customer.deleted", []),
    "customer.updated": ("customer.updated", []),
    "invoice": ("invoice.paid", ["Payment"]),
    "invoice.payment_action_required": ("invoice.payment_action_required", ["Link"]),
    "invoice.payment_failed": ("invoice.payment_failed", ["Link", "Attribution"]),
    "invoice.upcoming": ("invoice.upcoming", []),
    "invoice.updated": ("invoice_payment.paid", ["Payment"]),  # its object is an invoice payment
    "link": ("payment_method.attached", []),
    "payment_method.attached": ("payment_method.attached", []),
    "payment_method.detached": ("payment_method.detached", []),
    "payment_method.updated": ("payment_method.updated", []),
    "subscription.created": ("customer.subscription.created", ["SubscriptionState"]),
    "subscription.deleted": ("customer.subscription.deleted", ["SubscriptionState"]),
    "subscription.trial_ended": ("customer.subscription.updated", ["SubscriptionState"]),
    "subscription.trial_will_end": ("customer.subscription.trial_will_end", []),
    "subscription.updated": ("customer.subscription.updated", ["SubscriptionState"]),
}


def pay(name: str) -> Translation:
    data = body_of(f"pay/{name}.json")
    found, previous = data.get("object"), data.get("previous_attributes")
    if not isinstance(found, dict):  # two files hold the bare resource
        found, previous = data, None
    return translate(event(PAY[name][0], found, at=AT, event_id="evt_pay", previous=previous), {})


def test_every_body_of_pay_has_its_outcome_written_down() -> None:
    assert {path.name.removesuffix(".json") for path in (FIXTURES / "pay").glob("*.json")} == PAY.keys()


@pytest.mark.parametrize("name", sorted(PAY))
def test_bodies_of_pay(name: str) -> None:
    translation = pay(name)

    assert kinds(translation) == PAY[name][1]
    assert bool(translation.facts) != bool(translation.reason)


def test_an_invoice_of_the_dual_shape_is_one_one_off() -> None:
    found = only(pay("invoice"))

    assert isinstance(found, Payment)
    assert (found.amount.minor, found.reason, found.ids.charge_id) == (
        24512,
        Reason.ONE_OFF,
        "ch_3RFFrjKXBGcbgpbZ0g57Qovb",
    )
    assert [one.coupon_id for one in found.discounts] == ["10OFF"]


def test_an_open_invoice_of_the_dual_shape_links_payment_and_subscription() -> None:
    found = only(pay("invoice.payment_action_required"))

    assert isinstance(found, Link)
    assert (found.ids.subscription_id, found.ids.payment_id) == ("sub_1234", "pi_1234")


def test_an_old_subscription_whose_plan_changed_knows_its_old_plan() -> None:
    found = only(pay("subscription.updated"))

    assert isinstance(found, SubscriptionState)
    assert found.before is not None
    assert [(one.price.id, one.price.unit_amount, one.quantity) for one in found.before.items] == [
        ("OLD_00000000000000", 5000, 2)
    ]
    assert [(one.price.id, one.price.unit_amount) for one in found.now.items] == [("FFBEGINNER_00000000000000", 300)]
    assert found.now.status is Status.ENDED


def test_an_invoice_payment_may_name_its_subscription() -> None:
    found = only(pay("invoice.updated"))

    assert isinstance(found, Payment)
    assert (found.ids.subscription_id, found.ids.payment_id) == ("sub_1234", "pi_3T4AIlGWAy8Dppqh3Vsl9Pya")


# ---- openapi: every resource in the shape of several dates --------------------------------------------------------

# Which events carry which resource; every other resource goes as "<resource>.updated".
CARRIERS = {
    "charge": (
        "charge.succeeded",
        "charge.captured",
        "charge.updated",
        "charge.refunded",
        *map("charge.{}".format, NO_MONEY),
    ),
    "dispute": tuple(kind for kind in READERS if ".dispute." in kind),
    "refund": ("charge.refund.updated", *(kind for kind in READERS if kind.startswith("refund."))),
    "invoice": ("invoice.upcoming", *(kind for kind in READERS if kind.startswith("invoice."))),
    "invoice_payment": ("invoice_payment.paid", "invoice_payment.canceled"),
    "payment_intent": ("payment_intent.succeeded", "payment_intent.created"),
    "checkout.session": ("checkout.session.expired", *(kind for kind in READERS if kind.startswith("checkout."))),
    "customer": ("customer.created", "customer.updated", "customer.deleted"),
    "deleted_customer": ("customer.deleted",),
    "subscription": tuple(kind for kind in READERS if kind.startswith("customer.subscription.")),
    "discount": tuple(kind for kind in READERS if kind.startswith("customer.discount.")),
    "deleted_discount": ("customer.discount.deleted",),
    "coupon": tuple(kind for kind in READERS if kind.startswith("coupon.")),
    "promotion_code": tuple(kind for kind in READERS if kind.startswith("promotion_code.")),
    "price": ("price.created", "price.updated"),
    "plan": ("plan.created", "plan.updated", "plan.deleted"),
    "product": ("product.created", "product.updated"),
}


OPENAPI = {
    path.stem.removeprefix("fixtures3-"): path
    for folder in (MORE_DATES, FIXTURES / "openapi")
    for path in folder.glob("fixtures3-*.json")
}


@cache
def resources(date: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(OPENAPI[date].read_bytes())["resources"]
    return found


def wrapped(date: str) -> Iterator[tuple[str, str, Translation]]:
    for name, resource in resources(date).items():
        for kind in CARRIERS.get(name, (f"{name}.updated",)):
            yield name, kind, translate(event(kind, resource, at=AT, event_id="evt_1", previous={}), {})


@pytest.mark.parametrize("date", sorted(OPENAPI))
def test_every_resource_in_every_event_that_carries_it_gives_facts_or_a_reason(date: str) -> None:
    for name, kind, translation in wrapped(date):
        assert bool(translation.facts) != bool(translation.reason), (name, kind)


@pytest.mark.parametrize("date", sorted(OPENAPI))
def test_every_resource_given_to_every_reader_raises_nothing(date: str) -> None:
    for resource in resources(date).values():
        for kind, reader in READERS.items():
            translation = reader(Snapshot(id="evt_1", type=kind, at=AT, object=resource, previous={}))

            assert translation.facts or translation.reason


@pytest.mark.parametrize("date", sorted(OPENAPI))
def test_the_resources_that_carry_money_and_mrr_are_understood_at_every_date(date: str) -> None:
    found = {(name, kind): kinds(translation) for name, kind, translation in wrapped(date)}

    assert found["invoice", "invoice.paid"] == ["Payment"]
    assert found["payment_intent", "payment_intent.succeeded"] == ["Payment"]
    assert found["refund", "refund.created"] == ["Refund"]
    assert found["dispute", "charge.dispute.funds_withdrawn"] == ["Refund"]
    assert found["subscription", "customer.subscription.updated"] == ["SubscriptionState"]
    assert found["checkout.session", "checkout.session.completed"] == ["Attribution"]
    assert found["discount", "customer.discount.created"] == ["Link"]


@pytest.mark.parametrize("date", sorted(OPENAPI))
def test_a_subscription_of_one_date_may_have_been_one_of_another(date: str) -> None:
    now = resources(date)["subscription"]

    for other in OPENAPI:
        before = resources(other)["subscription"]
        kind = "customer.subscription.updated"
        translation = translate(event(kind, now, at=AT, event_id="evt_1", previous=before), {})

        assert kinds(translation) == ["SubscriptionState"]


def test_only_an_old_charge_can_state_that_it_has_no_invoice() -> None:
    old, basil = (resources(date)["charge"] for date in ("2024-07-31", "2025-11-12"))

    read = [
        only(translate(event("charge.succeeded", {**one, "captured": True}, at=AT, event_id="e"), {}))
        for one in (old, basil)
    ]

    assert [one.membership for one in read if isinstance(one, Payment)] == [Membership.NONE, Membership.UNKNOWN]

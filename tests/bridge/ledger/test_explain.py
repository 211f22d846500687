"""The explanation of one webhook, as a person reads it."""

from __future__ import annotations

import json

import pytest

from bridge.ledger import EMPTY, Policy, settle
from bridge.ledger.explain import describe_fact, explain
from processors.facts import Fact, Interval, Place, Reason, Stage, Status, TiersMode
from tests.bridge.ledger.harness import settled
from tests.builders import (
    FAILED,
    VISIT,
    a_coupon,
    a_created,
    a_discount,
    a_dispute,
    a_link,
    a_payment,
    a_price,
    a_purchase,
    a_refund,
    a_refunded_total,
    a_reinstatement,
    a_subscription,
    after,
    an_attribution,
    an_invoice,
    an_invoice_payment,
    an_item,
    terms,
)

TIMELINE = [
    a_created(Status.INCOMPLETE, processor_event_id="evt_1"),
    a_payment(4900, at=after(seconds=2), processor_event_id="evt_2"),
    an_invoice(4900, reason=Reason.START, at=after(seconds=3), processor_event_id="evt_3"),
    an_invoice_payment(4900, at=after(seconds=3), processor_event_id="evt_4"),
    a_subscription(was=terms(Status.INCOMPLETE), at=after(seconds=3), processor_event_id="evt_5"),
]


def test_the_explanation_of_an_invoice_is_a_readable_text() -> None:
    made = settle(EMPTY, TIMELINE, Policy())

    note = explain("evt_3", TIMELINE, EMPTY, made)

    assert "\n".join(note.lines) == (
        "Facts of evt_3:\n"
        "  2026-01-01 12:00:03 UTC: invoice in_1: 49.00 USD paid so far, the first of subscription sub_1\n"
        "Effects:\n"
        "  in_1: reported as subscription of 49.00 USD with MRR 49.00 USD\n"
        "Settled together with:\n"
        "  evt_1: subscription sub_1 created: incomplete, 1 x Pro at 49.00 USD monthly\n"
        "  evt_2: payment pi_1: 49.00 USD, possibly for an invoice that it does not name\n"
        "  evt_4: payment pi_1: 49.00 USD on invoice in_1\n"
        "  evt_5: subscription sub_1 changed from incomplete, 1 x Pro at 49.00 USD monthly"
        " to active, 1 x Pro at 49.00 USD monthly\n"
        "Ledger before:\n"
        "  sub_1: not known\n"
        "Ledger after:\n"
        "  sub_1: active, Pro monthly, MRR 49.00 USD\n"
        "  in_1: 49.00 USD paid, reported as in_1\n"
        "Revenue events:\n"
        "  subscription in_1 of 49.00 USD, MRR +49.00 USD, plan Pro, no visit found"
    )


def test_a_webhook_that_gave_no_event_says_why() -> None:
    before = settle(EMPTY, TIMELINE, Policy()).state
    late = [a_subscription(seats=9, was=terms(), at=after(seconds=1), processor_event_id="evt_late")]

    note = explain("evt_late", late, before, settle(before, late, Policy()))

    assert note.notes == ("sub_1: not newer than the known state: changes nothing",)
    assert note.lines[-2:] == ("Revenue events:", "  none")


def test_a_webhook_without_facts_has_an_explanation_too() -> None:
    note = explain("evt_9", [], EMPTY, settle(EMPTY, [], Policy()))

    assert note.lines == ("Facts of evt_9:", "  none that the bridge uses", "Revenue events:", "  none")


def test_an_explanation_names_baselines_and_estimates() -> None:
    facts = [an_invoice(4900, processor_event_id="evt_1", lines=())]
    before = settled(
        [a_subscription(now=terms(items=(an_item(price=a_price(None, tiered=True)),)))], [a_purchase()]
    ).state
    paid = [a_refund(900, processor_event_id="evt_2")]

    invoice = explain("evt_1", facts, before, settle(before, facts, Policy()))
    refund = explain("evt_2", paid, before, settle(before, paid, Policy()))

    assert invoice.ledger_before == ("sub_1: active, Pro monthly, MRR 0.00 USD, estimated",)
    assert refund.ledger_before == ("pi_1: 49.00 USD paid, reported as pi_1",)
    assert refund.ledger_after == ("pi_1: 49.00 USD paid, 9.00 USD refunded, reported as pi_1",)
    older = settled([a_subscription()]).state
    assert explain("e", [a_subscription(processor_event_id="e")], older, settle(older, [], Policy())).ledger_before == (
        "sub_1: active, Pro monthly, MRR 49.00 USD, of which 49.00 USD is its baseline, not reported",
    )


def test_a_visit_that_releases_events_is_explained_with_them() -> None:
    before = settled([a_purchase(processor_event_id="evt_1")]).state
    visit = [an_attribution()]
    made = settle(before, visit, Policy())

    note = explain("evt_1", [a_purchase(processor_event_id="evt_1")], before, made)

    assert note.revenue_events == ("purchase pi_1 of 49.00 USD, visit found: customer",)


def test_the_explanation_for_programs_is_json() -> None:
    made = settle(EMPTY, TIMELINE, Policy())

    explained = explain("evt_5", TIMELINE, EMPTY, made).as_json()

    assert list(explained) == [
        "event_id",
        "facts",
        "notes",
        "settled_with",
        "ledger_before",
        "ledger_after",
        "revenue_events",
    ]
    assert explained["notes"] == ["sub_1: MRR 0.00 USD -> 49.00 USD: subscription"]
    assert json.loads(json.dumps(explained)) == explained


def test_nothing_of_the_metadata_is_shown() -> None:
    facts: list[Fact] = [a_purchase(metadata={**VISIT, "email": "ada@example.com"}, processor_event_id="evt_1")]

    note = explain("evt_1", facts, EMPTY, settle(EMPTY, facts, Policy()))

    assert not {"ada@example.com", *VISIT.values()} & set(" ".join(note.lines).split())


@pytest.mark.parametrize(
    ("fact", "text"),
    [
        (a_purchase(1500), "payment pi_1: 15.00 USD"),
        (a_payment(1500), "payment pi_1: 15.00 USD, possibly for an invoice that it does not name"),
        (
            an_invoice(4900, reason=Reason.CYCLE),
            "invoice in_1: 49.00 USD paid so far, for a period of subscription sub_1",
        ),
        (
            an_invoice(900, reason=Reason.ONE_OFF),
            "invoice in_1: 9.00 USD paid so far, a one-off on subscription sub_1",
        ),
        (a_refund(500), "refund re_1: 5.00 USD of pi_1, succeeded"),
        (
            a_refund(500, status=FAILED, reason="expired_or_canceled_card"),
            "refund re_1: 5.00 USD of pi_1, failed, because expired_or_canceled_card",
        ),
        (a_refunded_total(700), "refunds: 7.00 USD of pi_1 so far"),
        (a_dispute(4900), "dispute dp_1:withdrawn: 49.00 USD of pi_1 withdrawn, because fraudulent"),
        (a_reinstatement(4900), "reversal dp_1:reinstated: 49.00 USD of pi_1 returned"),
        (a_subscription(), "subscription sub_1 is now: active, 1 x Pro at 49.00 USD monthly"),
        (a_subscription(was=terms()), "subscription sub_1 unchanged: active, 1 x Pro at 49.00 USD monthly"),
        (
            a_subscription(stage=Stage.IMPORTED, seats="2.5"),
            "subscription sub_1 imported: active, 2.5 x Pro at 49.00 USD monthly",
        ),
        (
            a_created(
                now=terms(
                    items=(
                        an_item(price=a_price("0.125", Interval.YEAR)),
                        an_item(price=a_price(None, name="Seats", tiered=True, tiers_mode=TiersMode.VOLUME), seats=20),
                    ),
                    discounts=(a_discount(a_coupon(10)),),
                    cancels_at=after(days=31),
                )
            ),
            "subscription sub_1 created: active, 1 x Pro at 0.00125 USD annual, 20 x Seats by tiers, 1 discount, "
            "ends on 2026-02-01",
        ),
        (an_attribution(subscription_id="sub_1"), "metadata from a checkout session, for sub_1"),
        (an_attribution(place=Place.CUSTOMER_METADATA), "metadata from the customer, for the customer"),
        (
            a_link(payment_id="pi_1", invoice_id="in_1", customer_id="cus_1"),
            "pi_1, in_1 and cus_1 belong together",
        ),
    ],
)
def test_every_fact_is_a_sentence(fact: Fact, text: str) -> None:
    assert describe_fact(fact) == text

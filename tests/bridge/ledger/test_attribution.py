"""Attribution: every source, the precedence between them, held events, and the customer's id."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bridge.ledger import Policy, RevenueEvent
from bridge.ledger.attribution import MAX_HELD, MAX_TOUCHPOINTS
from bridge.ledger.policy import Unattributed
from processors.facts import Fact, Ids, Place, Reason
from tests.bridge.ledger.harness import rows, settled
from tests.builders import (
    VISIT,
    a_created,
    a_paid_invoice,
    a_payment,
    a_purchase,
    a_refund,
    a_subscription,
    after,
    an_attribution,
    an_ended,
    an_invoice,
    an_invoice_payment,
)

DROP, SEND = Policy(unattributed=Unattributed.DROP), Policy(unattributed=Unattributed.SEND)


def visit(name: str) -> dict[str, str]:
    """Metadata of a visit."""
    return {"visitor_fingerprint": f"fp_{name}", "session_id": f"ses_{name}"}


def found(event: RevenueEvent) -> tuple[object, str, str]:
    """The source of the visit, its fingerprint and its session."""
    return event.metadata["attribution"], event.visitor_fingerprint, event.session_id


# ---- Sources ------------------------------------------------------------------------------------------------------

# Each place, best first, as the one fact that names a visit there.
CHAIN: dict[Place, Fact] = {
    Place.OBJECT: an_invoice(4900, metadata=visit("object")),
    Place.INVOICE: an_invoice(4900, subscription_metadata=visit("invoice")),
    Place.CHECKOUT: an_attribution(visit("checkout"), subscription_id="sub_1"),
    Place.SUBSCRIPTION: a_subscription(metadata=visit("subscription")),
    Place.CUSTOMER_METADATA: an_attribution(visit("customer_metadata"), Place.CUSTOMER_METADATA),
    Place.CUSTOMER: a_purchase(100, "pi_other", metadata=visit("customer"), at=after(seconds=-9)),
    Place.REGISTERED: an_attribution(visit("registered"), Place.REGISTERED),
}
NAMES = {
    Place.OBJECT: "object",
    Place.INVOICE: "invoice",
    Place.CHECKOUT: "checkout",
    Place.SUBSCRIPTION: "subscription",
    Place.CUSTOMER_METADATA: "customer_metadata",
    Place.CUSTOMER: "customer",
    Place.REGISTERED: "registered",
}


def renewal(*windows: Sequence[Fact]) -> RevenueEvent:
    """The event of invoice `in_1`."""
    (event,) = (event for event in settled(*windows).events if event.output_key == "payment:in_1")
    return event


@pytest.mark.parametrize("place", list(CHAIN))
def test_a_visit_is_found_at_each_place(place: Place) -> None:
    event = renewal([an_invoice(4900), CHAIN[place]])

    assert found(event) == (place.value, f"fp_{NAMES[place]}", f"ses_{NAMES[place]}")
    assert event.is_attributed


@pytest.mark.parametrize("place", list(CHAIN))
def test_a_better_place_wins_over_all_that_come_after_it(place: Place) -> None:
    worse = list(CHAIN.values())[list(CHAIN).index(place) :]

    event = renewal([an_invoice(4900), *worse])

    assert found(event)[:2] == (place.value, f"fp_{NAMES[place]}")


def test_without_a_visit_the_ids_keep_totals_right_and_customers_apart() -> None:
    (mine,) = settled([a_purchase(900)], policy=SEND).events
    (yours,) = settled([a_purchase(900, customer_id="cus_2")], policy=SEND).events

    assert not mine.is_attributed
    assert mine.metadata["attribution"] == "none"
    assert mine.visitor_fingerprint == mine.session_id
    assert mine.visitor_fingerprint.startswith("unattributed:")
    assert mine.visitor_fingerprint != yours.visitor_fingerprint


def test_the_same_customer_is_always_the_same_unknown_visitor() -> None:
    events = settled([a_purchase(900)], [a_purchase(900, "pi_2", at=after(days=9))]).events

    assert events[0].visitor_fingerprint == events[1].visitor_fingerprint


@pytest.mark.parametrize(
    "half", [{"visitor_fingerprint": "fp_1"}, {"session_id": "ses_1"}, {"visitor_fingerprint": "", "session_id": "s"}]
)
def test_half_a_visit_is_none(half: dict[str, str]) -> None:
    event = renewal([an_invoice(4900, metadata=half), CHAIN[Place.CUSTOMER_METADATA]])

    assert found(event)[0] == "customer_metadata"


def test_two_halves_of_two_places_make_no_visit() -> None:
    event = renewal(
        [an_invoice(4900, metadata={"visitor_fingerprint": "fp_1"}, subscription_metadata={"session_id": "ses_1"})]
    )

    assert not event.is_attributed


def test_the_names_of_the_keys_are_the_merchants_choice() -> None:
    policy = Policy(fingerprint_key="fp", session_key="sid")

    (event,) = settled([a_purchase(900, metadata={"fp": "a", "sid": "b", **VISIT})], policy=policy).events

    assert (event.visitor_fingerprint, event.session_id) == ("a", "b")


def test_the_composite_reference_of_a_payment_link_is_a_visit() -> None:
    reference = {"client_reference_id": "pls1_fp_7__ses_9"}

    (event,) = settled([a_purchase(900), an_attribution(reference, payment_id="pi_1")]).events

    assert found(event) == ("checkout_session", "fp_7", "ses_9")


@pytest.mark.parametrize("value", ["undefined", "null", "None", "[object Object]", "cs_test_a1B2c3"])
def test_a_placeholder_is_no_visit_and_is_noted(value: str) -> None:
    metadata = {"visitor_fingerprint": "fp_1", "session_id": value}

    settlement = settled([a_purchase(900, metadata=metadata)], policy=SEND)

    assert not settlement.events[0].is_attributed
    (note,) = (note for notes in settlement.last.notes.values() for note in notes if note.startswith("visit rejected"))
    assert note.startswith("visit rejected: session_id is ")
    assert "cs_test" not in note


def test_a_placeholder_or_a_composite_reference_is_no_customer_id() -> None:
    policy = Policy(customer_id_key="client_reference_id", unattributed=Unattributed.SEND)
    for value in ("undefined", "pls1_fp_7__ses_9"):
        (event,) = settled([a_purchase(900, metadata={"client_reference_id": value})], policy=policy).events

        assert event.customer_id == "cus_1"


# ---- Touchpoints --------------------------------------------------------------------------------------------------


def test_a_checkout_is_remembered_for_renewals_refunds_and_churn() -> None:
    start = [
        a_created(),
        *a_paid_invoice(4900, reason=Reason.START),
        an_attribution(subscription_id="sub_1", invoice_id="in_1"),
    ]
    later = [
        *a_paid_invoice(4900, 2, at=after(days=31)),
        a_refund(4900, of="pi_2", at=after(days=32)),
        an_ended(at=after(days=40)),
    ]

    ledger = settled(start, later)

    assert [event.visitor_fingerprint for event in ledger.events] == ["fp_1"] * 4
    assert {event.metadata["attribution"] for event in ledger.events} == {"checkout_session"}


def test_the_latest_visit_of_a_subscription_is_the_one_that_counts() -> None:
    ledger = settled(
        [a_subscription(metadata=visit("old"))],
        [a_subscription(metadata=visit("new"), at=after(days=9))],
        a_paid_invoice(4900, 2, at=after(days=31)),
    )

    assert ledger.events[-1].visitor_fingerprint == "fp_new"


def test_a_visit_that_arrives_late_does_not_replace_a_later_one() -> None:
    ledger = settled(
        [a_subscription(metadata=visit("new"), at=after(days=9))],
        [a_subscription(metadata=visit("old"))],
        a_paid_invoice(4900, 2, at=after(days=31)),
    )

    assert ledger.events[-1].visitor_fingerprint == "fp_new"


def test_one_subscriptions_visit_is_not_anothers_while_the_customer_falls_back_on_the_latest() -> None:
    facts = [
        a_created(subscription_id="sub_1", metadata=visit("one")),
        a_created(subscription_id="sub_2", metadata=visit("two"), at=after(days=1)),
        a_purchase(900, at=after(days=2)),
    ]

    assert [event.visitor_fingerprint for event in settled(facts).events] == ["fp_one", "fp_two", "fp_two"]


def test_a_refund_is_attributed_by_its_own_metadata_first() -> None:
    ledger = settled([a_purchase(900, metadata=visit("payment")), a_refund(900, metadata=visit("refund"))])

    assert [found(event) for event in ledger.events] == [
        ("object", "fp_payment", "ses_payment"),
        ("object", "fp_refund", "ses_refund"),
    ]


@pytest.mark.parametrize(
    "ids", [{"payment_id": "pi_1"}, {"payment_id": "in_1"}, {"subscription_id": "sub_1"}, {"payment_id": "ch_1"}]
)
def test_a_visit_may_be_registered_for_a_payment_an_invoice_a_charge_or_a_subscription(ids: dict[str, str]) -> None:
    registered = an_attribution(visit("registered"), Place.REGISTERED, **{"customer_id": None, **ids})

    event = renewal([*a_paid_invoice(4900), registered])

    assert found(event)[:2] == ("registered", "fp_registered")


def test_a_visit_may_be_registered_for_a_checkout_session_that_is_still_to_come() -> None:
    registered = an_attribution(visit("registered"), Place.REGISTERED, customer_id=None, payment_id="cs_1")
    session = an_attribution({}, checkout_id="cs_1", invoice_id="in_1", subscription_id="sub_1")

    event = renewal([registered, session, *a_paid_invoice(4900)])

    assert found(event)[:2] == ("registered", "fp_registered")


def test_a_visit_registered_for_one_payment_is_not_anothers() -> None:
    registered = an_attribution(visit("registered"), Place.REGISTERED, payment_id="pi_2")

    first, second = settled([a_purchase(900), a_purchase(900, "pi_2", at=after(days=1)), registered]).events

    assert (first.is_attributed, second.is_attributed) == (False, True)


def test_marks_of_single_payments_are_forgotten_in_the_end_those_of_the_customer_never() -> None:
    many = [
        a_purchase(100, f"pi_{n}", at=after(minutes=n), metadata=visit(str(n))) for n in range(MAX_TOUCHPOINTS + 50)
    ]

    touchpoints = settled(many).state.touchpoints

    assert len(touchpoints) == MAX_TOUCHPOINTS + 1
    assert "customer:" in touchpoints
    assert "object:pi_49" not in touchpoints
    assert "object:pi_50" in touchpoints


# ---- Held until a visit is known ----------------------------------------------------------------------------------


def test_a_held_event_is_released_as_soon_as_its_visit_is_known() -> None:
    ledger = settled([*a_paid_invoice(4900, customer_id="cus_1")], [an_attribution(subscription_id="sub_1")])

    (event,) = ledger.events
    (freed,) = ledger.released
    assert not event.is_attributed
    assert found(freed) == ("checkout_session", "fp_1", "ses_1")
    assert (freed.output_key, freed.amount, freed.is_attributed) == (event.output_key, event.amount, True)
    assert len(ledger.state.held) == 0


def test_a_released_event_takes_customer_and_campaign_of_the_visit_with_it() -> None:
    policy = Policy(customer_id_key="user_id")
    metadata = {**VISIT, "user_id": "u_7", "source": "ads", "campaign": "spring"}

    ledger = settled([a_purchase(900)], [an_attribution(metadata)], policy=policy)

    (freed,) = ledger.released
    assert freed.customer_id == "u_7"
    assert (freed.metadata["source"], freed.metadata["campaign"]) == ("ads", "spring")


def test_a_webhook_that_names_a_visit_says_what_it_releases() -> None:
    visit = an_attribution()

    ledger = settled([a_purchase(900)], [visit])

    assert ledger.last.notes == {visit.processor_event_id: ("visit found", "releases pi_1")}


def test_a_webhook_that_names_no_visit_says_so() -> None:
    empty, half = an_attribution({}), an_attribution({"source": "ads"})

    notes = settled([empty, half]).last.notes

    assert notes[empty.processor_event_id] == ("no visit found",)
    assert notes[half.processor_event_id] == ("customer, source or campaign found, but no complete visit",)


def test_a_visit_of_somebody_elses_subscription_releases_nothing() -> None:
    ledger = settled(
        [an_invoice(4900)], [an_attribution(place=Place.REGISTERED, customer_id=None, subscription_id="sub_2")]
    )

    assert ledger.released == ()
    assert list(ledger.state.held) == ["payment:in_1"]


def test_a_held_event_is_released_once() -> None:
    ledger = settled([a_purchase(900)], [an_attribution()], [an_attribution(at=after(days=1))])

    assert rows(ledger.released) == ["purchase 9.00 -"]


@pytest.mark.parametrize("policy", [SEND, DROP], ids=["send", "drop"])
def test_unless_it_is_held_nothing_waits(policy: Policy) -> None:
    ledger = settled([a_purchase(900)], [an_attribution()], policy=policy)

    assert ledger.released == ()
    assert len(ledger.state.held) == 0


def test_events_of_a_customer_without_a_visit_do_not_pile_up() -> None:
    many = [a_purchase(100, f"pi_{n}", at=after(minutes=n)) for n in range(MAX_HELD + 5)]

    held = list(settled(many).state.held)

    assert len(held) == MAX_HELD
    assert held[-1] == f"payment:pi_{MAX_HELD + 4}"


# ---- The customer -------------------------------------------------------------------------------------------------


def test_the_customer_is_the_processors_unless_the_merchants_own_id_was_seen() -> None:
    own = Policy(customer_id_key="user_id")

    (processors,) = settled([a_purchase(900, metadata={"user_id": "u_7"})]).events
    (merchants,) = settled([a_purchase(900, metadata={"user_id": "u_7"})], policy=own).events
    (unseen,) = settled([a_purchase(900)], policy=own).events

    assert (processors.customer_id, merchants.customer_id, unseen.customer_id) == ("cus_1", "u_7", "cus_1")


def test_the_merchants_own_id_is_remembered_for_the_customer() -> None:
    own = Policy(customer_id_key="user_id")

    ledger = settled([a_subscription(metadata={"user_id": "u_7"})], [an_ended(at=after(days=9))], policy=own)

    assert ledger.events[-1].customer_id == "u_7"


def test_a_guest_with_an_id_of_the_merchants_own_is_no_guest() -> None:
    own = Policy(customer_id_key="user_id")

    (event,) = settled([a_payment(900, customer_id=None, metadata={"user_id": "u_7"})], policy=own).events

    assert event.customer_id == "u_7"


def test_source_and_campaign_are_reported_where_the_merchants_metadata_has_them() -> None:
    (event,) = settled([a_purchase(900, metadata={"source": "ads", "campaign": "spring"})]).events

    assert (event.metadata["source"], event.metadata["campaign"]) == ("ads", "spring")
    assert not event.is_attributed


# ---- Another customer takes over a subscription --------------------------------------------------------------------


def test_an_event_names_the_customer_of_its_own_time() -> None:
    start = [a_created(metadata=VISIT), *a_paid_invoice(4900, reason=Reason.START)]
    moved = a_subscription(minor=9900, customer_id="cus_2", at=after(days=3))
    paid = an_invoice(9900, "in_2", customer_id="cus_2", at=after(days=30))
    refund = a_refund(4900, at=after(days=31), ids=Ids(customer_id="cus_1", payment_id="pi_1"))

    for windows in ([start, [moved], [paid, refund]], [[refund, paid, moved, *start]]):
        ledger = settled(*windows)

        assert rows(ledger.events) == [
            "subscription 49.00 +49.00",
            "upgrade 0.00 +50.00",
            "renewal 99.00 0",
            "refund -49.00 0",
        ]
        assert [event.customer_id for event in ledger.events] == ["cus_1", "cus_2", "cus_2", "cus_1"]
        assert {event.visitor_fingerprint for event in ledger.events} == {"fp_1"}


def test_a_visit_of_the_new_customer_is_not_the_former_customers() -> None:
    start = [a_created(), *a_paid_invoice(4900, reason=Reason.START)]
    moved = a_subscription(minor=9900, customer_id="cus_2", metadata=visit("2"), at=after(days=3))

    ledger = settled(start, [moved], [a_purchase(100, "pi_9", at=after(days=4))])

    assert [event.customer_id for event in ledger.events] == ["cus_1", "cus_2", "cus_1"]
    assert [event.is_attributed for event in ledger.events] == [False, True, False]


# ---- Invoices that are not paid yet --------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [Place.OBJECT, Place.INVOICE])
def test_an_unpaid_invoice_names_the_visit_of_its_first_part(place: Place) -> None:
    issued = an_attribution(visit("issued"), place, invoice_id="in_1", at=after(days=-1))
    part = an_invoice_payment(2000, "in_1", "pi_1")

    ledger = settled([issued], [part])

    assert [found(event) for event in ledger.events] == [(place.value, "fp_issued", "ses_issued")]

"""Subscriptions: starts, trials, renewals, changes, failures and ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from bridge.ledger import Policy
from bridge.ledger.policy import ChurnAt, MovementAmount
from processors.stripe.simulation.customer import PRO, PRO_YEARLY, STARTER, TEAM, Plan
from processors.stripe.simulation.payloads import Shape
from tests.lifecycles.stripe_customer import ExtendedCustomer
from tests.lifecycles.stripe_lifecycle import lifecycle

AT_REQUEST = Policy(churn_at=ChurnAt.REQUEST)
TWELVE_MONTHS = Plan(id="price_pro_12", minor=58800, name="Pro, twelve months", interval="year")  # 588.00 / 12 = 49.00
DEARER = Plan(id="price_pro_2027", minor=5900, name="Pro 2027")


def signed_up(ada: ExtendedCustomer) -> ExtendedCustomer:
    """Signs up for Pro in two webhooks and a payment."""
    return ada.start(PRO).bill(4900, "subscription_create", name="1")


def next_month(ada: ExtendedCustomer, minor: int = 4900) -> ExtendedCustomer:
    """The next month begins, and an hour later its invoice is paid."""
    return ada.next_period().later(hours=1).bill(minor, "subscription_cycle", name="1")


def straggling(ada: ExtendedCustomer) -> ExtendedCustomer:
    """The update that scheduled the end is delivered after the end."""
    customer = signed_up(ada).later(days=10).cancel(at_period_end=True).expire()
    *rest, scheduled, ended = customer.webhooks
    return replace(customer, webhooks=(*rest, ended, scheduled))


def item_by_plan_alone(ada: ExtendedCustomer) -> ExtendedCustomer:
    """In the shape of 2018, a subscription has a plan and a quantity, and no items."""
    customer = ada.start(TEAM, 2)
    found = customer._subscription(customer.subscriptions["1"])
    bare = {**found, "plan": found["plan"], "quantity": 2, "items": None}
    created = ada.sent("customer.subscription.created", bare)
    return replace(customer, webhooks=created.webhooks).bill(19800, "subscription_create", name="1")


SUBSCRIPTIONS = (
    # ---- Starts ----
    lifecycle(
        "signs up for Pro at 49.00 a month through Checkout",
        lambda ada: ada.subscribe(PRO),
        "subscription 49.00 +49.00 Pro monthly",
    ),
    lifecycle(
        "signs up through the API: incomplete until the first invoice is paid",
        lambda ada: ada.subscribe(PRO, checkout=False),
        "subscription 49.00 +49.00 Pro monthly",
    ),
    lifecycle(
        "tries to sign up with a card that is declined: the subscription expires",
        lambda ada: ada.start(PRO, status="incomplete").later(hours=23).become("incomplete_expired"),
    ),
    lifecycle(
        "signs up in 2018, when a subscription named its plan and had no items",
        item_by_plan_alone,
        "subscription 198.00 +198.00 Team monthly x2",
        shapes=(Shape.OLD,),
    ),
    lifecycle(
        "signs up for two things: two subscriptions of one customer",
        lambda ada: ada.subscribe(PRO).later(days=3).subscribe(TEAM, name="2"),
        "subscription 49.00 +49.00 Pro monthly",
        "subscription 99.00 +99.00 Team monthly",
    ),
    lifecycle(
        "leaves, and signs up anew a month later: a new subscription",
        lambda ada: ada.subscribe(PRO).later(days=9).cancel().later(days=30).subscribe(PRO, name="2"),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly cancellation_requested",
        "subscription 49.00 +49.00 Pro monthly",
    ),
    # ---- Trials ----
    lifecycle(
        "tries for two weeks with a card, then pays: in their hour of grace, trial's end and payment are two windows",
        lambda ada: ada.subscribe(PRO, trial_days=14).end_trial(),
        "subscription 49.00 +49.00 Pro monthly",
        live=("subscription 0 +49.00 Pro monthly", "renewal 49.00 0 Pro monthly"),
    ),
    lifecycle(
        "pays 100.00 for a set-up when the trial begins, and two weeks later the first month",
        lambda ada: (
            ada.start(PRO, status="trialing", trial_end=ada.at + timedelta(days=14))
            .bill(10000, "subscription_create", name="1")
            .later(days=14)
            .become("active")
            .later(hours=1)
            .bill(4900, "subscription_cycle", name="1")
        ),
        "purchase    100.00      -",
        "subscription 49.00 +49.00 Pro monthly",
        live=("purchase 100.00 -", "subscription 0 +49.00 Pro monthly", "renewal 49.00 0 Pro monthly"),
    ),
    lifecycle(
        "tries for two weeks and leaves before it costs anything",
        lambda ada: ada.subscribe(PRO, trial_days=14).later(days=5).cancel(),
    ),
    lifecycle(
        "tries for two weeks without a card: paused, never paid, gone",
        lambda ada: ada.subscribe(PRO, trial_days=14).end_trial_without_card().later(days=30).cancel(),
    ),
    lifecycle(
        "tries for two weeks without a card, and leaves one three days later",
        lambda ada: (
            ada.start(PRO, status="trialing", trial_end=ada.at + timedelta(days=14))
            .later(days=14)
            .end_trial_without_card()
            .later(days=3)
            .resume()
            .bill(4900, "subscription_cycle", name="1")
        ),
        "subscription 49.00 +49.00 Pro monthly",
    ),
    lifecycle(
        "tries for two weeks, and wants to pay on the third day",
        lambda ada: (
            ada.start(PRO, status="trialing", trial_end=ada.at + timedelta(days=14))
            .later(days=3)
            .amend(status="active", trial_end=ada.at + timedelta(days=3))
            .bill(4900, "subscription_cycle", name="1")
        ),
        "subscription 49.00 +49.00 Pro monthly",
    ),
    lifecycle(
        "pays 20.00 to try for two weeks, then the full price",
        lambda ada: (
            ada.start(PRO, status="trialing", trial_end=ada.at + timedelta(days=14))
            .bill(2000, "subscription_create", name="1", lines=[ada.one_off_line(2000)])
            .later(days=14)
            .become("active")
            .bill(4900, "subscription_cycle", name="1")
        ),
        "purchase     20.00 -",
        "subscription 49.00 +49.00 Pro monthly",
    ),
    # ---- Renewals and changes ----
    lifecycle(
        "signs up and pays the second and the third month",
        lambda ada: next_month(next_month(signed_up(ada))),
        "subscription 49.00 +49.00 Pro monthly",
        "renewal      49.00      0 Pro monthly",
        "renewal      49.00      0 Pro monthly",
    ),
    lifecycle(
        "moves to Team ten days on, billed at once: 21/31 of 99.00 - 49.00 = 67.06 - 33.19",
        lambda ada: ada.subscribe(PRO).later(days=10).change(TEAM, billed=True),
        "subscription 49.00 +49.00 Pro monthly",
        "upgrade      33.87 +50.00 Team monthly was Pro",
    ),
    lifecycle(
        "moves to Team and adds two seats twenty seconds later: each change is known by the terms before it",
        lambda ada: signed_up(ada).later(days=3).change(TEAM).later(seconds=20).change(TEAM, 3),
        "subscription 49.00  +49.00 Pro monthly",
        "upgrade          0  +50.00 Team monthly was Pro",
        "upgrade          0 +198.00 Team monthly x3",
    ),
    lifecycle(
        "moves to Team, to be billed with the next month",
        lambda ada: next_month(signed_up(ada).later(days=10).change(TEAM), 9900),
        "subscription 49.00 +49.00 Pro monthly",
        "upgrade          0 +50.00 Team monthly was Pro",
        "renewal      99.00      0 Team monthly",
    ),
    lifecycle(
        "moves down to Starter, to be billed with the next month",
        lambda ada: next_month(signed_up(ada).later(days=10).change(STARTER), 1900),
        "subscription 49.00 +49.00 Pro monthly",
        "downgrade        0 -30.00 Starter monthly was Pro",
        "renewal      19.00      0 Starter monthly",
    ),
    lifecycle(
        "moves down to Starter and up to Pro again within a minute",
        lambda ada: signed_up(ada).later(days=10).change(STARTER).later(seconds=30).change(PRO),
        "subscription 49.00 +49.00 Pro monthly",
        "downgrade        0 -30.00 Starter monthly was Pro",
        "upgrade          0 +30.00 Pro monthly was Starter",
    ),
    lifecycle(
        "adds two seats for the next bill: the movement alone, and then a renewal",
        lambda ada: next_month(signed_up(ada).later(days=10).change(quantity=3), 14700),
        "subscription  49.00 +49.00 Pro monthly",
        "upgrade           0 +98.00 Pro monthly x3",
        "renewal      147.00      0 Pro monthly x3",
    ),
    lifecycle(
        "gives up two of three seats",
        lambda ada: ada.start(PRO, 3).bill(14700, "subscription_create", name="1").later(days=10).change(quantity=1),
        "subscription 147.00 +147.00 Pro monthly x3",
        "downgrade         0  -98.00 Pro monthly",
    ),
    lifecycle(
        "goes from month to year at 588.00, the same a month: no movement, and the plan shows from the next event on",
        lambda ada: next_month(signed_up(ada).later(days=10).change(TWELVE_MONTHS), 58800),
        "subscription  49.00 +49.00 Pro monthly",
        "renewal      588.00      0 Pro, twelve months annual",
    ),
    lifecycle(
        "goes from month to year at 588.00 and pays the difference at once",
        lambda ada: signed_up(ada).change(TWELVE_MONTHS).bill(53900, "subscription_update", name="1"),
        "subscription  49.00 +49.00 Pro monthly",
        "renewal      539.00      0 Pro, twelve months annual",
    ),
    lifecycle(
        "goes from month to year at 490.00 and pays the difference at once: 490 / 12 = 40.83",
        lambda ada: signed_up(ada).later(days=1).change(PRO_YEARLY).bill(44258, "subscription_update", name="1"),
        "subscription  49.00 +49.00 Pro monthly",
        "downgrade    442.58  -8.17 Pro, yearly annual was Pro",
    ),
    lifecycle(
        "pays a higher price from the next month on: the movement, and then a renewal",
        lambda ada: signed_up(ada).next_period(plan=DEARER).later(hours=1).bill(5900, "subscription_cycle", name="1"),
        "subscription 49.00 +49.00 Pro monthly",
        "upgrade          0 +10.00 Pro 2027 monthly was Pro",
        "renewal      59.00      0 Pro 2027 monthly",
    ),
    lifecycle(
        "is moved to euros: it ends in the one currency and starts in the other",
        lambda ada: replace(signed_up(ada).later(days=10), currency="eur").amend(plan=STARTER),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly currency_change",
        "subscription     0 +19.00 EUR Starter monthly was Pro reactivation",
    ),
    # ---- Failed payments and pauses ----
    lifecycle(
        "has a card declined and pays two days later: past due still counts",
        lambda ada: (
            signed_up(ada)
            .next_period(status="past_due")
            .later(days=2)
            .become("active")
            .bill(4900, "subscription_cycle", name="1")
        ),
        "subscription 49.00 +49.00 Pro monthly",
        "renewal      49.00      0 Pro monthly",
    ),
    lifecycle(
        "stops paying: past due still counts, cancelled by Stripe does not",
        lambda ada: signed_up(ada).next_period(status="past_due").later(days=21).cancel(reason="payment_failed"),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly payment_failed",
    ),
    lifecycle(
        "stops paying until the subscription is unpaid, and is cancelled later: one churn",
        lambda ada: signed_up(ada).later(days=35).become("unpaid").later(days=60).cancel(reason="payment_failed"),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly unpaid",
    ),
    lifecycle(
        "stops paying until the subscription is unpaid, and pays after all",
        lambda ada: (
            signed_up(ada)
            .later(days=35)
            .become("unpaid")
            .later(days=10)
            .become("active")
            .bill(4900, "subscription_cycle", name="1")
        ),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly unpaid",
        "subscription 49.00 +49.00 Pro monthly reactivation",
    ),
    lifecycle(
        "is let off paying for a while (pause_collection): the subscription still counts",
        lambda ada: signed_up(ada).later(days=10).amend(pause_collection={"behavior": "void", "resumes_at": None}),
        "subscription 49.00 +49.00 Pro monthly",
    ),
    lifecycle(
        "pauses, and comes back a month later",
        lambda ada: (
            signed_up(ada).later(days=10).pause().later(days=30).resume().bill(4900, "subscription_cycle", name="1")
        ),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly paused",
        "subscription 49.00 +49.00 Pro monthly reactivation",
        shapes=(Shape.CLOVER,),
    ),
    lifecycle(
        "pauses, comes back without an invoice, and is billed for usage ten seconds later",
        lambda ada: (
            signed_up(ada)
            .later(days=5)
            .become("paused")
            .later(days=6)
            .become("active")
            .later(seconds=10)
            .bill(700, "subscription_threshold", name="1")
        ),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly paused",
        "subscription     0 +49.00 Pro monthly reactivation",
        "renewal       7.00 0 Pro monthly",
    ),
    # ---- Ends ----
    lifecycle(
        "cancels at once",
        lambda ada: signed_up(ada).later(days=10).cancel(),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly cancellation_requested",
    ),
    lifecycle(
        "cancels at once, for a merchant who wants movements with their size as amount",
        lambda ada: signed_up(ada).later(days=10).cancel(),
        "subscription 49.00 +49.00 Pro monthly",
        "churn        49.00 -49.00 Pro monthly cancellation_requested",
        policy=Policy(movement_amount=MovementAmount.MRR),
    ),
    lifecycle(
        "cancels, and stays until the end of the month that is paid",
        lambda ada: ada.subscribe(PRO).later(days=10).cancel(at_period_end=True).expire(),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly cancellation_requested",
    ),
    lifecycle(
        "cancels for the end of the month, for a merchant who counts that at the request, as Stripe's page does",
        lambda ada: signed_up(ada).later(days=10).cancel(at_period_end=True).expire(),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly cancellation_requested",
        policy=AT_REQUEST,
    ),
    lifecycle(
        "cancels for the end of the month and thinks better of it: nothing moved",
        lambda ada: next_month(
            signed_up(ada)
            .later(days=10)
            .cancel(at_period_end=True)
            .later(days=5)
            .amend(cancel_at_period_end=False, ended_reason=None)
        ),
        "subscription 49.00 +49.00 Pro monthly",
        "renewal      49.00      0 Pro monthly",
    ),
    lifecycle(
        "cancels for the end of the month and thinks better of it, counted at request: gone and back",
        lambda ada: next_month(
            signed_up(ada)
            .later(days=10)
            .cancel(at_period_end=True)
            .later(days=5)
            .amend(cancel_at_period_end=False, ended_reason=None)
        ),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly cancellation_requested",
        "subscription     0 +49.00 Pro monthly reactivation",
        "renewal      49.00      0 Pro monthly",
        policy=AT_REQUEST,
    ),
    lifecycle(
        "signs up for a term of a year, counted at request: nobody asks, and it ends with its term",
        lambda ada: (
            ada.start_term(PRO, days=365).bill(4900, "subscription_create", name="1").later(days=365).cancel(reason="")
        ),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly canceled",
        policy=AT_REQUEST,
    ),
    lifecycle(
        "signs up for a term of a year and asks to leave with the first month, counted at request",
        lambda ada: (
            ada.start_term(PRO, days=365)
            .bill(4900, "subscription_create", name="1")
            .later(days=10)
            .leave_term(days=355)
        ),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly cancellation_requested",
        policy=AT_REQUEST,
    ),
    lifecycle(
        "is set to end on a day of its own choosing (cancel_at), counted at request",
        lambda ada: signed_up(ada).later(days=10).schedule_end(days=20).later(days=20).cancel(),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly cancellation_requested",
        policy=AT_REQUEST,
    ),
    lifecycle(
        "leaves, and the update from before comes last: what has ended stays ended",
        straggling,
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly cancellation_requested",
    ),
    lifecycle(
        "leaves one of two subscriptions",
        lambda ada: ada.subscribe(PRO).later(minutes=5).subscribe(TEAM, name="2").later(days=9).cancel(name="2"),
        "subscription 49.00 +49.00 Pro monthly",
        "subscription 99.00 +99.00 Team monthly",
        "churn            0 -99.00 Team monthly cancellation_requested",
    ),
)

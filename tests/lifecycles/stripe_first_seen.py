"""Subscriptions older than the bridge: the revenue events of the first webhook it receives for each."""

from __future__ import annotations

from datetime import timedelta

from processors.stripe.simulation.customer import PRO, TEAM
from processors.stripe.simulation.payloads import Body, Shape
from tests.lifecycles.stripe_customer import ExtendedCustomer
from tests.lifecycles.stripe_discounts import QUARTER
from tests.lifecycles.stripe_lifecycle import SINCE_BASIL, lifecycle
from tests.lifecycles.stripe_subscriptions import AT_REQUEST, next_month, signed_up


def long_ago(ada: ExtendedCustomer) -> ExtendedCustomer:
    """Signed up before the bridge was installed."""
    return signed_up(ada).forget_history()


def open_invoice(ada: ExtendedCustomer) -> Body:
    """An open invoice for Pro."""
    return {**signed_up(ada).invoice_of("in_9", 4900, "subscription_cycle", name="1"), "status": "open"}


FIRST_SEEN = (
    lifecycle(
        "is first seen at a renewal: nothing is new",
        lambda ada: next_month(long_ago(ada)),
        "renewal 49.00 0 Pro monthly",
    ),
    lifecycle(
        "is first seen by an invoice alone: its lines are the baseline",
        lambda ada: next_month(long_ago(ada)).only("invoice.paid", "invoice_payment.paid"),
        "renewal 49.00 0 Pro monthly",
        shapes=(Shape.OLD,),
    ),
    lifecycle(
        "is first seen by an invoice, and leaves a week later",
        lambda ada: next_month(long_ago(ada)).only("invoice.paid").later(days=7).cancel(),
        "renewal 49.00      0 Pro monthly",
        "churn       0 -49.00 Pro monthly cancellation_requested",
        shapes=(Shape.OLD,),
    ),
    lifecycle(
        "is first seen when it moves to Team: the old values are the baseline",
        lambda ada: long_ago(ada).later(days=10).change(TEAM, billed=True),
        "upgrade 33.87 +50.00 Team monthly was Pro",
    ),
    lifecycle(
        "is first seen when it adds a seat",
        lambda ada: long_ago(ada).later(days=10).change(quantity=2),
        "upgrade 0 +49.00 Pro monthly x2",
    ),
    lifecycle(
        "is first seen when it leaves: minus its MRR",
        lambda ada: long_ago(ada).later(days=10).cancel(),
        "churn 0 -49.00 Pro monthly cancellation_requested",
    ),
    lifecycle(
        "is first seen when it schedules its end, and then ends",
        lambda ada: long_ago(ada).later(days=10).cancel(at_period_end=True).expire(),
        "churn 0 -49.00 Pro monthly cancellation_requested",
    ),
    lifecycle(
        "is first seen when it schedules its end, counted at request",
        lambda ada: long_ago(ada).later(days=10).cancel(at_period_end=True).expire(),
        "churn 0 -49.00 Pro monthly cancellation_requested",
        policy=AT_REQUEST,
    ),
    lifecycle(
        "is first seen when a trial ends and is paid for",
        lambda ada: (
            ada.start(PRO, status="trialing", trial_end=ada.at + timedelta(days=14))
            .forget_history()
            .later(days=14)
            .become("active")
            .bill(4900, "subscription_cycle", name="1")
        ),
        "subscription 49.00 +49.00 Pro monthly",
    ),
    lifecycle(
        "is first seen when its first invoice is paid at last",
        lambda ada: (
            ada.start(PRO, status="incomplete")
            .forget_history()
            .later(hours=2)
            .become("active")
            .bill(4900, "subscription_create", name="1")
        ),
        "subscription 49.00 +49.00 Pro monthly",
    ),
    lifecycle(
        "is first seen when Stripe gives up on it",
        lambda ada: ada.start(PRO, status="past_due").forget_history().later(days=30).become("unpaid"),
        "churn 0 -49.00 Pro monthly unpaid",
    ),
    lifecycle(
        "is first seen when it pays after having been unpaid",
        lambda ada: (
            ada.start(PRO, status="unpaid").forget_history().become("active").bill(4900, "subscription_cycle", name="1")
        ),
        "subscription 49.00 +49.00 Pro monthly reactivation",
    ),
    lifecycle(
        "is first seen when it leaves in its trial: it never counted",
        lambda ada: (
            ada.start(PRO, status="trialing", trial_end=ada.at + timedelta(days=14))
            .forget_history()
            .later(days=3)
            .cancel()
        ),
    ),
    lifecycle(
        "is first seen when it pauses, and comes back",
        lambda ada: long_ago(ada).later(days=3).pause().later(days=9).resume(),
        "churn        0 -49.00 Pro monthly paused",
        "subscription 0 +49.00 Pro monthly reactivation",
    ),
    lifecycle(
        "is first seen when a coupon is given",
        lambda ada: long_ago(ada).sent("coupon.created", QUARTER).later(days=3).with_coupon(QUARTER),
        "downgrade 0 -12.25 Pro monthly with FRIEND25",
    ),
    lifecycle(
        "is first seen when its metadata change: nothing moved",
        lambda ada: long_ago(ada).amend(metadata={**ada.visit, "team": "blue"}).later(days=3).cancel(),
        "churn 0 -49.00 Pro monthly cancellation_requested",
    ),
    lifecycle(
        "is first seen by an invoice that is not paid yet: no event",
        lambda ada: long_ago(ada).sent("invoice.finalized", open_invoice(ada)),
    ),
    lifecycle(
        "is first seen by a charge alone: nothing says that it is a subscription's",
        lambda ada: next_month(long_ago(ada)).only("charge.succeeded"),
        "purchase 49.00 - unattributed",
    ),
    lifecycle(
        "is first seen by a refund",
        lambda ada: ada.subscribe(PRO).forget_history().later(days=3).refund(2000),
        "refund -20.00 0 requested_by_customer unattributed",
    ),
    lifecycle(
        "is first seen by a dispute",
        lambda ada: ada.subscribe(PRO).forget_history().later(days=3).dispute(),
        "refund -49.00 0 fraudulent unattributed",
    ),
    lifecycle(
        "is first seen when an authorisation is cancelled, for which Stripe creates a refund: no money had moved",
        lambda ada: ada.authorise(5000).forget_history().later(days=2).release(reason=None),
    ),
    lifecycle(
        "is first seen by a refund of 20.00 of 30.00 that were captured of 50.00",
        lambda ada: ada.authorise(5000).capture(3000).forget_history().later(days=1).refund_captured(2000, 3000),
        "refund -20.00 0 requested_by_customer unattributed",
        shapes=(Shape.OLD,),
    ),
    lifecycle(
        "is first seen by a refund of all 30.00 that were captured of 50.00, reported by the charge alone",
        lambda ada: (
            ada.authorise(5000)
            .capture(3000)
            .forget_history()
            .later(days=1)
            .refund_captured(3000, 3000, has_refund=False)
        ),
        "refund -30.00 0 unattributed",
        shapes=(Shape.OLD,),
    ),
    lifecycle(
        "is first seen by a second refund: the first was given back before the bridge",
        lambda ada: ada.subscribe(PRO).later(days=1).refund(1000).forget_history().later(days=3).refund(1500),
        "refund -15.00 0 requested_by_customer unattributed",
    ),
    lifecycle(
        "is first seen by a second and a third refund, that only the charge reports",
        lambda ada: (
            ada.subscribe(PRO)
            .later(days=1)
            .refund(1000)
            .forget_history()
            .later(days=3)
            .refund(1500)
            .later(days=3)
            .refund(500)
            .without("refund.created", "charge.refund.updated")
        ),
        "refund -15.00 0 unattributed",
        "refund -5.00 0 unattributed",
        shapes=SINCE_BASIL,
    ),
    lifecycle(
        "is first seen when a refund from before gets its reference at the bank",
        lambda ada: ada.subscribe(PRO).later(days=1).refund(1000).only("charge.refund.updated").later(days=8),
    ),
    lifecycle(
        "is first seen when a dispute from before is lost: its money was taken before the bridge",
        lambda ada: ada.buy(5000).forget_history().later(days=60).disputed("closed", 5000, "lost", back=0),
    ),
    lifecycle(
        "is first seen when a debit is returned: its only event is the end of the dispute",
        lambda ada: ada.buy(5000).forget_history().later(days=4).debit_returned(5000),
        "refund -50.00 0 fraudulent unattributed",
    ),
    lifecycle(
        "is first seen when a dispute from before is won: its money comes back now",
        lambda ada: ada.buy(5000).forget_history().later(days=60).disputed("funds_reinstated", 5000, "won", back=5000),
        "purchase 50.00 0 fraudulent reversal unattributed",
    ),
)

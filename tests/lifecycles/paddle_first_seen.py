"""Paddle subscriptions that are older than the bridge, equal timestamps, and missing visits."""

from __future__ import annotations

from datetime import timedelta

from processors.paddle.simulation.customer import PRO, STARTER, TEAM
from tests.lifecycles.paddle_customer import ExtendedCustomer, net
from tests.lifecycles.paddle_lifecycle import billing
from tests.lifecycles.paddle_subscriptions import AT_REQUEST


def long_ago(ada: ExtendedCustomer) -> ExtendedCustomer:
    """Signed up for Pro before the bridge was installed."""
    return ada.subscribe().later(days=20).forget_history()


def end_of_trial(ada: ExtendedCustomer) -> ExtendedCustomer:
    """The trial ends, and the first webhook that arrives says that the subscription is active."""
    ended = ada.update_subscription(
        status="active", trial_ends_at=None, billed_at=ada.at, renews_at=ada.at + timedelta(days=30)
    )
    return ended.bill(net(PRO, 4900, rate="1")).resend_as("subscription.activated")


FIRST_SEEN = (
    # ---- Seen for the first time ----
    billing(
        "was there before the bridge: its renewal is a renewal, its end is an end",
        lambda ada: ada.subscribe().later(days=20).forget_history().renew().later(days=5).cancel(),
        "renewal 49.00      0 Pro monthly",
        "churn       0 -49.00 Pro monthly canceled",
    ),
    billing(
        "was there before the bridge, and leaves",
        lambda ada: ada.subscribe().later(days=20).forget_history().cancel(),
        "churn 0 -49.00 Pro monthly canceled",
    ),
    billing(
        "is imported from elsewhere, renews, and moves to Team",
        lambda ada: (
            ada.subscribe()
            .later(days=20)
            .forget_history()
            .resend_as("subscription.imported")
            .renew()
            .later(days=3)
            .change(TEAM)
        ),
        "renewal 49.00      0 Pro monthly",
        "upgrade     0 +50.00 Team monthly was Pro",
    ),
    billing(
        "is first seen when it pauses, and comes back",
        lambda ada: long_ago(ada).become("paused").later(days=9).resume(),
        "churn            0 -49.00 Pro monthly paused",
        "subscription 49.00 +49.00 Pro monthly reactivation",
    ),
    billing(
        "is first seen when it comes back from a pause",
        lambda ada: ada.subscribe().later(days=20).become("paused").later(days=9).forget_history().resume(),
        "subscription 49.00 +49.00 Pro monthly reactivation",
    ),
    billing(
        "is first seen when a paused subscription ends: it did not count any more",
        lambda ada: ada.subscribe().later(days=20).become("paused").later(days=9).forget_history().cancel(),
    ),
    billing(
        "is first seen when a trial ends and is paid for",
        lambda ada: end_of_trial(ada.subscribe(trial_days=14).later(days=14).forget_history()).later(days=9).cancel(),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly canceled",
    ),
    billing(
        "is first seen when a trial without a card ends: it never counted",
        lambda ada: ada.subscribe(trial_days=14).forget_history().expire(),
    ),
    billing(
        "is first seen when it schedules its end, counted at request",
        lambda ada: long_ago(ada).cancel(scheduled=True).expire(),
        "churn 0 -49.00 Pro monthly cancellation_requested",
        policy=AT_REQUEST,
    ),
    # ---- Clocks and visits ----
    billing(
        "changes twice in the same second, with timestamps in nanoseconds",
        lambda ada: (
            ada.subscribe()
            .later(days=3)
            .update_subscription(plan=TEAM)
            .resend_as("subscription.updated", updated_at="2026-01-04T00:00:00.000000900Z")
            .later(seconds=0.5)
            .update_subscription(plan=STARTER)
        ),
        "subscription 49.00 +49.00 Pro monthly",
        "upgrade          0 +50.00 Team monthly was Pro",
        "downgrade        0 -80.00 Starter monthly was Team",
    ),
    billing(
        "signs up without any custom data",
        lambda ada: ada.with_custom_data(None).subscribe(),
        "subscription 49.00 +49.00 Pro monthly unattributed",
    ),
    billing(
        "signs up with a visit, and renews after the custom data was taken away",
        lambda ada: ada.subscribe().with_custom_data(None).renew(),
        "subscription 49.00 +49.00 Pro monthly",
        "renewal      49.00      0 Pro monthly",
    ),
    billing(
        "pays, and no subscription's event ever comes: the lines are the measure",
        lambda ada: ada.subscribe().without("subscription.created", "subscription.activated"),
        "subscription 49.00 +49.00 Pro monthly estimated",
    ),
)

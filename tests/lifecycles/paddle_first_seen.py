"""Paddle subscriptions that are older than the bridge, equal timestamps, and missing visits."""

from __future__ import annotations

from processors.paddle.simulation.customer import STARTER, TEAM
from tests.lifecycles.paddle_lifecycle import billing

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

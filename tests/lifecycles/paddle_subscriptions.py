"""Paddle subscriptions: how they start, continue and end."""

from __future__ import annotations

from datetime import timedelta

from bridge.ledger import Policy
from bridge.ledger.policy import ChurnAt
from processors.paddle.simulation import payloads
from processors.paddle.simulation.customer import PRO, STARTER, TEAM
from processors.paddle.simulation.payloads import Plan
from tests.lifecycles.paddle_customer import ExtendedCustomer, net
from tests.lifecycles.paddle_lifecycle import billing

AT_REQUEST = Policy(churn_at=ChurnAt.REQUEST)
YEARLY = Plan(id="yearly", minor=49000, name="Pro", interval="year")  # 490.00 / 12 = 40.83
QUARTERLY = Plan(id="quarterly", minor=13500, name="Pro", frequency=3)  # 135.00 / 3 = 45.00
WEEKLY = Plan(id="weekly", minor=1000, name="Pro", interval="week")  # 10.00 x 52 / 12 = 43.33
FIVE_DAYS = Plan(id="days", minor=500, name="Pro", interval="day", frequency=5)  # 5.00 x 365 / 12 / 5 = 30.42
YEN = Plan(id="yen", minor=5000, name="Pro", currency="JPY")


def paid_trial(ada: ExtendedCustomer) -> ExtendedCustomer:
    """Pays 1.00 for two weeks: Paddle bills the trial's price for a price that begins with a trial."""
    trial = {"interval": "day", "frequency": 14, "unit_price": {"amount": "100", "currency_code": "USD"}}
    started = ada.start(status="trialing", trial_ends_at=ada.at + timedelta(days=14))
    entity = payloads.transaction(
        "txn_trial",
        customer=ada.customer_id,
        plans=[(PRO, 1)],
        lines=[net(PRO, 100)],
        origin="web",
        subscription="sub_ada_1",
        custom_data=ada.visit,
        at=ada.at,
    )
    entity["items"][0]["price"]["trial_period"] = trial
    return started.sent("transaction.completed", entity, 2.5)


SUBSCRIPTIONS = (
    # ---- How subscriptions start ----
    billing("signs up for Pro", lambda ada: ada.subscribe(), "subscription 49.00 +49.00 Pro monthly"),
    billing(
        "signs up, and every webhook is delivered twice",
        lambda ada: ada.subscribe().duplicated(),
        "subscription 49.00 +49.00 Pro monthly",
    ),
    billing(
        "signs up for a year: 490.00 / 12",
        lambda ada: ada.subscribe(YEARLY),
        "subscription 490.00 +40.83 Pro annual",
    ),
    billing(
        "signs up by the quarter: 135.00 / 3",
        lambda ada: ada.subscribe(QUARTERLY),
        "subscription 135.00 +45.00 Pro quarterly",
    ),
    billing(
        "signs up by the week: 10.00 x 52 / 12",
        lambda ada: ada.subscribe(WEEKLY),
        "subscription 10.00 +43.33 Pro weekly",
    ),
    billing(
        "signs up by five days: 5.00 x 365 / 12 / 5",
        lambda ada: ada.subscribe(FIVE_DAYS),
        "subscription 5.00 +30.42 Pro every-5-days",
    ),
    billing(
        "signs up with three seats",
        lambda ada: ada.subscribe(PRO, 3),
        "subscription 147.00 +147.00 Pro monthly x3",
    ),
    billing(
        "signs up in yen",
        lambda ada: ada.subscribe(YEN),
        "subscription 5000 +5000 JPY Pro monthly",
        currency="JPY",
    ),
    billing(
        "is billed by invoice: active at once, paid three weeks later",
        lambda ada: ada.start().later(days=21).bill(net(PRO, 4900), origin="api"),
        "subscription 49.00 +49.00 Pro monthly",
        live=("subscription 0 +49.00 Pro monthly", "renewal 49.00 0 Pro monthly"),
    ),
    billing(
        "has two subscriptions",
        lambda ada: ada.subscribe().later(days=3).subscribe(TEAM, name="2"),
        "subscription 49.00 +49.00 Pro monthly",
        "subscription 99.00 +99.00 Team monthly",
    ),
    # ---- Trials ----
    billing(
        "tries for two weeks with a card, then pays",
        lambda ada: ada.subscribe(trial_days=14).renew(),
        "subscription 49.00 +49.00 Pro monthly",
    ),
    billing("tries for two weeks and leaves", lambda ada: ada.subscribe(trial_days=14).later(days=5).cancel()),
    billing(
        "tries for two weeks without a card, which ends it",
        lambda ada: ada.subscribe(trial_days=14).expire(),
    ),
    billing(
        "pays 1.00 to try for two weeks, then the full price",
        lambda ada: (
            paid_trial(ada)
            .later(days=14)
            .update_subscription(status="active", trial_ends_at=None)
            .bill(net(PRO, 4900, rate="1"))
        ),
        "purchase      1.00      - Pro",
        "subscription 49.00 +49.00 Pro monthly",
    ),
    # ---- How they go on ----
    billing(
        "signs up and pays the second and the third month",
        lambda ada: ada.subscribe().renew().renew(),
        "subscription 49.00 +49.00 Pro monthly",
        "renewal      49.00      0 Pro monthly",
        "renewal      49.00      0 Pro monthly",
    ),
    billing(
        "moves to Team and pays 33.33 at once for the rest of the month",
        lambda ada: ada.subscribe().later(days=10).change(TEAM, billed=3333),
        "subscription 49.00 +49.00 Pro monthly",
        "upgrade      33.33 +50.00 Team monthly was Pro",
    ),
    billing(
        "moves to Team with what is left of Pro as negative lines: 66.00 - 32.67",
        lambda ada: (
            ada.subscribe()
            .later(days=10)
            .change(TEAM)
            .bill(
                net(TEAM, 6600, rate="0.66"), net(PRO, -3267, rate="0.66"), origin="subscription_update", credited=PRO
            )
        ),
        "subscription 49.00 +49.00 Pro monthly",
        "upgrade      33.33 +50.00 Team monthly was Pro",
    ),
    billing(
        "moves to Starter, prorated at once: nothing is paid, the rest is credit for the next bill",
        lambda ada: (
            ada.subscribe()
            .later(days=10)
            .change(STARTER)
            .bill(
                net(STARTER, 1254, rate="0.66"),
                net(PRO, -3234, rate="0.66"),
                origin="subscription_update",
                credited=PRO,
            )
            .later(days=20)
            .bill(net(STARTER, 1900, rate="1"), credit=1900)
        ),
        "subscription 49.00 +49.00 Pro monthly",
        "downgrade        0 -30.00 Starter monthly was Pro",
    ),
    billing(
        "moves to Starter, and pays less from the next month on",
        lambda ada: ada.subscribe().later(days=10).change(STARTER).renew(),
        "subscription 49.00 +49.00 Pro monthly",
        "downgrade        0 -30.00 Starter monthly was Pro",
        "renewal      19.00      0 Starter monthly",
    ),
    billing(
        "adds two seats that the next bill asks for",
        lambda ada: ada.subscribe().later(days=10).change(quantity=3).renew(),
        "subscription  49.00 +49.00 Pro monthly",
        "upgrade           0 +98.00 Pro monthly x3",
        "renewal      147.00      0 Pro monthly x3",
    ),
    billing(
        "gives up two of three seats",
        lambda ada: ada.subscribe(PRO, 3).later(days=10).change(quantity=1),
        "subscription 147.00 +147.00 Pro monthly x3",
        "downgrade         0  -98.00 Pro monthly",
    ),
    billing(
        "pays another card in: a transaction of nothing",
        lambda ada: ada.subscribe().later(days=3).bill(net(PRO, 0), origin="subscription_payment_method_change"),
        "subscription 49.00 +49.00 Pro monthly",
    ),
    # ---- How they falter ----
    billing(
        "fails to pay, and pays three days later",
        lambda ada: (
            ada.subscribe()
            .fail_renewal()
            .later(days=3)
            .update_subscription(status="active")
            .bill(net(PRO, 4900, rate="1"))
        ),
        "subscription 49.00 +49.00 Pro monthly",
        "renewal      49.00      0 Pro monthly",
    ),
    billing(
        "fails to pay until Paddle gives up",
        lambda ada: ada.subscribe().fail_renewal().later(days=30).cancel(),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly canceled",
    ),
    billing(
        "pauses, and comes back a month later",
        lambda ada: ada.subscribe().later(days=10).become("paused").later(days=30).renew(),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly paused",
        "subscription 49.00 +49.00 Pro monthly reactivation",
    ),
    billing(
        "pauses and never comes back",
        lambda ada: ada.subscribe().later(days=10).become("paused").later(days=60).cancel(),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly paused",
    ),
    # ---- How they end ----
    billing(
        "leaves at once",
        lambda ada: ada.subscribe().later(days=10).cancel(),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly canceled",
    ),
    billing(
        "leaves at the end of the month",
        lambda ada: ada.subscribe().later(days=10).cancel(scheduled=True).expire(),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly canceled",
    ),
    billing(
        "schedules the end, and thinks better of it",
        lambda ada: (
            ada.subscribe()
            .later(days=10)
            .cancel(scheduled=True)
            .later(days=2)
            .update_subscription(scheduled_change=None)
        ),
        "subscription 49.00 +49.00 Pro monthly",
    ),
    billing(
        "leaves at the end of the month, counted when asked for",
        lambda ada: ada.subscribe().later(days=10).cancel(scheduled=True).expire(),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly cancellation_requested",
        policy=AT_REQUEST,
    ),
    billing(
        "leaves, and signs up anew a month later",
        lambda ada: ada.subscribe().later(days=9).cancel().later(days=30).subscribe(name="2"),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly canceled",
        "subscription 49.00 +49.00 Pro monthly",
    ),
)

"""The table of Paddle Classic lifecycles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta

from bridge.ledger import Policy
from bridge.ledger.policy import ChurnAt
from processors.paddle_classic.simulation.customer import PLANS, PRO, STARTER, TEAM, YEARLY, Customer
from tests.lifecycles.paddle_lifecycle import DEFAULT, START, Lifecycle, make_lifecycle

TABLE = {"PADDLE_CLASSIC_PLANS": PLANS}


def lifecycle(
    title: str,
    build: Callable[[Customer], Customer],
    *expected: str,
    live: Iterable[str] | None = None,
    policy: Policy = DEFAULT,
    options: Mapping[str, str] = TABLE,
) -> Lifecycle:
    """Makes a table entry."""
    return make_lifecycle(title, lambda: build(Customer.begin("ada", START)).webhooks, expected, live, policy, options)


def moved_to_a_year(ada: Customer) -> Customer:
    """Moves to a yearly plan: a new period begins and is billed at once."""
    sold = replace(ada.subscriptions["1"], renews_at=ada.at + timedelta(days=365))
    yearly = replace(ada, subscriptions={**ada.subscriptions, "1": sold}).change(YEARLY)
    return yearly.pay(gross="457.33")


CLASSIC_LIFECYCLES = (
    lifecycle("buys an e-book", lambda ada: ada.buy(), "purchase 29.00 - E-book"),
    lifecycle(
        "buys an e-book and gets the money back",
        lambda ada: ada.buy().later(days=2).refund(),
        "purchase 29.00 - E-book",
        "refund  -29.00 0 E-book requested",
    ),
    lifecycle("signs up for Pro", lambda ada: ada.subscribe(PRO), "subscription 49.00 +49.00 Pro monthly"),
    lifecycle(
        "signs up for a year: 490.00 / 12",
        lambda ada: ada.subscribe(YEARLY),
        "subscription 490.00 +40.83 Pro annual",
    ),
    lifecycle(
        "signs up for a year without a configured plan table: the next bill shows the period",
        lambda ada: ada.subscribe(YEARLY).renew(),
        "subscription 490.00 +40.83 Pro annual estimated",
        "renewal      490.00      0 Pro annual",
        options={},
    ),
    lifecycle(
        "signs up with tax on top",
        lambda ada: ada.subscribe(PRO, tax="9.31"),
        "subscription 58.31 +49.00 Pro monthly",
    ),
    lifecycle(
        "tries for two weeks, then pays",
        lambda ada: ada.subscribe(PRO, trial_days=14).renew(),
        "subscription 49.00 +49.00 Pro monthly",
    ),
    lifecycle(
        "tries for two weeks and leaves",
        lambda ada: ada.subscribe(PRO, trial_days=14).later(days=3).cancel(at_once=True),
    ),
    lifecycle(
        "tries for two weeks, and cancels for the end of them: nothing starts",
        lambda ada: ada.subscribe(PRO, trial_days=14).later(days=3).cancel(),
    ),
    lifecycle(
        "was there before the bridge, and leaves at the end of the month, counted when asked for",
        lambda ada: replace(ada.subscribe(PRO).later(days=10), webhooks=()).cancel(),
        "churn 0 -49.00 12345 monthly cancellation_requested estimated",
        policy=Policy(churn_at=ChurnAt.REQUEST),
    ),
    lifecycle(
        "signs up and pays the second and the third month",
        lambda ada: ada.subscribe(PRO).renew().renew(),
        "subscription 49.00 +49.00 Pro monthly",
        "renewal      49.00      0 Pro monthly",
        "renewal      49.00      0 Pro monthly",
    ),
    lifecycle(
        "moves to Team",
        lambda ada: ada.subscribe(PRO).later(days=10).change(TEAM).renew(),
        "subscription 49.00 +49.00 Pro monthly",
        "upgrade          0 +50.00 Team monthly was Pro",
        "renewal      99.00      0 Team monthly",
        live=(
            "subscription 49.00 +49.00 Pro monthly",
            "upgrade          0 +50.00 12347 monthly was Pro estimated",  # until it is paid, the price may hold tax
            "renewal      99.00      0 Team monthly",
        ),
    ),
    lifecycle(
        "moves to Team after ten days of thirty, billed at once: 50.00 x 20/30",
        lambda ada: ada.subscribe(PRO).later(days=10).change(TEAM).pay(gross="33.33").renew(),
        "subscription 49.00 +49.00 Pro monthly",
        "upgrade      33.33 +50.00 Team monthly was Pro",
        "renewal      99.00      0 Team monthly",
        live=(
            "subscription 49.00 +49.00 Pro monthly",
            "upgrade      33.33 +50.00 Team monthly was Pro estimated",
            "renewal      99.00      0 Team monthly",
        ),
    ),
    lifecycle(
        "adds a seat, billed at once with the tax on top: 24.50 + 4.66",
        lambda ada: ada.subscribe(PRO).later(days=15).change(quantity=2).pay(gross="29.16", tax="4.66"),
        "subscription 49.00 +49.00 Pro monthly",
        "upgrade      29.16 +49.00 Pro monthly x2",
    ),
    lifecycle(
        "moves to Team, billed in full at once: before its period is over, so it is no renewal",
        lambda ada: ada.subscribe(PRO).later(days=10).change(TEAM).pay(),
        "subscription 49.00 +49.00 Pro monthly",
        "upgrade      99.00 +50.00 Team monthly was Pro",
    ),
    lifecycle(
        "moves to a year, billed at once less 32.67 for the twenty days left: 40.83 - 49.00",
        lambda ada: moved_to_a_year(ada.subscribe(PRO).later(days=10)),
        "subscription  49.00 +49.00 Pro monthly",
        "downgrade    457.33  -8.17 Pro annual estimated",  # until a whole year is paid, the price may hold tax
    ),
    lifecycle(
        "pays an extra in the middle of the month: nothing changes",
        lambda ada: ada.subscribe(PRO).later(days=10).pay(gross="15.00").renew(),
        "subscription 49.00 +49.00 Pro monthly",
        "renewal      15.00      0 Pro monthly",
        "renewal      49.00      0 Pro monthly",
    ),
    lifecycle(
        "pays the second month with a coupon",
        lambda ada: ada.subscribe(PRO).renew(gross="39.00", coupon="TEN"),
        "subscription 49.00 +49.00 Pro monthly",
        "renewal      39.00      0 Pro monthly with TEN",
    ),
    lifecycle(
        "moves to Starter",
        lambda ada: ada.subscribe(PRO).later(days=10).change(STARTER),
        "subscription 49.00 +49.00 Pro monthly",
        "downgrade        0 -30.00 12348 monthly was Pro estimated",
    ),
    lifecycle(
        "adds two seats",
        lambda ada: ada.subscribe(PRO).later(days=10).change(quantity=3),
        "subscription 49.00 +49.00 Pro monthly",
        "upgrade          0 +98.00 Pro monthly x3",
    ),
    lifecycle(
        "fails to pay, and pays three days later",
        lambda ada: ada.subscribe(PRO).later(days=30).fail().become("past_due").later(days=3).become("active").renew(),
        "subscription 49.00 +49.00 Pro monthly",
        "renewal      49.00      0 Pro monthly",
    ),
    lifecycle(
        "pauses, and comes back a month later",
        lambda ada: ada.subscribe(PRO).later(days=10).become("paused").later(days=30).become("active").renew(),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly paused",
        "subscription 49.00 +49.00 Pro monthly reactivation",
    ),
    lifecycle(
        "leaves at once",
        lambda ada: ada.subscribe(PRO).later(days=10).cancel(at_once=True),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly canceled",
    ),
    lifecycle(
        "leaves at the end of the month",
        lambda ada: ada.subscribe(PRO).later(days=10).cancel(),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly canceled",
    ),
    lifecycle(
        "leaves at the end of the month, counted when asked for",
        lambda ada: ada.subscribe(PRO).later(days=10).cancel(),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly cancellation_requested",
        policy=Policy(churn_at=ChurnAt.REQUEST),
    ),
    lifecycle(
        "gets 20.00 back, and the rest a week later",
        lambda ada: ada.subscribe(PRO).later(days=1).refund("20.00").later(days=7).refund("29.00"),
        "subscription 49.00 +49.00 Pro monthly",
        "refund      -20.00      0 Pro monthly requested",
        "refund      -29.00      0 Pro monthly requested",
    ),
    lifecycle(
        "has the bank take it back",
        lambda ada: ada.subscribe(PRO).later(days=5).dispute(),
        "subscription 49.00 +49.00 Pro monthly",
        "refund      -49.00      0 Pro monthly dispute",
    ),
)

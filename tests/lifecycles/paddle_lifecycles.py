"""The table of Paddle Billing lifecycles."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta

from bridge.ledger import Policy
from bridge.ledger.policy import AmountBasis, ChurnAt, MrrDiscounts, RefundAmount
from processors.paddle.simulation import payloads
from processors.paddle.simulation.customer import EBOOK, PRO, STARTER, TEAM
from processors.paddle.simulation.payloads import Body, Plan
from tests.lifecycles.paddle_customer import ExtendedCustomer, net
from tests.lifecycles.paddle_lifecycle import DEFAULT, START, Lifecycle, make_lifecycle

AT_REQUEST = Policy(churn_at=ChurnAt.REQUEST)
RECURRING = Policy(mrr_discounts=MrrDiscounts.RECURRING)
YEARLY = Plan(id="yearly", minor=49000, name="Pro", interval="year")  # 490.00 / 12 = 40.83
QUARTERLY = Plan(id="quarterly", minor=13500, name="Pro", frequency=3)  # 135.00 / 3 = 45.00
WEEKLY = Plan(id="weekly", minor=1000, name="Pro", interval="week")  # 10.00 x 52 / 12 = 43.33
FIVE_DAYS = Plan(id="days", minor=500, name="Pro", interval="day", frequency=5)  # 5.00 x 365 / 12 / 5 = 30.42
YEN = Plan(id="yen", minor=5000, name="Pro", currency="JPY")
WITH_TAX = Plan(id="gross", minor=5831, name="Pro", tax_mode="internal")  # 49.00 and 19 % of tax
BY_ACCOUNT = Plan(id="account", minor=14000, name="Pro", tax_mode="account_setting")  # 116.67 and 20 % of tax
TO_1_MAY = START + timedelta(days=120)


def lifecycle(
    title: str,
    build: Callable[[ExtendedCustomer], ExtendedCustomer],
    *expected: str,
    live: Iterable[str] | None = None,
    policy: Policy = DEFAULT,
    currency: str = "USD",
) -> Lifecycle:
    """Makes a table entry."""
    return make_lifecycle(
        title, lambda: build(ExtendedCustomer.begin("ada", START, currency=currency)).webhooks, expected, live, policy
    )


def on(discount_id: str, days: int | None = None, **more: object) -> Body:
    """A discount on a subscription, for a number of days."""
    ends_at = None if days is None else payloads.stamp(START + timedelta(days=days))
    return {"id": discount_id, "starts_at": payloads.stamp(START), "ends_at": ends_at, **more}


def half_off(ada: ExtendedCustomer, days: int | None = None, **more: object) -> ExtendedCustomer:
    """Signs up with a 50 % discount."""
    made = ada.discount("half", amount="50", **more).start(discount=on("half", days))
    return made.bill(net(PRO, 4900, discount=2450), origin="web", discount_id="half")


def half_renewed(ada: ExtendedCustomer) -> ExtendedCustomer:
    """Pays the next month with the 50 % discount."""
    return ada.later(days=30).bill(net(PRO, 4900, discount=2450, rate="1"), discount_id="half")


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


LIFECYCLES = (
    # ---- Bought once ----
    lifecycle("buys an e-book", lambda ada: ada.buy(), "purchase 29.00 - E-book"),
    lifecycle("buys an e-book as a guest", lambda ada: ada.buy(guest=True), "purchase 29.00 - E-book"),
    lifecycle(
        "buys an e-book and gets the money back",
        lambda ada: ada.buy().later(days=2).refund(),
        "purchase 29.00 - E-book",
        "refund  -29.00 0 E-book requested_by_customer",
    ),
    lifecycle(
        "buys something for 3000 yen, which have no decimals",
        lambda ada: ada.bill(net(EBOOK, 3000), origin="web", name=None),
        "purchase 3000 - JPY E-book",
        currency="JPY",
    ),
    lifecycle(
        "buys an extra on a subscription",
        lambda ada: ada.subscribe().later(days=3).charge(),
        "subscription 49.00 +49.00 Pro monthly",
        "purchase     29.00      - E-book",
    ),
    # ---- How subscriptions start ----
    lifecycle("signs up for Pro", lambda ada: ada.subscribe(), "subscription 49.00 +49.00 Pro monthly"),
    lifecycle(
        "signs up, and every webhook is delivered twice",
        lambda ada: ada.subscribe().duplicated(),
        "subscription 49.00 +49.00 Pro monthly",
    ),
    lifecycle(
        "signs up for a year: 490.00 / 12",
        lambda ada: ada.subscribe(YEARLY),
        "subscription 490.00 +40.83 Pro annual",
    ),
    lifecycle(
        "signs up by the quarter: 135.00 / 3",
        lambda ada: ada.subscribe(QUARTERLY),
        "subscription 135.00 +45.00 Pro quarterly",
    ),
    lifecycle(
        "signs up by the week: 10.00 x 52 / 12",
        lambda ada: ada.subscribe(WEEKLY),
        "subscription 10.00 +43.33 Pro weekly",
    ),
    lifecycle(
        "signs up by five days: 5.00 x 365 / 12 / 5",
        lambda ada: ada.subscribe(FIVE_DAYS),
        "subscription 5.00 +30.42 Pro every-5-days",
    ),
    lifecycle(
        "signs up with three seats",
        lambda ada: ada.subscribe(PRO, 3),
        "subscription 147.00 +147.00 Pro monthly x3",
    ),
    lifecycle(
        "signs up in yen",
        lambda ada: ada.subscribe(YEN),
        "subscription 5000 +5000 JPY Pro monthly",
        currency="JPY",
    ),
    lifecycle(
        "is billed by invoice: active at once, paid three weeks later",
        lambda ada: ada.start().later(days=21).bill(net(PRO, 4900), origin="api"),
        "subscription 49.00 +49.00 Pro monthly",
        live=("subscription 0 +49.00 Pro monthly", "renewal 49.00 0 Pro monthly"),
    ),
    lifecycle(
        "has two subscriptions",
        lambda ada: ada.subscribe().later(days=3).subscribe(TEAM, name="2"),
        "subscription 49.00 +49.00 Pro monthly",
        "subscription 99.00 +99.00 Team monthly",
    ),
    # ---- Trials ----
    lifecycle(
        "tries for two weeks with a card, then pays",
        lambda ada: ada.subscribe(trial_days=14).renew(),
        "subscription 49.00 +49.00 Pro monthly",
    ),
    lifecycle("tries for two weeks and leaves", lambda ada: ada.subscribe(trial_days=14).later(days=5).cancel()),
    lifecycle(
        "tries for two weeks without a card, which ends it",
        lambda ada: ada.subscribe(trial_days=14).expire(),
    ),
    lifecycle(
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
    lifecycle(
        "signs up and pays the second and the third month",
        lambda ada: ada.subscribe().renew().renew(),
        "subscription 49.00 +49.00 Pro monthly",
        "renewal      49.00      0 Pro monthly",
        "renewal      49.00      0 Pro monthly",
    ),
    lifecycle(
        "moves to Team and pays 33.33 at once for the rest of the month",
        lambda ada: ada.subscribe().later(days=10).change(TEAM, billed=3333),
        "subscription 49.00 +49.00 Pro monthly",
        "upgrade      33.33 +50.00 Team monthly was Pro",
    ),
    lifecycle(
        "moves to Team with what is left of Pro as negative lines: 66.00 - 32.67",
        lambda ada: (
            ada.subscribe()
            .later(days=10)
            .change(TEAM)
            .bill(net(TEAM, 6600, rate="0.66"), net(PRO, -3267, rate="0.66"), origin="subscription_update")
        ),
        "subscription 49.00 +49.00 Pro monthly",
        "upgrade      33.33 +50.00 Team monthly was Pro",
    ),
    lifecycle(
        "moves to Starter, prorated at once: nothing is paid, the rest is credit for the next bill",
        lambda ada: (
            ada.subscribe()
            .later(days=10)
            .change(STARTER)
            .bill(net(STARTER, 1254, rate="0.66"), net(PRO, -3234, rate="0.66"), origin="subscription_update")
            .later(days=20)
            .bill(net(STARTER, 1900, rate="1"), credit=1900)
        ),
        "subscription 49.00 +49.00 Pro monthly",
        "downgrade        0 -30.00 Starter monthly was Pro",
    ),
    lifecycle(
        "moves to Starter, and pays less from the next month on",
        lambda ada: ada.subscribe().later(days=10).change(STARTER).renew(),
        "subscription 49.00 +49.00 Pro monthly",
        "downgrade        0 -30.00 Starter monthly was Pro",
        "renewal      19.00      0 Starter monthly",
    ),
    lifecycle(
        "adds two seats that the next bill asks for",
        lambda ada: ada.subscribe().later(days=10).change(quantity=3).renew(),
        "subscription  49.00 +49.00 Pro monthly",
        "upgrade           0 +98.00 Pro monthly x3",
        "renewal      147.00      0 Pro monthly x3",
    ),
    lifecycle(
        "gives up two of three seats",
        lambda ada: ada.subscribe(PRO, 3).later(days=10).change(quantity=1),
        "subscription 147.00 +147.00 Pro monthly x3",
        "downgrade         0  -98.00 Pro monthly",
    ),
    lifecycle(
        "pays another card in: a transaction of nothing",
        lambda ada: ada.subscribe().later(days=3).bill(net(PRO, 0), origin="subscription_payment_method_change"),
        "subscription 49.00 +49.00 Pro monthly",
    ),
    # ---- How they falter ----
    lifecycle(
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
    lifecycle(
        "fails to pay until Paddle gives up",
        lambda ada: ada.subscribe().fail_renewal().later(days=30).cancel(),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly canceled",
    ),
    lifecycle(
        "pauses, and comes back a month later",
        lambda ada: ada.subscribe().later(days=10).become("paused").later(days=30).renew(),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly paused",
        "subscription 49.00 +49.00 Pro monthly reactivation",
    ),
    lifecycle(
        "pauses and never comes back",
        lambda ada: ada.subscribe().later(days=10).become("paused").later(days=60).cancel(),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly paused",
    ),
    # ---- How they end ----
    lifecycle(
        "leaves at once",
        lambda ada: ada.subscribe().later(days=10).cancel(),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly canceled",
    ),
    lifecycle(
        "leaves at the end of the month",
        lambda ada: ada.subscribe().later(days=10).cancel(scheduled=True).expire(),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly canceled",
    ),
    lifecycle(
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
    lifecycle(
        "leaves at the end of the month, counted when asked for",
        lambda ada: ada.subscribe().later(days=10).cancel(scheduled=True).expire(),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly cancellation_requested",
        policy=AT_REQUEST,
    ),
    lifecycle(
        "leaves, and signs up anew a month later",
        lambda ada: ada.subscribe().later(days=9).cancel().later(days=30).subscribe(name="2"),
        "subscription 49.00 +49.00 Pro monthly",
        "churn            0 -49.00 Pro monthly canceled",
        "subscription 49.00 +49.00 Pro monthly",
    ),
    # ---- Discounts ----
    lifecycle(
        "pays half for ever",
        lambda ada: half_renewed(half_off(ada)),
        "subscription 24.50 +24.50 Pro monthly with HALF",
        "renewal      24.50      0 Pro monthly with HALF",
    ),
    lifecycle(
        "pays half for a month: MRR is what is paid without it",
        lambda ada: half_off(ada, 30, maximum_recurring_intervals=1).later(days=30).renew(),
        "subscription 24.50 +49.00 Pro monthly with HALF",
        "renewal      49.00      0 Pro monthly",
    ),
    lifecycle(
        "pays half for a month, for a merchant who counts what is paid",
        lambda ada: (
            half_off(ada, 30, maximum_recurring_intervals=1)
            .later(days=30)
            .update_subscription(discount=None)
            .bill(net(PRO, 4900, rate="1"))
        ),
        "subscription 24.50 +24.50 Pro monthly with HALF",
        "upgrade          0 +24.50 Pro monthly",
        "renewal      49.00      0 Pro monthly",
        policy=RECURRING,
    ),
    lifecycle(
        "pays nothing the first time, with a discount for once",
        lambda ada: (
            ada.start(discount=on("free", type="one-off"))
            .bill(net(PRO, 4900, discount=4900), origin="web", discount_id="free")
            .later(days=30)
            .update_subscription(discount=None)
            .bill(net(PRO, 4900, rate="1"))
        ),
        "subscription 49.00 +49.00 Pro monthly with free",
        live=("subscription 0 +49.00 Pro monthly with free", "renewal 49.00 0 Pro monthly"),
    ),
    # ---- Currency and tax ----
    lifecycle(
        "is billed in pounds for a price in dollars: what was billed is the measure",
        lambda ada: ada.start().bill(net(PRO, 3900, tax=780), origin="web"),
        "subscription 46.80 +39.00 GBP Pro monthly",
        currency="GBP",
    ),
    lifecycle(
        "pays a price that holds the tax: MRR is without it",
        lambda ada: ada.start(WITH_TAX).bill(net(WITH_TAX, 4900, tax=931), origin="web"),
        "subscription 58.31 +49.00 Pro monthly",
    ),
    lifecycle(
        "pays a price that holds the tax as the account is set: 116.67 + 23.33",
        lambda ada: ada.start(BY_ACCOUNT).bill(net(BY_ACCOUNT, 11667, tax=2333), origin="web"),
        "subscription 140.00 +116.67 Pro monthly",
    ),
    lifecycle(
        "pays tax on top, for a merchant who counts without it",
        lambda ada: ada.start().bill(net(PRO, 4900, tax=931), origin="web").later(days=3).refund(),
        "subscription 49.00 +49.00 Pro monthly",
        "refund      -49.00      0 Pro monthly requested_by_customer",
        policy=Policy(amount_basis=AmountBasis.NET_OF_TAX),
    ),
    # ---- Money that goes back ----
    lifecycle(
        "gets 20.00 back",
        lambda ada: ada.subscribe().later(days=1).refund(2000),
        "subscription 49.00 +49.00 Pro monthly",
        "refund      -20.00      0 Pro monthly requested_by_customer",
    ),
    lifecycle(
        "gets 20.00 back, for a merchant who counts refunds upwards",
        lambda ada: ada.subscribe().later(days=1).refund(2000),
        "subscription 49.00 +49.00 Pro monthly",
        "refund       20.00      0 Pro monthly requested_by_customer",
        policy=Policy(refund_amount=RefundAmount.POSITIVE),
    ),
    lifecycle(
        "gets 10.00 back, and 15.00 two weeks later",
        lambda ada: ada.subscribe().later(days=1).refund(1000).later(days=14).refund(1500),
        "subscription 49.00 +49.00 Pro monthly",
        "refund      -10.00      0 Pro monthly requested_by_customer",
        "refund      -15.00      0 Pro monthly requested_by_customer",
    ),
    lifecycle(
        "asks for the money back in vain",
        lambda ada: ada.subscribe().later(days=1).refund(approved=False),
        "subscription 49.00 +49.00 Pro monthly",
    ),
    lifecycle(
        "pays 20.00 of the second month from the credit, and gets the 29.00 back that were paid",
        lambda ada: (
            ada.start()
            .bill(net(PRO, 4900), origin="web")
            .later(days=30)
            .bill(net(PRO, 4900, rate="1"), credit=2000)
            .later(days=1)
            .refund()
        ),
        "subscription  49.00 +49.00 Pro monthly",
        "renewal       29.00      0 Pro monthly",
        "refund       -29.00      0 Pro monthly requested_by_customer",
    ),
    lifecycle(
        "is given 10.00 of credit, and gets the other 39.00 back",
        lambda ada: ada.subscribe().later(days=1).adjusted("credit", 1000).later(days=1).refund(3900),
        "subscription  49.00 +49.00 Pro monthly",
        "refund       -39.00      0 Pro monthly requested_by_customer",
    ),
    lifecycle(
        "is given 20.00 of credit for a month that is then disputed: credit is no money, the dispute is",
        lambda ada: ada.subscribe().later(days=1).adjusted("credit", 2000).later(days=9).adjusted("chargeback", 4900),
        "subscription  49.00 +49.00 Pro monthly",
        "refund       -49.00      0 Pro monthly chargeback",
    ),
    lifecycle(
        "is given credit, which is no money",
        lambda ada: ada.subscribe().later(days=1).adjusted("credit", 2000),
        "subscription 49.00 +49.00 Pro monthly",
    ),
    lifecycle(
        "has the bank take it back, and Paddle wins it again",
        lambda ada: ada.subscribe().later(days=5).adjusted("chargeback").later(days=30).adjusted("chargeback_reverse"),
        "subscription 49.00 +49.00 Pro monthly",
        "refund      -49.00      0 Pro monthly chargeback",
        "renewal      49.00      0 Pro monthly chargeback_reverse reversal",
    ),
    lifecycle(
        "has a warning of a chargeback, and leaves",
        lambda ada: ada.subscribe().later(days=5).adjusted("chargeback_warning").later(days=1).cancel(),
        "subscription 49.00 +49.00 Pro monthly",
        "refund      -49.00      0 Pro monthly chargeback_warning",
        "churn            0 -49.00 Pro monthly canceled",
    ),
    # ---- Seen for the first time ----
    lifecycle(
        "was there before the bridge: its renewal is a renewal, its end is an end",
        lambda ada: ada.subscribe().later(days=20).forget_history().renew().later(days=5).cancel(),
        "renewal 49.00      0 Pro monthly",
        "churn       0 -49.00 Pro monthly canceled",
    ),
    lifecycle(
        "was there before the bridge, and leaves",
        lambda ada: ada.subscribe().later(days=20).forget_history().cancel(),
        "churn 0 -49.00 Pro monthly canceled",
    ),
    lifecycle(
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
    lifecycle(
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
    lifecycle(
        "signs up without any custom data",
        lambda ada: ada.with_custom_data(None).subscribe(),
        "subscription 49.00 +49.00 Pro monthly unattributed",
    ),
    lifecycle(
        "signs up with a visit, and renews after the custom data was taken away",
        lambda ada: ada.subscribe().with_custom_data(None).renew(),
        "subscription 49.00 +49.00 Pro monthly",
        "renewal      49.00      0 Pro monthly",
    ),
    lifecycle(
        "pays, and no subscription's event ever comes: the lines are the measure",
        lambda ada: ada.subscribe().without("subscription.created", "subscription.activated"),
        "subscription 49.00 +49.00 Pro monthly estimated",
    ),
)

"""What Paddle's transactions say about MRR: single items, tax inside, restricted discounts, changes billed at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from processors.paddle.simulation import payloads
from processors.paddle.simulation.customer import PRO
from processors.paddle.simulation.payloads import Body, Plan
from tests.lifecycles.paddle_customer import ExtendedCustomer, net
from tests.lifecycles.paddle_lifecycle import DEFAULT, START, Lifecycle, make_lifecycle

BASE = Plan(id="base", minor=2400, name="Base", tax_mode="internal")  # 20.00 and 20 %
MORE = Plan(id="more", minor=6000, name="More", tax_mode="internal")  # 50.00 and 20 %
ADD_ON = Plan(id="add", minor=1200, name="Add-on", tax_mode="location")  # 10.00 and 20 %
YEARLY = Plan(id="year", minor=24000, name="Yearly", interval="year", tax_mode="internal")  # 200.00 and 20 %
BY_ACCOUNT = Plan(id="account", minor=4900, name="Account", tax_mode="account_setting")
FOR_ALL = {"id": "half", "starts_at": payloads.stamp(START), "ends_at": None}


def lifecycle(
    title: str,
    build: Callable[[ExtendedCustomer], ExtendedCustomer],
    *expected: str,
    live: Iterable[str] | None = None,
    currency: str = "USD",
) -> Lifecycle:
    """Makes a table entry."""
    return make_lifecycle(
        title, lambda: build(ExtendedCustomer.begin("ada", START, currency=currency)).webhooks, expected, live, DEFAULT
    )


def begun(ada: ExtendedCustomer, *lines: Body, plan: Plan = BASE, extras: tuple[Plan, ...] = ()) -> ExtendedCustomer:
    """Signs up and pays."""
    return replace(ada, extras=tuple((extra, 1) for extra in extras)).start(plan).bill(*lines, origin="web")


def with_add_on(ada: ExtendedCustomer) -> ExtendedCustomer:
    """Ten days later the add-on is added, and billed alone and in full."""
    added = replace(begun(ada, net(BASE, 2000, 400)).later(days=10), extras=((ADD_ON, 1),))
    added = added.bill(net(ADD_ON, 1000, 200, rate="1"), origin="subscription_update").update_subscription()
    renewed = added.later(days=20).update_subscription()
    return renewed.bill(net(BASE, 2000, 400, rate="1"), net(ADD_ON, 1000, 200, rate="1")).later(days=3).cancel()


def mixed_intervals(ada: ExtendedCustomer) -> ExtendedCustomer:
    """A month bills only the monthly item."""
    started = begun(ada, net(BASE, 2000, 400), net(YEARLY, 20000, 4000), extras=(YEARLY,)).later(days=30)
    return started.update_subscription().bill(net(BASE, 2000, 400, rate="1")).later(days=3).cancel()


def upgrade(ada: ExtendedCustomer, days: float, rate: str, amount: int, tax: int, credit: int) -> ExtendedCustomer:
    """From 20.00 to 50.00, billed at once for the rest of the month; then the next month."""
    moved = begun(ada, net(BASE, 2000, 400)).later(days=days).update_subscription(plan=MORE)
    billed = moved.bill(net(MORE, amount, tax, rate=rate), origin="subscription_update", credit=credit)
    return billed.later(days=20).update_subscription().bill(net(MORE, 5000, 1000, rate="1"))


def upgrade_next_bill(ada: ExtendedCustomer) -> ExtendedCustomer:
    """The change is billed with the next period only."""
    moved = begun(ada, net(BASE, 2000, 400)).later(days=10).update_subscription(plan=MORE)
    return moved.later(days=20).bill(net(MORE, 5000, 1000, rate="1"))


def restricted(ada: ExtendedCustomer, *, known: bool) -> ExtendedCustomer:
    """Half off the add-on only: by the discount's own event, or shown by the transaction's lines."""
    made = ada.discount("half", amount="50", restrict_to=["pro_add"] if known else [])
    started = replace(made, extras=((ADD_ON, 1),)).start(PRO, discount=FOR_ALL)
    lines = net(PRO, 4900), net(ADD_ON, 1000, 100, discount=500)
    return started.bill(*lines, origin="web", discount_id="half").later(days=3).cancel()


VALUATION = (
    lifecycle(
        "an add-on with tax inside is billed alone and in full: 20.00 + 10.00",
        with_add_on,
        "subscription 24.00 +20.00 Base monthly",
        "upgrade      12.00 +10.00 Base monthly",
        "renewal      36.00      0 Base monthly",
        "churn            0 -30.00 Base monthly canceled",
    ),
    lifecycle(
        "a month bills only the monthly item: 20.00 + 200.00 / 12",
        mixed_intervals,
        "subscription 264.00 +36.67 Base monthly",
        "renewal       24.00      0 Base monthly",
        "churn             0 -36.67 Base monthly canceled",
    ),
    lifecycle(
        "an upgrade with tax inside at half of the month: 25.00 / 0.5",
        lambda ada: upgrade(ada, 15, "0.5", 2500, 500, 1200),
        "subscription 24.00 +20.00 Base monthly",
        "upgrade      18.00 +30.00 More monthly was Base",
        "renewal      60.00      0 More monthly",
    ),
    lifecycle(
        "an upgrade with tax inside for a rounded share: 16.67 is 50.00 x 0.33333",
        lambda ada: upgrade(ada, 20, "0.33333", 1667, 333, 800),
        "subscription 24.00 +20.00 Base monthly",
        "upgrade      12.00 +30.00 More monthly was Base",
        "renewal      60.00      0 More monthly",
    ),
    lifecycle(
        "an upgrade with tax inside is billed later: the rate of the old price is likely",
        upgrade_next_bill,
        "subscription 24.00 +20.00 Base monthly",
        "upgrade          0 +30.00 More monthly was Base",
        "renewal      60.00      0 More monthly",
        live=(
            "subscription 24.00 +20.00 Base monthly",
            "upgrade          0 +30.00 More monthly was Base estimated",
            "renewal      60.00      0 More monthly",
        ),
    ),
    lifecycle(
        "the account's setting puts the tax on top",
        lambda ada: begun(ada, net(BY_ACCOUNT, 4900, 980), plan=BY_ACCOUNT).later(days=3).cancel(),
        "subscription 58.80 +49.00 Account monthly",
        "churn            0 -49.00 Account monthly canceled",
    ),
    lifecycle(
        "a discount is restricted to the add-on: 49.00 + 10.00 / 2",
        lambda ada: restricted(ada, known=True),
        "subscription 55.00 +54.00 Pro monthly with HALF",
        "churn            0 -54.00 Pro monthly with HALF canceled",
    ),
    lifecycle(
        "the lines show that a discount came off the add-on only: 49.00 + 10.00 / 2",
        lambda ada: restricted(ada, known=False),
        "subscription 55.00 +54.00 Pro monthly with HALF",
        "churn            0 -54.00 Pro monthly with HALF canceled",
    ),
)

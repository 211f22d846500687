"""Restricted discounts, and changes that Paddle bills at once: the transaction's lines say what they are worth."""

from __future__ import annotations

from dataclasses import replace

from processors.paddle.simulation.customer import PRO, TEAM
from tests.lifecycles.paddle_customer import ExtendedCustomer, net
from tests.lifecycles.paddle_lifecycle import billing
from tests.lifecycles.paddle_valuation import ADD_ON, BASE, FOR_ALL, MORE, SUPPORT, YEARLY, begun

# ---- C. Restricted discounts --------------------------------------------------------------------------------------


def restricted(ada: ExtendedCustomer, *, known: bool) -> ExtendedCustomer:
    """Half off the add-on only: by the discount's own event, or shown by the transaction's lines."""
    made = ada.discount("half", amount="50", restrict_to=["pro_add"] if known else [])
    started = replace(made, extras=((ADD_ON, 1),)).start(PRO, discount=FOR_ALL)
    lines = net(PRO, 4900), net(ADD_ON, 1000, 100, discount=500)
    return started.bill(*lines, origin="web", discount_id="half").later(days=3).cancel()


def off_support(ada: ExtendedCustomer, off: int, **terms: object) -> ExtendedCustomer:
    """Pro of 49.00 and Support of 10.00, with a discount of these terms that takes `off` minor units off Support."""
    started = replace(ada.discount("half", **terms), extras=((SUPPORT, 1),)).start(PRO, discount=FOR_ALL)
    lines = net(PRO, 4900), net(SUPPORT, 1000, discount=off)
    return started.bill(*lines, origin="web", discount_id="half").later(days=3).cancel()


COUPONS = (
    billing(
        "a discount is restricted to the add-on: 49.00 + 10.00 / 2",
        lambda ada: restricted(ada, known=True),
        "subscription 55.00 +54.00 Pro monthly with HALF",
        "churn            0 -54.00 Pro monthly with HALF canceled",
    ),
    billing(
        "the lines show that a discount came off the add-on only: 49.00 + 10.00 / 2",
        lambda ada: restricted(ada, known=False),
        "subscription 55.00 +54.00 Pro monthly with HALF",
        "churn            0 -54.00 Pro monthly with HALF canceled",
    ),
    billing(
        "4.00 off, restricted to Support: 49.00 + 10.00 - 4.00",
        lambda ada: off_support(
            ada, 400, type="flat", amount="400", currency_code="USD", restrict_to=["pro_support"], code="FOUR"
        ),
        "subscription 55.00 +55.00 Pro monthly with FOUR",
        "churn            0 -55.00 Pro monthly with FOUR canceled",
    ),
    billing(
        "a discount is restricted to the price of Support: 49.00 + 10.00 / 2",
        lambda ada: off_support(ada, 500, amount="50", restrict_to=["pri_support"]),
        "subscription 54.00 +54.00 Pro monthly with HALF",
        "churn            0 -54.00 Pro monthly with HALF canceled",
    ),
    billing(
        "a discount is restricted to a product that is not bought: 49.00 + 10.00",
        lambda ada: off_support(ada, 0, amount="50", restrict_to=["pro_other"]),
        "subscription 59.00 +59.00 Pro monthly with HALF",
        "churn            0 -59.00 Pro monthly with HALF canceled",
    ),
    billing(
        "12.00 off, restricted to Support, which costs 10.00: 49.00",
        lambda ada: off_support(
            ada, 1000, type="flat", amount="1200", currency_code="USD", restrict_to=["pro_support"]
        ),
        "subscription 49.00 +49.00 Pro monthly with HALF",
        "churn            0 -49.00 Pro monthly with HALF canceled",
    ),
)


# ---- D. Changes to prices that do not say it all ------------------------------------------------------------------


def upgrade(ada: ExtendedCustomer) -> ExtendedCustomer:
    """From 20.00 to 50.00, billed at once for half of the month; then the next month."""
    moved = begun(ada, net(BASE, 2000, 400)).later(days=15).update_subscription(plan=MORE)
    lines = net(MORE, 2500, 500, rate="0.5"), net(BASE, -1000, -200, rate="0.5")
    billed = moved.bill(*lines, origin="subscription_update", credited=BASE)
    return billed.later(days=20).update_subscription().bill(net(MORE, 5000, 1000, rate="1"))


def upgrade_with_credit(ada: ExtendedCustomer) -> ExtendedCustomer:
    """The same for a third of the month, before 2024: what is left of the old price is no line but a credit."""
    moved = begun(ada, net(BASE, 2000, 400)).later(days=20).update_subscription(plan=MORE)
    billed = moved.bill(net(MORE, 1667, 333, rate="0.33333"), origin="subscription_update", credit=800)
    return billed.later(days=20).update_subscription().bill(net(MORE, 5000, 1000, rate="1"))


def upgrade_next_bill(ada: ExtendedCustomer) -> ExtendedCustomer:
    """The change is billed with the next period only."""
    moved = begun(ada, net(BASE, 2000, 400)).later(days=10).update_subscription(plan=MORE)
    return moved.later(days=20).update_subscription().bill(net(MORE, 5000, 1000, rate="1"))


def upgrade_in_pounds(ada: ExtendedCustomer) -> ExtendedCustomer:
    """49.00 dollars are 39.20 pounds, and 99.00 dollars 79.20: half of that less half of the former."""
    moved = begun(ada, net(PRO, 3920), plan=PRO).later(days=15).update_subscription(plan=TEAM)
    lines = net(TEAM, 3960, rate="0.5"), net(PRO, -1960, rate="0.5")
    billed = moved.bill(*lines, origin="subscription_update", credited=PRO)
    return billed.later(days=15).update_subscription().bill(net(TEAM, 7920, rate="1"))


def seats_in_pounds(ada: ExtendedCustomer) -> ExtendedCustomer:
    """Two more seats at half of the month: 3 x 19.60 - 19.60."""
    moved = begun(ada, net(PRO, 3920), plan=PRO).later(days=15).update_subscription(quantity=3)
    lines = net(PRO, 5880, quantity=3, rate="0.5"), net(PRO, -1960, quantity=-1, rate="0.5")
    return moved.bill(*lines, origin="subscription_update")


def to_the_year(ada: ExtendedCustomer) -> ExtendedCustomer:
    """From 20.00 a month to 200.00 a year at half of the month: 240.00 less 12.00 of credit, with tax."""
    moved = begun(ada, net(BASE, 2000, 400)).later(days=15).update_subscription(plan=YEARLY)
    lines = net(YEARLY, 20000, 4000, rate="1"), net(BASE, -1000, -200, rate="0.5")
    return moved.bill(*lines, origin="subscription_update", credited=BASE)


def downgrade(ada: ExtendedCustomer) -> ExtendedCustomer:
    """From 50.00 to 20.00 at half of the month: 12.00 with tax are less than the 30.00 that are left."""
    moved = begun(ada, net(MORE, 5000, 1000), plan=MORE).later(days=15).update_subscription(plan=BASE)
    lines = net(BASE, 1000, 200, rate="0.5"), net(MORE, -2500, -500, rate="0.5")
    billed = moved.bill(*lines, origin="subscription_update", credited=MORE)
    return billed.later(days=15).update_subscription().bill(net(BASE, 2000, 400, rate="1"))


CHANGES = (
    billing(
        "an upgrade with tax inside at half of the month: 25.00 / 0.5",
        upgrade,
        "subscription 24.00 +20.00 Base monthly",
        "upgrade      18.00 +30.00 More monthly was Base",
        "renewal      60.00      0 More monthly",
    ),
    billing(
        "an upgrade with tax inside for a rounded share: 16.67 is 50.00 x 0.33333",
        upgrade_with_credit,
        "subscription 24.00 +20.00 Base monthly",
        "upgrade      12.00 +30.00 More monthly was Base",
        "renewal      60.00      0 More monthly",
    ),
    billing(
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
    billing(
        "an upgrade in pounds at half of the month: 39.60 / 0.5",
        upgrade_in_pounds,
        "subscription 39.20 +39.20 GBP Pro monthly",
        "upgrade      20.00 +40.00 GBP Team monthly was Pro",
        "renewal      79.20      0 GBP Team monthly",
        currency="GBP",
    ),
    billing(
        "two more seats in pounds: 3 x 39.20",
        seats_in_pounds,
        "subscription 39.20 +39.20 GBP Pro monthly",
        "upgrade      39.20 +78.40 GBP Pro monthly x3",
        currency="GBP",
    ),
    billing(
        "to a year with tax inside: from 20.00 to 200.00 / 12",
        to_the_year,
        "subscription  24.00 +20.00 Base monthly",
        "downgrade    228.00  -3.33 Yearly annual was Base",
    ),
    billing(
        "a downgrade with tax inside, paid from credit: from 50.00 to 10.00 / 0.5",
        downgrade,
        "subscription 60.00 +50.00 More monthly",
        "downgrade        0 -30.00 Base monthly was More",
        "renewal      24.00      0 Base monthly",
    ),
)

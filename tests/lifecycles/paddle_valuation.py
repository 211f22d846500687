"""What Paddle's transactions say about MRR: single items, tax inside, and items that are charged once."""

from __future__ import annotations

from dataclasses import replace

from processors.paddle.simulation import payloads
from processors.paddle.simulation.customer import EBOOK, PRO
from processors.paddle.simulation.payloads import Body, Plan
from tests.lifecycles.paddle_customer import ExtendedCustomer, net
from tests.lifecycles.paddle_lifecycle import START, billing

BASE = Plan(id="base", minor=2400, name="Base", tax_mode="internal")  # 20.00 and 20 %
MORE = Plan(id="more", minor=6000, name="More", tax_mode="internal")  # 50.00 and 20 %
ADD_ON = Plan(id="add", minor=1200, name="Add-on", tax_mode="location")  # 10.00 and 20 %
YEARLY = Plan(id="year", minor=24000, name="Yearly", interval="year", tax_mode="internal")  # 200.00 and 20 %
BY_ACCOUNT = Plan(id="account", minor=4900, name="Account", tax_mode="account_setting")
FOR_ALL = {"id": "half", "starts_at": payloads.stamp(START), "ends_at": None}
SUPPORT = Plan(id="support", minor=1000, name="Support")
BY_LOCATION = Plan(id="located", minor=2400, name="Located", tax_mode="location")
ODD = Plan(id="odd", minor=999, name="Odd", tax_mode="internal")  # 8.39 and 19 %
SETUP = Plan(id="setup", minor=9900, name="Set-up", interval=None)


def begun(ada: ExtendedCustomer, *lines: Body, plan: Plan = BASE, extras: tuple[Plan, ...] = ()) -> ExtendedCustomer:
    """Signs up and pays."""
    return replace(ada, extras=tuple((extra, 1) for extra in extras)).start(plan).bill(*lines, origin="web")


# ---- A. Transactions of single items ------------------------------------------------------------------------------


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


def charged_once(ada: ExtendedCustomer) -> ExtendedCustomer:
    """An e-book is charged on the subscription, with tax on top."""
    charged = begun(ada, net(BASE, 2000, 400)).later(days=5).bill(net(EBOOK, 2900, 580), origin="subscription_charge")
    return charged.later(days=2).update_subscription().later(days=2).cancel()


def support_in_pounds(ada: ExtendedCustomer) -> ExtendedCustomer:
    """Pro of 49.00 dollars costs 39.00 pounds; Support is added and billed alone."""
    added = replace(begun(ada, net(PRO, 3900), plan=PRO).later(days=10), extras=((SUPPORT, 1),))
    billed = added.bill(net(SUPPORT, 800, rate="1"), origin="subscription_update").update_subscription()
    return billed.later(days=3).update_subscription().later(days=3).cancel()


def year_with_monthly_add_on(ada: ExtendedCustomer) -> ExtendedCustomer:
    """A year, and an add-on that the second month bills alone."""
    lines = net(YEARLY, 20000, 4000), net(ADD_ON, 1000, 200)
    started = begun(ada, *lines, plan=YEARLY, extras=(ADD_ON,)).later(days=30)
    return started.bill(net(ADD_ON, 1000, 200, rate="1")).update_subscription().later(days=3).cancel()


def second_add_on(ada: ExtendedCustomer) -> ExtendedCustomer:
    """From one add-on to two at half of the month: 2 x 6.00 - 6.00."""
    started = begun(ada, net(BASE, 2000, 400), net(ADD_ON, 1000, 200), extras=(ADD_ON,)).later(days=15)
    lines = net(ADD_ON, 1000, 200, quantity=2, rate="0.5"), net(ADD_ON, -500, -100, quantity=-1, rate="0.5")
    added = replace(started, extras=((ADD_ON, 2),))
    return added.bill(*lines, origin="subscription_update").update_subscription().later(days=3).cancel()


SINGLE_ITEMS = (
    billing(
        "an add-on with tax inside is billed alone and in full: 20.00 + 10.00",
        with_add_on,
        "subscription 24.00 +20.00 Base monthly",
        "upgrade      12.00 +10.00 Base monthly",
        "renewal      36.00      0 Base monthly",
        "churn            0 -30.00 Base monthly canceled",
    ),
    billing(
        "a month bills only the monthly item: 20.00 + 200.00 / 12",
        mixed_intervals,
        "subscription 264.00 +36.67 Base monthly",
        "renewal       24.00      0 Base monthly",
        "churn             0 -36.67 Base monthly canceled",
    ),
    billing(
        "an e-book is charged on a subscription with tax inside: 20.00 as before",
        charged_once,
        "subscription 24.00 +20.00 Base monthly",
        "purchase     34.80      - E-book",
        "churn            0 -20.00 Base monthly canceled",
    ),
    billing(
        "Support is billed alone in a foreign currency: 39.00 + 8.00",
        support_in_pounds,
        "subscription 39.00 +39.00 GBP Pro monthly",
        "upgrade       8.00  +8.00 GBP Pro monthly",
        "churn            0 -47.00 GBP Pro monthly canceled",
        currency="GBP",
    ),
    billing(
        "a month bills only the add-on of a yearly plan: 200.00 / 12 + 10.00",
        year_with_monthly_add_on,
        "subscription 252.00 +26.67 Yearly annual",
        "renewal       12.00      0 Yearly annual",
        "churn             0 -26.67 Yearly annual canceled",
    ),
    billing(
        "a second add-on is billed for the rest of the month: 20.00 + 2 x 10.00",
        second_add_on,
        "subscription 36.00 +30.00 Base monthly",
        "upgrade       6.00 +10.00 Base monthly",
        "churn            0 -40.00 Base monthly canceled",
    ),
)


# ---- B. Tax inside ------------------------------------------------------------------------------------------------


def seats_with_odd_tax(ada: ExtendedCustomer) -> ExtendedCustomer:
    """9.99 with 19 % inside is 8.39, and three of it are 25.18, not 3 x 8.39."""
    more = begun(ada, at_19_percent(net(ODD, 839, 160)), plan=ODD).later(days=10).update_subscription(quantity=3)
    return more.later(days=20).update_subscription().bill(at_19_percent(net(ODD, 2518, 479, quantity=3, rate="1")))


def at_19_percent(line: Body) -> Body:
    return {**line, "tax_rate": "0.19"}


def shown_by_the_next_transaction(ada: ExtendedCustomer) -> ExtendedCustomer:
    """The bridge is installed after the start: only the next transaction shows the rate of the tax inside."""
    older = begun(ada, net(BASE, 2000, 400)).forget_history().later(days=10).update_subscription()
    return older.later(days=20).update_subscription().bill(net(BASE, 2000, 400, rate="1")).later(days=3).cancel()


def free_month(ada: ExtendedCustomer) -> ExtendedCustomer:
    """A month is discounted by 100 %, so that no tax is paid; then the discount is removed."""
    started = begun(ada.discount("free", amount="100"), net(BASE, 2000, 400)).later(days=20)
    free = {"id": "free", "starts_at": payloads.stamp(started.at), "ends_at": None}
    given = started.update_subscription(discount=free).later(days=10)
    billed = given.bill({**net(BASE, 2000, discount=2000, rate="1"), "tax_rate": "0.2"}, discount_id="free")
    return billed.later(days=5).update_subscription(discount=None).later(days=3).cancel()


TAX_INSIDE = (
    billing(
        "the account's setting puts the tax on top",
        lambda ada: begun(ada, net(BY_ACCOUNT, 4900, 980), plan=BY_ACCOUNT).later(days=3).cancel(),
        "subscription 58.80 +49.00 Account monthly",
        "churn            0 -49.00 Account monthly canceled",
    ),
    billing(
        "the customer's country puts the tax inside: 24.00 / 1.2",
        lambda ada: begun(ada, net(BY_LOCATION, 2000, 400), plan=BY_LOCATION).later(days=3).cancel(),
        "subscription 24.00 +20.00 Located monthly",
        "churn            0 -20.00 Located monthly canceled",
    ),
    billing(
        "the customer's country puts the tax on top: 24.00, and 4.80 of tax",
        lambda ada: begun(ada, net(BY_LOCATION, 2400, 480), plan=BY_LOCATION).later(days=3).cancel(),
        "subscription 28.80 +24.00 Located monthly",
        "churn            0 -24.00 Located monthly canceled",
    ),
    billing(
        "an exempt customer pays the whole amount without tax",
        lambda ada: begun(ada, net(BASE, 2400)).later(days=3).cancel(),
        "subscription 24.00 +24.00 Base monthly",
        "churn            0 -24.00 Base monthly canceled",
    ),
    billing(
        "the rate counts rather than the rounded tax: 9.99 / 1.19, then 29.97 / 1.19",
        seats_with_odd_tax,
        "subscription  9.99  +8.39 Odd monthly",
        "upgrade          0 +16.79 Odd monthly x3",
        "renewal      29.97      0 Odd monthly x3",
    ),
    billing(
        "a baseline is corrected when a transaction shows the tax inside",
        shown_by_the_next_transaction,
        "renewal 24.00      0 Base monthly",
        "churn       0 -20.00 Base monthly canceled",
    ),
    billing(
        "a month is free: the tax is still inside after it",
        free_month,
        "subscription 24.00 +20.00 Base monthly",
        "churn            0 -20.00 Base monthly with FREE free",
        "subscription     0 +20.00 Base monthly reactivation",
        "churn            0 -20.00 Base monthly canceled",
    ),
)


# ---- G. Plans next to what is charged once ------------------------------------------------------------------------
# Paddle has no metered prices: usage is charged as a one-time item on the subscription, so that is all a plan could
# wrongly be named after.


def usage_each_month(ada: ExtendedCustomer) -> ExtendedCustomer:
    """Usage that costs more than the plan is charged at the end of the month."""
    usage = Plan(id="usage", minor=12000, name="Usage", interval=None)
    charged = begun(ada, net(PRO, 4900), plan=PRO).later(days=29).charge(usage)
    return charged.later(days=1).update_subscription().bill(net(PRO, 4900, rate="1")).later(days=2).cancel()


CHARGED_ONCE = (
    billing(
        "a set-up fee of 99.00 is the first line of the checkout: the plan is Pro",
        lambda ada: begun(ada, net(SETUP, 9900), net(PRO, 4900), plan=PRO).later(days=3).cancel(),
        "subscription 148.00 +49.00 Pro monthly",
        "churn             0 -49.00 Pro monthly canceled",
    ),
    billing(
        "a set-up fee of 99.00, and no subscription event: the plan is Pro",
        lambda ada: begun(ada, net(SETUP, 9900), net(PRO, 4900), plan=PRO).without(
            "subscription.created", "subscription.activated"
        ),
        "subscription 148.00 +49.00 Pro monthly estimated",
    ),
    billing(
        "usage of 120.00 is charged on a subscription to Pro",
        usage_each_month,
        "subscription  49.00 +49.00 Pro monthly",
        "purchase     120.00      - Usage",
        "renewal       49.00      0 Pro monthly",
        "churn             0 -49.00 Pro monthly canceled",
    ),
    billing(
        "a set-up fee is refunded: the plan stays Pro",
        lambda ada: begun(ada, net(SETUP, 9900), net(PRO, 4900), plan=PRO).later(days=3).refund(9900),
        "subscription 148.00 +49.00 Pro monthly",
        "refund       -99.00      0 Pro monthly requested_by_customer",
    ),
    billing(
        "an e-book is bought a day before the plan: each has its own name",
        lambda ada: begun(ada.buy(EBOOK).later(days=1), net(PRO, 4900), plan=PRO),
        "purchase     29.00      - E-book",
        "subscription 49.00 +49.00 Pro monthly",
    ),
)

"""Paddle payments: purchases, discounts, currencies and tax, money that is returned."""

from __future__ import annotations

from datetime import timedelta

from bridge.ledger import Policy
from bridge.ledger.policy import AmountBasis, MrrDiscounts, RefundAmount
from processors.paddle.simulation import payloads
from processors.paddle.simulation.customer import EBOOK, PRO
from processors.paddle.simulation.payloads import Body, Plan
from tests.lifecycles.paddle_customer import ExtendedCustomer, net
from tests.lifecycles.paddle_lifecycle import START, billing

RECURRING = Policy(mrr_discounts=MrrDiscounts.RECURRING)
WITH_TAX = Plan(id="gross", minor=5831, name="Pro", tax_mode="internal")  # 49.00 and 19 % of tax
BY_ACCOUNT = Plan(id="account", minor=14000, name="Pro", tax_mode="account_setting")  # 116.67 and 20 % of tax


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
    return ada.later(days=30).update_subscription().bill(net(PRO, 4900, discount=2450, rate="1"), discount_id="half")


MONEY = (
    # ---- Bought once ----
    billing("buys an e-book", lambda ada: ada.buy(), "purchase 29.00 - E-book"),
    billing("buys an e-book as a guest", lambda ada: ada.buy(guest=True), "purchase 29.00 - E-book"),
    billing(
        "buys an e-book and gets the money back",
        lambda ada: ada.buy().later(days=2).refund(),
        "purchase 29.00 - E-book",
        "refund  -29.00 0 E-book requested_by_customer",
    ),
    billing(
        "buys something for 3000 yen, which have no decimals",
        lambda ada: ada.bill(net(EBOOK, 3000), origin="web", name=None),
        "purchase 3000 - JPY E-book",
        currency="JPY",
    ),
    billing(
        "buys an extra on a subscription",
        lambda ada: ada.subscribe().later(days=3).charge(),
        "subscription 49.00 +49.00 Pro monthly",
        "purchase     29.00      - E-book",
    ),
    # ---- Discounts ----
    billing(
        "pays half for ever",
        lambda ada: half_renewed(half_off(ada)),
        "subscription 24.50 +24.50 Pro monthly with HALF",
        "renewal      24.50      0 Pro monthly with HALF",
    ),
    billing(
        "pays half for a month: MRR is what is paid without it",
        lambda ada: half_off(ada, 30, maximum_recurring_intervals=1).later(days=30).renew(),
        "subscription 24.50 +49.00 Pro monthly with HALF",
        "renewal      49.00      0 Pro monthly",
    ),
    billing(
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
    billing(
        "pays nothing the first time, with a discount for once",
        lambda ada: (
            ada.start(discount=on("free", type="one-off"))
            .bill(net(PRO, 4900, discount=4900), origin="web", discount_id="free")
            .later(days=30)
            .update_subscription(discount=None)
            .bill(net(PRO, 4900, rate="1"))
        ),
        "subscription    0 +49.00 Pro monthly with free",
        "renewal      49.00      0 Pro monthly",
    ),
    # ---- Currency and tax ----
    billing(
        "is billed in pounds for a price in dollars: what was billed is the measure",
        lambda ada: ada.start().bill(net(PRO, 3900, tax=780), origin="web"),
        "subscription 46.80 +39.00 GBP Pro monthly",
        currency="GBP",
    ),
    billing(
        "pays a price that holds the tax: MRR is without it",
        lambda ada: ada.start(WITH_TAX).bill(net(WITH_TAX, 4900, tax=931), origin="web"),
        "subscription 58.31 +49.00 Pro monthly",
    ),
    billing(
        "pays a price that holds the tax as the account is set: 116.67 + 23.33",
        lambda ada: ada.start(BY_ACCOUNT).bill(net(BY_ACCOUNT, 11667, tax=2333), origin="web"),
        "subscription 140.00 +116.67 Pro monthly",
    ),
    billing(
        "pays tax on top, for a merchant who counts without it",
        lambda ada: ada.start().bill(net(PRO, 4900, tax=931), origin="web").later(days=3).refund(),
        "subscription 49.00 +49.00 Pro monthly",
        "refund      -49.00      0 Pro monthly requested_by_customer",
        policy=Policy(amount_basis=AmountBasis.NET_OF_TAX),
    ),
    # ---- Money that goes back ----
    billing(
        "has the tax given back for a VAT number",
        lambda ada: ada.start().bill(net(PRO, 4900, tax=931), origin="web").later(days=3).refund_tax(),
        "subscription 58.31 +49.00 Pro monthly",
        "refund       -9.31      0 Pro monthly tax_only",
    ),
    billing(
        "has the tax given back and then half of the rest, for a merchant who counts without tax",
        lambda ada: (
            ada.start()
            .bill(net(PRO, 4900, tax=931), origin="web")
            .later(days=3)
            .refund_tax()
            .later(days=2)
            .without_tax()
            .refund(2450)
        ),
        "subscription 49.00 +49.00 Pro monthly",
        "refund      -24.50      0 Pro monthly requested_by_customer",
        policy=Policy(amount_basis=AmountBasis.NET_OF_TAX),
    ),
    billing(
        "gets 20.00 back",
        lambda ada: ada.subscribe().later(days=1).refund(2000),
        "subscription 49.00 +49.00 Pro monthly",
        "refund      -20.00      0 Pro monthly requested_by_customer",
    ),
    billing(
        "gets 20.00 back, for a merchant who counts refunds upwards",
        lambda ada: ada.subscribe().later(days=1).refund(2000),
        "subscription 49.00 +49.00 Pro monthly",
        "refund       20.00      0 Pro monthly requested_by_customer",
        policy=Policy(refund_amount=RefundAmount.POSITIVE),
    ),
    billing(
        "gets 10.00 back, and 15.00 two weeks later",
        lambda ada: ada.subscribe().later(days=1).refund(1000).later(days=14).refund(1500),
        "subscription 49.00 +49.00 Pro monthly",
        "refund      -10.00      0 Pro monthly requested_by_customer",
        "refund      -15.00      0 Pro monthly requested_by_customer",
    ),
    billing(
        "asks for the money back in vain",
        lambda ada: ada.subscribe().later(days=1).refund(approved=False),
        "subscription 49.00 +49.00 Pro monthly",
    ),
    billing(
        "pays 20.00 of the second month from the credit, and gets the 29.00 back that were paid",
        lambda ada: (
            ada.start()
            .bill(net(PRO, 4900), origin="web")
            .later(days=30)
            .update_subscription()
            .bill(net(PRO, 4900, rate="1"), credit=2000)
            .later(days=1)
            .refund()
        ),
        "subscription  49.00 +49.00 Pro monthly",
        "renewal       29.00      0 Pro monthly",
        "refund       -29.00      0 Pro monthly requested_by_customer",
    ),
    billing(
        "is given 10.00 of credit, and gets the other 39.00 back",
        lambda ada: ada.subscribe().later(days=1).adjusted("credit", 1000).later(days=1).refund(3900),
        "subscription  49.00 +49.00 Pro monthly",
        "refund       -39.00      0 Pro monthly requested_by_customer",
    ),
    billing(
        "is given 20.00 of credit for a month that is then disputed: credit is no money, the dispute is",
        lambda ada: ada.subscribe().later(days=1).adjusted("credit", 2000).later(days=9).adjusted("chargeback", 4900),
        "subscription  49.00 +49.00 Pro monthly",
        "refund       -49.00      0 Pro monthly chargeback",
    ),
    billing(
        "is given credit, which is no money",
        lambda ada: ada.subscribe().later(days=1).adjusted("credit", 2000),
        "subscription 49.00 +49.00 Pro monthly",
    ),
    billing(
        "has the bank take it back, and Paddle wins it again",
        lambda ada: ada.subscribe().later(days=5).adjusted("chargeback").later(days=30).adjusted("chargeback_reverse"),
        "subscription 49.00 +49.00 Pro monthly",
        "refund      -49.00      0 Pro monthly chargeback",
        "renewal      49.00      0 Pro monthly chargeback_reverse reversal",
    ),
    billing(
        "has a warning of a chargeback, and leaves",
        lambda ada: ada.subscribe().later(days=5).adjusted("chargeback_warning").later(days=1).cancel(),
        "subscription 49.00 +49.00 Pro monthly",
        "refund      -49.00      0 Pro monthly chargeback_warning",
        "churn            0 -49.00 Pro monthly canceled",
    ),
    # ---- Money from before the bridge that goes back ----
    billing(
        "is first seen by a refund",
        lambda ada: ada.subscribe().forget_history().later(days=20).refund(2000),
        "refund -20.00 0 requested_by_customer unattributed",
    ),
    billing(
        "is first seen by a chargeback",
        lambda ada: ada.subscribe().forget_history().later(days=20).adjusted("chargeback"),
        "refund -49.00 0 chargeback unattributed",
    ),
    billing(
        "is first seen when a chargeback from before is reversed: its money comes back now",
        lambda ada: (
            ada.subscribe()
            .later(days=5)
            .adjusted("chargeback")
            .forget_history()
            .later(days=30)
            .adjusted("chargeback_reverse")
        ),
        "renewal 49.00 0 chargeback_reverse reversal unattributed",
    ),
)

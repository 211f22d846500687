"""Coupons: which of them lower MRR, and where payloads carry the coupon in the old, basil and clover shapes."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from bridge.ledger import Policy
from bridge.ledger.policy import MrrDiscounts
from processors.facts import Coupon, Duration
from processors.stripe.simulation import payloads
from processors.stripe.simulation.customer import PRO, PRO_YEARLY, Plan
from processors.stripe.simulation.payloads import Body, Shape
from tests.lifecycles.stripe_customer import ComplexPlan, ExtendedCustomer
from tests.lifecycles.stripe_lifecycle import lifecycle

ALL = tuple(Shape)
RECURRING = Policy(mrr_discounts=MrrDiscounts.RECURRING)
NO_DISCOUNTS = Policy(mrr_discounts=MrrDiscounts.NONE)

QUARTER = payloads.coupon("FRIEND25", percent=25)
HALF = payloads.coupon("HALF", percent=50)
FIFTH = payloads.coupon("FIFTH", percent=20)
FREE = payloads.coupon("FREE", percent=100)
TEN_OFF = payloads.coupon("TEN", amount_off=1000, currency="usd")
FIVE_OFF = payloads.coupon("FIVE", amount_off=500, currency="usd")
SIXTY_OFF = payloads.coupon("SIXTY", amount_off=6000, currency="usd")
TEN_OR_NINE = {**TEN_OFF, "id": "TENNINE", "currency_options": {"eur": {"amount_off": 900}}}
NAMED = payloads.coupon("x7Kd", percent=25, name="Friends and family")
FIRST_MONTH = payloads.coupon("FIRST25", percent=25, duration="once")
HALF_FOR_3 = payloads.coupon("HALF3", percent=50, duration="repeating", months=3)

BOTH = ComplexPlan(
    id="price_both",
    minor=4900,
    name="Both",
    price_fields={"currency": "usd", "currency_options": {"eur": {"unit_amount": 4500}}},
)
STORAGE = Plan(id="price_storage", minor=12000, name="Storage", interval="year")


def with_coupon_events(ada: ExtendedCustomer, *coupons: Body) -> ExtendedCustomer:
    """The merchant creates these coupons, and the bridge receives the events."""
    for coupon in coupons:
        ada = ada.sent("coupon.created", coupon)
    return ada


def sign_up_with(ada: ExtendedCustomer, coupon: Body, minor: int, plan: Plan = PRO) -> ExtendedCustomer:
    """Signs up with a coupon that is in the catalog, and pays an amount."""
    started = with_coupon_events(ada, coupon).start(plan, coupon=coupon).with_discount_events()
    return started.bill(minor, "subscription_create", name="1")


def sign_up_without_coupon_events(ada: ExtendedCustomer, coupon: Body, minor: int) -> ExtendedCustomer:
    """Signs up with a coupon that no event described."""
    return ada.start(PRO, coupon=coupon).bill(minor, "subscription_create", name="1")


def signed_up(ada: ExtendedCustomer) -> ExtendedCustomer:
    """Signs up for Pro."""
    return ada.start(PRO).bill(4900, "subscription_create", name="1")


def next_month(ada: ExtendedCustomer, minor: int) -> ExtendedCustomer:
    """The next month begins, and an hour later its invoice is paid."""
    return ada.next_period().later(hours=1).bill(minor, "subscription_cycle", name="1")


def two_coupons(ada: ExtendedCustomer, minor: int) -> ExtendedCustomer:
    """50 % and 5.00 off, both on the subscription."""
    holding = replace(with_coupon_events(ada, HALF, FIVE_OFF), more_coupons={"sub_ada_1": (FIVE_OFF,)})
    return holding.start(PRO, coupon=HALF).with_discount_events().bill(minor, "subscription_create", name="1")


def on_item_and_whole(ada: ExtendedCustomer) -> ExtendedCustomer:
    """20 % off the item, and 10.00 off the subscription."""
    holding = replace(with_coupon_events(ada, FIFTH, TEN_OFF), item_coupons={"sub_ada_1": (FIFTH,)})
    return holding.start(PRO, coupon=TEN_OFF).with_discount_events().bill(2920, "subscription_create", name="1")


def on_item_alone(ada: ExtendedCustomer) -> ExtendedCustomer:
    """20 % off the item Pro, nothing off the storage."""
    holding = replace(with_coupon_events(ada, FIFTH), item_coupons={"sub_ada_1": (FIFTH,)})
    plan = ComplexPlan(id=PRO.id, minor=PRO.minor, name=PRO.name, extras=((STORAGE, 1),))
    return holding.start(plan).with_discount_events().bill(15920, "subscription_create", name="1")


DISCOUNTS = (
    # ---- For ever: Stripe's own page subtracts these ----
    lifecycle(
        "signs up with 25 % off for ever: 49.00 x 0.75",
        lambda ada: sign_up_with(ada, QUARTER, 3675),
        "subscription 36.75 +36.75 Pro monthly with FRIEND25",
        shapes=ALL,
    ),
    lifecycle(
        "signs up with a coupon that has a name",
        lambda ada: sign_up_with(ada, NAMED, 3675),
        "subscription 36.75 +36.75 Pro monthly with Friends and family",
        shapes=ALL,
    ),
    lifecycle(
        "signs up with 10.00 off for ever",
        lambda ada: sign_up_with(ada, TEN_OFF, 3900),
        "subscription 39.00 +39.00 Pro monthly with TEN",
        shapes=ALL,
    ),
    lifecycle(
        "signs up for a year with 10.00 off each invoice: (490.00 - 10.00) / 12",
        lambda ada: sign_up_with(ada, TEN_OFF, 48000, PRO_YEARLY),
        "subscription 480.00 +40.00 Pro, yearly annual with TEN",
        shapes=ALL,
    ),
    lifecycle(
        "signs up with 60.00 off 49.00: worth nothing, and nothing less",
        lambda ada: sign_up_with(ada, SIXTY_OFF, 0),
        shapes=ALL,
    ),
    lifecycle(
        "signs up for nothing, and pays 49.00 from the day the coupon is taken away",
        lambda ada: next_month(sign_up_with(ada, FREE, 0).later(days=20).without_coupon(), 4900),
        "subscription 0 +49.00 Pro monthly",
        "renewal  49.00      0 Pro monthly",
        shapes=ALL,
    ),
    lifecycle(
        "signs up with 50 % and 5.00 off: percent first, 49.00 x 0.5 - 5.00",
        lambda ada: two_coupons(ada, 1950),
        "subscription 19.50 +19.50 Pro monthly with HALF",
        shapes=(Shape.BASIL, Shape.CLOVER),
    ),
    lifecycle(
        "signs up with 20 % off the item and 10.00 off the whole: 49.00 x 0.8 - 10.00",
        on_item_and_whole,
        "subscription 29.20 +29.20 Pro monthly with FIFTH",
        shapes=ALL,
    ),
    lifecycle(
        "signs up with 20 % off one of two items: 49.00 x 0.8 + 120.00 / 12",
        on_item_alone,
        "subscription 159.20 +49.20 Pro monthly with FIFTH",
        shapes=ALL,
    ),
    lifecycle(
        "signs up in euros with a coupon of 10.00 dollars or 9.00 euros",
        lambda ada: sign_up_with(ada, TEN_OR_NINE, 3600, BOTH),
        "subscription 36.00 +36.00 EUR Both monthly with TENNINE",
        shapes=ALL,
        currency="eur",
    ),
    lifecycle(
        "is given 25 % off on the tenth day, and loses it on the fortieth",
        lambda ada: next_month(
            next_month(with_coupon_events(signed_up(ada), QUARTER).later(days=9).with_coupon(QUARTER), 3675)
            .later(days=9)
            .without_coupon(),
            4900,
        ),
        "subscription 49.00 +49.00 Pro monthly",
        "downgrade        0 -12.25 Pro monthly with FRIEND25",
        "renewal      36.75      0 Pro monthly with FRIEND25",
        "upgrade          0 +12.25 Pro monthly",
        "renewal      49.00      0 Pro monthly",
        shapes=ALL,
    ),
    # ---- Only the id is known ----
    lifecycle(
        "signs up with 25 % off, with the whole coupon in the subscription",
        lambda ada: sign_up_without_coupon_events(ada, QUARTER, 3675),
        "subscription 36.75 +36.75 Pro monthly with FRIEND25",
        shapes=(Shape.OLD,),
    ),
    lifecycle(
        "signs up with 25 % off, of which the payloads name the id only: the first invoice shows the discount",
        lambda ada: sign_up_without_coupon_events(ada, QUARTER, 3675),
        "subscription 36.75 +36.75 Pro monthly estimated",
        shapes=(Shape.BASIL, Shape.CLOVER),
    ),
    lifecycle(
        "signs up with 25 % off, and the discount names a coupon that only the API returns",
        lambda ada: ada.start(PRO, coupon=QUARTER).with_discount_events().bill(3675, "subscription_create", name="1"),
        "subscription 36.75 +36.75 Pro monthly with FRIEND25",
        shapes=ALL,
        api_catalog=(Coupon(id="FRIEND25", percent=Decimal(25), duration=Duration.FOREVER),),
    ),
    # ---- For a while ----
    lifecycle(
        "signs up with 25 % off the first month: less money, and no less MRR",
        lambda ada: next_month(sign_up_with(ada, FIRST_MONTH, 3675).later(days=1).without_coupon(), 4900),
        "subscription 36.75 +49.00 Pro monthly with FIRST25",
        "renewal      49.00      0 Pro monthly",
        shapes=ALL,
    ),
    lifecycle(
        "signs up with 25 % off the first month, for a merchant who subtracts what recurs: this does not",
        lambda ada: sign_up_with(ada, FIRST_MONTH, 3675),
        "subscription 36.75 +49.00 Pro monthly with FIRST25",
        shapes=ALL,
        policy=RECURRING,
    ),
    lifecycle(
        "signs up with 50 % off for three months: less money, and no less MRR",
        lambda ada: next_month(sign_up_with(ada, HALF_FOR_3, 2450), 2450),
        "subscription 24.50 +49.00 Pro monthly with HALF3",
        "renewal      24.50      0 Pro monthly with HALF3",
        shapes=ALL,
    ),
    lifecycle(
        "signs up with 50 % off for three months, for a merchant who subtracts what recurs",
        lambda ada: (
            next_month(next_month(sign_up_with(ada, HALF_FOR_3, 2450), 2450), 2450)
            .next_period()
            .without_coupon()
            .later(hours=1)
            .bill(4900, "subscription_cycle", name="1")
        ),
        "subscription 24.50 +24.50 Pro monthly with HALF3",
        "renewal      24.50      0 Pro monthly with HALF3",
        "renewal      24.50      0 Pro monthly with HALF3",
        "upgrade          0 +24.50 Pro monthly",
        "renewal      49.00      0 Pro monthly",
        shapes=ALL,
        policy=RECURRING,
    ),
    lifecycle(
        "pays full again when the three months are over, without an event for the end of the coupon",
        lambda ada: next_month(next_month(next_month(sign_up_with(ada, HALF_FOR_3, 2450), 2450), 2450), 4900),
        "subscription 24.50 +24.50 Pro monthly with HALF3",
        "renewal      24.50      0 Pro monthly with HALF3",
        "renewal      24.50      0 Pro monthly with HALF3",
        "upgrade          0 +24.50 Pro monthly",
        "renewal      49.00      0 Pro monthly",
        shapes=ALL,
        policy=RECURRING,
    ),
    # ---- For a merchant who subtracts nothing ----
    lifecycle(
        "signs up with 25 % off for ever, for a merchant whose MRR ignores discounts",
        lambda ada: sign_up_with(ada, QUARTER, 3675),
        "subscription 36.75 +49.00 Pro monthly with FRIEND25",
        shapes=ALL,
        policy=NO_DISCOUNTS,
    ),
)

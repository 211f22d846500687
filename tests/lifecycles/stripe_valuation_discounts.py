"""Coupons of one product, discounts on the customer, and several discounts in their order."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from processors.facts import Coupon, CouponProducts, Duration
from processors.stripe.simulation import payloads
from processors.stripe.simulation.customer import PRO
from processors.stripe.simulation.payloads import Body, Shape
from tests.lifecycles.stripe_bills import (
    BASE,
    FIFTH,
    FIVE_OFF,
    FREE,
    HALF,
    STORAGE,
    SUPPORT,
    TWELVE_OFF,
    bill,
    discount_id,
    line,
    with_extras,
)
from tests.lifecycles.stripe_customer import ComplexPlan, ExtendedCustomer
from tests.lifecycles.stripe_lifecycle import lifecycle

SUPPORT_OF_ITS_OWN = ComplexPlan(id=SUPPORT.id, minor=SUPPORT.minor, name=SUPPORT.name)


def limited(ada: ExtendedCustomer, coupon: Body, off: int) -> ExtendedCustomer:
    """A coupon that comes off Support only."""
    begun = ada.sent("coupon.created", coupon).start(BASE, coupon=coupon).with_discount_events()
    found = discount_id(begun)
    return bill(begun, "create", line(begun, BASE, 2000), line(begun, SUPPORT, 1000, off={found: off}))


def for_all(ada: ExtendedCustomer) -> ExtendedCustomer:
    """A coupon that comes off both items."""
    begun = ada.sent("coupon.created", HALF).start(BASE, coupon=HALF).with_discount_events()
    found = discount_id(begun)
    lines = line(begun, BASE, 2000, off={found: 1000}), line(begun, SUPPORT, 1000, off={found: 500})
    return bill(begun, "create", *lines)


def limited_to_the_year(ada: ExtendedCustomer) -> ExtendedCustomer:
    """Half off the storage of 120.00 a year, and a month that bills only the base."""
    plan = with_extras(BASE, (STORAGE, 1))
    begun = ada.sent("coupon.created", HALF).start(plan, coupon=HALF).with_discount_events()
    off = {discount_id(begun): 6000}
    begun = bill(begun, "create", line(begun, BASE, 2000), line(begun, STORAGE, 12000, off=off)).next_period()
    renewed = begun.later(hours=1)
    return bill(renewed, "cycle", line(renewed, BASE, 2000)).later(days=2).cancel()


def customer_discount(ada: ExtendedCustomer, kind: str = "created", days: int = 0) -> ExtendedCustomer:
    """20 % off everything that this customer has, since some days and without end."""
    found = payloads.discount(
        "di_customer",
        FIFTH,
        customer=ada.customer_id,
        subscription=None,
        start=ada.at - timedelta(days=days),
        end=None,
        shape=ada.shape,
    )
    return ada.sent("coupon.created", FIFTH).sent(f"customer.discount.{kind}", found)


def for_the_customer(ada: ExtendedCustomer) -> ExtendedCustomer:
    """The customer has a discount before the first subscription."""
    begun = customer_discount(ada).start(PRO)
    return bill(begun, "create", line(begun, PRO, 4900, off={"di_customer": 980})).later(days=3).cancel()


def for_the_customer_later(ada: ExtendedCustomer) -> ExtendedCustomer:
    """The customer gets a discount, and loses it."""
    begun = ada.start(PRO)
    reduced = customer_discount(bill(begun, "create", line(begun, PRO, 4900)).later(days=3)).later(days=3)
    return customer_discount(reduced, "deleted", days=3).later(days=3).cancel()


def own_and_customer(ada: ExtendedCustomer) -> ExtendedCustomer:
    """The subscription's own discount replaces the customer's, until it is removed."""
    begun = customer_discount(ada).sent("coupon.created", HALF).start(PRO, coupon=HALF).with_discount_events()
    begun = bill(begun, "create", line(begun, PRO, 4900, off={discount_id(begun): 2450}))
    return begun.later(days=3).without_coupon().later(days=3).cancel()


def amount_then_percent(ada: ExtendedCustomer) -> ExtendedCustomer:
    """5.00 off, then half."""
    made = ada.sent("coupon.created", HALF).sent("coupon.created", FIVE_OFF)
    holding = replace(made, more_coupons={"sub_ada_1": (HALF,)}).start(PRO, coupon=FIVE_OFF)
    return holding.with_discount_events().bill(2200, "subscription_create", name="1")


def for_another_product(ada: ExtendedCustomer) -> ExtendedCustomer:
    """Half off a product that is not bought: the bill lists the discount, and no line has it."""
    begun = ada.sent("coupon.created", HALF).start(PRO, coupon=HALF).with_discount_events()
    listed = begun._discounts(begun.subscriptions["1"])
    return begun.bill(4900, "subscription_create", name="1", lines=[line(begun, PRO, 4900)], discounts=listed)


def nothing_left(ada: ExtendedCustomer) -> ExtendedCustomer:
    """Support is free by its own coupon, so that a fifth off everything shows on the base only; then it is not free."""
    support = replace(SUPPORT_OF_ITS_OWN, item_fields={"discounts": ["di_free"]})
    plan = replace(BASE, extras=((support, 1),))
    begun = ada.sent("coupon.created", FREE).sent("coupon.created", FIFTH)
    begun = begun.sent("customer.discount.created", own_discount(begun)).start(plan, coupon=FIFTH)
    begun = begun.with_discount_events()
    lines = (
        line(begun, BASE, 2000, off={discount_id(begun): 400}),
        line(begun, SUPPORT_OF_ITS_OWN, 1000, off={"di_free": 1000}),
    )
    billed = bill(begun, "create", *lines).later(days=3)
    return billed.change(plan=replace(BASE, extras=((SUPPORT_OF_ITS_OWN, 1),)))


def own_discount(ada: ExtendedCustomer) -> Body:
    """Support for nothing."""
    return payloads.discount(
        "di_free", FREE, customer=ada.customer_id, subscription="sub_ada_1", start=ada.at, shape=ada.shape
    )


def given_in_mid_period(ada: ExtendedCustomer, *, limited: bool) -> ExtendedCustomer:
    """A coupon is given to a subscription to two products: only the next bill shows what it comes off."""
    begun = ada.sent("coupon.created", HALF).start(BASE)
    begun = bill(begun, "create", line(begun, BASE, 2000), line(begun, SUPPORT, 1000)).later(days=5)
    renewed = begun.with_coupon(HALF).next_period().later(hours=1)
    found = discount_id(renewed)
    off = {} if limited else {found: 1000}
    lines = line(renewed, BASE, 2000, off=off), line(renewed, SUPPORT, 1000, off={found: 500})
    return bill(renewed, "cycle", *lines)


def shown_on_the_customer(ada: ExtendedCustomer, *, installed_later: bool) -> ExtendedCustomer:
    """A discount on the customer that is older than the bridge: only the customer's own events have it."""
    found = payloads.discount(
        "di_customer", FIFTH, customer=ada.customer_id, subscription=None, start=ada.at, shape=ada.shape
    )
    begun = ada.start(PRO)
    begun = bill(begun, "create", line(begun, PRO, 4900, off={"di_customer": 980})).sent("coupon.created", FIFTH)
    begun = begun.forget_history().sent("coupon.created", FIFTH) if installed_later else begun
    amended_later = begun.later(days=3).amend(metadata={**ada.visit, "note": "changed"}).later(days=3)
    body = {**payloads.customer(ada.customer_id), "discount": found}
    updated = amended_later.sent("customer.updated", body, {"email": None}).later(days=3)
    ended = updated.sent("customer.updated", {**body, "discount": None}, {"discount": found})
    return ended.later(days=3).cancel()


def in_mid_period(ada: ExtendedCustomer, minor: int, off_minor: int, *, from_the_start: bool) -> ExtendedCustomer:
    """Seats are added before the next bill. Nothing but bills shows that the coupon takes half."""
    begun = ada.start(PRO, coupon=HALF if from_the_start else None)
    off = {discount_id(begun): 2450} if from_the_start else {}
    paid = bill(begun, "create", line(begun, PRO, 4900, off=off)).later(days=20)
    more = (paid if from_the_start else paid.with_coupon(HALF)).later(days=5).change(PRO, 3)
    return bill(more, "update", line(more, PRO, minor, 3, rest=True, off={discount_id(more): off_minor}))


COUPONS = (
    lifecycle(
        "half off that only bills show, of 0.31 for the rest of a month 0.16: 3 x 49.00 / 2",
        lambda ada: in_mid_period(ada, 31, 16, from_the_start=True),
        "subscription 24.50 +24.50 Pro monthly estimated",
        "upgrade       0.15 +49.00 Pro monthly x3 estimated",
        shapes=(Shape.CLOVER,),
    ),
    lifecycle(
        "half off that only the bill for the rest of a month shows, of 8.17 4.09: 3 x 49.00 / 2",
        lambda ada: in_mid_period(ada, 817, 409, from_the_start=False),
        "subscription 49.00 +49.00 Pro monthly",
        "downgrade        0 -24.50 Pro monthly with HALF estimated",
        "upgrade       4.08 +49.00 Pro monthly x3 with HALF estimated",
        shapes=(Shape.CLOVER,),
        live=(
            "subscription 49.00 +49.00 Pro monthly",
            "upgrade       4.08 +24.50 Pro monthly x3 with HALF estimated",
        ),
    ),
    lifecycle(
        "half off a product that is not bought: 49.00",
        for_another_product,
        "subscription 49.00 +49.00 Pro monthly with HALF",
        shapes=tuple(Shape),
    ),
    lifecycle(
        "a fifth off all, and Support for nothing at first: 30.00 x 0.8 in the end",
        nothing_left,
        "subscription 16.00 +16.00 Base monthly with FIFTH",
        "upgrade          0  +8.00 Base monthly with FIFTH estimated",
    ),
    lifecycle(
        "half off is given to two products in mid-period: an estimate until the bill shows that it is for both",
        lambda ada: given_in_mid_period(ada, limited=False),
        "subscription 30.00 +30.00 Base monthly",
        "downgrade        0 -15.00 Base monthly with HALF",
        "renewal      15.00      0 Base monthly with HALF",
        live=(
            "subscription 30.00 +30.00 Base monthly",
            "downgrade        0 -15.00 Base monthly with HALF estimated",
            "renewal      15.00      0 Base monthly with HALF",
        ),
    ),
    lifecycle(
        "half off is given to two products in mid-period: an estimate until the bill shows that it is for one",
        lambda ada: given_in_mid_period(ada, limited=True),
        "subscription 30.00 +30.00 Base monthly",
        "downgrade        0  -5.00 Base monthly with HALF",
        "renewal      25.00      0 Base monthly with HALF",
        live=(
            "subscription 30.00 +30.00 Base monthly",
            "downgrade        0 -15.00 Base monthly with HALF estimated",
            "upgrade          0 +10.00 Base monthly with HALF estimate_corrected",
            "renewal      25.00      0 Base monthly with HALF",
        ),
    ),
    lifecycle(
        "the API says once that half off is for Support, and later webhooks leave it out: 20.00 + 10.00 / 2",
        lambda ada: ada.sent("coupon.created", HALF).start(BASE, coupon=HALF).with_discount_events(),
        "subscription 0 +25.00 Base monthly with HALF",
        shapes=tuple(Shape),
        api_catalog=(CouponProducts(id="HALF", applies_to=("prod_price_support",)),),
    ),
    lifecycle(
        "a discount on the customer is shown after the start: 49.00 x 0.8",
        lambda ada: shown_on_the_customer(ada, installed_later=False),
        "subscription 39.20 +39.20 Pro monthly with FIFTH",
        "upgrade          0  +9.80 Pro monthly",
        "churn            0 -49.00 Pro monthly cancellation_requested",
        live=(
            "subscription 39.20 +49.00 Pro monthly",
            "downgrade        0  -9.80 Pro monthly estimate_corrected",
            "upgrade          0  +9.80 Pro monthly",
            "churn            0 -49.00 Pro monthly cancellation_requested",
        ),
    ),
    lifecycle(
        "a discount on the customer is older than the bridge: it lowers the baseline, and its end is an upgrade",
        lambda ada: shown_on_the_customer(ada, installed_later=True),
        "upgrade 0  +9.80 Pro monthly",
        "churn   0 -49.00 Pro monthly cancellation_requested",
    ),
    lifecycle(
        "half off Support only: 20.00 + 10.00 / 2",
        lambda ada: limited(ada, HALF, 500),
        "subscription 25.00 +25.00 Base monthly with HALF",
        shapes=tuple(Shape),
    ),
    lifecycle(
        "12.00 off Support only, which costs 10.00: 20.00",
        lambda ada: limited(ada, TWELVE_OFF, 1000),
        "subscription 20.00 +20.00 Base monthly with TWELVE",
    ),
    lifecycle(
        "half off both items: 30.00 / 2",
        for_all,
        "subscription 15.00 +15.00 Base monthly with HALF",
    ),
    lifecycle(
        "half off Support by the API's word, before any bill: 20.00 + 10.00 / 2",
        lambda ada: ada.start(BASE, coupon=HALF).with_discount_events(),
        "subscription 0 +25.00 Base monthly with HALF",
        shapes=(Shape.CLOVER,),
        api_catalog=(
            Coupon(id="HALF", percent=50, duration=Duration.FOREVER, applies_to=("prod_price_support",)),  # type: ignore[arg-type]
        ),
    ),
    lifecycle(
        "half off the yearly storage only, and a month without it: 20.00 + 120.00 / 12 / 2",
        limited_to_the_year,
        "subscription 80.00 +25.00 Base monthly with HALF",
        "renewal      20.00      0 Base monthly with HALF",
        "churn            0 -25.00 Base monthly with HALF cancellation_requested",
    ),
    lifecycle(
        "a discount on the customer: 49.00 x 0.8",
        for_the_customer,
        "subscription 39.20 +39.20 Pro monthly with FIFTH",
        "churn            0 -39.20 Pro monthly with FIFTH cancellation_requested",
    ),
    lifecycle(
        "a discount on the customer begins and ends: 49.00 x 0.8 between",
        for_the_customer_later,
        "subscription 49.00 +49.00 Pro monthly",
        "downgrade        0  -9.80 Pro monthly with FIFTH",
        "upgrade          0  +9.80 Pro monthly",
        "churn            0 -49.00 Pro monthly cancellation_requested",
    ),
    lifecycle(
        "the subscription's own discount replaces the customer's: 49.00 / 2, then 49.00 x 0.8",
        own_and_customer,
        "subscription 24.50 +24.50 Pro monthly with HALF",
        "upgrade          0 +14.70 Pro monthly with FIFTH",
        "churn            0 -39.20 Pro monthly with FIFTH cancellation_requested",
    ),
    lifecycle(
        "5.00 off, then half: (49.00 - 5.00) / 2",
        amount_then_percent,
        "subscription 22.00 +22.00 Pro monthly with FIVE",
    ),
)

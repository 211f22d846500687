"""API resources: the same facts as webhooks, as a baseline or a link."""

from __future__ import annotations

from processors.facts import (
    Coupon,
    CouponProducts,
    Duration,
    Ids,
    Link,
    Payment,
    Price,
    Product,
    Stage,
    Status,
    SubscriptionState,
)
from processors.stripe import account
from processors.stripe.simulation.payloads import (
    coupon,
    discount,
    invoice,
    invoice_payment,
    item,
    line,
    price,
    subscription,
)
from tests.processors.stripe.translating import AT

MONTH = (AT, AT.replace(month=12))
PRO = price("price_1", minor=4900)
TEN = coupon("TEN", percent=10)


def test_a_price_gives_its_tiers_and_its_products_name() -> None:
    tiered = {**price("price_1", minor=None, tiers_mode="volume"), "tiers": [{"up_to": None, "unit_amount": 5}]}
    tiered["product"] = {"id": "prod_1", "name": "Pro"}

    found, named = account.of_price(tiered)

    assert isinstance(found, Price)
    assert (len(found.tiers), found.name) == (1, "Pro")
    assert named == Product(id="prod_1", name="Pro")
    assert account.of_price({}) == ()


def test_a_coupon_is_a_catalog_entry() -> None:
    found, products = account.of_coupon(TEN)
    *_, limited = account.of_coupon({**TEN, "applies_to": {"products": ["prod_1"]}})

    assert isinstance(found, Coupon)
    assert (found.id, found.duration) == ("TEN", Duration.FOREVER)
    assert products == CouponProducts(id="TEN", applies_to=())
    assert limited == CouponProducts(id="TEN", applies_to=("prod_1",))
    assert account.of_coupon({"id": "TEN"}) == ()


def test_a_subscription_is_a_baseline_with_its_coupons() -> None:
    row = item("si_1", PRO, subscription="sub_1", period=MONTH)
    found = subscription("sub_1", customer="cus_1", items=[row], started_at=AT, period=MONTH)
    taken = discount("di_1", TEN, customer="cus_1", subscription="sub_1", start=AT)
    expanded = {**taken, "source": {"type": "coupon", "coupon": TEN}}

    translation = account.of_subscription({**found, "discounts": [expanded]}, AT)

    (state,) = translation.facts
    assert isinstance(state, SubscriptionState)
    assert (state.stage, state.now.status, state.now.discounts[0].coupon is not None) == (
        Stage.IMPORTED,
        Status.ACTIVE,
        True,
    )
    assert {type(one).__name__ for one in translation.catalog} == {"Coupon", "Discount", "Price"}
    assert account.of_subscription({}, AT).reason == "a subscription without an id"


def test_an_invoice_payment_joins_payment_invoice_subscription_and_customer() -> None:
    bill = invoice(
        "in_1",
        customer="cus_1",
        lines=[line("il_1", minor=4900, priced=PRO, period=MONTH, subscription="sub_1", item_id="si_1")],
        amount_paid=4900,
        subscription="sub_1",
        billing_reason="subscription_cycle",
    )
    found = invoice_payment("inpay_1", invoice="in_1", amount_paid=4900, payment_intent="pi_1")

    link, payment = account.of_invoice_payment({**found, "invoice": bill}, AT).facts

    assert isinstance(link, Link)
    assert isinstance(payment, Payment)
    assert link.ids == Ids(customer_id="cus_1", subscription_id="sub_1", invoice_id="in_1", payment_id="pi_1")
    assert (payment.key, payment.is_total, payment.amount.minor) == ("in_1", True, 4900)


def test_an_invoice_payment_whose_invoice_was_not_expanded_joins_the_two() -> None:
    found = invoice_payment("inpay_1", invoice="in_1", amount_paid=4900, payment_intent="pi_1")

    (link,) = account.of_invoice_payment(found, AT).facts

    assert link.ids == Ids(invoice_id="in_1", payment_id="pi_1")


def test_an_open_invoice_is_a_link_and_no_money() -> None:
    (link,) = account.of_invoice(
        invoice("in_1", customer="cus_1", lines=[], amount_paid=0, status="open", subscription="sub_1"), AT
    ).facts

    assert isinstance(link, Link)

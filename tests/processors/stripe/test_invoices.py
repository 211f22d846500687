"""Invoices: amount, reason and lines, in old, dual and basil formats."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from processors.facts import (
    Coupon,
    Discount,
    Duration,
    Ids,
    Interval,
    Line,
    Link,
    Membership,
    Payment,
    Price,
    Reason,
)
from processors.money import Currency, Money
from processors.stripe.simulation import payloads
from processors.stripe.simulation.payloads import Shape, invoice, line, price
from processors.values import replace
from tests.processors.stripe.translating import AT, BASIL_ON, SHAPES, fact, translated, without

USD = Currency(code="USD", digits=2)
NOVEMBER = (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
PRO = price("price_pro", minor=4900, nickname="Pro", product_id="prod_1")
SHIRT = price("price_shirt", minor=2500, interval=None, lookup_key="shirt", product_id="prod_2")


def a_line(shape: Shape = Shape.CLOVER, **more: Any) -> dict[str, Any]:
    usual = {"minor": 4900, "priced": PRO, "period": NOVEMBER, "subscription": "sub_1", "item_id": "si_1"}
    return line("il_1", **{**usual, "shape": shape, **more})


def an_invoice(shape: Shape = Shape.CLOVER, **more: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "customer": "cus_1",
        "lines": [a_line(shape)],
        "amount_paid": 4900,
        "subscription": "sub_1",
        "billing_reason": "subscription_cycle",
        "payment_intent": "pi_1",
        "charge": "ch_1",
    }
    return invoice("in_1", **{**usual, "shape": shape, **more})


def paid(found: dict[str, Any], kind: str = "invoice.paid") -> Payment:
    read = fact(kind, found)
    assert isinstance(read, Payment)
    return read


@pytest.mark.parametrize(
    ("amount_paid", "tax"),
    [(5831, 931), (831, 133), (0, 0), (6000, 958)],
    ids=["all of it", "the rest from the balance", "nothing", "more than was asked for"],
)
def test_the_tax_is_that_of_what_was_paid(amount_paid: int, tax: int) -> None:
    taxes = [{"amount": 931, "tax_behavior": "exclusive"}]

    assert paid({**an_invoice(amount_paid=amount_paid), "total": 5831, "total_taxes": taxes}).tax == tax


# ---- The whole invoice --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_a_paid_invoice_has_its_total_and_its_subscription(shape: Shape) -> None:
    found = paid(an_invoice(shape))

    assert (found.key, found.is_total, found.membership) == ("in_1", True, Membership.INVOICE)
    assert found.amount == Money(minor=4900, currency=USD)
    assert (found.ids.customer_id, found.ids.subscription_id, found.ids.invoice_id) == ("cus_1", "sub_1", "in_1")


def test_the_old_shape_names_the_payment() -> None:
    ids = paid(an_invoice(Shape.OLD)).ids

    assert (ids.payment_id, ids.charge_id) == ("pi_1", "ch_1")


def test_an_old_invoice_paid_by_a_bare_charge_names_that() -> None:
    assert paid(an_invoice(Shape.OLD, payment_intent=None)).ids.payment_id == "ch_1"


@pytest.mark.parametrize("shape", BASIL_ON)
def test_since_basil_an_invoice_names_no_payment(shape: Shape) -> None:
    assert paid(an_invoice(shape)).ids.payment_id is None


def test_payments_expanded_by_the_api_name_the_payment() -> None:
    payments = {"data": [{"status": "paid", "payment": {"type": "payment_intent", "payment_intent": "pi_1"}}]}

    assert paid({**an_invoice(), "payments": payments}).ids.payment_id == "pi_1"


def test_a_body_of_both_shapes_is_read_once() -> None:
    both = {**an_invoice(Shape.OLD), **without(an_invoice(Shape.CLOVER), "lines")}
    both["lines"] = payloads.listed([{**a_line(Shape.OLD), **a_line(Shape.CLOVER)}])

    found = paid(both)

    assert found.ids == Ids(
        customer_id="cus_1", subscription_id="sub_1", invoice_id="in_1", payment_id="pi_1", charge_id="ch_1"
    )
    assert [one.price_id for one in found.lines or ()] == ["price_pro"]


def test_payment_succeeded_gives_the_same_fact_as_paid() -> None:
    assert replace(paid(an_invoice(), "invoice.payment_succeeded"), is_primary=True) == paid(an_invoice())


def test_an_invoice_of_0_still_states_what_it_was_for() -> None:
    found = paid(an_invoice(amount_paid=0, billing_reason="subscription_create"))

    assert (found.amount.minor, found.reason) == (0, Reason.START)


@pytest.mark.parametrize("shape", SHAPES)
def test_an_invoice_paid_out_of_band_carries_its_money(shape: Shape) -> None:
    # Before basil such an invoice showed amount_paid 0 and only what had been due.
    shown = 0 if shape is Shape.OLD else 4900

    found = paid(an_invoice(shape, amount_paid=shown, amount_due=4900, paid_out_of_band=True))

    assert found.amount.minor == 4900


@pytest.mark.parametrize("spoilt", [{"id": None}, {"currency": None}, {"amount_paid": None}, {"amount_paid": -1}])
def test_an_invoice_without_id_amount_or_currency_is_no_payment(spoilt: dict[str, Any]) -> None:
    assert translated("invoice.paid", {**an_invoice(), **spoilt}).facts == ()


# ---- Why it was paid ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("billing_reason", "reason"),
    [
        ("subscription_create", Reason.START),
        ("subscription_cycle", Reason.CYCLE),
        ("subscription_update", Reason.CHANGE),
        ("subscription_threshold", Reason.CYCLE),
        ("subscription", Reason.UNKNOWN),
        ("quote_accept", Reason.UNKNOWN),
        ("manual", Reason.UNKNOWN),
    ],
)
def test_the_billing_reason_of_a_subscriptions_invoice_is_understood(
    shape: Shape, billing_reason: str, reason: Reason
) -> None:
    assert paid(an_invoice(shape, billing_reason=billing_reason)).reason is reason


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("billing_reason", ["manual", "quote_accept", "automatic_pending_invoice_item_invoice"])
def test_an_invoice_without_a_subscription_is_a_one_off(shape: Shape, billing_reason: str) -> None:
    shirt = a_line(shape, priced=SHIRT, subscription=None, item_id=None)

    found = paid(an_invoice(shape, lines=[shirt], subscription=None, billing_reason=billing_reason))

    assert (found.reason, found.ids.subscription_id, found.lines) == (Reason.ONE_OFF, None, ())


@pytest.mark.parametrize("shape", SHAPES)
def test_a_one_time_charge_on_a_subscription_is_a_one_off(shape: Shape) -> None:
    shirt = a_line(shape, priced=SHIRT, item_id=None)

    assert paid(an_invoice(shape, lines=[shirt], billing_reason="manual")).reason is Reason.ONE_OFF


@pytest.mark.parametrize("shape", SHAPES)
def test_prorations_billed_by_hand_are_a_change(shape: Shape) -> None:
    rest = a_line(shape, proration=True)

    found = paid(an_invoice(shape, lines=[rest], subscription=None, billing_reason="manual"))

    assert (found.reason, found.ids.subscription_id) == (Reason.CHANGE, "sub_1")


def test_a_long_invoice_whose_first_lines_are_one_time_keeps_its_billing_reason() -> None:
    shirt = a_line(priced=SHIRT, item_id=None)

    assert paid(an_invoice(lines=[shirt] * 10, has_more=True)).reason is Reason.CYCLE


# ---- Its lines ----------------------------------------------------------------------------------------------------


def test_an_old_line_has_price_name_and_interval() -> None:
    found = paid(an_invoice(Shape.OLD))

    assert found.lines == (
        Line(
            price_id="price_pro",
            product_id="prod_1",
            name="Pro",
            amount=Decimal(4900),
            interval=Interval.MONTH,
            days=30,
            tax_inside=Decimal(0),
            starts_at=datetime(2026, 11, 1, tzinfo=UTC),
            ends_at=datetime(2026, 12, 1, tzinfo=UTC),
        ),
    )


@pytest.mark.parametrize("shape", BASIL_ON)
def test_a_line_since_basil_has_ids_and_its_period(shape: Shape) -> None:
    found = paid(an_invoice(shape))

    (one,) = found.lines or ()
    assert (one.price_id, one.product_id, one.amount, one.days) == ("price_pro", "prod_1", Decimal(4900), 30)
    assert (one.interval, one.name) == (None, None)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_line_has_quantity_proration_and_discounts(shape: Shape) -> None:
    off = [{"amount": 490, "discount": "di_1"}, {"amount": 10, "discount": "di_2"}]

    found = paid(an_invoice(shape, lines=[a_line(shape, quantity=3, proration=True, discount_amounts=off)]))

    (one,) = found.lines or ()
    assert (one.quantity, one.proration, one.discount) == (Decimal(3), True, Decimal(500))


def test_a_line_of_a_usage_threshold_may_bill_usage() -> None:
    (one,) = paid(an_invoice(billing_reason="subscription_threshold")).lines or ()

    assert one.metered


def test_a_proration_stated_after_discounts_names_them_with_zero() -> None:
    off = [{"amount": 0, "discount": "di_1"}]
    found = paid(an_invoice(lines=[a_line(proration=True, discount_amounts=off), a_line(discount_amounts=off)]))

    assert [one.discount_ids for one in found.lines or ()] == [("di_1",), ()]


@pytest.mark.parametrize(
    ("rates", "default_rates", "tax"),
    [
        ([{"inclusive": True, "percentage": 20.0}], [], 817),  # 49.00 x 20 / 120
        ([], [{"inclusive": True, "percentage": "20"}], 817),
        ([{"inclusive": False, "percentage": 20.0}], [{"inclusive": True, "percentage": 20.0}], 0),
        ([{"inclusive": True, "percentage": 20, "effective_percentage": 10}], [], 445),  # 49.00 x 10 / 110
        ([], [], 0),
    ],
)
def test_a_line_without_taxes_takes_the_tax_inside_from_its_rates_else_the_invoices(
    rates: list[Any], default_rates: list[Any], tax: int
) -> None:
    line = {key: value for key, value in a_line(Shape.OLD, minor=4900).items() if key != "tax_amounts"}
    found = {**an_invoice(Shape.OLD, lines=[{**line, "tax_rates": rates}]), "default_tax_rates": default_rates}

    (one,) = paid(found).lines or ()

    assert one.tax_inside == tax


def test_a_quantity_with_decimals_is_read_exactly() -> None:
    (one,) = paid(an_invoice(lines=[{**a_line(), "quantity_decimal": "2.5"}])).lines or ()

    assert one.quantity == Decimal("2.5")


@pytest.mark.parametrize(
    ("shape", "tax"),
    [
        (Shape.OLD, {"amount": 150, "inclusive": True}),
        (Shape.CLOVER, {"amount": 150, "tax_behavior": "inclusive"}),
    ],
)
def test_a_line_states_the_tax_inside_its_amount_after_discounts(shape: Shape, tax: dict[str, Any]) -> None:
    # 12.00 with 20 % inside, a quarter off: 9.00 is paid, 1.50 of it tax.
    taxed = a_line(shape, minor=1200, discount_amounts=[{"amount": 300}], taxes=[tax])

    (one,) = paid(an_invoice(shape, lines=[taxed])).lines or ()

    assert (one.amount, one.discount, one.tax_inside) == (Decimal(1200), Decimal(300), Decimal(150))


@pytest.mark.parametrize(
    ("shape", "tax"),
    [
        (Shape.OLD, {"amount": 931, "inclusive": False}),
        (Shape.CLOVER, {"amount": 931, "tax_behavior": "exclusive"}),
    ],
)
def test_a_tax_on_top_is_not_in_the_line(shape: Shape, tax: dict[str, Any]) -> None:
    (one,) = paid(an_invoice(shape, lines=[a_line(shape, taxes=[tax])])).lines or ()

    assert one.amount == Decimal(4900)


def test_a_metered_line_says_so() -> None:
    metered = price("price_calls", minor=1, usage_type="metered")

    (one,) = paid(an_invoice(Shape.OLD, lines=[a_line(Shape.OLD, priced=metered)])).lines or ()

    assert one.metered


def test_without_lines_in_the_payload_there_are_none_to_judge_by() -> None:
    found = paid(without(an_invoice(), "lines"))

    assert (found.lines, found.reason) == (None, Reason.CYCLE)


def test_of_hundreds_of_lines_the_first_ten_are_read() -> None:
    assert len(paid(an_invoice(lines=[a_line()] * 10, has_more=True)).lines or ()) == 10


def test_old_lines_make_their_prices_known() -> None:
    known = translated("invoice.paid", an_invoice(Shape.OLD)).catalog

    assert [one.id for one in known if isinstance(one, Price)] == ["price_pro"]


# ---- Tax, discounts, metadata -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_the_invoices_tax_is_read(shape: Shape) -> None:
    assert paid(an_invoice(shape, tax=931)).tax == 931
    assert paid(an_invoice(shape, tax=0)).tax == 0


def test_an_invoice_that_does_not_mention_tax_leaves_it_open() -> None:
    assert paid(without(an_invoice(), "total_taxes")).tax is None


def test_the_oldest_invoices_have_one_sum_of_tax() -> None:
    assert paid({**without(an_invoice(Shape.OLD), "total_tax_amounts"), "tax": 931}).tax == 931


def test_discounts_have_their_coupon_where_the_payload_has_it() -> None:
    quarter = payloads.coupon("QUARTER", percent=25, name="A quarter off")
    found = payloads.discount("di_1", quarter, customer="cus_1", subscription="sub_1", start=AT, shape=Shape.OLD)
    coupon = Coupon(id="QUARTER", percent=Decimal(25), duration=Duration.FOREVER, name="A quarter off")
    whole = Discount(id="di_1", coupon_id="QUARTER", coupon=coupon, starts_at=AT)

    assert paid(an_invoice(Shape.OLD, discounts=[found])).discounts == (whole,)
    assert paid(an_invoice(Shape.CLOVER, discounts=[found])).discounts == (Discount(id="di_1"),)
    assert coupon in translated("invoice.paid", an_invoice(Shape.OLD, discounts=[found])).catalog


@pytest.mark.parametrize("shape", BASIL_ON)
def test_the_subscriptions_metadata_is_read_from_the_parent(shape: Shape) -> None:
    found = paid(an_invoice(shape, subscription_metadata={"session_id": "s"}, metadata={"order": "7"}))

    assert (found.subscription_metadata, found.metadata) == ({"session_id": "s"}, {"order": "7"})


def test_the_subscriptions_metadata_of_2023_is_in_its_details() -> None:
    old = {**an_invoice(Shape.OLD), "subscription_details": {"metadata": {"session_id": "s"}}}

    assert paid(old).subscription_metadata == {"session_id": "s"}


def test_before_2023_the_metadata_is_on_the_subscriptions_lines() -> None:
    item = a_line(Shape.OLD, priced=SHIRT, subscription=None, item_id=None, metadata={"gift": "yes"})
    own = a_line(Shape.OLD, metadata={"session_id": "s"})

    assert paid(an_invoice(Shape.OLD, lines=[item, own])).subscription_metadata == {"session_id": "s"}


@pytest.mark.parametrize(("shape", "plan"), [(Shape.OLD, "shirt"), (Shape.CLOVER, None)])
def test_what_a_one_off_invoice_sold_is_named_by_its_price_never_by_a_description(
    shape: Shape, plan: str | None
) -> None:
    shirt = {**a_line(shape, priced=SHIRT, subscription=None, item_id=None), "description": "Shirt for Ada L."}

    found = paid(an_invoice(shape, lines=[shirt], subscription=None))

    assert (found.plan, found.price_id, found.product_id) == (plan, "price_shirt", "prod_2")


# ---- Links --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["invoice.created", "invoice.finalized", "invoice.updated", "invoice.payment_failed"])
def test_an_invoice_that_is_not_paid_links_customer_and_subscription(kind: str) -> None:
    found = fact(kind, an_invoice(status="open", amount_paid=0))

    assert found == Link(
        at=AT,
        ids=Ids(customer_id="cus_1", subscription_id="sub_1", invoice_id="in_1"),
        processor_event_id="evt_1",
    )


def test_an_invoice_that_names_nothing_else_links_nothing() -> None:
    lonely = an_invoice(customer=None, subscription=None, lines=[])

    assert translated("invoice.finalized", lonely).reason == "an invoice without other ids"

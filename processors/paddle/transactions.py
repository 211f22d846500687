"""Transactions: money counts once one is completed, at its grand total (developer.paddle.com)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction

from processors.facts import CatalogEntry, Discount, Line, Membership, Payment, Price, Product, Reason
from processors.interface import Translation
from processors.money import Currency, Money, exact_decimal, round_minor, whole_minor
from processors.paddle.envelope import Notification, currency, custom_data, ids_of, ignored, with_facts
from processors.paddle.prices import cycle, price
from processors.payload import Json, at, first, ident, rows, table, text
from processors.values import replace

REASONS: Mapping[str, Reason] = {
    "web": Reason.START,
    "api": Reason.START,
    "subscription_recurring": Reason.CYCLE,
    "subscription_update": Reason.CHANGE,
    "subscription_charge": Reason.ONE_OFF,
    "subscription_payment_method_change": Reason.UNKNOWN,
}


def from_transaction(notification: Notification) -> Translation:
    """`transaction.completed`: the only event that proves the payment, with subscription and period."""
    found = notification.entity
    key, money = ident(found.get("id")), _paid(found)
    if key is None or money is None:
        return ignored("the transaction has no id, no total or no currency")
    subscription_id = ident(found.get("subscription_id"))
    lines = _lines(found)
    fact = Payment(
        key=key,
        at=notification.at,
        ids=ids_of(found, key, subscription_id),
        amount=money,
        tax=_tax(found),
        is_total=True,
        membership=Membership.INVOICE if subscription_id else Membership.NONE,
        reason=_reason(found, subscription_id, lines),
        lines=lines,
        discounts=_discounts(found),
        plan=_plan(found),
        metadata=custom_data(found),
        processor_event_id=notification.id,
    )
    return with_facts(fact, catalog=tuple(_catalog(found, money.currency)))


def _paid(found: Json) -> Money | None:
    """The paid amount, without credit and with tax. A negative total moves no money."""
    code = currency(first(found, "currency_code", "details.totals.currency_code"))
    total = whole_minor(first(found, "details.totals.grand_total", "details.totals.total"))
    return None if code is None or total is None else Money(minor=max(total, 0), currency=code)


def _tax(found: Json) -> int | None:
    """The tax in the grand total. Before 2026 payloads have only the whole tax, even where credit covered a part."""
    totals = table(found, "details.totals")
    tax, stated = whole_minor(totals.get("tax")), whole_minor(totals.get("grand_total_tax"))
    if tax is None or stated not in (None, tax):
        return None if stated is None else max(stated, 0)
    total, due = whole_minor(totals.get("total")), whole_minor(totals.get("grand_total"))
    if total and due is not None:
        tax = round_minor(Fraction(tax * due, total))
    return max(tax, 0)


def _reason(found: Json, subscription_id: str | None, lines: tuple[Line, ...]) -> Reason:
    if subscription_id is None:
        return Reason.ONE_OFF
    reason = REASONS.get(text(found.get("origin")) or "", Reason.UNKNOWN)
    if reason is Reason.START and all(line.proration for line in lines):
        return Reason.ONE_OFF  # nothing recurs (yet): a purchase, or a paid trial
    return reason


def _lines(found: Json) -> tuple[Line, ...]:
    """The lines of recurring prices, without tax.

    A checkout's line for a price with a trial is the price of the trial, often 0: marked as a proration, since it does
    not measure MRR.
    """
    trials = {ident(table(row, "price")) for row in rows(found, "items") if at(row, "price.trial_period") is not None}
    begins = REASONS.get(text(found.get("origin")) or "") is Reason.START
    return tuple(
        replace(line, proration=True, share=None) if begins and line.price_id in trials else line
        for line in _line_items(found)
    )


def _line_items(found: Json) -> Iterator[Line]:
    priced = {
        ident(row.get("price_id")) or ident(at(row, "price.id")): table(row, "price") for row in rows(found, "items")
    }
    coupons = tuple(one.coupon_id for one in _discounts(found) if one.coupon_id)
    for row in rows(found, "details.line_items"):
        price_id = ident(row.get("price_id"))
        interval, count = cycle(priced.get(price_id, {}))
        amount = exact_decimal(at(row, "totals.subtotal"))
        if interval is None or amount is None:
            continue
        rate, tax_rate = exact_decimal(at(row, "proration.rate")), exact_decimal(row.get("tax_rate"))
        discount = exact_decimal(at(row, "totals.discount")) or Decimal(0)
        yield Line(
            price_id=price_id,
            product_id=ident(at(row, "product.id")),
            name=text(at(row, "product.name")),
            amount=amount,
            discount=discount,
            quantity=exact_decimal(row.get("quantity")) or Decimal(1),
            interval=interval,
            interval_count=count,
            proration=rate not in (None, 1) or amount < 0,  # a negative line credits a price billed before
            tax_rate=None if tax_rate is None else tax_rate * 100,
            discount_ids=coupons if discount else (),
            share=rate,
        )


def _discounts(found: Json) -> tuple[Discount, ...]:
    coupon_id = ident(first(found, "discount_id", "discount.id"))
    return () if coupon_id is None else (Discount(coupon_id=coupon_id),)


def _plan(found: Json) -> str | None:
    for row in rows(found, "details.line_items"):
        name = text(at(row, "product.name"))
        if name is not None:
            return name
    names = (text(at(row, "price.name")) or text(at(row, "price.description")) for row in rows(found, "items"))
    return next((name for name in names if name), None)


def _catalog(found: Json, paid_in: Currency) -> Iterator[CatalogEntry]:
    """The names of products, and the prices: later events may have only their ids."""
    for row in rows(found, "details.line_items"):
        product_id, name = ident(at(row, "product.id")), text(at(row, "product.name"))
        if product_id is not None and name is not None:
            yield Product(id=product_id, name=name)
    for row in rows(found, "items"):
        found_price: Price | None = price(table(row, "price"), {}, paid_in)
        if found_price is not None:
            yield found_price

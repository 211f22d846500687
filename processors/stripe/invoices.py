"""Invoices and their payments: lines, reason and paid amount, in old and basil formats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from processors.facts import Attribution, CatalogEntry, Ids, Line, Membership, Payment, Place, Reason
from processors.interface import Translation
from processors.money import exact_decimal, round_minor, whole_minor
from processors.payload import Json, at, first, has, ident, instant, rows, strings, table
from processors.stripe import discounts, prices
from processors.stripe.envelope import Snapshot, customer_of, ignored, is_guest, linked, money_of, with_facts, word
from processors.values import replace

REASONS: Mapping[str, Reason] = {
    "subscription_create": Reason.START,
    "subscription_cycle": Reason.CYCLE,
    "subscription_update": Reason.CHANGE,
    "subscription_threshold": Reason.CYCLE,
}
SUBSCRIPTION_LINES = frozenset({"subscription", "subscription_item_details"})
THRESHOLD = "subscription_threshold"  # bills usage as soon as it reaches an amount
DAY = 86_400


def from_paid_invoice(event: Snapshot) -> Translation:
    """The total paid on an invoice so far, with reason and lines. Also for invoices of 0."""
    found = event.object
    amount, ids = money_of(_amount_paid(found), found.get("currency")), invoice_ids(found)
    if found.get("paid_out_of_band") is True:
        ids = replace(ids, payment_id=ids.invoice_id, charge_id=None)  # no charge reports it
    sold = {} if ids.subscription_id else _product(found)
    if ids.invoice_id is None or amount is None or amount.minor < 0:
        return ignored("an invoice without id, amount or currency")
    fact = Payment(
        key=ids.invoice_id,
        at=event.at,
        ids=ids,
        amount=amount,
        tax=_tax_in(found, amount.minor),
        released=None,
        is_total=True,
        membership=Membership.INVOICE,
        reason=_reason(found, ids.subscription_id),
        lines=_lines(found),
        discounts=discounts.discounts_on(found),
        plan=sold.get("plan"),
        price_id=sold.get("price_id"),
        product_id=sold.get("product_id"),
        metadata=strings(found.get("metadata")),
        subscription_metadata=_subscription_metadata(found),
        is_primary=event.type == "invoice.paid",
        processor_event_id=event.id,
    )
    return with_facts(fact, catalog=_catalog(found))


def from_invoice(event: Snapshot) -> Translation:
    """The ids of an unpaid or changed invoice, and its visit: a part of it may be paid long before the whole."""
    ids = invoice_ids(event.object)
    translation = linked(event, ids, "an invoice without other ids")
    named = (
        (Place.OBJECT, strings(event.object.get("metadata"))),
        (Place.INVOICE, _subscription_metadata(event.object)),
    )
    visits = tuple(
        Attribution(place=place, at=event.at, ids=ids, metadata=metadata, processor_event_id=event.id)
        for place, metadata in named
        if metadata and ids.invoice_id
    )
    return replace(translation, facts=translation.facts + visits) if translation.facts else translation


def from_invoice_payment(event: Snapshot) -> Translation:
    """One payment on an invoice (since basil): an intent, a charge, or one recorded from outside Stripe."""
    found = event.object
    charge_id = ident(at(found, "payment.charge"))
    ids = Ids(
        customer_id=customer_of(found),
        subscription_id=ident(at(found, "parent.subscription_details.subscription")),
        invoice_id=ident(found.get("invoice")),
        payment_id=economic_key(found),
        charge_id=charge_id,
    )
    amount = money_of(found.get("amount_paid"), found.get("currency"))
    if ids.payment_id is None or ids.invoice_id is None or amount is None or amount.minor < 0:
        return ignored("an invoice payment without invoice, payment, amount or currency")
    fact = Payment(
        key=ids.payment_id,
        at=event.at,
        ids=ids,
        amount=amount,
        membership=Membership.INVOICE,
        is_primary=at(found, "payment.payment_record") is not None,  # no charge reports it
        processor_event_id=event.id,
    )
    return with_facts(fact)


def invoice_ids(found: Json) -> Ids:
    """The ids of an invoice; the payment only in the old format, or where the API expanded `payments`."""
    charge_id = ident(first(found, "charge"))
    payments = [payment for payment in rows(found, "payments") if payment.get("status") == "paid"]
    expanded = economic_key(payments[0]) if len(payments) == 1 else None
    return Ids(
        customer_id=customer_of(found),
        subscription_id=subscription_of(found),
        invoice_id=ident(found.get("id")),
        payment_id=ident(found.get("payment_intent")) or charge_id or expanded,
        charge_id=charge_id,
        guest=is_guest(found),
    )


def subscription_of(found: Json) -> str | None:
    """The invoice's subscription, under `parent` since basil; else the one that all recurring lines name."""
    stated = ident(first(found, "parent.subscription_details.subscription", "subscription"))
    if stated is not None:
        return stated
    named = {_subscription_of_line(line) for line in rows(found, "lines") if _is_recurring(line)}
    return named.pop() if len(named) == 1 else None


# ---- The invoice --------------------------------------------------------------------------------------------------


def _amount_paid(found: Json) -> Any:
    """The paid amount. Before basil it was 0 for an invoice paid out of band: then the amount due."""
    stated = found.get("amount_paid")
    if found.get("paid_out_of_band") is True and not whole_minor(stated):
        return first(found, "amount_due", "amount_paid")
    return stated


def _reason(found: Json, subscription_id: str | None) -> Reason:
    lines = list(rows(found, "lines"))
    recurring = [line for line in lines if _is_recurring(line)]
    if subscription_id is None:
        return Reason.ONE_OFF
    if lines and not recurring and at(found, "lines.has_more") is not True:
        return Reason.ONE_OFF  # a one-time charge on a subscription
    stated = REASONS.get(word(found.get("billing_reason")))
    if stated is not None:
        return stated
    return Reason.CHANGE if recurring and all(map(_is_proration, recurring)) else Reason.UNKNOWN


def _tax_in(found: Json, paid_minor: int) -> int | None:
    """The tax in the paid amount: proportional where the rest came from the balance or is still due."""
    tax, total = _tax(found), whole_minor(found.get("total"))
    return tax if not tax or not total or total < 0 else round_minor(Fraction(tax * paid_minor, total))


def _tax(found: Json) -> int | None:
    """The tax in the invoice's total: `total_taxes` since basil, else `total_tax_amounts` or `tax`. None: unknown."""
    for key in ("total_taxes", "total_tax_amounts"):
        if isinstance(found.get(key), list):
            return sum(whole_minor(part.get("amount")) or 0 for part in rows(found, key))
    if has(found, "tax") or has(found, "total_taxes"):
        return whole_minor(found.get("tax")) or 0
    return None


def _subscription_metadata(found: Json) -> dict[str, str]:
    """The subscription's metadata as stored on the invoice: under `parent` since basil, on lines before 2023-06."""
    frozen = strings(first(found, "parent.subscription_details.metadata", "subscription_details.metadata"))
    if frozen:
        return frozen
    own_lines = (line for line in rows(found, "lines") if _kind(line) in SUBSCRIPTION_LINES)
    return next(filter(None, (strings(line.get("metadata")) for line in own_lines)), {})


def _product(found: Json) -> dict[str, str | None]:
    """The product, by the first line's price. Never from descriptions, which may contain names of people."""
    for line in rows(found, "lines"):
        price = prices.price_of(line.get("price"), line.get("plan"))
        return {
            "plan": price.name if price else None,
            "price_id": ident(first(line, "pricing.price_details.price", "price", "plan")),
            "product_id": ident(at(line, "pricing.price_details.product")) or (price.product_id if price else None),
        }
    return {}


def _catalog(found: Json) -> tuple[CatalogEntry, ...]:
    entries: list[CatalogEntry] = list(discounts.catalog_of(discounts.discounts_on(found)))
    for line in rows(found, "lines"):
        price = prices.price_of(line.get("price"), line.get("plan"))
        entries += [price] if price is not None and prices.is_complete(price) else []
        entries += discounts.catalog_of(discounts.discounts_on(line))
    return tuple(entries)


# ---- Lines --------------------------------------------------------------------------------------------------------


def _lines(found: Json) -> tuple[Line, ...] | None:
    """The recurring lines; None: the payload has no lines. Long invoices contain only the first ten."""
    listed = list(rows(found, "lines"))
    return tuple(_line(line, found) for line in listed if _is_recurring(line)) if listed else None


def _line(line: Json, invoice: Json) -> Line:
    price = prices.price_of(line.get("price"), line.get("plan"))
    quantity = exact_decimal(first(line, "quantity_decimal", "quantity"))
    is_proration, tax_rate = _is_proration(line), _inclusive_rate(line, invoice)
    return Line(
        price_id=price.id if price else ident(first(line, "pricing.price_details.price", "price", "plan")),
        product_id=price.product_id if price else ident(at(line, "pricing.price_details.product")),
        name=price.name if price else None,
        amount=Decimal(whole_minor(line.get("amount")) or 0),
        discount=Decimal(_total(rows(line, "discount_amounts"))),
        quantity=Decimal(1) if quantity is None else quantity,
        interval=price.interval if price else None,
        interval_count=price.interval_count if price else 1,
        days=_days(line),
        proration=is_proration,
        # Since basil lines do not say whether they bill usage; those of this reason mostly do.
        metered=(price.metered if price else False) or invoice.get("billing_reason") == THRESHOLD,
        tax_inside=_inclusive_tax(line, tax_rate),
        tax_rate=tax_rate,
        discount_ids=_discounts_on_line(line, is_proration),
        starts_at=instant(at(line, "period.start")),
        ends_at=instant(at(line, "period.end")),
    )


def _discounts_on_line(line: Json, is_proration: bool) -> tuple[str, ...]:
    """The discounts that came off a line.

    A proration's amount may be stated after discounts: these are then listed with the amount 0
    (docs.stripe.com/changelog/clover/2025-09-30/itemize-proration-discount-amounts).
    """
    listed = ((ident(part.get("discount")), whole_minor(part.get("amount"))) for part in rows(line, "discount_amounts"))
    return tuple(discount_id for discount_id, amount in listed if discount_id and (amount or is_proration))


def _kind(line: Json) -> str:
    return word(first(line, "parent.type", "type"))


def _is_recurring(line: Json) -> bool:
    """Whether a line bills a subscription's price, for a period or a part of one."""
    if _kind(line) in SUBSCRIPTION_LINES or _is_proration(line):
        return True
    return first(line, "price.recurring", "plan") is not None


def _is_proration(line: Json) -> bool:
    paths = ("parent.subscription_item_details.proration", "parent.invoice_item_details.proration", "proration")
    return first(line, *paths) is True


def _subscription_of_line(line: Json) -> str | None:
    paths = (
        "parent.subscription_item_details.subscription",
        "parent.invoice_item_details.subscription",
        "subscription",
    )
    return ident(first(line, *paths))


def _inclusive_tax(line: Json, rate: Decimal | None) -> Decimal:
    """The tax inside the line's amount, after discounts: as stated, else by the rate."""
    if isinstance(line.get("taxes"), list):
        return Decimal(_total(tax for tax in rows(line, "taxes") if tax.get("tax_behavior") == "inclusive"))
    if isinstance(line.get("tax_amounts"), list):
        return Decimal(_total(tax for tax in rows(line, "tax_amounts") if tax.get("inclusive") is True))
    paid = (whole_minor(line.get("amount")) or 0) - _total(rows(line, "discount_amounts"))
    share = Fraction(rate or 0)
    return Decimal(round_minor(paid * share / (100 + share)))


def _inclusive_rate(line: Json, invoice: Json) -> Decimal | None:
    """The percentage of tax inside: of the line's own rates, else of the invoice's. None: none is inclusive."""
    own = prices.inclusive_percentage(line, "tax_rates")
    return prices.inclusive_percentage(invoice, "default_tax_rates") if own is None else own or None


def _total(parts: Iterable[Json]) -> int:
    return sum(whole_minor(part.get("amount")) or 0 for part in parts)


def _days(line: Json) -> int | None:
    start, end = instant(at(line, "period.start")), instant(at(line, "period.end"))
    if start is None or end is None or end <= start:
        return None
    return round((end - start).total_seconds() / DAY) or None


def economic_key(invoice_payment: Json) -> str | None:
    """The intent, else the charge, else the externally recorded payment, else the invoice payment itself."""
    payment = table(invoice_payment, "payment")
    return ident(first(payment, "payment_intent", "charge", "payment_record")) or ident(invoice_payment.get("id"))

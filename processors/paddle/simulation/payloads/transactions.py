"""Transactions, whose totals are the sums of their lines, and their adjustments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from processors.paddle.simulation.payloads.entities import Body, Plan, address_id, period, price, product, stamp

PARTS = ("subtotal", "discount", "tax", "total")
PAID = frozenset({"paid", "completed"})


def line(
    plan: Plan, *, amount: int, quantity: int = 1, tax: int = 0, discount: int = 0, rate: str | None = None
) -> Body:
    """A line of a transaction: `amount` before discount and tax."""
    totals = {"subtotal": amount, "discount": discount, "tax": tax, "total": amount - discount + tax}
    return {
        "id": f"txnitm_{plan.id}_{amount}",
        "price_id": f"pri_{plan.id}",
        "quantity": quantity,
        "proration": None if rate is None else {"rate": rate},
        "totals": {part: str(minor) for part, minor in totals.items()},
        "unit_totals": {part: str(minor // quantity if quantity else minor) for part, minor in totals.items()},
        "product": product(plan),
        "tax_rate": "0.2" if tax else "0",
    }


def transaction(
    transaction_id: str,
    *,
    customer: str | None,
    plans: Sequence[tuple[Plan, int]],
    lines: Sequence[Body],
    origin: str,
    status: str = "completed",
    subscription: str | None = None,
    credit: int = 0,
    currency: str = "USD",
    discount_id: str | None = None,
    custom_data: Mapping[str, Any] | None = None,
    pays_until: datetime | None = None,
    at: datetime,
) -> Body:
    """A transaction whose totals are the sums of its lines. `pays_until`: the end of the period it pays for."""
    totals = _totals(lines, credit, currency, status)
    return {
        "id": transaction_id,
        "status": status,
        "origin": origin,
        "customer_id": customer,
        "address_id": address_id(customer),
        "business_id": None,
        "subscription_id": subscription,
        "invoice_id": transaction_id.replace("txn_", "inv_", 1) if status == "completed" else None,
        "invoice_number": "325-10566" if status == "completed" else None,
        "currency_code": currency,
        "collection_mode": "automatic",
        "discount_id": discount_id,
        "billing_details": None,
        "billing_period": period(at, pays_until) if subscription is not None else None,
        "custom_data": None if custom_data is None else dict(custom_data),
        "items": [{"price": price(plan), "quantity": quantity, "proration": None} for plan, quantity in plans],
        "details": _details(totals, lines, status),
        "payments": _payments(transaction_id, totals, at) if status in PAID else [],
        "checkout": {"url": f"https://example.com/pay?_ptxn={transaction_id}"},
        "created_at": stamp(at),
        "updated_at": stamp(at),
        "billed_at": stamp(at) if status not in ("draft", "ready") else None,
        "revised_at": None,
    }


def _details(totals: Body, lines: Sequence[Body], status: str) -> Body:
    return {
        "totals": totals,
        "adjusted_totals": {part: totals[part] for part in ("subtotal", "tax", "total", "grand_total")},
        "payout_totals": {**totals, "exchange_rate": "1", "fee_rate": "0.05"} if status == "completed" else None,
        "tax_rates_used": [{"tax_rate": "0", "totals": {part: totals[part] for part in PARTS}}],
        "line_items": list(lines),
    }


def _totals(lines: Sequence[Body], credit: int, currency: str, status: str) -> Body:
    """The sums of the lines; fee and earnings are known once the transaction is completed."""
    subtotal, discount, tax, total = (sum(int(found["totals"][part]) for found in lines) for part in PARTS)
    due, done = total - credit, status == "completed"
    due_tax = tax * due // total if total else tax
    fee = max(due, 0) // 20
    return {
        "subtotal": str(subtotal),
        "discount": str(discount),
        "tax": str(tax),
        "total": str(total),
        "credit": str(credit),
        "credit_to_balance": str(max(0, credit - total)),
        "grand_total": str(due),
        "grand_total_tax": str(due_tax),
        "balance": "0" if status in PAID else str(due),
        "fee": str(fee) if done else None,
        "earnings": str(due - due_tax - fee) if done else None,
        "currency_code": currency,
    }


def _payments(transaction_id: str, totals: Body, at: datetime) -> list[Body]:
    """The one successful payment; none where nothing is due."""
    if int(totals["grand_total"]) <= 0:
        return []
    return [
        {
            "payment_attempt_id": f"attempt_{transaction_id}",
            "amount": totals["grand_total"],
            "status": "captured",
            "error_code": None,
            "method_details": {"type": "card", "card": {"type": "visa", "last4": "4242"}},
            "created_at": stamp(at),
            "captured_at": stamp(at),
        }
    ]


def adjustment(
    adjustment_id: str,
    *,
    transaction: str,
    minor: int,
    customer: str | None,
    subscription: str | None,
    action: str = "refund",
    status: str = "approved",
    tax: int = 0,
    currency: str = "USD",
    is_full: bool = False,
    at: datetime,
) -> Body:
    """An adjustment of a transaction."""
    kind = "full" if is_full else "partial"
    totals = _adjustment_totals(minor, tax, currency)
    return {
        "id": adjustment_id,
        "action": action,
        "type": kind,
        "status": status,
        "transaction_id": transaction,
        "subscription_id": subscription,
        "customer_id": customer,
        "currency_code": currency,
        "reason": "requested_by_customer",
        "credit_applied_to_balance": None,
        "items": [_adjustment_item(adjustment_id, transaction, kind, totals)],
        "totals": totals,
        "payout_totals": {**totals, "chargeback_fee": None},
        "created_at": stamp(at),
        "updated_at": stamp(at),
    }


def _adjustment_totals(minor: int, tax: int, currency: str) -> Body:
    return {
        "subtotal": str(minor - tax),
        "tax": str(tax),
        "total": str(minor),
        "fee": "0",
        "retained_fee": "0",
        "earnings": str(minor - tax),
        "currency_code": currency,
    }


def _adjustment_item(adjustment_id: str, transaction: str, kind: str, totals: Body) -> Body:
    return {
        "id": adjustment_id.replace("adj_", "adjitm_", 1),
        "item_id": f"txnitm_{transaction}",
        "type": kind,
        "amount": totals["total"],
        "proration": None,
        "totals": {part: totals[part] for part in ("subtotal", "tax", "total")},
    }

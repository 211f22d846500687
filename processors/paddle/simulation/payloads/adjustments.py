"""Adjustments of transactions: refunds, chargebacks, credits."""

from __future__ import annotations

from datetime import datetime

from processors.paddle.simulation.payloads.envelope import Body, stamp


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
    totals = _totals(minor, tax, currency)
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
        "items": [_item(adjustment_id, transaction, kind, totals)],
        "totals": totals,
        "payout_totals": {**totals, "chargeback_fee": None},
        "created_at": stamp(at),
        "updated_at": stamp(at),
    }


def _totals(minor: int, tax: int, currency: str) -> Body:
    return {
        "subtotal": str(minor - tax),
        "tax": str(tax),
        "total": str(minor),
        "fee": "0",
        "retained_fee": "0",
        "earnings": str(minor - tax),
        "currency_code": currency,
    }


def _item(adjustment_id: str, transaction: str, kind: str, totals: Body) -> Body:
    return {
        "id": adjustment_id.replace("adj_", "adjitm_", 1),
        "item_id": f"txnitm_{transaction}",
        "type": kind,
        "amount": totals["total"],
        "proration": None,
        "totals": {part: totals[part] for part in ("subtotal", "tax", "total")},
    }

"""The Paddle Classic alerts that the bridge understands, and the reader of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from processors.interface import Translation
from processors.paddle_classic import payments, subscriptions
from processors.paddle_classic.alerts import Alert, fields_of
from processors.paddle_classic.plans import plans_of
from processors.payload import Unreadable, instant, text

Translator = Callable[[Alert], Translation]

TRANSLATORS: Mapping[str, Translator] = {
    "subscription_created": subscriptions.created,
    "subscription_updated": subscriptions.updated,
    "subscription_cancelled": subscriptions.cancelled,
    "subscription_payment_succeeded": payments.subscription_paid,
    "subscription_payment_refunded": payments.refunded,
    "payment_succeeded": payments.paid,
    "payment_refunded": payments.refunded,
    "payment_dispute_created": payments.disputed,
}

# Alerts without facts, with the reason that the operator reads.
SILENT: Mapping[str, str] = {
    "subscription_payment_failed": "the payment failed: no money, and Paddle retries or cancels the subscription",
    "payment_dispute_closed": "the dispute is closed: the alert does not state who won",
    "high_risk_transaction_created": "a transaction under review: no money yet",
    "high_risk_transaction_updated": "a reviewed transaction: its payment has its own alert",
}

EVENTS: tuple[str, ...] = tuple(TRANSLATORS)


def translate(body: bytes, options: Mapping[str, str]) -> Translation:
    """The facts of one stored alert, or the reason why it has none. Raises nothing for an odd alert."""
    try:
        fields = fields_of(body)
    except Unreadable as unreadable:
        return Translation(reason=f"the body cannot be read: {unreadable}")
    alert_id, name = text(fields.get("alert_id"), 255), text(fields.get("alert_name"), 255)
    at = instant(fields.get("event_time"))
    if alert_id is None or name is None or at is None:
        return Translation(reason="no alert: alert_id, alert_name or event_time is missing")
    translator = TRANSLATORS.get(name)
    if translator is None:
        return Translation(reason=SILENT.get(name, f"{name} is not an alert that the bridge uses"))
    return translator(Alert(id=alert_id, at=at, fields=fields, plans=plans_of(options)))

"""The Paddle events that the bridge understands, and the reader of each (developer.paddle.com/webhooks)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from processors.interface import Translation
from processors.paddle import adjustments, prices, subscriptions, transactions
from processors.paddle.envelope import Notification, from_customer, notification_of
from processors.payload import Unreadable, parse

Translator = Callable[[Notification], Translation]

TRANSLATORS: Mapping[str, Translator] = {
    "transaction.completed": transactions.from_transaction,
    "subscription.created": subscriptions.from_subscription,
    "subscription.trialing": subscriptions.from_subscription,
    "subscription.activated": subscriptions.from_subscription,
    "subscription.updated": subscriptions.from_subscription,
    "subscription.past_due": subscriptions.from_subscription,
    "subscription.paused": subscriptions.from_subscription,
    "subscription.resumed": subscriptions.from_subscription,
    "subscription.canceled": subscriptions.from_subscription,
    "subscription.imported": subscriptions.from_subscription,
    "adjustment.created": adjustments.from_adjustment,
    "adjustment.updated": adjustments.from_adjustment,
    "discount.created": prices.from_discount,
    "discount.updated": prices.from_discount,
    "discount.imported": prices.from_discount,
    "price.created": prices.from_price,
    "price.updated": prices.from_price,
    "price.imported": prices.from_price,
    "product.created": prices.from_product,
    "product.updated": prices.from_product,
    "product.imported": prices.from_product,
    "customer.created": from_customer,
    "customer.updated": from_customer,
    "customer.imported": from_customer,
}

# Events without facts, with the reason that the operator reads.
SILENT: Mapping[str, str] = {
    "transaction.paid": "paid, not yet processed by Paddle: transaction.completed counts",
    "transaction.billed": "an invoice was issued: no money yet",
    "transaction.canceled": "the transaction was canceled: no money",
    "transaction.created": "a draft: no money yet",
    "transaction.past_due": "the payment is late: no money yet",
    "transaction.payment_failed": "the payment failed: no money",
    "transaction.ready": "a draft: no money yet",
    "transaction.revised": "customer details were revised; a refund is an adjustment",
    "transaction.updated": "moves no money: transaction.completed counts",
}

EVENTS: tuple[str, ...] = tuple(TRANSLATORS)


def translate(body: bytes, options: Mapping[str, str]) -> Translation:
    """The facts of one stored event, or the reason why it has none. Raises nothing for an odd event."""
    try:
        notification = notification_of(parse(body))
    except Unreadable as unreadable:
        return Translation(reason=f"the body cannot be read: {unreadable}")
    if isinstance(notification, str):
        return Translation(reason=notification)
    translator = TRANSLATORS.get(notification.type)
    if translator is None:
        return Translation(
            reason=SILENT.get(notification.type, f"{notification.type} is not an event that the bridge uses")
        )
    return translator(notification)

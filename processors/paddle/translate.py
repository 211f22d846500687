"""What each of Paddle's events says: the table of contents of this processor."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from processors.interface import Translation
from processors.paddle import adjustments, customers, prices, subscriptions, transactions
from processors.paddle.envelope import Notice, notice_of
from processors.payload import Unreadable, parse

Translator = Callable[[Notice], Translation]

TRANSLATORS: Mapping[str, Translator] = {
    "transaction.completed": transactions.completed,
    "subscription.created": subscriptions.state,
    "subscription.trialing": subscriptions.state,
    "subscription.activated": subscriptions.state,
    "subscription.updated": subscriptions.state,
    "subscription.past_due": subscriptions.state,
    "subscription.paused": subscriptions.state,
    "subscription.resumed": subscriptions.state,
    "subscription.canceled": subscriptions.state,
    "subscription.imported": subscriptions.state,
    "adjustment.created": adjustments.refund,
    "adjustment.updated": adjustments.refund,
    "discount.created": prices.discount_learned,
    "discount.updated": prices.discount_learned,
    "discount.imported": prices.discount_learned,
    "price.created": prices.learned,
    "price.updated": prices.learned,
    "price.imported": prices.learned,
    "product.created": prices.learned,
    "product.updated": prices.learned,
    "product.imported": prices.learned,
    "customer.created": customers.attribution,
    "customer.updated": customers.attribution,
    "customer.imported": customers.attribution,
}

# What is known and tells nothing, with the reason that the operator reads.
SILENT: Mapping[str, str] = {
    "transaction.paid": "paid, not yet processed by Paddle: transaction.completed counts",
    "transaction.billed": "an invoice was issued: no money yet",
    "transaction.canceled": "the transaction was canceled: no money",
    "transaction.created": "a draft: no money yet",
    "transaction.past_due": "the payment is late: no money yet",
    "transaction.payment_failed": "the payment failed: no money",
    "transaction.ready": "a draft: no money yet",
    "transaction.revised": "customer details were revised; money that goes back is an adjustment of its own",
    "transaction.updated": "no money by itself: transaction.completed counts",
}

EVENTS: tuple[str, ...] = tuple(TRANSLATORS)


def translate(body: bytes, options: Mapping[str, str]) -> Translation:
    """The facts of one stored event, or the reason why it has none. Raises nothing for an odd event."""
    try:
        notice = notice_of(parse(body))
    except Unreadable as unreadable:
        return Translation(reason=f"the body cannot be read: {unreadable}")
    if isinstance(notice, str):
        return Translation(reason=notice)
    translator = TRANSLATORS.get(notice.type)
    if translator is None:
        return Translation(reason=SILENT.get(notice.type, f"{notice.type} tells nothing of revenue"))
    return translator(notice)

"""Which lifecycles of the tables are ordinary: every webhook comes, as the processor orders and spaces them.

The others are named here by what they lack, which is a property of their webhooks, not of what the ledger does.
"""

from __future__ import annotations

from collections.abc import Sequence

from processors.facts import Fact, Membership, Payment

# Parts of titles, by the reason.
UNUSUAL = {
    "the bridge was installed in the middle of it: the webhooks before never come": (
        "is first seen",
        "was there before the bridge",
        "older than the bridge",
        "is imported from elsewhere",
        "from before the bridge was there",
        "a baseline is corrected when a transaction",
    ),
    "the endpoint does not subscribe to some types, so that they never come": (
        "where the endpoint has",
        "by running totals of the charge alone",
        "reported by the charge alone",
        "a payment without any state",
        "no subscription's event ever comes",
        "and no subscription event",
        "a discount on the customer is shown after the start",
    ),
    "the payloads leave out what other payloads or the API contain": (
        "of which the payloads name the id only",
        "half off that only",
        "without an event for the end of the coupon",
        "nothing says that funds were withdrawn",
        "has a renewal's debit returned",
        "and are withdrawn again",
        "signs up without any custom data",
        "tiers unknown: 140.00 x 20/15, until the next bill",
        "half off is given to two products",
        "is given 25 % off on the tenth day",
        "the second bill shows the tax inside",
    ),
    "the table has no bill of a start, which the processor would send": (
        "the subscription's tax rate is inside",
        "the item's tax rate is inside",
        "no bill shows its amount",
        "the API says once",
        "by the API's word, before any bill",
    ),
    "the table has no state of a change, which the processor would send with its bill": ("billed by an invoice each",),
    "webhooks of one sale lie hours to weeks apart": (
        "two days apart",
        "arrives two hours later",
        "three weeks later",
    ),
    "Stripe allows no other currency on a subscription": ("is moved to euros",),
    "payloads of years ago": (
        "as before 2019",
        "in early 2018",
        "before May 2018",
        "signs up in 2018",
        "paddle: an upgrade with tax inside for a rounded share",  # the old price is no negative line, but a credit
    ),
    "a payment intent of the merchant's own, see is_bare": (
        "a bare payment intent",
        "50.00 authorised",
        "the released 20.00 arrive",
    ),
}


def is_ordinary(title: str) -> bool:
    """Whether a lifecycle is ordinary, by its title."""
    return not any(part.lower() in title.lower() for parts in UNUSUAL.values() for part in parts)


def is_bare(facts: Sequence[Fact]) -> bool:
    """Whether a payment without Checkout is among the facts of which no payload ever says that it has no invoice.

    That is a payment intent that the merchant creates, in Stripe's API versions since 2025: an invoice may name it
    later.
    """
    named = {fact.ids.payment_id for fact in facts if fact.ids.invoice_id or fact.ids.checkout_id}
    return any(
        isinstance(fact, Payment) and fact.membership is Membership.UNKNOWN and fact.ids.payment_id not in named
        for fact in facts
    )

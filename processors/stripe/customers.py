"""Customers: metadata that the merchant put on them."""

from __future__ import annotations

from processors.facts import Attribution, Ids, Place
from processors.interface import Translation
from processors.payload import ident, strings
from processors.stripe.envelope import Snapshot, ignored, says


def metadata(event: Snapshot) -> Translation:
    """A customer's metadata, which may name the visit."""
    customer_id, stated = ident(event.object.get("id")), strings(event.object.get("metadata"))
    if customer_id is None or not stated:
        return ignored("a customer without metadata")
    return says(
        Attribution(
            place=Place.CUSTOMER_METADATA,
            at=event.at,
            ids=Ids(customer_id=customer_id),
            metadata=stated,
            processor_event_id=event.id,
        )
    )

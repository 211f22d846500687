"""Customers: only the merchant's own data is read, as a fallback for attribution; nothing personal."""

from __future__ import annotations

from processors.facts import Attribution, Ids, Place
from processors.interface import Translation
from processors.paddle.envelope import Notice, custom_data, ignored, says
from processors.payload import ident


def attribution(notice: Notice) -> Translation:
    """`customer.*`: custom_data may name the visit."""
    customer_id, metadata = ident(notice.entity.get("id")), custom_data(notice.entity)
    if customer_id is None or not metadata:
        return ignored("the customer has no custom data")
    ids = Ids(customer_id=customer_id)
    return says(
        Attribution(
            place=Place.CUSTOMER_METADATA, at=notice.at, ids=ids, metadata=metadata, processor_event_id=notice.id
        )
    )

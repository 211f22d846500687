"""The envelope of a Paddle event, and what every reader says the same way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from processors.base import Translation
from processors.facts import Fact, Ids, Known
from processors.money import Currency, iso_digits
from processors.reading import Json, has, ident, instant, strings, table, text


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One event with its whole entity, as it stood at `at`."""

    id: str
    type: str
    at: datetime
    entity: Json


def notice_of(body: Json) -> Notice | str:
    """The event to translate, or the sentence that says why it cannot be."""
    event_id, kind = text(body.get("event_id"), 255), text(body.get("event_type"), 255)
    entity, at = table(body, "data"), instant(body.get("occurred_at"))
    if event_id is None or kind is None or at is None:
        return "no Paddle event: event_id, event_type or occurred_at is missing"
    if not entity:
        return "the event carries no entity"
    return Notice(id=event_id, type=kind, at=at, entity=entity)


def says(*facts: Fact, known: tuple[Known, ...] = ()) -> Translation:
    """A translation with facts."""
    return Translation(facts=facts, known=known)


def ignored(reason: str, known: tuple[Known, ...] = ()) -> Translation:
    """A translation without facts, and why."""
    return Translation(known=known, reason=reason)


def currency(code: object) -> Currency | None:
    """The currency of a code. Paddle counts in the lowest denomination of ISO 4217."""
    name = text(code, 3)
    return None if name is None else Currency(code=name.upper(), digits=iso_digits(name.upper()))


def ids_of(entity: Json, transaction_id: str | None, subscription_id: str | None) -> Ids:
    """The ids that an entity names. A transaction is its own bill, so it stands as payment and as invoice."""
    customer_id = ident(entity.get("customer_id"))
    return Ids(
        customer_id=customer_id,
        subscription_id=subscription_id,
        invoice_id=transaction_id,
        payment_id=transaction_id,
        guest=customer_id is None and has(entity, "customer_id"),
    )


def custom_data(entity: Json) -> dict[str, str]:
    """The merchant's own data: flat strings; anything else in it is passed over."""
    return strings(entity.get("custom_data"))

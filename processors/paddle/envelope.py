"""The envelope of a Paddle event (developer.paddle.com/webhooks), and what all readers share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from processors.facts import Attribution, CatalogEntry, Fact, Ids, Place
from processors.interface import Event, Option, Translation
from processors.money import Currency, iso_digits
from processors.payload import Json, Unreadable, has, ident, instant, parse, strings, table, text

SIMULATED = ("ntfsimevt_", "ntfsimntf_")  # ids of Paddle's webhook simulator
ENVIRONMENT = Option(
    name="PADDLE_ENVIRONMENT",
    help="The environment of the account: live, or sandbox, whose webhooks are all test traffic.",
    example="live",
    check=lambda value: None if value in ("live", "sandbox") else "must be live or sandbox",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One event with its whole entity, as it was at `at`."""

    id: str
    type: str
    at: datetime
    entity: Json


def envelope(body: bytes, options: Mapping[str, str]) -> Event:
    """The envelope for the inbox. Raises `Unreadable`: this is not an event of Paddle.

    No payload states sandbox or live, so the setting decides. Events of its simulator have recognisable ids.
    """
    found = parse(body)
    event_id, kind = text(found.get("event_id"), 255), text(found.get("event_type"), 255)
    if event_id is None or kind is None:
        raise Unreadable("not a Paddle event with an event_id and an event_type")
    simulated = event_id.startswith(SIMULATED) or (text(found.get("notification_id")) or "").startswith(SIMULATED)
    livemode = not simulated and options.get(ENVIRONMENT.name) != "sandbox"
    return Event(id=event_id, type=kind, created_at=instant(found.get("occurred_at")), livemode=livemode)


def notification_of(body: Json) -> Notification | str:
    """The event to translate, or the reason why it cannot be translated."""
    event_id, kind = text(body.get("event_id"), 255), text(body.get("event_type"), 255)
    entity, at = table(body, "data"), instant(body.get("occurred_at"))
    if event_id is None or kind is None or at is None:
        return "no Paddle event: event_id, event_type or occurred_at is missing"
    if not entity:
        return "the event carries no entity"
    return Notification(id=event_id, type=kind, at=at, entity=entity)


def with_facts(*facts: Fact, catalog: tuple[CatalogEntry, ...] = ()) -> Translation:
    """A translation with facts."""
    return Translation(facts=facts, catalog=catalog)


def ignored(reason: str, catalog: tuple[CatalogEntry, ...] = ()) -> Translation:
    """A translation without facts, with the reason."""
    return Translation(catalog=catalog, reason=reason)


def currency(code: object) -> Currency | None:
    """The currency of a code. Paddle uses the lowest denomination of ISO 4217."""
    name = text(code, 3)
    return None if name is None else Currency(code=name.upper(), digits=iso_digits(name.upper()))


def ids_of(entity: Json, transaction_id: str | None, subscription_id: str | None) -> Ids:
    """The ids of an entity. A Paddle transaction is both payment and invoice, so its id is used for both."""
    customer_id = ident(entity.get("customer_id"))
    return Ids(
        customer_id=customer_id,
        subscription_id=subscription_id,
        invoice_id=transaction_id,
        payment_id=transaction_id,
        guest=customer_id is None and has(entity, "customer_id"),
    )


def custom_data(entity: Json) -> dict[str, str]:
    """The merchant's own data: flat strings; anything else in it is ignored."""
    return strings(entity.get("custom_data"))


def from_customer(notification: Notification) -> Translation:
    """`customer.*`: custom data may contain the attribution. Nothing personal is read."""
    customer_id, metadata = ident(notification.entity.get("id")), custom_data(notification.entity)
    if customer_id is None or not metadata:
        return ignored("the customer has no custom data")
    ids = Ids(customer_id=customer_id)
    return with_facts(
        Attribution(
            place=Place.CUSTOMER_METADATA,
            at=notification.at,
            ids=ids,
            metadata=metadata,
            processor_event_id=notification.id,
        )
    )

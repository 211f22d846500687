"""From a stored event to its facts: by its processor, or by the bridge itself for what the merchant registered."""

from __future__ import annotations

from bridge.settings import Settings, Source
from bridge.store.inbox import REGISTERED, InboxRow
from bridge.worker.importing import TYPE as IMPORTED
from bridge.worker.importing import imported
from processors import processors
from processors.base import Translation
from processors.facts import Attribution, Ids, Place
from processors.reading import Unreadable, ident, instant, parse, strings, table

NO_SOURCE = "its source is not configured any more: set its webhook secret again, and the event goes on"


class Untranslatable(Exception):
    """An event whose source is gone, or whose translation failed. The message is for the operator."""


def translation(row: InboxRow, settings: Settings) -> Translation:
    """What a stored event says. Raises `Untranslatable`, and nothing else, whatever the body holds."""
    source = settings.sources.get(row.source)
    if source is None:
        raise Untranslatable(NO_SOURCE)
    if row.body is None:
        raise Untranslatable("its body was purged, it cannot be read again")
    try:
        if row.type == REGISTERED:
            return registered(row.body)
        if row.type == IMPORTED:
            return Translation(facts=(imported(row.body, row.event_id),))
        return _by_processor(row.body, source)
    except Exception as error:  # one odd event never stops the others
        raise Untranslatable(f"translation failed: {type(error).__name__}: {error}") from error


def registered(body: bytes) -> Translation:
    """An attribution that the merchant's site registered through `POST /attributions`."""
    try:
        envelope = parse(body)
    except Unreadable as error:
        return Translation(reason=str(error))
    data = table(envelope, "data")
    at = instant(envelope.get("created"))
    ids = Ids(
        customer_id=ident(data.get("customer_id")),
        subscription_id=ident(data.get("subscription_id")),
        payment_id=ident(data.get("transaction_id")),
    )
    if at is None or ids == Ids():
        return Translation(reason="names neither customer, subscription nor transaction")
    fact = Attribution(
        place=Place.REGISTERED,
        at=at,
        ids=ids,
        metadata=strings(data.get("metadata")),
        processor_event_id=ident(envelope.get("id")) or "",
    )
    return Translation(facts=(fact,))


def _by_processor(body: bytes, source: Source) -> Translation:
    return processors()[source.processor].translate(body, source.options)

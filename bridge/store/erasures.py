"""Erasure: the rows of a customer with pseudonyms in place of every id, without payloads, visits and texts.

Amounts, days, plans and output keys stay, so every sum and every recognition of a repetition stays too. The pseudonyms
in `links`, `streams` and `inbox` recognise later webhooks of the customer.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Text, bindparam, delete, func, insert, select, update

from bridge.ledger.pseudonyms import Pseudonyms, id_in
from bridge.scope import StreamId
from bridge.store import inbox as webhooks
from bridge.store import outbox as deliveries
from bridge.store import streams as stream_table
from bridge.store.inbox import InboxRow, InboxStatus
from bridge.store.inbox.reading import WITH_BODY, from_row
from bridge.store.schema import (
    alerts,
    attempts,
    audit_rows,
    audits,
    bodies,
    catalog,
    compress,
    decompress,
    erasure_key,
    erasures,
    inbox,
    links,
    outbox,
    pauses,
    reconciliations,
    rejected_visits,
    states,
    streams,
    subscriptions,
)
from bridge.store.statements import execute_many, padded_chunks, per_dialect
from processors.values import Value

PAGE = 500
KEY_BYTES = 32
UNDELIVERED = (deliveries.DeliveryStatus.HELD, deliveries.DeliveryStatus.PENDING, deliveries.DeliveryStatus.FAILED)
# Tables with texts that may quote an id of any customer.
TEXTS = (alerts, audit_rows, audits, pauses, reconciliations, rejected_visits)
SHORTEST_IN_TEXT = 6  # a shorter one would be found in other words


class Stored(Value):
    """The number of rows of one stream. `undelivered`: amounts of the revenue events that Pulsora did not confirm."""

    stream_id: str
    webhooks: int
    bodies: int
    revenue_events: int
    undelivered: Sequence[tuple[str, str]]  # (currency, amount in major units)
    subscriptions: int
    links: int
    attempts: int
    is_busy: bool

    @property
    def counts(self) -> Mapping[str, int]:
        """The number of rows, by what they are."""
        return {
            "webhooks": self.webhooks,
            "payloads": self.bodies,
            "revenue_events": self.revenue_events,
            "attempts": self.attempts,
            "subscriptions": self.subscriptions,
            "links": self.links,
        }


# ---- The key and what it recognises ------------------------------------------------------------------------------


def pseudonyms(tx: Connection) -> Pseudonyms | None:
    """The pseudonyms of this database. None: nobody was erased."""
    key = tx.execute(select(erasure_key.c.key)).scalar()
    return None if key is None else Pseudonyms(key)


def create_pseudonyms(tx: Connection) -> Pseudonyms:
    """As `pseudonyms`; makes the key when there is none."""
    found = pseudonyms(tx)
    if found is None:
        tx.execute(insert(erasure_key), {"id": 1, "key": secrets.token_bytes(KEY_BYTES)})
        found = pseudonyms(tx)
    assert found is not None
    return found


HAS_EVENT = per_dialect(
    lambda among: select(inbox.c.event_id).where(
        inbox.c.source == bindparam("of_source"), among(inbox.c.event_id, "ids")
    )
)


def erased_events(tx: Connection, source: str, known: Pseudonyms, event_ids: Iterable[str]) -> set[str]:
    """Those of the event ids of a source whose webhook was erased."""
    by_pseudonym = {known.of(event_id): event_id for event_id in event_ids}
    found: set[str] = set()
    for chunk in padded_chunks(by_pseudonym):
        rows = tx.execute(HAS_EVENT[tx.dialect.name], {"of_source": source, "ids": chunk}).scalars()
        found |= {by_pseudonym[name] for name in rows}
    return found


def erased_ids(tx: Connection, scope: str, known: Pseudonyms, ids: Iterable[str]) -> set[str]:
    """Those of the ids that belong to an erased customer of a ledger."""
    by_pseudonym = {name: one for one in ids for name in known.forms_of(one)}
    found = set(stream_table.links(tx, scope, by_pseudonym))
    names = {str(StreamId(scope, name)): name for name in by_pseudonym}
    found |= {names[stream_id] for stream_id in stream_table.find(tx, names)}
    return {by_pseudonym[name] for name in found}


# ---- Reading -----------------------------------------------------------------------------------------------------


def stored(tx: Connection, stream_id: str, now: datetime) -> Stored:
    """The rows of a stream. Busy: it is being settled, or an event of it is being sent."""
    stream = stream_table.find(tx, [stream_id]).get(stream_id)
    events = deliveries.of_stream(tx, stream_id)
    in_flight = select(func.count()).select_from(outbox).where(
        outbox.c.stream_id == stream_id, outbox.c.leased_by.is_not(None), outbox.c.ready_at > now
    )  # fmt: skip
    of_stream = inbox.c.stream_id == stream_id
    return Stored(
        stream_id=stream_id,
        webhooks=_count(tx, select(func.count()).select_from(inbox).where(of_stream)),
        bodies=_count(tx, select(func.count()).select_from(bodies.join(inbox, _OF_ROW)).where(of_stream)),
        revenue_events=len(events),
        undelivered=[(one.currency, format(one.amount, "f")) for one in events if one.status in UNDELIVERED],
        subscriptions=_count(tx, select(func.count()).where(subscriptions.c.stream_id == stream_id)),
        links=_count(tx, select(func.count()).where(links.c.stream_id == stream_id)),
        attempts=_count(tx, select(func.count()).where(attempts.c.delivery_id.in_([one.id for one in events]))),
        is_busy=bool(_count(tx, in_flight))
        or (stream is not None and stream.leased_until is not None and stream.leased_until > now),
    )


_OF_ROW = inbox.c.id == bodies.c.inbox_id


def _count(tx: Connection, query: Any) -> int:
    return int(tx.execute(query).scalar_one())


def ids_of(tx: Connection, stream_id: str) -> set[str]:
    """The customer's id, every id that links to the stream, and those of its webhooks and revenue events."""
    found = set(tx.execute(select(links.c.ref).where(links.c.stream_id == stream_id)).scalars())
    found |= set(tx.execute(select(inbox.c.event_id).where(inbox.c.stream_id == stream_id)).scalars())
    for one in deliveries.of_stream(tx, stream_id):
        found |= {one.customer_id or "", one.subscription_id or "", one.transaction_id or ""}
    found |= {id_in(one) for one in found}
    return (found | {StreamId.parse(stream_id).key}) - {""}


def unassigned(tx: Connection, after: int) -> list[InboxRow]:
    """The next page of webhooks with a body that belong to no stream: ignored, failed or not routed yet."""
    query = (
        WITH_BODY.where(inbox.c.stream_id.is_(None), bodies.c.body.is_not(None), inbox.c.id > after)
        .order_by(inbox.c.id)
        .limit(PAGE)
    )
    return [from_row(row) for row in tx.execute(query)]


# ---- Rewriting ---------------------------------------------------------------------------------------------------

RENAME_EVENT = (
    update(inbox).where(inbox.c.id == bindparam("row_id")).values(event_id=bindparam("new_id"), reason=None, notes=None)
)
REPLACE_BODY = update(bodies).where(bodies.c.inbox_id == bindparam("row_id")).values(body=bindparam("new_body"))
Rewritten = Callable[[InboxRow], bytes | None]  # the body that replaces a webhook's; None: it is deleted
EventText = Callable[[str], str]  # a revenue event's body with pseudonyms


def overwrite_deleted(tx: Connection) -> None:
    """Makes SQLite overwrite with zeros what this connection deletes from now on."""
    if tx.dialect.name == "sqlite":
        tx.exec_driver_sql("PRAGMA secure_delete = ON")


def erase_webhook(tx: Connection, row: InboxRow, known: Pseudonyms, body: bytes | None) -> None:
    """Gives a webhook the pseudonym of its id, and another body or none. One without a body is done with."""
    tx.execute(RENAME_EVENT, {"row_id": row.id, "new_id": known.of(row.event_id)})
    if body is not None:
        tx.execute(REPLACE_BODY, {"row_id": row.id, "new_body": compress(body)})
        return
    tx.execute(delete(bodies).where(bodies.c.inbox_id == row.id))
    if row.status in webhooks.UNSETTLED:
        webhooks.ignore(tx, [(row.id, "of an erased customer")], row.received_at)


def delete_webhooks(tx: Connection, row_ids: Iterable[int]) -> None:
    """Deletes repetitions of erased webhooks."""
    for chunk in padded_chunks(row_ids):
        tx.execute(delete(bodies).where(bodies.c.inbox_id.in_(chunk)))
        tx.execute(delete(inbox).where(inbox.c.id.in_(chunk)))


def erase_stream(tx: Connection, stream_id: str, known: Pseudonyms, rewritten: Rewritten, event_text: EventText) -> str:
    """Rewrites every row of a stream; returns its new id. Undelivered revenue events are dropped."""
    parsed = StreamId.parse(stream_id)
    new_id = str(StreamId(parsed.scope, known.of(parsed.key), parsed.is_provisional))
    _erase_outbox(tx, stream_id, new_id, known, event_text)
    _erase_state(tx, stream_id, new_id, known)
    _erase_links(tx, parsed.scope, stream_id, new_id, known)
    for row in webhooks.of_stream(tx, stream_id, InboxStatus):
        body = None if row.body is None or row.status not in webhooks.UNSETTLED else rewritten(row)
        erase_webhook(tx, row, known, body)
    tx.execute(update(inbox).where(inbox.c.stream_id == stream_id).values(stream_id=new_id))
    tx.execute(update(streams).where(streams.c.stream_id == stream_id).values(stream_id=new_id, reason=None))
    return new_id


def _erase_outbox(tx: Connection, stream_id: str, new_id: str, known: Pseudonyms, event_text: EventText) -> None:
    for one in deliveries.of_stream(tx, stream_id):
        values: dict[str, object] = {
            "stream_id": new_id,
            "output_key": known.of_output_key(one.output_key),
            "body": event_text(one.body),
            "event_ids": json.dumps([known.of(event_id) for event_id in one.event_ids]),
            "customer_id": one.customer_id and known.of_compound(one.customer_id),
            "subscription_id": one.subscription_id and known.of(one.subscription_id),
            "transaction_id": one.transaction_id and known.of_compound(one.transaction_id),
            "last_error": None,
        }
        if one.status in UNDELIVERED:
            dropped = deliveries.DeliveryStatus.DROPPED.value
            values |= {"status": dropped, "is_head": False, "ready_at": None, "hold_until": None, "leased_by": None}
        tx.execute(update(outbox).where(outbox.c.id == one.id).values(**values))
        tx.execute(update(attempts).where(attempts.c.delivery_id == one.id).values(response=""))


def _erase_state(tx: Connection, stream_id: str, new_id: str, known: Pseudonyms) -> None:
    state = tx.execute(select(states.c.state).where(states.c.stream_id == stream_id)).scalar()
    if state is not None:
        content = json.loads(decompress(state))
        erase_discounts(tx, StreamId.parse(stream_id).scope, _discount_ids(content), known)
        text = json.dumps(known.of_values(content), separators=(",", ":")).encode()
        tx.execute(update(states).where(states.c.stream_id == stream_id).values(stream_id=new_id, state=compress(text)))
    for row in tx.execute(select(subscriptions.c.subscription_id).where(subscriptions.c.stream_id == stream_id)).all():
        tx.execute(
            update(subscriptions)
            .where(subscriptions.c.stream_id == stream_id, subscriptions.c.subscription_id == row.subscription_id)
            .values(stream_id=new_id, subscription_id=known.of(row.subscription_id))
        )


def _discount_ids(value: Any, name: str = "") -> Iterator[str]:
    """The ids of the discounts in a state: each discount of the processor belongs to one customer."""
    if isinstance(value, list):
        for one in value:
            yield from _discount_ids(one, name)
    elif isinstance(value, dict):
        if name in ("discounts", "customer_discounts") and "id" in value:
            yield value["id"]
        if name == "discount_scopes":
            yield from value
        for key, one in value.items():
            yield from _discount_ids(one, key)
    elif isinstance(value, str) and name == "discount_ids":
        yield value


def erase_discounts(tx: Connection, scope: str, ids: Iterable[str], known: Pseudonyms) -> None:
    """Gives pseudonyms to those of the ids that are discounts in the catalog."""
    of_kind = (catalog.c.scope == scope, catalog.c.kind == "discount")
    for chunk in padded_chunks(sorted(set(ids))):
        for row in tx.execute(select(catalog.c.id, catalog.c.body).where(*of_kind, catalog.c.id.in_(chunk))).all():
            text = json.dumps(known.of_values(json.loads(row.body), "discount"), separators=(",", ":"), sort_keys=True)
            tx.execute(update(catalog).where(*of_kind, catalog.c.id == row.id).values(id=known.of(row.id), body=text))


def _erase_links(tx: Connection, scope: str, stream_id: str, new_id: str, known: Pseudonyms) -> None:
    rows = tx.execute(select(links.c.ref, links.c.provisional).where(links.c.stream_id == stream_id)).all()
    tx.execute(delete(links).where(links.c.stream_id == stream_id))
    new = [
        {"scope": scope, "ref": known.of_compound(row.ref), "stream_id": new_id, "provisional": row.provisional}
        for row in rows
    ]
    execute_many(tx, insert(links), new)


def erase_texts(tx: Connection, ids: Iterable[str], known: Pseudonyms) -> None:
    """Replaces the ids in the texts of the tables that belong to no customer."""
    longest_first = sorted((one for one in ids if len(one) >= SHORTEST_IN_TEXT), key=len, reverse=True)
    if not longest_first:
        return
    pattern = re.compile("|".join(map(re.escape, longest_first)))
    for table in TEXTS:
        key = list(table.primary_key.columns)
        columns = [one for one in table.columns if isinstance(one.type, Text) and not one.primary_key]
        for row in tx.execute(select(*key, *columns)).mappings().all():
            texts = {one.name: row[one.name] for one in columns if row[one.name] is not None}
            new = {name: pattern.sub(lambda found: known.of_compound(found[0]), text) for name, text in texts.items()}
            if new != texts:
                tx.execute(update(table).where(*(column == row[column.name] for column in key)).values(**new))


# ---- Receipts ----------------------------------------------------------------------------------------------------


def add_receipt(tx: Connection, receipt: str, at: datetime) -> None:
    """Keeps a receipt: JSON without any id."""
    tx.execute(insert(erasures), {"at": at, "receipt": receipt})


def receipts(tx: Connection) -> list[tuple[datetime, str]]:
    """All receipts, each with the time of its erasure, the oldest first."""
    return [(row.at, row.receipt) for row in tx.execute(select(erasures).order_by(erasures.c.id))]

"""Searches the stored webhooks and deliveries: by any id, customer, type or a text in the reason, and by facets.

A text that is an id is looked up in an index. Any other text is compared with each row, newest first; a page compares
at most SEARCHED_ROWS of them, and the next one continues there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Protocol, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, Select, Table, bindparam, func, or_, select

from bridge.scope import StreamId
from bridge.store import streams
from bridge.store.daily_sums import number_of
from bridge.store.inbox import InboxRow, InboxStatus
from bridge.store.inbox import reading as webhooks
from bridge.store.outbox import Delivery, DeliveryStatus
from bridge.store.outbox import reading as deliveries
from bridge.store.schema import inbox, links, outbox
from bridge.store.statements import padded_chunks, unindexed
from processors.values import Value

IMPORT_TYPE = "bridge.import"
SEARCHED_ROWS = 50_000  # 0.2 to 0.3 s
MAX_STREAMS = 200  # of one search; an id belongs to one, a guest's or merchant's own id to a few
CHUNK = 500  # rows of one query while all results are read

Row = TypeVar("Row")


class Readable(Protocol):
    """A store that can be read."""

    def reading(self) -> AbstractContextManager[Connection]: ...


class WebhookFilter(Value):
    """Which webhooks to list; None: no restriction. `first` and `last`: days of arrival in UTC, both included.

    Imported subscriptions are left out unless asked for: a thousand of them would hide what the processor sends.
    """

    text: str | None = None
    source: str | None = None
    type: str | None = None
    status: InboxStatus | None = None
    livemode: bool | None = None
    account: str | None = None
    first: date | None = None
    last: date | None = None
    with_imports: bool = False
    stream_id: str | None = None
    since_id: int | None = None


class DeliveryFilter(Value):
    """Which deliveries to list; None: no restriction. `first` and `last`: days of the event in UTC, both included.

    A `plan` of "" means events without a plan; an `attribution` of "none" those without a visit.
    """

    text: str | None = None
    source: str | None = None
    type: str | None = None
    status: DeliveryStatus | None = None
    livemode: bool | None = None
    account: str | None = None
    currency: str | None = None
    movement: str | None = None
    plan: str | None = None
    attribution: str | None = None
    customer: str | None = None
    first: date | None = None
    last: date | None = None
    stream_id: str | None = None
    since_id: int | None = None


def _chunk(store: Readable, read: Callable[[Connection], list[Row]]) -> list[Row]:
    with store.reading() as tx:
        return read(tx)


# ---- Ids -------------------------------------------------------------------------------------------------------

NEXT_SCOPE = select(func.min(links.c.scope)).where(links.c.scope > bindparam("after"))
BY_CUSTOMER = select(outbox.c.stream_id).where(outbox.c.customer_id == bindparam("id")).distinct().limit(MAX_STREAMS)
BY_TRANSACTION = select(outbox.c.stream_id).where(outbox.c.transaction_id == bindparam("id")).distinct()
BY_EVENT = select(inbox.c.stream_id).where(inbox.c.event_id == bindparam("id"), inbox.c.stream_id.is_not(None))


def scopes(tx: Connection) -> list[str]:
    """All ledgers. Each costs one look into an index, however many references there are."""
    found: list[str] = []
    while following := tx.execute(NEXT_SCOPE, {"after": found[-1] if found else ""}).scalar():
        found.append(following)
    return found


def streams_of(tx: Connection, text: str) -> list[str]:
    """The streams that an id belongs to: of a customer, subscription, payment, invoice, or a merchant's own id."""
    found: dict[str, None] = {}
    for scope in scopes(tx):
        found |= dict.fromkeys(streams.links(tx, scope, [text]).values())
        found |= dict.fromkeys(streams.find(tx, [str(StreamId(scope, text)), str(StreamId(scope, text, True))]))
    found |= dict.fromkeys(streams.find(tx, [text]))
    for query in (BY_CUSTOMER, BY_TRANSACTION):
        found |= dict.fromkeys(tx.execute(query, {"id": text}).scalars())
    return list(found)[:MAX_STREAMS]


class Searched(Value):
    """The rows that one page of a search compares: those from `since_id` on, which is of the time `since`."""

    since_id: int
    since: datetime


def webhooks_searched(tx: Connection, text: str | None, before_id: int | None) -> Searched | None:
    """The webhooks that a page compares with a text; None: all, or none because the text is an id."""
    if text is None or _is_event(tx, text.strip()) or streams_of(tx, text.strip()):
        return None
    return _searched(tx, inbox, inbox.c.received_at, before_id)


def deliveries_searched(tx: Connection, text: str | None, before_id: int | None) -> Searched | None:
    """The deliveries that a page compares with a text; None: all, or none because the text is an id."""
    if text is None or _is_number(text.strip()) or _is_event(tx, text.strip()) or streams_of(tx, text.strip()):
        return None
    return _searched(tx, outbox, outbox.c.created_at, before_id)


def _searched(tx: Connection, table: Table, at: Column[Any], before_id: int | None) -> Searched | None:
    newest = tx.execute(select(func.max(table.c.id))).scalar() or 0
    since_id = min(before_id or newest + 1, newest + 1) - SEARCHED_ROWS
    if since_id <= 1:
        return None
    since = tx.execute(select(at).where(table.c.id >= since_id).order_by(table.c.id).limit(1)).scalar_one()
    return Searched(since_id=since_id, since=since)


def _is_event(tx: Connection, text: str) -> bool:
    return tx.execute(select(inbox.c.id).where(inbox.c.event_id == text).limit(1)).first() is not None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _has_text(text: str, columns: Iterable[Column[Any]]) -> ColumnElement[bool]:
    return or_(*(func.lower(func.coalesce(one, "")).contains(text.lower(), autoescape=True) for one in columns))


# ---- Webhooks --------------------------------------------------------------------------------------------------


def find_webhooks(tx: Connection, wanted: WebhookFilter, limit: int, before_id: int | None = None) -> list[InboxRow]:
    """The newest first, without their bodies. `before_id`: the page after the row with this id."""
    query = webhook_query(tx, wanted).order_by(inbox.c.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(inbox.c.id < before_id)
    return [webhooks.from_row(row) for row in tx.execute(query)]


def webhook_ids(tx: Connection, wanted: WebhookFilter) -> list[int]:
    """The ids of all webhooks that pass the filter."""
    return list(tx.execute(webhook_query(tx, wanted).with_only_columns(inbox.c.id)).scalars())


def webhook_query(tx: Connection, wanted: WebhookFilter) -> Select[Any]:
    """The rows that pass the filter."""
    query = webhooks.LIST.order_by(None)
    for column, value in _webhook_facets(wanted):
        if value is not None:
            query = query.where(column == value)
    if not wanted.with_imports and wanted.type != IMPORT_TYPE and wanted.text is None:
        query = query.where(unindexed(inbox.c.type) != IMPORT_TYPE)
    query = query.where(*_within_ids(tx, inbox, inbox.c.received_at, wanted.first, wanted.last))
    if wanted.since_id is not None:
        query = query.where(inbox.c.id >= wanted.since_id)
    return query if wanted.text is None else query.where(_webhook_text(tx, wanted.text.strip()))


def _webhook_facets(wanted: WebhookFilter) -> Iterator[tuple[ColumnElement[Any], object]]:
    yield inbox.c.status, wanted.status and wanted.status.value
    yield unindexed(inbox.c.source), wanted.source
    yield inbox.c.type, wanted.type
    yield inbox.c.livemode, wanted.livemode
    yield inbox.c.account, wanted.account
    yield inbox.c.stream_id, wanted.stream_id


def _webhook_text(tx: Connection, text: str) -> ColumnElement[bool]:
    ids = list(tx.execute(select(inbox.c.id).where(inbox.c.event_id == text)).scalars())
    if ids:
        return inbox.c.id.in_(ids)
    if found := streams_of(tx, text):
        return inbox.c.stream_id.in_(found)
    return _has_text(text, (inbox.c.event_id, inbox.c.type, inbox.c.reason, inbox.c.notes, inbox.c.stream_id))


def settled_together(
    tx: Connection, wanted: WebhookFilter, keys: Iterable[tuple[str, datetime]]
) -> dict[tuple[str, datetime], list[InboxRow]]:
    """The filtered webhooks of settlements, each named by its stream and time; the newest first."""
    wanted_keys = set(keys)
    found: dict[tuple[str, datetime], list[InboxRow]] = {key: [] for key in wanted_keys}
    base = webhook_query(tx, wanted).where(inbox.c.settled_at.in_({at for _, at in wanted_keys}))
    for chunk in padded_chunks(stream_id for stream_id, _ in sorted(wanted_keys)):
        for row in tx.execute(base.where(inbox.c.stream_id.in_(chunk)).order_by(inbox.c.id.desc())):
            if (row.stream_id, row.settled_at) in found and row.status == InboxStatus.SETTLED:
                found[row.stream_id, row.settled_at].append(webhooks.from_row(row))
    return found


def every_webhook(store: Readable, wanted: WebhookFilter) -> Iterator[InboxRow]:
    """All webhooks that pass the filter, the newest first, each chunk in a separate transaction.

    So that a slow reader of a large export keeps no transaction open.
    """
    before: int | None = None
    while rows := _chunk(store, lambda tx: find_webhooks(tx, wanted, CHUNK, before)):  # noqa: B023  # called at once
        yield from rows
        before = rows[-1].id


TYPES = select(inbox.c.type).order_by(inbox.c.id.desc()).limit(bindparam("limit"))


def recent_types(tx: Connection, limit: int = 2000) -> list[str]:
    """The types of the latest webhooks, in alphabetical order."""
    return sorted(set(tx.execute(TYPES, {"limit": limit}).scalars()))


def accounts(tx: Connection, limit: int = 2000) -> list[str]:
    """The connected accounts of the latest webhooks."""
    query = select(inbox.c.account).order_by(inbox.c.id.desc()).limit(limit)
    return sorted({account for account in tx.execute(query).scalars() if account})


# ---- Deliveries ------------------------------------------------------------------------------------------------


def find_deliveries(tx: Connection, wanted: DeliveryFilter, limit: int, before_id: int | None = None) -> list[Delivery]:
    """The newest first. `before_id`: the page after the row with this id."""
    query = delivery_query(tx, wanted).order_by(outbox.c.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(outbox.c.id < before_id)
    return [deliveries.from_row(row) for row in tx.execute(query)]


def delivery_query(tx: Connection, wanted: DeliveryFilter) -> Select[Any]:
    """The rows that pass the filter."""
    query = deliveries.LIST.order_by(None)
    for column, value in _delivery_facets(wanted):
        if value is not None:
            query = query.where(column == value)
    if wanted.account is not None:
        query = query.where(outbox.c.scope.contains(f"|{wanted.account}|", autoescape=True))
    if wanted.first is not None:
        query = query.where(outbox.c.day >= number_of(wanted.first))
    if wanted.last is not None:
        query = query.where(outbox.c.day <= number_of(wanted.last))
    if wanted.since_id is not None:
        query = query.where(outbox.c.id >= wanted.since_id)
    return query if wanted.text is None else query.where(_delivery_text(tx, wanted.text.strip()))


def _delivery_facets(wanted: DeliveryFilter) -> Iterator[tuple[ColumnElement[Any], object]]:
    yield outbox.c.status, wanted.status and wanted.status.value
    yield unindexed(outbox.c.source), wanted.source
    yield outbox.c.event_type, wanted.type
    yield outbox.c.livemode, wanted.livemode
    yield outbox.c.currency, wanted.currency
    yield outbox.c.movement, wanted.movement
    yield func.coalesce(outbox.c.plan, ""), wanted.plan
    yield func.coalesce(outbox.c.attribution, "none"), wanted.attribution
    yield outbox.c.customer_id, wanted.customer
    yield outbox.c.stream_id, wanted.stream_id


def _delivery_text(tx: Connection, text: str) -> ColumnElement[bool]:
    event_streams = list(tx.execute(BY_EVENT, {"id": text}).scalars())
    if event_streams:
        return outbox.c.stream_id.in_(event_streams) & outbox.c.event_ids.contains(f'"{text}"', autoescape=True)
    if _is_number(text):
        return outbox.c.id == int(text)
    found = streams_of(tx, text)
    if found:
        own = (
            (outbox.c.transaction_id == text) | (outbox.c.subscription_id == text) | outbox.c.output_key.endswith(text)
        )
        is_of_one = tx.execute(select(outbox.c.id).where(outbox.c.stream_id.in_(found), own).limit(1)).first()
        # An id of a customer selects all events of the customer; one of a payment or subscription selects its own.
        return outbox.c.stream_id.in_(found) & own if is_of_one else outbox.c.stream_id.in_(found)
    columns = (outbox.c.event_type, outbox.c.output_key, outbox.c.last_error, outbox.c.plan, outbox.c.customer_id)
    return _has_text(text, (*columns, outbox.c.body))


def deliveries_of(tx: Connection, keys: Iterable[tuple[str, datetime]]) -> dict[tuple[str, datetime], list[Delivery]]:
    """The revenue events of settlements, each named by its stream and time; in order."""
    wanted = set(keys)
    found: dict[tuple[str, datetime], list[Delivery]] = {key: [] for key in wanted}
    times = {at for _, at in wanted}
    for chunk in padded_chunks(stream_id for stream_id, _ in sorted(wanted)):
        query = deliveries.LIST.order_by(None).where(outbox.c.stream_id.in_(chunk), outbox.c.created_at.in_(times))
        for row in tx.execute(query.order_by(outbox.c.id)):
            if (row.stream_id, row.created_at) in found:
                found[row.stream_id, row.created_at].append(deliveries.from_row(row))
    return found


def every_delivery(store: Readable, wanted: DeliveryFilter) -> Iterator[Delivery]:
    """All deliveries that pass the filter, the newest first, each chunk in a separate transaction."""
    before: int | None = None
    while rows := _chunk(store, lambda tx: find_deliveries(tx, wanted, CHUNK, before)):  # noqa: B023  # called at once
        yield from rows
        before = rows[-1].id


def count_deliveries(tx: Connection, wanted: DeliveryFilter) -> int:
    """How many deliveries pass the filter."""
    return tx.execute(select(func.count()).select_from(delivery_query(tx, wanted).subquery())).scalar_one()


def delivery_ids(tx: Connection, wanted: DeliveryFilter) -> list[int]:
    """The ids of all deliveries that pass the filter, the oldest first."""
    return list(tx.execute(delivery_query(tx, wanted).with_only_columns(outbox.c.id).order_by(outbox.c.id)).scalars())


# ---- Periods ---------------------------------------------------------------------------------------------------


def _within_ids(
    tx: Connection, table: Table, at: Column[Any], first: date | None, last: date | None
) -> Iterator[ColumnElement[bool]]:
    """A period as a range of ids: rows are numbered in the order of their arrival, and the time has no index."""
    if first is not None:
        yield table.c.id >= _first_id(tx, table, at, datetime.combine(first, time(), UTC))
    if last is not None:
        yield table.c.id < _first_id(tx, table, at, datetime.combine(last, time(), UTC) + timedelta(days=1))


def _first_id(tx: Connection, table: Table, at: Column[Any], since: datetime) -> int:
    """The first id from `since` on: a binary search by the primary key."""
    low = 1
    high = (tx.execute(select(func.max(table.c.id))).scalar() or 0) + 1
    time_at = select(table.c.id, at).where(table.c.id >= bindparam("id")).order_by(table.c.id).limit(1)
    while low < high:
        middle = (low + high) // 2
        row = tx.execute(time_at, {"id": middle}).first()
        if row is None or row[1] >= since:
            high = middle
        else:
            low = row[0] + 1
    return low

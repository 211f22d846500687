"""Erases a customer: shows what is stored, rewrites every row, and writes a receipt."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from bridge.errors import BridgeError
from bridge.internal_events import erased
from bridge.ledger.pseudonyms import Pseudonyms, is_pseudonym
from bridge.privacy.payload_ids import addresses_in, ids_in
from bridge.scope import Scope, StreamId
from bridge.sender import payload
from bridge.store import Store, erasures, inbox, leases, search, streams
from bridge.store.erasures import Stored
from bridge.store.inbox import InboxRow, InboxStatus
from processors.interface import Translation
from processors.values import Value, field, names_of

ROUTER = "router"  # the lease of the worker that assigns webhooks to customers
LEASE = timedelta(seconds=5)
SHORTEST_ID = 3
BY_ADDRESS = "webhooks_by_address"  # among the webhooks: those that name only an e-mail address of the customer

Translate = Callable[[InboxRow], Translation]  # raises when the body cannot be translated


class CannotErase(BridgeError):
    """Nothing was changed; the message says why and what to do."""


class Plan(Value):
    """The rows that an erasure would change. `unassigned`: webhooks that belong to no stream.

    `by_address`: how many of these name only an e-mail address of the customer's webhooks, and no id.
    """

    found: Sequence[Stored]
    unassigned: Sequence[int]
    by_address: int
    ids: frozenset[str]

    @property
    def counts(self) -> Mapping[str, int]:
        """The number of rows, by what they are."""
        counts: Counter[str] = Counter()
        for one in self.found:
            counts.update(one.counts)
        counts["webhooks"] += len(self.unassigned)
        counts["payloads"] += len(self.unassigned)
        return {**counts, BY_ADDRESS: self.by_address}

    @property
    def undelivered(self) -> list[tuple[str, str]]:
        """Currency and amount of each revenue event that Pulsora did not confirm."""
        return [amount for one in self.found for amount in one.undelivered]


class Receipt(Value):
    """The proof of an erasure. It names nobody: `customers` are pseudonyms. `digest`: SHA-256 of all other fields."""

    erased_at: str
    customers: Sequence[str]
    counts: Mapping[str, int]
    dropped: int
    digest: str = field(default="")

    def sealed(self) -> Receipt:
        """The same with its digest."""
        text = json.dumps([self.erased_at, self.customers, dict(self.counts), self.dropped], sort_keys=True)
        return Receipt(
            erased_at=self.erased_at,
            customers=self.customers,
            counts=self.counts,
            dropped=self.dropped,
            digest=hashlib.sha256(text.encode()).hexdigest(),
        )


# ---- Before ------------------------------------------------------------------------------------------------------


def plan(store: Store, customer_id: str, source: str | None, now: datetime) -> Plan | None:
    """The rows of a customer, found by any id. None: there are none."""
    with store.reading() as tx:
        stream_ids = [one for one in search.streams_of(tx, customer_id) if _is_wanted(one, source)]
        found = [erasures.stored(tx, stream_id, now) for stream_id in stream_ids]
        ids = frozenset(name for stream_id in stream_ids for name in erasures.ids_of(tx, stream_id))
        addresses = frozenset(
            address
            for stream_id in stream_ids
            for row in inbox.of_stream(tx, stream_id, InboxStatus)
            for address in addresses_in(row.body or b"")
        )
    if not found:
        return None
    sources = {Scope.parse(StreamId.parse(one).scope).source for one in stream_ids}
    by_id, by_address = [], []
    for row in _unassigned(store, sources):
        body = row.body or b""
        if body.startswith(erased.MARK):
            continue
        if _names(body, ids):
            by_id.append(row.id)
        elif not addresses_in(body).isdisjoint(addresses):
            by_address.append(row.id)
    return Plan(found=found, unassigned=sorted(by_id + by_address), by_address=len(by_address), ids=ids)


def _is_wanted(stream_id: str, source: str | None) -> bool:
    parsed = StreamId.parse(stream_id)
    return not is_pseudonym(parsed.key) and source in (None, Scope.parse(parsed.scope).source)


def _unassigned(store: Store, sources: Iterable[str]) -> Iterable[InboxRow]:
    wanted, after, page = set(sources), 0, None
    while page is None or page:
        with store.reading() as tx:
            page = erasures.unassigned(tx, after)
        yield from (row for row in page if row.source in wanted)
        after = page[-1].id if page else after


def _names(body: bytes, ids: frozenset[str]) -> bool:
    return not {one for one in ids_in(body) if len(one) >= SHORTEST_ID}.isdisjoint(ids)


# ---- Erasing -----------------------------------------------------------------------------------------------------


def erase(store: Store, wanted: Plan, translate: Translate, now: datetime) -> Receipt:
    """Rewrites the rows of the plan in one transaction; then `Store.compact` removes what is left in free pages.

    Raises `CannotErase` while a row of it is in work.
    """
    with store.transaction() as tx:
        _stop_router(tx, now)
        erasures.overwrite_deleted(tx)
        receipt = _erase(tx, wanted, translate, now)
    store.compact()
    return receipt


def _stop_router(tx: Connection, now: datetime) -> None:
    """Takes the router's lease away: a webhook that it has read already would be stored with the customer's ids.

    It writes nothing without the lease, and reads the webhooks again when this one has expired.
    """
    leases.release(tx, ROUTER)
    leases.acquire(tx, ROUTER, "erasure", now, now + LEASE)


def _erase(tx: Connection, wanted: Plan, translate: Translate, now: datetime) -> Receipt:
    known = erasures.create_pseudonyms(tx)
    stream_ids = [one.stream_id for one in wanted.found]
    if set(streams.lock(tx, stream_ids)) != set(streams.find(tx, stream_ids)):
        raise CannotErase("the customer is being settled; nothing was erased. Try again in a minute")
    present = [erasures.stored(tx, stream_id, now) for stream_id in stream_ids]
    if any(one.is_busy for one in present):
        raise CannotErase(
            "the customer is being settled, or a revenue event is on its way; nothing was erased. Try again in a minute"
        )
    new_ids = [erase_stream(tx, stream_id, known, translate) for stream_id in stream_ids]
    rows = [row for row in inbox.by_ids(tx, wanted.unassigned) if row.stream_id is None]
    for row in rows:
        body = None if row.status is not InboxStatus.RECEIVED else rewritten(row, known, translate)
        erasures.erase_webhook(tx, row, known, body)
    erasures.erase_texts(tx, wanted.ids | {row.event_id for row in rows}, known)
    receipt = Receipt(
        erased_at=now.isoformat(),
        customers=sorted(new_ids),
        counts=wanted.counts,
        dropped=sum(len(one.undelivered) for one in present),
    ).sealed()
    erasures.add_receipt(tx, json.dumps(_fields(receipt), sort_keys=True), now)
    return receipt


def _fields(receipt: Receipt) -> Mapping[str, object]:
    return {name: getattr(receipt, name) for name in names_of(receipt)}


def erase_stream(tx: Connection, stream_id: str, known: Pseudonyms, translate: Translate) -> str:
    """Rewrites the rows of one stream; returns its new id."""
    named = {one for row in inbox.of_stream(tx, stream_id, InboxStatus) for one in ids_in(row.body or b"")}
    erasures.erase_discounts(tx, StreamId.parse(stream_id).scope, named, known)
    return erasures.erase_stream(
        tx,
        stream_id,
        known,
        lambda row: rewritten(row, known, translate),
        lambda body: event_text(body, known),
    )


def rewritten(row: InboxRow, known: Pseudonyms, translate: Translate) -> bytes | None:
    """The body that replaces a webhook's: its facts. None: it has none, or cannot be translated."""
    try:
        translation = translate(row)
    except Exception:  # whatever the body contains, it must go
        return None
    return erased.encode(translation, known) if translation.facts or translation.catalog else None


def event_text(body: str, known: Pseudonyms) -> str:
    """A revenue event's body with pseudonyms; its amounts stay exact."""
    data = payload.load(body)
    return payload.dump_data(known.of_event(data)) if isinstance(data, dict) else "{}"

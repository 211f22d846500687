"""The results of audits, and the rows of the ledger that an audit reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Protocol

from sqlalchemy import Connection, bindparam, delete, insert, select, tuple_

from bridge.store.daily_sums import day_of, number_of
from bridge.store.schema import audit_rows, audits, catalog, decompress, inbox, outbox, states, subscriptions
from bridge.store.statements import padded_chunks, per_dialect
from processors.values import Value, names_of

CHUNK = 2000
KEPT = 100  # results of a source
KEPT_ROWS = 1000  # differing rows of one


class Readable(Protocol):
    """A store to read from."""

    def reading(self) -> AbstractContextManager[Connection]: ...


class AuditRow(Value):
    """One row that differed, in major units."""

    measure: str
    day: date | None
    currency: str
    key: str
    ours: Decimal
    theirs: Decimal
    cause: str
    detail: str


class AuditResult(Value):
    """One audit. `days`: measure, day, currency, ours, theirs. `counts`: differing rows by cause."""

    id: int = 0
    source: str
    livemode: bool
    at: datetime
    first: date
    last: date
    against: str
    time_zone: str
    compared: int
    differing: int
    unexplained: int
    counts: Mapping[str, int]
    days: Sequence[tuple[str, str | None, str, str, str]]
    error: str | None = None


ADD = insert(audits).returning(audits.c.id)
ADD_ROW = insert(audit_rows)
RECENT = select(audits).order_by(audits.c.id.desc()).limit(bindparam("limit"))
ONE = select(audits).where(audits.c.id == bindparam("which"))
LATEST = select(audits).where(audits.c.source == bindparam("whose")).order_by(audits.c.id.desc()).limit(1)
ROWS = (
    select(audit_rows)
    .where(audit_rows.c.audit_id == bindparam("which"))
    .order_by(audit_rows.c.position)
    .limit(bindparam("limit"))
)
OLD = (
    select(audits.c.id).where(audits.c.source == bindparam("whose")).order_by(audits.c.id.desc()).offset(KEPT).limit(1)
)
DELETE_ROWS = delete(audit_rows).where(
    audit_rows.c.audit_id.in_(
        select(audits.c.id).where(audits.c.source == bindparam("whose"), audits.c.id <= bindparam("last_id"))
    )
)
DELETE = delete(audits).where(audits.c.source == bindparam("whose"), audits.c.id <= bindparam("last_id"))
OF_LEDGER = (
    select(
        outbox.c.id, outbox.c.stream_id, outbox.c.output_key, outbox.c.status, outbox.c.event_type, outbox.c.currency,
        outbox.c.amount, outbox.c.mrr_impact, outbox.c.occurred_at, outbox.c.movement, outbox.c.transaction_id,
        outbox.c.subscription_id, outbox.c.body,
    )
    .where(outbox.c.id > bindparam("after"), outbox.c.scope == bindparam("ledger"))
    .where(outbox.c.occurred_at < bindparam("until"))
    .order_by(outbox.c.id)
    .limit(CHUNK)
)  # fmt: skip
LEVELS = (
    select(
        subscriptions.c.stream_id, subscriptions.c.subscription_id, subscriptions.c.currency, subscriptions.c.mrr,
        subscriptions.c.baseline,
    )
    .where(
        tuple_(subscriptions.c.stream_id, subscriptions.c.subscription_id)
        > tuple_(bindparam("stream_id"), bindparam("key"))
    )
    .where(subscriptions.c.source == bindparam("source"), subscriptions.c.livemode == bindparam("livemode"))
    .order_by(subscriptions.c.stream_id, subscriptions.c.subscription_id)
    .limit(CHUNK)
)  # fmt: skip
LEVEL = select(subscriptions.c.currency, subscriptions.c.mrr).where(
    subscriptions.c.stream_id == bindparam("stream_id"), subscriptions.c.subscription_id == bindparam("key")
)
WEBHOOKS = per_dialect(
    lambda among: select(inbox.c.stream_id, inbox.c.created_at, inbox.c.status).where(
        among(inbox.c.stream_id, "stream_ids")
    )
)
STATES = per_dialect(lambda among: select(states).where(among(states.c.stream_id, "stream_ids")))
FIRST = select(inbox.c.received_at).where(inbox.c.source == bindparam("whose")).order_by(inbox.c.id).limit(1)
OF_KIND = select(catalog.c.body).where(catalog.c.scope == bindparam("scope"), catalog.c.kind == bindparam("kind"))


def add(tx: Connection, result: AuditResult, rows: Sequence[AuditRow]) -> int:
    """Keeps a result with its first thousand rows, and deletes what is older than the last hundred. Returns its id."""
    values = {name: getattr(result, name) for name in names_of(AuditResult) if name != "id"}
    values |= {"counts": json.dumps(dict(result.counts)), "days": json.dumps(list(result.days))}
    values |= {"first": number_of(result.first), "last": number_of(result.last)}
    added: int = tx.execute(ADD, values).scalar_one()
    kept = [
        {
            "audit_id": added, "position": place, "measure": one.measure, "currency": one.currency, "key": one.key,
            "day": None if one.day is None else number_of(one.day), "ours": one.ours, "theirs": one.theirs,
            "cause": one.cause, "detail": one.detail,
        }
        for place, one in enumerate(rows[:KEPT_ROWS])
    ]  # fmt: skip
    if kept:
        tx.execute(ADD_ROW, kept)
    _delete_old(tx, result.source)
    return added


def _delete_old(tx: Connection, source: str) -> None:
    last = tx.execute(OLD, {"whose": source}).scalar()
    if last is not None:
        for statement in (DELETE_ROWS, DELETE):
            tx.execute(statement, {"whose": source, "last_id": last})


def recent(tx: Connection, limit: int = 50) -> list[AuditResult]:
    """The last results, the newest first."""
    return [_result(row._asdict()) for row in tx.execute(RECENT, {"limit": limit})]


def find(tx: Connection, audit_id: int) -> AuditResult | None:
    """One result; None: there is none of this id."""
    return next((_result(row._asdict()) for row in tx.execute(ONE, {"which": audit_id})), None)


def latest(tx: Connection, source: str) -> AuditResult | None:
    """The last result of a source; None: it was never audited."""
    return next((_result(row._asdict()) for row in tx.execute(LATEST, {"whose": source})), None)


def latest_audit_difference(tx: Connection, sources: Sequence[str]) -> dict[str, AuditResult]:
    """The last result of each of these sources whose last result has unexplained rows."""
    found = {source: result for source in sources if (result := latest(tx, source)) is not None}
    return {source: result for source, result in found.items() if result.unexplained}


def rows_of(tx: Connection, audit_id: int, limit: int = KEPT_ROWS) -> list[AuditRow]:
    """The differing rows of a result that were kept."""
    found = []
    for row in tx.execute(ROWS, {"which": audit_id, "limit": limit}):
        values = row._asdict()
        day = values["day"]
        del values["audit_id"], values["position"]
        found.append(AuditRow(**{**values, "day": None if day is None else day_of(day)}))
    return found


def _result(values: Mapping[str, Any]) -> AuditResult:
    days = [tuple(one) for one in json.loads(values["days"])]
    counts = json.loads(values["counts"])
    span = {"first": day_of(values["first"]), "last": day_of(values["last"])}
    return AuditResult(**{**values, **span, "days": days, "counts": counts})


# ---- What an audit reads -------------------------------------------------------------------------------------------


def revenue_events(store: Readable, scope: str, until: datetime) -> Iterator[Any]:
    """Every revenue event of a ledger until then, in parts, so that no transaction stays open."""
    asked = {"after": 0, "ledger": scope, "until": until}
    while True:
        with store.reading() as tx:
            rows = tx.execute(OF_LEDGER, asked).all()
        yield from rows
        if len(rows) < CHUNK:
            return
        asked["after"] = rows[-1].id


def levels(store: Readable, source: str, livemode: bool) -> Iterator[Any]:
    """The present MRR of every subscription of a source."""
    asked = {"stream_id": "", "key": "", "source": source, "livemode": livemode}
    while True:
        with store.reading() as tx:
            rows = tx.execute(LEVELS, asked).all()
        yield from rows
        if len(rows) < CHUNK:
            return
        asked |= {"stream_id": rows[-1].stream_id, "key": rows[-1].subscription_id}


def level_of(tx: Connection, stream_id: str, subscription_id: str) -> tuple[str, Decimal] | None:
    """The currency and present MRR of one subscription; None: it has none."""
    row = tx.execute(LEVEL, {"stream_id": stream_id, "key": subscription_id}).first()
    return None if row is None or row.mrr is None else (row.currency, row.mrr)


def webhooks_of(tx: Connection, stream_ids: Iterable[str]) -> dict[str, list[tuple[datetime, str]]]:
    """When each webhook of these streams was created, and its status."""
    found: dict[str, list[tuple[datetime, str]]] = {}
    for chunk in padded_chunks(stream_ids):
        for row in tx.execute(WEBHOOKS[tx.dialect.name], {"stream_ids": chunk}):
            found.setdefault(row.stream_id, []).append((row.created_at, row.status))
    return found


def states_of(tx: Connection, stream_ids: Iterable[str]) -> dict[str, str]:
    """The last states of streams, read only, by stream; those that were never settled are left out."""
    found: dict[str, str] = {}
    for chunk in padded_chunks(stream_ids):
        rows = tx.execute(STATES[tx.dialect.name], {"stream_ids": chunk})
        found |= {row.stream_id: decompress(row.state).decode() for row in rows}
    return found


def first_received(tx: Connection, source: str) -> datetime | None:
    """When the first webhook of a source was received; None: there is none."""
    received_at: datetime | None = tx.execute(FIRST, {"whose": source}).scalar()
    return received_at


def catalog_of_kind(tx: Connection, scope: str, kind: str) -> list[str]:
    """The catalog entries of a kind, as they are stored."""
    return list(tx.execute(OF_KIND, {"scope": scope, "kind": kind}).scalars())

"""The catalog: prices, coupons and products seen in webhooks or read from the processor's API, by ledger."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, select

from bridge.store.schema import catalog
from bridge.store.statements import execute_many, insert_per_dialect, padded_chunks, per_dialect

UPSERT = insert_per_dialect(
    lambda insert_into: (new := insert_into(catalog)).on_conflict_do_update(
        index_elements=["scope", "kind", "id"],
        set_={"body": new.excluded.body},
        where=catalog.c.body != new.excluded.body,  # most webhooks repeat an entry: that writes nothing
    )
)
LOOKUP = per_dialect(
    lambda among: select(catalog.c.kind, catalog.c.id, catalog.c.body).where(
        catalog.c.scope == bindparam("scope"), catalog.c.kind == bindparam("kind"), among(catalog.c.id, "ids")
    )
)


def upsert(tx: Connection, scope: str, entries: Iterable[tuple[str, str, str]]) -> None:
    """Stores entries of a ledger: (kind, id, JSON). The last of an id wins."""
    bodies = {(kind, ident): body for kind, ident, body in entries}
    # Sorted, so that concurrent upserts lock in one order and cannot deadlock.
    rows = [{"scope": scope, "kind": kind, "id": ident, "body": body} for (kind, ident), body in sorted(bodies.items())]
    execute_many(tx, UPSERT[tx.dialect.name], rows)


def lookup(tx: Connection, scope: str, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The JSON of the entries that exist, by (kind, id)."""
    by_kind: dict[str, list[str]] = {}
    for kind, ident in keys:
        by_kind.setdefault(kind, []).append(ident)
    found: dict[tuple[str, str], str] = {}
    for kind, idents in by_kind.items():
        for chunk in padded_chunks(idents):
            rows = tx.execute(LOOKUP[tx.dialect.name], {"scope": scope, "kind": kind, "ids": chunk})
            found |= {(row.kind, row.id): row.body for row in rows}
    return found

"""The catalogue: what was seen of prices, coupons and products, whoever the customer was."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, select

from bridge.store.statements import chunks, each, either, run_each
from bridge.store.schema import catalog

LEARN = each(
    lambda insert_into: (wanted := insert_into(catalog)).on_conflict_do_update(
        index_elements=["scope", "kind", "id"],
        set_={"body": wanted.excluded.body},
        where=catalog.c.body != wanted.excluded.body,  # most events tell what is known already
    )
)
RECALL = either(
    lambda among: select(catalog.c.kind, catalog.c.id, catalog.c.body).where(
        catalog.c.scope == bindparam("scope"), catalog.c.kind == bindparam("kind"), among(catalog.c.id, "ids")
    )
)


def learn(tx: Connection, scope: str, entries: Iterable[tuple[str, str, str]]) -> None:
    """Keeps entries of a ledger: (kind, id, JSON). The last that is learnt of an id holds."""
    told = {(kind, ident): body for kind, ident, body in entries}
    rows = [{"scope": scope, "kind": kind, "id": ident, "body": body} for (kind, ident), body in sorted(told.items())]
    run_each(tx, LEARN[tx.dialect.name], rows)


def recall(tx: Connection, scope: str, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The JSON of those entries that are known, by (kind, id)."""
    by_kind: dict[str, list[str]] = {}
    for kind, ident in wanted:
        by_kind.setdefault(kind, []).append(ident)
    found: dict[tuple[str, str], str] = {}
    for kind, idents in by_kind.items():
        for chunk in chunks(idents):
            rows = tx.execute(RECALL[tx.dialect.name], {"scope": scope, "kind": kind, "ids": chunk})
            found |= {(row.kind, row.id): row.body for row in rows}
    return found

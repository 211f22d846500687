"""The list of webhooks, one line per settlement: the webhooks that were settled together and what came out.

Neighbours that were ignored share a line too, so that they do not hide what matters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection

from bridge.scope import StreamId
from bridge.store import queues, search, subscriptions
from bridge.store.inbox import InboxRow, InboxStatus
from bridge.store.outbox import Delivery
from bridge.store.queues import Wait
from bridge.store.search import WebhookFilter
from processors.values import Value

READ_AHEAD = 5  # webhooks read for one line

Key = tuple[str, datetime]


class Line(Value):
    """Webhooks that were settled together, the newest first, with their revenue events; or a single webhook.

    `wait`: until when the webhook waits, and for what; None: it does not wait.
    """

    rows: Sequence[InboxRow]
    deliveries: Sequence[Delivery] = ()
    customer: str | None = None
    plan: str | None = None
    wait: Wait | None = None

    @property
    def newest(self) -> InboxRow:
        """The webhook that arrived last, which gives the line its time and status."""
        return self.rows[0]

    @property
    def reasons(self) -> list[str]:
        """The reasons and notes of its webhooks, each once; of one that waits, until when and for what."""
        if self.wait is not None:
            return [str(self.wait)]
        found = [note for row in self.rows for note in (row.notes or ([row.reason] if row.reason else []))]
        return list(dict.fromkeys(found))


class Page(Value):
    """Lines of a list. `before`: where the next page begins; None: there is none."""

    lines: Sequence[Line]
    before: int | None


def read_page(tx: Connection, wanted: WebhookFilter, limit: int, before: int | None = None) -> Page:
    """The lines of a page. A settlement is on the page of its newest webhook, with all others that pass the filter."""
    rows = search.find_webhooks(tx, wanted, limit * READ_AHEAD, before)
    together = search.settled_together(tx, wanted, [key for key in map(_key, rows) if key is not None])
    lines: list[list[InboxRow]] = []
    last: int | None = None
    shown: set[Key] = set()
    for row in rows:
        key = _key(row)
        own = [row] if key is None else together[key] or [row]
        is_elsewhere = key is not None and (key in shown or own[0].id > row.id)
        if not is_elsewhere and len(lines) == limit and not _is_ignored_too(lines[-1], row, wanted):
            break
        last = row.id
        if is_elsewhere:
            continue
        if key is not None:
            shown.add(key)
        if lines and _is_ignored_too(lines[-1], row, wanted):
            lines[-1].append(row)
        else:
            lines.append([*own])
    is_last = len(rows) < limit * READ_AHEAD and (last is None or last == rows[-1].id)
    return Page(lines=_described(tx, lines), before=None if is_last else last)


def _key(row: InboxRow) -> Key | None:
    if row.status is not InboxStatus.SETTLED or row.stream_id is None or row.settled_at is None:
        return None
    return row.stream_id, row.settled_at


def _is_ignored_too(line: Sequence[InboxRow], row: InboxRow, wanted: WebhookFilter) -> bool:
    """Whether a row continues a line of ignored webhooks. When they are searched for, each has its line."""
    is_searched = wanted.text is not None or wanted.type is not None or wanted.status is not None
    return (
        not is_searched
        and row.status is InboxStatus.IGNORED
        and line[0].status is InboxStatus.IGNORED
        and (row.source, row.livemode, row.account) == (line[0].source, line[0].livemode, line[0].account)
    )


def _described(tx: Connection, lines: Iterable[Sequence[InboxRow]]) -> list[Line]:
    found = list(lines)
    stream_ids = [rows[0].stream_id for rows in found if rows[0].stream_id]
    plans = subscriptions.latest_plans(tx, stream_ids)
    events = search.deliveries_of(tx, [key for rows in found if (key := _key(rows[0])) is not None])
    waits = queues.waits_of(tx, (rows[0] for rows in found))
    described = []
    for rows in found:
        key, stream_id = _key(rows[0]), rows[0].stream_id
        ids = {row.event_id for row in rows}
        own = [one for one in events.get(key, ()) if ids & set(one.event_ids)] if key is not None else []
        described.append(
            Line(
                rows=rows,
                deliveries=own,
                customer=customer_of(stream_id),
                plan=next((one.plan for one in own if one.plan), None) or plans.get(stream_id or ""),
                wait=waits.get(rows[0].id),
            )
        )
    return described


def customer_of(stream_id: str | None) -> str | None:
    """The customer of a stream; None while no customer is known."""
    if stream_id is None:
        return None
    parsed = StreamId.parse(stream_id)
    return None if parsed.is_provisional else parsed.key

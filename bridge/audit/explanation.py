"""The story of one event, for `explain`: what it says, what the ledger made of it, and what came out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from bridge.cli.output import clock
from bridge.audit.refold import told_again
from bridge.ledger.explain import Explanation, sentence
from bridge.ledger.audit_notes import shown
from bridge.ledger.state import Subscription, load
from bridge.settings import Settings
from bridge.store import outbox, streams
from bridge.store.inbox import InboxRow, InboxStatus
from bridge.store.outbox import Delivery, DeliveryStatus
from bridge.worker.translating import Untranslatable, translation

MOST_BESIDE = 12  # webhooks of the same window that people are shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """An event as an operator wants to read it. `facts`: sentences; `problem`: why there are none.

    `due_at`: when its customer's stream is settled next; `note`: the books beside it, where they can be folded again;
    `standing`: how that customer's subscriptions stand now.
    """

    row: InboxRow
    facts: tuple[str, ...] = ()
    problem: str | None = None
    due_at: datetime | None = None
    note: Explanation | None = None
    standing: tuple[str, ...] = ()
    deliveries: tuple[Delivery, ...] = ()

    def lines(self) -> list[str]:
        """The story for people."""
        row = self.row
        told = [
            f"{row.event_id}  {row.type}  ({row.source}{'' if row.livemode else ', test mode'})",
            f"  happened {clock(row.created_at)} UTC, received {clock(row.received_at)} UTC",
            f"  {self._where()}",
        ]
        told += _paragraph("What it says", self.facts or (f"nothing: {self.problem or row.reason}",))
        if self.note is not None:
            told += _paragraph("Settled together with", _first(self.note.beside))
            told += _paragraph("The books before", self.note.before)
        if self.facts:
            told += _paragraph("What the ledger made of it", self._remarks() or ("nothing yet",))
        if self.note is not None:
            told += _paragraph("The books after", self.note.after)
        told += _paragraph("What came out", [*map(_delivery, self.deliveries)] or ["no revenue event rests on it"])
        return told + _paragraph("How the customer stands now", self.standing)

    def as_json(self) -> Mapping[str, object]:
        """The story for programs."""
        row = self.row
        return {
            "event_id": row.event_id, "type": row.type, "source": row.source, "livemode": row.livemode,
            "created_at": row.created_at, "received_at": row.received_at, "status": row.status,
            "stream": row.stream_id, "due_at": self.due_at, "facts": self.facts,
            "reason": self.problem or row.reason, "remarks": self._remarks(),
            "beside": self.note and self.note.beside, "books_before": self.note and self.note.before,
            "books_after": self.note and self.note.after, "standing": self.standing,
            "revenue_events": [
                {"id": one.id, "output_key": one.output_key, "status": one.status, "data": json.loads(one.body)}
                for one in self.deliveries
            ],
        }  # fmt: skip

    def _where(self) -> str:
        row = self.row
        if row.status is InboxStatus.FAILED:
            again = f"; tried again {clock(row.retry_at)} UTC" if row.retry_at else "; pulsora-bridge events replay"
            return f"failed: {row.reason}{again}"
        of = f", in stream {row.stream_id}" if row.stream_id else ""
        due = f"; to be settled {clock(self.due_at)} UTC" if self.due_at and row.status is InboxStatus.WAITING else ""
        return f"{row.status}{of}{due}"

    def _remarks(self) -> tuple[str, ...]:
        is_settled = self.row.status is InboxStatus.SETTLED
        return tuple((self.row.reason or "").split("; ")) if is_settled and self.row.reason else ()


def of(tx: Connection, row: InboxRow, settings: Settings) -> Story:
    """The story of a stored event."""
    came_out = outbox.of_stream(tx, row.stream_id) if row.stream_id else []
    known = streams.known(tx, [row.stream_id]).get(row.stream_id) if row.stream_id else None
    state = load(streams.state_of(tx, row.stream_id)) if row.stream_id else load(None)
    try:
        said, problem = translation(row, settings), None
    except Untranslatable as error:
        said, problem = None, str(error)
    return Story(
        row=row,
        facts=tuple(map(sentence, said.facts)) if said else (),
        problem=problem or (said.reason if said else None),
        due_at=known.due_at if known else None,
        note=told_again(tx, row, settings) if said else None,
        standing=tuple(map(_standing, state.subscriptions.values())),
        deliveries=tuple(one for one in came_out if row.event_id in one.event_ids),
    )


def _paragraph(title: str, told: Sequence[str]) -> list[str]:
    return ["", title, *(f"  {one}" for one in told)] if told else []


def _first(told: Sequence[str]) -> list[str]:
    more = len(told) - MOST_BESIDE
    return [*told[:MOST_BESIDE], f"and {more} more"] if more > 0 else list(told)


# ---- In words --------------------------------------------------------------------------------------------------


def what_next(one: Delivery) -> str:
    """What happens to a delivery next, or what became of it."""
    answer = f"{one.last_status or ''} {one.last_error or ''}".strip()
    if one.status is DeliveryStatus.HELD:
        return f"waits for its visit until {clock(one.hold_until)}"
    if one.status is DeliveryStatus.PENDING and one.attempts:
        return f"again {clock(one.next_at)}; {answer}"
    return answer


def _delivery(one: Delivery) -> str:
    mrr = "" if one.mrr_impact is None else f", MRR {one.mrr_impact:+}" if one.mrr_impact else ", MRR unchanged"
    next_ = what_next(one)
    return f"{one.event_type} {one.amount} {one.currency}{mrr}: {one.status}{f' ({next_})' if next_ else ''}"


def _standing(one: Subscription) -> str:
    status = one.terms.status if one.terms else "known from payments alone"
    plan = f" ({one.labels.plan})" if one.labels.plan else ""
    guess = ", estimated" if one.estimated else ""
    based = f", {shown(one.baseline, one.currency)} of it a baseline" if one.baseline else ""
    return f"{one.id}{plan}: {status}, MRR {shown(one.told, one.currency)}{guess}{based}"

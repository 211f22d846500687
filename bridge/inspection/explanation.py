"""The explanation of a webhook: its facts, the ledger before and after, the ledger's notes, its revenue events."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from bridge.formatting import timestamp
from bridge.inspection.next_step import next_step
from bridge.inspection.resettling import resettle
from bridge.ledger.audit_notes import format_amount
from bridge.ledger.explain import Explanation, describe_fact
from bridge.ledger.state import Subscription, load
from bridge.monitoring.settlements import customer_of
from bridge.settings import Settings
from bridge.store import outbox, streams
from bridge.store.inbox import InboxRow, InboxStatus
from bridge.store.outbox import Delivery
from bridge.worker.translation import TranslationError, translate
from processors.values import Value

MAX_SETTLED_WITH = 12  # webhooks of the same window that are listed for people


class WebhookExplanation(Value):
    """A stored webhook explained, in sentences without personal data.

    `facts`: what the webhook says; `problem`: why there are none. `due_at`: when its stream is settled next.
    `ledger`: the ledger around the webhook, None if it cannot be recomputed. `subscriptions`: the customer's
    subscriptions today. `deliveries`: the revenue events that the webhook contributed to.
    """

    row: InboxRow
    facts: tuple[str, ...] = ()
    problem: str | None = None
    due_at: datetime | None = None
    waits_for: str | None = None
    ledger: Explanation | None = None
    subscriptions: tuple[str, ...] = ()
    deliveries: tuple[Delivery, ...] = ()

    def lines(self) -> list[str]:
        """The explanation for people."""
        row = self.row
        lines = [
            f"{row.event_id}  {row.type}  ({row.source}{'' if row.livemode else ', test mode'})",
            f"  created {timestamp(row.created_at)} UTC, received {timestamp(row.received_at)} UTC",
            f"  {self._status()}",
        ]
        lines += _paragraph("Facts", self.facts or (f"none: {self.problem or row.reason}",))
        if self.ledger is not None:
            lines += _paragraph("Settled together with", _shortened(self.ledger.settled_with))
            lines += _paragraph("Ledger before", self.ledger.ledger_before)
        if self.facts:
            lines += _paragraph("Notes of the ledger", row.notes or ("none yet",))
        if self.ledger is not None:
            lines += _paragraph("Ledger after", self.ledger.ledger_after)
        lines += _paragraph("Revenue events", [*map(_delivery, self.deliveries)] or ["none"])
        return lines + _paragraph("Subscriptions of the customer today", self.subscriptions)

    def as_json(self) -> Mapping[str, object]:
        """The explanation for programs."""
        row, ledger = self.row, self.ledger
        return {
            "event_id": row.event_id, "type": row.type, "source": row.source, "livemode": row.livemode,
            "created_at": row.created_at, "received_at": row.received_at, "status": row.status,
            "stream": row.stream_id, "due_at": self.due_at, "facts": self.facts,
            "reason": self.problem or row.reason, "notes": row.notes,
            "waits_for": self.waits_for,
            "settled_with": ledger and ledger.settled_with, "ledger_before": ledger and ledger.ledger_before,
            "ledger_after": ledger and ledger.ledger_after, "subscriptions": self.subscriptions,
            "revenue_events": [
                {"id": one.id, "output_key": one.output_key, "status": one.status, "data": json.loads(one.body)}
                for one in self.deliveries
            ],
        }  # fmt: skip

    def _status(self) -> str:
        row = self.row
        if row.status is InboxStatus.FAILED:
            command = f"pulsora-bridge webhooks replay {row.event_id}"
            retry = f"retried {timestamp(row.retry_at)} UTC" if row.retry_at else f"retry: {command}"
            return f"failed: {row.reason}; {retry}"
        whose = f", customer {customer_of(row.stream_id) or 'not known yet'}" if row.stream_id else ""
        is_due = self.due_at and row.status is InboxStatus.WAITING
        due = f"; will be settled {timestamp(self.due_at)} UTC" if is_due else ""
        if is_due and self.waits_for:
            due += f", or earlier: {self.waits_for}"
        return f"{row.status}{whose}{due}"


def explain_webhook(tx: Connection, row: InboxRow, settings: Settings) -> WebhookExplanation:
    """Explains a stored webhook."""
    in_stream = outbox.of_stream(tx, row.stream_id) if row.stream_id else []
    stream = streams.find(tx, [row.stream_id]).get(row.stream_id) if row.stream_id else None
    state = load(streams.state_of(tx, row.stream_id)) if row.stream_id else load(None)
    try:
        translated, problem = translate(row, settings), None
    except TranslationError as error:
        translated, problem = None, str(error)
    return WebhookExplanation(
        row=row,
        facts=tuple(map(describe_fact, translated.facts)) if translated else (),
        problem=problem or (translated.reason if translated else None),
        due_at=stream.due_at if stream else None,
        waits_for=stream.reason if stream else None,
        ledger=resettle(tx, row, settings) if translated else None,
        subscriptions=tuple(map(_subscription, state.subscriptions.values())),
        deliveries=tuple(one for one in in_stream if row.event_id in one.event_ids),
    )


def _paragraph(title: str, lines: Sequence[str]) -> list[str]:
    return ["", title, *(f"  {line}" for line in lines)] if lines else []


def _shortened(lines: Sequence[str]) -> list[str]:
    more = len(lines) - MAX_SETTLED_WITH
    return [*lines[:MAX_SETTLED_WITH], f"and {more} more"] if more > 0 else list(lines)


def _delivery(one: Delivery) -> str:
    mrr = "" if one.mrr_impact is None else f", MRR {one.mrr_impact:+}" if one.mrr_impact else ", MRR unchanged"
    step = next_step(one)
    return f"{one.event_type} {one.amount} {one.currency}{mrr}: {one.status}{f' ({step})' if step else ''}"


def _subscription(one: Subscription) -> str:
    status = one.terms.status if one.terms else "status unknown (only payments seen)"
    plan = f" ({one.plan_details.plan})" if one.plan_details.plan else ""
    estimated = ", estimated" if one.estimated else ""
    baseline = f", of which {format_amount(one.baseline, one.currency)} baseline" if one.baseline else ""
    return f"{one.id}{plan}: {status}, MRR {format_amount(one.reported_mrr, one.currency)}{estimated}{baseline}"

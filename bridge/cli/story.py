"""The story of one event, for `explain`: what it says, what the ledger made of it, and what came out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection

from bridge.settings import Settings
from bridge.store import outbox
from bridge.store.inbox import InboxRow
from bridge.store.outbox import Delivery
from bridge.worker.translating import Untranslatable, translation
from processors.facts import Attribution, Fact, Link, Payment, Refund, SubscriptionState
from processors.money import Money, major


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """An event as an operator wants to read it. `facts`: sentences; `problem`: why there are none."""

    row: InboxRow
    facts: tuple[str, ...] = ()
    problem: str | None = None
    deliveries: tuple[Delivery, ...] = field(default=())

    def lines(self) -> list[str]:
        """The story for people."""
        row = self.row
        mode = "" if row.livemode else ", test mode"
        told = [f"{row.event_id}  {row.type}  ({row.source}{mode})"]
        told.append(
            f"  created {row.created_at:%Y-%m-%d %H:%M:%S} UTC, received {row.received_at:%Y-%m-%d %H:%M:%S} UTC"
        )
        told.append(f"  now {row.status}" + (f", customer stream {row.stream_id}" if row.stream_id else ""))
        told += ["", "What it says"] + (
            [f"  {fact}" for fact in self.facts] or [f"  nothing: {self.problem or row.reason}"]
        )
        if row.reason:
            told += ["", "What the ledger made of it"] + [f"  {part}" for part in row.reason.split("; ")]
        told += ["", "What came out"] + (
            [_delivery(one) for one in self.deliveries] or ["  no revenue event rests on it"]
        )
        return told

    def as_json(self) -> Mapping[str, object]:
        """The story for programs."""
        return {
            "event_id": self.row.event_id,
            "type": self.row.type,
            "source": self.row.source,
            "livemode": self.row.livemode,
            "status": self.row.status,
            "reason": self.row.reason,
            "stream": self.row.stream_id,
            "facts": self.facts,
            "revenue_events": [
                {"output_key": one.output_key, "status": one.status, "data": json.loads(one.body)}
                for one in self.deliveries
            ],
        }


def of(tx: Connection, row: InboxRow, settings: Settings) -> Story:
    """The story of a stored event."""
    came_out = outbox.of_stream(tx, row.stream_id) if row.stream_id else []
    rests = tuple(one for one in came_out if row.event_id in one.event_ids)
    try:
        said = translation(row, settings)
    except Untranslatable as error:
        return Story(row=row, problem=str(error), deliveries=rests)
    return Story(row=row, facts=tuple(map(sentence, said.facts)), problem=said.reason, deliveries=rests)


def sentence(fact: Fact) -> str:
    """One fact in words."""
    match fact:
        case Payment():
            what = "all that is paid on" if fact.is_total else "payment"
            on = f" on invoice {fact.ids.invoice_id}" if fact.ids.invoice_id not in (None, fact.key) else ""
            of_ = f" of subscription {fact.ids.subscription_id}" if fact.ids.subscription_id else ""
            return f"{what} {fact.key}: {_money(fact.amount)}{on}{of_}, asked for as: {fact.reason}"
        case Refund():
            paid = fact.ids.payment_id or fact.ids.charge_id
            return f"{fact.kind} {fact.key}: {_money(fact.amount)}, {fact.status}, of {paid}"
        case SubscriptionState():
            items = ", ".join(f"{item.quantity:f} x {item.price.name or item.price.id}" for item in fact.now.items)
            was = f" (it was {fact.before.status})" if fact.before and fact.before.status != fact.now.status else ""
            return f"subscription {fact.ids.subscription_id} is {fact.now.status}{was}: {items or 'no items'}"
        case Attribution():
            keys = ", ".join(sorted(fact.metadata)) or "none"
            return f"attribution in the {fact.place.replace('_', ' ')}: keys {keys}"
        case Link():
            return f"these belong together: {', '.join(filter(None, (fact.ids.customer_id, *fact.ids.refs())))}"


def _money(money: Money) -> str:
    return f"{major(money)} {money.currency.code}"


def _delivery(one: Delivery) -> str:
    mrr = "" if one.mrr_impact is None else f", MRR {one.mrr_impact:+}"
    answer = f", last answer {one.last_status}" if one.last_status else ""
    return f"  {one.event_type} {one.amount} {one.currency}{mrr}  [{one.output_key}]  {one.status}{answer}"

"""`MOVEMENTS_BY=customer`: event types by a customer's total MRR, not by each subscription's.

As on Stripe's page and in ChartMogul a customer's second subscription is then an upgrade, the end of one of two a
downgrade, and churn the end of the last. Only the event types differ: every amount and every `mrr_impact` is the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bridge.ledger.audit_notes import AuditNotes
from bridge.ledger.events import Draft, EventType
from bridge.ledger.movements import movement_type
from bridge.ledger.state import Subscription
from processors.values import replace

Bucket = tuple[str | None, str]  # a customer and a currency: currencies are never added up


@dataclass(slots=True, kw_only=True)
class Total:
    """One customer's MRR in one currency, in minor units. `reported`: without the baselines that were not reported."""

    mrr: int = 0
    reported: int = 0
    has_counted: bool = False

    def add(self, draft: Draft) -> None:
        """Applies a movement. A baseline that is reported now was part of the MRR before."""
        delta = draft.mrr_minor or 0
        self.mrr += 0 if draft.reports_baseline else delta
        self.reported += delta
        self.has_counted = self.has_counted or self.mrr > 0


def by_customer(
    drafts: Sequence[Draft],
    subscriptions: Mapping[str, Subscription],
    customer_id: str | None,
    notes: AuditNotes,
) -> list[Draft]:
    """The drafts, in the order in which they are sent, with event types by the customer's total.

    `subscriptions`: as they are after all drafts. `customer_id`: the stream's, for a draft that names none.
    """
    totals = _before(drafts, subscriptions, customer_id)
    shown = []
    for draft in drafts:
        if not draft.movement_number:
            shown.append(draft)
            continue
        total = totals[_bucket(draft, subscriptions, customer_id)]
        shown.append(_shown(draft, total))
        total.add(draft)
        if shown[-1].event_type is not draft.event_type:
            notes.add(draft.event_ids, f"{draft.subscription_id}: {shown[-1].event_type} of the customer's total MRR")
    return shown


def _shown(draft: Draft, total: Total) -> Draft:
    before = max(total.reported if draft.reports_baseline else total.mrr, 0)
    kind = movement_type(before, max(before + (draft.mrr_minor or 0), 0)) or draft.event_type
    metadata = {name: value for name, value in draft.extra_metadata.items() if name != "reactivation"}
    if kind is EventType.SUBSCRIPTION and total.has_counted and not draft.reports_baseline:
        metadata["reactivation"] = True
    return replace(draft, event_type=kind, extra_metadata=metadata)


def _before(
    drafts: Sequence[Draft], subscriptions: Mapping[str, Subscription], customer_id: str | None
) -> dict[Bucket, Total]:
    """The totals before the drafts: those after them, less what the drafts move.

    A baseline that was assumed during this settlement is thus part of the total from the start.
    """
    totals: dict[Bucket, Total] = {}
    started_now = {draft.subscription_id for draft in drafts if _is_first_start(draft)}
    for one in subscriptions.values():
        total = totals.setdefault((one.customer_id or customer_id, one.currency.code), Total())
        total.mrr += one.reported_mrr
        total.reported += one.reported_mrr - one.baseline
        total.has_counted = total.has_counted or (one.has_counted and one.id not in started_now)
    for draft in drafts:
        if draft.movement_number:
            total = totals.setdefault(_bucket(draft, subscriptions, customer_id), Total())
            total.mrr -= 0 if draft.reports_baseline else draft.mrr_minor or 0
            total.reported -= draft.mrr_minor or 0
    return totals


def _is_first_start(draft: Draft) -> bool:
    is_start = draft.event_type is EventType.SUBSCRIPTION and draft.movement_number > 0
    return is_start and not draft.reports_baseline and "reactivation" not in draft.extra_metadata


def _bucket(draft: Draft, subscriptions: Mapping[str, Subscription], customer_id: str | None) -> Bucket:
    known = subscriptions.get(draft.subscription_id or "")
    named = draft.customer_id or (known.customer_id if known is not None else None)
    return named or customer_id, draft.currency.code

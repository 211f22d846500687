"""Paddle's own lists of transactions and adjustments, and its metrics, as neutral records for `audit`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from processors.facts import Ids, Payment, Refund, RefundKind, RefundStatus, SubscriptionState
from processors.money import Money, whole_minor
from processors.paddle import adjustments, transactions
from processors.paddle.account import Account, connect
from processors.paddle.api import SANDBOX, host_of
from processors.paddle.envelope import ENVIRONMENT, Notification, currency
from processors.payload import Json, first, instant, rows
from processors.totals import DailyMrr, Joined, RevenueItem

EVENTS = {"txn": ("/transactions", "transaction.completed"), "adj": ("/adjustments", "adjustment.created")}


def connect_totals(key: str, options: Mapping[str, str]) -> PaddleTotals:
    """The lists that a key can read."""
    livemode = host_of(key, options.get(ENVIRONMENT.name)) != SANDBOX
    return PaddleTotals(account=connect(key, options), livemode=livemode)


@dataclass(kw_only=True)
class PaddleTotals:
    """Implements `processors.totals.Totals`."""

    account: Account
    livemode: bool = True

    def revenue(self, since: datetime, until: datetime) -> Iterator[RevenueItem | Joined]:
        """Completed transactions and adjustments of a time span."""
        api = self.account.api
        for found in api.transactions(since, until):
            at = instant(first(found, "billed_at", "created_at"))
            item = None if at is None else of_transaction(found, at)
            if item is not None:
                yield item
        for found in api.adjustments():
            at = instant(found.get("created_at"))
            item = of_adjustment(found, at) if at is not None and since <= at < until else None
            if item is not None:
                yield item

    def subscriptions(self) -> Iterator[SubscriptionState]:
        """Every subscription that has not ended."""
        return self.account.subscriptions()

    def daily_mrr(self, first: date, last: date) -> Iterator[DailyMrr]:
        """Paddle's own MRR at the end of each day, in the balance currency."""
        found = self.account.api.metric("monthly-recurring-revenue", first, last + timedelta(days=1))
        code = currency(found.get("currency_code"))
        for row in rows(found, "timeseries"):
            at, minor = instant(row.get("timestamp")), whole_minor(row.get("amount"))
            if code is not None and at is not None and minor is not None:
                yield DailyMrr(day=at.date(), amount=Money(minor=minor, currency=code))

    def event_of(self, object_id: str) -> bytes | None:
        """The entity as the event that would have reported it."""
        path, kind = EVENTS.get(object_id.partition("_")[0], ("", ""))
        found = self.account.api.entity(path, object_id) if path else None
        if found is None:
            return None
        at = first(found, "billed_at", "created_at") if path == "/transactions" else found.get("created_at")
        body = {"event_id": f"audit_{object_id}", "event_type": kind, "occurred_at": at, "data": found}
        return json.dumps(body, separators=(",", ":")).encode()


def of_transaction(found: Json, at: datetime) -> RevenueItem | None:
    """A completed transaction, at its grand total."""
    notification = Notification(id="", type="transaction.completed", at=at, entity=found)
    [fact] = transactions.from_transaction(notification).facts or (None,)
    if not isinstance(fact, Payment) or not fact.amount.minor:
        return None
    return _item(fact.key, at, fact.amount, fact.ids)


def of_adjustment(found: Json, at: datetime) -> RevenueItem | None:
    """A refund or chargeback below 0, a reversal above."""
    notification = Notification(id="", type="adjustment.created", at=at, entity=found)
    [fact] = adjustments.from_adjustment(notification).facts or (None,)
    if not isinstance(fact, Refund) or fact.status is not RefundStatus.SUCCEEDED or not fact.amount.minor:
        return None
    sign = 1 if fact.kind is RefundKind.REVERSAL else -1
    return _item(fact.key, at, Money(minor=sign * fact.amount.minor, currency=fact.amount.currency), fact.ids)


def _item(key: str, at: datetime, amount: Money, ids: Ids) -> RevenueItem:
    refs = (ids.payment_id,) if ids.payment_id and key.startswith("txn_") else ()
    return RevenueItem(key=key, at=at, amount=amount, object_id=key, customer_id=ids.customer_id, refs=refs)

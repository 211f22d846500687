"""An audit of a random Paddle merchant through its API: lists, and Paddle's own MRR by day."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from sqlalchemy import text

from bridge.audit.records import Cause, Measure, Report
from bridge.audit.run import Request, run
from bridge.settings import Settings, Source
from bridge.store import Store, inbox
from bridge.store.inbox import NewWebhook
from bridge.worker.routing import route
from bridge.worker.settling import settle_due
from processors import processors
from processors.paddle.simulation.customer import PRO, STARTER, TEAM, Customer
from tests.fake_processors import PADDLE_KEY, FakePaddle
from tests.settings import some_settings

BEGIN, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
NOW = END + timedelta(days=5)
KINDS = {"transaction.completed": "/transactions", "adjustment": "/adjustments", "subscription": "/subscriptions"}


@dataclass(kw_only=True)
class PaddleMerchant:
    """Customers, and each change of MRR by day in minor units, from prices and quantities."""

    customers: list[Customer] = field(default_factory=list)
    moved: dict[date, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def webhooks(self) -> list[bytes]:
        return [body for one in self.customers for body in one.webhooks]

    def add(self, tag: str, chance: random.Random) -> None:
        plan, quantity = chance.choice((STARTER, PRO, TEAM)), chance.randint(1, 3)
        customer = Customer.begin(tag, BEGIN + timedelta(days=chance.randint(0, 30), hours=chance.randint(0, 20)))
        self.moved[customer.at.date()] += plan.minor * quantity
        customer = customer.subscribe(plan, quantity)
        for step in chance.sample(("change", "renew", "refund", "chargeback", "buy"), 3):
            customer = customer.later(days=chance.randint(2, 9))
            if step == "change":
                self.moved[customer.at.date()] += plan.minor
                quantity += 1
                customer = customer.change(quantity=quantity)
            elif step == "renew":
                customer = customer.renew()
            elif step == "buy":
                customer = customer.buy()
            else:
                customer = customer.refund(500) if step == "refund" else customer.adjusted("chargeback", 700)
        if chance.random() < 0.4:
            customer = customer.later(days=3)
            self.moved[customer.at.date()] -= plan.minor * quantity
            customer = customer.cancel()
        self.customers.append(customer)

    def lists(self) -> dict[str, list[dict[str, Any]]]:
        """Paddle's lists: each entity as its last event has it."""
        found: dict[str, dict[str, dict[str, Any]]] = {path: {} for path in KINDS.values()}
        for body in self.webhooks:
            event = json.loads(body)
            path = KINDS.get(event["event_type"]) or KINDS.get(event["event_type"].partition(".")[0])
            if path is not None:
                entity = event["data"]
                made = found[path].get(entity["id"], {}).get("created_at") or event["occurred_at"]
                found[path][entity["id"]] = {**entity, "created_at": made, "billed_at": event["occurred_at"]}
        active = {key: one for key, one in found["/subscriptions"].items() if one["status"] != "canceled"}
        return {path: list(things.values()) for path, things in (found | {"/subscriptions": active}).items()}

    def metric(self) -> dict[str, Any]:
        """Paddle's MRR at the end of each day."""
        days = [BEGIN.date() + timedelta(days=number) for number in range((END - BEGIN).days)]
        amounts = [sum(minor for day, minor in self.moved.items() if day <= one) for one in days]
        points = [
            {"timestamp": f"{day}T00:00:00Z", "amount": str(minor)} for day, minor in zip(days, amounts, strict=True)
        ]
        return {"currency_code": "USD", "timeseries": points}


@dataclass(frozen=True, kw_only=True)
class Audited:
    store: Store
    source: Source
    fake: FakePaddle

    def report(self) -> Report:
        assert self.source.api_key is not None
        totals = processors()["paddle"].connect_totals(self.source.api_key, self.source.options)
        last = END.date() - timedelta(days=1)
        return run(self.store, Request(source=self.source, first=BEGIN.date(), last=last, now=NOW, totals=totals))


@pytest.fixture
def audited(sqlite_store: Store, sqlite_url: str, httpserver: HTTPServer) -> Audited:
    made = PaddleMerchant()
    for number in range(8):
        made.add(f"p{number}", random.Random(number))
    metrics = {"/metrics/monthly-recurring-revenue": made.metric()}
    fake = FakePaddle(lists=made.lists(), metrics=metrics)
    api = {"PADDLE_API_KEY": PADDLE_KEY, "PADDLE_API_BASE": fake.serve(httpserver)}
    settings = some_settings(sqlite_url, UNATTRIBUTED="send", **api)
    settle(sqlite_store, settings, made.webhooks)
    return Audited(store=sqlite_store, source=settings.sources["paddle"], fake=fake)


def settle(store: Store, settings: Settings, webhooks: list[bytes]) -> None:
    envelope, options = processors()["paddle"].envelope, settings.sources["paddle"].options
    rows = [inbox.encode_row(NewWebhook.of_event("paddle", envelope(one, options), one, END)) for one in webhooks]
    with store.transaction() as tx:
        inbox.insert_new(tx, rows)
    while route(store, settings, "worker", NOW):
        pass
    while settle_due(store, settings, "worker", NOW):
        pass
    with store.transaction() as tx:
        tx.execute(text("UPDATE outbox SET status = 'delivered'"))


def test_lists_and_metrics_agree_with_the_ledger(audited: Audited) -> None:
    report = audited.report()

    assert (report.differences, report.differing) == ((), 0)
    by_day = [one for one in report.days if one.measure is Measure.MRR and one.day is not None]
    assert len(by_day) == 90  # January to March
    assert by_day[-1].ours == by_day[-1].theirs > 0
    assert report.compared > 90 + len(audited.fake.lists["/transactions"])


def test_each_injected_difference_of_paddle_gets_its_cause(audited: Audited) -> None:
    transactions, adjustments = audited.fake.lists["/transactions"], audited.fake.lists["/adjustments"]
    odd, lost = transactions[0], {**transactions[1], "id": "txn_lost", "subscription_id": None}
    odd["details"]["totals"]["grand_total"] = str(int(odd["details"]["totals"]["grand_total"]) + 7)
    transactions.append(lost)
    points = audited.fake.metrics["/metrics/monthly-recurring-revenue"]["timeseries"]
    points[40]["amount"] = str(int(points[40]["amount"]) + 100)
    held = next(one for one in adjustments if one["status"] == "approved")
    with audited.store.transaction() as tx:
        tx.execute(text("UPDATE outbox SET status = 'failed' WHERE transaction_id = :id"), {"id": held["id"]})

    report = audited.report()

    assert {(one.key, one.day if one.measure is Measure.MRR else None): one.cause for one in report.differences} == {
        (odd["id"], None): Cause.UNEXPLAINED,
        ("txn_lost", None): Cause.MISSING,
        (held["id"], None): Cause.WAITING,
        ("", BEGIN.date() + timedelta(days=40)): Cause.UNEXPLAINED,
    }


def test_mrr_by_day_in_a_foreign_balance_currency_is_converted(audited: Audited) -> None:
    audited.fake.metrics["/metrics/monthly-recurring-revenue"]["currency_code"] = "EUR"

    assert set(audited.report().counts) == {Cause.CURRENCY}

"""An audit of a random Paddle merchant through its API: lists, and Paddle's own MRR by day."""

from __future__ import annotations

import json
import random
import shutil
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from sqlalchemy import text

from bridge.audit.records import Cause, Measure, Report
from bridge.audit.run import Request, run
from bridge.ledger.state import dump, load
from bridge.settings import Settings, Source
from bridge.store import Store, inbox, open_store
from bridge.store.inbox import NewWebhook
from bridge.store.schema import compress, decompress
from processors import processors
from processors.paddle.simulation.customer import PRO, STARTER, TEAM, Customer
from processors.paddle.simulation.payloads import Plan
from processors.values import replace
from tests.fake_processors import PADDLE_KEY, FakePaddle
from tests.settings import some_settings
from tests.working import settle_all

BEGIN, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
LAST, NOW = END.date() - timedelta(days=1), END + timedelta(days=5)
METRIC = "/metrics/monthly-recurring-revenue"
WEEKLY = Plan(id="weekly", minor=700, name="Weekly", interval="week")
DAY = timedelta(days=1)
KINDS = {"transaction.completed": "/transactions", "adjustment": "/adjustments", "subscription": "/subscriptions"}


@dataclass(kw_only=True)
class PaddleMerchant:
    """Customers, and each change of MRR by day in minor units, from prices and quantities.

    `requested`: days and MRR of the scheduled ends: when each was asked for, and when it takes effect.
    """

    customers: list[Customer] = field(default_factory=list)
    moved: dict[date, int] = field(default_factory=lambda: defaultdict(int))
    requested: list[tuple[date, date, int]] = field(default_factory=list)

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

    def add_special(self) -> None:
        """Two subscriptions with a scheduled end, of which one has passed, one with a coupon, and one paid weekly."""
        for tag, day, plan, minor in (
            ("left", 9, PRO, 4900),
            ("leaving", 70, TEAM, 9900),
            ("coupon", 20, PRO, 3675),
            ("weekly", 30, WEEKLY, 3033),
        ):  # 25 % off 49.00; 7.00 * 52 / 12 = 30.33
            customer = Customer.begin(tag, BEGIN + day * DAY + timedelta(hours=9))
            self.moved[customer.at.date()] += minor
            customer = customer.subscribe_with_coupon(25) if tag == "coupon" else customer.subscribe(plan)
            if plan is not WEEKLY and tag != "coupon":
                customer = customer.later(days=10).cancel(scheduled=True)
                asked, ends = customer.at.date(), customer.subscriptions["1"].renews_at
                self.requested.append((asked, ends.date(), minor))
                customer = customer.expire() if ends < END else customer
                self.moved[ends.date()] -= minor
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

    def metric(self, *, churn_at_request: bool = False, undiscounted: bool = False) -> dict[str, Any]:
        """Paddle's MRR at the end of each day."""
        off = [(one.subscriptions["1"].started_at.date(), 1225) for one in self.customers if one.tag == "coupon"]
        early = self.requested if churn_at_request else []
        days = [BEGIN.date() + timedelta(days=number) for number in range((END - BEGIN).days)]
        amounts = [
            sum(minor for day, minor in self.moved.items() if day <= one)
            - sum(minor for asked, ends, minor in early if asked <= one < ends)
            + sum(minor for day, minor in off if undiscounted and day <= one)
            for one in days
        ]
        points = [
            {"timestamp": f"{day}T00:00:00Z", "amount": str(minor)} for day, minor in zip(days, amounts, strict=True)
        ]
        return {"currency_code": "USD", "timeseries": points}


@dataclass(frozen=True, kw_only=True)
class Audited:
    store: Store
    settings: Settings
    fake: FakePaddle
    merchant: PaddleMerchant

    @property
    def source(self) -> Source:
        return self.settings.sources["paddle"]

    @property
    def points(self) -> list[dict[str, Any]]:
        """Paddle's MRR by day."""
        found: list[dict[str, Any]] = self.fake.metrics[METRIC]["timeseries"]
        return found

    def report(self, now: datetime = NOW) -> Report:
        assert self.source.api_key is not None
        totals = processors()["paddle"].connect_totals(self.source.api_key, self.source.options)
        return run(self.store, Request(source=self.source, first=BEGIN.date(), last=LAST, now=now, totals=totals))

    def set_level(self, name: str, minor: int) -> str:
        """Our MRR of a subscription, stored in ten-thousandths. Returns its id."""
        key = f"sub_{name}_1"
        with self.store.transaction() as tx:
            change = text("UPDATE subscriptions SET mrr = :mrr WHERE subscription_id = :id")
            assert tx.execute(change, {"mrr": minor * 100, "id": key}).rowcount == 1
        return key

    def guess(self, name: str) -> None:
        """Marks the level of a customer's subscription as estimated."""
        key = f"sub_{name}_1"
        with self.store.transaction() as tx:
            stream_id = tx.execute(text("SELECT stream_id FROM subscriptions WHERE subscription_id = :id"), {"id": key})
            where = {"stream": stream_id.scalar_one()}
            stored = tx.execute(text("SELECT state FROM states WHERE stream_id = :stream"), where).scalar_one()
            state = load(decompress(stored).decode())
            known = {**state.subscriptions, key: replace(state.subscriptions[key], estimated=True)}
            changed = compress(dump(replace(state, subscriptions=known)).encode())
            tx.execute(text("UPDATE states SET state = :new WHERE stream_id = :stream"), {**where, "new": changed})

    def set_status(self, key: str, status: str) -> None:
        """The state of the delivery of a revenue event."""
        with self.store.transaction() as tx:
            change = text("UPDATE outbox SET status = :status WHERE transaction_id = :id")
            assert tx.execute(change, {"status": status, "id": key}).rowcount


@pytest.fixture(scope="module")
def settled(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PaddleMerchant]:
    """A database that has settled a merchant's webhooks, for each test to copy."""
    path = Path(shutil.copy(sqlite_template, tmp_path_factory.mktemp("settled") / "bridge.db"))
    made = PaddleMerchant()
    for number in range(8):
        made.add(f"p{number}", random.Random(number))
    made.add_special()
    settings = some_settings(f"sqlite:///{path}", UNATTRIBUTED="send")
    store = open_store(settings.database_url)
    settle(store, settings, made.webhooks)
    store.close()
    return path, made


@pytest.fixture
def audited(settled: tuple[Path, PaddleMerchant], tmp_path: Path, httpserver: HTTPServer) -> Iterator[Audited]:
    path, made = settled
    fake = FakePaddle(lists=made.lists(), metrics={METRIC: made.metric()})
    api = {"PADDLE_API_KEY": PADDLE_KEY, "PADDLE_API_BASE": fake.serve(httpserver)}
    url = f"sqlite:///{shutil.copy(path, tmp_path / 'bridge.db')}"
    settings = some_settings(url, UNATTRIBUTED="send", **api)
    store = open_store(url)
    yield Audited(store=store, settings=settings, fake=fake, merchant=made)
    store.close()


def settle(store: Store, settings: Settings, webhooks: list[bytes]) -> None:
    envelope, options = processors()["paddle"].envelope, settings.sources["paddle"].options
    rows = [inbox.encode_row(NewWebhook.of_event("paddle", envelope(one, options), one, END)) for one in webhooks]
    with store.transaction() as tx:
        inbox.insert_new(tx, rows)
    settle_all(store, settings, NOW)
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
    lists = audited.fake.lists
    transactions, subscriptions = lists["/transactions"], lists["/subscriptions"]
    odd, unsent, foreign = transactions[:3]
    odd["details"]["totals"]["grand_total"] = str(int(odd["details"]["totals"]["grand_total"]) + 7)
    foreign |= {"currency_code": "EUR"}
    audited.set_status(unsent["id"], "not_forwarded")
    transactions.append({**transactions[3], "id": "txn_lost", "subscription_id": None})
    held = next(one["id"] for one in lists["/adjustments"] if one["status"] == "approved")
    audited.set_status(held, "failed")
    plain = [one for one in subscriptions if one["id"].startswith("sub_p")]
    ended, changed, estimated, wrong = plain[:4]
    subscriptions.remove(ended)
    changed["items"][0]["quantity"] += 1
    names = [one["id"].removeprefix("sub_").removesuffix("_1") for one in (estimated, wrong)]
    audited.guess(names[0])
    audited.points[40]["amount"] = str(int(audited.points[40]["amount"]) + 100)

    expected = {
        odd["id"]: Cause.UNEXPLAINED,
        foreign["id"]: Cause.CURRENCY,
        unsent["id"]: Cause.NOT_FORWARDED,
        "txn_lost": Cause.MISSING,
        held: Cause.WAITING,
        ended["id"]: Cause.MISSING,
        changed["id"]: Cause.MISSING,
        audited.set_level(names[0], 12345): Cause.ESTIMATED,
        audited.set_level(names[1], 12345): Cause.UNEXPLAINED,
        audited.set_level("coupon", 4900): Cause.DISCOUNT,
        audited.set_level("leaving", 0): Cause.CHURN_TIME,
        audited.set_level("weekly", 2800): Cause.FACTOR,  # 7.00 * 4
    }
    report = audited.report()
    found = {one.key: one.cause for one in report.differences if one.key}
    assert found == expected
    [day] = [one for one in report.differences if not one.key]
    assert (day.day, day.cause) == (BEGIN.date() + 40 * DAY, Cause.UNEXPLAINED)
    # Days and buckets are those of exports, and Paddle's own figures are of whole days; a pause ends the MRR.
    assert set(Cause) - set(report.counts) == {Cause.TIME_ZONE, Cause.BUCKET, Cause.FRESHNESS, Cause.PAUSED}


def test_days_between_the_request_and_the_end_of_a_cancellation_are_the_churn_time(audited: Audited) -> None:
    audited.fake.metrics[METRIC] = audited.merchant.metric(churn_at_request=True)
    [(asked, ended, _), (asked_later, *_)] = audited.merchant.requested
    wrong = asked + 3 * DAY
    audited.points[(wrong - BEGIN.date()).days]["amount"] += "0"  # ten times as much

    report = audited.report()

    passed = {asked + number * DAY for number in range((ended - asked).days)}
    running = {asked_later + number * DAY for number in range((LAST - asked_later).days + 1)}
    by_cause: dict[Cause, set[date | None]] = defaultdict(set)
    for one in report.differences:
        by_cause[one.cause].add(one.day)
    assert by_cause == {Cause.CHURN_TIME: (passed | running) - {wrong}, Cause.UNEXPLAINED: {wrong}}


def test_days_with_undiscounted_prices_and_cancellations_at_their_request_are_the_discount(audited: Audited) -> None:
    audited.fake.metrics[METRIC] = audited.merchant.metric(churn_at_request=True, undiscounted=True)
    began, wrong = BEGIN.date() + 20 * DAY, BEGIN.date() + 25 * DAY  # of the subscription with 25 % off
    audited.points[25]["amount"] += "0"
    [(asked, *_), _] = audited.merchant.requested

    found = {one.day: one.cause for one in audited.report().differences}

    before = {asked + number * DAY: Cause.CHURN_TIME for number in range((began - asked).days)}
    since = {began + number * DAY: Cause.DISCOUNT for number in range((LAST - began).days + 1)}
    assert found == before | since | {wrong: Cause.UNEXPLAINED}


def test_the_last_two_days_of_paddles_figures_may_be_late(audited: Audited) -> None:
    for point in audited.points[-3:]:
        point["amount"] = str(int(point["amount"]) + 100)

    report = audited.report(now=END)

    assert {one.day: one.cause for one in report.differences} == {
        LAST - 2 * DAY: Cause.UNEXPLAINED,
        LAST - DAY: Cause.UNEXPLAINED,
        LAST: Cause.FRESHNESS,
    }


def test_mrr_by_day_in_a_foreign_balance_currency_is_converted(audited: Audited) -> None:
    audited.fake.metrics["/metrics/monthly-recurring-revenue"]["currency_code"] = "EUR"

    assert set(audited.report().counts) == {Cause.CURRENCY}


def test_a_subscription_that_moved_to_another_customer_is_one_row(audited: Audited) -> None:
    moved = next(one for one in audited.fake.lists["/subscriptions"] if one["id"] == "sub_coupon_1")
    moved["customer_id"], moved["updated_at"] = "ctm_other", f"{END - DAY:%FT%TZ}"
    event = {
        "event_id": "evt_moved", "event_type": "subscription.updated", "occurred_at": moved["updated_at"],
        "data": moved,
    }  # fmt: skip
    settle(audited.store, audited.settings, [json.dumps(event).encode()])

    assert audited.report().differences == ()
    audited.set_level("coupon", 4900)
    [found] = audited.report().differences
    assert (found.key, found.customer_id, found.ours, found.theirs) == (
        moved["id"], "ctm_other", Decimal("49.00"), Decimal("36.75")
    )  # fmt: skip

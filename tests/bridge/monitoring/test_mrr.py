"""The MRR and revenue reports equal sums computed another way: from the bodies sent, and from the ledger states."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from bridge.internal_events import imports
from bridge.ledger.state import load
from bridge.monitoring.mrr import MrrReport, exact, read_mrr
from bridge.monitoring.overview import read_overview
from bridge.monitoring.periods import Period
from bridge.monitoring.revenue import read_revenue
from bridge.settings import Settings
from bridge.store import Store, outbox, schema, series, streams, subscriptions
from bridge.store.delivery_columns import Movement
from bridge.store.outbox import DeliveryStatus
from bridge.store.series import Selection
from bridge.web.admin.revenue import attribution_shares
from bridge.worker.summing import Summing
from processors.facts import SubscriptionState
from processors.stripe.account import of_subscription
from processors.stripe.simulation.customer import PRO, PRO_YEARLY, STARTER, TEAM, Customer
from tests.bridge.store.builders import a_delivery, a_subscription_row, added
from tests.settings import some_settings
from tests.working import settle_all, store_webhooks

START = datetime(2026, 1, 5, tzinfo=UTC)
WORKED_AT = datetime(2027, 3, 1, tzinfo=UTC)
TODAY = WORKED_AT.date()
END = START + timedelta(days=160)  # when most customers are there
MONTHS = 10
CUSTOMERS = 24
USD = Selection(livemode=True, currency="USD", first=date(2026, 1, 1), last=TODAY)


@pytest.fixture
def settings(database_url: str) -> Settings:
    return some_settings(database_url)


def random_customer(chance: random.Random, number: int) -> Customer:
    """A customer who subscribes and then renews, changes, leaves, comes back, buys and gets money back."""
    without: dict[str, Any] = {} if number % 6 else {"visit": {}}
    customer = Customer.begin(f"c{number}", START + timedelta(days=chance.randrange(120)), **without)
    customer = customer.subscribe(chance.choice((STARTER, PRO, TEAM, PRO_YEARLY)))
    subscription = 1
    for _ in range(chance.randrange(MONTHS)):
        customer = customer.later(days=chance.randrange(1, 25))
        match chance.choice(("renew", "renew", "change", "buy", "refund", "leave")):
            case "renew":
                customer = customer.renew(str(subscription))
            case "change":
                plan = chance.choice((STARTER, PRO, TEAM))
                customer = customer.change(plan, name=str(subscription), billed=chance.random() < 0.5)
            case "buy":
                customer = customer.buy(2900)
            case "refund":
                customer = customer.refund(100)
            case "leave":
                customer = customer.cancel(name=str(subscription))
                if chance.random() < 0.5:
                    return customer
                subscription += 1
                customer = customer.later(days=9).subscribe(PRO, name=str(subscription))
    return customer


def random_merchant(store: Store, settings: Settings, seed: int) -> None:
    """Every fourth customer was there before the bridge: imported silently, or first seen at a renewal."""
    chance = random.Random(seed)
    for number in range(CUSTOMERS):
        customer = random_customer(chance, number)
        bodies = [body for body in customer.webhooks if json.loads(body)["created"] <= END.timestamp()]
        if number % 4 == 0:
            bodies = bodies[len(Customer.begin("x", START).subscribe(PRO).webhooks) :]
        if number % 8 == 0:
            born = next(body for body in customer.webhooks if b'"customer.subscription.created"' in body)
            state = of_subscription(json.loads(born)["data"]["object"], START).facts[0]
            assert isinstance(state, SubscriptionState)
            store.accept(imports.encode(settings.sources["stripe"], state, livemode=True, now=START))
        store_webhooks(store, "stripe", bodies)
    for _ in range(3):
        settle_all(store, settings, WORKED_AT)


def bodies_of(store: Store) -> list[dict[str, Any]]:
    """What is sent to Pulsora, amounts exact."""
    with store.reading() as tx:
        return [json.loads(one.body, parse_float=Decimal) for one in outbox.listing(tx, limit=100_000)]


def day_of(body: dict[str, Any]) -> date:
    return datetime.fromisoformat(body["metadata"]["occurred_at"]).astimezone(UTC).date()


def ledger_subscriptions(store: Store) -> Iterator[Any]:
    with store.reading() as tx:
        for (stream_id,) in tx.execute(select(schema.states.c.stream_id)).all():
            yield from load(streams.state_of(tx, stream_id)).subscriptions.values()


def kind_of(body: dict[str, Any]) -> str:
    if body["event_type"] == "subscription":
        return "reactivation" if body["metadata"].get("reactivation") else "new"
    return str(body["event_type"])


def assert_equal(report: MrrReport, bodies: list[dict[str, Any]], level: Decimal) -> None:
    """The report of one period length equals the sums over the bodies."""
    moving = [body for body in bodies if body.get("mrr_impact")]
    for bucket in report.buckets:
        within = [body for body in moving if bucket.span.first <= day_of(body) <= bucket.span.last]
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for body in within:
            sums[kind_of(body)] += Decimal(body["mrr_impact"])
        counts = Counter(map(kind_of, within))
        assert {kind.value: total.mrr for kind, total in bucket.movements.items() if total.count} == dict(sums)
        assert {kind.value: total.count for kind, total in bucket.movements.items() if total.count} == dict(counts)
        later = sum((Decimal(body["mrr_impact"]) for body in moving if day_of(body) > bucket.span.last), Decimal())
        assert bucket.level == level - later
    assert sum((one.span.last - one.span.first).days + 1 for one in report.buckets) == (TODAY - USD.first).days + 1


def assert_overview_equal(store: Store, bodies: list[dict[str, Any]], level: Decimal) -> None:
    """The overview on the day of the last event equals the sums over the bodies of its 30 days."""
    last = max(map(day_of, bodies))
    days = [last - timedelta(days=back) for back in reversed(range(30))]
    of_day = {day: [body for body in bodies if day_of(body) == day] for day in days}
    mrr_of_day = [sum(Decimal(body.get("mrr_impact") or 0) for body in of_day[day]) for day in days]
    revenue_of_day = [sum(Decimal(body["amount"]) for body in of_day[day]) for day in days]
    refunds = [body["amount"] for own in of_day.values() for body in own if body["event_type"] == "refund"]

    with store.reading() as tx:
        seen = read_overview(tx, [], 0, datetime.combine(last, time(23), UTC))

    assert len([day for day in days if of_day[day]]) > 10
    (mrr,), (revenue,) = seen.mrr, seen.revenue
    assert (mrr.currency, mrr.amount, mrr.change) == ("USD", level, sum(mrr_of_day))
    assert mrr.line == [level - sum(mrr_of_day[number + 1 :]) for number in range(30)]
    assert (revenue.amount, revenue.change) == (sum(revenue_of_day), sum(map(Decimal, refunds)))
    assert revenue.line == revenue_of_day


def attributed(store: Store) -> dict[str, tuple[Decimal, int]]:
    """Amount and number of what is attributed, held and unattributed."""
    found: dict[str, tuple[Decimal, int]] = defaultdict(lambda: (Decimal(), 0))
    with store.reading() as tx:
        for one in outbox.listing(tx, limit=100_000):
            body = json.loads(one.body, parse_float=Decimal)
            if not body["amount"]:
                continue  # no revenue
            is_found = bool(body.get("visitor_fingerprint"))
            name = "held" if one.status is DeliveryStatus.HELD else "attributed" if is_found else "unattributed"
            amount, count = found[name]
            found[name] = amount + Decimal(body["amount"]), count + 1
    return dict(found)


def test_the_reports_equal_the_bodies_and_the_ledger(store: Store, settings: Settings) -> None:
    random_merchant(store, settings, seed=1)
    bodies = bodies_of(store)
    states = list(ledger_subscriptions(store))
    level = Decimal(sum(one.reported_mrr for one in states)) / 100
    baseline = Decimal(sum(one.baseline for one in states)) / 100

    with store.reading() as tx:
        reports = [read_mrr(tx, USD, period, TODAY) for period in Period]
        revenues = [read_revenue(tx, USD, period) for period in Period]
    Summing(store=store).run(WORKED_AT)
    with store.reading() as tx:
        assert [read_mrr(tx, USD, period, TODAY) for period in Period] == reports
        assert [read_revenue(tx, USD, period) for period in Period] == revenues

    assert len(bodies) > 60
    assert baseline > 0
    assert level == baseline + sum(Decimal(body.get("mrr_impact") or 0) for body in bodies)
    for report in reports:
        assert (report.now, report.end, report.baseline) == (level, level, baseline)
        assert report.start == baseline  # nothing happened before the first day
        assert sum(one.mrr for one in report.by_plan) == level
        assert_equal(report, bodies, level)
    for revenue in revenues:
        assert revenue.net == sum(Decimal(body["amount"]) for body in bodies)
        assert revenue.refunds == sum(Decimal(body["amount"]) for body in bodies if body["event_type"] == "refund")
        assert sum(one.net for one in revenue.buckets) == revenue.net
        for parts in (revenue.by_type, revenue.by_source, revenue.by_plan, revenue.attribution):
            assert sum(part.amount for part in parts) == revenue.net
        shares = attribution_shares(revenue)
        assert {name: (part.amount, part.count) for name, part, _ in shares} == attributed(store)
        assert [share for _, _, share in shares] == [round(part.amount * 100 / revenue.net, 1) for _, part, _ in shares]
    assert attributed(store).keys() >= {"attributed", "held"}
    assert_overview_equal(store, bodies, level)


# ---- Single rules ----------------------------------------------------------------------------------------------


def a_movement(key: str, kind: str, mrr: str, day: int, **changes: Any) -> Any:
    metadata = {"plan": changes.pop("plan", "Pro"), "occurred_at": f"2027-02-{day:02}T23:59:59Z"}
    body = json.dumps({"metadata": {**metadata, "attribution": changes.pop("place", "checkout")}})
    fields = {"event_type": kind, "amount": Decimal(0), "mrr_impact": Decimal(mrr), "body": body, **changes}
    return a_delivery(key, **fields)


def test_levels_are_counted_back_from_the_present(store: Store) -> None:
    added(store, a_movement("a", "subscription", "49.00", 1), a_movement("b", "upgrade", "50.00", 27))
    with store.transaction() as tx:
        subscriptions.save(tx, [a_subscription_row(mrr=Decimal(109), baseline=Decimal(10))])

    until_15 = Selection(livemode=True, currency="USD", first=date(2027, 2, 1), last=date(2027, 2, 15))
    with store.reading() as tx:
        report = read_mrr(tx, until_15, Period.WEEK, TODAY)

    assert (report.start, report.end, report.now) == (Decimal(10), Decimal(59), Decimal(109))
    assert [(one.span.first.day, one.span.last.day, one.level) for one in report.buckets] == [
        (1, 7, Decimal(59)),
        (8, 14, Decimal(59)),
        (15, 15, Decimal(59)),
    ]


def test_a_plan_has_movements_and_a_present_level_but_no_level_over_time(store: Store) -> None:
    added(store, a_movement("a", "subscription", "49.00", 1), a_movement("b", "churn", "-99.00", 2, plan="Team"))
    with store.transaction() as tx:
        subscriptions.save(tx, [a_subscription_row(), a_subscription_row("sub_2", plan="Team")])

    team = Selection(livemode=True, currency="USD", first=date(2027, 1, 1), last=TODAY, plan="Team")
    with store.reading() as tx:
        report = read_mrr(tx, team, Period.MONTH, TODAY)

    assert (report.now, report.start, report.end, report.buckets[0].level) == (Decimal(49), None, None, None)
    assert {kind: total.mrr for kind, total in report.totals.items() if total.count} == {Movement.CHURN: Decimal(-99)}


def test_live_and_test_money_and_currencies_are_apart(store: Store) -> None:
    added(
        store,
        a_movement("a", "subscription", "49.00", 1),
        a_movement("b", "subscription", "9.00", 1, livemode=False, scope="stripe||test"),
        a_movement("c", "subscription", "5.00", 1, currency="EUR"),
    )

    with store.reading() as tx:
        assert read_mrr(tx, USD, Period.MONTH, TODAY).net == Decimal(49)
        assert (series.currencies(tx, livemode=True), series.currencies(tx, livemode=False)) == (
            ["EUR", "USD"],
            ["USD"],
        )


def test_the_currency_with_the_most_subscriptions_is_first_then_that_with_the_most_payments(store: Store) -> None:
    paid = {"amount": Decimal(9), "mrr_impact": None}
    movements = [("AED", {}), ("AED", {}), ("AED", {}), ("EUR", paid), ("EUR", paid), ("JPY", paid), ("USD", {})]
    added(
        store,
        *(
            a_movement(f"{n}", "purchase", "0", n + 1, currency=code, **changes)
            for n, (code, changes) in enumerate(movements)
        ),
    )
    with store.transaction() as tx:
        subscriptions.save(tx, [a_subscription_row(), a_subscription_row("sub_2", currency="AED", mrr=Decimal(0))])

    with store.reading() as tx:
        without_sums = series.currencies(tx, livemode=True)
        shown = [one.currency for one in read_overview(tx, (), 2000, WORKED_AT).mrr]
    Summing(store=store).run(WORKED_AT)
    with store.reading() as tx:
        assert without_sums == shown == series.currencies(tx, livemode=True) == ["USD", "EUR", "JPY", "AED"]
        assert series.currency_codes(tx, livemode=True) == ["AED", "EUR", "JPY", "USD"]


def test_held_revenue_is_neither_attributed_nor_unattributed_yet(store: Store) -> None:
    added(
        store,
        a_movement("a", "purchase", "0", 1, amount=Decimal("10.00")),
        a_movement("b", "purchase", "0", 1, amount=Decimal("20.00"), place="none"),
        a_movement("c", "purchase", "0", 1, amount=Decimal("5.00"), place="none", status=DeliveryStatus.HELD),
    )

    with store.reading() as tx:
        report = read_revenue(tx, USD, Period.MONTH)

    assert [(part.name, part.amount, part.count) for part in report.attribution] == [
        ("none", Decimal("20.00"), 1),
        ("checkout", Decimal("10.00"), 1),
        ("held", Decimal("5.00"), 1),
    ]


@pytest.mark.parametrize(
    ("value", "currency", "text"),
    [("49", "USD", "49.00"), ("1234567.5", "USD", "1234567.50"), ("4900", "JPY", "4900"), ("1.2345", "USD", "1.2345")],
)
def test_an_amount_has_the_decimals_of_its_currency(value: str, currency: str, text: str) -> None:
    assert str(exact(Decimal(value), currency)) == text

"""An audit of a random merchant: nothing differs by itself, and each injected difference gets its own cause.

With more customers, as a command (ten thousand take about 15 minutes):

    AUDIT_CUSTOMERS=10000 python -m pytest tests/bridge/comparison/test_audit.py --timeout=0
"""

from __future__ import annotations

import os
import resource
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from bridge.comparison.records import Cause, Measure, Report
from bridge.comparison.run import Against, Request, run
from bridge.ledger.policy import MovementsBy, MrrDiscounts
from bridge.settings import Settings, Source
from bridge.store import Store, inbox, open_store
from bridge.store.inbox import NewWebhook
from bridge.worker.routing import route
from bridge.worker.settling import settle_due
from processors import processors
from processors.stripe import exports
from processors.stripe.account import Account
from processors.stripe.totals import StripeTotals
from tests.audit_merchant import (
    WEEKLY,
    Buyer,
    Merchant,
    Moved,
    as_text,
    customer_csv,
    merchant,
    revalued,
    sigma_csv,
)
from tests.settings import some_settings

CUSTOMERS = int(os.environ.get("AUDIT_CUSTOMERS", "40"))
BEGIN, END = datetime(2025, 11, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
NOW = END + timedelta(days=30)
BATCH = 20_000


@dataclass(frozen=True, kw_only=True)
class Audited:
    """A merchant whose webhooks a bridge has settled and delivered."""

    path: Path
    settings: Settings
    merchant: Merchant

    @property
    def source(self) -> Source:
        return self.settings.sources["stripe"]

    def store(self) -> Store:
        return open_store(self.settings.database_url)

    def by_csv(self, rows: list[dict[str, str]], **more: Any) -> Report:
        return self.by(Against.STRIPE_CSV, exports.customer_mrr_changes, rows, **more)

    def by_sigma(self, rows: list[dict[str, str]], **more: Any) -> Report:
        return self.by(Against.STRIPE_SIGMA_CSV, exports.sigma_change_events, rows, **more)

    def by(self, against: Against, read: Callable[..., Any], rows: list[dict[str, str]], **more: Any) -> Report:
        asked: dict[str, Any] = {"first": BEGIN.date(), "last": END.date(), "now": NOW, **more}
        changes = read(as_text(rows).splitlines())
        return run(self.store(), Request(source=self.source, against=against, changes=changes, **asked))

    def by_api(self, lists: dict[str, list[dict[str, Any]]], source: Source | None = None) -> Report:
        totals = StripeTotals(account=Account(api=ListedApi(lists)))  # type: ignore[arg-type]
        chosen = source or self.source
        return run(self.store(), Request(source=chosen, first=BEGIN.date(), last=END.date(), now=NOW, totals=totals))


class ListedApi:
    """Stripe's lists, in memory."""

    def __init__(self, lists: dict[str, list[dict[str, Any]]]) -> None:
        self.lists = lists

    def now(self) -> datetime:
        return NOW

    def made_between(self, path: str, since: datetime, until: datetime, **_: object) -> Iterator[dict[str, Any]]:
        return (one for one in self.lists[path] if since.timestamp() <= one["created"] < until.timestamp())

    def subscriptions(self) -> Iterator[dict[str, Any]]:
        return iter(self.lists["/v1/subscriptions"])


def settled(path: Path, made: Merchant, webhooks: Iterable[bytes], **settings: str) -> Audited:
    """A bridge that has received these webhooks of a merchant, and delivered all their revenue."""
    chosen = some_settings(f"sqlite:///{path}", UNATTRIBUTED="send", **settings)
    store, envelope = open_store(chosen.database_url), processors()["stripe"].envelope
    rows = (inbox.encode_row(NewWebhook.of_event("stripe", envelope(one, {}), one, END)) for one in webhooks)
    for batch in _batches(rows):
        with store.transaction() as tx:
            inbox.insert_new(tx, batch)
    while route(store, chosen, "worker", NOW):
        pass
    while settle_due(store, chosen, "worker", NOW):
        pass
    with store.transaction() as tx:
        tx.execute(text("UPDATE outbox SET status = 'delivered'"))
    store.close()
    return Audited(path=path, settings=chosen, merchant=made)


def _batches(rows: Iterable[Any]) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    yield batch


@pytest.fixture(scope="module", params=[one.value for one in MovementsBy])
def audited(request: pytest.FixtureRequest, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Audited:
    path = Path(shutil.copy(sqlite_template, tmp_path_factory.mktemp("audited") / "bridge.db"))
    made = merchant(CUSTOMERS, 14, BEGIN, END)
    return settled(path, made, made.webhooks, MOVEMENTS_BY=request.param)


@pytest.fixture
def copied(audited: Audited, tmp_path: Path) -> Audited:
    """A copy that a test may change."""
    path = Path(shutil.copy(audited.path, tmp_path / "bridge.db"))
    return replace(audited, path=path, settings=some_settings(f"sqlite:///{path}", **_by(audited)))


def _by(audited: Audited) -> dict[str, str]:
    return {"MOVEMENTS_BY": audited.source.policy.movements_by.value}


def by_customer(audited: Audited) -> bool:
    return audited.source.policy.movements_by is MovementsBy.CUSTOMER


def of(report: Report) -> dict[str, set[Cause]]:
    """The causes by customer or subscription."""
    found: dict[str, set[Cause]] = {}
    for one in report.differences:
        found.setdefault(one.key, set()).add(one.cause)
    return found


# ---- Nothing differs by itself -------------------------------------------------------------------------------------


def test_the_lists_of_the_api_agree_with_the_ledger_of_a_whole_year(audited: Audited) -> None:
    lists = audited.merchant.api_lists()

    report = audited.by_api(lists)

    assert (report.differences, report.differing) == ((), 0)
    payments = {one["payment_intent"] for one in lists["/v1/charges"]}
    assert report.compared >= len(payments) + len(lists["/v1/refunds"]) + len(lists["/v1/subscriptions"])
    [present] = [one for one in report.days if one.measure is Measure.MRR]
    assert present.ours * 100 == present.theirs * 100 == sum(one.minor for one in audited.merchant.moved)


def test_both_exports_agree_with_the_ledger_of_a_whole_year(audited: Audited) -> None:
    moved = audited.merchant.moved
    kinds = "customer_kind" if by_customer(audited) else "kind"

    report = audited.by_sigma(sigma_csv([replace(one, kind=getattr(one, kinds)) for one in moved]))
    of_page = audited.by_csv(customer_csv(moved))

    assert (report.differences, report.differing) == ((), 0)
    assert sum(one.ours for one in report.days) * 100 == sum(one.minor for one in moved)
    assert set(of_page.counts) <= {Cause.BUCKET}
    assert all(one.ours == one.theirs for one in of_page.differences)


# ---- Each cause is named -------------------------------------------------------------------------------------------


def test_the_same_amounts_under_other_names_are_the_bucket(audited: Audited) -> None:
    several = {one.simulated.customer_id for one in audited.merchant.buyers if len(one.started) > 1}

    report = audited.by_csv(customer_csv(audited.merchant.moved))

    if by_customer(audited):
        assert report.differing == 0
    else:
        assert several >= set(of(report))
        assert report.counts == {Cause.BUCKET: report.differing}
        assert report.differing > 0


def test_days_of_another_time_zone_are_named_and_vanish_with_that_zone(audited: Audited) -> None:
    auckland = ZoneInfo("Pacific/Auckland")
    rows = customer_csv(
        [replace(one, customer_kind=_kind_here(audited, one)) for one in audited.merchant.moved], auckland
    )

    report = audited.by_csv(rows, last=END.date() + timedelta(days=1))
    in_its_zone = audited.by_csv(rows, last=END.date() + timedelta(days=1), zone=auckland)

    assert report.differing > 10
    assert set(report.counts) == {Cause.TIME_ZONE}
    # A movement is dated by its payment, some seconds later: of 30,000, two are on either side of midnight.
    assert in_its_zone.differing <= CUSTOMERS // 2000


def _kind_here(audited: Audited, one: Moved) -> str:
    return one.customer_kind if by_customer(audited) else one.kind


def injected(audited: Audited) -> tuple[list[Moved], dict[str, Cause]]:
    """The merchant's changes with one difference for each cause, and the cause by subscription."""
    moved = [replace(one, kind=_kind_here(audited, one)) for one in audited.merchant.moved]
    unused = [one for one in audited.merchant.buyers if len(one.started) == 1]
    expected: dict[str, Cause] = {}

    def pick(fits: Callable[[Buyer], bool], cause: Cause) -> str:
        found = next(one for one in unused if fits(one))
        unused.remove(found)
        expected[found.moved[0].subscription] = cause
        return found.moved[0].subscription

    weekly = pick(lambda one: one.simulated.subscriptions["1"].plan == WEEKLY, Cause.FACTOR)
    coupon = pick(lambda one: one.simulated.subscriptions["1"].coupon is not None, Cause.DISCOUNT)
    left = pick(lambda one: one.moved[-1].kind == "churn" and _days_of(one)[-1] > 40, Cause.CHURN_TIME)
    odd = pick(lambda one: True, Cause.UNEXPLAINED)
    levels: dict[str, Callable[[int], int]] = {
        weekly: lambda level: round(level * 12 / 13),  # 4 weeks in a month instead of 52/12
        coupon: lambda level: round(level * 4 / 3),  # before its quarter off
    }
    moved = revalued(moved, lambda name, level: levels.get(name, lambda same: same)(level))
    first = next(place for place, one in enumerate(moved) if one.subscription == odd)
    moved[first] = replace(moved[first], minor=moved[first].minor + 123)
    last = max(place for place, one in enumerate(moved) if one.subscription == left)
    moved[last] = replace(moved[last], at=moved[last].at - timedelta(days=12))
    return moved, expected


def _days_of(one: Buyer) -> list[int]:
    return [(moved.at - one.moved[0].at).days for moved in one.moved]


def test_every_injected_difference_of_an_export_gets_its_cause_and_nothing_else_differs(copied: Audited) -> None:
    moved, expected = injected(copied)
    named = {one.subscription: one.customer for one in moved}
    store = copied.store()
    taken = {named[one] for one in expected}
    others = [one for one in copied.merchant.buyers if len(one.started) == 1 and one.simulated.customer_id not in taken]
    for buyer, status, cause in zip(others, ("held", "not_forwarded", "failed"), OF_STATUS, strict=False):
        with store.transaction() as tx:
            stream = f"stripe||live|{buyer.simulated.customer_id}"
            tx.execute(
                text("UPDATE outbox SET status = :status WHERE stream_id = :stream"),
                {"status": status, "stream": stream},
            )
        expected[buyer.moved[0].subscription] = cause
    foreign, estimated, unknown = (one.moved[0].subscription for one in others[3:6])
    expected |= {foreign: Cause.CURRENCY, estimated: Cause.ESTIMATED, unknown: Cause.MISSING}
    with store.transaction() as tx:
        flag = text("UPDATE outbox SET body = replace(body, :old, :new) WHERE subscription_id = :id")
        tx.execute(flag, {"old": '"metadata":{', "new": '"metadata":{"mrr_estimated":true,', "id": estimated})
        stream = {"stream": f"stripe||live|{named[unknown]}"}
        for table in ("outbox", "inbox", "states", "subscriptions", "streams", "links"):
            tx.execute(text(f"DELETE FROM {table} WHERE stream_id = :stream"), stream)
    moved = revalued(moved, lambda name, level: level + level // 7 if name == estimated else level)
    rows = [row for one in moved for row in sigma_csv([one], currency="eur" if one.subscription == foreign else "usd")]

    report = copied.by_sigma(rows)

    keys = expected if not by_customer(copied) else {named[one]: cause for one, cause in expected.items()}
    assert of(report) == {key: {cause} for key, cause in keys.items()}
    assert {cause for causes in of(report).values() for cause in causes} == NAMED
    assert report.unexplained == 1


OF_STATUS = (Cause.WAITING, Cause.NOT_FORWARDED, Cause.WAITING)
NAMED = {
    Cause.FACTOR, Cause.DISCOUNT, Cause.CHURN_TIME, Cause.UNEXPLAINED, Cause.WAITING, Cause.NOT_FORWARDED,
    Cause.CURRENCY, Cause.ESTIMATED, Cause.MISSING,
}  # fmt: skip


def test_days_that_an_export_does_not_reach_yet_are_named(audited: Audited) -> None:
    moved = sorted(
        (replace(one, kind=_kind_here(audited, one)) for one in audited.merchant.moved), key=lambda one: one.at
    )
    kept = [one for one in moved if one.at < END - timedelta(days=120)]
    missing = [one for one in moved if one not in kept]

    report = audited.by_sigma(sigma_csv(kept))

    assert report.counts == {Cause.FRESHNESS: len(missing)}


def test_a_paused_collection_is_named(sqlite_template: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(sqlite_template, tmp_path / "bridge.db"))
    made = merchant(1, 3, BEGIN, END)
    [one] = made.buyers
    one.simulated = one.simulated.later(days=3).become("paused", name=next(iter(one.mrr)))
    audited = settled(path, made, made.webhooks)
    active = [moved for moved in made.moved if moved.kind != "churn"]

    report = audited.by_sigma(sigma_csv(active), exported_at=NOW)

    assert report.counts == {Cause.PAUSED: 1}


# ---- The API -------------------------------------------------------------------------------------------------------


def test_every_injected_difference_of_the_api_gets_its_cause_and_nothing_else_differs(copied: Audited) -> None:
    lists = copied.merchant.api_lists()
    charges = [one for one in lists["/v1/charges"] if one["amount_refunded"] == 0 and one["customer"]]
    odd, foreign, held, dry, unknown = charges[:5]
    odd["amount"] = odd["amount_captured"] = odd["amount"] + 1
    foreign["currency"] = "eur"
    lists["/v1/charges"].append({**unknown, "id": "ch_lost", "payment_intent": "pi_lost", "amount_captured": 5})
    key = {one["id"]: _key(lists, one) for one in charges[:5]}
    store = copied.store()
    with store.transaction() as tx:
        for charge, status in ((held, "pending"), (dry, "not_forwarded")):
            change = text("UPDATE outbox SET status = :status WHERE transaction_id = :id")
            tx.execute(change, {"status": status, "id": key[charge["id"]]})

    report = copied.by_api(lists)

    assert of(report) == {
        key[odd["id"]]: {Cause.UNEXPLAINED},
        key[foreign["id"]]: {Cause.CURRENCY},
        key[held["id"]]: {Cause.WAITING},
        key[dry["id"]]: {Cause.NOT_FORWARDED},
        "pi_lost": {Cause.MISSING},
    }


def _key(lists: dict[str, list[dict[str, Any]]], charge: dict[str, Any]) -> str:
    """The invoice of a charge, else its intent: the id that the revenue event has."""
    intent = charge["payment_intent"]
    for invoice in lists["/v1/invoices"]:
        if any(one["payment"]["payment_intent"] == intent for one in invoice["payments"]["data"]):
            return str(invoice["id"])
    return str(intent)


def test_levels_of_another_setting_are_named(audited: Audited) -> None:
    policy = replace(audited.source.policy, mrr_discounts=MrrDiscounts.NONE)
    with_coupon = {
        one.id
        for buyer in audited.merchant.buyers
        for name, one in buyer.simulated.subscriptions.items()
        if one.coupon is not None and buyer.mrr[name]
    }

    report = audited.by_api(audited.merchant.api_lists(), replace(audited.source, policy=policy))

    assert of(report) == {one: {Cause.DISCOUNT} for one in with_coupon}


def test_levels_of_scheduled_ends_are_the_churn_time_and_unknown_subscriptions_are_missing(audited: Audited) -> None:
    lists = audited.merchant.api_lists()
    active = lists["/v1/subscriptions"]
    ended, changed = active[0]["id"], active[1]["id"]
    active.append({**active[2], "id": "sub_unknown"})
    for one in active[1:2]:
        one["items"]["data"][0]["quantity"] += 5
    lists["/v1/subscriptions"] = active[1:]

    report = audited.by_api(lists)

    assert of(report) == {one: {Cause.MISSING} for one in (ended, changed, "sub_unknown")}


# ---- A million rows ------------------------------------------------------------------------------------------------


@pytest.mark.skipif("AUDIT_ROWS" not in os.environ, reason="a measurement: AUDIT_ROWS=1000000")
@pytest.mark.parametrize("differ", [False, True])
def test_a_million_rows_need_little_memory(audited: Audited, differ: bool) -> None:
    count = int(os.environ["AUDIT_ROWS"])
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()

    request = Request(
        source=audited.source, first=date(2026, 1, 1), last=date(2026, 12, 31), now=NOW, against=Against.STRIPE_CSV,
        changes=exports.customer_mrr_changes(differing_rows(count) if differ else cancelling_rows(count)),
    )  # fmt: skip
    report = run(audited.store(), request)

    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"{count:,} rows, {report.differing:,} differ: {time.monotonic() - began:.0f} s, {grown / 1024:.0f} MiB more")
    assert report.counts.get(Cause.MISSING, 0) == (count if differ else 0)
    assert grown < 200 * 1024


HEADER = "customer_id,date,change_type,mrr_change,currency"


def cancelling_rows(count: int) -> Iterator[str]:
    """Two rows of each customer and day that add up to 0."""
    yield HEADER
    for number in range(count):
        one, amount = number // 2, ("9.00", "-9.00")[number % 2]
        yield f"cus_{one % 200_003},2026-{one % 12 + 1:02}-{one % 28 + 1:02},,{amount},usd"


def differing_rows(count: int) -> Iterator[str]:
    """Each row another customer and day, of which nothing is known here."""
    yield HEADER
    for number in range(count):
        month, customer = divmod(number, 200_003)
        yield f"cus_{customer},2026-{month * 2 % 12 + 1:02}-{customer % 28 + 1:02},,9.00,usd"

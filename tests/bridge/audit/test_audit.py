"""An audit of a random merchant: nothing differs by itself, and each injected difference gets its own cause.

With more customers, as a command; with a folder, an interrupted run goes on where it was:

    AUDIT_CUSTOMERS=10000 AUDIT_FOLDER=/var/tmp python -m pytest tests/bridge/audit/test_audit.py --timeout=0
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

from bridge.audit.records import Cause, Difference, Measure, Report
from bridge.audit.run import Against, Request, run
from bridge.ledger.policy import MovementsBy, MrrDiscounts
from bridge.settings import Settings, Source
from bridge.store import Store, inbox, open_store
from bridge.store.inbox import NewWebhook
from processors import processors
from processors.stripe import exports
from processors.stripe.account import Account
from processors.stripe.totals import StripeTotals
from tests.audit_injections import OF_API, OF_CUSTOMERS, OF_EXPORTS, Export, Lists, inject
from tests.audit_merchant import Merchant, Moved, as_text, customer_csv, merchant, sigma_csv
from tests.settings import some_settings
from tests.working import settle_all

CUSTOMERS = int(os.environ.get("AUDIT_CUSTOMERS", "40"))
BEGIN, END = datetime(2025, 11, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
NOW = END + timedelta(days=30)
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
FRESH_UNTIL = END - timedelta(days=120)  # the first moment that an export does not have in full
SHARE = 0.005  # of the customers who get each injected difference
SEED = 14
PART = 1000


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
        call = {name: more.pop(name) for name in ("on_difference",) if name in more}
        asked: dict[str, Any] = {"first": BEGIN.date(), "last": END.date(), "now": NOW, **more}
        changes = read(as_text(rows).splitlines())
        return run(self.store(), Request(source=self.source, against=against, changes=changes, **asked), **call)

    def by_api(
        self, lists: dict[str, list[dict[str, Any]]], source: Source | None = None, now: datetime = NOW, **call: Any
    ) -> Report:
        totals = StripeTotals(account=Account(api=ListedApi(lists)))  # type: ignore[arg-type]
        request = Request(source=source or self.source, first=BEGIN.date(), last=END.date(), now=now, totals=totals)
        return run(self.store(), request, **call)


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


def settled(path: Path, made: Merchant, **settings: str) -> Audited:
    """A bridge that has received the webhooks of a merchant, and delivered all their revenue.

    It takes a thousand customers at a time, and goes on where it was interrupted.
    """
    chosen = some_settings(f"sqlite:///{path}", UNATTRIBUTED="send", **settings)
    store, envelope = open_store(chosen.database_url), processors()["stripe"].envelope
    with store.reading() as tx:
        done = tx.execute(text("PRAGMA user_version")).scalar_one()
    with store.transaction() as tx:  # of a run that was interrupted: the clock does not move, so no lease ends
        tx.execute(text("UPDATE streams SET leased_by = NULL, leased_until = NULL WHERE leased_until IS NOT NULL"))
    for first in range(done, len(made.buyers), PART):
        webhooks = Merchant(buyers=made.buyers[first : first + PART]).webhooks
        rows = [inbox.encode_row(NewWebhook.of_event("stripe", envelope(one, {}), one, END)) for one in webhooks]
        with store.transaction() as tx:
            inbox.insert_new(tx, rows)
        settle_all(store, chosen, NOW)
        with store.transaction() as tx:
            tx.execute(text("UPDATE outbox SET status = 'delivered'"))
            tx.execute(text(f"PRAGMA user_version = {first + PART}"))
    store.close()
    return Audited(path=path, settings=chosen, merchant=made)


@pytest.fixture(scope="module", params=[one.value for one in MovementsBy])
def audited(request: pytest.FixtureRequest, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Audited:
    folder = os.environ.get("AUDIT_FOLDER") or tmp_path_factory.mktemp("audited")
    path = Path(folder) / f"{request.param}-{CUSTOMERS}.db"
    if not path.exists():
        shutil.copy(sqlite_template, path)
    return settled(path, merchant(CUSTOMERS, SEED, BEGIN, END), MOVEMENTS_BY=request.param)


@pytest.fixture
def copied(audited: Audited, tmp_path: Path) -> Audited:
    """A copy that a test may change."""
    path = Path(shutil.copy(audited.path, tmp_path / "bridge.db"))
    return replace(audited, path=path, settings=some_settings(f"sqlite:///{path}", **_by(audited)))


def _by(audited: Audited) -> dict[str, str]:
    return {"MOVEMENTS_BY": audited.source.policy.movements_by.value}


def by_customer(audited: Audited) -> bool:
    return audited.source.policy.movements_by is MovementsBy.CUSTOMER


def causes_of(differences: Iterable[Difference]) -> dict[str, set[Cause]]:
    """The causes by customer, subscription or payment."""
    found: dict[str, set[Cause]] = {}
    for one in differences:
        found.setdefault(one.key, set()).add(one.cause)
    return found


# ---- Nothing differs by itself -------------------------------------------------------------------------------------


def test_the_lists_of_the_api_agree_with_the_ledger_of_a_whole_year(audited: Audited) -> None:
    lists = audited.merchant.api_lists()

    report = audited.by_api(lists)

    print(f"{report.compared:,} rows compared, {report.differing} differ")
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

    print(f"{report.compared:,} rows compared, {report.differing} differ")
    assert (report.differences, report.differing) == ((), 0)
    assert sum(one.ours for one in report.days) * 100 == sum(one.minor for one in moved)
    assert set(of_page.counts) <= {Cause.BUCKET}
    assert all(one.ours == one.theirs for one in of_page.differences)


def test_what_happened_in_the_last_ten_minutes_is_left_out_on_both_sides(audited: Audited) -> None:
    lists = audited.merchant.api_lists()
    latest = max(one["created"] for path in ("/v1/charges", "/v1/refunds") for one in lists[path])

    report = audited.by_api(lists, now=datetime.fromtimestamp(latest + 300, UTC))

    assert [one for one in report.differences if one.measure is Measure.REVENUE] == []


def test_levels_that_the_ledger_settles_while_the_list_is_read_do_not_differ(copied: Audited) -> None:
    lists = copied.merchant.api_lists()
    changed, ended = (one["id"] for one in lists["/v1/subscriptions"][-2:])
    later = lists["/v1/subscriptions"] = SettlingList(copied.store(), changed, ended, lists["/v1/subscriptions"][:-1])

    report = copied.by_api(lists)

    assert (report.differences, later.is_settled) == ((), True)


class SettlingList(list[dict[str, Any]]):
    """A list; while it is read, the ledger settles a change of one subscription, and the end of another one."""

    def __init__(self, store: Store, changed: str, ended: str, listed: list[dict[str, Any]]) -> None:
        super().__init__(listed)
        self.store, self.changed, self.ended, self.is_settled = store, changed, ended, False
        with store.transaction() as tx:
            self.old = tx.execute(OF_ONE, {"id": changed}).scalar_one()
            tx.execute(SET_LEVEL, {"id": changed, "mrr": self.old + 1_000_000})

    def __iter__(self) -> Iterator[dict[str, Any]]:
        with self.store.transaction() as tx:
            tx.execute(SET_LEVEL, {"id": self.changed, "mrr": self.old})
            tx.execute(SET_LEVEL, {"id": self.ended, "mrr": 0})
        self.is_settled = True
        yield from super().__iter__()


OF_ONE = text("SELECT mrr FROM subscriptions WHERE subscription_id = :id")
SET_LEVEL = text("UPDATE subscriptions SET mrr = :mrr WHERE subscription_id = :id")


# ---- Each cause is named -------------------------------------------------------------------------------------------


def test_the_same_amounts_under_other_names_are_the_bucket(audited: Audited) -> None:
    several = {one.simulated.customer_id for one in audited.merchant.buyers if len(one.started) > 1}

    report = audited.by_csv(customer_csv(audited.merchant.moved))

    if by_customer(audited):
        assert report.differing == 0
    else:
        assert several >= set(causes_of(report.differences))
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
    # A movement that was paid for is dated by its payment, up to three seconds later, which may be after midnight.
    late = {
        one.customer
        for one in audited.merchant.moved
        if one.at.astimezone(auckland).date() != (one.at + 3 * SECOND).astimezone(auckland).date()
    }
    assert set(causes_of(in_its_zone.differences)) <= late
    assert set(in_its_zone.counts) <= {Cause.TIME_ZONE}


def _kind_here(audited: Audited, one: Moved) -> str:
    return one.customer_kind if by_customer(audited) else one.kind


def page_csv(moved: list[Moved], currency: str) -> list[dict[str, str]]:
    """The page's export, with the names of `kind`."""
    return customer_csv([replace(one, customer_kind=one.kind) for one in moved], currency=currency)


def of_sigma(moved: list[Moved], currency: str) -> list[dict[str, str]]:
    """Sigma's export."""
    return sigma_csv(moved, currency=currency)


RENDER = {"csv": page_csv, "sigma": of_sigma}


@pytest.mark.parametrize("format_", ["csv", "sigma"])
def test_every_injected_difference_of_an_export_gets_its_cause_and_nothing_else_differs(
    copied: Audited, format_: str
) -> None:
    own, other = ("customer_kind", "kind") if by_customer(copied) else ("kind", "customer_kind")
    rows = {
        one.simulated.customer_id: [
            replace(moved, kind=getattr(moved, own), customer_kind=getattr(moved, other)) for moved in one.moved
        ]
        for one in copied.merchant.buyers
    }
    of_customers = by_customer(copied) or format_ == "csv"
    with copied.store().transaction() as tx:
        export = Export(tx=tx, fresh_until=FRESH_UNTIL, rows=rows, by_customer=of_customers)
        expected = inject(export, OF_CUSTOMERS if of_customers else OF_EXPORTS, copied.merchant.buyers, SHARE, SEED)
    written = [
        row
        for customer, moved in rows.items()
        for row in RENDER[format_](moved, currency="eur" if customer in export.foreign else "usd")
    ]
    found: list[Difference] = []

    lag = timedelta(days=2 if format_ == "csv" else 1)
    made_at = {"exported_at": FRESH_UNTIL - DAY + lag, "on_difference": found.append}
    report = copied.by_csv(written, **made_at) if format_ == "csv" else copied.by_sigma(written, **made_at)

    print(f"{len(expected):,} injected, {report.compared:,} rows compared, {len(found):,} differ: {report.counts}")
    assert causes_of(found) == {key: {cause} for key, cause in expected.items()}
    assert report.unexplained == sum(cause is Cause.UNEXPLAINED for cause in expected.values())
    assert set(report.counts) == set(expected.values()) == set(Cause) - (set() if of_customers else {Cause.BUCKET})


def test_days_that_an_export_does_not_reach_yet_are_named(audited: Audited) -> None:
    moved = sorted(
        (replace(one, kind=_kind_here(audited, one)) for one in audited.merchant.moved), key=lambda one: one.at
    )
    kept = [one for one in moved if one.at < END - timedelta(days=120)]
    key = "customer" if by_customer(audited) else "subscription"
    missing: dict[tuple[str, date], int] = {}
    for one in moved[len(kept) :]:
        place = (getattr(one, key), one.at.date())
        missing[place] = missing.get(place, 0) + one.minor

    report = audited.by_sigma(sigma_csv(kept))

    assert report.counts == {Cause.FRESHNESS: sum(minor != 0 for minor in missing.values())}


def test_a_paused_collection_is_named(sqlite_template: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(sqlite_template, tmp_path / "bridge.db"))
    made = merchant(1, 3, BEGIN, END)
    [one] = made.buyers
    one.simulated = one.simulated.later(days=3).become("paused", name=next(iter(one.mrr)))
    audited = settled(path, made)
    active = [moved for moved in made.moved if moved.kind != "churn"]

    report = audited.by_sigma(sigma_csv(active), exported_at=NOW)

    assert report.counts == {Cause.PAUSED: 1}


# ---- The API -------------------------------------------------------------------------------------------------------


def test_every_injected_difference_of_the_api_gets_its_cause_and_nothing_else_differs(copied: Audited) -> None:
    lists = copied.merchant.api_lists()
    with copied.store().transaction() as tx:
        expected = inject(Lists(tx=tx, lists=lists), OF_API, copied.merchant.buyers, SHARE, SEED)
    found: list[Difference] = []

    report = copied.by_api(lists, on_difference=found.append)

    print(f"{len(expected):,} injected, {report.compared:,} rows compared, {len(found):,} differ: {report.counts}")
    assert causes_of(found) == {key: {cause} for key, cause in expected.items()}
    assert report.unexplained == sum(cause is Cause.UNEXPLAINED for cause in expected.values())
    # Days and buckets are those of an export; an API has no lag.
    assert set(report.counts) == set(Cause) - {Cause.TIME_ZONE, Cause.BUCKET, Cause.FRESHNESS}


def test_levels_of_another_setting_are_named(audited: Audited) -> None:
    policy = replace(audited.source.policy, mrr_discounts=MrrDiscounts.NONE)
    with_coupon = {
        one.id
        for buyer in audited.merchant.buyers
        for name, one in buyer.simulated.subscriptions.items()
        if one.coupon is not None and buyer.mrr[name]
    }

    found: list[Difference] = []
    audited.by_api(audited.merchant.api_lists(), replace(audited.source, policy=policy), on_difference=found.append)

    assert causes_of(found) == {one: {Cause.DISCOUNT} for one in with_coupon}


def test_levels_of_scheduled_ends_are_the_churn_time_and_unknown_subscriptions_are_missing(audited: Audited) -> None:
    lists = audited.merchant.api_lists()
    active = lists["/v1/subscriptions"]
    ended, changed = active[0]["id"], active[1]["id"]
    active.append({**active[2], "id": "sub_unknown"})
    for one in active[1:2]:
        one["items"]["data"][0]["quantity"] += 5
    lists["/v1/subscriptions"] = active[1:]

    report = audited.by_api(lists)

    assert causes_of(report.differences) == {one: {Cause.MISSING} for one in (ended, changed, "sub_unknown")}


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

    growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(
        f"{count:,} rows, {report.differing:,} differ: {time.monotonic() - began:.0f} s, {growth / 1024:.0f} MiB more"
    )
    assert report.counts.get(Cause.MISSING, 0) == (count if differ else 0)
    assert growth < 200 * 1024


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

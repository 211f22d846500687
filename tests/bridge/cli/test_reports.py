"""`mrr`: the level and the movements, as a table and as JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from bridge.store import Store, subscriptions
from tests.bridge.cli.conftest import Command
from tests.bridge.store.builders import a_delivery, a_subscription_row, added


def a_movement(key: str, kind: str, mrr: str, day: str, **changes: Any) -> Any:
    body = json.dumps({"metadata": {"plan": "Pro", "occurred_at": f"{day}T12:00:00Z"}})
    return a_delivery(key, event_type=kind, amount=Decimal(0), mrr_impact=Decimal(mrr), body=body, **changes)


@pytest.fixture
def merchant(sqlite_store: Store) -> Store:
    """A start of 49.00 in February, an upgrade by 50.00 in March; 10.00 is older than the bridge."""
    added(
        sqlite_store,
        a_movement("a", "subscription", "49.00", "2026-02-10"),
        a_movement("b", "upgrade", "50.00", "2026-03-10"),
    )
    with sqlite_store.transaction() as tx:
        subscriptions.save(tx, [a_subscription_row(mrr=Decimal(109), baseline=Decimal(10))])
    return sqlite_store


def test_the_table_has_a_row_for_each_period(cli: Command, merchant: Store) -> None:
    ended = cli("mrr", "--since", "2026-02-01", "--until", "2026-03-31")

    assert [line.split() for line in ended.out.splitlines()[:4]] == [
        "MRR now: 109.00 USD (10.00 of it older than the bridge)".split(),
        "month new reactivation upgrade downgrade churn net MRR at its end".split(),
        "Feb 2026 +49.00 +49.00 59.00".split(),
        "Mar 2026 +50.00 +50.00 109.00".split(),
    ]


def test_programs_get_the_report_of_each_currency(cli: Command, merchant: Store) -> None:
    added(merchant, a_movement("c", "subscription", "5.00", "2026-02-10", currency="EUR"))

    both = cli("mrr", "--json", "--by", "week", "--since", "2026-02-09", "--until", "2026-02-15").json
    euros = cli("mrr", "--json", "--currency", "eur").json

    assert [(one["selection"]["currency"], len(one["buckets"]), one["net"]) for one in both] == [
        ("USD", 1, "49.00"),  # has a subscription with MRR, the other none
        ("EUR", 1, "5.00"),
    ]
    assert [one["selection"]["currency"] for one in euros] == ["EUR"]


def test_without_dates_it_shows_twelve_months_up_to_today(cli: Command, merchant: Store) -> None:
    [report] = cli("mrr", "--json").json

    assert len(report["buckets"]) == 12
    assert report["selection"]["last"] == datetime.now(UTC).date().isoformat()


def test_an_empty_store_says_so(cli: Command, sqlite_store: Store) -> None:
    assert cli("mrr").out == "No revenue events yet.\n"
    assert cli("mrr", "--test", "--json").json == []


def test_wrong_usage_names_what_there_is(cli: Command, merchant: Store) -> None:
    unknown, reversed_days = (
        cli("mrr", "--source", "shop"),
        cli("mrr", "--since", "2026-02-02", "--until", "2026-02-01"),
    )

    assert (unknown.status, unknown.err) == (2, "there is no source shop. Configured: paddle, stripe\n")
    assert (reversed_days.status, reversed_days.err) == (2, "--since is after --until\n")

"""`status`: webhooks and revenue events by status, backlog, totals and problems."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bridge.store import Store, leases, outbox, pauses, refusals, streams
from bridge.store.outbox import DeliveryStatus
from bridge.store.refusals import Refusals
from tests.bridge.cli.conftest import Command
from tests.bridge.cli.working import arrive, work
from tests.bridge.store.builders import a_delivery, added, an_outcome, an_update
from tests.settings import some_settings


def test_an_empty_store_says_so(cli: Command) -> None:
    ended = cli("status")

    assert ended.status == 0
    assert ended.out == (
        "Webhooks\n  none\n\nRevenue events\n  none\n\nTotals\n  none\n\n"
        "No worker is running. Start one: pulsora-bridge serve (or worker).\n"
    )


def test_it_says_until_when_the_next_customer_waits(cli: Command, sqlite_store: Store) -> None:
    with sqlite_store.transaction() as tx:
        streams.upsert(tx, [an_update(due_at=datetime(2099, 3, 1, 12, 0, tzinfo=UTC))])

    assert (
        "Settling: 1 customer waiting, 0 due, 0 in progress.\n"
        "The next wait ends at 2099-03-01 12:00:00 UTC: "
        "waiting for the date on which it takes effect.\n"
    ) in cli("status").out


def test_a_lifecycle_is_counted_and_added_up(cli: Command, sqlite_store: Store, sqlite_url: str) -> None:
    settings = some_settings(sqlite_url)
    arrive(sqlite_store, "stripe", "upgrade")
    work(sqlite_store, settings)
    arrive(sqlite_store, "paddle", "one-off")

    ended = cli("status", "--json")

    assert ended.json["inbox"]["stripe"] == {"ignored": 1, "settled": 17}
    assert ended.json["inbox"]["paddle"] == {"received": 9}
    assert ended.json["outbox"] == {"stripe": {"pending": 2}}
    [total] = ended.json["totals"]
    # 49.00 a month, then 99.00: nothing is delivered yet
    assert (total["mrr_delivered"], total["mrr_pending"]) == ("0", "99.00")


def test_tables_hold_a_column_for_each_status(cli: Command, sqlite_store: Store, sqlite_url: str) -> None:
    arrive(sqlite_store, "stripe", "signup")
    work(sqlite_store, some_settings(sqlite_url))

    lines = cli("status").out.splitlines()

    assert lines[1].split() == ["source", "received", "waiting", "settled", "ignored", "failed"]
    assert lines[2].split() == ["stripe", "9", "1"]
    assert lines[5].split() == ["source", "held", "pending", "delivered", "failed", "dropped", "not_forwarded"]
    assert lines[6].split() == ["stripe", "1"]


def test_a_backlog_shows_how_long_it_takes_under_the_budget(cli: Command, sqlite_store: Store) -> None:
    made = datetime.now(UTC) - timedelta(minutes=5)
    waiting = [a_delivery(f"payment:pi_{number}", created_at=made) for number in range(30)]
    with sqlite_store.transaction() as tx:
        outbox.add(tx, waiting)

    ended = cli("status", RATE_LIMIT_PER_HOUR="10")

    # 30 at 10 an hour
    assert "30 revenue events to send. At 10 an hour, sending takes about 3 h.\n" in ended.out
    assert "The oldest unsent revenue event was created 5 min ago.\n" in ended.out


def test_what_is_held_or_retried_is_not_about_to_be_sent(cli: Command, sqlite_store: Store) -> None:
    until = datetime(2030, 1, 1, tzinfo=UTC)
    held = a_delivery("held", status=DeliveryStatus.HELD, hold_until=until, stream_id="s1")
    _, tried = added(sqlite_store, held, a_delivery("tried", stream_id="s2"))
    with sqlite_store.transaction() as tx:
        outbox.record(tx, [an_outcome(tried, DeliveryStatus.PENDING, next_at=until, last_status=503)])

    output = cli("status").out

    assert "to send." not in output
    assert "1 revenue event waiting for another attempt.\n" in output
    assert "HELD for their attribution: 1, the first until 2030-01-01 00:00:00 UTC. pulsora-bridge deli" in output


def test_refused_webhooks_are_reported_with_the_usual_reason(cli: Command, sqlite_store: Store) -> None:
    now = datetime.now(UTC)
    one = Refusals(source="stripe", cause="signature_mismatch", hour=refusals.hour_of(now), count=34, last_at=now)
    with sqlite_store.transaction() as tx:
        refusals.add(tx, [one], now)

    assert (
        "REFUSED: 34 webhooks of stripe refused in the last hour: signature_mismatch, the webhook secret belongs to "
        "another endpoint, or a proxy changes the body.\n"
    ) in cli("status").out
    assert len(cli("status", "--json").json["refused"]) == 1


def test_pauses_and_failed_deliveries_are_reported_in_sentences(cli: Command, sqlite_store: Store) -> None:
    [delivery_id] = added(sqlite_store, a_delivery())
    with sqlite_store.transaction() as tx:
        outbox.record(tx, [an_outcome(delivery_id, DeliveryStatus.FAILED, last_status=400, last_error="amount wrong")])
        until, now = datetime(2030, 1, 1, tzinfo=UTC), datetime.now(UTC)
        pauses.pause(tx, "https://pulsora.co:443#1a2b", until, "401: Invalid API token", True, now=now)
        pauses.pause(tx, "https://other.example:443", until, "429: slow down", now=now)

    output = cli("status").out

    assert (
        "PAUSED until 2030-01-01 00:00:00 UTC: https://pulsora.co: 401: Invalid API token. "
        "Nothing is lost: correct PULSORA_SECRET_TOKEN or PULSORA_ENDPOINT, and restart.\n"
    ) in output
    assert (
        "PAUSED until 2030-01-01 00:00:00 UTC: https://other.example: 429: slow down. "
        "Nothing needs to be done: Pulsora asked for this pause, and sending continues after it.\n"
    ) in output
    assert "FAILED deliveries: 1. pulsora-bridge deliveries list --status failed\n" in output


def test_the_latest_heartbeat_counts(cli: Command, sqlite_store: Store) -> None:
    now = datetime.now(UTC)
    with sqlite_store.transaction() as tx:
        leases.heartbeat(tx, "old", now - timedelta(hours=3))
        leases.heartbeat(tx, "young", now - timedelta(minutes=30))

    assert cli("status").out.splitlines()[-1] == "Last heartbeat of a worker: 30 min ago."

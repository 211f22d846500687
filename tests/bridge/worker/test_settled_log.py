"""One webhook can be followed through the log: received, settled, delivered."""

from __future__ import annotations

from structlog.testing import capture_logs

from bridge.store import Store, inbox
from bridge.store.inbox import InboxStatus
from tests.bridge.cli.working import arrive, work
from tests.settings import some_settings


def test_each_settled_webhook_is_logged_with_its_stream_and_revenue_events(
    sqlite_store: Store, sqlite_url: str
) -> None:
    event_ids = arrive(sqlite_store, "stripe", "signup")

    with capture_logs() as lines:
        work(sqlite_store, some_settings(sqlite_url))

    settled = [line for line in lines if line["event"] == "settled"]
    with sqlite_store.reading() as tx:
        stored = {row.event_id for row in inbox.listing(tx, InboxStatus.SETTLED)}
    assert {line["event_id"] for line in settled} == stored
    assert stored <= set(event_ids)
    assert {line["source"] for line in settled} == {"stripe"}
    assert len({line["stream"] for line in settled}) == 1
    assert any(line["revenue_events"] for line in settled)
    assert all(line["type"] for line in settled)

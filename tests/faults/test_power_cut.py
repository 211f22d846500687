"""A power cut, which loses everything that was not synced: acknowledged webhooks survive."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from bridge.sandbox.fake_pulsora import FakePulsora
from tests.faults.clients import LoadGenerator
from tests.faults.consistency import integrity, stored_events
from tests.faults.service import running
from tests.settings import TOKEN

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "100"))


def lost_by_power_cut(url: str, folder: Path, unsynced_disk: str, disabled: str | None = None) -> tuple[int, set[str]]:
    """The number of webhooks acknowledged before a power cut under load, and those lost by it."""
    database = Path(url.removeprefix("sqlite:///"))
    with (
        FakePulsora(TOKEN) as pulsora,
        running(
            folder, database_url=url, endpoint=pulsora.endpoint, disabled=disabled, LD_PRELOAD=unsynced_disk
        ) as service,
        LoadGenerator(ports=(service.port,), threads=4, tag=str(time.monotonic_ns()), pause_seconds=0.01) as clients,
    ):
        clients.await_acknowledged(60)
        service.kill("everything")
        acknowledged = dict(clients.acknowledged)
        for file in (database, database.with_name(f"{database.name}-wal")):
            _discard_unsynced(file)
        database.with_name(f"{database.name}-shm").unlink(missing_ok=True)
    assert integrity(database) == "ok"
    stored = stored_events(url)
    return len(acknowledged), {event_id for event_id, body in acknowledged.items() if stored.get(event_id) != body}


def _discard_unsynced(file: Path) -> None:
    synced = file.with_name(f"{file.name}.synced")
    if synced.exists():
        synced.replace(file)
    elif file.name.endswith("-wal"):
        file.unlink(missing_ok=True)  # it was never synced


def test_what_was_acknowledged_survives_a_power_cut(sqlite_url: str, tmp_path: Path, unsynced_disk: str) -> None:
    acknowledged, lost = lost_by_power_cut(sqlite_url, tmp_path, unsynced_disk)

    assert acknowledged >= 60
    assert lost == set()


def test_the_harness_notices_a_bridge_that_does_not_sync(sqlite_url: str, tmp_path: Path, unsynced_disk: str) -> None:
    _, lost = lost_by_power_cut(sqlite_url, tmp_path, unsynced_disk, disabled="no_fsync")

    assert lost != set()


@pytest.mark.campaign
@pytest.mark.timeout(24 * 3600)
def test_a_campaign_of_power_cuts(
    sqlite_url: str, tmp_path: Path, unsynced_disk: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [lost_by_power_cut(sqlite_url, tmp_path, unsynced_disk) for _ in range(ROUNDS)]

    with capsys.disabled():
        print(f"\n{ROUNDS} power cuts, {sum(count for count, _ in found)} acknowledged")
    assert [lost for _, lost in found if lost] == []

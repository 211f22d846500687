"""kill -9 of web, worker and all of it, at random moments under load: what was acknowledged is on disk and arrives."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bridge.sandbox.fake_pulsora import FakePulsora
from tests.faults.clients import Crowd
from tests.faults.kills import PARTS, first, kill_rounds
from tests.faults.reckoning import reckon
from tests.faults.service import SECRETS, running
from tests.settings import TOKEN


@pytest.mark.parametrize("seed", [1, 2])
def test_what_was_acknowledged_survives_a_kill_of_any_part(sqlite_url: str, tmp_path: Path, seed: int) -> None:
    rounds = kill_rounds(tmp_path, sqlite_url, parts=first(30), seed=seed)

    rounds.demand_truth()
    assert rounds.reckoning is not None
    assert rounds.reckoning.acknowledged > 30


def test_what_postgresql_acknowledged_survives_a_kill_of_any_part(postgresql_url: str, tmp_path: Path) -> None:
    rounds = kill_rounds(tmp_path, postgresql_url, parts=PARTS)

    rounds.demand_truth()


def test_a_stop_in_peace_sends_nothing_twice(sqlite_url: str, tmp_path: Path) -> None:
    with (
        FakePulsora(TOKEN) as ingest,
        running(tmp_path, database_url=sqlite_url, endpoint=ingest.endpoint) as service,
        Crowd(ports=(service.port,), threads=4, pause_seconds=0.01) as crowd,
    ):
        crowd.await_acknowledged(200)

        statuses = service.stop()
        service.restart()
        crowd.await_acknowledged(len(crowd.acknowledged) + 50)
        crowd.__exit__()

        assert statuses == [0]
        reckon([crowd], sqlite_url, ingest).demand_truth(resends=0)
        assert service.logs_of("Traceback", *SECRETS) == []


@pytest.mark.parametrize("guard", ["early", "forgetful"])
def test_the_harness_notices_a_bridge_that_acknowledges_before_it_stores(
    sqlite_url: str, tmp_path: Path, guard: str
) -> None:
    rounds = kill_rounds(tmp_path, sqlite_url, parts=["everything"], guard=guard)

    with pytest.raises(AssertionError, match="acknowledged events are lost"):
        rounds.demand_truth()


@pytest.mark.campaign
@pytest.mark.timeout(24 * 3600)
def test_a_campaign_of_kills(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    parts = first(int(os.environ.get("FAULT_ROUNDS", "1000")))

    rounds = kill_rounds(tmp_path, database_url, parts=parts, seed=int(os.environ.get("FAULT_SEED", "1")))

    with capsys.disabled():
        print(f"\n{request.node.name}\n{rounds.told()}")
    rounds.demand_truth()

"""kill -9 of any process at random moments under load: acknowledged webhooks are stored and sent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bridge.sandbox.fake_pulsora import FakePulsora
from tests.faults.clients import LoadGenerator
from tests.faults.consistency import check_consistency
from tests.faults.kills import PARTS, kill_rounds, parts_to_kill
from tests.faults.service import SECRETS, running
from tests.settings import TOKEN


def test_what_was_acknowledged_survives_a_kill_of_any_part(sqlite_url: str, tmp_path: Path) -> None:
    rounds = kill_rounds(tmp_path, sqlite_url, parts=PARTS)

    rounds.assert_consistent()
    assert rounds.consistency is not None
    assert rounds.consistency.acknowledged > 15


def test_what_postgresql_acknowledged_survives_a_kill_of_any_part(postgresql_url: str, tmp_path: Path) -> None:
    rounds = kill_rounds(tmp_path, postgresql_url, parts=PARTS[:4])

    rounds.assert_consistent()


def test_a_stop_in_peace_sends_nothing_twice(sqlite_url: str, tmp_path: Path) -> None:
    with (
        FakePulsora(TOKEN) as pulsora,
        running(tmp_path, database_url=sqlite_url, endpoint=pulsora.endpoint) as service,
        LoadGenerator(ports=(service.port,), threads=4, pause_seconds=0.01) as clients,
    ):
        clients.await_acknowledged(80)

        statuses = service.stop()
        service.restart()
        clients.await_acknowledged(len(clients.acknowledged) + 20)
        clients.__exit__()

        assert statuses == [0]
        check_consistency([clients], sqlite_url, pulsora).assert_consistent(resends=0)
        assert service.logs_of("Traceback", *SECRETS) == []


@pytest.mark.parametrize("disabled", ["ack_before_commit", "truncated_body"])
def test_the_harness_notices_a_bridge_that_acknowledges_before_it_stores(
    sqlite_url: str, tmp_path: Path, disabled: str
) -> None:
    rounds = kill_rounds(tmp_path, sqlite_url, parts=["everything"], disabled=disabled, patience=3)

    with pytest.raises(AssertionError, match="acknowledged events are lost"):
        rounds.assert_consistent()


@pytest.mark.campaign
@pytest.mark.timeout(24 * 3600)
def test_a_campaign_of_kills(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    parts = parts_to_kill(int(os.environ.get("FAULT_ROUNDS", "1000")))

    rounds = kill_rounds(tmp_path, database_url, parts=parts, seed=int(os.environ.get("FAULT_SEED", "1")))

    with capsys.disabled():
        print(f"\n{request.node.name}\n{rounds.report()}")
    rounds.assert_consistent()

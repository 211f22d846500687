"""Seeds of the simulation; CONTRIBUTING.md has the command that plays more."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulation.environment import Database, opened
from tests.simulation.play import play
from tests.simulation.world import World

PROGRAM = Path(__file__).with_name("run.py")
SEEDS = int(os.environ.get("SIMULATION_SEEDS", "1000"))
AT_ONCE = 10  # so that the processes of a test run share them


@pytest.fixture(scope="module", name="database")
def _database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    database = opened(f"sqlite:///{tmp_path_factory.mktemp('simulation') / 'bridge.db'}")
    yield database
    database.close()


@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_the_invariants_hold_with_faults_and_crashes(database: Database, first: int) -> None:
    for seed in range(first, min(first + AT_ONCE, SEEDS)):
        played = play(database, seed)

        assert played.broken is None, "\n".join([f"seed {seed}: {played.broken}", *played.trace[-50:]])
        assert played.webhooks > 0


def test_a_seed_always_plays_the_same(database: Database) -> None:
    assert play(database, 2).digest == play(database, 2).digest


def test_the_checks_notice_a_disabled_guard() -> None:
    found = subprocess.run(
        [sys.executable, str(PROGRAM), "--until-broken", "--seeds", "50"],
        env={**os.environ, "DISABLED_GUARDS": "no_window"},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip

    assert (found.returncode, found.stderr) == (1, "")
    assert ": 3: " in found.stdout


def test_no_webhook_arrives_before_its_lifecycle_has_begun(database: Database) -> None:
    seed = next(seed for seed in range(100) if _has_two_workers(database, seed))
    with World(database=database, seed=seed) as world:
        for _ in range(100):
            world.interleave()

        assert world.acknowledged == {}  # the first webhook comes after 90 s


def _has_two_workers(database: Database, seed: int) -> bool:
    with World(database=database, seed=seed) as world:
        return len(world.processes) == 2  # otherwise nothing is ever interleaved

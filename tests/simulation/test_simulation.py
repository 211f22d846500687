"""A few seeds of the simulation; CONTRIBUTING.md has the command that plays many."""

from __future__ import annotations

import pytest

from bridge.store import open_store
from tests.simulation.environment import Database
from tests.simulation.play import play
from tests.simulation.world import World


@pytest.fixture(scope="module", name="database")
def _database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    url = f"sqlite:///{tmp_path_factory.mktemp('simulation') / 'bridge.db'}"
    store = open_store(url)
    store.migrate()
    store.close()
    return Database(url)


@pytest.mark.parametrize("seed", range(5))
def test_the_invariants_hold_with_faults_and_crashes(database: Database, seed: int) -> None:
    played = play(database, seed)

    assert played.broken is None, "\n".join([played.broken or "", *played.trace[-50:]])
    assert played.webhooks > 0


def test_a_seed_always_plays_the_same(database: Database) -> None:
    assert play(database, 2).digest == play(database, 2).digest


def test_no_webhook_arrives_before_its_lifecycle_has_begun(database: Database) -> None:
    with World(database=database, seed=18) as world:
        for _ in range(100):
            world.interleave()

        assert len(world.processes) == 2  # otherwise nothing is ever interleaved
        assert world.acknowledged == {}  # the first webhook comes after 90 s

"""A destination that refuses gets nothing until its pause is over, and is tried carefully then."""

from __future__ import annotations

from bridge.store import Store, pauses
from tests.bridge.store.builders import HOUR, MINUTE, NOON

PULSORA = "https://pulsora.co:443#12345678"


def standing(store: Store, now: object = NOON) -> list[pauses.Pause]:
    with store.reading() as tx:
        return pauses.active(tx, now)  # type: ignore[arg-type]


def test_a_pause_ends_by_itself(store: Store) -> None:
    with store.transaction() as tx:
        pauses.pause(tx, PULSORA, NOON + MINUTE, "429: Rate limited", now=NOON)

    assert [(one.destination, one.until, one.reason) for one in standing(store)] == [
        (PULSORA, NOON + MINUTE, "429: Rate limited")
    ]
    assert standing(store, NOON + MINUTE) == []


def test_a_probing_pause_lasts_until_it_is_ended(store: Store) -> None:
    with store.transaction() as tx:
        pauses.pause(tx, PULSORA, NOON + MINUTE, "401", probing=True, now=NOON)
    assert len(standing(store, NOON + HOUR)) == 1

    with store.transaction() as tx:
        pauses.resume(tx, PULSORA)
        pauses.resume(tx, "never paused")

    assert standing(store) == []


def test_a_pause_that_goes_on_keeps_its_beginning(store: Store) -> None:
    with store.transaction() as tx:
        pauses.pause(tx, PULSORA, NOON + MINUTE, "401", probing=True, now=NOON)
        pauses.pause(tx, PULSORA, NOON + HOUR, "403", probing=True, now=NOON + 2 * MINUTE)

    (pause,) = standing(store)
    assert (pause.since, pause.until, pause.reason) == (NOON, NOON + HOUR, "403")


def test_a_pause_after_one_that_was_over_begins_anew(store: Store) -> None:
    with store.transaction() as tx:
        pauses.pause(tx, PULSORA, NOON + MINUTE, "429", now=NOON)
        pauses.pause(tx, PULSORA, NOON + 2 * HOUR, "401", probing=True, now=NOON + HOUR)

    (pause,) = standing(store)
    assert pause.since == NOON + HOUR

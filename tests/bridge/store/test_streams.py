"""A stream is due when it has been quiet, belongs to one worker at a time, and forgets nothing that came meanwhile."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Connection

from bridge.store import Store, streams
from bridge.store.streams import Claim, LeaseLost, SettledStream
from tests.bridge.store.builders import ANNA, BERT, HOUR, MINUTE, NOON, SCOPE, an_update, updated

NOBODY = f"{SCOPE}|~pi_1"


def claims(store: Store, now: object = NOON + MINUTE, owner: str = "worker", limit: int = 10) -> list[Claim]:
    with store.transaction() as tx:
        return streams.claim_due(tx, now, limit, owner, now + MINUTE)  # type: ignore[arg-type,operator]


def save(tx: Connection, claim: Claim, state: str, now: datetime, due_at: datetime | None = None) -> None:
    streams.save(tx, [SettledStream(claim=claim, state=state, due_at=due_at)], now)


def test_an_updated_stream_is_due_at_its_time_and_not_before(store: Store) -> None:
    updated(store, an_update(due_at=NOON + MINUTE))

    with store.reading() as tx:
        assert streams.is_any_due(tx, NOON) is False
        assert streams.is_any_due(tx, NOON + MINUTE) is True
    assert claims(store, NOON) == []
    assert [claim.stream_id for claim in claims(store, NOON + MINUTE)] == [ANNA]


def test_a_window_keeps_its_beginning_while_its_end_moves(store: Store) -> None:
    updated(store, an_update(at=NOON, has_customer=False))
    updated(store, an_update(at=NOON + MINUTE, has_customer=True))
    updated(store, an_update(at=NOON + 2 * MINUTE, has_customer=False, due_at=NOON + HOUR))

    with store.reading() as tx:
        row = streams.find(tx, [ANNA, BERT])[ANNA]

    assert (row.first_at, row.last_at, row.due_at) == (NOON, NOON + 2 * MINUTE, NOON + HOUR)
    assert (row.version, row.has_customer, row.settled_at) == (3, True, None)


def test_after_settling_a_new_window_opens(store: Store) -> None:
    updated(store, an_update(at=NOON))
    (claim,) = claims(store)
    with store.transaction() as tx:
        save(tx, claim, "{}", NOON + MINUTE)

    updated(store, an_update(at=NOON + HOUR))

    with store.reading() as tx:
        row = streams.find(tx, [ANNA])[ANNA]
    assert (row.first_at, row.settled_at) == (NOON + HOUR, NOON + MINUTE)


def test_a_claimed_stream_is_nobody_elses_until_its_lease_runs_out(store: Store) -> None:
    updated(store, an_update())

    first = claims(store, NOON + MINUTE, "worker 1")
    meanwhile = claims(store, NOON + MINUTE, "worker 2")
    later = claims(store, NOON + 2 * MINUTE, "worker 2")

    assert [claim.owner for claim in first] == ["worker 1"]
    assert meanwhile == []
    assert [claim.owner for claim in later] == ["worker 2"]


def test_the_longest_waiting_are_claimed_first_and_given_by_id(store: Store) -> None:
    for minute, name in enumerate(("d", "b", "c", "a")):
        updated(store, an_update(f"{SCOPE}|{name}", due_at=NOON + minute * MINUTE))

    taken = claims(store, NOON + HOUR, limit=3)

    assert [claim.stream_id for claim in taken] == [f"{SCOPE}|b", f"{SCOPE}|c", f"{SCOPE}|d"]


def test_of_a_backlog_a_quarter_is_claimed_from_what_became_due_last(store: Store) -> None:
    names = [f"{SCOPE}|cus_{number}" for number in range(10)]  # cus_0 has been due for longest
    updated(store, *(an_update(name, due_at=NOON + timedelta(seconds=number)) for number, name in enumerate(names)))

    assert [claim.stream_id for claim in claims(store, limit=8)] == [*names[:6], *names[8:]]
    assert [claim.stream_id for claim in claims(store, limit=8)] == names[6:8]


def test_a_saved_state_comes_back_with_the_next_claim(store: Store) -> None:
    updated(store, an_update())
    (claim,) = claims(store)
    state = '{"café": "' + "x" * 10_000 + '"}'

    with store.transaction() as tx:
        save(tx, claim, state, NOON + MINUTE)
    updated(store, an_update())

    assert claim.state is None
    assert [again.state for again in claims(store)] == [state]


def test_a_settled_stream_is_due_no_more(store: Store) -> None:
    updated(store, an_update())
    (claim,) = claims(store)

    with store.transaction() as tx:
        save(tx, claim, "{}", NOON + MINUTE)

    assert claims(store, NOON + HOUR) == []


def test_a_stream_that_is_updated_while_it_is_settled_stays_due(store: Store) -> None:
    updated(store, an_update())
    (claim,) = claims(store)
    updated(store, an_update(at=NOON + 2 * MINUTE, due_at=NOON + 3 * MINUTE))

    with store.transaction() as tx:
        save(tx, claim, "{}", NOON + 2 * MINUTE, due_at=NOON + HOUR)

    assert [again.stream_id for again in claims(store, NOON + 3 * MINUTE)] == [ANNA]
    with store.reading() as tx:
        assert streams.find(tx, [ANNA])[ANNA].first_at == NOON + 2 * MINUTE


def test_facts_dated_ahead_make_a_stream_due_again_later(store: Store) -> None:
    updated(store, an_update())
    (claim,) = claims(store)

    with store.transaction() as tx:
        save(tx, claim, "{}", NOON + MINUTE, due_at=NOON + HOUR)

    assert claims(store, NOON + HOUR - MINUTE) == []
    assert len(claims(store, NOON + HOUR)) == 1


def test_many_are_saved_as_one(store: Store) -> None:
    updated(store, an_update(ANNA), an_update(BERT))
    anna, bert = claims(store)

    with store.transaction() as tx:
        streams.save(
            tx, [SettledStream(claim=anna, state="A"), SettledStream(claim=bert, state="B", due_at=NOON + HOUR)], NOON
        )

    again = claims(store, NOON + HOUR)
    assert [(claim.stream_id, claim.state) for claim in again] == [(BERT, "B")]


def test_a_worker_that_lost_its_lease_writes_nothing(store: Store) -> None:
    updated(store, an_update(ANNA), an_update(BERT))
    slow = claims(store, NOON + MINUTE, "slow")
    anna, _ = claims(store, NOON + 3 * MINUTE, "quick")
    with store.transaction() as tx:
        save(tx, anna, "quick", NOON + 3 * MINUTE)

    with pytest.raises(LeaseLost), store.transaction() as tx:
        streams.save(tx, [SettledStream(claim=claim, state="slow") for claim in slow], NOON + 3 * MINUTE)

    updated(store, an_update(ANNA), an_update(BERT))
    assert [claim.state for claim in claims(store, NOON + HOUR)] == ["quick", None]


def test_a_worker_cannot_use_its_own_older_lease(store: Store) -> None:
    updated(store, an_update())
    (older,) = claims(store, NOON + MINUTE)
    claims(store, NOON + 3 * MINUTE)

    with pytest.raises(LeaseLost), store.transaction() as tx:
        save(tx, older, "{}", NOON + 3 * MINUTE)


def test_a_postponed_stream_comes_back_with_the_reason_shown(store: Store) -> None:
    updated(store, an_update())
    (claim,) = claims(store)

    with store.transaction() as tx:
        streams.postpone(tx, claim, NOON + HOUR, "its source is gone")

    with store.reading() as tx:
        row = streams.find(tx, [ANNA])[ANNA]
    assert (row.due_at, row.reason, row.leased_by) == (NOON + HOUR, "its source is gone", None)
    assert len(claims(store, NOON + HOUR)) == 1


def test_a_released_stream_is_due_at_once(store: Store) -> None:
    updated(store, an_update())
    (claim,) = claims(store)

    with store.transaction() as tx:
        streams.release(tx, claim)

    assert len(claims(store)) == 1


def test_counts_are_of_waiting_due_and_leased_streams(store: Store) -> None:
    updated(store, *(an_update(f"{SCOPE}|{n}") for n in range(5)), an_update(ANNA, due_at=NOON + HOUR))
    taken = claims(store, limit=2)
    with store.transaction() as tx:
        save(tx, taken[0], "{}", NOON)

    with store.reading() as tx:
        counts = streams.counts(tx, NOON + MINUTE)

    assert (counts.waiting, counts.due, counts.leased) == (1, 3, 1)


def test_ids_lead_to_streams_within_their_ledger(store: Store) -> None:
    with store.transaction() as tx:
        streams.link(tx, SCOPE, {"pi_1": ANNA, "in_1": ANNA, "pi_2": BERT})
        streams.link(tx, "stripe||test", {"pi_1": "stripe||test|cus_x"})

    with store.reading() as tx:
        assert streams.links(tx, SCOPE, ["pi_1", "pi_2", "pi_3"]) == {"pi_1": ANNA, "pi_2": BERT}
        assert streams.links(tx, SCOPE, []) == {}


def test_a_link_can_be_led_elsewhere(store: Store) -> None:
    with store.transaction() as tx:
        streams.link(tx, SCOPE, {"pi_1": NOBODY})
        streams.link(tx, SCOPE, {"pi_1": ANNA})

    with store.reading() as tx:
        assert streams.links(tx, SCOPE, ["pi_1"]) == {"pi_1": ANNA}


def test_a_merged_stream_is_gone_and_all_its_ids_lead_on(store: Store) -> None:
    updated(store, an_update(NOBODY, has_customer=False), an_update(f"{SCOPE}|~cs_1"), an_update(ANNA))
    with store.transaction() as tx:
        streams.link(tx, SCOPE, {"pi_1": NOBODY, "ch_1": NOBODY, "pi_2": f"{SCOPE}|~pi_2"})

    with store.transaction() as tx:
        streams.merge(tx, NOBODY, f"{SCOPE}|~cs_1", NOON)
        streams.merge(tx, f"{SCOPE}|~cs_1", ANNA, NOON)

    with store.reading() as tx:
        assert streams.links(tx, SCOPE, ["pi_1", "ch_1", "pi_2"]) == {
            "pi_1": ANNA,
            "ch_1": ANNA,
            "pi_2": f"{SCOPE}|~pi_2",
        }
        assert set(streams.find(tx, [NOBODY, ANNA])) == {ANNA}


def test_a_stream_that_is_settled_or_being_settled_is_not_merged_away(store: Store) -> None:
    updated(store, an_update(NOBODY, has_customer=False), an_update(ANNA, due_at=NOON + HOUR))
    (claim,) = claims(store)

    with pytest.raises(LeaseLost), store.transaction() as tx:
        streams.merge(tx, NOBODY, ANNA, NOON + MINUTE)
    with store.transaction() as tx:
        save(tx, claim, "{}", NOON + MINUTE)
    with pytest.raises(LeaseLost), store.transaction() as tx:
        streams.merge(tx, NOBODY, ANNA, NOON + HOUR)

    with store.reading() as tx:
        assert set(streams.find(tx, [NOBODY, ANNA])) == {NOBODY, ANNA}


def test_an_adopted_stream_leaves_its_state_and_its_ids_to_the_other_one(store: Store) -> None:
    updated(store, an_update(NOBODY, has_customer=False))
    (claim,) = claims(store)
    with store.transaction() as tx:
        streams.link(tx, SCOPE, {"pi_1": NOBODY})
        save(tx, claim, "nobody's", NOON + MINUTE)
    updated(store, an_update(ANNA))

    with store.transaction() as tx:
        streams.adopt(tx, NOBODY, ANNA, "both", NOON + HOUR)

    with store.reading() as tx:
        assert streams.links(tx, SCOPE, ["pi_1"]) == {"pi_1": ANNA}
        found = streams.find(tx, [NOBODY, ANNA])
        assert (set(found), found[ANNA].settled_at) == ({ANNA}, NOON + HOUR)
        assert (streams.state_of(tx, NOBODY), streams.state_of(tx, ANNA)) == (None, "both")


@pytest.mark.parametrize("leased", [NOBODY, ANNA])
def test_a_stream_that_is_being_settled_neither_adopts_nor_is_adopted(store: Store, leased: str) -> None:
    for stream_id in (NOBODY, ANNA):
        updated(store, an_update(stream_id))
        with store.transaction() as tx:
            (claim,) = streams.claim_due(tx, NOON + MINUTE, 1, "worker", NOON + 2 * MINUTE)
            save(tx, claim, stream_id, NOON + MINUTE)
    updated(store, an_update(leased))
    claims(store)

    with pytest.raises(LeaseLost), store.transaction() as tx:
        streams.adopt(tx, NOBODY, ANNA, "both", NOON + MINUTE)

    with store.reading() as tx:
        assert streams.state_of(tx, ANNA) == ANNA


def test_an_arrival_without_a_customer_never_puts_off_what_waits_already(store: Store) -> None:
    updated(store, an_update(NOBODY, has_customer=False, due_at=NOON + HOUR))
    updated(store, an_update(NOBODY, has_customer=False, due_at=NOON + 720 * HOUR))
    with store.reading() as tx:
        before = streams.find(tx, [NOBODY])[NOBODY].due_at

    updated(store, an_update(NOBODY, has_customer=True, due_at=NOON + 2 * HOUR))

    with store.reading() as tx:
        assert (before, streams.find(tx, [NOBODY])[NOBODY].due_at) == (NOON + HOUR, NOON + 2 * HOUR)


def test_what_arrives_while_a_stream_is_postponed_keeps_its_own_time(store: Store) -> None:
    updated(store, an_update())
    (claim,) = claims(store)
    updated(store, an_update(at=NOON + MINUTE, due_at=NOON + 2 * MINUTE))

    with store.transaction() as tx:
        streams.postpone(tx, claim, NOON + HOUR, "it waits for something")

    with store.reading() as tx:
        assert streams.find(tx, [ANNA])[ANNA].due_at == NOON + 2 * MINUTE


@pytest.mark.parametrize("count", [0, 1, 2, 8, 9, 600, 1100])
def test_any_number_of_ids_is_looked_up(store: Store, count: int) -> None:
    leads = {f"pi_{n}": f"{SCOPE}|{n}" for n in range(count)}
    with store.transaction() as tx:
        streams.link(tx, SCOPE, leads)
        streams.upsert(tx, [an_update(stream_id) for stream_id in leads.values()])

    with store.reading() as tx:
        assert streams.links(tx, SCOPE, leads) == leads
        assert set(streams.find(tx, leads.values())) == set(leads.values())

"""The bridge's own events: decoding returns what was encoded, and a repetition has the same id."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bridge.internal_events import attributions, imports, refreshes
from bridge.settings import Source
from processors.facts import Attribution, Ids, Place, Stage
from processors.values import replace
from tests.builders import a_subscription
from tests.settings import some_settings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
VISIT = {"customer_id": "cus_1", "visitor_fingerprint": "fp_1", "session_id": "sess_1"}


@pytest.fixture
def source(sqlite_url: str) -> Source:
    return some_settings(sqlite_url).sources["stripe"]


def test_an_attribution_is_decoded_as_the_fact_that_was_registered(source: Source) -> None:
    webhook = attributions.encode(source, VISIT, livemode=True, now=NOW)

    translation = attributions.decode(webhook.body)

    assert translation.facts == (
        Attribution(
            place=Place.REGISTERED,
            at=NOW,
            ids=Ids(customer_id="cus_1"),
            metadata={"visitor_fingerprint": "fp_1", "session_id": "sess_1"},
            processor_event_id=webhook.event_id,
        ),
    )


def test_an_attribution_registered_again_has_the_same_id_and_one_of_test_mode_another(source: Source) -> None:
    first = attributions.encode(source, VISIT, livemode=True, now=NOW)
    again = attributions.encode(source, VISIT, livemode=True, now=NOW + timedelta(days=1))
    of_test_mode = attributions.encode(source, VISIT, livemode=False, now=NOW)

    assert first.event_id == again.event_id != of_test_mode.event_id


@pytest.mark.parametrize("body", [b"", b"[]", b'{"data": {}}', b'{"created": "2026-03-01T12:00:00+00:00", "data": {}}'])
def test_an_attribution_without_a_reference_gives_a_reason_and_no_fact(body: bytes) -> None:
    translation = attributions.decode(body)

    assert translation.facts == ()
    assert translation.reason


def test_an_imported_subscription_is_decoded_as_its_state_at_the_import(source: Source) -> None:
    state = a_subscription(minor=4900, seats=3)
    webhook = imports.encode(source, state, livemode=True, now=NOW)

    translation = imports.decode(webhook.body, webhook.event_id)

    assert translation.facts == (replace(state, at=NOW, processor_event_id=webhook.event_id),)


def test_a_state_of_the_ledger_itself_keeps_its_time(source: Source) -> None:
    state = a_subscription()
    webhook = imports.encode(source, state, livemode=True, now=NOW, keeps_time=True)

    assert imports.decode(webhook.body, webhook.event_id).facts[0].at == state.at != NOW


def test_a_refreshed_subscription_is_decoded_as_its_state_once_a_day() -> None:
    state = a_subscription(stage=Stage.IMPORTED)
    webhook = refreshes.encode("stripe", "acct_1", state, livemode=True, now=NOW)
    tomorrow = refreshes.encode("stripe", "acct_1", state, livemode=True, now=NOW + timedelta(days=1))

    facts = refreshes.decode(webhook.body, webhook.event_id).facts

    assert facts == (replace(state, stage=Stage.CHANGED, processor_event_id="refresh_sub_1_20260301"),)
    assert (webhook.scope, webhook.event_id) == ("stripe|acct_1|live", "refresh_sub_1_20260301")
    assert tomorrow.event_id == "refresh_sub_1_20260302"


def test_a_subscription_imported_again_has_the_same_id_until_it_changes(source: Source) -> None:
    state = a_subscription(seats=3, processor_event_id="")
    first = imports.encode(source, state, livemode=True, now=NOW)
    again = imports.encode(source, state, livemode=True, now=NOW)
    changed = imports.encode(source, a_subscription(seats=4, processor_event_id=""), livemode=True, now=NOW)

    assert first.event_id == again.event_id != changed.event_id

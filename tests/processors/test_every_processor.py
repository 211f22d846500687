"""Conformance suite for every registered processor: signatures, envelopes, unknown events, amounts, scenarios."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors import BUILT_IN, processors
from processors.facts import Fact, Payment, Refund
from processors.interface import Event, Processor, SignatureError, SignatureProblem, SignedWebhook, Translation
from processors.payload import Unreadable

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TOLERANCE = timedelta(seconds=300)


REGISTRY = processors()
PROCESSORS = st.sampled_from(list(REGISTRY.values()))


@pytest.fixture(params=REGISTRY, name="processor")
def _processor(request: pytest.FixtureRequest) -> Processor:
    return REGISTRY[request.param]


def bodies(processor: Processor) -> Sequence[tuple[str, bytes]]:
    return bodies_of(processor.name)


@cache
def bodies_of(name: str) -> Sequence[tuple[str, bytes]]:
    scenarios = REGISTRY[name].scenarios.items()
    return [(scenario, body) for scenario, found in scenarios for body in found.events("tag", NOW)]


def a_body(processor: Processor) -> bytes:
    return bodies(processor)[0][1]


def signed(processor: Processor, now: datetime = NOW, body: bytes | None = None) -> SignedWebhook:
    return processor.sign(a_body(processor) if body is None else body, processor.demo_secret, now)


def verified(processor: Processor, webhook: SignedWebhook, *secrets: str, now: datetime = NOW) -> Event:
    return processor.verify(webhook.body, webhook.headers, secrets or (processor.demo_secret,), now, TOLERANCE)


def refusal(processor: Processor, webhook: SignedWebhook, *secrets: str, now: datetime = NOW) -> SignatureError:
    with pytest.raises(SignatureError) as refused:
        verified(processor, webhook, *secrets, now=now)
    return refused.value


def translated(processor: Processor, body: bytes) -> Translation:
    return processor.translate(body, options_of(processor))


def options_of(processor: Processor) -> Mapping[str, str]:
    return {option.name: option.example for option in processor.options}


def test_every_processor_that_is_built_in_is_held_to_this() -> None:
    assert BUILT_IN.keys() <= REGISTRY.keys()


# ---- The declaration ----------------------------------------------------------------------------------------------


def test_its_name_is_the_one_in_the_registry(processor: Processor) -> None:
    assert REGISTRY[processor.name] is processor


def test_its_demo_secret_passes_its_own_check(processor: Processor) -> None:
    assert processor.secret.check(processor.demo_secret) is None


def test_its_secret_is_marked_as_one(processor: Processor) -> None:
    assert processor.secret.secret


def test_its_settings_have_names_as_the_environment_has_them(processor: Processor) -> None:
    names = [option.name for option in (processor.secret, *processor.options)]

    assert all(name == name.upper() and name.replace("_", "").isalnum() for name in names)


def test_its_list_of_events_names_each_once(processor: Processor) -> None:
    assert len(set(processor.event_types)) == len(processor.event_types) > 0


# ---- Verify -------------------------------------------------------------------------------------------------------


def test_its_own_signature_is_accepted_for_every_scenario(processor: Processor) -> None:
    for _, body in bodies(processor):
        event = verified(processor, signed(processor, body=body))

        assert event.id
        assert event.type
        assert event.created_at.tzinfo is not None


def test_header_names_are_read_in_any_case(processor: Processor) -> None:
    webhook = signed(processor)
    shouted = SignedWebhook(body=webhook.body, headers={name.upper(): value for name, value in webhook.headers.items()})

    assert verified(processor, shouted) == verified(processor, webhook)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_one_changed_byte_is_refused(data: st.DataObject) -> None:
    processor = data.draw(PROCESSORS)
    webhook = signed(processor)
    place = data.draw(st.integers(0, len(webhook.body) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != webhook.body[place]))
    spoilt = webhook.body[:place] + bytes([other]) + webhook.body[place + 1 :]

    try:
        event = verified(processor, SignedWebhook(body=spoilt, headers=webhook.headers))
    except SignatureError:
        return

    # A form may spell one value in two ways ("+" and "%20"); then nothing that it says has changed.
    assert event == verified(processor, webhook)
    assert translated(processor, spoilt) == translated(processor, webhook.body)


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_any_bytes_and_headers_are_refused_by_a_signature_error_and_nothing_else(data: st.DataObject) -> None:
    processor = data.draw(PROCESSORS)
    names = st.sampled_from([*signed(processor).headers, "Host"]) | st.text(max_size=30)
    headers = data.draw(st.dictionaries(names, st.text(max_size=200) | hostile_values(processor), max_size=4))
    body = data.draw(st.binary(max_size=300) | st.just(a_body(processor)))
    secrets = data.draw(st.lists(st.text(max_size=40), max_size=3))

    with pytest.raises(SignatureError):
        processor.verify(body, headers, secrets, NOW, TOLERANCE)


def hostile_values(processor: Processor) -> st.SearchStrategy[str]:
    """Real header values, cut and with odd characters inserted."""
    sound = st.sampled_from([value for value in signed(processor).headers.values() if value])
    return st.builds(
        lambda value, cut, odd: value[:cut] + odd + value[cut:], sound, st.integers(0, 100), st.text(max_size=5)
    )


def test_a_body_has_the_envelope_that_verifying_it_returns(processor: Processor) -> None:
    for _, body in bodies(processor):
        webhook = signed(processor, body=body)

        assert processor.envelope(webhook.body, options_of(processor)) == verified(processor, webhook)


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_bytes_that_are_no_event_have_no_envelope(data: st.DataObject) -> None:
    processor = data.draw(PROCESSORS)

    with pytest.raises(Unreadable):
        processor.envelope(data.draw(st.binary(max_size=200)), {})


def is_dated(processor: Processor) -> bool:
    """Whether the signature has a time stamp (Paddle Classic's has none)."""
    return signed(processor, NOW) != signed(processor, NOW + timedelta(days=1))


@pytest.mark.parametrize("seconds", [-301, 301, -90_000, 90_000])
def test_a_webhook_from_the_past_or_the_future_is_stale(processor: Processor, seconds: int) -> None:
    if not is_dated(processor):
        pytest.skip("its signatures carry no date")

    refused = refusal(processor, signed(processor, NOW + timedelta(seconds=seconds)))

    assert refused.problem is SignatureProblem.STALE
    assert str(abs(seconds)) in refused.detail


@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_a_webhook_within_the_tolerance_is_fresh(processor: Processor, seconds: int) -> None:
    webhook = signed(processor, NOW + timedelta(seconds=seconds))

    assert verified(processor, webhook) == verified(processor, signed(processor))


def test_any_of_several_secrets_fits(processor: Processor) -> None:
    event = verified(processor, signed(processor), processor.demo_secret[::-1], "", processor.demo_secret)

    assert event == verified(processor, signed(processor))


def test_without_a_secret_nothing_is_proven(processor: Processor) -> None:
    with pytest.raises(SignatureError):
        processor.verify(signed(processor).body, signed(processor).headers, (), NOW, TOLERANCE)


def test_a_refusal_contains_neither_secret_nor_signature(processor: Processor) -> None:
    secret = processor.demo_secret[::-1]
    webhook = signed(processor)

    refused = refusal(processor, webhook, secret)

    assert secret not in refused.detail
    assert not any(value in refused.detail for value in webhook.headers.values() if len(value) > 20)


# ---- Translate ----------------------------------------------------------------------------------------------------


def test_an_unheard_of_type_gives_a_reason_and_no_fact(processor: Processor) -> None:
    event = verified(processor, signed(processor))
    strange = a_body(processor).replace(event.type.encode(), b"something_unheard_of")

    translation = translated(processor, strange)

    assert translation.facts == ()
    assert translation.reason


def test_every_simulated_event_gives_facts_or_a_reason(processor: Processor) -> None:
    for _, body in bodies(processor):
        translation = translated(processor, body)

        assert translation.facts or translation.catalog or translation.reason
        assert not (translation.facts and translation.reason)


def test_translating_twice_gives_the_same(processor: Processor) -> None:
    for _, body in bodies(processor):
        assert translated(processor, body) == translated(processor, body)


def test_every_fact_is_dated_and_names_its_event(processor: Processor) -> None:
    for fact, event in facts_and_events(processor):
        assert fact.at.utcoffset() == timedelta(0)
        assert fact.processor_event_id == event.id


def test_amounts_are_whole_minor_units_and_never_negative(processor: Processor) -> None:
    money = [fact.amount for fact, _ in facts_and_events(processor) if isinstance(fact, Payment | Refund)]

    assert money
    for amount in money:
        assert type(amount.minor) is int
        assert amount.minor >= 0
        assert amount.currency.code == amount.currency.code.upper()
        assert amount.currency.digits in (0, 2, 3)


def facts_and_events(processor: Processor) -> Iterator[tuple[Fact, Event]]:
    for _, body in bodies(processor):
        event = verified(processor, signed(processor, body=body))
        for fact in translated(processor, body).facts:
            yield fact, event


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_bytes_that_are_no_event_give_a_reason(data: st.DataObject) -> None:
    processor = data.draw(PROCESSORS)

    translation = translated(processor, data.draw(st.binary(max_size=200)))

    assert translation.facts == ()
    assert translation.reason


ODD: tuple[Any, ...] = (None, True, 0, -1, 1.5, 10**30, "", "x" * 600, "ünï", [], [[]], {}, {"id": []}, "2026-01-01")


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_an_odd_value_anywhere_in_an_event_raises_nothing(data: st.DataObject) -> None:
    processor = data.draw(PROCESSORS)
    body = data.draw(st.sampled_from([body for _, body in bodies(processor)]))
    if not body.startswith(b"{"):
        return
    found = json.loads(body)
    for _ in range(data.draw(st.integers(1, 4))):
        spoil(found, data)

    translation = translated(processor, json.dumps(found).encode())

    assert translation.facts or translation.catalog or translation.reason


def spoil(found: Any, data: st.DataObject) -> None:
    """Puts an odd value at a random place, the deeper the likelier."""
    place: Any = found
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.integers(0, 9)) == 0:
            place[key] = deepcopy(data.draw(st.sampled_from(ODD)))
            return
        place = inner


# ---- Scenarios ----------------------------------------------------------------------------------------------------


def test_simulated_test_traffic_is_recognised_as_such_and_says_the_same(processor: Processor) -> None:
    if processor.as_test_traffic is None:
        return  # its webhooks do not state the mode
    for scenario in processor.scenarios.values():
        for body in scenario.events("tag", NOW):
            test = processor.as_test_traffic(body)

            assert processor.envelope(body, {}).livemode
            assert not processor.envelope(test, {}).livemode
            assert processor.envelope(test, {}).type == processor.envelope(body, {}).type
            assert len(processor.translate(test, {}).facts) == len(processor.translate(body, {}).facts)


def test_every_scenario_has_a_sentence_and_events(processor: Processor) -> None:
    assert processor.scenarios
    for name, scenario in processor.scenarios.items():
        assert scenario.name == name
        assert scenario.summary.strip()
        assert scenario.events("tag", NOW)


def test_a_scenario_generated_twice_is_the_same(processor: Processor) -> None:
    for scenario in processor.scenarios.values():
        assert list(scenario.events("tag", NOW)) == list(scenario.events("tag", NOW))


def test_two_runs_of_a_scenario_share_no_event(processor: Processor) -> None:
    for scenario in processor.scenarios.values():
        one, two = (event_ids(processor, scenario.events(tag, NOW)) for tag in ("one", "two"))

        assert len(set(one)) == len(one)
        assert not set(one) & set(two)


def test_the_events_of_a_scenario_are_dated_from_its_start(processor: Processor) -> None:
    for scenario in processor.scenarios.values():
        events = [verified(processor, signed(processor, body=body)) for body in scenario.events("tag", NOW)]

        assert all(event.created_at >= NOW for event in events)


def event_ids(processor: Processor, found: Any) -> list[str]:
    return [verified(processor, signed(processor, body=body)).id for body in found]

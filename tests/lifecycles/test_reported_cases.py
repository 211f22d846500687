"""Lifecycles built after public bug reports of other software: the same revenue events in any order of arrival.

A file of `cases/` has webhooks by window of settling, settings, and the expected revenue events with the window by
whose end each is there. A key that an expected event leaves out is not compared.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from bridge.ledger import Policy, RevenueEvent
from bridge.ledger.policy import ChurnAt
from processors import processors
from tests.lifecycles import harness
from tests.lifecycles.harness import Ledger, TranslatedWebhook, imbalances, shuffled

CASES = sorted(Path(__file__).with_name("cases").glob("*.json"))
ORDERS = harness.ORDERS if harness.ALL_ORDERS else 5  # random ones, of each case
PRESENT = {"present": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One file: the windows in order, each with its webhooks in order of delivery, and the expected events."""

    windows: tuple[tuple[TranslatedWebhook, ...], ...]
    expected: tuple[Mapping[str, Any], ...]
    policy: Policy


@cache
def case_of(path: Path) -> Case:
    found = json.loads(path.read_text(), parse_float=Decimal)
    windows: dict[int, list[TranslatedWebhook]] = {}
    for webhook in json.loads(path.read_text())["webhooks"]:
        windows.setdefault(webhook["window"], []).extend(_translated(webhook, found["settings"]))
    numbers = range(1, max(windows) + 1)
    return Case(
        windows=tuple(tuple(windows.get(number, ())) for number in numbers),
        expected=tuple(found["expected"]),
        policy=_policy(found["settings"], {webhook["processor"] for webhook in found["webhooks"]}.pop()),
    )


def _translated(webhook: Mapping[str, Any], settings: Mapping[str, str]) -> Iterator[TranslatedWebhook]:
    processor = processors()[webhook["processor"]]
    is_form = processor.name == "paddle-classic"
    body = (urlencode(webhook["body"]) if is_form else json.dumps(webhook["body"])).encode()
    translation = processor.translate(body, settings)
    if translation.facts or translation.catalog:
        event = processor.envelope(body, settings)
        assert event.created_at is not None
        yield TranslatedWebhook(at=event.created_at, facts=translation.facts, catalog=translation.catalog)


def _policy(settings: Mapping[str, str], processor: str) -> Policy:
    churn_at = ChurnAt(settings.get("CHURN_AT", "end"))
    return Policy(source=processor, payment_processor=processor.split("-")[0], churn_at=churn_at)


def played(case: Case, windows: Iterable[Sequence[TranslatedWebhook]]) -> tuple[Ledger, list[tuple[int, RevenueEvent]]]:
    """The ledger after these windows, and its events with the window that each came in."""
    ledger, arrived = Ledger(policy=case.policy), []
    for number, window in enumerate(windows, 1):
        after = ledger.after(window)
        arrived += [(number, event) for event in after.events[len(ledger.events) :]]
        ledger = after
    return ledger, arrived


def shown(event: RevenueEvent, expected: Mapping[str, Any]) -> dict[str, Any]:
    """The event's values of the keys that the expected event has; a value that may be anything is only `present`."""
    values = {
        "event_type": event.event_type.value,
        "amount": event.amount,
        "currency": event.currency,
        "mrr_impact": event.mrr_impact,
        "customer_id": event.customer_id,
        "customer_subscription_id": event.subscription_id,
        "visitor_fingerprint": event.visitor_fingerprint,
        "session_id": event.session_id,
        "is_recurring": event.is_recurring,
        "transaction_id": event.transaction_id,
        "metadata": {key: event.metadata.get(key) for key in expected.get("metadata", ())},
    }
    found = {key: values[key] for key in expected if key != "window"}
    return {key: PRESENT if expected[key] == PRESENT and value is not None else value for key, value in found.items()}


def check(events: Sequence[RevenueEvent], case: Case) -> None:
    """Compares the events with the expected ones, in order."""
    pairs = list(zip(events, case.expected, strict=False))
    wanted = [{key: value for key, value in one.items() if key != "window"} for one in case.expected]
    assert [shown(event, expected) for event, expected in pairs] == wanted[: len(pairs)]
    assert [event.event_type.value for event in events] == [one["event_type"] for one in case.expected]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_window_by_window_a_case_yields_its_events(path: Path) -> None:
    case = case_of(path)

    ledger, arrived = played(case, case.windows)

    check([event for _, event in arrived], case)
    assert [number for number, _ in arrived] == [
        one.get("window", number) for (number, _), one in zip(arrived, case.expected, strict=True)
    ]
    assert imbalances(ledger) == []


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_in_any_order_inside_its_windows_a_case_yields_the_same_events(path: Path) -> None:
    case, chance = case_of(path), random.Random(path.stem)
    first = played(case, case.windows)

    assert played(case, [window[::-1] for window in case.windows]) == first
    for _ in range(ORDERS):
        assert played(case, [shuffled(window, chance) for window in case.windows]) == first


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_settled_at_once_a_case_yields_its_events(path: Path) -> None:
    case, chance = case_of(path), random.Random(path.stem)
    webhooks = [webhook for window in case.windows for webhook in window]

    for order in (webhooks, webhooks[::-1], *(shuffled(webhooks, chance) for _ in range(ORDERS))):
        ledger, arrived = played(case, [order])

        check([event for _, event in arrived], case)
        assert imbalances(ledger) == []

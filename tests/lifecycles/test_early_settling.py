"""What is complete is settled at once, and the revenue events are those of the full window, byte for byte.

Webhooks of one step of a lifecycle arrive in any order with gaps of up to a minute; the steps lie as far apart as they
happened.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import pytest

from bridge.ledger.catalog import key_of
from bridge.ledger.completeness import missing
from bridge.ledger.settle_window import WaitRules
from bridge.sender import payload
from tests.lifecycles.harness import TranslatedWebhook, windows_in_real_time
from tests.lifecycles.test_arrival import cases
from tests.lifecycles.virtual_pipeline import DEFAULT_RULES, EARLY, Pipeline

Arrivals = list[tuple[datetime, TranslatedWebhook]]
EVERY = 3  # of the lifecycles; the campaign takes all
TIMES = 12
AT_ONCE = timedelta(seconds=3)
EXCEPTIONS = (
    # Duplicates with event ids of their own, which no processor sends: the one that arrives first names the cause.
    "each of them twice",
    "every webhook comes as two events of different ids",
    # A product that is named in the very minute of its first sale: waiting for that would delay every sale of products
    # that are older than the bridge.
    "whose name is known from an event of its own",
)
TITLES = [title for title in cases() if not any(part in title for part in EXCEPTIONS)]


def played(title: str, rules: WaitRules, arrivals: Arrivals) -> Pipeline:
    policy, api_catalog, _ = cases()[title]
    catalog = {key: entry for entry in api_catalog if (key := key_of(entry))}
    return Pipeline(policy=policy, rules=rules, catalog=catalog, missing=missing).play(arrivals)


def bodies(pipeline: Pipeline) -> list[str]:
    return [payload.dump(event) for event in pipeline.sorted_events()]


def as_usual(webhooks: Sequence[TranslatedWebhook], chance: random.Random) -> Arrivals:
    """Each webhook about a second after its fact."""
    return [(one.at + timedelta(seconds=chance.uniform(0.3, 1.5)), one) for one in webhooks]


def in_any_order(webhooks: Sequence[TranslatedWebhook], chance: random.Random) -> Arrivals:
    """Each step's webhooks in any order, with gaps of up to a minute."""
    return list(_in_any_order(webhooks, chance))


def _in_any_order(
    webhooks: Sequence[TranslatedWebhook], chance: random.Random
) -> Iterator[tuple[datetime, TranslatedWebhook]]:
    for step in windows_in_real_time(webhooks):
        shuffled = [*step, *chance.sample(step, chance.choice((0, 0, 1)))]
        chance.shuffle(shuffled)
        at = max(one.at for one in step)
        for one in shuffled:
            at += timedelta(seconds=chance.choice((0.0, 0.5, chance.uniform(0, 5), chance.uniform(0, 60))))
            yield at, one


def check(title: str, times: int) -> None:
    webhooks, chance = cases()[title][2], random.Random(title)
    for arrivals in [as_usual(webhooks, chance), *(in_any_order(webhooks, chance) for _ in range(times))]:
        assert bodies(played(title, EARLY, arrivals)) == bodies(played(title, DEFAULT_RULES, arrivals))


@pytest.mark.parametrize("title", TITLES[::EVERY])
def test_settling_early_changes_nothing(title: str) -> None:
    check(title, 2)


@pytest.mark.campaign
def test_settling_early_changes_nothing_in_any_lifecycle() -> None:
    for title in TITLES:
        check(title, TIMES)


def test_most_events_of_complete_webhooks_are_settled_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """The exceptions are lifecycles in which something is missing, is first seen, or is a change without a payment."""
    early = total = 0
    for title in TITLES[::EVERY]:
        arrivals = as_usual(cases()[title][2], random.Random(title))
        settlements = played(title, EARLY, arrivals).settlements
        early += sum(at - last <= AT_ONCE for at, last in settlements)
        total += len(settlements)
    with capsys.disabled():
        print(f"\nsettled at once: {early} of {total} settlements with revenue events ({early / total:.0%})")
    assert early / total > 0.75

"""Runs webhooks through the ledger in any order, duplicated, in one settle window or several, and prints its events."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import permutations

from bridge.ledger import EMPTY, Policy, RevenueEvent, State, settle
from bridge.ledger.catalog import Catalog, CatalogKey, key_of
from processors.facts import CatalogEntry, Fact
from processors.interface import Processor, Translation
from processors.money import Currency, Money, major, round_minor

QUIET = timedelta(seconds=90)  # SETTLE_SECONDS: webhooks further apart settle in separate windows
ALL_ORDERS = os.environ.get("LIFECYCLE_ORDERS") == "all"  # in the tests of the tables; else a few
FEW = 6  # up to this many webhooks, there is every order
ORDERS = 200  # random orders of more than that
FEW_ORDERS = 4  # random orders, and the reverse one


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslatedWebhook:
    """One webhook, translated once for all orders. `at`: its `created` time."""

    at: datetime
    facts: tuple[Fact, ...]
    catalog: tuple[CatalogEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """One customer's ledger between windows, with the catalog so far and every event emitted."""

    policy: Policy
    state: State = EMPTY
    catalog: Mapping[CatalogKey, CatalogEntry] = field(default_factory=dict)
    events: tuple[RevenueEvent, ...] = ()

    def after(self, window: Iterable[TranslatedWebhook]) -> Ledger:
        """The ledger after one window, given its webhooks in arrival order."""
        arrived = list(window)
        catalog = {
            **self.catalog,
            **{key: found for webhook in arrived for found in webhook.catalog if (key := key_of(found))},
        }
        facts = [fact for webhook in arrived for fact in webhook.facts]
        settled = settle(self.state, facts, self.policy, Catalog(entries=catalog))
        return replace(self, state=settled.state, catalog=catalog, events=(*self.events, *settled.events))


def translated(webhooks: Iterable[bytes], processor: Processor) -> tuple[TranslatedWebhook, ...]:
    """The webhooks with facts or catalog entries, in the order in which they were sent."""
    found = []
    for body in webhooks:
        translation: Translation = processor.translate(body, {})
        if translation.facts or translation.catalog:
            at = translation.facts[0].at if translation.facts else processor.envelope(body, {}).created_at
            assert at is not None
            found.append(TranslatedWebhook(at=at, facts=translation.facts, catalog=translation.catalog))
    return tuple(found)


def orders(webhooks: Sequence[TranslatedWebhook], seed: str) -> Iterable[list[TranslatedWebhook]]:
    """A few orders with duplicates; all with LIFECYCLE_ORDERS=all."""
    return every_order(webhooks, seed) if ALL_ORDERS else some_orders(webhooks, seed)


def some_orders(webhooks: Sequence[TranslatedWebhook], seed: str) -> list[list[TranslatedWebhook]]:
    """Random orders with duplicates, and the reverse of the usual one."""
    chance = random.Random(seed)
    return [list(webhooks)[::-1], *(shuffled(webhooks, chance) for _ in range(FEW_ORDERS))]


def every_order(webhooks: Sequence[TranslatedWebhook], seed: str) -> Iterator[list[TranslatedWebhook]]:
    """Every order of a few webhooks; of many, random orders with some duplicates."""
    if len(webhooks) <= FEW:
        yield from (list(order) for order in permutations(webhooks))
        return
    chance = random.Random(seed)
    for _ in range(ORDERS):
        yield shuffled(webhooks, chance)


def shuffled(webhooks: Sequence[TranslatedWebhook], chance: random.Random) -> list[TranslatedWebhook]:
    """In a random order, with some duplicates."""
    arrived = [*webhooks, *chance.sample(webhooks, chance.randrange(len(webhooks) + 1))]
    chance.shuffle(arrived)
    return arrived


def windows_in_real_time(webhooks: Sequence[TranslatedWebhook]) -> list[list[TranslatedWebhook]]:
    """The windows when each webhook arrives as it is sent: a new one after each quiet period."""
    windows: list[list[TranslatedWebhook]] = []
    latest: datetime | None = None
    for one in sorted(webhooks, key=lambda one: one.at):
        if latest is None or one.at - latest > QUIET:
            windows.append([])
        windows[-1].append(one)
        latest = one.at
    return windows


def split_into_windows(webhooks: Sequence[TranslatedWebhook], chance: random.Random) -> list[list[TranslatedWebhook]]:
    """Two to four consecutive windows, split anywhere, each shuffled, with duplicates of earlier webhooks."""
    places = sorted(chance.choices(range(len(webhooks) + 1), k=chance.randint(1, 3)))
    windows = [list(webhooks[start:end]) for start, end in zip([0, *places], [*places, len(webhooks)], strict=True)]
    return [
        shuffled([*window, *chance.sample(webhooks[:start], min(start, 2))], chance) if window else []
        for window, start in zip(windows, [0, *places], strict=True)
    ]


# ---- Invariants of every ledger -------------------------------------------------------------------------------------


def imbalances(ledger: Ledger) -> list[str]:
    """The reasons why the ledger does not add up; empty when it does."""
    keys = Counter(event.output_key for event in ledger.events)
    ids = Counter(event.transaction_id for event in ledger.events)
    wrong = [f"output key {key} was emitted {times} times" for key, times in keys.items() if times > 1]
    wrong += [f"transaction id {key} was emitted {times} times" for key, times in ids.items() if times > 1]
    moved: dict[str, Decimal] = {}
    for event in ledger.events:
        if event.mrr_impact is not None and event.subscription_id is not None:
            moved[event.subscription_id] = moved.get(event.subscription_id, Decimal(0)) + event.mrr_impact
    for one in ledger.state.subscriptions.values():
        shown = _major(one.baseline, one.currency) + moved.get(one.id, Decimal(0))
        if shown != _major(round_minor(one.mrr), one.currency):
            wrong.append(f"{one.id}: baseline and movements make {shown}, its MRR is {one.mrr}")
    return wrong


def paid(events: Iterable[RevenueEvent]) -> dict[str, Decimal]:
    """Total payments less refunds, by currency."""
    return _by_currency((event.currency, event.amount) for event in events)


def moved(events: Iterable[RevenueEvent]) -> dict[str, Decimal]:
    """Total MRR movement, by currency."""
    return _by_currency((event.currency, event.mrr_impact or Decimal(0)) for event in events)


def _by_currency(amounts: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for currency, amount in amounts:
        found[currency] = found.get(currency, Decimal(0)) + amount
    return {currency: amount for currency, amount in found.items() if amount}


# ---- Rows of the tables ---------------------------------------------------------------------------------------------


def rows(events: Iterable[RevenueEvent]) -> list[str]:
    """One line for each event: type, amount, MRR movement, then the remaining details."""
    return [" ".join(_words(event)) for event in events]


def _words(event: RevenueEvent) -> Iterator[str]:
    metadata = event.metadata
    yield event.event_type.value
    yield _plain(event.amount)
    yield "-" if event.mrr_impact is None else _signed(event.mrr_impact)
    if event.currency != "USD":
        yield event.currency
    yield from (str(metadata[key]) for key in ("plan", "interval") if key in metadata)
    if metadata.get("seats", 1) != 1:
        yield f"x{metadata['seats']}"
    if "coupon" in metadata:
        yield f"with {metadata['coupon']}"
    if "previous_plan" in metadata:
        yield f"was {metadata['previous_plan']}"
    yield from (str(metadata[key]) for key in ("reason",) if key in metadata)
    yield from (word for key, word in _FLAGS if metadata.get(key))
    if not event.is_attributed:
        yield "unattributed"


_FLAGS = (("reactivation", "reactivation"), ("mrr_estimated", "estimated"), ("reversal_of", "reversal"))


def _plain(amount: Decimal) -> str:
    return "0" if amount == 0 else str(amount)


def _signed(amount: Decimal) -> str:
    return f"+{amount}" if amount > 0 else _plain(amount)


def _major(minor: int, currency: Currency) -> Decimal:
    return major(Money(minor=minor, currency=currency))

"""How webhooks arrive, and what the ledger makes of them: in any order, doubled, in one window or in several."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations

from bridge.ledger import EMPTY, Policy, RevenueEvent, State, settle
from bridge.ledger.catalog import Catalog, CatalogKey, key_of
from processors.facts import CatalogEntry, Fact
from processors.interface import Processor, Translation
from processors.money import Currency, Money, major, round_minor
from processors.payload import parse

QUIET = timedelta(seconds=90)  # SETTLE_SECONDS: what lies further apart is settled apart
FEW = 6  # webhooks whose every order is tried
ORDERS = 200  # random orders of more than that


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One webhook, translated once for all orders. `at`: its `created`."""

    at: datetime
    facts: tuple[Fact, ...]
    known: tuple[CatalogEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """One customer's stream between windows, with the catalogue as it has been learnt and all that was emitted."""

    policy: Policy
    state: State = EMPTY
    known: Mapping[CatalogKey, CatalogEntry] = field(default_factory=dict)
    events: tuple[RevenueEvent, ...] = ()

    def after(self, window: Iterable[Told]) -> Ledger:
        """The ledger after one window, its webhooks in the order in which they arrived."""
        arrived = list(window)
        known = {**self.known, **{key: found for told in arrived for found in told.known if (key := key_of(found))}}
        facts = [fact for told in arrived for fact in told.facts]
        settled = settle(self.state, facts, self.policy, Catalog(entries=known))
        return replace(self, state=settled.state, known=known, events=(*self.events, *settled.events))


def translated(webhooks: Iterable[bytes], processor: Processor) -> tuple[Told, ...]:
    """The webhooks that say anything, in the order in which they were sent."""
    found = []
    for body in webhooks:
        said: Translation = processor.translate(body, {})
        if said.facts or said.catalog:
            at = said.facts[0].at if said.facts else datetime.fromtimestamp(parse(body)["created"], tz=UTC)
            found.append(Told(at=at, facts=said.facts, known=said.catalog))
    return tuple(found)


def orders(told: Sequence[Told], seed: str) -> Iterator[list[Told]]:
    """Every order of a few webhooks; of many, random orders, in which some come twice."""
    if len(told) <= FEW:
        yield from (list(order) for order in permutations(told))
        return
    chance = random.Random(seed)
    for _ in range(ORDERS):
        yield shuffled(told, chance)


def shuffled(told: Sequence[Told], chance: random.Random) -> list[Told]:
    """In a random order, some of them twice."""
    arrived = [*told, *chance.sample(told, chance.randrange(len(told) + 1))]
    chance.shuffle(arrived)
    return arrived


def as_it_happens(told: Sequence[Told]) -> list[list[Told]]:
    """The windows of webhooks that arrive when they are sent: a new one after each quiet time."""
    windows: list[list[Told]] = []
    latest: datetime | None = None
    for one in sorted(told, key=lambda one: one.at):
        if latest is None or one.at - latest > QUIET:
            windows.append([])
        windows[-1].append(one)
        latest = one.at
    return windows


def cut(told: Sequence[Told], chance: random.Random) -> list[list[Told]]:
    """Two to four windows in the order of time, cut anywhere, each in disorder, with copies of earlier webhooks."""
    places = sorted(chance.choices(range(len(told) + 1), k=chance.randint(1, 3)))
    windows = [list(told[start:end]) for start, end in zip([0, *places], [*places, len(told)], strict=True)]
    return [
        shuffled([*window, *chance.sample(told[:start], min(start, 2))], chance) if window else []
        for window, start in zip(windows, [0, *places], strict=True)
    ]


# ---- What must hold of every ledger -------------------------------------------------------------------------------


def imbalances(ledger: Ledger) -> list[str]:
    """Why the ledger does not add up; empty when it does."""
    keys = Counter(event.output_key for event in ledger.events)
    ids = Counter(event.transaction_id for event in ledger.events)
    wrong = [f"output key {key} came {times} times" for key, times in keys.items() if times > 1]
    wrong += [f"transaction id {key} came {times} times" for key, times in ids.items() if times > 1]
    moved: dict[str, Decimal] = {}
    for event in ledger.events:
        if event.mrr_impact is not None and event.subscription_id is not None:
            moved[event.subscription_id] = moved.get(event.subscription_id, Decimal(0)) + event.mrr_impact
    for one in ledger.state.subscriptions.values():
        shown = _major(one.baseline, one.currency) + moved.get(one.id, Decimal(0))
        if shown != _major(round_minor(one.mrr), one.currency):
            wrong.append(f"{one.id}: baseline and movements make {shown}, its level is {one.mrr}")
    return wrong


def paid(events: Iterable[RevenueEvent]) -> dict[str, Decimal]:
    """What was paid in all, less what went back, by currency."""
    return _by_currency((event.currency, event.amount) for event in events)


def moved(events: Iterable[RevenueEvent]) -> dict[str, Decimal]:
    """How far MRR moved in all, by currency."""
    return _by_currency((event.currency, event.mrr_impact or Decimal(0)) for event in events)


def _by_currency(amounts: Iterable[tuple[str, Decimal]]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for currency, amount in amounts:
        found[currency] = found.get(currency, Decimal(0)) + amount
    return {currency: amount for currency, amount in found.items() if amount}


# ---- As a billing person reads it ---------------------------------------------------------------------------------


def rows(events: Iterable[RevenueEvent]) -> list[str]:
    """One line for each event: type, amount, movement of MRR, and whatever else it tells."""
    return [" ".join(_words(event)) for event in events]


def _words(event: RevenueEvent) -> Iterator[str]:
    told = event.metadata
    yield event.event_type.value
    yield _plain(event.amount)
    yield "-" if event.mrr_impact is None else _signed(event.mrr_impact)
    if event.currency != "USD":
        yield event.currency
    yield from (str(told[key]) for key in ("plan", "interval") if key in told)
    if told.get("seats", 1) != 1:
        yield f"x{told['seats']}"
    if "coupon" in told:
        yield f"with {told['coupon']}"
    if "previous_plan" in told:
        yield f"was {told['previous_plan']}"
    yield from (str(told[key]) for key in ("reason",) if key in told)
    yield from (word for key, word in _FLAGS if told.get(key))
    if not event.is_attributed:
        yield "unattributed"


_FLAGS = (("reactivation", "reactivation"), ("mrr_estimated", "estimated"), ("reversal_of", "reversal"))


def _plain(amount: Decimal) -> str:
    return "0" if amount == 0 else str(amount)


def _signed(amount: Decimal) -> str:
    return f"+{amount}" if amount > 0 else _plain(amount)


def _major(minor: int, currency: Currency) -> Decimal:
    return major(Money(minor=minor, currency=currency))

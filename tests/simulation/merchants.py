"""The merchants of a simulation: sources, the lifecycles that are played in them, and when each webhook is sent."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from bridge.settings import Settings, load
from processors import processors
from processors.stripe.simulation import payloads
from processors.stripe.simulation.customer import PRO, PRO_YEARLY, Plan
from processors.stripe.simulation.payloads import Shape
from tests import audit_merchant
from tests.lifecycles import harness, paddle_lifecycles, stripe_lifecycle, stripe_lifecycles
from tests.lifecycles.harness import TranslatedWebhook
from tests.lifecycles.stripe_customer import ExtendedCustomer

SOURCES = {"north": "stripe", "south": "stripe", "east": "paddle"}
SECRETS = {"stripe": "whsec_fake_secret_of_the_simulation", "paddle": "pdl_ntfset_fake_secret_of_the_simulation"}
STEP_SECONDS = 90.0  # webhooks further apart belong to different steps
MAX_SPREAD = 50.0  # of one step's webhooks: with a few repetitions after 503 they still share a window
CUSTOMERS_PER_YEAR = 12
# Of most of them a month is worth a fraction of a cent, which a rule of rounding can lose.
PLANS = (PRO, PRO_YEARLY, audit_merchant.WEEKLY, Plan(id="price_odd", minor=10001, name="Odd", interval="year"))
COUPON = payloads.event(
    "coupon.created", audit_merchant.QUARTER_OFF, at=audit_merchant.BEFORE, event_id="evt_coupon"
)  # before the random customers use it
# Lifecycles whose events depend on when a product's name arrives, as tests/lifecycles/test_early_settling.py says.
EXCEPTIONS = ("each of them twice", "whose name is known from an event of its own")


@dataclass(frozen=True, slots=True, kw_only=True)
class SentWebhook:
    """One webhook on its way. `at`: seconds after the beginning. `step`: of its lifecycle."""

    at: float
    source: str
    step: int
    body: bytes
    translated: TranslatedWebhook | None


Sent = tuple[datetime, bytes, TranslatedWebhook | None]
Steps = tuple[tuple[Sent, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merchant:
    """One source with its customers. `steps`: the webhooks of each, in the order in which they are sent.

    `mrr`: of each subscription in the end, by the merchant's own records; None: it has none.
    """

    source: str
    title: str
    steps: Steps
    mrr: Mapping[str, int] | None = None


@cache
def settings(hold_hours: str, per_hour: int) -> Settings:
    """Settings with every source, each with a token of its own."""
    lines = []
    for name, processor in SOURCES.items():
        lines += [f"[sources.{name}]", f'processor = "{processor}"', f'webhook_secret = "{SECRETS[processor]}"']
        lines += [f'token = "{token(name)}"', f"hold_hours = {hold_hours}"]
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "bridge.toml"
        config.write_text("\n".join(lines))
        return load({"BRIDGE_CONFIG": str(config), "RATE_LIMIT_PER_HOUR": str(per_hour)})


def token(source: str) -> str:
    """The secret token of a source's Pulsora project."""
    return f"sec_fake_token_of_{source}"


@cache
def titles() -> dict[str, tuple[tuple[str, Callable[[str], tuple[bytes, ...]]], ...]]:
    """The lifecycles that can be played, by processor: title, and the webhooks of a customer of that name."""
    found: dict[str, list[tuple[str, Callable[[str], tuple[bytes, ...]]]]] = {"stripe": [], "paddle": []}
    for one in stripe_lifecycles.LIFECYCLES:
        if one.policy == stripe_lifecycle.DEFAULT and not one.api_catalog and not _is_exception(one.title):
            found["stripe"] += [(f"{one.title}-{shape.name}", _stripe(one, shape)) for shape in one.shapes]
    for other in paddle_lifecycles.LIFECYCLES:
        if other.policy == stripe_lifecycle.DEFAULT and not other.options and not _is_exception(other.title):
            found["paddle"].append((other.title, lambda _, other=other: other.webhooks()))  # type: ignore[misc]
    return {name: tuple(one) for name, one in found.items()}


def _is_exception(title: str) -> bool:
    return any(part in title for part in EXCEPTIONS)


def _stripe(one: stripe_lifecycle.Lifecycle, shape: Shape) -> Callable[[str], tuple[bytes, ...]]:
    def webhooks(name: str) -> tuple[bytes, ...]:
        begun = ExtendedCustomer.begin(name, stripe_lifecycle.START, shape, currency=one.currency)
        return one.build(begun).webhooks

    return webhooks


def some_merchants(chance: random.Random, years: int) -> list[Merchant]:
    """One or two sources, each with a lifecycle of the tables or random customers; one with many for some years."""
    if years:
        days = 2 * 365 * years  # all customers begin in the first half
        return [_random_merchant("north", chance, customers=CUSTOMERS_PER_YEAR * years, days=days)]
    names = chance.sample(sorted(SOURCES), chance.choice((1, 1, 1, 2)))
    return [_some_merchant(name, chance) for name in sorted(names)]


def _some_merchant(name: str, chance: random.Random) -> Merchant:
    if SOURCES[name] == "stripe" and chance.random() < 0.6:
        return _random_merchant(name, chance, customers=1, days=150)
    found = [(title, webhooks("ada")) for title, webhooks in chance.sample(titles()[SOURCES[name]], 2)]
    title, bodies = min(found, key=lambda one: len(one[1]))  # the many short ones find as much as the few long ones
    return Merchant(source=name, title=title, steps=_steps(name, bodies))


def _random_merchant(name: str, chance: random.Random, *, customers: int, days: int) -> Merchant:
    """Customers of whom the merchant keeps records. What some of them do first names no visit."""
    begin, bodies, mrr = stripe_lifecycle.START, [COUPON], {}
    for number in range(customers):
        tag, late = f"{name}{number}", chance.random() < 0.4
        end, actions = begin + timedelta(days=days), chance.choice((1, 3, 4, 6))
        one = audit_merchant.buyer(tag, chance, begin, end, actions=actions, plans=PLANS, is_known_late=late)
        bodies += one.simulated.webhooks
        mrr |= {f"sub_{tag}_{sold}": minor for sold, minor in one.mrr.items()}
    return Merchant(source=name, title=f"{customers} random customers", steps=_steps(name, bodies), mrr=mrr)


def schedule(merchants: Sequence[Merchant], begin: datetime, chance: random.Random) -> list[SentWebhook]:
    """When each webhook is first sent: each step in any order, within a window, with duplicates."""
    return sorted((one for merchant in merchants for one in _schedule(merchant, begin, chance)), key=lambda one: one.at)


def _schedule(merchant: Merchant, begin: datetime, chance: random.Random) -> Iterator[SentWebhook]:
    end = 0.0
    for number, step in enumerate(merchant.steps):
        at = max(end + STEP_SECONDS, max((when - begin).total_seconds() for when, _, _ in step) + 1)
        arriving = [*step, *chance.sample(step, chance.choice((0, 0, 1)))]
        chance.shuffle(arriving)
        for _, body, translated in arriving:
            end = at + chance.choice((0.0, chance.uniform(0, 2), chance.uniform(0, MAX_SPREAD)))
            yield SentWebhook(at=end, source=merchant.source, step=number, body=body, translated=translated)
        end = at + MAX_SPREAD


def _steps(source: str, bodies: Iterable[bytes]) -> Steps:
    """The webhooks by step of the lifecycles: a new one after each quiet period."""
    processor = processors()[SOURCES[source]]
    found: list[Sent] = []
    for body in bodies:
        made = harness.translated([body], processor)
        created = processor.envelope(body, {}).created_at
        assert created is not None
        found.append((made[0].at if made else created, body, made[0] if made else None))
    found.sort(key=lambda one: one[0])
    grouped: list[list[Sent]] = []
    for one in found:
        if not grouped or one[0] - grouped[-1][-1][0] > harness.QUIET:
            grouped.append([])
        grouped[-1].append(one)
    return tuple(map(tuple, grouped))

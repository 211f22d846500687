"""One Paddle customer's lifecycle as a table entry: the webhooks and the expected revenue events.

A row reads: type, amount, MRR movement (`-`: none), currency unless USD, plan, interval, seats if more than one,
coupon, previous plan, reason, flags. Amounts are in major units, computed by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bridge.ledger import Policy
from processors.facts import Fact
from processors.interface import Processor
from tests.lifecycles.harness import TranslatedWebhook
from tests.lifecycles.paddle_customer import ExtendedCustomer

DEFAULT = Policy()
START = datetime(2026, 1, 1, tzinfo=UTC)
AHEAD = timedelta(minutes=5)  # facts dated further ahead than this are deferred


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """One entry. `rows`: the events when all webhooks settle in one window; `live`: when each settles as it arrives."""

    title: str
    webhooks: Callable[[], tuple[bytes, ...]]
    rows: tuple[str, ...]
    live: tuple[str, ...]
    policy: Policy
    options: Mapping[str, str]


def make_lifecycle(
    title: str,
    webhooks: Callable[[], tuple[bytes, ...]],
    expected: Iterable[str],
    live: Iterable[str] | None,
    policy: Policy,
    options: Mapping[str, str] | None = None,
) -> Lifecycle:
    """Makes a table entry."""
    rows = tuple(expected)
    return Lifecycle(
        title=title,
        webhooks=webhooks,
        rows=_normalized(rows),
        live=_normalized(rows if live is None else live),
        policy=policy,
        options=options or {},
    )


def billing(
    title: str,
    build: Callable[[ExtendedCustomer], ExtendedCustomer],
    *expected: str,
    live: Iterable[str] | None = None,
    policy: Policy = DEFAULT,
    currency: str = "USD",
) -> Lifecycle:
    """Makes a table entry of Paddle Billing."""
    return make_lifecycle(
        title, lambda: build(ExtendedCustomer.begin("ada", START, currency=currency)).webhooks, expected, live, policy
    )


def translated(lifecycle: Lifecycle, processor: Processor) -> tuple[TranslatedWebhook, ...]:
    """The webhooks with facts or catalog entries, in the order in which they were sent.

    A webhook with facts dated in the future appears again on that date, in full: the worker defers it the same way.
    """
    found: list[TranslatedWebhook] = []
    for body in lifecycle.webhooks():
        signed = processor.sign(body, processor.demo_secret, START)
        event = processor.verify(signed.body, signed.headers, [processor.demo_secret], START, AHEAD)
        assert event.created_at is not None
        translation = processor.translate(signed.body, lifecycle.options)
        for at in sorted(
            {max(fact.at, event.created_at) for fact in translation.facts if _is_future(fact, event.created_at)}
        ):
            found.append(TranslatedWebhook(at=at, facts=translation.facts, catalog=translation.catalog))
        if translation.facts or translation.catalog:
            immediate = tuple(fact for fact in translation.facts if not _is_future(fact, event.created_at))
            found.append(TranslatedWebhook(at=event.created_at, facts=immediate, catalog=translation.catalog))
    return tuple(sorted((one for one in found if one.facts or one.catalog), key=lambda one: one.at))


def _is_future(fact: Fact, created_at: datetime) -> bool:
    return fact.at > created_at + AHEAD


def _normalized(rows: Iterable[str]) -> tuple[str, ...]:
    return tuple(" ".join(row.split()) for row in rows)

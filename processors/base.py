"""What a processor brings: how its webhooks are proven, and what they say. Everything here is a value or pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, TypeVar

from processors.facts import Fact, Known, SubscriptionState


class SignatureProblem(StrEnum):
    """Why the sender of a webhook is not proven. The value is what an operator may read; it helps nobody to forge."""

    MISSING = "missing"
    MALFORMED = "malformed"
    STALE = "stale"
    MISMATCH = "mismatch"
    UNREADABLE = "unreadable"


class SignatureError(Exception):
    """The sender of a webhook is not proven, or what it signed cannot be read; nothing of it may be used.

    All that a processor's `verify` raises. `detail` is a sentence for the operator, free of secrets and signatures.
    """

    def __init__(self, problem: SignatureProblem, detail: str) -> None:
        super().__init__(detail)
        self.problem = problem
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The envelope of a proven webhook. `id` is the processor's own, the same on every retry."""

    id: str
    type: str
    created_at: datetime
    livemode: bool
    account: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """What one stored event says. No facts and nothing known: then `reason` tells why it is ignored.

    `fetch`: the event only points at its object (Stripe's thin events): a resource path to read through the API.
    """

    facts: tuple[Fact, ...] = ()
    known: tuple[Known, ...] = ()
    reason: str | None = None
    fetch: str | None = None


class Verify(Protocol):
    """Proves a webhook, or raises `SignatureError` and nothing else, whatever the bytes."""

    def __call__(
        self, body: bytes, headers: Mapping[str, str], secrets: Sequence[str], now: datetime, tolerance: timedelta
    ) -> Event: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A setting that a processor needs beyond its secrets, by the name it has in the environment."""

    name: str
    help: str
    example: str
    check: Callable[[str], str | None] = lambda value: None  # what is wrong with a value, or None
    secret: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A webhook ready to post: what `simulate`, `demo` and the tests send."""

    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A life cycle to simulate: `events(tag, start)` yields bodies in the order in which they happened.

    `tag` makes the ids of one run unique; `start` is the instant of the first event; later ones are dated after it.
    """

    name: str
    summary: str
    events: Callable[[str, datetime], Sequence[bytes]]


class Story(Protocol):
    """A customer's life as it is being told: the bodies so far."""

    @property
    def webhooks(self) -> Sequence[bytes]: ...


SomeStory = TypeVar("SomeStory", bound=Story)


def scenario(
    name: str, begin: Callable[[str, datetime], SomeStory], tell: Callable[[SomeStory], SomeStory], note: str = ""
) -> Scenario:
    """The scenario of a life that `begin(tag, start)` begins and `tell` tells; its docstring is the summary."""

    def events(tag: str, start: datetime) -> Sequence[bytes]:
        return tell(begin(tag, start)).webhooks

    return Scenario(name=name, summary=f"{tell.__doc__}{note}", events=events)


class Api(Protocol):
    """What a processor's own API can tell beyond its webhooks: the one part of a processor that does I/O.

    Only the worker and the command line call it, and hand its answers to the pure functions as values. Each call raises
    `ApiError` when the API cannot be reached or refuses, after bounded retries with time-outs.
    """

    def of(self, account: str | None) -> Api:
        """The same API on behalf of a connected account; itself for None, or where there are no such accounts."""
        ...

    def known(self, wanted: Iterable[tuple[str, str]]) -> list[Known]:
        """What it knows of these (kind, id): kinds are `price`, `coupon`, `discount` and `product`."""
        ...

    def context(self, facts: Sequence[Fact], seen: Collection[str]) -> list[Fact]:
        """Facts that complete these: the invoice of a payment that cannot name it, a subscription not in `seen`."""
        ...

    def subscriptions(self) -> Iterator[SubscriptionState]:
        """Every subscription there is, as `Stage.IMPORTED` states."""
        ...

    def events(self, since: datetime) -> Iterator[bytes]:
        """The bodies of all events since then, oldest first, as webhooks would have brought them."""
        ...

    def fetch(self, path: str) -> bytes:
        """The body of the resource at a path that a thin event named."""
        ...


class ApiError(Exception):
    """The processor's API could not be asked, or refused. The message says what to do, and holds no key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """Everything the bridge knows of a processor. A new one fills in this value and nothing else.

    `verify` and `translate` are steps 1 and 3 of the way through the house. `translate(body, options)` is pure,
    takes the raw body that `verify` accepted, and raises nothing for an odd event: it gives a reason instead.
    `sign(body, secret, now)` gives the headers (and body) that `verify` accepts, for simulation and tests.
    `secret` declares the webhook secret's setting; `options` what else it reads, passed on as `options`.
    """

    name: str  # in URLs and tables: "stripe", "paddle", "paddle-classic"
    title: str  # for people: "Stripe"
    payment_processor: str  # what Pulsora is told
    secret: Option
    options: tuple[Option, ...] = ()
    verify: Verify
    translate: Callable[[bytes, Mapping[str, str]], Translation]
    sign: Callable[[bytes, str, datetime], Signed]
    scenarios: Mapping[str, Scenario]
    demo_secret: str  # an obviously fake secret that `sign` and `verify` accept
    events: tuple[str, ...]  # the event types to subscribe to, in the processor's spelling
    setup: tuple[str, ...] = ()  # what to click so that webhooks are sent, a step each; `{url}` is where to
    api: str | None = None  # "module:function"; function(key, options) -> Api. Named, not imported: it does I/O
    completed: Callable[[bytes, bytes], bytes] | None = None  # a thin event and what `Api.fetch` gave, as one body

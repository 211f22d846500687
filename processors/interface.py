"""The interface of a processor: verifying its webhooks and translating them. Everything here is a value or pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from processors.payload import NOTHING
from processors.values import Value

if TYPE_CHECKING:
    from processors.endpoints import EndpointApi
    from processors.facts import CatalogEntry, Fact, SubscriptionState
    from processors.totals import Totals


class SignatureProblem(StrEnum):
    """Why a webhook was rejected. Shown to operators; the value gives a forger no hint."""

    MISSING = "missing"
    MALFORMED = "malformed"
    STALE = "stale"
    MISMATCH = "mismatch"
    UNREADABLE = "unreadable"


class SignatureError(Exception):
    """A webhook's signature is not valid, or its signed body is unreadable. Nothing of the body may be used.

    The only exception that a processor's `verify` raises. `detail` is a sentence for the operator, without secrets
    or signatures.
    """

    def __init__(self, problem: SignatureProblem, detail: str) -> None:
        super().__init__(detail)
        self.problem = problem
        self.detail = detail


class Event(Value):
    """The envelope of a webhook. `id` is the processor's own, the same on every retry."""

    id: str
    type: str
    created_at: datetime | None  # None: the body has no date. `verify` fills in the time of arrival
    livemode: bool
    account: str | None = None


class Translation(Value):
    """The meaning of one stored event. Without facts, `reason` says why it is ignored.

    `fetch`: the event only points at its object (Stripe's thin events); the API path to read it from.
    """

    facts: tuple[Fact, ...] = ()
    catalog: tuple[CatalogEntry, ...] = ()
    reason: str | None = None
    fetch: str | None = None


class Verify(Protocol):
    """Checks a webhook's signature and returns its envelope. Raises only `SignatureError`, for any bytes."""

    def __call__(
        self,
        body: bytes,
        headers: Mapping[str, str],
        secrets: Sequence[str],
        now: datetime,
        tolerance: timedelta,
        options: Mapping[str, str] = NOTHING,
    ) -> Event: ...


class Option(Value):
    """A setting that a processor declares, by its environment name."""

    name: str
    help: str
    example: str
    check: Callable[[str], str | None] = lambda value: None  # the problem with a value, or None
    secret: bool = False
    multiple: bool = False  # several values, separated by commas
    of_machine: bool = False  # of this machine, not of an account: the sources of a TOML file inherit it


class SignedWebhook(Value):
    """A webhook ready to post, for `simulate`, the demo and the tests."""

    body: bytes
    headers: Mapping[str, str]


class Scenario(Value):
    """A customer lifecycle to simulate: `events(tag, start)` returns bodies in the order in which they happened.

    `tag` makes the ids of one run unique; `start` is the time of the first event, later ones are dated after it.
    """

    name: str
    summary: str
    events: Callable[[str, datetime], Sequence[bytes]]


class Timeline(Protocol):
    """A simulated customer: the webhooks so far."""

    @property
    def webhooks(self) -> Sequence[bytes]: ...


SomeTimeline = TypeVar("SomeTimeline", bound=Timeline)


def scenario(
    name: str,
    begin: Callable[[str, datetime], SomeTimeline],
    steps: Callable[[SomeTimeline], SomeTimeline],
    note: str = "",
) -> Scenario:
    """The scenario that applies `steps` to `begin(tag, start)`. The docstring of `steps` is its summary."""

    def events(tag: str, start: datetime) -> Sequence[bytes]:
        return steps(begin(tag, start)).webhooks

    return Scenario(name=name, summary=f"{steps.__doc__}{note}", events=events)


class Simulation(Value):
    """Everything that only `simulate`, the demo and the tests need of a processor.

    `as_test_traffic`: a body as the processor would send it in test mode; None: its webhooks do not state the mode.
    `only_demo_signs`: the configured secret is a public key, which verifies and cannot sign.
    """

    scenarios: Mapping[str, Scenario]
    demo_secret: str  # an obviously fake secret that `sign` and `verify` accept
    as_test_traffic: Callable[[bytes], bytes] | None = None
    only_demo_signs: bool = False


class Api(Protocol):
    """A processor's API, for data that webhooks leave out: the only part of a processor that does I/O.

    Called only by the worker and the command line, which pass its results to the pure functions as values. Each call
    raises `ApiError` when the API is unreachable or refuses, after a few retries with time-outs.
    """

    def for_account(self, account: str | None) -> Api:
        """The same API on behalf of a connected account; itself for None, or for processors without accounts."""
        ...

    def lookup(self, keys: Iterable[tuple[str, str]]) -> list[CatalogEntry]:
        """The catalog entries of these (kind, id): kinds are `price`, `coupon`, `discount` and `product`."""
        ...

    def related_facts(self, facts: Sequence[Fact], seen: Collection[str]) -> list[Fact]:
        """Facts that complete these: the invoice of a payment that cannot name it, a subscription not in `seen`."""
        ...

    def subscriptions(self) -> Iterator[SubscriptionState]:
        """Every subscription that has not ended, as `Stage.IMPORTED` states."""
        ...

    def subscription(self, subscription_id: str) -> SubscriptionState | None:
        """One subscription in its current state, also if it has ended, then as of its end; None: there is none."""
        ...

    def events(self, since: datetime) -> Iterator[bytes]:
        """The bodies of all events since then, oldest first, as webhooks would have brought them."""
        ...

    def fetch(self, path: str) -> bytes:
        """The body of the resource that a thin event points at."""
        ...


class ApiError(Exception):
    """The processor's API is unreachable or refused. The message says what to do, and contains no key."""


class Processor(Value):
    """Everything the bridge knows about a processor. A new one fills in this value and nothing else.

    `verify`, `envelope` and `translate` are pure. `envelope(body, options)` reads id, type, date, account and livemode
    of a body that is known to be genuine, and raises `Unreadable` for anything else. `translate(body, options)` takes
    the same body and raises nothing for an odd event: it returns a reason instead. `sign(body, secret, now)` returns
    the webhook that `verify` accepts. `options` are passed to all of them, by environment name.
    """

    name: str  # in URLs and tables: "stripe", "paddle", "paddle-classic"
    title: str  # for people: "Stripe"
    payment_processor: str  # the name that Pulsora receives
    secret: Option
    api_key: Option | None = None
    options: tuple[Option, ...] = ()
    verify: Verify
    envelope: Callable[[bytes, Mapping[str, str]], Event]
    translate: Callable[[bytes, Mapping[str, str]], Translation]
    sign: Callable[[bytes, str, datetime], SignedWebhook]
    event_types: tuple[str, ...]  # the types to subscribe to, in the processor's spelling
    setup_steps: tuple[str, ...] = ()  # how to make the processor send webhooks; `{url}` is the address
    # Both are named, "module:attribute", and imported only when asked for: the API does I/O, and no process that
    # serves webhooks should hold a simulation with its private demo key.
    simulation: str  # a `Simulation`
    api: str | None = None  # a function: (key, options) -> Api
    totals: str | None = None  # a function: (key, options) -> processors.totals.Totals
    endpoints: str | None = None  # a function: (key, options) -> processors.endpoints.EndpointApi
    key_page: Callable[[bool, Mapping[str, str]], str] | None = None  # (livemode, options): where an API key is made
    complete_event: Callable[[bytes, bytes], bytes] | None = None  # a thin event and its fetched object, as one body
    event_days: int = 30  # how long the API keeps events

    @property
    def scenarios(self) -> Mapping[str, Scenario]:
        """The scenarios by name. Imports the simulation."""
        return self._simulation.scenarios

    @property
    def demo_secret(self) -> str:
        """The secret that simulated webhooks are signed with. Imports the simulation."""
        return self._simulation.demo_secret

    @property
    def as_test_traffic(self) -> Callable[[bytes], bytes] | None:
        """Turns a simulated webhook into one of test mode. Imports the simulation."""
        return self._simulation.as_test_traffic

    @property
    def only_demo_signs(self) -> bool:
        """Whether the demo secret signs every simulation. Imports the simulation."""
        return self._simulation.only_demo_signs

    def connect_endpoints(self, key: str, options: Mapping[str, str]) -> EndpointApi | None:
        """The API that manages webhook endpoints with this key, or None: they are made by hand."""
        found: EndpointApi | None = None if self.endpoints is None else _named(self.endpoints)(key, options)
        return found

    def connect_totals(self, key: str, options: Mapping[str, str]) -> Totals | None:
        """The lists that an audit compares, read with this key, or None: this processor has no API."""
        found: Totals | None = None if self.totals is None else _named(self.totals)(key, options)
        return found

    @property
    def _simulation(self) -> Simulation:
        found: Simulation = _named(self.simulation)
        return found

    def connect(self, key: str, options: Mapping[str, str]) -> Api | None:
        """The API that this key reads, or None: this processor has no API."""
        found: Api | None = None if self.api is None else _named(self.api)(key, options)
        return found


def _named(reference: str) -> Any:
    module, _, attribute = reference.partition(":")
    return getattr(import_module(module), attribute)

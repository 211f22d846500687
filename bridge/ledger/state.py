"""What the ledger remembers of one stream between two settlements, and how that is written down.

Nothing in here is an event: it is what is needed so that no fact is ever told twice and every delta adds up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from cattrs.preconf.json import make_converter

from bridge.ledger.events import RevenueEvent
from processors.facts import Line, Reason, RefundStatus, Terms
from processors.money import Currency


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What some metadata said of visit, customer and campaign. `at`: when; a later mark replaces an earlier one."""

    at: datetime
    fingerprint: str | None = None
    session: str | None = None
    customer: str | None = None
    source: str | None = None
    campaign: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Which id belongs to which. The first that is learnt stays."""

    invoice_of: Mapping[str, str] = field(default_factory=dict)  # payment -> invoice
    subscription_of: Mapping[str, str] = field(default_factory=dict)  # invoice or payment -> subscription
    payment_of: Mapping[str, str] = field(default_factory=dict)  # charge -> payment


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What `metadata` tells of a subscription with each event."""

    plan: str | None = None
    interval: str | None = None
    coupon: str | None = None
    seats: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One subscription's place in the ledger.

    `level`: its present MRR, exact, in minor units. `told`: the same as Pulsora knows it, so that always
    `told == baseline + sum of emitted deltas == round(level)`. `terms` None: known from payments alone.
    `counted`: it has counted towards MRR at some time. `starts`, `moves`: how many were emitted, for their keys.
    """

    id: str
    currency: Currency
    first_at: datetime
    at: datetime
    changed_at: datetime | None = None
    terms: Terms | None = None
    level: Fraction = Fraction(0)
    told: int = 0
    baseline: int = 0
    counted: bool = False
    estimated: bool = False
    imported: bool = False
    ended: bool = False
    moves: int = 0
    starts: int = 0
    trial_ends_at: datetime | None = None
    labels: Labels = Labels()
    lines: Mapping[str, Line] = field(default_factory=dict)  # by price: what one full period was billed last
    lines_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """All payments for one thing owed: an invoice, a transaction, or a payment that has none.

    `claimed`: what the invoice says has been paid on it in all. `payments`: by economic key. `told`: gross minor units
    that went out as events; `told_net` the same after `AMOUNT_BASIS`. `transaction_id`: of the first event.
    """

    id: str
    currency: Currency
    at: datetime
    claimed: int = 0
    payments: Mapping[str, int] = field(default_factory=dict)
    tax: int = 0
    told: int = 0
    told_net: int = 0
    reason: Reason = Reason.UNKNOWN
    invoiced: bool = False
    subscription_id: str | None = None
    transaction_id: str | None = None
    recurring: bool = False
    unsure: bool = False  # no invoice is known, and the payload could not say that there is none
    plan: str | None = None

    @property
    def total(self) -> int:
        """Gross minor units paid so far: invoices count payments that no webhook told of, and the other way round."""
        return max(self.claimed, sum(self.payments.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """One refund, dispute or reversal of `minor` units. `told`: what of it went out; 0: nothing yet, or taken back."""

    status: RefundStatus
    minor: int = 0
    told: int = 0
    payment_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An event that went to the outbox without a visit, and the places where one may still turn up."""

    event: RevenueEvent
    places: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One stream's ledger. `marks` are kept by "place:ref"; `pooled`: refunded by a total, not yet by single refunds."""

    customer_id: str | None = None
    links: Links = Links()
    marks: Mapping[str, Mark] = field(default_factory=dict)
    subscriptions: Mapping[str, Subscription] = field(default_factory=dict)
    bills: Mapping[str, Bill] = field(default_factory=dict)
    refunds: Mapping[str, Returned] = field(default_factory=dict)
    pooled: Mapping[str, int] = field(default_factory=dict)
    held: tuple[Held, ...] = ()


EMPTY = State()

_VERSION = 1
_json = make_converter(omit_if_default=True)
_json.register_unstructure_hook(Fraction, str)
_json.register_structure_hook(Fraction, lambda value, _: Fraction(value))
_json.register_unstructure_hook(Decimal, str)
_json.register_structure_hook(Decimal, lambda value, _: Decimal(value))
_json.register_structure_hook_func(lambda kind: kind is object, lambda value, _: value)  # metadata: JSON values


def dump(state: State) -> str:
    """The state as JSON text, with the version of its layout."""
    return _json.dumps({"version": _VERSION, "state": _json.unstructure(state)}, separators=(",", ":"))


def load(text: str | None) -> State:
    """The state that was written down, or an empty one. Raises ValueError when a newer program wrote it."""
    if text is None:
        return EMPTY
    written: dict[str, Any] = _json.loads(text, dict[str, Any])
    if written.get("version") != _VERSION:
        raise ValueError(f"ledger state of layout {written.get('version')!r}; this program knows {_VERSION}")
    return _json.structure(written["state"], State)

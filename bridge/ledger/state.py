"""What the ledger remembers of one stream between two settlements, and how that is written down.

Nothing in here is an event: it is what is needed so that no fact is ever told twice and every delta adds up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction

from bridge.ledger.drafts import NO_LABELS, Draft, Labels
from bridge.ledger.writing import Shelf, converter, text_of
from processors.facts import Line, Reason, RefundKind, RefundStatus, Terms
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
    """Which id belongs to which. The first that is learnt stays.

    `matched`: payments whose invoice nobody named, and the invoice that they must have paid; a name takes precedence.
    """

    invoice_of: Mapping[str, str] = field(default_factory=dict)  # payment -> invoice
    subscription_of: Mapping[str, str] = field(default_factory=dict)  # invoice or payment -> subscription
    payment_of: Mapping[str, str] = field(default_factory=dict)  # charge -> payment; checkout session -> what it sold
    matched: Mapping[str, str] = field(default_factory=dict)  # payment -> invoice


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One subscription's place in the ledger.

    `level`: its present MRR, exact, in minor units. `told`: the same as Pulsora knows it, so that always
    `told == baseline + sum of emitted deltas == round(level)`. `terms` None: known from payments alone.
    `guessed`: its baseline rests on the guess that its level was. `begun_at`: when a state said that it began.
    `counted`: it has counted towards MRR at some time. `starts`, `moves`: how many were emitted, for their keys.
    `proven_at`: when a payment proved that it runs, whatever an older state says of it. `taken`: the events whose
    states of the very moment `at` made it what it is; none of them does so twice.
    """

    id: str
    currency: Currency
    first_at: datetime
    at: datetime
    changed_at: datetime | None = None
    begun_at: datetime | None = None
    terms: Terms | None = None
    level: Fraction = Fraction(0)
    told: int = 0
    baseline: int = 0
    guessed: bool = False
    counted: bool = False
    estimated: bool = False
    imported: bool = False
    ended: bool = False
    moves: int = 0
    starts: int = 0
    trial_ends_at: datetime | None = None
    proven_at: datetime | None = None
    labels: Labels = NO_LABELS
    lines: Mapping[str, Line] = field(default_factory=dict)  # by price: what one full period was billed last
    lines_at: datetime | None = None
    taken: tuple[str, ...] = ()

    @property
    def moment(self) -> datetime:
        """When it stood so: by the processor's clock of the object where it has one."""
        return self.changed_at or self.at


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """One refund, dispute or reversal of `minor` units, as far as it has got.

    `counted`: what of it counts as given back now: 0 unless it has succeeded, below 0 for a reversal.
    """

    kind: RefundKind = RefundKind.REFUND
    status: RefundStatus
    minor: int
    counted: int = 0
    payment_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """All that was paid for one thing owed (an invoice, a transaction, or a payment without one), and given back.

    Gross minor units, but for `told` and `told_back`, which are what went out after `AMOUNT_BASIS`: always
    `told - told_back == sum of its events' amounts`. `claimed`: what the invoice says has been paid on it in all.
    `payments`: by economic key. `returns`: by refund. `pooled`: given back by a total, not yet by single refunds, by
    payment. `told_as`: the transaction ids of its events. `unsure`: its payload could not say that it has no invoice.
    """

    id: str
    currency: Currency
    at: datetime
    claimed: int = 0
    payments: Mapping[str, int] = field(default_factory=dict)
    tax: int = 0
    returns: Mapping[str, Returned] = field(default_factory=dict)
    pooled: Mapping[str, int] = field(default_factory=dict)
    told: int = 0
    told_back: int = 0
    told_as: tuple[str, ...] = ()
    reason: Reason = Reason.UNKNOWN
    invoiced: bool = False
    unsure: bool = False
    recurring: bool = False
    subscription_id: str | None = None
    plan: str | None = None
    coupon: str | None = None

    @property
    def paid(self) -> int:
        """Gross, so far: an invoice counts payments that no webhook told of, and the other way round."""
        return max(self.claimed, sum(self.payments.values()))

    @property
    def returned(self) -> int:
        """Gross, given back so far. Of a payment that was only authorised nothing can be."""
        single = sum(one.counted for one in self.returns.values() if self.payments.get(one.payment_id or "") != 0)
        return single + sum(minor for payment, minor in self.pooled.items() if self.payments.get(payment) != 0)

    @property
    def transaction_id(self) -> str:
        """What its first event was told as, else would be."""
        return self.told_as[0] if self.told_as else self.id


def _bills() -> Shelf[Bill]:
    return Shelf(Bill)


def _marks() -> Shelf[Mark]:
    return Shelf(Mark)


def _held() -> Shelf[Draft]:
    return Shelf(Draft)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One stream's ledger.

    `marks` are kept by "place:ref". `open_bills`: since when a payment without an invoice, or an invoice with more paid
    than payments are known, waits for its counterpart. `held`: events without a visit, by output key.
    """

    customer_id: str | None = None
    links: Links = Links()
    marks: Shelf[Mark] = field(default_factory=_marks)
    subscriptions: Mapping[str, Subscription] = field(default_factory=dict)
    bills: Shelf[Bill] = field(default_factory=_bills)
    open_bills: Mapping[str, datetime] = field(default_factory=dict)
    held: Shelf[Draft] = field(default_factory=_held)


EMPTY = State()

_VERSION = 1


def dump(state: State) -> str:
    """The state as JSON text, with the version of its layout."""
    return text_of({"version": _VERSION, "state": state})


def load(text: str | None) -> State:
    """The state that was written down, or an empty one. Raises ValueError when a newer program wrote it."""
    if text is None:
        return EMPTY
    written = json.loads(text)
    if written.get("version") != _VERSION:
        raise ValueError(f"ledger state of layout {written.get('version')!r}; this program knows {_VERSION}")
    return converter.structure(written["state"], State)

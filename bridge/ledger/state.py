"""The ledger of one stream between two settlements: enough to report nothing twice and to add up exactly.

It holds no events of the past. `dump` and `load` are its stored form.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from fractions import Fraction
from typing import Any

from bridge.ledger.events import NO_PLAN_DETAILS, Draft, PlanDetails
from bridge.ledger.measurements import Measurements, Scopes
from bridge.ledger.references import NO_REFERENCES, References
from bridge.ledger.serialization import LazyMapping, encode, structure
from processors.facts import Discount, Period, Reason, RefundKind, RefundStatus, Terms
from processors.money import Currency
from processors.values import Value, field, replace


class Touchpoint(Value):
    """Visit, customer and campaign as one metadata object names them. `at`: when; the latest of a source counts."""

    at: datetime
    fingerprint: str | None = None
    session: str | None = None
    customer: str | None = None
    source: str | None = None
    campaign: str | None = None


class Subscription(Value):
    """One subscription.

    MRR in minor units per month, exact in `mrr` and rounded in `reported_mrr`, so that always
    `reported_mrr == baseline + sum of reported deltas == round(mrr)`.
    """

    id: str
    currency: Currency
    customer_id: str | None = None  # of its latest state: Paddle can move a subscription to another customer
    first_seen_at: datetime  # the earliest time at which it is known to have existed
    at: datetime  # of its latest state
    changed_at: datetime | None = None  # the same by the processor's clock of the object, if it has one
    created_at: datetime | None = None  # when a state said that it was created
    terms: Terms | None = None  # None: known from payments only
    mrr: Fraction = Fraction(0)
    reported_mrr: int = 0
    baseline: int = 0  # MRR from before the bridge saw it; never reported
    baseline_is_guess: bool = False  # the baseline follows from an MRR that is estimated
    has_counted: bool = False  # it counted towards MRR at some time
    estimated: bool = False  # `mrr` rests on incomplete data
    imported: bool = False
    ended: bool = False
    movement_count: int = 0  # movements so far, for their ids
    start_count: int = 0  # those of them that were starts
    trial_ends_at: datetime | None = None
    proven_active_at: datetime | None = None  # when a payment proved it active before its own state said so
    plan_details: PlanDetails = NO_PLAN_DETAILS
    measured: Measurements = field(default_factory=dict)  # what bills charged, by price
    discount_scopes: Scopes = field(default_factory=dict)  # by discount: whether it came off a product
    periods: Mapping[str, Period] = field(default_factory=dict)  # the billing period that each price is in
    valued_at: datetime | None = None  # when `mrr` was true, if later than `at`
    applied_event_ids: tuple[str, ...] = ()  # whose states of this `moment` are applied; none is applied twice

    @property
    def moment(self) -> datetime:
        """When its latest state was true: by the processor's clock of the object if it has one."""
        return self.changed_at or self.at

    @property
    def mrr_at(self) -> datetime:
        """When its MRR was true: what is reported later about the time before does not change it."""
        return max(self.valued_at or self.at, self.at)


class RefundRecord(Value):
    """One refund, dispute or reversal of `minor` units at its latest status.

    `counted_minor`: the part that counts as given back: 0 unless it succeeded, negative for a reversal. `tax`: the part
    of `minor` that is tax; None: not stated.
    """

    kind: RefundKind = RefundKind.REFUND
    status: RefundStatus
    minor: int
    counted_minor: int = 0
    payment_id: str | None = None
    tax: int | None = None


class Receivable(Value):
    """One amount owed (an invoice, a transaction, or a payment without either), with its payments and refunds.

    Gross minor units, except the reported amounts, which follow `AMOUNT_BASIS`; always
    `reported_minor - reported_refund_minor == sum of the amounts of its events`.
    """

    id: str
    currency: Currency
    at: datetime
    stated_paid: int = 0  # the total paid according to the invoice
    payments: Mapping[str, int] = field(default_factory=dict)  # by economic key
    released: Mapping[str, int] = field(default_factory=dict)  # by payment: counted as refunded, but never captured
    tax: int = 0
    refunds: Mapping[str, RefundRecord] = field(default_factory=dict)  # by refund key
    unassigned_refunds: Mapping[str, int] = field(default_factory=dict)  # by payment: in a total, not yet as a refund
    reported_minor: int = 0
    reported_refund_minor: int = 0
    reported_as: tuple[str, ...] = ()  # the transaction ids of its payments' events
    reason: Reason = Reason.UNKNOWN
    is_invoice: bool = False
    may_have_invoice: bool = False  # the payment's payload cannot say whether it belongs to an invoice
    is_recurring: bool = False
    subscription_id: str | None = None
    plan: str | None = None
    coupon: str | None = None
    billed_plan: PlanDetails | None = None  # the plan that its first event reported, if it recurs

    @property
    def paid(self) -> int:
        """Gross minor units paid. Invoice and payments may each know of money that the other has not seen."""
        return max(self.stated_paid, sum(self.payments.values()))

    @property
    def refunded(self) -> int:
        """Gross minor units given back. An authorisation that was never captured (a payment of 0) has no refunds."""
        single = sum(one.counted_minor for one in self.counted_refunds)
        total = sum(minor for payment, minor in self.unassigned_refunds.items() if self.payments.get(payment) != 0)
        return single + total - sum(self.releases_among(payment) for payment in self.released)

    @property
    def counted_refunds(self) -> tuple[RefundRecord, ...]:
        """The refunds, disputes and reversals of what was captured."""
        return tuple(one for one in self.refunds.values() if self.payments.get(one.payment_id or "") != 0)

    def releases_among(self, payment: str) -> int:
        """The minor units among a payment's single refunds that only released the uncaptured part of it.

        Nothing marks that refund but its amount.
        """
        released = self.released.get(payment, 0)
        refunds = (one for one in self.refunds.values() if one.kind is RefundKind.REFUND)
        amounts = (one.counted_minor for one in refunds if one.payment_id == payment)
        return released if released and released in amounts else 0

    @property
    def invoice_id(self) -> str | None:
        """The invoice, also if only a payment that names it has been seen. None: a payment without one."""
        return self.id if self.is_invoice or (self.payments and self.id not in self.payments) else None

    @property
    def transaction_id(self) -> str:
        """The transaction id of its first event."""
        return self.reported_as[0] if self.reported_as else self.id


class State(Value):
    """The ledger of one stream.

    `touchpoints`: by "place:id". `unmatched`: since when a payment without an invoice, or an invoice with more paid
    than its known payments, lacks its counterpart. `held`: drafts without a visit, by output key. `adopted`: payments
    and receivables that came from another stream since the last settlement, which the next one joins.
    `customer_discounts`: discounts on the customer, which apply to each subscription without its own.
    `customer_discounts_at`: when the latest of them began or ended, as far as webhooks have said.
    """

    customer_id: str | None = None
    references: References = NO_REFERENCES
    touchpoints: LazyMapping[Touchpoint] = LazyMapping(Touchpoint)
    subscriptions: Mapping[str, Subscription] = field(default_factory=dict)
    receivables: LazyMapping[Receivable] = LazyMapping(Receivable)
    unmatched: Mapping[str, datetime] = field(default_factory=dict)
    held: LazyMapping[Draft] = LazyMapping(Draft)
    adopted: tuple[str, ...] = ()
    customer_discounts: tuple[Discount, ...] = ()
    customer_discounts_at: datetime | None = None

    @property
    def current_terms(self) -> Iterator[Terms]:
        """The terms of every subscription that has not ended, with the customer's discounts where these apply."""
        running = (one.terms for one in self.subscriptions.values() if one.terms is not None and not one.ended)
        return (one if one.discounts else replace(one, discounts=self.customer_discounts) for one in running)


EMPTY = State()

_VERSION = 2


def dump(state: State) -> str:
    """The state as JSON text, with the version of its layout."""
    return encode({"version": _VERSION, "state": state})


def load(text: str | None) -> State:
    """The stored state, or an empty one for None. Raises ValueError for another layout than this program's."""
    if text is None:
        return EMPTY
    stored = json.loads(text)
    if stored.get("version") != _VERSION:
        raise ValueError(f"ledger state of layout {stored.get('version')!r}; this program reads {_VERSION}")
    for subscription in stored["state"].get("subscriptions", {}).values():
        _read_billed_lines(subscription)
    return structure(stored["state"], State)


def _read_billed_lines(subscription: dict[str, Any]) -> None:
    """Earlier programs stored only the lines of the last bill, with their amounts without tax."""
    lines, at = subscription.pop("billed_lines", None), subscription.pop("billed_at", None)
    if lines and "measured" not in subscription:
        at = at or subscription["at"]
        subscription["measured"] = {price_id: [{"at": at, "line": line}] for price_id, line in lines.items()}

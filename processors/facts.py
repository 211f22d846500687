"""The neutral vocabulary: what happened, in words that know no processor. The ledger folds these values.

Money facts (`Payment`, `Refund`), state (`SubscriptionState`), origin (`Attribution`), identity (`Link`), and what
is known of prices and discounts whoever the customer is (`Price`, `Coupon`, `Discount`, `Product`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from processors.money import Currency, Money

Metadata = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ids:
    """The ids that one fact names together. Each is unique within its source; None: not said.

    `guest` is True only when the object itself says that there is no customer (Stripe: `customer` present and null).
    """

    customer_id: str | None = None
    subscription_id: str | None = None
    invoice_id: str | None = None
    payment_id: str | None = None  # the economic key of a payment: pi_…, ch_… without an intent, txn_…
    charge_id: str | None = None
    checkout_id: str | None = None
    guest: bool = False

    def refs(self) -> tuple[str, ...]:
        """Every id but the customer's, for joining facts to their stream."""
        named = (self.payment_id, self.charge_id, self.invoice_id, self.subscription_id, self.checkout_id)
        return tuple(ref for ref in named if ref is not None)


# ---- Prices and discounts: what is known whoever the customer is ----------------------------------------------


class Interval(StrEnum):
    """The unit of a billing interval."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


class TiersMode(StrEnum):
    """How tiers price a quantity: each part by its own tier, or all of it by the tier that it reaches."""

    GRADUATED = "graduated"
    VOLUME = "volume"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """One tier. `up_to` None: without end. Amounts in minor units, exact."""

    up_to: int | None
    unit_amount: Decimal = Decimal(0)
    flat_amount: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A recurring or one-time price. `unit_amount` in minor units, exact (12 places); None: not said, or tiered.

    `interval` None: one-time. `tiered` with empty `tiers`: tiers exist, but the payload leaves them out.
    `divide_by`: Stripe's `transform_quantity`. `tax_inclusive`: the amount contains a tax that is not known here.
    """

    id: str
    currency: Currency
    unit_amount: Decimal | None = None
    interval: Interval | None = None
    interval_count: int = 1
    product_id: str | None = None
    name: str | None = None  # the product's name when known, else nickname, else lookup key
    metered: bool = False
    tiered: bool = False
    tiers: tuple[Tier, ...] = ()
    tiers_mode: TiersMode | None = None
    divide_by: int | None = None
    divide_rounds_up: bool = False
    tax_inclusive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """The name of a product, for `metadata.plan`."""

    id: str
    name: str


class Duration(StrEnum):
    """How long a coupon lasts."""

    ONCE = "once"
    REPEATING = "repeating"
    FOREVER = "forever"


@dataclass(frozen=True, slots=True, kw_only=True)
class Coupon:
    """A coupon: a `percent` (25 is a quarter off), or an `amount_off` in minor units by upper-case currency code.

    `duration` None: not said. `name`: what `metadata.coupon` shows, else the id.
    """

    id: str
    percent: Decimal | None = None
    amount_off: Mapping[str, int] = field(default_factory=dict)
    duration: Duration | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Discount:
    """A coupon at work on a subscription or an item. `coupon` None: only its id is in the payload, look it up.

    `id` and `coupon_id` may each be None, not both. Ends at `ends_at`, exclusive; None: not said.
    """

    id: str | None = None
    coupon_id: str | None = None
    coupon: Coupon | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One recurring item of a subscription. `counts` False: this item is on trial or inactive, so it earns 0 now."""

    price: Price
    quantity: Decimal = Decimal(1)
    counts: bool = True
    discounts: tuple[Discount, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A recurring line of an invoice or a transaction: what was really billed for one price, tax excluded.

    `amount` is for one billing period of the price, in minor units, before discounts; `discount` what came off it.
    `interval` None: not in the payload; the ledger takes it from the price, else from `days`, the line's period.
    `proration`: a part of a period, no measure of a level.
    """

    price_id: str | None
    product_id: str | None = None
    name: str | None = None
    amount: Decimal
    discount: Decimal = Decimal(0)
    quantity: Decimal = Decimal(1)
    interval: Interval | None = None
    interval_count: int = 1
    days: int | None = None
    proration: bool = False
    metered: bool = False


# ---- What happened -----------------------------------------------------------------------------------------------


class Reason(StrEnum):
    """Why a payment was asked for, as the processor says."""

    START = "start"  # the first of a subscription
    CYCLE = "cycle"  # a later period
    CHANGE = "change"  # a change billed at once: proration
    ONE_OFF = "one_off"  # no subscription, or a one-time charge on one
    UNKNOWN = "unknown"


class Membership(StrEnum):
    """Whether a payment belongs to an invoice (or transaction that classifies it)."""

    INVOICE = "invoice"  # yes: `ids.invoice_id`
    NONE = "none"  # no, the payload says so
    UNKNOWN = "unknown"  # the payload cannot say: wait for the link


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """Money that a customer paid: one payment, or (`is_total`) all that has been paid on one invoice so far.

    `key` is the economic key (payment intent, else charge; transaction), or the invoice's id for a total: however
    many webhooks tell of one key, it counts once. The amount is gross and never negative; `tax` its part in minor
    units. An amount of 0 moves no money, and still tells reason, lines and subscription. `lines`: the recurring lines,
    None: not in this payload.
    `metadata` is the object's own; `subscription_metadata` the subscription's as the invoice remembers it.
    """

    key: str
    at: datetime
    ids: Ids
    amount: Money
    tax: int | None = None
    is_total: bool = False
    membership: Membership = Membership.UNKNOWN
    reason: Reason = Reason.UNKNOWN
    lines: tuple[Line, ...] | None = None
    discounts: tuple[Discount, ...] = ()
    plan: str | None = None  # what was bought, where the payload names it and no subscription does
    price_id: str | None = None  # of the same
    product_id: str | None = None
    metadata: Metadata = field(default_factory=dict)
    subscription_metadata: Metadata = field(default_factory=dict)
    processor_event_id: str = ""


class RefundStatus(StrEnum):
    """Where a refund stands. `FAILED` covers cancelled and rejected too."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class RefundKind(StrEnum):
    """What gave the money back, and which way it moved. The `*_REVERSAL` kinds bring money in again."""

    REFUND = "refund"
    DISPUTE = "dispute"
    REVERSAL = "reversal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """Money given back (REFUND, DISPUTE), or money that came back after all (REVERSAL). `amount` is positive.

    `key`: re_…, adj_…, `dp_…:withdrawn`, `dp_…:reinstated`. `transaction_id` is what Pulsora shows (re_…, dp_…, adj_…).
    `reverses`: the key of the refund that a REVERSAL compensates. `is_total`: `amount` is all that has been given
    back on the payment so far (Stripe's `charge.refunded` before refunds had events of their own), and `key` is the
    charge's.
    """

    key: str
    at: datetime
    ids: Ids
    amount: Money
    transaction_id: str
    kind: RefundKind = RefundKind.REFUND
    status: RefundStatus = RefundStatus.SUCCEEDED
    is_total: bool = False
    reverses: str | None = None
    reason: str | None = None
    metadata: Metadata = field(default_factory=dict)
    processor_event_id: str = ""


class Status(StrEnum):
    """A subscription's status. Only `ACTIVE` and `PAST_DUE` count towards MRR; `ENDED` is final."""

    INCOMPLETE = "incomplete"
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    UNPAID = "unpaid"
    PAUSED = "paused"
    ENDED = "ended"


class Stage(StrEnum):
    """What the event says of the subscription's life: it begins now, it is being changed, or it is being imported."""

    CREATED = "created"
    CHANGED = "changed"
    IMPORTED = "imported"  # an older subscription made known: a baseline, whatever else is seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a subscription is worth at one moment: everything its level of MRR is computed from."""

    status: Status
    currency: Currency
    items: tuple[Item, ...] = ()
    items_complete: bool = True  # False: the payload holds only the first of a longer list
    discounts: tuple[Discount, ...] = ()
    cancels_at: datetime | None = None  # a scheduled end, for `CHURN_AT=request`
    stopped_collecting: bool = False  # Stripe's pause_collection with void or mark_uncollectible


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionState:
    """A subscription as it stood at one moment. `ids.subscription_id` is always set.

    `before`: its terms before this change, when the event says them (Stripe's `previous_attributes`), else None.
    `changed_at`: the processor's own clock of the object (Paddle's `updated_at`), the finer order where `at` ties.
    `ended_reason`: why it ended or paused, in the processor's word.
    """

    at: datetime
    ids: Ids
    now: Terms
    before: Terms | None = None
    stage: Stage = Stage.CHANGED
    changed_at: datetime | None = None
    started_at: datetime | None = None
    trial_ends_at: datetime | None = None
    ended_reason: str | None = None
    estimated: bool = False  # the terms rest on a guess (Classic without a plan table)
    metadata: Metadata = field(default_factory=dict)
    processor_event_id: str = ""


class Place(StrEnum):
    """Where an attribution was found, best first: the order in which the ledger looks."""

    OBJECT = "object"
    INVOICE = "invoice_subscription_metadata"
    CHECKOUT = "checkout_session"
    SUBSCRIPTION = "subscription"
    CUSTOMER_METADATA = "customer_metadata"
    CUSTOMER = "customer"
    REGISTERED = "registered"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """Metadata that may name the visit, told by an object that is no money and no subscription.

    CHECKOUT: by a checkout session, for the payment, invoice, subscription and customer in `ids`.
    CUSTOMER_METADATA: by the customer object. REGISTERED: by the merchant through `POST /attributions`.
    """

    place: Place
    at: datetime
    ids: Ids
    metadata: Metadata
    processor_event_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """These ids belong together; nothing else is said."""

    at: datetime
    ids: Ids
    processor_event_id: str = ""


Fact = Payment | Refund | SubscriptionState | Attribution | Link
CatalogEntry = Price | Coupon | Discount | Product

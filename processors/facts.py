"""Facts: the meaning of payloads in terms that are the same for every processor. The ledger settles these values.

Money (`Payment`, `Refund`), state (`SubscriptionState`), attribution (`Attribution`), identity (`Link`); and the
entries of the catalog, which belong to no customer (`Price`, `Coupon`, `Discount`, `Product`, and what completes them).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from processors.money import Currency, Money
from processors.values import Value, field

Metadata = Mapping[str, str]


class Ids(Value):
    """The ids that one fact names together. Each is unique within its source; None: not stated.

    `guest` is True only when the object itself states that it has no customer (Stripe: `customer` present and null).
    """

    customer_id: str | None = None
    subscription_id: str | None = None
    invoice_id: str | None = None
    payment_id: str | None = None  # the payment's key: pi_…, ch_… without an intent, txn_…
    charge_id: str | None = None
    checkout_id: str | None = None
    guest: bool = False

    def refs(self) -> tuple[str, ...]:
        """Every id except the customer's, to find the stream of a fact."""
        named = (self.payment_id, self.charge_id, self.invoice_id, self.subscription_id, self.checkout_id)
        return tuple(ref for ref in named if ref is not None)


# ---- The catalog: prices and discounts ----------------------------------------------------------------------------


class Interval(StrEnum):
    """The unit of a billing interval."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


class TiersMode(StrEnum):
    """How tiers price a quantity: each part by its own tier, or all of it by the highest tier it reaches."""

    GRADUATED = "graduated"
    VOLUME = "volume"


class Tier(Value):
    """One tier. `up_to` None: no limit. Amounts in minor units, exact."""

    up_to: int | None
    unit_amount: Decimal = Decimal(0)
    flat_amount: Decimal = Decimal(0)


class Price(Value):
    """A recurring or one-time price. `unit_amount` in minor units, exact (12 places); None: not stated, or tiered.

    `interval` None: one-time. `tiered` with empty `tiers`: tiers exist, but the payload omits them.
    `divide_by`: Stripe's `transform_quantity`. `tax_inclusive`: the amount contains a tax of unknown size.
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


class PriceOption(Value):
    """A price in a further currency, which no webhook contains. `id`: as `option_id` makes it."""

    id: str
    price: Price


def option_id(price: Price, currency: Currency) -> str:
    """The id of a price's option for a currency."""
    return f"{price.id}:{currency.code}"


class Product(Value):
    """The name of a product, for `metadata.plan`."""

    id: str
    name: str


class Duration(StrEnum):
    """How long a coupon lasts."""

    ONCE = "once"
    REPEATING = "repeating"
    FOREVER = "forever"


class Coupon(Value):
    """A coupon: a `percent` (25 is a quarter off), or an `amount_off` in minor units by upper-case currency code.

    `duration` None: not stated. `name`: shown in `metadata.coupon`; None: the id is shown.
    `applies_to`: ids of the products or prices that it is limited to; empty: to none; None: not stated (Stripe leaves
    it out of webhooks).
    """

    id: str
    percent: Decimal | None = None
    amount_off: Mapping[str, int] = field(default_factory=dict)
    duration: Duration | None = None
    name: str | None = None
    applies_to: tuple[str, ...] | None = None


class CouponProducts(Value):
    """The products or prices that the coupon `id` is limited to, as stated once; empty: to none.

    Stored apart from the coupon, so that a later webhook, which leaves this out, does not replace it.
    """

    id: str
    applies_to: tuple[str, ...]


class Discount(Value):
    """A coupon applied to a subscription or an item. `coupon` None: the payload has only its id, look it up.

    `id` and `coupon_id` may each be None, not both. `ends_at` is exclusive; None: not stated.
    """

    id: str | None = None
    coupon_id: str | None = None
    coupon: Coupon | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None


class Item(Value):
    """One recurring item of a subscription. `counts` False: the item is on trial or inactive, its MRR is 0.

    `tax_inside`: the percentage of tax that its amount contains by the tax rates that are in force; None: none is
    stated. `tax_by_account`: the account's setting, which no payload has, decides whether tax is inside.
    """

    price: Price
    quantity: Decimal = Decimal(1)
    counts: bool = True
    discounts: tuple[Discount, ...] = ()
    tax_inside: Decimal | None = None
    tax_by_account: bool = False


class Line(Value):
    """A recurring line of an invoice or a transaction: the amount billed for one price.

    `amount` is for one billing period of the price, in minor units, before discounts; `discount` is subtracted.
    `tax_inside`: the tax that the amount less the discount contains; None: the amount is without tax, as Paddle's.
    `tax_rate`: the percentage of tax, inside an amount with `tax_inside` and else on top of it; None: not stated.
    `interval` None: not in the payload; the ledger takes it from the price, else from `days`, the line's period.
    `proration`: a part of a period: `share` of it where stated, else from `starts_at` to the end of it at `ends_at`.
    `discount_ids`: the discounts that came off this line. `metered`: it bills usage, or may.
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
    tax_inside: Decimal | None = None
    tax_rate: Decimal | None = None
    discount_ids: tuple[str, ...] = ()
    share: Decimal | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None


# ---- What happened -----------------------------------------------------------------------------------------------


class Reason(StrEnum):
    """The processor's reason for a payment."""

    START = "start"  # the first of a subscription
    CYCLE = "cycle"  # a later period
    CHANGE = "change"  # a change billed at once: proration
    ONE_OFF = "one_off"  # no subscription, or a one-time charge on one
    UNKNOWN = "unknown"


class Membership(StrEnum):
    """Whether a payment belongs to an invoice (or transaction that classifies it)."""

    INVOICE = "invoice"  # yes, to `ids.invoice_id`
    NONE = "none"  # no, as the payload states
    UNKNOWN = "unknown"  # not in the payload: wait for a link


class Payment(Value):
    """Money that a customer paid: one payment, or (`is_total`) the total paid on one invoice so far.

    `key` identifies the payment (payment intent, else charge; transaction), or the invoice for a total: a key counts
    once, whatever the number of webhooks. The amount is gross and never negative; `tax` is the part of it that is tax,
    in minor units. An amount of 0 moves no money, but still carries reason, lines and subscription.
    `lines`: the recurring lines; None: not in this payload.
    `metadata` is the object's own; `subscription_metadata` is the subscription's, as stored on the invoice.
    `is_primary`: of several webhooks about the same money, the one that names time and cause of its event.
    `released`: the part of an authorisation that was not captured and that the processor also counts as refunded, in
    minor units; 0: it does not; None: not in this payload.
    """

    key: str
    at: datetime
    ids: Ids
    amount: Money
    tax: int | None = None
    released: int | None = None
    is_total: bool = False
    membership: Membership = Membership.UNKNOWN
    reason: Reason = Reason.UNKNOWN
    lines: tuple[Line, ...] | None = None
    discounts: tuple[Discount, ...] = ()
    plan: str | None = None  # the product's name, for payments without a subscription
    price_id: str | None = None  # of the same product
    product_id: str | None = None
    metadata: Metadata = field(default_factory=dict)
    subscription_metadata: Metadata = field(default_factory=dict)
    is_primary: bool = True
    processor_event_id: str = ""


class RefundStatus(StrEnum):
    """The status of a refund. `FAILED` includes cancelled and rejected."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class RefundKind(StrEnum):
    """The cause of a refund. A `REVERSAL` returns refunded or disputed money to the merchant."""

    REFUND = "refund"
    DISPUTE = "dispute"
    REVERSAL = "reversal"


class Refund(Value):
    """Money returned to the customer (REFUND, DISPUTE) or to the merchant again (REVERSAL). `amount` is positive.

    `key`: re_…, adj_…, `dp_…:withdrawn`, `dp_…:reinstated`. `transaction_id` is shown in Pulsora (re_…, dp_…, adj_…).
    The amount of a DISPUTE or a REVERSAL is the total of its key so far. `reverses`: the key of the refund that a
    REVERSAL compensates. `is_total`: `amount` is the total refunded on the payment so far (Stripe's `charge.refunded`
    before refunds had their own events), and `key` is the charge's. `released`: as in `Payment`; in the total.
    `total_before`: the total before this event, as the processor states it. `is_move`: the event reports that the money
    moves now; False: it is about a refund or dispute that may be much older. `tax`: the part of the amount that is tax,
    in minor units; None: not stated.
    """

    key: str
    at: datetime
    ids: Ids
    amount: Money
    tax: int | None = None
    transaction_id: str
    kind: RefundKind = RefundKind.REFUND
    status: RefundStatus = RefundStatus.SUCCEEDED
    is_total: bool = False
    total_before: int = 0
    is_move: bool = True
    released: int | None = None
    reverses: str | None = None
    reason: str | None = None
    metadata: Metadata = field(default_factory=dict)
    is_primary: bool = True
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
    """The stage of a subscription's lifecycle that an event reports."""

    CREATED = "created"
    CHANGED = "changed"
    IMPORTED = "imported"  # an existing subscription: a baseline, whatever else is seen


class Terms(Value):
    """Everything that a subscription's MRR is computed from, at one time.

    `fixed_term`: `cancels_at` was agreed at the start, so that nobody has asked to cancel.
    """

    status: Status
    currency: Currency
    items: tuple[Item, ...] = ()
    items_complete: bool = True  # False: the payload has only the first of a longer list
    discounts: tuple[Discount, ...] = ()
    cancels_at: datetime | None = None  # the scheduled end, for `CHURN_AT=request`
    fixed_term: bool = False
    stopped_collecting: bool = False  # Stripe's pause_collection with void or mark_uncollectible


class Period(Value):
    """A billing period."""

    starts_at: datetime
    ends_at: datetime


class SubscriptionState(Value):
    """The state of a subscription at one time. `ids.subscription_id` is always set.

    `before`: its terms before this change, when the event states them (Stripe's `previous_attributes`), else None.
    `previous_invoice_id`: its latest invoice before this change, when the event states that it is another one now.
    `changed_at`: the processor's own time of the change (Paddle's `updated_at`), which orders states of equal `at`.
    `ended_reason`: the processor's word for why it ended or paused.
    `status_before`: its status before this change, when the event states that and nothing else of before.
    `keeps_status`: the event states no status: the known one stays, and `now` has the usual one.
    `reports_baseline`: MRR of it that was imported, or counted before it was first seen, is to be reported now.
    `periods`: the billing period that each price is in, by price; empty: not stated.
    """

    at: datetime
    ids: Ids
    now: Terms
    before: Terms | None = None
    status_before: Status | None = None
    keeps_status: bool = False
    previous_invoice_id: str | None = None
    stage: Stage = Stage.CHANGED
    changed_at: datetime | None = None
    started_at: datetime | None = None
    trial_ends_at: datetime | None = None
    ended_reason: str | None = None
    estimated: bool = False  # the terms are a guess (Classic without a plan table)
    reports_baseline: bool = False
    periods: Mapping[str, Period] = field(default_factory=dict)
    metadata: Metadata = field(default_factory=dict)
    is_primary: bool = True
    processor_event_id: str = ""


class Place(StrEnum):
    """Where an attribution was found, in the ledger's order of preference."""

    OBJECT = "object"
    INVOICE = "invoice_subscription_metadata"
    CHECKOUT = "checkout_session"
    SUBSCRIPTION = "subscription"
    CUSTOMER_METADATA = "customer_metadata"
    CUSTOMER = "customer"
    REGISTERED = "registered"
    NONE = "none"


class Attribution(Value):
    """Metadata that may contain an attribution, from an object that is neither payment nor subscription.

    OBJECT, INVOICE: from an invoice that is not paid yet: its own metadata, and the subscription's as stored on it.
    CHECKOUT: from a checkout session, for the payment, invoice, subscription and customer in `ids`.
    CUSTOMER_METADATA: from the customer object. REGISTERED: by the merchant through `POST /attributions`.
    """

    place: Place
    at: datetime
    ids: Ids
    metadata: Metadata
    processor_event_id: str = ""


class Link(Value):
    """These ids belong together; nothing else is known.

    `customer_discount`: a discount on the customer in `ids`, which applies to each subscription without its own.
    """

    at: datetime
    ids: Ids
    customer_discount: Discount | None = None
    processor_event_id: str = ""


Fact = Payment | Refund | SubscriptionState | Attribution | Link
CatalogEntry = Price | PriceOption | Coupon | CouponProducts | Discount | Product

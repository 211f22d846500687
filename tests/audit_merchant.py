"""A random Stripe merchant with its own records, rendered in each format that an audit reads.

The records follow from what the customers do and never from the ledger: prices times quantities, less a lasting
coupon.
"""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import chain
from typing import Any

from processors.money import round_minor
from processors.stripe.simulation import payloads
from processors.stripe.simulation.customer import PRO, PRO_YEARLY, STARTER, TEAM, Plan
from tests.lifecycles.stripe_customer import ExtendedCustomer

WEEKLY = Plan(id="price_weekly", minor=700, name="Weekly", interval="week")
PLANS = (STARTER, PRO, TEAM, PRO_YEARLY, WEEKLY)
PER_MONTH = {"month": Fraction(1), "year": Fraction(1, 12), "week": Fraction(52, 12)}
QUARTER_OFF = payloads.coupon("QUARTER", percent=25, duration="forever")
BEFORE = datetime(2025, 1, 1, tzinfo=UTC)
STEPS = (
    "change", "change", "renew", "cancel", "schedule", "pause", "let_off", "buy", "refund", "dispute", "second",
)  # fmt: skip
HOUR, PAID_WITHIN = timedelta(hours=1), timedelta(seconds=3)
WAIVED = {"behavior": "void", "resumes_at": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """One change of MRR. `kind`, `customer_kind`: its name by subscription and by customer."""

    at: datetime
    customer: str
    subscription: str
    minor: int
    kind: str
    customer_kind: str


@dataclass(slots=True, kw_only=True)
class Buyer:
    """One customer: what was simulated, and the MRR of each subscription.

    `leaving`: the subscriptions whose end is scheduled; `let_off`: those whose invoices are waived; `paused`: what
    those were worth that were paused once.
    """

    simulated: ExtendedCustomer
    plans: Sequence[Plan] = PLANS
    mrr: dict[str, int] = field(default_factory=dict)
    moved: list[Moved] = field(default_factory=list)
    started: set[str] = field(default_factory=set)
    leaving: set[str] = field(default_factory=set)
    let_off: set[str] = field(default_factory=set)
    paused: dict[str, int] = field(default_factory=dict)

    @property
    def active(self) -> list[str]:
        """The subscriptions that count, and may still change."""
        return [name for name, minor in self.mrr.items() if minor and name not in self.leaving | self.let_off]

    def move(self, name: str, minor: int) -> None:
        """Records the new MRR of a subscription."""
        before, total = self.mrr.get(name, 0), sum(self.mrr.values())
        if minor == before:
            return
        self.mrr[name] = minor
        self.moved.append(
            Moved(
                at=self.simulated.at, customer=self.simulated.customer_id,
                subscription=f"sub_{self.simulated.tag}_{name}", minor=minor - before,
                kind=_kind(before, minor, name in self.started),
                customer_kind=_kind(total, total + minor - before, bool(self.started)),
            )
        )  # fmt: skip
        self.started.add(name)


def _kind(before: int, after: int, has_counted: bool) -> str:
    if before == 0:
        return "reactivation" if has_counted else "new"
    return "churn" if after == 0 else "upgrade" if after > before else "downgrade"


def monthly(plan: Plan, quantity: int, *, discounted: bool = False) -> int:
    """The MRR of a plan in minor units."""
    exact = Fraction(plan.minor * quantity) * PER_MONTH[plan.interval] * (Fraction(3, 4) if discounted else 1)
    return round_minor(exact)


def buyer(
    tag: str,
    chance: random.Random,
    begin: datetime,
    end: datetime,
    *,
    actions: int = 6,
    plans: Sequence[Plan] = PLANS,
    is_known_late: bool = False,
) -> Buyer:
    """A customer who does a few things between two moments, hours apart. Known late: the first names no visit."""
    begun = ExtendedCustomer.begin(tag, begin + (end - begin) * chance.random() * 0.5)
    one = Buyer(simulated=begun, plans=plans)
    visit = one.simulated.visit
    if is_known_late:
        one.simulated = replace(one.simulated, visit={})
    _subscribe(one, "1", chance)
    for _ in range(chance.randint(0, actions)):
        later = replace(one.simulated.later(days=chance.randint(1, 40), hours=1), visit=visit)
        if later.at >= end:
            break
        one.simulated = later
        _step(one, chance.choice(STEPS), chance, end)
    return one


def _subscribe(one: Buyer, name: str, chance: random.Random) -> None:
    plan, quantity = chance.choice(one.plans), chance.randint(1, 3)
    coupon = QUARTER_OFF if plan.interval == "month" and chance.random() < 0.3 else None
    one.move(name, monthly(plan, quantity, discounted=coupon is not None))
    one.simulated = one.simulated.subscribe(plan, quantity, name=name, coupon=coupon)


def _step(one: Buyer, step: str, chance: random.Random, end: datetime) -> None:
    if step == "second" and len(one.mrr) < 3:
        _subscribe(one, str(len(one.mrr) + 1), chance)
    elif step == "pause":
        _pause(one)
    elif step == "buy":
        one.simulated = one.simulated.buy(chance.randint(100, 9000))
    elif step in ("refund", "dispute"):
        _give_back(one, step, chance)
    elif one.active:
        _step_of_active(one, step, chance, end)


def _give_back(one: Buyer, step: str, chance: random.Random) -> None:
    simulated = one.simulated
    if step == "refund" and simulated.payments[-1].refunded == 0:
        one.simulated = simulated.refund(max(1, simulated.payments[-1].minor // chance.choice((1, 2))))
    elif step == "dispute" and simulated.payments[0].refunded == 0 and len(simulated.payments) > 1:
        one.simulated = replace(simulated.dispute(payment=0), payments=simulated.payments[1:])


def _step_of_active(one: Buyer, step: str, chance: random.Random, end: datetime) -> None:
    active, simulated = one.active, one.simulated
    if step == "change":
        name, quantity = chance.choice(active), chance.randint(1, 4)
        sold = simulated.subscriptions[name]
        one.move(name, monthly(sold.plan, quantity, discounted=sold.coupon is not None))
        one.simulated = simulated.change(quantity=quantity, name=name)
    elif step == "renew" and simulated.subscriptions[active[0]].period[1] + timedelta(hours=2) < end:
        one.simulated = simulated.renew(active[0])
    elif step == "cancel":
        one.move(active[-1], 0)
        one.simulated = simulated.cancel(name=active[-1])
    elif step == "schedule":
        _schedule(one, active[-1], end)
    elif step == "let_off":
        one.let_off.add(active[-1])
        one.simulated = simulated.amend(name=active[-1], pause_collection=WAIVED)


def _schedule(one: Buyer, name: str, end: datetime) -> None:
    """The subscription ends with its period, unless that is after the end of the records."""
    one.leaving.add(name)
    one.simulated = one.simulated.cancel(name=name, at_period_end=True)
    if one.simulated.subscriptions[name].period[1] + timedelta(hours=2) < end:
        one.simulated = one.simulated.expire(name=name)
        one.move(name, 0)


def _pause(one: Buyer) -> None:
    """A paused subscription is resumed, else an active one is paused."""
    sold = one.simulated.subscriptions
    resumed = next((name for name in one.paused if sold[name].status == "paused"), None)
    if resumed is not None:
        one.simulated = one.simulated.become("active", name=resumed)
        one.move(resumed, one.paused[resumed])
    elif active := one.active:
        one.paused[active[-1]] = one.mrr[active[-1]]
        one.simulated = one.simulated.become("paused", name=active[-1])
        one.move(active[-1], 0)


@dataclass(slots=True, kw_only=True)
class Merchant:
    """Some customers. Each rendering is a list of its own, so that a test can change it."""

    buyers: list[Buyer]

    @property
    def webhooks(self) -> Iterator[bytes]:
        """Every webhook, by customer."""
        created = payloads.event("coupon.created", QUARTER_OFF, at=BEFORE, event_id="evt_coupon")
        return chain((created,), (body for one in self.buyers for body in one.simulated.webhooks))

    @property
    def moved(self) -> list[Moved]:
        """Every change of MRR."""
        return [moved for one in self.buyers for moved in one.moved]

    def api_lists(self) -> dict[str, list[dict[str, Any]]]:
        """The lists of Stripe's API, by path."""
        return api_lists(self.webhooks)


def revalued(moved: Iterable[Moved], value: Callable[[str, int], int]) -> list[Moved]:
    """The changes if each subscription's level were another: `value(subscription, level)` in minor units."""
    levels: dict[str, int] = {}
    found = []
    for one in moved:
        before = levels.get(one.subscription, 0)
        levels[one.subscription] = after = before + one.minor
        minor = value(one.subscription, after) - value(one.subscription, before)
        found.append(replace(one, minor=minor))
    return found


def merchant(customers: int, seed: int, begin: datetime, end: datetime) -> Merchant:
    """So many customers."""
    return Merchant(buyers=[_buyer_by_day(number, seed, begin, end) for number in range(customers)])


def _buyer_by_day(number: int, seed: int, begin: datetime, end: datetime) -> Buyer:
    """A customer of whom nothing happens in the last seconds of a day: a payment dates its movement after midnight."""
    made = buyer(f"m{number}", random.Random(f"{seed}:{number}"), begin, end)
    crosses = any(moved.at.date() != (moved.at + PAID_WITHIN).date() for moved in made.moved)
    return made if not crosses else buyer(made.simulated.tag, random.Random(f"{seed}:{number}"), begin - HOUR, end)


# ---- Stripe's API --------------------------------------------------------------------------------------------------


def api_lists(webhooks: Iterable[bytes]) -> dict[str, list[dict[str, Any]]]:
    """What Stripe's API lists after these webhooks, by path: each object as the last of them shows it."""
    found: dict[str, dict[str, dict[str, Any]]] = {path: {} for path in LISTED.values()}
    payments: dict[str, list[dict[str, Any]]] = {}
    for body in webhooks:
        event = json.loads(body)
        thing = event["data"]["object"]
        if thing["object"] == "invoice_payment":
            payments.setdefault(thing["invoice"], []).append(thing)
        path = LISTED.get(thing["object"])
        if path is not None:
            made = found[path].get(thing["id"], {}).get("created", event["created"])
            found[path][thing["id"]] = {**thing, "created": thing.get("created", made)}
            if event["type"] == "charge.dispute.funds_withdrawn":
                found[path][thing["id"]]["balance_transactions"] = [
                    {"amount": -thing["amount"], "currency": thing["currency"]}
                ]
    for invoice_id, invoice in found["/v1/invoices"].items():
        invoice["payments"] = payloads.listed(payments.get(invoice_id, []))
    found["/v1/invoices"] = {key: one for key, one in found["/v1/invoices"].items() if one["status"] == "paid"}
    found["/v1/subscriptions"] = {
        key: one for key, one in found["/v1/subscriptions"].items() if one["status"] != "canceled"
    }
    for one in found["/v1/subscriptions"].values():  # expanded, as the bridge asks
        one["discounts"] = [
            {"id": name, "source": {"type": "coupon", "coupon": QUARTER_OFF}} for name in one["discounts"]
        ]
    return {path: list(things.values()) for path, things in found.items()}


LISTED = {
    "charge": "/v1/charges",
    "invoice": "/v1/invoices",
    "refund": "/v1/refunds",
    "dispute": "/v1/disputes",
    "subscription": "/v1/subscriptions",
}


# ---- Stripe's exports ----------------------------------------------------------------------------------------------

STRIPE_WORDS = {
    "new": "New", "reactivation": "Reactivation", "upgrade": "Expansion", "downgrade": "Contraction", "churn": "Churn",
}  # fmt: skip
SIGMA_WORDS = {
    "new": "ACTIVE_START", "reactivation": "ACTIVE_START", "upgrade": "ACTIVE_UPGRADE", "downgrade": "ACTIVE_DOWNGRADE",
    "churn": "ACTIVE_END",
}  # fmt: skip


def customer_csv(moved: Iterable[Moved], zone: Any = UTC, currency: str = "usd") -> list[dict[str, str]]:
    """The rows of "Customer MRR changes": days in the account's zone, amounts in major units."""
    return [
        {
            "Customer ID": one.customer, "Date": one.at.astimezone(zone).date().isoformat(),
            "Change type": STRIPE_WORDS[one.customer_kind], "MRR change": f"{one.minor / 100:.2f}",
            "Currency": currency,
        }
        for one in moved
    ]  # fmt: skip


def sigma_csv(moved: Iterable[Moved], zone: Any = UTC, currency: str = "usd") -> list[dict[str, str]]:
    """The rows of an export of `subscription_item_change_events`; an end and a start for one change of a price."""
    return [
        {
            "event_timestamp": one.at.strftime("%Y-%m-%d %H:%M:%S.000"),
            "local_event_timestamp": one.at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S.000"),
            "event_type": SIGMA_WORDS[one.kind], "mrr_change": str(one.minor), "currency": currency,
            "customer_id": one.customer, "subscription_id": one.subscription, "quantity_change": "0",
        }
        for one in moved
    ]  # fmt: skip


def as_text(rows: list[dict[str, str]]) -> str:
    """The rows as a file."""
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()

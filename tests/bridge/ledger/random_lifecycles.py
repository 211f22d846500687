"""Random lifecycles of a customer: the true events, and the facts that their webhooks yield."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from processors.facts import Fact, Membership, Payment, Reason, Refund, Stage, Status, SubscriptionState, Terms
from processors.money import Currency
from processors.values import replace
from tests.builders import (
    EUR,
    FAILED,
    NOON,
    PENDING,
    USD,
    a_dispute,
    a_line,
    a_link,
    a_payment,
    a_purchase,
    a_refund,
    a_refunded_total,
    a_reinstatement,
    a_subscription,
    an_attribution,
    an_invoice,
    an_invoice_payment,
    terms,
)

PAUSES = (timedelta(seconds=1), timedelta(seconds=40), timedelta(minutes=50), timedelta(days=1), timedelta(days=30))
MINORS = (900, 4900, 9900)


@dataclass(slots=True, kw_only=True)
class Sub:
    """A subscription as it truly is."""

    id: str
    now: Terms
    minor: int
    seats: int = 1

    @property
    def is_counting(self) -> bool:
        """Whether it adds to MRR."""
        return self.now.status in (Status.ACTIVE, Status.PAST_DUE)


@dataclass(slots=True, kw_only=True)
class Paid:
    """A payment as it was truly made, and the part that the merchant still has (`left`)."""

    payment_id: str
    currency: Currency
    left: int
    refunded: int = 0


@dataclass(slots=True, kw_only=True)
class Lifecycle:
    """Everything that happened to one customer. `money`: the merchant's net amount, by currency code.

    `has_before`: whether states contain the terms before, like Stripe's, or the object's own clock, like Paddle's.
    """

    has_before: bool
    draw: Callable[..., Any]
    clock: datetime = NOON
    facts: list[Fact] = field(default_factory=list)
    subs: list[Sub] = field(default_factory=list)
    paid: list[Paid] = field(default_factory=list)
    money: Counter[str] = field(default_factory=Counter)
    starts: Counter[str] = field(default_factory=Counter)
    numbers: int = 0

    def __repr__(self) -> str:
        return "Lifecycle:\n" + "\n".join(map(brief, self.facts))

    def choose(self, options: Sequence[Any]) -> Any:
        """One of the options."""
        return self.draw(st.sampled_from(options))

    def flip(self) -> bool:
        """True or False."""
        return bool(self.draw(st.booleans()))

    def number(self) -> int:
        """A number that was not used before."""
        self.numbers += 1
        return self.numbers

    # ---- Subscriptions ----

    def start(self) -> None:
        """A subscription starts: immediately, after a first payment, or with a trial."""
        minor, status = self.choose(MINORS), self.choose((Status.ACTIVE, Status.INCOMPLETE, Status.TRIALING))
        sub = Sub(id=f"sub_{self.number()}", now=terms(status, minor), minor=minor)
        self.subs.append(sub)
        self._send_state(sub, None, stage=Stage.CREATED)
        if status is Status.TRIALING:
            return
        if status is Status.INCOMPLETE and self.flip():
            self._become(sub, Status.ENDED, ended_reason="incomplete_expired")
            return
        self.bill(sub, minor, Reason.START)
        if status is Status.INCOMPLETE:
            self._become(sub, Status.ACTIVE)
        else:
            self.starts[sub.id] += 1

    def convert(self, sub: Sub) -> None:
        """A trial ends and is paid."""
        self._become(sub, Status.ACTIVE)
        self.bill(sub, sub.minor * sub.seats, Reason.CYCLE)

    def renew(self, sub: Sub) -> None:
        """A cycle is paid; the state is sent again, unchanged."""
        self._send_state(sub, sub.now)
        self.bill(sub, sub.minor * sub.seats, Reason.CYCLE)

    def change(self, sub: Sub) -> None:
        """More or fewer seats, or another price; billed at once, or with the next cycle."""
        if self.flip():
            sub.seats = self.draw(st.integers(1, 5))
        else:
            sub.minor = self.choose(MINORS)
        before = sub.now
        sub.now = terms(before.status, sub.minor, sub.seats)
        self._send_state(sub, before)
        if self.flip():
            self.bill(sub, 700, Reason.CHANGE)

    def falter(self, sub: Sub) -> None:
        """A payment fails; the subscription may become unpaid, and may be paid after all."""
        self._become(sub, Status.PAST_DUE)
        if self.flip():
            self.wait()
            self._become(sub, Status.UNPAID)
        if self.flip():
            self.wait()
            self._become(sub, Status.ACTIVE)
            self.bill(sub, sub.minor * sub.seats, Reason.CYCLE)

    def pause(self, sub: Sub) -> None:
        """It is paused, and may be resumed."""
        self._become(sub, Status.PAUSED)
        if self.flip():
            self.wait()
            self._become(sub, Status.ACTIVE)

    def end(self, sub: Sub) -> None:
        """It ends. If it was a trial, every processor states the end of the trial."""
        is_trial = sub.now.status is Status.TRIALING
        self._become(sub, Status.ENDED, trial_ends_at=self.clock + timedelta(days=1) if is_trial else None)

    def _become(self, sub: Sub, status: Status, **more: Any) -> None:
        before, was_counting = sub.now, sub.is_counting
        sub.now = replace(before, status=status)
        self.starts[sub.id] += sub.is_counting and not was_counting
        self._send_state(sub, before, **more)

    def _send_state(self, sub: Sub, before: Terms | None, **more: Any) -> None:
        metadata = {"visitor_fingerprint": f"fp_{self.number()}", "session_id": "ses"} if self.flip() else {}
        self.clock += timedelta(seconds=1)  # Stripe's clock cannot separate two changes of one second
        self.facts.append(
            a_subscription(
                now=sub.now,
                was=before if self.has_before else None,
                changed_at=None if self.has_before else self.clock,
                at=self.clock,
                subscription_id=sub.id,
                metadata=metadata,
                processor_event_id=self._event_id(),
                **more,
            )
        )

    # ---- Money ----

    def bill(self, sub: Sub | None, minor: int, reason: Reason) -> None:
        """An invoice is paid, reported in one of several shapes: with or without its charge, with or without a link."""
        number = self.number()
        shape = self.choose(
            ("linked", "old", "matched", "alone", "separate link", "parts", "unnamed parts")
            if self.has_before
            else ("transaction",)
        )
        minor += number if shape in ("matched", "alone") else 0  # without a link, only the amount identifies it
        minor += 1_000_000 * number if shape == "unnamed parts" else 0
        has_parts = shape in ("parts", "unnamed parts")
        self._paid(f"pi_{number}", minor // 2 if has_parts else minor, USD)
        self.facts += [
            replace(fact, at=self.clock + timedelta(seconds=n), processor_event_id=self._event_id())
            for n, fact in enumerate(_invoice_facts(str(shape), number, minor, reason, sub))
        ]
        if has_parts:
            self._paid(f"pi_{number}b", minor - minor // 2, USD)

    def buy(self) -> None:
        """A one-off purchase, reported by a charge, a checkout session or both."""
        number, currency = self.number(), self.choose((USD, USD, EUR))
        minor = self.choose((*MINORS, 10_000 + number))
        self._paid(f"pi_{number}", minor, currency)
        for make in self.choose(((a_payment,), (a_purchase,), (a_payment, a_purchase))):
            self.facts.append(
                make(
                    minor,
                    f"pi_{number}",
                    at=self.clock,
                    currency=currency,
                    charge_id=f"ch_{number}",
                    processor_event_id=self._event_id(),
                )
            )

    def capture(self) -> None:
        """A part of an authorisation is captured. The rest is released: by a refund (until basil), or silently."""
        number, minor = self.number(), self.choose(MINORS)
        is_counted = self.flip()
        released = 5_000 + number  # hardly any refund is of this amount by chance
        self._paid(f"pi_{number}", minor, USD)
        for made in (
            a_purchase(minor, f"pi_{number}", released=released if is_counted else 0),
            *([a_refund(released, f"re_{number}", of=f"pi_{number}")] if is_counted else []),
        ):
            self.facts.append(replace(made, at=self.clock, processor_event_id=self._event_id()))

    def _paid(self, payment_id: str, minor: int, currency: Currency) -> None:
        self.paid.append(Paid(payment_id=payment_id, currency=currency, left=minor))
        self.money[currency.code] += minor

    def refund(self, paid: Paid) -> None:
        """A partial or full refund: it succeeds, immediately or later, or fails; a total may report it too."""
        minor = int(self.draw(st.integers(1, paid.left)))
        number = self.number()
        fails = self.flip()
        steps = self.choose(((PENDING, FAILED), (FAILED,)) if fails else ((), (PENDING,)))
        self._refund(paid, minor, number, [*steps] if fails else [*steps, None])
        if not fails:
            paid.left -= minor
            paid.refunded += minor
            self.money[paid.currency.code] -= minor
            if self.flip():
                self._total(paid)

    def _refund(self, paid: Paid, minor: int, number: int, steps: Sequence[object]) -> None:
        for status in steps:
            more = {} if status is None else {"status": status}
            self.facts.append(
                a_refund(
                    minor,
                    f"re_{number}",
                    at=self.clock,
                    of=paid.payment_id,
                    currency=paid.currency,
                    processor_event_id=self._event_id(),
                    **more,
                )
            )
            self.wait()

    def _total(self, paid: Paid) -> None:
        self.facts.append(
            a_refunded_total(
                paid.refunded,
                of=paid.payment_id,
                at=self.clock,
                currency=paid.currency,
                processor_event_id=self._event_id(),
            )
        )

    def dispute(self, paid: Paid) -> None:
        """A dispute withdraws the rest of a payment; part or all of it may be reinstated."""
        number, minor = self.number(), paid.left
        self.facts.append(
            a_dispute(
                minor,
                f"dp_{number}",
                at=self.clock,
                of=paid.payment_id,
                currency=paid.currency,
                processor_event_id=self._event_id(),
            )
        )
        back = int(self.draw(st.integers(0, minor)))
        if back:
            self.wait()
            self.facts.append(
                a_reinstatement(
                    back,
                    f"dp_{number}",
                    at=self.clock,
                    of=paid.payment_id,
                    currency=paid.currency,
                    processor_event_id=self._event_id(),
                )
            )
        again = int(self.draw(st.integers(0, back)))
        if again:  # the same dispute is withdrawn again: its total grows
            self.wait()
            self.facts.append(
                a_dispute(
                    minor + again,
                    f"dp_{number}",
                    at=self.clock,
                    of=paid.payment_id,
                    currency=paid.currency,
                    processor_event_id=self._event_id(),
                )
            )
        paid.left = 0
        self.money[paid.currency.code] -= minor - back + again

    # ---- Time and chance ----

    def wait(self) -> None:
        """Time passes."""
        self.clock += self.choose(PAUSES)

    def visit(self) -> None:
        """The customer's visit becomes known."""
        found = an_attribution(at=self.clock, subscription_id=self.subs[-1].id if self.subs else None)
        self.facts.append(replace(found, processor_event_id=self._event_id()))

    def step(self) -> None:
        """Takes one of the steps that are possible now."""
        self.wait()
        active = [sub for sub in self.subs if sub.is_counting]
        trials = [sub for sub in self.subs if sub.now.status is Status.TRIALING]
        left = [paid for paid in self.paid if paid.left]
        steps: list[tuple[Callable[..., None], object]] = [
            (self.start, None),
            (self.buy, None),
            (self.capture, None),
            (self.visit, None),
        ]
        steps += [
            (step, sub) for sub in active for step in (self.renew, self.change, self.falter, self.pause, self.end)
        ]
        steps += [(step, sub) for sub in trials for step in (self.convert, self.end)]
        steps += [(step, paid) for paid in left for step in (self.refund, self.dispute)]
        step, of = self.choose(steps)
        step() if of is None else step(of)

    def mrr(self, sub: Sub) -> int:
        """The MRR of a subscription now, in minor units."""
        return sub.minor * sub.seats if sub.is_counting else 0

    def _event_id(self) -> str:
        return f"evt_{self.number():04}"


def _invoice_facts(shape: str, number: int, minor: int, reason: Reason, sub: Sub | None) -> list[Fact]:
    """The facts in the webhooks of one paid invoice."""
    invoice_id, payment_id, sub_id = f"in_{number}", f"pi_{number}", sub.id if sub else None
    line = (
        a_line(sub.minor * sub.seats, sub.seats, price_id=f"price_{sub.minor}", proration=reason is Reason.CHANGE)
        if sub
        else None
    )
    total = an_invoice(
        minor, invoice_id, reason, subscription_id=sub_id, lines=(line,) if line else None, tax=minor // 6
    )
    charge = a_payment(minor, payment_id, charge_id=f"ch_{number}")
    link = an_invoice_payment(minor, invoice_id, payment_id)
    half = minor // 2
    facts: dict[str, list[Fact]] = {
        "linked": [charge, total, link],
        "old": [
            replace(charge, membership=Membership.INVOICE, ids=replace(charge.ids, invoice_id=invoice_id)),
            replace(total, ids=replace(total.ids, payment_id=payment_id)),
        ],
        "matched": [charge, total],
        "alone": [total, a_link(payment_id=payment_id, invoice_id=invoice_id)],
        "separate link": [charge, total, a_link(payment_id=payment_id, invoice_id=invoice_id)],
        "transaction": [
            a_payment(
                minor,
                payment_id,
                membership=Membership.INVOICE,
                subscription_id=sub_id,
                reason=reason,
                lines=total.lines,
                tax=total.tax,
            )
        ],
        "parts": [
            a_payment(half, payment_id),
            a_payment(minor - half, f"{payment_id}b"),
            total,
            an_invoice_payment(half, invoice_id, payment_id),
            an_invoice_payment(minor - half, invoice_id, f"{payment_id}b"),
        ],
        "unnamed parts": [
            a_payment(half, payment_id),
            a_payment(minor - half, f"{payment_id}b"),
            total,
        ],
    }
    return facts[shape]


@st.composite
def lifecycles(draw: Callable[..., Any], longest: int = 8) -> Lifecycle:
    """A lifecycle of a few steps."""
    lifecycle = Lifecycle(draw=draw, has_before=bool(draw(st.booleans())))
    for _ in range(int(draw(st.integers(1, longest)))):
        lifecycle.step()
    return lifecycle


def brief(fact: Fact) -> str:
    """A fact in one line, so that a failing lifecycle is readable."""
    ids = "/".join(ref for ref in fact.ids.refs())
    what = type(fact).__name__
    if isinstance(fact, Payment | Refund):
        detail = getattr(fact, "status", fact.reason)
        what += f" {fact.amount.minor} {fact.amount.currency.code} {detail}{' total' if fact.is_total else ''}"
    if isinstance(fact, SubscriptionState):
        what += f" {_brief_terms(fact.before)} -> {_brief_terms(fact.now)} {fact.stage}"
    return f"{fact.processor_event_id} {fact.at:%m-%d %H:%M:%S} {what} {ids}"


def _brief_terms(found: Terms | None) -> str:
    return "?" if found is None else f"{found.status}:{found.items[0].price.unit_amount}x{found.items[0].quantity}"

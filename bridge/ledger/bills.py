"""Bills: what was paid for each thing owed. However often and by whatever webhook a payment is told, it counts once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bridge.ledger.changing import changed
from bridge.ledger.knowledge import Knowledge
from bridge.ledger.links import bill_of_payment, home_of, payment_of, subscription_of
from bridge.ledger.state import Bill, Links
from bridge.ledger.writing import Shelf
from processors.facts import Discount, Fact, Membership, Payment, Reason
from processors.money import Currency

_REASON: Mapping[Reason, int] = {
    Reason.START: 0,
    Reason.CHANGE: 1,
    Reason.CYCLE: 2,
    Reason.ONE_OFF: 3,
    Reason.UNKNOWN: 4,
}


@dataclass(slots=True, kw_only=True)
class Books:
    """A stream's bills while they are being settled: as they were kept, and what has changed of them since."""

    kept: Shelf[Bill]
    links: Links
    open_bills: dict[str, datetime]
    knowledge: Knowledge
    changed: dict[str, Bill | None] = field(default_factory=dict)

    def get(self, key: str) -> Bill | None:
        """The bill as it stands, or None."""
        bill: Bill | None = self.changed[key] if key in self.changed else self.kept.get(key)
        return bill

    def put(self, bill: Bill) -> None:
        """Takes the bill as it is now."""
        self.changed[bill.id] = bill

    def slot(self, key: str, currency: Currency) -> str:
        """Where an amount belongs: on the bill of that id, or beside it when the bill is in another currency."""
        bill = self.get(key)
        return key if bill is None or bill.currency.code == currency.code else f"{key}:{currency.code}"

    def closed(self) -> Shelf[Bill]:
        """All bills as they are to be kept."""
        return self.kept.having(self.changed)

    def news(self) -> list[Bill]:
        """The bills whose money is not as it was kept."""
        changed = [bill for bill in self.changed.values() if bill is not None]
        return [bill for bill in changed if _money(bill) != _money(self.kept.get(bill.id))]


def enter(books: Books, facts: Sequence[Fact]) -> None:
    """Puts the facts' payments on their bills, and what stood alone on the invoices that it turns out to have paid."""
    for fact in facts:
        _rejoin(fact, books)
    for fact in facts:
        if isinstance(fact, Payment):
            _put(fact, books)


def _money(bill: Bill | None) -> tuple[object, ...] | None:
    if bill is None:
        return None
    return (bill.claimed, bill.payments, bill.tax, bill.returns, bill.pooled, bill.told, bill.told_back)


# ---- One payment on its bill --------------------------------------------------------------------------------------


def _put(payment: Payment, books: Books) -> None:
    home = bill_of_payment(books.links, payment)
    key = books.slot(home, payment.amount.currency)
    bill = books.get(key)
    if bill is None:
        lone = not payment.is_total and home == payment_of(books.links, payment.ids)
        bill = Bill(id=key, currency=payment.amount.currency, at=payment.at, unsure=lone)
    told = changed(
        bill,
        at=min(bill.at, payment.at),
        subscription_id=bill.subscription_id or subscription_of(books.links, payment.ids),
        plan=bill.plan or books.knowledge.bought(payment),
        coupon=bill.coupon or _coupon(payment.discounts, books.knowledge),
        tax=max(bill.tax, payment.tax or 0),
        unsure=bill.unsure and payment.membership is Membership.UNKNOWN,
        reason=_reason(bill, payment),
        invoiced=bill.invoiced or payment.is_total,
        claimed=max(bill.claimed, payment.amount.minor) if payment.is_total else bill.claimed,
        payments=bill.payments if payment.is_total else _with(bill.payments, payment, books.links),
    )
    books.put(told)


def _with(payments: Mapping[str, int], payment: Payment, links: Links) -> dict[str, int]:
    """The payments with one more. A charge that was counted by itself is its intent's once that is known."""
    key = links.payment_of.get(payment.key, payment.key)
    others = {other: minor for other, minor in payments.items() if links.payment_of.get(other, other) != key}
    known = [minor for other, minor in payments.items() if other not in others]
    return {**others, key: max([*known, payment.amount.minor])}


def _reason(bill: Bill, payment: Payment) -> Reason:
    """Why it was asked for: the invoice knows best; of several tellings the one that says most."""
    if bill.invoiced and not payment.is_total:
        return bill.reason
    if payment.is_total and not bill.invoiced:
        return payment.reason
    return min(bill.reason, payment.reason, key=_REASON.__getitem__)


def _coupon(discounts: Iterable[Discount], knowledge: Knowledge) -> str | None:
    return next(filter(None, (knowledge.coupon_name(discount) for discount in discounts)), None)


# ---- Which bill a payment belongs to ------------------------------------------------------------------------------


def _rejoin(fact: Fact, books: Books) -> None:
    """Moves what stood alone, or on the wrong bill, to where this fact's links say that it belongs."""
    for named in (fact.ids.charge_id, fact.ids.payment_id):
        if named is None:
            continue
        payment = books.links.payment_of.get(named, named)
        _leave_match(payment, books)
        home = home_of(books.links, payment)
        if named != home and books.get(named) is not None:
            move(named, home, books)


def _leave_match(payment: str, books: Books) -> None:
    """A payment that was matched to an invoice by its amount leaves it when it is named another's."""
    guessed, stated = books.links.matched.get(payment), books.links.invoice_of.get(payment)
    if guessed is None or stated is None:
        return
    matched = {key: home for key, home in books.links.matched.items() if key != payment}
    books.links = changed(books.links, matched=matched)
    bill = books.get(guessed)
    if guessed != stated and bill is not None and payment in bill.payments:
        _detach(payment, bill, books)


def _detach(payment: str, bill: Bill, books: Books) -> None:
    """Takes one payment and what was given back of it off a bill. What went out stays: the difference is told."""
    own = {key: one for key, one in bill.returns.items() if one.payment_id == payment}
    pool = bill.pooled.get(payment, 0)
    back = sum(one.counted for one in own.values()) + pool
    lone = Bill(
        id=payment,
        currency=bill.currency,
        at=bill.at,
        payments={payment: bill.payments[payment]},
        returns=own,
        pooled={payment: pool} if pool else {},
        told_back=back,
    )
    rest = changed(
        bill,
        payments={key: minor for key, minor in bill.payments.items() if key != payment},
        returns={key: one for key, one in bill.returns.items() if key not in own},
        pooled={key: minor for key, minor in bill.pooled.items() if key != payment},
        told_back=bill.told_back - back,
    )
    books.put(rest)
    books.put(lone)


def move(key: str, home: str, books: Books) -> None:
    """Puts all of one bill onto another, what was told of it too."""
    lone = books.get(key)
    if lone is None:
        return
    place = books.slot(home, lone.currency)
    still_unsure = lone.unsure and home == books.links.payment_of.get(key)
    empty = Bill(id=place, currency=lone.currency, at=lone.at, unsure=still_unsure)
    books.changed[key] = None
    books.put(_united(books.get(place) or empty, lone, books.links))


def _united(bill: Bill, lone: Bill, links: Links) -> Bill:
    payments = {**bill.payments}
    for key, minor in lone.payments.items():
        payment = links.payment_of.get(key, key)
        payments[payment] = max(payments.get(payment, 0), minor)
    pooled = {**bill.pooled}
    for key, minor in lone.pooled.items():
        payment = links.payment_of.get(key, key)
        pooled[payment] = pooled.get(payment, 0) + minor
    return changed(
        bill,
        at=min(bill.at, lone.at),
        payments=payments,
        pooled=pooled,
        returns={**lone.returns, **bill.returns},
        tax=max(bill.tax, lone.tax),
        told=bill.told + lone.told,
        told_back=bill.told_back + lone.told_back,
        told_as=bill.told_as + lone.told_as,
        recurring=bill.recurring or lone.recurring,
        reason=bill.reason if bill.invoiced else min(bill.reason, lone.reason, key=_REASON.__getitem__),
        subscription_id=bill.subscription_id or lone.subscription_id,
        plan=bill.plan or lone.plan,
        coupon=bill.coupon or lone.coupon,
    )

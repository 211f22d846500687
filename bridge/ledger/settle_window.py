"""When the webhooks that wait in a stream are settled, and what they wait for.

A stream whose customer is known is settled once it has been quiet for a window. A window opens with the first webhook
of a known customer. It opens anew with the next one when the first was postponed: for a subscription's first payment.
Stripe leaves the invoice that ends a trial a draft for about an hour after the subscription became active, and Paddle
has been seen to complete a first transaction 99 s after the subscription's webhook. A window of seconds would separate
start and payment, and report the start alone.

A webhook without a customer waits for one that names it: money at least for `HOLD_HOURS`, everything else for weeks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bridge.ledger.references import subscription_of, with_facts
from bridge.ledger.state import State
from bridge.ledger.wait_reasons import (
    AWAITING_CUSTOMER,
    AWAITING_DATE,
    AWAITING_FIRST_PAYMENT,
    AWAITING_QUIET,
)
from processors.facts import Fact, Payment, Refund, Stage, Status, SubscriptionState
from processors.values import Value

MAX_WINDOWS = 4  # a stream that never becomes quiet is settled after this many windows
MAX_WAIT_WITHOUT_MONEY = timedelta(days=30)  # for the customer of facts that report no money
MAX_WAIT_AFTER_TRIAL = timedelta(hours=2)
MAX_WAIT_AFTER_START = timedelta(minutes=10)
MAX_EARLY_PAYMENT = timedelta(minutes=10)  # a start's payment may be dated this long before the start


class WaitingWebhook(Value):
    """A webhook that waits in a stream. `since`: when it was received, or joined the stream of its customer.

    `effective_at`: the first of its dates when all its facts are dated ahead, which `facts` then leaves out.
    """

    row_id: int
    since: datetime
    facts: tuple[Fact, ...]
    effective_at: datetime | None = None


Missing = Callable[[Sequence[WaitingWebhook]], str | None]


class WaitRules(Value):
    """A merchant's settings for waiting: `SETTLE_SECONDS`, `HOLD_HOURS` and `SETTLE_QUIET_SECONDS`.

    `quiet`: what is complete is settled so long after the last webhook; None: it waits for the window all the same.
    """

    window: timedelta
    hold: timedelta
    quiet: timedelta | None = None

    @property
    def first_look(self) -> timedelta:
        """How long after a webhook its stream is looked at for the first time."""
        return self.window if self.quiet is None else min(self.quiet, self.window)

    @property
    def wait_for_customer(self) -> timedelta:
        """How long money waits for its customer. Not shorter than the longest window, whatever the hold.

        Within that time the customer's other webhooks may arrive, and the result must not depend on their order.
        """
        return max(self.hold, MAX_WINDOWS * self.window)


class Readiness(Value):
    """The rows that are to be settled now, and until when the others wait, and for what."""

    ready: frozenset[int]
    next_at: datetime | None = None
    reason: str | None = None


@dataclass(slots=True, kw_only=True)
class _Window:
    """Webhooks that are settled together, at `closes_at`."""

    webhooks: list[WaitingWebhook]
    closes_at: datetime
    reason: str = AWAITING_QUIET


def carries_money(facts: Iterable[Fact]) -> bool:
    """Whether waiting for the customer of these facts delays revenue."""
    return any(isinstance(fact, Payment | Refund | SubscriptionState) for fact in facts)


def first_look_at(facts: Iterable[Fact], since: datetime, rules: WaitRules, *, has_customer: bool) -> datetime:
    """The earliest time at which a webhook that has just arrived can be settled."""
    if has_customer:
        return since + rules.first_look
    return since + (rules.wait_for_customer if carries_money(facts) else MAX_WAIT_WITHOUT_MONEY)


def readiness(
    state: State,
    waiting: Sequence[WaitingWebhook],
    rules: WaitRules,
    now: datetime,
    *,
    has_customer: bool,
    missing: Missing | None = None,
) -> Readiness:
    """Which webhooks of a stream are to be settled at `now`, when all webhooks received until then are routed.

    `missing`: says what webhooks of a known customer still lack; None: they are always taken to lack something.
    """
    if not has_customer:
        return _readiness_without_customer(waiting, rules, now)
    windows = _windows(state, waiting, rules)
    is_open = bool(windows) and windows[-1].closes_at > now  # a closed one is settled, complete or not: in a backlog
    if is_open and missing is not None and rules.quiet is not None:
        windows[-1] = _closed_early(windows[-1], rules.quiet, missing)
    closed = [window for window in windows if window.closes_at <= now]
    ready = frozenset(one.row_id for window in closed for one in window.webhooks)
    if len(closed) == len(windows):
        return Readiness(ready=ready)
    return Readiness(ready=ready, next_at=windows[-1].closes_at, reason=windows[-1].reason)


def _readiness_without_customer(waiting: Sequence[WaitingWebhook], rules: WaitRules, now: datetime) -> Readiness:
    """Each payment and refund waits from its own arrival: what is linked to it later neither delays nor hastens it."""
    # Whether what is dated ahead is money is known on its date. Till then it is not taken for what may wait for weeks.
    ahead = {one.row_id: one.effective_at for one in waiting if one.effective_at is not None}
    present = [one for one in waiting if one.row_id not in ahead]
    money = {one.row_id: one.since + rules.wait_for_customer for one in present if carries_money(one.facts)}
    others = {one.row_id: one.since + MAX_WAIT_WITHOUT_MONEY for one in present if one.row_id not in money}
    due_money = {row_id for row_id, due_at in money.items() if due_at <= now}
    # Facts without money belong to the money that waits with them: it is settled with it, and may join its ids.
    due_others = {row_id for row_id, due_at in others.items() if due_money or due_at <= now}
    ready = frozenset(due_money | due_others)
    left = {row_id: due_at for row_id, due_at in (money | others | ahead).items() if row_id not in ready}
    if not left:
        return Readiness(ready=ready)
    first = min(left, key=left.__getitem__)
    return Readiness(ready=ready, next_at=left[first], reason=AWAITING_DATE if first in ahead else AWAITING_CUSTOMER)


def _windows(state: State, waiting: Sequence[WaitingWebhook], rules: WaitRules) -> list[_Window]:
    """The windows of a stream, in order. Only the last can still be open."""
    windows: list[_Window] = []
    opened_at = datetime.min.replace(tzinfo=UTC)
    for one in sorted(waiting, key=lambda one: (one.since, one.row_id)):
        if not windows or one.since > windows[-1].closes_at:
            opened_at = one.since
            # A window that was postponed is not settled yet: it opens anew, and what arrives now is settled with it.
            if not windows or one.since > _postponed(state, windows[-1]).closes_at:
                windows.append(_Window(webhooks=[], closes_at=opened_at))
        windows[-1].webhooks.append(one)
        windows[-1].closes_at = min(one.since + rules.window, opened_at + MAX_WINDOWS * rules.window)
    return [*windows[:-1], *(_postponed(state, window) for window in windows[-1:])]


def _closed_early(window: _Window, quiet: timedelta, missing: Missing) -> _Window:
    """The window, closing as soon as it is quiet if it is complete."""
    at = max(one.since for one in window.webhooks) + quiet
    if at >= window.closes_at:
        return window
    lacks = missing(window.webhooks)
    if lacks is None:
        return _Window(webhooks=window.webhooks, closes_at=at)
    return _Window(webhooks=window.webhooks, closes_at=window.closes_at, reason=f"waiting for {lacks}")


def _postponed(state: State, window: _Window) -> _Window:
    """The window, closing later if it waits for a payment."""
    until = payment_awaited_until(state, [fact for one in window.webhooks for fact in one.facts])
    if until is None or until <= window.closes_at:
        return window
    return _Window(webhooks=window.webhooks, closes_at=until, reason=AWAITING_FIRST_PAYMENT)


# ---- The first payment of a subscription --------------------------------------------------------------------------


def payment_awaited_until(state: State, facts: Sequence[Fact]) -> datetime | None:
    """How long to wait for the first payment of a subscription that has just started. None: nothing is awaited."""
    starts = [(fact, until) for fact in facts if (until := _wait_until(fact, state)) is not None]
    if not starts:
        return None
    references = with_facts(state.references, facts)
    payments = [(subscription_of(references, fact.ids), fact.at) for fact in facts if isinstance(fact, Payment)]
    awaited = [
        until
        for start, until in starts
        if not any(
            start.ids.subscription_id == subscription_id and at >= start.at - MAX_EARLY_PAYMENT
            for subscription_id, at in payments
        )
    ]
    return max(awaited, default=None)


def _wait_until(fact: Fact, state: State) -> datetime | None:
    """The latest time for a start's payment. None: the fact is no start that announces a payment."""
    if not isinstance(fact, SubscriptionState) or fact.now.status is not Status.ACTIVE or fact.keeps_status:
        return None
    known = state.subscriptions.get(fact.ids.subscription_id or "")
    if known is not None and (known.has_counted or known.ended):
        return None
    if fact.stage is Stage.CREATED:
        return fact.at + MAX_WAIT_AFTER_START if fact.ids.payment_id or fact.ids.invoice_id else None
    before = fact.before if fact.before is not None else (known.terms if known is not None else None)
    return fact.at + MAX_WAIT_AFTER_TRIAL if before is not None and before.status is Status.TRIALING else None

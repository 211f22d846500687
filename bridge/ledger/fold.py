"""The settlement: one stream's facts folded into its state, in the order in which they happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bridge.ledger.attribution import Origins, attributed, marked, released, remark_released, still_held
from bridge.ledger.bills import Books, enter
from bridge.ledger.drafts import Draft, in_order
from bridge.ledger.events import Policy, RevenueEvent
from bridge.ledger.knowledge import NOTHING_KNOWN, Knowledge
from bridge.ledger.links import linked
from bridge.ledger.matching import match
from bridge.ledger.movements import Eyes
from bridge.ledger.order import facts_in_order
from bridge.ledger.payments import dues
from bridge.ledger.refunds import Desk, settle_refunds
from bridge.ledger.remarks import Remarks
from bridge.ledger.state import State
from bridge.ledger.subscriptions import Lives, live
from bridge.ledger.telling import remark_silent, told
from processors.facts import Fact, Refund


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What settling gave: the state to keep, the events to send, and the held ones whose visit is known now.

    `remarks`: what each fact did, or why it did nothing, by the processor's event id.
    """

    state: State
    events: tuple[RevenueEvent, ...] = ()
    released: tuple[RevenueEvent, ...] = ()
    remarks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def settle(state: State, facts: Sequence[Fact], policy: Policy, knowledge: Knowledge = NOTHING_KNOWN) -> Settlement:
    """Folds the facts of one stream into its state. Every order and repetition of the same facts gives the same."""
    ordered = facts_in_order(facts)
    remarks = Remarks()
    books = Books(
        kept=state.bills,
        links=linked(state.links, ordered),
        open_bills=dict(state.open_bills),
        knowledge=knowledge,
    )
    enter(books, ordered)
    match(books)
    lives = Lives(
        subscriptions=dict(state.subscriptions), eyes=Eyes(policy=policy, knowledge=knowledge), remarks=remarks
    )
    drafts = _told(ordered, books, lives)

    marks = marked(state.marks, ordered, books.links, policy, remarks)
    origins = Origins(marks=marks, customer_id=state.customer_id or _customer_of(ordered), policy=policy)
    freed = released(state.held, origins) if marks is not state.marks else ()
    events = tuple(attributed(draft, origins) for draft in drafts)
    remark_released(freed, remarks)
    return Settlement(
        state=State(
            customer_id=origins.customer_id,
            links=books.links,
            marks=marks,
            subscriptions=lives.subscriptions,
            bills=books.closed(),
            open_bills=books.open_bills,
            held=still_held(state.held, freed, zip(drafts, events, strict=True), policy),
        ),
        events=events,
        released=freed,
        remarks=remarks.written(),
    )


def _told(facts: Sequence[Fact], books: Books, lives: Lives) -> list[Draft]:
    """What the facts give, in the order in which the customer lived it; books and lives stand as they do after it."""
    policy, remarks = lives.eyes.policy, lives.remarks
    due = dues(books, facts, policy)
    live(lives, facts, due, books.links)
    drafts = told(due, books, lives)
    remark_silent(facts, due, books, remarks)
    desk = Desk(books=books, lives=lives, policy=policy, remarks=remarks)
    settle_refunds((fact for fact in facts if isinstance(fact, Refund)), desk)
    return in_order(drafts + desk.drafts)


def _customer_of(facts: Sequence[Fact]) -> str | None:
    return next((fact.ids.customer_id for fact in facts if fact.ids.customer_id), None)

"""What the demo sent, what came out of it, and whether that is what was promised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from bridge.formatting import quantity

Data = Mapping[str, Any]  # one revenue event as Pulsora got it

# What the scenarios come to, worked out by hand. A customer signs up for Pro (49.00 a month), renews, moves to Team
# (99.00) and on to Starter (19.00), is given 20.00 back, buys an extra for 29.00 and leaves; another buys for 29.00.
PROMISED: Mapping[tuple[str, str], int] = {
    ("subscription", "49.00"): 1,
    ("renewal", "0.00"): 1,
    ("upgrade", "50.00"): 1,
    ("downgrade", "-80.00"): 1,
    ("refund", "0.00"): 1,
    ("purchase", ""): 2,
    ("churn", "-19.00"): 1,
}
EVENTS_EACH = sum(PROMISED.values())
STORED, SEEN, REFUSED = "stored", "seen before", "refused"

GOOD, BAD = "green", "red"
STYLES: Mapping[str, str] = {"subscription": GOOD, "upgrade": GOOD, "downgrade": BAD, "churn": BAD, "refund": BAD}
HEADER = "from    event_type       amount mrr_impact     MRR  customer   plan    visit"


@dataclass(slots=True)
class Tally:
    """What was sent and what arrived. `answers`: what the webhooks got; `meant`: what they should have got."""

    answers: Counter[str] = field(default_factory=Counter)
    meant: Counter[str] = field(default_factory=Counter)
    events: list[Data] = field(default_factory=list)

    def of(self, source: str) -> list[Data]:
        """What arrived of one source."""
        return [data for data in self.events if data["payment_processor"] == source]


def impact(data: Data) -> Decimal | None:
    """By how much an event moves MRR; None: it is outside any subscription."""
    return Decimal(str(data["mrr_impact"])) if "mrr_impact" in data else None


def levels(events: Sequence[Data]) -> Iterator[Decimal]:
    """MRR after each of these events."""
    level = Decimal(0)
    for data in events:
        level += impact(data) or 0
        yield level


def revenue(events: Sequence[Data]) -> dict[str, Decimal]:
    """The sum of all amounts, by currency."""
    found: dict[str, Decimal] = {}
    for data in events:
        found[data["currency"]] = found.get(data["currency"], Decimal(0)) + Decimal(str(data["amount"]))
    return found


def row(data: Data, level: Decimal) -> str:
    """One event as a line below HEADER; `level`: its source's MRR after it. 80 columns hold it."""
    moved = impact(data)
    told, now = ("", "") if moved is None else (f"{moved:+.2f}" if moved else "0.00", f"{level:.2f}")
    amount = f"{Decimal(str(data['amount'])):.2f} {data['currency']}"
    plan = str(data.get("metadata", {}).get("plan", ""))
    return (
        f"{data['payment_processor']:<7} {data['event_type']:<12} {amount:>10} {told:>10} {now:>7}  "
        f"{data['customer_id']:<10} {plan:<7} {data['visitor_fingerprint']}"
    )


def totals(tally: Tally, sources: Sequence[str]) -> list[str]:
    """Revenue and MRR by source, and what became of the webhooks."""
    lines = [f"{'from':<7} {'revenue':>11} {'MRR at most':>14} {'MRR after churn':>17}"]
    for source in sources:
        events = tally.of(source)
        for currency, amount in revenue(events).items():
            steps = list(levels(events))
            lines.append(
                f"{source:<7} {f'{amount:.2f} {currency}':>11} "
                f"{f'{max(steps):.2f} {currency}':>14} {f'{steps[-1]:.2f} {currency}':>17}"
            )
    sent = sum(tally.answers.values())
    lines += ["", f"{sent} webhooks sent: " + ", ".join(f"{count} {told}" for told, count in answers(tally)) + "."]
    lines.append(f"{quantity(len(tally.events), 'revenue event')} arrived at Pulsora's stand-in.")
    return lines


def answers(tally: Tally) -> list[tuple[str, int]]:
    """The answers by what they were: stored first, refused last."""
    return sorted(tally.answers.items(), key=lambda item: (item[0].startswith(REFUSED), item[0] != STORED, item))


def broken_promises(tally: Tally, sources: Sequence[str]) -> list[str]:
    """What is not as it should be, a sentence each; none: everything that was sent arrived once, and adds up."""
    found = [problem for source in sources for problem in _broken(source, tally.of(source))]
    got = Counter(tally.answers)
    refused = sum(count for told, count in got.items() if told.startswith(REFUSED))
    if (got[STORED], got[SEEN], refused) != (tally.meant[STORED], tally.meant[SEEN], tally.meant[REFUSED]):
        found.append(f"the webhooks were answered {dict(got)}, where {dict(tally.meant)} was due")
    return found


def _broken(source: str, events: Sequence[Data]) -> Iterator[str]:
    arrived = Counter((data["event_type"], _text(impact(data))) for data in events)
    for kind, mrr in sorted(arrived.keys() | PROMISED.keys()):
        want, have = PROMISED.get((kind, mrr), 0), arrived[kind, mrr]
        if want != have:
            yield f"{source}: {have} x {kind} with an MRR of {mrr or 'nothing'} arrived, {want} was due"
    if sum(filter(None, map(impact, events)), Decimal(0)) != 0:
        yield f"{source}: MRR does not come to 0 after churn"
    if len({data["transaction_id"] for data in events}) != len(events):
        yield f"{source}: a transaction id came twice"


def _text(mrr: Decimal | None) -> str:
    return "" if mrr is None else f"{mrr:.2f}"


def summary(tally: Tally, sources: Sequence[str], problems: Sequence[str]) -> Mapping[str, object]:
    """Everything for programs."""
    return {
        "webhooks": dict(answers(tally)),
        "sources": {
            source: {
                "revenue": {currency: f"{amount:.2f}" for currency, amount in revenue(tally.of(source)).items()},
                "mrr": f"{sum(filter(None, map(impact, tally.of(source))), Decimal(0)):.2f}",
                "events": dict(Counter(data["event_type"] for data in tally.of(source))),
            }
            for source in sources
        },
        "problems": list(problems),
        "revenue_events": tally.events,
    }

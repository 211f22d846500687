"""The demo's report: the webhooks sent, the revenue events that arrived, and whether they are the expected ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

Data = Mapping[str, Any]  # one revenue event as Pulsora received it

# Revenue events per source by type and MRR impact, worked out by hand. A customer signs up for Pro (49.00 a month),
# renews, changes to Team (99.00) and to Starter (19.00), is refunded 20.00, buys an extra for 29.00 and cancels.
# Another customer buys once for 29.00.
EXPECTED: Mapping[tuple[str, str], int] = {
    ("subscription", "49.00"): 1,
    ("renewal", "0.00"): 1,
    ("upgrade", "50.00"): 1,
    ("downgrade", "-80.00"): 1,
    ("refund", "0.00"): 1,
    ("purchase", ""): 2,
    ("churn", "-19.00"): 1,
}
EXPECTED_PER_SOURCE = sum(EXPECTED.values())
STORED, DUPLICATE, REJECTED = "stored", "duplicate", "rejected"

STYLES: Mapping[str, str] = {
    "subscription": "green", "upgrade": "green", "downgrade": "red", "churn": "red", "refund": "red",
}  # fmt: skip
HEADER = "from    event_type       amount mrr_impact     MRR  customer   plan    visit"


@dataclass(slots=True)
class DemoReport:
    """`responses`: webhooks by response; `expected_responses`: what they should be; `events`: revenue events."""

    responses: Counter[str] = field(default_factory=Counter)
    expected_responses: Counter[str] = field(default_factory=Counter)
    events: list[Data] = field(default_factory=list)

    def events_of(self, source: str) -> list[Data]:
        """The revenue events of one source."""
        return [data for data in self.events if data["payment_processor"] == source]


def impact(data: Data) -> Decimal | None:
    """The event's MRR change in major units; None outside any subscription."""
    return Decimal(str(data["mrr_impact"])) if "mrr_impact" in data else None


def running_mrr(events: Sequence[Data]) -> Iterator[Decimal]:
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


def row(data: Data, mrr: Decimal) -> str:
    """One event as a line under HEADER, within 80 columns; `mrr`: its source's MRR after it."""
    change = impact(data)
    changed, level = ("", "") if change is None else (f"{change:+.2f}" if change else "0.00", f"{mrr:.2f}")
    amount = f"{Decimal(str(data['amount'])):.2f} {data['currency']}"
    plan = str(data.get("metadata", {}).get("plan", ""))
    return (
        f"{data['payment_processor']:<7} {data['event_type']:<12} {amount:>10} {changed:>10} {level:>7}  "
        f"{data['customer_id']:<10} {plan:<7} {data['visitor_fingerprint']}"
    )


def totals(report: DemoReport, sources: Sequence[str]) -> list[str]:
    """Lines with revenue and MRR by source, and the responses to the webhooks."""
    lines = [f"{'from':<7} {'revenue':>11} {'highest MRR':>14} {'MRR after churn':>17}"]
    for source in sources:
        events = report.events_of(source)
        for currency, amount in revenue(events).items():
            levels = list(running_mrr(events))
            lines.append(
                f"{source:<7} {f'{amount:.2f} {currency}':>11} "
                f"{f'{max(levels):.2f} {currency}':>14} {f'{levels[-1]:.2f} {currency}':>17}"
            )
    counts = ", ".join(f"{count} {response}" for response, count in sorted_responses(report))
    return [*lines, "", f"{sum(report.responses.values())} webhooks sent: {counts}."]


def sorted_responses(report: DemoReport) -> list[tuple[str, int]]:
    """Responses with their count: stored first, rejected last."""
    return sorted(report.responses.items(), key=lambda item: (item[0].startswith(REJECTED), item[0] != STORED, item))


def conclusion(report: DemoReport) -> str:
    """The demo's last sentence, if there are no differences."""
    return f"All {len(report.events)} expected revenue events arrived, none missing, none duplicated."


def differences(report: DemoReport, sources: Sequence[str]) -> list[str]:
    """Each difference from the expected result as a sentence; empty if everything arrived once and adds up."""
    found = [difference for source in sources for difference in _differences(source, report.events_of(source))]
    got, expected = Counter(report.responses), report.expected_responses
    rejected = sum(count for response, count in got.items() if response.startswith(REJECTED))
    if (got[STORED], got[DUPLICATE], rejected) != (expected[STORED], expected[DUPLICATE], expected[REJECTED]):
        found.append(f"the responses to the webhooks were {dict(got)}, expected {dict(expected)}")
    return found


def _differences(source: str, events: Sequence[Data]) -> Iterator[str]:
    arrived = Counter((data["event_type"], _text(impact(data))) for data in events)
    for kind, mrr in sorted(arrived.keys() | EXPECTED.keys()):
        expected, found = EXPECTED.get((kind, mrr), 0), arrived[kind, mrr]
        if expected != found:
            yield f"{source}: {found} x {kind} with MRR impact {mrr or 'none'}, expected {expected}"
    if sum(filter(None, map(impact, events)), Decimal(0)) != 0:
        yield f"{source}: MRR is not 0 after churn"
    if len({data["transaction_id"] for data in events}) != len(events):
        yield f"{source}: a transaction id arrived twice"


def _text(mrr: Decimal | None) -> str:
    return "" if mrr is None else f"{mrr:.2f}"


def as_json(report: DemoReport, sources: Sequence[str], problems: Sequence[str]) -> Mapping[str, object]:
    """The whole report, for programs."""
    return {
        "webhooks": dict(sorted_responses(report)),
        "sources": {
            source: {
                "revenue": {code: f"{amount:.2f}" for code, amount in revenue(report.events_of(source)).items()},
                "mrr": f"{sum(filter(None, map(impact, report.events_of(source))), Decimal(0)):.2f}",
                "events": dict(Counter(data["event_type"] for data in report.events_of(source))),
            }
            for source in sources
        },
        "problems": list(problems),
        "revenue_events": report.events,
    }

"""The demo's report: its sums, its lines, and the differences from the expected result."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from bridge.sandbox.demo_report import (
    DUPLICATE,
    HEADER,
    REJECTED,
    STORED,
    DemoReport,
    differences,
    revenue,
    row,
    running_mrr,
    totals,
)

LIFECYCLE = [
    ("subscription", 49.0, 49),
    ("renewal", 49.0, 0),
    ("upgrade", 33.8, 50),
    ("downgrade", 0, -80),
    ("refund", -20.0, 0),
    ("purchase", 29.0, None),
    ("purchase", 29.0, None),
    ("churn", 0, -19),
]


def an_event(number: int, kind: str, amount: float, mrr: int | None) -> dict[str, Any]:
    data = {
        "visitor_fingerprint": "fp_demo1", "session_id": "sess_demo1", "customer_id": "cus_demo1", "amount": amount,
        "currency": "USD", "transaction_id": f"tx_{number}", "payment_processor": "stripe", "event_type": kind,
        "metadata": {"plan": "Pro"},
    }  # fmt: skip
    return data if mrr is None else {**data, "mrr_impact": mrr}


def a_lifecycle() -> list[dict[str, Any]]:
    """The revenue events of one processor's scenarios."""
    return [an_event(number, *one) for number, one in enumerate(LIFECYCLE)]


def a_report(events: list[dict[str, Any]]) -> DemoReport:
    responses = Counter({STORED: 10, DUPLICATE: 3, f"{REJECTED} (signature_mismatch)": 1})
    return DemoReport(
        responses=responses, expected_responses=Counter({STORED: 10, DUPLICATE: 3, REJECTED: 1}), events=list(events)
    )


def test_a_lifecycle_that_arrived_completely_meets_every_expectation() -> None:
    assert differences(a_report(a_lifecycle()), ["stripe"]) == []


@pytest.mark.parametrize(
    ("spoilt", "problem"),
    [
        (lambda events: events[1:], "stripe: 0 x subscription with MRR impact 49.00, expected 1"),
        (lambda events: events[:-1], "stripe: MRR is not 0 after churn"),
        (
            lambda events: [*events, an_event(9, "renewal", 49.0, 0)],
            "stripe: 2 x renewal with MRR impact 0.00, expected 1",
        ),
        (
            lambda events: [*events[:-1], {**events[-1], "transaction_id": "tx_0"}],
            "stripe: a transaction id arrived twice",
        ),
        (lambda events: [], "stripe: 0 x purchase with MRR impact none, expected 2"),
    ],
)
def test_whatever_is_missing_or_too_much_is_a_broken_promise(spoilt: Any, problem: str) -> None:
    assert problem in differences(a_report(spoilt(a_lifecycle())), ["stripe"])


def test_a_forged_webhook_that_was_stored_is_a_broken_promise() -> None:
    report = a_report(a_lifecycle())
    report.responses = Counter({STORED: 11, DUPLICATE: 3})

    [problem] = differences(report, ["stripe"])

    assert problem.startswith("the responses to the webhooks were {'stored': 11, 'duplicate': 3}")


def test_mrr_runs_up_and_down() -> None:
    assert [str(level) for level in running_mrr(a_lifecycle())] == ["49", "49", "99", "19", "19", "19", "19", "0"]


def test_revenue_is_summed_by_currency_exactly() -> None:
    euros = {**an_event(9, "purchase", 0.1, None), "currency": "EUR"}

    # 49.00 + 49.00 + 33.80 - 20.00 + 29.00 + 29.00
    assert revenue([*a_lifecycle(), euros, euros, euros]) == {"USD": Decimal("169.8"), "EUR": Decimal("0.3")}


def test_a_line_fits_a_terminal_of_80_columns() -> None:
    line = row(an_event(1, "subscription", 1234.5, 1234), Decimal("1234.00"))

    assert line == "stripe  subscription 1234.50 USD   +1234.00 1234.00  cus_demo1  Pro     fp_demo1"
    assert max(len(HEADER), len(line)) <= 80


def test_the_totals_say_what_became_of_every_webhook() -> None:
    assert totals(a_report(a_lifecycle()), ["stripe"]) == [
        "from        revenue    highest MRR   MRR after churn",
        "stripe   169.80 USD      99.00 USD          0.00 USD",
        "",
        "14 webhooks sent: 10 stored, 3 duplicate, 1 rejected (signature_mismatch).",
    ]

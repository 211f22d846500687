"""The table of plans, in every accepted format."""

from __future__ import annotations

import pytest

from processors.facts import Interval
from processors.paddle_classic.plans import Period, plans_of, plans_problem


@pytest.mark.parametrize(
    "written",
    [
        "12345=month,12346=year,12347=3 months",
        " 12345 = Month , 12346=1 year,12347=3months, ",
        '{"12345": "month", "12346": "year", "12347": "3 months"}',
    ],
)
def test_pairs_and_json_say_the_same(written: str) -> None:
    assert plans_of({"PADDLE_CLASSIC_PLANS": written}) == {
        "12345": Period(interval=Interval.MONTH),
        "12346": Period(interval=Interval.YEAR),
        "12347": Period(interval=Interval.MONTH, count=3),
    }
    assert plans_problem(written) is None


@pytest.mark.parametrize(
    "written",
    [
        "12345",
        "12345=",
        "12345=fortnight",
        "=month",
        "12345=0 months",
        '{"12345"',
        '{"12345": {"interval": "month"}}',
        "{" * 99999,
    ],
)
def test_anything_else_is_a_problem_and_no_table(written: str) -> None:
    assert plans_problem(written)
    assert plans_of({"PADDLE_CLASSIC_PLANS": written}) == {}


def test_without_a_table_no_plan_is_known() -> None:
    assert plans_of({}) == {}

"""Charts: the markup is well-formed, every bar has its size and link, and nothing can be smuggled in by a label."""

from __future__ import annotations

import itertools
import re
from decimal import Decimal
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.web import charts
from bridge.web.charts import Column, Segment, Step

AMOUNTS = st.decimals(min_value=-(10**9), max_value=10**9, places=2)


def parsed(markup: str) -> list[ElementTree.Element]:
    """The charts of this markup, wide first."""
    return list(ElementTree.fromstring(f"<div>{markup}</div>"))


def bars(chart: ElementTree.Element) -> list[tuple[str, float, float]]:
    """Class, y and height of each bar."""
    return [(one.get("class", ""), float(one.get("y", "")), float(one.get("height", ""))) for one in chart.iter("rect")]


def a_column(*values: float, label: str = "Jan", line: float | None = None) -> Column:
    segments = [
        Segment(kind="new" if value > 0 else "churn", value=Decimal(str(value)), text=f"{value}", href="/x")
        for value in values
    ]
    return Column(label=label, segments=segments, line=None if line is None else Decimal(str(line)))


def test_gains_are_stacked_above_zero_and_losses_below() -> None:
    wide, _ = parsed(charts.stacked_bars("m", "MRR", "two gains, a loss", [a_column(100, 50, -50, line=100)]))

    zero = next(float(one.get("y1", "")) for one in wide.iter("line") if one.get("class") == "grid zero")
    (first, second, loss) = bars(wide)

    assert first[1] + first[2] == pytest.approx(zero, abs=0.2)  # begins at zero
    assert second[1] + second[2] == pytest.approx(first[1], abs=0.2)  # begins where the first ends
    assert loss[1] == pytest.approx(zero, abs=0.2)
    assert first[2] == pytest.approx(2 * second[2], abs=0.2)
    assert second[2] == pytest.approx(loss[2], abs=0.2)


def test_a_waterfall_ends_where_the_level_is() -> None:
    steps = [
        Step(label="Start", brief="Start", kind="level", value=Decimal(100), text="", is_total=True),
        Step(label="New", brief="New", kind="new", value=Decimal(60), text=""),
        Step(label="Churn", brief="Churn", kind="churn", value=Decimal(-40), text=""),
        Step(label="End", brief="End", kind="level", value=Decimal(120), text="", is_total=True),
    ]

    wide, _ = parsed(charts.waterfall("w", "MRR", "from 100 to 120", steps))

    start, new, churn, end = bars(wide)
    assert new[1] + new[2] == pytest.approx(start[1], abs=0.2)
    assert churn[1] == pytest.approx(new[1], abs=0.2)
    assert churn[1] + churn[2] == pytest.approx(end[1], abs=0.2)


def test_a_chart_names_itself_and_its_links_are_no_tab_stops() -> None:
    charts_of_both_sizes = parsed(charts.stacked_bars("m", "MRR by month", "the table has the numbers", [a_column(1)]))

    assert [one.get("class") for one in charts_of_both_sizes] == ["chart wide", "chart narrow"]
    for chart in charts_of_both_sizes:
        texts = {one.get("id"): one.text for one in chart if one.get("id")}
        assert texts[chart.get("aria-labelledby")] == "MRR by month"
        assert texts[chart.get("aria-describedby")] == "the table has the numbers"
        assert [one.get("tabindex") for one in chart.iter("a")] == ["-1"]


def test_a_label_is_text_and_nothing_has_an_inline_style() -> None:
    evil = '"><script>alert(1)</script>'
    column = Column(label=evil, segments=[Segment(kind="new", value=Decimal(1), text=evil, href=evil)])

    markup = charts.stacked_bars("m", evil, evil, [column]) + charts.sparkline([Decimal(1), Decimal(2)], evil)

    assert "<script" not in markup
    assert not re.search(r"<[^>]*\sstyle=", markup)
    assert parsed(markup)


@given(st.lists(st.tuples(AMOUNTS, AMOUNTS, AMOUNTS), max_size=40))
def test_whatever_the_amounts_are_every_bar_is_inside_the_chart(rows: list[tuple[Decimal, Decimal, Decimal]]) -> None:
    columns = [a_column(float(first), float(second), line=float(line)) for first, second, line in rows]

    for chart in parsed(charts.stacked_bars("m", "t", "d", columns) + charts.line("l", "t", "d", columns)):
        height = float(str(chart.get("viewBox")).split()[3])
        for _, top, length in bars(chart):
            assert top >= 0
            assert top + length <= height
        for points in (one.get("points", "") for one in chart.iter("polyline")):
            assert all(0 <= float(pair.split(",")[1]) <= height for pair in points.split())


@pytest.mark.parametrize(
    ("wanted", "step"), [(1, 1), (1.2, 2), (3, 5), (7, 10), (0.013, 0.02), (99, 100), (101, 200), (250_000, 500_000)]
)
def test_grid_lines_are_at_round_numbers(wanted: float, step: float) -> None:
    assert charts.nice_step(wanted) == pytest.approx(step)


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (950, "950"), (1500, "1.5k"), (-20_000, "-20k"), (3_000_000, "3M"), (0.5, "0.5")]
)
def test_an_axis_has_short_numbers(value: float, text: str) -> None:
    assert charts.short(value) == text


def test_labels_leave_out_as_many_as_would_overlap_and_keep_the_last() -> None:
    columns = [a_column(1, label=f"Jan {number}") for number in range(1, 32)]

    _, narrow = parsed(charts.stacked_bars("m", "t", "d", columns))

    labels = [one.text for one in narrow.iter("text") if "label" in one.get("class", "")]
    assert len(labels) < 10
    assert labels[-1] == "Jan 31"


def test_a_sparkline_of_one_value_is_nothing() -> None:
    assert charts.sparkline([Decimal(1)], "MRR") == ""
    assert "polyline" in charts.sparkline([Decimal(5), Decimal(5)], "MRR")


def test_a_level_that_stays_changes_vertically() -> None:
    levels = [a_column(line=49), a_column(line=49), a_column(line=99), a_column(line=0)]

    for chart in parsed(charts.steps("m", "MRR", "up, then over", levels)):
        line = next(one for one in chart.iter("polyline"))
        points = [tuple(map(float, point.split(","))) for point in line.get("points", "").split()]
        moves = list(itertools.pairwise(points))

        assert all(before[0] == after[0] or before[1] == after[1] for before, after in moves)
        assert len({y for _, y in points}) == 3


@given(days=st.integers(2, 60))
def test_no_label_overlaps_the_one_before_it(days: int) -> None:
    columns = [a_column(line=1, label=f"Nov {1 + day % 28}") for day in range(days)]

    for chart, width in zip(parsed(charts.line("m", "MRR", "level", columns)), (1100, 370), strict=True):
        edges = [_edges(one, width) for one in chart.iter("text") if "label" in one.get("class", "")]

        assert all(before[1] <= after[0] for before, after in itertools.pairwise(edges))


def _edges(label: ElementTree.Element, width: int) -> tuple[float, float]:
    length = len(label.text or "") * charts.CHARACTER
    if "last" in label.get("class", ""):
        return width - length, width
    middle = float(label.get("x", ""))
    return middle - length / 2, middle + length / 2

"""Tables: nothing is cut or broken at any width."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.cli.output import print_findings, print_table, problem

COLUMNS = ("id", "created (UTC)", "source", "type", "amount", "MRR", "key", "status", "attempts", "response, next step")
ROW = (
    1234, "2026-11-28 07:23:10", "stripe", "downgrade", "-12345.60 EUR", "-1234.56",
    "movement:sub_1QabcdefghijklmnopqrstuvWX:4", "failed", 12, "400: data[/amount] is invalid. Review and resend it",
)  # fmt: skip


def printed(width: int, rows: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch,
            capsys: pytest.CaptureFixture[str]) -> str:  # fmt: skip
    monkeypatch.setenv("COLUMNS", str(width))
    capsys.readouterr()
    print_table("Revenue events", COLUMNS, rows, right=("id", "amount", "MRR", "attempts"), whole=("created (UTC)",))
    return capsys.readouterr().out


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160, 250])
def test_no_number_and_no_id_is_cut_or_broken(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = printed(width, [ROW, ROW], monkeypatch, capsys)

    for value in ROW[:-1]:
        assert len(re.findall(rf"(?<!\S){re.escape(str(value))}(?!\S)", out)) == 2, (width, value)
    assert out.split().count("data[/amount]") == 2


@given(
    width=st.integers(60, 200), cells=st.lists(st.text("ab1.-_:", min_size=1, max_size=40), min_size=10, max_size=10)
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_word_is_whole_at_every_width(
    width: int, cells: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = printed(width, [tuple(cells)], monkeypatch, capsys)

    words = out.split()
    assert all(cell in words for cell in cells)


def test_a_narrow_terminal_gets_a_block_per_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = printed(80, [ROW], monkeypatch, capsys)

    assert "  amount               -12345.60 EUR\n" in out
    assert "  key                  movement:sub_1QabcdefghijklmnopqrstuvWX:4\n" in out


@pytest.mark.parametrize("width", [60, 100])
def test_the_address_in_a_finding_can_be_copied(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    address = f"https://dashboard.stripe.com/apikeys/create?permissions={'rak_coupon_read' * 9}"
    monkeypatch.setenv("COLUMNS", str(width))

    print_findings("Check", [problem("source stripe", f"STRIPE_API_KEY lacks one. Create a key: {address}")])

    lines = capsys.readouterr().out.splitlines()
    assert [line.strip() for line in lines].count(address) == 1
    assert all(len(line) <= width for line in lines if address not in line)

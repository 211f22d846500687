"""`export`: stable columns as CSV and JSON, to stdout and to a file."""

from __future__ import annotations

import csv
import io
import json
import re
from decimal import Decimal
from pathlib import Path

import pytest

from bridge.cli.export import DATASETS
from bridge.csv_lines import csv_lines
from bridge.store import Store, subscriptions
from tests.bridge.cli.conftest import Command
from tests.bridge.store.builders import a_delivery, a_subscription_row, added, an_update, updated

COMMANDS = Path(__file__).resolve().parents[3] / "docs" / "commands.md"
BODY = json.dumps(
    {
        "customer_id": "=HYPERLINK(1)",
        "customer_subscription_id": "sub_1",
        "transaction_id": "in_1",
        "metadata": {"plan": "Pro", "attribution": "customer", "occurred_at": "2026-03-01T23:30:00+00:00"},
    }
)


@pytest.fixture
def merchant(sqlite_store: Store) -> Store:
    """A start of 49.00 and a refund of 9.00 of one customer."""
    updated(sqlite_store, an_update())
    added(
        sqlite_store,
        a_delivery("a", event_type="subscription", amount=Decimal(49), mrr_impact=Decimal(49), body=BODY),
        a_delivery("b", event_type="refund", amount=Decimal("-9.00"), mrr_impact=Decimal(0), body=BODY),
    )
    with sqlite_store.transaction() as tx:
        subscriptions.save(tx, [a_subscription_row(mrr=Decimal(49), baseline=Decimal(0))])
    return sqlite_store


def test_a_csv_has_a_header_exact_amounts_and_times_in_utc(cli: Command, merchant: Store) -> None:
    [start, refund] = csv.DictReader(io.StringIO(cli("export", "revenue").out))

    assert tuple(start) == DATASETS["revenue"].columns
    assert [start["amount"], refund["amount"]] == ["49.00", "-9.00"]
    assert (start["occurred_at"], start["livemode"], start["account"]) == ("2026-03-01T23:30:00Z", "true", "")


@pytest.mark.parametrize("digits", [30, 4000])
def test_an_amount_of_an_earlier_version_with_too_many_digits_is_shown_whole_and_stops_no_other(
    cli: Command, merchant: Store, digits: int
) -> None:
    large = Decimal("9" * digits)
    added(merchant, a_delivery("c", event_type="upgrade", amount=large, mrr_impact=large, body=BODY))
    with merchant.transaction() as tx:
        subscriptions.save(tx, [a_subscription_row("sub_2", mrr=large)])

    [customer] = csv.DictReader(io.StringIO(cli("export", "customers").out))
    amounts = [row["amount"] for row in csv.DictReader(io.StringIO(cli("export", "revenue").out))]
    [shown] = cli("customers", "show", "in_1", "--json").json

    assert customer["revenue"] == shown["revenue"]["USD"] == f"1{'0' * (digits - 2)}39.00"
    assert amounts == ["49.00", "-9.00", f"{'9' * digits}.00"]
    assert customer["mrr"] == shown["mrr"]["USD"] == "49.00"
    assert [one["mrr"] for one in shown["subscriptions"]] == ["49.00", "0.00"]
    for command in ("status", "mrr", "customers show in_1", "export movements"):
        assert cli(*command.split()).status == 0, command


def test_a_spreadsheet_calculates_no_cell(cli: Command, merchant: Store) -> None:
    [row] = csv.DictReader(io.StringIO(cli("export", "movements").out))

    assert row["customer_id"] == "'=HYPERLINK(1)"
    dangerous = [{"text": text} for text in ("=1", "+1", "-1", "@a", "\t=1", "\r=1")]
    cells = [one["text"] for one in csv.DictReader(io.StringIO("".join(csv_lines(dangerous, ["text"])), newline=""))]
    assert cells == [f"'{one['text']}" for one in dangerous]


def test_json_is_one_array_with_a_row_on_each_line(cli: Command, merchant: Store) -> None:
    out = cli("export", "customers", "--format", "json").out

    [row] = json.loads(out)
    assert out.splitlines()[1:-1] == [json.dumps(row)]
    assert tuple(row) == DATASETS["customers"].columns
    assert (row["mrr"], row["revenue"], row["revenue_events"], row["livemode"]) == ("49.00", "40.00", 2, True)
    assert cli("export", "customers", "--format", "json", "--test").json == []


def test_a_file_is_readable_by_its_owner_alone_and_holds_the_same(cli: Command, merchant: Store) -> None:
    shown = cli("export", "movements").out

    ended = cli("export", "movements", "--output", "movements.csv")

    path = Path("movements.csv")
    assert ended.out == ""
    assert "1 row in movements.csv." in ended.err
    assert path.read_bytes().decode() == shown
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in Path().iterdir()] == ["movements.csv"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["revenue", "--source", "elsewhere"], 2, "there is no source elsewhere. Configured: paddle, stripe"),
        (["revenue", "--from", "2026-03-02", "--to", "2026-03-01"], 2, "--from is after --to"),
        (["revenue", "--output", "no/such/file.csv"], 1, "no/such/file.csv: No such file or directory"),
    ],
)
def test_what_cannot_be_exported_is_one_line(
    cli: Command, sqlite_store: Store, arguments: list[str], status: int, message: str
) -> None:
    ended = cli("export", *arguments)

    assert ended.status == status
    assert ended.err.strip().splitlines()[-1] == message


def test_the_documented_columns_are_the_columns() -> None:
    section = COMMANDS.read_text(encoding="utf-8").partition("### export\n")[2].partition("\n#")[0]
    rows = dict(re.findall(r"^\| `(movements|revenue|customers)` \| (.*) \|$", section, re.MULTILINE))

    assert {name: tuple(re.findall(r"`(\w+)`", row)) for name, row in rows.items()} == {
        name: tuple(one.columns) for name, one in DATASETS.items()
    }

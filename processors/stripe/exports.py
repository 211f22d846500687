"""Stripe's exports of MRR changes: the CSV of the Billing page, and Sigma's `subscription_item_change_events`. Pure.

Columns are found by name, whatever their order, spelling of spaces and capitals.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from processors.money import Currency, Money, exact_decimal, minor_of_major
from processors.stripe.envelope import currency_of
from processors.totals import ChangeKind, MrrChange

# For each field the names that a column may have, in the form of `_plain`.
CUSTOMER_MRR_CHANGES: Mapping[str, Sequence[str]] = {
    "customer": ("customer_id", "customer"),
    "day": ("date", "day", "change_date", "event_date", "effective_date", "timestamp", "event_timestamp"),
    "amount": ("mrr_change", "mrr_change_amount", "change", "change_in_mrr", "amount"),
    "currency": ("currency", "mrr_currency", "currency_code"),
    "kind": ("change_type", "type", "mrr_change_type", "category", "event_type"),
    "subscription": ("subscription_id", "subscription"),
}
SIGMA: Mapping[str, Sequence[str]] = {
    "customer": ("customer_id", "customer"),
    "subscription": ("subscription_id", "subscription"),
    "at": ("event_timestamp",),
    "day": ("local_event_timestamp",),
    "amount": ("mrr_change",),
    "currency": ("currency",),
    "kind": ("event_type",),
}
KINDS: Mapping[str, ChangeKind] = {
    "new": ChangeKind.NEW, "new_mrr": ChangeKind.NEW, "new_subscriber": ChangeKind.NEW,
    "active_start": ChangeKind.START,
    "reactivation": ChangeKind.REACTIVATION, "reactivated": ChangeKind.REACTIVATION,
    "expansion": ChangeKind.UPGRADE, "upgrade": ChangeKind.UPGRADE, "active_upgrade": ChangeKind.UPGRADE,
    "contraction": ChangeKind.DOWNGRADE, "downgrade": ChangeKind.DOWNGRADE, "active_downgrade": ChangeKind.DOWNGRADE,
    "churn": ChangeKind.CHURN, "churned": ChangeKind.CHURN, "end": ChangeKind.CHURN, "active_end": ChangeKind.CHURN,
}  # fmt: skip
MIN_YEAR = 2010  # a year of Stripe's: an older date is a column read wrongly


class Unusable(ValueError):
    """The file is not such an export. The message says what is wrong, and in which line."""


def customer_mrr_changes(lines: Iterable[str]) -> Iterator[MrrChange]:
    """The CSV "Customer MRR changes": amounts in major units, days in the account's time zone."""
    for number, row in _rows(lines, CUSTOMER_MRR_CHANGES, required=("customer", "day", "amount", "currency")):
        currency = _currency(row, number)
        minor = minor_of_major(row["amount"].replace(",", ""), currency)
        if minor is None:
            raise Unusable(f"line {number}: {row['amount']!r} is not an amount")
        yield _change(row, number, Money(minor=minor, currency=currency))


def sigma_change_events(lines: Iterable[str]) -> Iterator[MrrChange]:
    """An export of `subscription_item_change_events`: `mrr_change` in minor units, times in UTC and local."""
    for number, row in _rows(lines, SIGMA, required=("customer", "amount", "currency", "at")):
        minor = exact_decimal(row["amount"])
        if minor is None or minor != minor.to_integral_value():
            raise Unusable(f"line {number}: mrr_change {row['amount']!r} is not a whole number of minor units")
        yield _change(row, number, Money(minor=int(minor), currency=_currency(row, number)))


def _change(row: Mapping[str, str], number: int, amount: Money) -> MrrChange:
    day = _moment(row["day"], number) if row.get("day") else None
    at = _moment(row["at"], number) if row.get("at") else None
    return MrrChange(
        customer_id=row["customer"],
        amount=amount,
        kind=KINDS.get(_plain(row.get("kind", "")), ChangeKind.CHANGE),
        at=None if at is None else at.replace(tzinfo=UTC),
        local_day=None if day is None else day.date(),
        subscription_id=row.get("subscription") or None,
    )


def _rows(
    lines: Iterable[str], columns: Mapping[str, Sequence[str]], required: Sequence[str]
) -> Iterator[tuple[int, Mapping[str, str]]]:
    reader = csv.reader(lines)
    header = [_plain(name) for name in next(reader, [])]
    places = {field: header.index(name) for field, names in columns.items() for name in names[::-1] if name in header}
    missing = [columns[field][0] for field in required if field not in places]
    if missing:
        raise Unusable(f"there is no column {' and no column '.join(missing)}; the columns are {', '.join(header)}")
    for cells in reader:
        if not any(cells):
            continue
        if len(cells) < len(header):
            raise Unusable(f"line {reader.line_num}: it has {len(cells)} cells, the header has {len(header)}")
        yield reader.line_num, {field: cells[place].strip() for field, place in places.items()}


def _currency(row: Mapping[str, str], number: int) -> Currency:
    found = currency_of(row["currency"])
    if found is None:
        raise Unusable(f"line {number}: {row['currency']!r} is not a currency")
    return found


def _moment(value: str, number: int) -> datetime:
    """A date or a time, as its clock shows it. Raises Unusable."""
    try:
        found = datetime.fromisoformat(value.removesuffix(" UTC").strip())
    except ValueError:
        raise Unusable(f"line {number}: {value!r} is not a date like 2026-03-01") from None
    if found.year < MIN_YEAR:
        raise Unusable(f"line {number}: {value!r} is no date of a change")
    return (found.astimezone(UTC) if found.tzinfo else found).replace(tzinfo=None)


@lru_cache(maxsize=1000)
def _plain(name: str) -> str:
    """A column's name in small letters with underscores, without what is in brackets: "MRR change (USD)"."""
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"\(.*?\)", "", name).strip("\ufeff ").lower()).strip("_")

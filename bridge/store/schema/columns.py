"""Parts of the tables: column types, compression of bodies and states, indexes with a condition, `metadata`."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Column, Dialect, Index, Integer, MetaData, Text, TextClause, TypeDecorator

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
TEN_THOUSAND = Decimal(10_000)
LARGEST_SCALED = Decimal(10) ** 12  # far above any real payment, and nine hundred of them can be added

# On the 211 sample webhooks level 1 compresses a body to 27 %, level 6 to 22 % in twice the time.
COMPRESSION_LEVEL = 1


def as_microseconds(instant: datetime) -> int:
    """An aware datetime as it is stored: microseconds since 1970 UTC."""
    return (instant - EPOCH) // MICROSECOND


class Instant(TypeDecorator[datetime]):
    """An aware datetime, stored as whole microseconds since 1970 UTC: exact, small and sortable."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else as_microseconds(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else EPOCH + value * MICROSECOND


class DecimalText(TypeDecorator[Decimal]):
    """A decimal number, stored as text: both databases return exactly what was stored."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        return None if value is None else format(value, "f")

    def process_result_value(self, value: str | None, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


class Scaled(TypeDecorator[Decimal]):
    """A decimal number, stored as whole ten-thousandths: the database can add it, exactly.

    No currency has more than four decimals. An amount above a trillion is stored as NULL: no sum includes it.
    """

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> int | None:
        if value is None or abs(value) > LARGEST_SCALED:
            return None
        return int((value * TEN_THOUSAND).to_integral_value())

    def process_result_value(self, value: int | Decimal | None, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(int(value)) / TEN_THOUSAND


def compress(body: bytes) -> bytes:
    """A body or a state as it is stored."""
    return zlib.compress(body, COMPRESSION_LEVEL)


def decompress(stored: bytes) -> bytes:
    """The inverse of `compress`."""
    return zlib.decompress(stored)


def partial_index(name: str, *columns: Column[Any], where: TextClause, unique: bool = False) -> None:
    """An index of the rows that fulfil a condition, on both databases.

    Stated for SQLite alone: `postgresql_where` would import PostgreSQL's dialect wherever a table is named, which
    takes a tenth of a command's start. The migrations create the index, with the condition of each database.
    """
    Index(name, *columns, unique=unique, sqlite_where=where)


metadata = MetaData(naming_convention={"pk": "pk_%(table_name)s", "uq": "uq_%(table_name)s"})
Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite assigns ids only to an INTEGER key

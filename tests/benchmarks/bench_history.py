"""The cost of a long history and of a backlog, compared with a short history (SQLite).

    python tests/benchmarks/bench_history.py [--stored 1000000] [--waiting 10000] [--events 5000]

A million stored events take about 5 GB of disk during the run.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from bench_pipeline import measure_delivery
from load import ROOT, LoadResult, fill, post, requests, running_server
from table import Row, print_table

from bridge.store import Store, open_store, outbox
from bridge.store.outbox import DeliveryStatus, NewDelivery

GUNICORN = ("gunicorn", "-c", str(ROOT / "config" / "gunicorn.conf.py"), "bridge:create_app()")
SHORT = 10_000
SEEDED = 1000  # events that are processed for real; a longer history repeats them under other ids
WARM = 500
NUMBERS = "WITH RECURSIVE k(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM k WHERE n < {}) "
COPIED_COLUMNS = {  # by table: the columns that differ in the copies of a row
    "inbox": {"id": "id + n * {size}", "event_id": "event_id || '_' || n", "stream_id": "stream_id || '_' || n"},
    "bodies": {"inbox_id": "inbox_id + n * {size}"},
    "streams": {"stream_id": "stream_id || '_' || n"},
    "states": {"stream_id": "stream_id || '_' || n"},
    "links": {"ref": "ref || '_' || n", "stream_id": "stream_id || '_' || n"},
    "outbox": {
        "id": "id + n * {size}",
        "stream_id": "stream_id || '_' || n",
        "output_key": "output_key || '_' || n",
    },
    "attempts": {"id": "id + n * {size}", "delivery_id": "delivery_id + n * {size}"},
    "subscriptions": {"stream_id": "stream_id || '_' || n", "subscription_id": "subscription_id || '_' || n"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFigures:
    """The figures of one history. `bytes_per_event`: disk space per event, with all rows it caused."""

    acknowledged: LoadResult
    settled_rate: float
    startup_seconds: float
    bytes_per_event: float


def measure(stored: int, waiting: int, events: int) -> list[Row]:
    """A short history, a long one, and a short one with a backlog."""
    with tempfile.TemporaryDirectory() as name:
        short = _measure(Path(name) / "short", SHORT, 0, events)
        latencies = _measure(Path(name) / "waits", SHORT, waiting, events)
        rows = [*_rows(f"{SHORT:,} stored", short), *_rows(f"{SHORT:,} stored, {waiting:,} waiting", latencies, short)]
        if stored > SHORT:
            long = _measure(Path(name) / "long", stored, 0, events)
            rows += _rows(f"{stored:,} stored", long, short)
    return rows


def _rows(name: str, found: HistoryFigures, baseline: HistoryFigures | None = None) -> list[Row]:
    load, base = found.acknowledged, f"{SHORT:,} stored"
    return [
        Row(
            name=f"acknowledging: {name}",
            rate=load.rate,
            p50=load.latency(0.5),
            p99=load.latency(0.99),
            errors=load.errors,
            baseline=f"acknowledging: {base}" if baseline else None,
            note=f"started in {found.startup_seconds:.2f} s, {found.bytes_per_event / 1000:.1f} kB per event",
        ),
        Row(
            name=f"settling and sending: {name}",
            rate=found.settled_rate,
            baseline=f"settling and sending: {base}" if baseline else None,
        ),
    ]


def _measure(folder: Path, stored: int, waiting: int, events: int) -> HistoryFigures:
    folder.mkdir()
    url = f"sqlite:///{folder / 'bridge.db'}"
    store = open_store(url)
    store.migrate()
    fill(store, SEEDED, "old")
    measure_delivery(store, url, folder, SEEDED)
    _multiply(folder / "bridge.db", stored // SEEDED)
    for start in range(0, waiting, SEEDED):
        _add_waiting(store, range(start, start + SEEDED))
    size = (folder / "bridge.db").stat().st_size
    start = time.monotonic()
    with running_server(GUNICORN, folder, DATABASE_URL=url, WEB_WORKERS="2") as port:
        startup_seconds = time.monotonic() - start
        post(port, requests(WARM, "warm"))
        acknowledged = post(port, requests(events, "evt"))
    settled_rate, _ = measure_delivery(store, url, folder, WARM + events)
    store.close()
    return HistoryFigures(
        acknowledged=acknowledged,
        settled_rate=settled_rate,
        startup_seconds=startup_seconds,
        bytes_per_event=size / (stored + waiting),
    )


def _multiply(database: Path, times: int) -> None:
    """Multiplies what the events that were lived have left behind."""
    with closing(sqlite3.connect(database)) as connection:
        for table, changes in COPIED_COLUMNS.items():
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            values = ", ".join(changes.get(column, f"t.{column}").format(size=SEEDED) for column in columns)
            names = ", ".join(columns)
            numbers = NUMBERS.format(times - 1)
            if times > 1:
                connection.execute(f"INSERT INTO {table} ({names}) {numbers} SELECT {values} FROM k, {table} AS t")
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _add_waiting(store: Store, numbers: range) -> None:
    now = datetime.now(UTC)
    with store.transaction() as tx:
        outbox.add(
            tx,
            [
                NewDelivery(
                    stream_id=f"stripe||live|cus_{number}", scope="stripe||live", source="stripe", livemode=True,
                    output_key=f"payment:pi_{number}", status=DeliveryStatus.PENDING, body='{"amount": 29.0}',
                    next_at=now + timedelta(days=1), created_at=now, event_type="purchase", currency="USD",
                    amount=Decimal("29.00"),
                )
                for number in numbers
            ],
        )  # fmt: skip


def main(args: Sequence[str]) -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stored", type=int, default=1_000_000)
    parser.add_argument("--waiting", type=int, default=10_000)
    parser.add_argument("--events", type=int, default=5000)
    options = parser.parse_args(args)
    print_table(measure(options.stored, options.waiting, options.events))


if __name__ == "__main__":
    main(sys.argv[1:])

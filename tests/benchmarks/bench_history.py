"""What a long history and a backlog cost: acknowledging, settling, start-up and size beside a short history (SQLite).

    python tests/benchmarks/bench_history.py [--stored 1000000] [--waiting 10000] [--events 5000]

A million stored events take about 5 GB of disk for the time of the run.
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

from bench_pipeline import delivered
from load import ROOT, Measured, fill, post, requests, started
from table import Row, show

from bridge.store import Store, open_store, outbox
from bridge.store.outbox import DeliveryStatus, NewDelivery

GUNICORN = ("gunicorn", "-c", str(ROOT / "config" / "gunicorn.conf.py"), "wsgi:app")
SHORT = 10_000
LIVED = 1000  # events that really go the whole way; a longer history is these again under other ids
WARM = 500
NUMBERS = "WITH RECURSIVE k(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM k WHERE n < {}) "
AGAIN = {  # of each table: what of a row becomes another row's
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
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one history came to. `bytes_each`: of disk, for an event with all that it left behind."""

    acknowledged: Measured
    settled: float
    start_up: float
    bytes_each: float


def measured(stored: int, waiting: int, events: int) -> list[Row]:
    """A short history, a long one, and a short one with a backlog."""
    with tempfile.TemporaryDirectory() as name:
        short = _found(Path(name) / "short", SHORT, 0, events)
        waits = _found(Path(name) / "waits", SHORT, waiting, events)
        rows = [*_rows(f"{SHORT:,} stored", short), *_rows(f"{SHORT:,} stored, {waiting:,} waiting", waits, short)]
        if stored > SHORT:
            long = _found(Path(name) / "long", stored, 0, events)
            rows += _rows(f"{stored:,} stored", long, short)
    return rows


def _rows(name: str, found: Found, beside: Found | None = None) -> list[Row]:
    told, base = found.acknowledged, f"{SHORT:,} stored"
    return [
        Row(
            name=f"acknowledging: {name}",
            rate=told.rate,
            p50=told.wait(0.5),
            p99=told.wait(0.99),
            errors=told.errors,
            beside=f"acknowledging: {base}" if beside else None,
            note=f"ready after {found.start_up:.2f} s, {found.bytes_each / 1000:.1f} kB an event",
        ),
        Row(
            name=f"settling and sending: {name}",
            rate=found.settled,
            beside=f"settling and sending: {base}" if beside else None,
        ),
    ]


def _found(folder: Path, stored: int, waiting: int, events: int) -> Found:
    folder.mkdir()
    url = f"sqlite:///{folder / 'bridge.db'}"
    store = open_store(url)
    store.migrate()
    fill(store, LIVED, "old")
    delivered(store, url, folder, LIVED)
    _live_again(folder / "bridge.db", stored // LIVED)
    for start in range(0, waiting, LIVED):
        _wait_for(store, range(start, start + LIVED))
    size = (folder / "bridge.db").stat().st_size
    began = time.monotonic()
    with started(GUNICORN, folder, DATABASE_URL=url, WEB_WORKERS="2") as port:
        start_up = time.monotonic() - began
        post(port, requests(WARM, "warm"))
        acknowledged = post(port, requests(events, "evt"))
    settled, _ = delivered(store, url, folder, WARM + events)
    store.close()
    return Found(acknowledged=acknowledged, settled=settled, start_up=start_up, bytes_each=size / (stored + waiting))


def _live_again(database: Path, times: int) -> None:
    """Multiplies what the events that were lived have left behind."""
    with closing(sqlite3.connect(database)) as connection:
        for table, changes in AGAIN.items():
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            values = ", ".join(changes.get(column, f"t.{column}").format(size=LIVED) for column in columns)
            names = ", ".join(columns)
            numbers = NUMBERS.format(times - 1)
            if times > 1:
                connection.execute(f"INSERT INTO {table} ({names}) {numbers} SELECT {values} FROM k, {table} AS t")
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _wait_for(store: Store, numbers: range) -> None:
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
    """Measures, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stored", type=int, default=1_000_000)
    parser.add_argument("--waiting", type=int, default=10_000)
    parser.add_argument("--events", type=int, default=5000)
    asked = parser.parse_args(args)
    show(measured(asked.stored, asked.waiting, asked.events))


if __name__ == "__main__":
    main(sys.argv[1:])

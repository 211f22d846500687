"""What a backlog and a long history cost: acknowledging, start-up and size with so many events stored and waiting.

    python tests/benchmarks/bench_backlog.py [--waiting 10000] [--stored 0] [--events 5000]

`--stored 1000000` takes its time and about 4 GB of disk.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from load import ROOT, Measured, fill, post, requests, started

from bridge.store import Store, inbox, open_store, outbox
from bridge.store.inbox import InboxStatus
from bridge.store.outbox import DeliveryStatus, NewDelivery

GUNICORN = ("gunicorn", "-c", str(ROOT / "config" / "gunicorn.conf.py"), "wsgi:app")
AT_ONCE = 1000


def main() -> None:
    """Measures an empty database and one that is full, and prints both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--waiting", type=int, default=10_000)
    parser.add_argument("--stored", type=int, default=0)
    parser.add_argument("--events", type=int, default=5000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        empty, _ = _measured(folder, "empty.db", asked.events, 0, 0)
        full, size = _measured(folder, "full.db", asked.events, asked.waiting, asked.stored)
    sys.stdout.write(
        f"acknowledging, empty {empty.rate:8.0f}/s, p99 {empty.wait(0.99):.0f} ms\n"
        f"acknowledging, full  {full.rate:8.0f}/s, p99 {full.wait(0.99):.0f} ms\n"
        f"ratio                {full.rate / empty.rate:8.2f}\n"
        f"bytes per event      {size:8.0f}\n"
    )


def _measured(folder: Path, name: str, events: int, waiting: int, stored: int) -> tuple[Measured, float]:
    url = f"sqlite:///{folder / name}"
    store = open_store(url)
    store.migrate()
    if stored:
        fill(store, stored, "old")
        _settle_all(store)
    for start in range(0, waiting, AT_ONCE):
        _wait_for(store, range(start, start + AT_ONCE))
    store.close()
    began = time.monotonic()
    with started(GUNICORN, folder, DATABASE_URL=url) as port:
        sys.stdout.write(f"{name:<10} ready after {time.monotonic() - began:.1f} s\n")
        post(port, requests(500, "warm"))
        measured = post(port, requests(events, "evt"))
    return measured, (folder / name).stat().st_size / (events + 500 + waiting + stored)


def _settle_all(store: Store) -> None:
    now = datetime.now(UTC)
    while True:
        with store.transaction() as tx:
            rows = inbox.listing(tx, InboxStatus.RECEIVED, None, AT_ONCE)
            inbox.mark_settled(tx, [(row.id, 1, None) for row in rows], now)
        if not rows:
            return


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


if __name__ == "__main__":
    main()

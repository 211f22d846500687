"""How fast the outbox is sent, compared with a bare loop of `requests` with as many threads to the same endpoint.

    python tests/benchmarks/bench_drain.py [--events 5000] [--threads 8] [--url sqlite:///bench.db]

The endpoint is the fake Pulsora in its own process on this machine, so it uses some of the processor time.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from pathlib import Path
from queue import Queue
from threading import local

import requests
import structlog

from bridge.ledger.events import EventType, RevenueEvent
from bridge.sandbox.fake_pulsora import FakePulsora
from bridge.sender import payload
from bridge.sender.destinations import Destination
from bridge.sender.dispatcher import Dispatcher
from bridge.store import Store, open_store, outbox
from bridge.store.outbox import DeliveryStatus, NewDelivery

TOKEN = "sec_bench_fake"


def main() -> None:
    """Runs both, and prints the rates and their ratio."""
    options = _options()
    # As in production: lines are formatted at level info and written to a file.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        processors=[structlog.processors.TimeStamper(fmt="iso"), structlog.processors.JSONRenderer()],
        logger_factory=structlog.WriteLoggerFactory(file=Path("/dev/null").open("w")),  # noqa: SIM115
    )
    bodies = [payload.dump(_event(number)) for number in range(options.events)]
    with _ingest() as endpoint, tempfile.TemporaryDirectory() as folder:
        bare = _timed(lambda: _bare(endpoint, bodies, options.threads))
        store = open_store(options.url or f"sqlite:///{folder}/bench.db")
        store.migrate()
        _fill(store, bodies)
        drained = _timed(lambda: _drain(store, endpoint, options.threads))
        store.close()
    sys.stdout.write(
        f"bare requests loop  {options.events / bare:8.0f} events/s\n"
        f"drain               {options.events / drained:8.0f} events/s\n"
        f"ratio               {bare / drained:8.2f}\n"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=5000)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--url", help="a DATABASE_URL; default: SQLite in a temporary folder")
    return parser.parse_args()


def _bare(endpoint: str, bodies: list[str], threads: int) -> None:
    mine = local()

    def post(body: str) -> None:
        if not hasattr(mine, "session"):
            mine.session = requests.Session()
        headers = {"X-API-Token": TOKEN, "Content-Type": "application/json"}
        assert mine.session.post(endpoint, data=payload.body(body, TOKEN), headers=headers, timeout=10).ok

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(post, bodies))


def _drain(store: Store, endpoint: str, threads: int) -> None:
    routes = {"stripe": Destination(endpoint=endpoint, token=TOKEN)}
    drain = Dispatcher(store, routes, owner="bench", threads=threads, per_hour=0)
    while True:
        report = drain.run_round(datetime.now(UTC))
        if not report.claimed and not report.in_flight:
            break
    drain.close()
    with store.reading() as tx:
        assert outbox.backlog(tx).count == 0


def _fill(store: Store, bodies: list[str]) -> None:
    now = datetime.now(UTC)
    with store.transaction() as tx:
        outbox.add(
            tx,
            [
                NewDelivery(
                    stream_id=f"stripe||live|cus_{number}",
                    scope="stripe||live",
                    source="stripe",
                    livemode=True,
                    output_key=f"payment:pi_{number}",
                    status=DeliveryStatus.PENDING,
                    body=body,
                    next_at=now,
                    created_at=now,
                    event_type="renewal",
                    currency="EUR",
                    amount=Decimal("49.99"),
                )
                for number, body in enumerate(bodies)
            ],
        )


def _event(number: int) -> RevenueEvent:
    return RevenueEvent(
        output_key=f"payment:pi_{number}",
        event_type=EventType.RENEWAL,
        amount=Decimal("49.99"),
        currency="EUR",
        transaction_id=f"in_{number}",
        customer_id=f"cus_{number}",
        visitor_fingerprint="fp_bench",
        session_id="sess_bench",
        payment_processor="stripe",
        is_recurring=True,
        occurred_at=datetime(2025, 3, 1, tzinfo=UTC),
        subscription_id=f"sub_{number}",
        mrr_impact=Decimal(0),
        metadata={"plan": "Pro", "interval": "monthly", "processor_event_id": f"evt_{number}"},
    )


@contextmanager
def _ingest() -> Iterator[str]:
    context = get_context("spawn")
    endpoints: Queue[str] = context.Queue()  # type: ignore[assignment]  # used like queue.Queue
    stop = context.Event()
    process = context.Process(target=_serve, args=(endpoints, stop), daemon=True)
    process.start()
    try:
        yield endpoints.get(timeout=30)
    finally:
        stop.set()
        process.join(10)


def _serve(endpoints: Queue[str], stop: Event) -> None:
    with FakePulsora(TOKEN) as pulsora:
        endpoints.put(pulsora.endpoint)
        stop.wait()


def _timed(action: object) -> float:
    running_server = time.perf_counter()
    action()  # type: ignore[operator]
    return time.perf_counter() - running_server


if __name__ == "__main__":
    main()

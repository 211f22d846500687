"""How soon a sale is in Pulsora while thousands of imported events wait for the hourly budget: real processes.

python tests/benchmarks/bench_import.py [--imported 10000] [--sales 20]

Sales are posted while the import is settled and sent, and again when it has used its share of the hour's requests.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from bench_latency import DEFAULTS, Case, cases, latency, prepare
from load import SECRET, TOKEN, running_server
from sqlalchemy import func, select

from bridge.internal_events import imports
from bridge.sandbox.fake_pulsora import FakePulsora
from bridge.settings import load
from bridge.store import Store, inbox, open_store
from bridge.store.inbox import NewWebhook
from bridge.store.schema import outbox
from processors import processors
from processors.facts import Stage, SubscriptionState
from processors.stripe.simulation.customer import PRO, Customer
from processors.values import replace

SALE_SECONDS = 1.0  # between two sales
QUIET_SECONDS = 15.0  # without a request to Pulsora: the share is used up
PATIENCE_SECONDS = 300
BATCH = 500


def main(args: Sequence[str]) -> None:
    """Measures and prints both rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--imported", type=int, default=10_000)
    parser.add_argument("--sales", type=int, default=20)
    options = parser.parse_args(args)
    with tempfile.TemporaryDirectory() as name, FakePulsora(TOKEN) as pulsora:
        folder = Path(name)
        url = f"sqlite:///{folder}/bridge.db"
        environ = {**DEFAULTS, "PULSORA_ENDPOINT": pulsora.endpoint, "DATABASE_URL": url}
        with running_server(("bridge.cli", "serve"), folder, **environ) as port:
            store = open_store(url)
            _import(store, options.imported)
            _await(lambda: bool(pulsora.received))
            during = sales(port, pulsora, "during", options.sales)
            _await_silence(pulsora)
            waiting = _waiting(store)
            after = sales(port, pulsora, "after", options.sales)
            store.close()
    for label, seconds in (("while the import is settled and sent", during), (f"{waiting:,} waiting", after)):
        sys.stdout.write(f"{label}: p50 {median(seconds):.2f} s, worst {max(seconds):.2f} s\n")


def _import(store: Store, count: int) -> None:
    """Stores `count` subscriptions as `import --send` does."""
    rows = list(_imported(count))
    for start in range(0, count, BATCH):
        with store.transaction() as tx:
            inbox.insert_new(tx, [inbox.encode_row(row) for row in rows[start : start + BATCH]])


def _imported(count: int) -> Iterator[NewWebhook]:
    source = load({"STRIPE_WEBHOOK_SECRET": SECRET, "PULSORA_SECRET_TOKEN": TOKEN}).sources["stripe"]
    now = datetime.now(UTC)
    bodies = Customer.begin("old", now - timedelta(days=100)).subscribe(PRO).webhooks
    facts = [fact for body in bodies for fact in processors()["stripe"].translate(body, {}).facts]
    state = next(fact for fact in facts if isinstance(fact, SubscriptionState))
    for number in range(count):
        ids = replace(state.ids, customer_id=f"cus_old{number}", subscription_id=f"sub_old{number}")
        one = replace(state, ids=ids, stage=Stage.IMPORTED, reports_baseline=True)
        yield imports.encode(source, one, livemode=True, now=now)


def sales(port: int, pulsora: FakePulsora, tag: str, count: int) -> list[float]:
    """Signs up `count` customers, one after the other; seconds from each one's last webhook to the 202."""
    begun = datetime.now(UTC) + timedelta(seconds=5)
    case = _signup()
    rounds = [
        prepare(case, f"{tag}{number}", begun + timedelta(seconds=number * SALE_SECONDS)) for number in range(count)
    ]
    with ThreadPoolExecutor(max_workers=count) as pool:
        return list(pool.map(lambda one: latency(port, one, pulsora), rounds))


def _signup() -> Case:
    return next(case for case in cases() if case.label == "Stripe, present shapes" and case.fact.name == "signup")


def _await(is_true: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not is_true() and time.monotonic() < until:
        time.sleep(0.1)


def _await_silence(pulsora: FakePulsora) -> None:
    """Waits until the share of the import is used up."""
    _await(lambda: time.monotonic() - pulsora.received[-1].at > QUIET_SECONDS)


def _waiting(store: Store) -> int:
    with store.reading() as tx:
        return int(tx.execute(select(func.count()).where(outbox.c.status == "pending")).scalar_one())


if __name__ == "__main__":
    main(sys.argv[1:])

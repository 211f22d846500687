"""How long the pages of the console take with a long history, compared with a short one (SQLite).

    python tests/benchmarks/bench_console.py [--stored 1000000]

Writes the rows that the webhooks of two years would have left: six webhooks for each revenue event, one event in twelve
a movement of MRR. The short history is as dense: pages of 30 days are compared with 30 days of it, in which each day
has events, so that both draw the same number of bars and links; pages of twelve months with two years of it, in which
each month has. A million webhooks take about 1 GB of disk and a minute to write.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from flask.testing import FlaskClient
from sqlalchemy import insert, text
from table import Row, print_table

from bridge.settings import load
from bridge.store import Store, open_store, outbox, schema, subscriptions
from bridge.store.inbox import InboxStatus
from bridge.store.outbox import DeliveryStatus, NewDelivery
from bridge.store.subscriptions import SubscriptionRow
from bridge.web import create_app
from bridge.worker.summing import Summing

SHORT = 10_000
PER_EVENT = 6
YEARS = timedelta(days=730)
DAYS = timedelta(days=30)
PAGE = 5000
REPEATS = 25
PLANS = {"Starter": Decimal(19), "Pro": Decimal(49), "Team": Decimal(99)}
# Each page, and the time over which the short history that it is compared with is spread.
PAGES = {
    "/admin/": DAYS,
    "/admin/mrr": YEARS,
    "/admin/mrr?range=30d&by=day": DAYS,
    "/admin/revenue": DAYS,
    "/admin/revenue?range=12m": YEARS,
    "/admin/webhooks": DAYS,
    "/admin/deliveries": DAYS,
}


def measure(stored: int) -> list[Row]:
    """The pages of a short history and of a long one."""
    short = {
        page: took for span in (DAYS, YEARS) for page, took in _measure(SHORT, span).items() if PAGES[page] == span
    }
    long = _measure(stored, YEARS)
    return [
        Row(
            name=f"{page}: {count:,} stored",
            rate=1000 / found[page],
            p50=found[page],
            baseline=None if found is short else f"{page}: {SHORT:,} stored",
        )
        for page in PAGES
        for count, found in ((SHORT, short), (stored, long))
    ]


def _measure(stored: int, span: timedelta) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        url = f"sqlite:///{Path(name) / 'bridge.db'}"
        store = open_store(url)
        store.migrate()
        fill(store, stored, datetime.now(UTC), span=span)
        environ = {
            "STRIPE_WEBHOOK_SECRET": "whsec_fake_of_the_benchmark_000000",
            "PULSORA_SECRET_TOKEN": "sec_fake_token",
        }
        settings = load(environ | {"ADMIN_TOKEN": "fake-admin-token-of-this-benchmark", "DATABASE_URL": url})
        client = create_app(settings, store).test_client()
        found = {page: _milliseconds(client, page) for page in PAGES}
        store.close()
    return found


def _milliseconds(client: FlaskClient, page: str) -> float:
    headers = {"Authorization": "Bearer fake-admin-token-of-this-benchmark"}
    times = []
    for _ in range(REPEATS):
        started = time.process_time()
        assert client.get(page, headers=headers).status_code == 200
        times.append((time.process_time() - started) * 1000)
    return min(times)  # what the page costs, undisturbed by other work on the machine; it waits for nothing else


def fill(store: Store, stored: int, now: datetime, seed: int = 1, span: timedelta = YEARS) -> None:
    """Writes the rows of that many webhooks within the span before `now`, and what followed from them."""
    chance = random.Random(seed)
    _fill_inbox(store, stored, now, span)
    history = list(_history(chance, stored // PER_EVENT, now, span))
    for start in range(0, len(history), PAGE):
        with store.transaction() as tx:
            outbox.add(tx, history[start : start + PAGE])
    with store.transaction() as tx:
        tx.execute(text("UPDATE outbox SET delivered_at = created_at, received_at = created_at - 21000000"))
    _fill_subscriptions(store, history)
    Summing(store=store).run(now)  # as a worker does within a minute


def _fill_inbox(store: Store, stored: int, now: datetime, span: timedelta) -> None:
    step = span / stored
    for start in range(0, stored, PAGE):
        rows = [
            {
                "source": "stripe", "account": None, "livemode": True, "event_id": f"evt_{number}",
                "type": "invoice.paid", "created_at": now - step * (stored - number),
                "received_at": now - step * (stored - number), "status": InboxStatus.SETTLED.value,
                "stream_id": f"stripe||live|cus_{number // 60}", "settled_at": now - step * (stored - number),
            }
            for number in range(start, min(start + PAGE, stored))
        ]  # fmt: skip
        with store.transaction() as tx:
            tx.execute(insert(schema.inbox), rows)


def _history(chance: random.Random, events: int, now: datetime, span: timedelta) -> Iterator[NewDelivery]:
    """Starts, renewals, changes, churns, purchases and refunds of a growing number of customers."""
    running: list[tuple[int, str]] = []
    for number in range(events):
        at = now - span * (1 - (number + 1) / events)
        if number % 12 or not running:
            if number % 12 < 2 or not running:
                running.append((number, chance.choice(list(PLANS))))
                yield _event(number, running[-1], at, "subscription", PLANS[running[-1][1]], PLANS[running[-1][1]])
            else:
                whose = chance.choice(running)
                kind = chance.choices(("renewal", "purchase", "refund"), (90, 7, 3))[0]
                amount = PLANS[whose[1]] * (-1 if kind == "refund" else 1)
                yield _event(number, whose, at, kind, amount, None if kind == "purchase" else Decimal())
        else:
            place = chance.randrange(len(running))
            first, plan = running[place]
            wanted = chance.choice([*PLANS, None, None])
            if wanted is None:
                running.pop(place)
                yield _event(number, (first, plan), at, "churn", Decimal(), -PLANS[plan])
                continue
            delta = PLANS[wanted] - PLANS[plan]
            kind = "upgrade" if delta > 0 else "downgrade" if delta < 0 else "renewal"
            running[place] = (first, wanted)
            yield _event(number, running[place], at, kind, max(delta, Decimal()), delta)


def _event(
    number: int, whose: tuple[int, str], at: datetime, kind: str, amount: Decimal, mrr: Decimal | None
) -> NewDelivery:
    customer = f"cus_{whose[0]}"
    metadata = {
        "plan": whose[1],
        "occurred_at": at.isoformat(),
        "attribution": "none" if number % 5 == 0 else "checkout",
    }
    body = {
        "customer_id": customer, "customer_subscription_id": f"sub_{whose[0]}", "transaction_id": f"in_{number}",
        "amount": float(amount), "metadata": metadata,
    }  # fmt: skip
    return NewDelivery(
        stream_id=f"stripe||live|{customer}", scope="stripe||live", source="stripe", livemode=True,
        output_key=f"k{number}", status=DeliveryStatus.DELIVERED, body=json.dumps(body), next_at=at, created_at=at,
        event_type=kind, currency="USD", amount=amount, mrr_impact=mrr, event_ids=(f"evt_{number}",),
    )  # fmt: skip


def _fill_subscriptions(store: Store, history: Sequence[NewDelivery]) -> None:
    rows: dict[str, SubscriptionRow] = {}
    for one in history:
        data = json.loads(one.body)
        key = data["customer_subscription_id"]
        before = rows[key].mrr if key in rows else Decimal()
        rows[key] = SubscriptionRow(
            stream_id=one.stream_id, subscription_id=key, source="stripe", livemode=True, currency="USD",
            plan=data["metadata"]["plan"], mrr=before + (one.mrr_impact or 0), baseline=Decimal(),
            changed_at=one.created_at,
        )  # fmt: skip
    with store.transaction() as tx:
        subscriptions.save(tx, rows.values())


def main(args: Sequence[str]) -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stored", type=int, default=1_000_000)
    print_table(measure(parser.parse_args(args).stored))


if __name__ == "__main__":
    main(sys.argv[1:])

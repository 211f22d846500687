"""Posts customers' webhooks to the real service in any order, and compares what Pulsora receives with the tables."""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import select

from bridge.sandbox.fake_pulsora import FakePulsora
from bridge.store import Store, open_store
from bridge.store.schema import inbox, outbox
from processors import processors
from tests.end_to_end.service import Command, running
from tests.load.customers import CopiedCustomer, Lifecycle, canonical, customer_number, deviations, row_of, source_name
from tests.settings import PADDLE_SECRET, STRIPE_SECRET, TOKEN

POSTERS = 6
SECRETS = {"stripe": STRIPE_SECRET, "paddle": PADDLE_SECRET}
PATIENCE_WINDOWS = 6  # what has no customer waits for four
DELIVERY_SECONDS = 240
MARGIN_SECONDS = 0.5  # between acknowledged and routed


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One webhook to be posted."""

    customer: CopiedCustomer
    body: bytes


@dataclass(slots=True, kw_only=True)
class Result:
    """What was posted and what came out. `spread`: customers whose webhooks did not all arrive within a window."""

    webhooks: int
    customers: int
    events: int = 0
    posted_seconds: float = 0.0
    seconds: float = 0.0
    refused: int = 0
    waiting: list[str] = field(default_factory=list)
    spread: set[int] = field(default_factory=set)
    differences: list[str] = field(default_factory=list)

    def figures(self) -> str:
        """One line."""
        return (
            f"{self.webhooks:,} webhooks of {self.customers:,} customers in {self.posted_seconds:.0f} s, "
            f"{self.events:,} revenue events, {self.refused} refused, {len(self.waiting)} never settled or delivered, "
            f"{len(self.spread)} customers slower than a window and not compared, "
            f"{len(self.differences)} differences, {self.seconds:.0f} s"
        )


def shuffled(customers: Sequence[CopiedCustomer], chance: random.Random, at_once: int) -> list[Post]:
    """Every webhook and a third of them again, in any order; of about `at_once` customers at a time."""
    placed: list[tuple[float, Post]] = []
    for place, customer in enumerate(customers):
        bodies = [*customer.bodies, *(body for body in customer.bodies if chance.random() < 1 / 3)]
        placed += [(place + chance.uniform(0, at_once), Post(customer=customer, body=body)) for body in bodies]
    return [post for _, post in sorted(placed, key=lambda one: one[0])]


def play(
    posts: Sequence[Post], commands: Sequence[Command], folder: Path, database_url: str, window_seconds: float
) -> Result:
    """Posts them, waits until all is settled and delivered, and compares each customer's revenue events."""
    customers = {post.customer.number: post.customer for post in posts}
    result = Result(webhooks=len(posts), customers=len(customers))
    begun = time.monotonic()
    more = _settings(folder, (one.lifecycle for one in customers.values()), window_seconds)
    with (
        FakePulsora(TOKEN) as pulsora,
        running(commands, folder, database_url, pulsora.endpoint, **more) as service,
    ):
        arrivals = _post_all(service.url, posts, result)
        result.spread = {number for number, seconds in arrivals.items() if seconds > window_seconds - MARGIN_SECONDS}
        with _opened(database_url) as store:
            result.waiting = _await_delivered(store, window_seconds)
        received = [request.data for request in pulsora.received if request.data is not None]
    result.events, result.seconds = len(received), time.monotonic() - begun
    rows: dict[int | None, Counter[str]] = defaultdict(Counter)
    for data in received:
        rows[customer_number(data)][row_of(data)] += 1
    result.differences = list(_differences(customers, rows, result.spread))
    return result


# ---- The service ---------------------------------------------------------------------------------------------------


def _settings(folder: Path, lifecycles: Iterable[Lifecycle], window_seconds: float) -> dict[str, str]:
    """A source for each policy. What is complete waits for the window too: webhooks of a year arrive within it."""
    sources = {source_name(lifecycle): lifecycle for lifecycle in lifecycles}
    config = folder / "bridge.toml"
    config.write_text("\n".join(line for name, lifecycle in sources.items() for line in _source(name, lifecycle)))
    return {
        "BRIDGE_CONFIG": str(config), "HOLD_HOURS": "0", "RATE_LIMIT_PER_HOUR": "0",
        "SETTLE_SECONDS": str(window_seconds), "SETTLE_QUIET_SECONDS": str(window_seconds),
    }  # fmt: skip


def _source(name: str, lifecycle: Lifecycle) -> Iterator[str]:
    yield f"[sources.{name}]"
    yield f'processor = "{lifecycle.processor}"'
    yield f'webhook_secret = "{SECRETS[lifecycle.processor]}"'
    yield from (f'{setting} = "{value}"' for setting, value in deviations(lifecycle.policy).items())


# ---- Posting -------------------------------------------------------------------------------------------------------


def _post_all(url: str, posts: Sequence[Post], result: Result) -> Mapping[int, float]:
    """Posts over six connections; returns the seconds in which each customer's webhooks first arrived."""
    left, lock = iter(posts), threading.Lock()
    begun, arrived = dict[int, float](), defaultdict[int, dict[bytes, float]](dict)

    def work() -> None:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        while (post := _next(left, lock)) is not None:
            begun.setdefault(post.customer.number, time.monotonic())
            status = _post(connection, post)
            with lock:
                result.refused += status != 200
                arrived[post.customer.number].setdefault(post.body, time.monotonic())
        connection.close()

    since = time.monotonic()
    threads = [threading.Thread(target=work) for _ in range(POSTERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    result.posted_seconds = time.monotonic() - since
    return {number: max(arrived[number].values()) - first for number, first in begun.items()}


def _next(posts: Iterator[Post], lock: threading.Lock) -> Post | None:
    with lock:
        return next(posts, None)


def _post(connection: http.client.HTTPConnection, post: Post) -> int:
    lifecycle = post.customer.lifecycle
    signed = processors()[lifecycle.processor].sign(post.body, SECRETS[lifecycle.processor], datetime.now(UTC))
    connection.request("POST", f"/webhooks/{source_name(lifecycle)}", signed.body, dict(signed.headers))
    response = connection.getresponse()
    response.read()
    return response.status


# ---- Waiting and comparing -----------------------------------------------------------------------------------------


@contextmanager
def _opened(database_url: str) -> Iterator[Store]:
    store = open_store(database_url)
    try:
        yield store
    finally:
        store.close()


def _await_delivered(store: Store, window_seconds: float) -> list[str]:
    """Waits until nothing waits any more; returns what still does when patience ends."""
    until = time.monotonic() + PATIENCE_WINDOWS * window_seconds + DELIVERY_SECONDS
    while (waiting := list(_waiting(store))) and time.monotonic() < until:
        time.sleep(min(0.1 + len(waiting) / 1000, 5))
    return waiting


def _waiting(store: Store) -> Iterator[str]:
    webhooks = select(inbox.c.event_id, inbox.c.type, inbox.c.status).where(
        inbox.c.status.not_in(["settled", "ignored"])
    )
    deliveries = select(outbox.c.id, outbox.c.body, outbox.c.status).where(outbox.c.status != "delivered")
    with store.reading() as tx:
        yield from (f"webhook {row.event_id} ({row.type}) is {row.status}" for row in tx.execute(webhooks))
        yield from (f"delivery {row.id} is {row.status}: {row.body}" for row in tx.execute(deliveries))


def _differences(
    customers: Mapping[int, CopiedCustomer], rows: Mapping[int | None, Counter[str]], spread: set[int]
) -> Iterator[str]:
    for number in sorted(customers.keys() - spread):
        lifecycle = customers[number].lifecycle
        expected, found = Counter(map(canonical, lifecycle.rows)), rows.get(number, Counter())
        if expected != found:
            yield (
                f"customer {number} ({source_name(lifecycle)}: {lifecycle.title}):"
                f" missing {dict(expected - found)}, unexpected {dict(found - expected)}"
            )
    for unknown in rows.keys() - customers.keys():
        yield f"revenue events of no customer: {dict(rows[unknown])}"

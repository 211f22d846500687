"""From the last webhook of an economic fact to Pulsora's 202: real processes, default settings, SQLite.

python tests/benchmarks/bench_latency.py [--times 10]

Each customer's past is posted first and settled within the usual window, as it is older than a minute. Then each fact's
webhooks are posted one after the other, as far apart as the processor dates them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import quantiles
from typing import Any

import requests
from load import SECRET, TOKEN, running_server

from bridge.sandbox.fake_pulsora import FakePulsora
from processors import processors
from processors.paddle.simulation import customer as paddle
from processors.stripe.simulation import customer as stripe
from processors.stripe.simulation.payloads import Shape

SETTLED_SECONDS = 110  # the window for the past, and some seconds to settle and send
PATIENCE_SECONDS = 120
SECRETS = {"stripe": SECRET, "paddle": "pdl_ntfset_bench_fake_secret"}
DEFAULTS = {"SETTLE_SECONDS": "90", "RATE_LIMIT_PER_HOUR": "2000", "PADDLE_WEBHOOK_SECRET": SECRETS["paddle"]}
Steps = Callable[[Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One economic fact. `past`: what happened so many days before; `steps`: what happens now."""

    name: str
    event_type: str
    steps: Steps
    past: Steps = lambda customer: customer
    days: float = 0


def _renewed(customer: Any) -> Any:
    return customer.renew()


def facts_of(pro: Any, team: Any, price: tuple[int, ...], **billed: Any) -> tuple[Fact, ...]:
    """The measured facts, with a processor's plans and its way to bill a change at once."""

    def subscribe(customer: Any) -> Any:
        return customer.subscribe(pro)

    return (
        Fact(name="signup", event_type="subscription", steps=subscribe),
        Fact(name="purchase", event_type="purchase", steps=lambda one: one.buy(*price)),
        Fact(name="renewal", event_type="renewal", past=subscribe, steps=_renewed),
        Fact(
            name="upgrade", event_type="upgrade", past=subscribe, days=10, steps=lambda one: one.change(team, **billed)
        ),
        Fact(name="refund", event_type="refund", past=subscribe, days=10, steps=lambda one: one.refund(2000)),
        Fact(name="cancellation", event_type="churn", past=subscribe, days=10, steps=lambda one: one.cancel()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A fact of one processor in one shape: how a customer begins, and the body's date."""

    processor: str
    label: str
    fact: Fact
    begin: Callable[[str, datetime], Any]
    date_of: Callable[[Mapping[str, Any]], datetime]


def _stripe_date(body: Mapping[str, Any]) -> datetime:
    return datetime.fromtimestamp(body["created"], UTC)


def _paddle_date(body: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(body["occurred_at"])


def cases() -> Iterator[Case]:
    """Every fact of every processor and shape."""
    for label, shape in (("Stripe, shapes before 2025", Shape.OLD), ("Stripe, present shapes", Shape.CLOVER)):
        for fact in facts_of(stripe.PRO, stripe.TEAM, (2900,), billed=True):
            yield Case(
                processor="stripe", label=label, fact=fact, date_of=_stripe_date,
                begin=lambda tag, at, shape=shape: stripe.Customer.begin(tag, at, shape=shape),
            )  # fmt: skip
    for fact in facts_of(paddle.PRO, paddle.TEAM, (), billed=3300):
        yield Case(
            processor="paddle", label="Paddle", fact=fact, date_of=_paddle_date,
            begin=lambda tag, at: paddle.Customer.begin(tag, at),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """One customer: the webhooks of the past, and those of the fact with their dates."""

    case: Case
    tag: str
    past: Sequence[bytes]
    present: Sequence[tuple[datetime, bytes]]


def prepare(case: Case, tag: str, at: datetime) -> Prepared:
    """A customer for whom the last webhook of the fact is sent at that time."""
    start = at - timedelta(days=case.fact.days)
    dated: list[tuple[datetime, bytes]] = []
    for _ in range(4):  # a month's length depends on when it begins
        before = case.fact.past(case.begin(tag, start)).later(days=case.fact.days)
        dated = [(case.date_of(json.loads(body)), body) for body in case.fact.steps(before).webhooks]
        start -= dated[-1][0] - at
    present = [(date, body) for date, body in dated if date >= at - timedelta(seconds=30)]
    return Prepared(case=case, tag=tag, past=[body for date, body in dated[: -len(present)]], present=present)


def post(session: requests.Session, port: int, case: Case, body: bytes) -> None:
    """Posts one webhook."""
    signed = processors()[case.processor].sign(body, SECRETS[case.processor], datetime.now(UTC))
    url = f"http://127.0.0.1:{port}/webhooks/{case.processor}"
    session.post(url, data=signed.body, headers=dict(signed.headers), timeout=30).raise_for_status()


def latency(port: int, one: Prepared, pulsora: FakePulsora) -> float:
    """Posts the fact's webhooks at their dates; seconds from the last of them to the revenue event's 202."""
    with requests.Session() as session:
        for date, body in one.present:
            time.sleep(max(0.0, (date - datetime.now(UTC)).total_seconds()))
            post(session, port, one.case, body)
    sent = time.monotonic()
    while time.monotonic() < sent + PATIENCE_SECONDS:
        for found in pulsora.received:
            if found.status == 202 and found.data and _is_of(found.data, one):
                return found.at - sent
        time.sleep(0.2)
    return float("inf")


def _is_of(event: Mapping[str, Any], one: Prepared) -> bool:
    return event["event_type"] == one.case.fact.event_type and str(event["customer_id"]).endswith(f"_{one.tag}")


def measure(times: int) -> list[tuple[Case, list[float]]]:
    """Runs all cases against one server."""
    with tempfile.TemporaryDirectory() as name, FakePulsora(TOKEN) as pulsora:
        folder, environ = Path(name), {**DEFAULTS, "PULSORA_ENDPOINT": pulsora.endpoint}
        with running_server(("bridge.cli", "serve"), folder, **environ) as port:
            begun = datetime.now(UTC) + timedelta(seconds=SETTLED_SECONDS)
            rounds = [
                prepare(case, f"{number}x{index}", begun + timedelta(seconds=number * 6 + index * 0.3))
                for number in range(times)
                for index, case in enumerate(cases())
            ]
            with requests.Session() as session:
                for one in rounds:
                    for body in one.past:
                        post(session, port, one.case, body)
            with ThreadPoolExecutor(max_workers=len(rounds)) as pool:
                seconds = list(pool.map(lambda one: latency(port, one, pulsora), rounds))
    found: dict[tuple[str, str], tuple[Case, list[float]]] = {}
    for one, took in zip(rounds, seconds, strict=True):
        found.setdefault((one.case.label, one.case.fact.name), (one.case, []))[1].append(took)
    return list(found.values())


def print_results(results: Sequence[tuple[Case, list[float]]]) -> None:
    """Prints the results as a Markdown table."""
    lines = ["| processor | fact | p50 s | p95 s | worst s |", "|---|---|---:|---:|---:|"]
    for case, seconds in results:
        p50, p95 = (quantiles(seconds, n=100, method="inclusive")[share - 1] for share in (50, 95))
        lines.append(f"| {case.label} | {case.fact.name} | {p50:.2f} | {p95:.2f} | {max(seconds):.2f} |")
    sys.stdout.write("\n".join(lines) + "\n")


def main(args: Sequence[str]) -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=10)
    print_results(measure(parser.parse_args(args).times))


if __name__ == "__main__":
    main(sys.argv[1:])

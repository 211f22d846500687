"""Copies of the lifecycles of the tables: each a customer of its own, whose ids no other customer shares."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

from bridge.ledger import Policy, RevenueEvent
from bridge.ledger.events import EventType
from tests.lifecycles import harness, paddle_lifecycles, stripe_lifecycles

# The lifecycles begin in 2026 and may go on until 2027; one year earlier has the same months, and is past.
EARLIER = timedelta(days=365)
UNIX_TIMES = range(1_700_000_000, 1_900_000_000)
ISO_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T[\d:.]+Z")
REFERENCE = re.compile(
    r"(evt|cus|sub|in|pi|ch|re|dp|cs|price|prod|si|di|il|inpay|pr|cn|seti|mtr|txr|us|ctm|pro|pri|txn|txnitm|adj|adjitm"
    r"|add|ntf|dsc|inv|attempt)_\w+"
)
SUFFIX = re.compile(r"Zq\d+q")  # of every id of a copy
NUMBER_WORDS = (1, 2)  # of a row: amount and MRR movement


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """One lifecycle of the tables, and the revenue events that it yields when all webhooks settle in one window."""

    title: str
    processor: str
    policy: Policy
    webhooks: Callable[[], tuple[bytes, ...]]
    rows: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedCustomer:
    """A copy of a lifecycle. `bodies`: its webhooks in the order of the table."""

    number: int
    lifecycle: Lifecycle
    bodies: tuple[bytes, ...]


def lifecycles() -> Sequence[Lifecycle]:
    """Every lifecycle of the tables, in each shape, that needs no API."""
    return [*_stripe(), *_paddle()]


def copies(count: int, seed: int, every: Sequence[Lifecycle]) -> list[CopiedCustomer]:
    """`count` customers: all these lifecycles equally often, the rest at random."""
    chance, chosen = random.Random(seed), list[Lifecycle]()
    while len(chosen) < count:
        chosen += chance.sample(every, min(len(every), count - len(chosen)))
    return [
        CopiedCustomer(number=number, lifecycle=lifecycle, bodies=_copied(lifecycle, number))
        for number, lifecycle in enumerate(chosen)
    ]


def customer_number(data: Mapping[str, Any]) -> int | None:
    """The copy that a revenue event belongs to."""
    found = SUFFIX.search(json.dumps(data))
    return int(found[0][2:-1]) if found else None


def row_of(data: Mapping[str, Any]) -> str:
    """A revenue event that Pulsora received as a row of the tables."""
    event = RevenueEvent(
        output_key="", event_type=EventType(data["event_type"]), amount=Decimal(str(data["amount"])),
        currency=data["currency"], transaction_id="", customer_id="", visitor_fingerprint="", session_id="",
        payment_processor="", is_recurring=False, occurred_at=datetime.now(UTC),
        mrr_impact=None if data.get("mrr_impact") is None else Decimal(str(data["mrr_impact"])),
        metadata=data["metadata"], is_attributed=data["metadata"]["attribution"] != "none",
    )  # fmt: skip
    (row,) = harness.rows([event])
    return canonical(SUFFIX.sub("", row))


def canonical(row: str) -> str:
    """The row with numbers without trailing zeros."""
    words = row.split()
    for place in NUMBER_WORDS:
        words[place] = words[place] if words[place] == "-" else f"{Decimal(words[place]).normalize():f}"
    return " ".join(words)


def source_name(lifecycle: Lifecycle) -> str:
    """The source whose settings are the lifecycle's policy."""
    own = [str(value).replace("_", "") for value in deviations(lifecycle.policy).values()]
    return "-".join([lifecycle.processor, *(own or ["default"])])


@cache
def deviations(policy: Policy) -> Mapping[str, object]:
    """The rules of a policy that are not the defaults, as settings in lower case."""
    default = Policy(source=policy.source, payment_processor=policy.payment_processor)
    values = {one.name: getattr(policy, one.name) for one in fields(Policy)}
    return {name: str(value) for name, value in values.items() if value != getattr(default, name)}


# ---- The tables ----------------------------------------------------------------------------------------------------


def _stripe() -> Iterator[Lifecycle]:
    for one in stripe_lifecycles.LIFECYCLES:
        for shape in () if one.api_catalog else one.shapes:
            yield Lifecycle(
                title=f"{one.title}-{shape.name}", processor="stripe", policy=one.policy, rows=one.rows,
                webhooks=lambda one=one, shape=shape: one.webhooks(shape),  # type: ignore[misc]
            )  # fmt: skip


def _paddle() -> Iterator[Lifecycle]:
    for one in paddle_lifecycles.LIFECYCLES:
        if not one.options:
            yield Lifecycle(
                title=f"paddle: {one.title}", processor="paddle", policy=one.policy, rows=one.rows,
                webhooks=one.webhooks,
            )  # fmt: skip


# ---- Copying -------------------------------------------------------------------------------------------------------


def _copied(lifecycle: Lifecycle, number: int) -> tuple[bytes, ...]:
    parsed = _parsed(lifecycle)
    ids = frozenset(one for body in parsed for one in _ids(body))
    return tuple(json.dumps(_renamed(body, ids, f"Zq{number}q")).encode() for body in parsed)


@cache
def _parsed(lifecycle: Lifecycle) -> tuple[Any, ...]:
    return tuple(json.loads(body) for body in lifecycle.webhooks())


def _ids(value: Any) -> Iterator[str]:
    """The values of all `id` fields."""
    if isinstance(value, list):
        for one in value:
            yield from _ids(one)
    if isinstance(value, dict):
        if isinstance(found := value.get("id"), str):
            yield found
        for one in value.values():
            yield from _ids(one)


def _renamed(value: Any, ids: frozenset[str], suffix: str) -> Any:
    """The value with every id made its own, and every time a year earlier."""
    if isinstance(value, dict):
        return {name: _renamed(one, ids, suffix) for name, one in value.items()}
    if isinstance(value, list):
        return [_renamed(one, ids, suffix) for one in value]
    if isinstance(value, str):
        return _renamed_text(value, ids, suffix)
    if isinstance(value, int) and value in UNIX_TIMES:
        return value - int(EARLIER.total_seconds())
    return value


def _renamed_text(value: str, ids: frozenset[str], suffix: str) -> str:
    if value in ids or REFERENCE.fullmatch(value):
        return value + suffix
    if ISO_TIME.fullmatch(value):
        at = datetime.fromisoformat(value) - EARLIER
        return at.isoformat().replace("+00:00", "Z")
    return value

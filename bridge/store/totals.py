"""What revenue events add up to, for those who look: told to Pulsora, still on the way there, and never to be told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from bridge.store.outbox import DeliveryStatus, Sum

ON_ITS_WAY = (DeliveryStatus.HELD, DeliveryStatus.PENDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """What one source's revenue events of one mode and currency add up to, in major units, exact."""

    source: str
    mode: str
    currency: str
    revenue_told: Decimal = Decimal(0)
    mrr_told: Decimal = Decimal(0)
    revenue_to_come: Decimal = Decimal(0)
    mrr_to_come: Decimal = Decimal(0)
    revenue_not_told: Decimal = Decimal(0)
    mrr_not_told: Decimal = Decimal(0)


def totals(sums: Iterable[Sum]) -> list[Total]:
    """Revenue and MRR by source, mode and currency."""
    found: dict[tuple[str, str, str], dict[str, Decimal]] = {}
    for one in sums:
        key = (one.source, "live" if one.livemode else "test", one.currency)
        own, fate = found.setdefault(key, {}), _fate(one.status)
        own[f"revenue_{fate}"] = own.get(f"revenue_{fate}", Decimal(0)) + one.amount
        own[f"mrr_{fate}"] = own.get(f"mrr_{fate}", Decimal(0)) + one.mrr_impact
    return [
        Total(source=source, mode=mode, currency=currency, **own)
        for (source, mode, currency), own in sorted(found.items())
    ]


def _fate(state: DeliveryStatus) -> str:
    if state is DeliveryStatus.DELIVERED:
        return "told"
    return "to_come" if state in ON_ITS_WAY else "not_told"

"""The metrics for OpenTelemetry: those of `/metrics`, exported by one worker at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from bridge.alerts.causes import counts
from bridge.alerts.monitor import read_found
from bridge.errors import BridgeError
from bridge.monitoring.prometheus import StoreCollector
from bridge.settings import Settings
from bridge.store import Store, leases
from bridge.telemetry import Samples

log = structlog.get_logger()

LEASE_NAME = "metrics"
LEASE = timedelta(minutes=3)  # longer than the time between two exports


@dataclass(frozen=True, slots=True, kw_only=True)
class Measuring:
    """Reads the gauges of the store. Several workers would export the same ones several times, hence the lease."""

    store: Store
    settings: Settings
    owner: str

    def read(self) -> Mapping[str, Samples]:
        """Labels and value of each sample, by metric; empty while another worker exports them."""
        now = datetime.now(UTC)
        try:
            with self.store.transaction() as tx:
                if not leases.acquire(tx, LEASE_NAME, self.owner, now, now + LEASE):
                    return {}
            alerts = counts(read_found(self.store, self.settings, now))
            families = list(StoreCollector(self.store, now, alerts).collect())
        except BridgeError as error:
            log.warning("not_measured", reason=str(error))
            return {}
        found: dict[str, list[tuple[Mapping[str, str], float]]] = {}
        for sample in (sample for family in families for sample in family.samples):
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
        return found

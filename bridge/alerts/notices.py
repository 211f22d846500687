"""The alerts, and what `reconcile` has found, as notices for the first page, `status` and `check`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from urllib.parse import parse_qsl

from sqlalchemy import Connection

from bridge.alerts.causes import EXPLAINED, Cause, Found, current
from bridge.alerts.reading import observe
from bridge.formatting import quantity, relative, timestamp
from bridge.monitoring.health import Grade, Notice
from bridge.settings import Settings
from bridge.store import reconciliations
from bridge.store.reconciliations import Run

# The health of receiving, settling and sending has notices of all other causes.
OWN = (Cause.DISK, Cause.SILENT, Cause.ENDPOINT, Cause.RECONCILE, Cause.VISITS, Cause.AUDIT)
FETCHED_WITHIN = timedelta(hours=24)
LOST_WITHIN = timedelta(days=7)


def read_notices(tx: Connection, settings: Settings, now: datetime) -> list[Notice]:
    """Everything that the health of the stages does not contain, the most urgent first."""
    found = [one for one in current(observe(tx, settings, now)) if one.cause in OWN]
    runs = reconciliations.since(tx, now - LOST_WITHIN)
    notices = [*map(_notice, found), *_fetched(runs, now), *_lost(runs)]
    return sorted(notices, key=lambda one: one.grade is not Grade.PROBLEM)


def _notice(found: Found) -> Notice:
    about = EXPLAINED[found.cause]
    page, _, query = about.page.partition("?")
    return Notice(
        grade=Grade.PROBLEM if about.is_critical else Grade.WARNING,
        text=f"{about.title}. {found.text} {about.cure}",
        page=page or None,
        query=dict(parse_qsl(query)),
    )


def _fetched(runs: Iterable[Run], now: datetime) -> Iterator[Notice]:
    """Webhooks that had not arrived, by source: how many in the last 24 hours."""
    by_source: dict[str, list[Run]] = {}
    for run in runs:
        if run.stored and now - run.at <= FETCHED_WITHIN:
            by_source.setdefault(run.source, []).append(run)
    for source, found in sorted(by_source.items()):
        count, last = sum(run.stored for run in found), found[0]
        text = f"{quantity(count, 'webhook')} of {source} that never arrived {'was' if count == 1 else 'were'} fetched"
        yield Notice(
            grade=Grade.WARNING,
            text=f"{text} from the processor's list, the last {relative(last.at, now)} ({last.reason}).",
            page="sources",
        )


def _lost(runs: Iterable[Run]) -> Iterator[Notice]:
    for run in runs:
        if run.lost_since is not None:
            span = f"from {timestamp(run.lost_since)} to {timestamp(run.since)} UTC"
            text = f"Webhooks of {run.source} {span} that did not arrive cannot be fetched: the processor deleted them."
            yield Notice(grade=Grade.WARNING, text=text, page="sources")

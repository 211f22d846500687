"""Keeps the result of an audit in the database, for the console, the alerts and `audit --last`."""

from __future__ import annotations

from datetime import date, datetime

from bridge.audit.records import Report
from bridge.store import Store, audits
from bridge.store.audits import AuditResult, AuditRow


def keep(store: Store, report: Report) -> int:
    """Stores a report. Returns its id."""
    result = AuditResult(
        source=report.source,
        livemode=report.livemode,
        at=report.at,
        first=report.first,
        last=report.last,
        against=report.against,
        time_zone=report.time_zone,
        compared=report.compared,
        differing=report.differing,
        unexplained=report.unexplained,
        counts={cause.value: count for cause, count in report.counts.items()},
        days=[
            (
                one.measure.value,
                None if one.day is None else one.day.isoformat(),
                one.currency,
                f"{one.ours}",
                f"{one.theirs}",
            )
            for one in report.days
        ],
    )
    rows = [
        AuditRow(
            measure=one.measure.value, day=one.day, currency=one.currency, key=one.key, ours=one.ours,
            theirs=one.theirs, cause=one.cause.value, detail=one.detail,
        )
        for one in report.differences
    ]  # fmt: skip
    with store.transaction() as tx:
        return audits.add(tx, result, rows)


def keep_failure(store: Store, source: str, first: date, last: date, at: datetime, error: str) -> None:
    """Stores that an audit on schedule could not be done, and why."""
    result = AuditResult(
        source=source, livemode=True, at=at, first=first, last=last, against="api", time_zone="UTC", compared=0,
        differing=0, unexplained=0, counts={}, days=[], error=error,
    )  # fmt: skip
    with store.transaction() as tx:
        audits.add(tx, result, [])

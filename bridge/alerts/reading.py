"""Reads from the store what the causes of alerts depend on: indexes over rows that wait, failed, or are few."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection

from bridge.alerts.causes import RECENT, Observed, SourceSeen
from bridge.formatting import quantity
from bridge.monitoring.disk import free_bytes
from bridge.monitoring.heartbeat import is_worker_alive, latest_heartbeat
from bridge.monitoring.silence import read_silence
from bridge.sender.destinations import Destination
from bridge.settings import Settings, Source
from bridge.store import arrivals, audits, inbox, pauses, queues, rate_limit, reconciliations, refusals, rejected_visits
from bridge.store.refusals import RefusalSum, hour_of

LONG_AGO = datetime.min.replace(tzinfo=UTC)
NEARLY_USED = 0.9  # of the hourly limit: what waits then waits for the limit


def observe(tx: Connection, settings: Settings, now: datetime, worker_gone_since: datetime = LONG_AGO) -> Observed:
    """The state of the bridge.

    `worker_gone_since`: if no worker has left a heartbeat. A caller that has watched for one knows since when.
    """
    waiting, heartbeat_at = queues.read(tx, now), latest_heartbeat(tx)
    refused = refusals.since(tx, now - RECENT)
    refused_now = refusals.since(tx, now)
    unrouted_at = inbox.routed_until(tx, now)
    gone = None if is_worker_alive(heartbeat_at, now) else heartbeat_at or worker_gone_since
    return Observed(
        now=now,
        sources=[_source(tx, one, refused, refused_now, now) for one in settings.sources.values()],
        worker_gone_since=gone,
        worker_seen_at=heartbeat_at,
        free_bytes=free_bytes(settings.database_url),
        pauses=pauses.active(tx, now),
        unrouted_since=unrouted_at if unrouted_at < now else None,
        due_since=waiting.due_since,
        ready_since=waiting.ready_since,
        is_limited=_is_limited(tx, settings, now),
        failed_webhooks=waiting.failed_webhooks,
        failed_deliveries=waiting.failed_deliveries,
        rejected_visits=rejected_visits.listed(tx),
        conflicts=inbox.conflict_count(tx),
        audit_differences={
            name: f"{quantity(one.unexplained, 'row')} of {one.compared:,}, {one.first} to {one.last}."
            for name, one in audits.latest_audit_difference(tx, list(settings.sources)).items()
        },
    )


def _source(
    tx: Connection, source: Source, refused: Sequence[RefusalSum], refused_now: Sequence[RefusalSum], now: datetime
) -> SourceSeen:
    accepted = arrivals.of_source(tx, source.name, hour_of(now))
    run = reconciliations.latest(tx, source.name) if source.api_key else None
    complete = reconciliations.latest_complete(tx, source.name) if run and run.error else None
    return SourceSeen(
        name=source.name,
        silence=read_silence(tx, source.name, source.silence_hours, now),
        refused=[one for one in refused if one.source == source.name],
        refused_now=sum(one.count for one in refused_now if one.source == source.name),
        accepted_now=sum(one.count for one in accepted),
        run=run,
        failing_since=(complete.at if complete else run.since) if run and run.error else None,
    )


def _is_limited(tx: Connection, settings: Settings, now: datetime) -> bool:
    limit = settings.rate_limit_per_hour
    origins = {Destination(endpoint=one.endpoint, token=one.token).origin for one in settings.sources.values()}
    return limit > 0 and any(rate_limit.used(tx, origin, now) >= limit * NEARLY_USED for origin in origins)

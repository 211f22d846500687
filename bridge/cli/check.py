"""`check`: settings, database, endpoint, clock and worker, each with its state and the remedy for a problem."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from bridge.alerts.causes import MIN_FREE_BYTES
from bridge.cli.alerts import check_alerts
from bridge.cli.connectivity import check_endpoints, check_processors, check_web
from bridge.cli.environment import dotenv_path, load_settings
from bridge.cli.output import Finding, Grade, fields_of, json_option, ok, print_findings, print_json, problem, warning
from bridge.errors import BridgeError, SettingsError
from bridge.formatting import duration, quantity, sentence, timestamp
from bridge.ledger.policy import Unattributed
from bridge.monitoring.health import Grade as HealthGrade
from bridge.monitoring.health import pause_advice, read_health
from bridge.monitoring.heartbeat import is_worker_alive, latest_heartbeat
from bridge.sender import amount_rules
from bridge.sender.destinations import Destination
from bridge.server.installation import import_conflicts
from bridge.settings import Settings, Source
from bridge.store import Store, inbox, interventions, open_store, outbox, pauses, rejected_visits
from bridge.store.inbox import InboxStatus
from bridge.store.outbox import DeliveryStatus
from processors import processors

MIN_TOKEN_LENGTH = 16
RECENT = timedelta(days=7)  # rejected visits before that were probably corrected since


@click.command()
@json_option
def check(as_json: bool) -> None:
    """Check settings, database, worker, API keys, endpoints and clock, and say how to fix problems.

    Changes nothing and sends no revenue: Pulsora only gets an OPTIONS request without the token.
    Exit status 0: no problem, possibly warnings; 1: a problem; 2: invalid settings.
    """
    try:
        settings = load_settings()
    except SettingsError as error:
        report([_invalid(message) for message in error.problems], as_json)
        raise click.exceptions.Exit(2) from error
    findings = findings_of(settings)
    report(findings, as_json)
    if any(one.grade is Grade.PROBLEM for one in findings):
        raise click.exceptions.Exit(1)


def findings_of(settings: Settings) -> list[Finding]:
    """Everything that is looked at, in the order of the report."""
    return [
        *_settings(settings),
        *_files(),
        *_installation(),
        *_database(settings),
        *check_processors(settings),
        *check_web(settings),
        *check_endpoints(settings),
    ]


def report(findings: Iterable[Finding], as_json: bool) -> None:
    """Prints findings, as a table or as JSON."""
    listed = list(findings)
    if as_json:
        print_json([fields_of(one) for one in listed])
        return
    print_findings("Check", listed)


# ---- Settings --------------------------------------------------------------------------------------------------


def _invalid(message: str) -> Finding:
    name, _, text = message.partition(": ")
    return problem(name, text) if text else problem("settings", message)


def _settings(settings: Settings) -> Iterator[Finding]:
    places = [
        "the environment",
        *([str(dotenv_path().absolute())] if dotenv_path().is_file() else []),
        *([config] if (config := os.environ.get("BRIDGE_CONFIG")) else []),
    ]
    yield ok("settings", f"read from {', '.join(places)}")
    for misspelled in settings.warnings:
        name, _, text = misspelled.partition(" ")
        yield warning(name, text)
    for source in settings.sources.values():
        yield _source(source)
        yield from _policy(source)
    used = {source.processor for source in settings.sources.values()}
    unused = [f"{one.title} ({one.secret.name})" for name, one in processors().items() if name not in used]
    if unused:
        yield ok("not configured", ", ".join(unused))
    yield _admin_token(settings.admin_token)


def _admin_token(token: str | None) -> Finding:
    if token is None:
        return warning("admin token", "not set: /admin and POST /attributions are disabled. Set ADMIN_TOKEN")
    if len(token) < MIN_TOKEN_LENGTH:
        return warning("admin token", f"shorter than {MIN_TOKEN_LENGTH} characters: choose a longer ADMIN_TOKEN")
    return ok("admin token", "set")


def _source(source: Source) -> Finding:
    processor = processors()[source.processor]
    key = "API key set" if source.api_key else "no API key: values missing from webhooks are estimated and marked"
    token = "Pulsora token set" if source.token else "no Pulsora token"
    parts = [f"webhooks at /webhooks/{source.name}", quantity(len(source.secrets), "webhook secret"), token]
    parts += [key] if processor.api_key is not None else []
    return ok(f"source {source.name}", "; ".join(parts))


def _policy(source: Source) -> Iterator[Finding]:
    """Valid settings that withhold revenue from Pulsora or add to it."""
    about = f"source {source.name}"
    if source.dry_run:
        yield warning(about, "DRY_RUN: webhooks are processed, nothing is sent to Pulsora")
    if source.forward_test_events:
        yield warning(about, "FORWARD_TEST_EVENTS: test-mode revenue is sent to Pulsora as if it were real")
    if source.policy.unattributed is Unattributed.DROP:
        yield warning(
            about, "UNATTRIBUTED=drop: revenue without attribution is never sent, so Pulsora's totals are too low"
        )


def _files() -> Iterator[Finding]:
    """Whether others on this machine can read the settings."""
    for path in [dotenv_path(), *([Path(config)] if (config := os.environ.get("BRIDGE_CONFIG")) else [])]:
        if path.is_file() and (finding := _readable_by_others(str(path), path)):
            yield finding


def _readable_by_others(about: str, path: Path) -> Finding | None:
    mode = path.stat().st_mode
    if not mode & (stat.S_IRGRP | stat.S_IROTH):
        return None
    return warning(about, f"others on this machine can read it (mode {mode & 0o777:04o}). Run: chmod 600 {path}")


# ---- Installation ----------------------------------------------------------------------------------------------


def _installation() -> Iterator[Finding]:
    for conflict in import_conflicts():
        yield problem("installation", f"{conflict}. Install the bridge into a separate virtual environment")


# ---- Database --------------------------------------------------------------------------------------------------


def _database(settings: Settings) -> Iterator[Finding]:
    missing = _missing_file(settings.database_url)
    if missing is not None:
        yield missing
        return
    store = open_store(settings.database_url)
    try:
        described = store.describe()
        yield ok("database", _description(described))
        yield from _disk(described)
        if mismatch := store.schema_mismatch():
            yield problem("schema", mismatch)
            return
        yield ok("schema", "matches this version")
        yield from _traffic(store, settings)
        yield from _rejected_visits(store)
        yield from check_alerts(store, settings)
    except BridgeError as error:
        yield problem("database", f"{error}. Check DATABASE_URL and the database's permissions")
    finally:
        store.close()


def _missing_file(url: str) -> Finding | None:
    """A finding about an SQLite file that does not exist yet; None if it does or for PostgreSQL."""
    path = Path(url.removeprefix("sqlite:///").partition("?")[0])
    if not url.startswith("sqlite:///") or path.exists():
        return None
    folder = path.absolute().parent
    nearest = next(one for one in (folder, *folder.parents) if one.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        return problem("database", f"{folder} cannot be written. Change its owner, or DATABASE_URL")
    return warning("database", f"{path.absolute()} does not exist yet. serve and migrate create it")


def _description(described: Mapping[str, object]) -> str:
    """Kind and version, location, size and durability."""
    size = int(str(described.get("bytes", 0))) / 2**20
    text = f"{described.get('dialect')} {described.get('version')}, {described.get('path')}, {size:.1f} MiB"
    if "journal_mode" not in described:
        return f"{text}, synchronous_commit {described.get('synchronous_commit')}"
    bug = ", which avoids its WAL-reset bug" if described.get("has_wal_reset_bug") else ""
    return f"{text}, journal mode {described['journal_mode']}; all writes share one lock{bug}"


def _disk(described: Mapping[str, object]) -> Iterator[Finding]:
    if described.get("dialect") != "sqlite":
        return
    path = Path(str(described["path"]))
    if found := _readable_by_others("database", path):
        yield found
    free = shutil.disk_usage(path.parent).free
    if free < MIN_FREE_BYTES:
        yield problem("disk", f"{free // 2**20} MiB free for the database. When it is full, webhooks get a 503")
    else:
        yield ok("disk", f"{free / 2**30:.1f} GiB free for the database")


def _traffic(store: Store, settings: Settings) -> Iterator[Finding]:
    """Whether a worker runs, and whether revenue events get through."""
    now = datetime.now(UTC)
    with store.reading() as tx:
        heartbeat_at = latest_heartbeat(tx)
        paused = {one.destination: one for one in pauses.active(tx, now)}
        failed = sum(count for (_, status), count in outbox.counts(tx).items() if status is DeliveryStatus.FAILED)
        cures = {setting: interventions.failed_with(tx, setting) for setting in amount_rules.SETTINGS}
        unreadable = sum(count for (_, status), count in inbox.counts(tx).items() if status is InboxStatus.FAILED)
        receiving = read_health(tx, now).stages[0]
    yield _worker(heartbeat_at, now)
    if receiving.last_at is not None or receiving.grade is HealthGrade.PROBLEM:  # else none was expected yet
        yield from (Finding(about="webhooks", grade=Grade(one.grade), text=one.text) for one in receiving.notices)
    for source in settings.sources.values():
        pause = paused.get(Destination(endpoint=source.endpoint, token=source.token).id)
        if pause is not None:
            text = f"sending is paused until {timestamp(pause.until)} UTC: {sentence(pause.reason)}"
            yield problem(f"source {source.name}", f"{text} {pause_advice(pause)}")
    if failed:
        command = "pulsora-bridge deliveries list --status failed"
        yield warning("deliveries", f"{quantity(failed, 'revenue event')} failed. Review: {command}")
    for setting, count in cures.items():
        if count:
            text = f"{quantity(count, 'revenue event')} rejected because of the amount: {amount_rules.advice(setting)}"
            yield problem("deliveries", text)
    if unreadable:
        command = "pulsora-bridge webhooks list --status failed"
        yield warning("webhooks", f"{quantity(unreadable, 'webhook')} failed. Review: {command}")


def _rejected_visits(store: Store) -> Iterator[Finding]:
    """Checkouts that recently carried a placeholder instead of an id of the visit."""
    since = datetime.now(UTC) - RECENT
    with store.reading() as tx:
        recent = [one for one in rejected_visits.listed(tx) if one.last_at >= since]
    for one in recent:
        yield warning(
            f"source {one.source}",
            f"{one.cause}: {quantity(one.count, 'webhook')} so far without a visit, the latest {one.event_id}. "
            "The checkout is created before the visit is known: see docs/attribution.md",
        )


def _worker(heartbeat_at: datetime | None, now: datetime) -> Finding:
    if heartbeat_at is None:
        return problem("worker", "none is running. Start one: pulsora-bridge serve (or worker)")
    age = duration(now - heartbeat_at)
    if not is_worker_alive(heartbeat_at, now):
        return problem("worker", f"last heartbeat {age} ago. Start one: pulsora-bridge serve (or worker)")
    return ok("worker", f"last heartbeat {age} ago")

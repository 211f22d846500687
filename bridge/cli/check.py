"""Checking: settings, database, endpoint, clock and worker, each with how it stands and how to mend it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import click

from bridge.cli.findings import Finding, Grade, ok, problem, warning
from bridge.cli.output import DOTENV, as_json, clock, counted, plain, settings, show, tell
from bridge.cli.connectivity import endpoints
from bridge.errors import BridgeError, SettingsError
from bridge.ledger.events import Unattributed
from bridge.sender.destinations import Destination
from bridge.settings import Settings, Source
from bridge.span import span
from bridge.store import Store, inbox, leases, open_store, outbox, pauses
from bridge.store.inbox import InboxStatus
from bridge.store.outbox import DeliveryStatus
from processors import processors

SILENT_SECONDS = 60
LITTLE_DISK = 500 * 1024 * 1024
SHORT_TOKEN = 16


@click.command()
@as_json
def check(as_json: bool) -> None:
    """Look over settings, database, endpoint, clock and worker, and say how to mend what is wrong.

    Nothing is changed, and no revenue is sent: the endpoint is only asked OPTIONS, without the token.
    Exit status 0: no problem, though maybe warnings; 1: a problem; 2: the settings cannot be used.
    """
    try:
        found = settings()
    except SettingsError as error:
        _report([_unusable(told) for told in error.problems], as_json)
        raise click.exceptions.Exit(2) from error
    findings = [*_settings(found), *_database(found), *endpoints(found)]
    _report(findings, as_json)
    if any(one.grade is Grade.PROBLEM for one in findings):
        raise click.exceptions.Exit(1)


def _report(findings: Iterable[Finding], as_json: bool) -> None:
    listed = list(findings)
    if as_json:
        tell([plain(one) for one in listed])
        return
    rows = [(one.grade, one.about, one.text) for one in listed]
    show("Check", ("", "what", "how it stands"), rows, whole=("", "what"))


# ---- Settings --------------------------------------------------------------------------------------------------


def _unusable(told: str) -> Finding:
    name, _, text = told.partition(": ")
    return problem(name, text) if text else problem("settings", told)


def _settings(found: Settings) -> Iterator[Finding]:
    where = f"the environment and {DOTENV.absolute()}" if DOTENV.is_file() else "the environment"
    yield ok("settings", f"read from {where}" + (f", {os.environ['BRIDGE_CONFIG']}" if _config() else ""))
    for doubt in found.doubts:
        name, _, text = doubt.partition(" ")
        yield warning(name, text)
    for source in found.sources.values():
        yield _source(source)
        yield from _policy(source)
    used = {source.processor for source in found.sources.values()}
    absent = [f"{one.title} ({one.secret.name})" for name, one in processors().items() if name not in used]
    if absent:
        yield ok("not set up", ", ".join(absent))
    if found.admin_token is None:
        yield warning("admin token", "not set: /admin and POST /attributions are closed. ADMIN_TOKEN opens them")
    elif len(found.admin_token) < SHORT_TOKEN:
        yield warning("admin token", f"shorter than {SHORT_TOKEN} characters: choose a longer ADMIN_TOKEN")
    else:
        yield ok("admin token", "set")


def _config() -> bool:
    return bool(os.environ.get("BRIDGE_CONFIG"))


def _source(source: Source) -> Finding:
    count = len(source.secrets)
    secrets = f"{count} secret{'s' if count > 1 else ''}"
    key = "an API key" if source.api_key else "no API key: what webhooks leave out is estimated, and marked"
    token = "a secret Pulsora token" if source.token else "no Pulsora token"
    return ok(f"source {source.name}", f"webhooks at /webhooks/{source.name}; {secrets}; {token}; {key}")


def _policy(source: Source) -> Iterator[Finding]:
    """Settings that are right, and yet keep revenue from Pulsora or add to it."""
    about = f"source {source.name}"
    if source.dry_run:
        yield warning(about, "DRY_RUN: everything is settled, and nothing is sent to Pulsora")
    if source.forward_test_events:
        yield warning(about, "FORWARD_TEST_EVENTS: money of test mode is told to Pulsora as if it were real")
    if source.policy.unattributed is Unattributed.DROP:
        yield warning(
            about, "UNATTRIBUTED=drop: revenue of an unknown visit is never told, so Pulsora's totals are low"
        )


# ---- Database --------------------------------------------------------------------------------------------------


def _database(found: Settings) -> Iterator[Finding]:
    absent = _not_there_yet(found.database_url)
    if absent is not None:
        yield absent
        return
    store = open_store(found.database_url)
    try:
        described = store.describe()
        yield ok("database", _told(described))
        yield from _disk(described)
        if not store.schema_fits():
            yield problem("schema", "does not fit this program. Run: pulsora-bridge migrate")
            return
        yield ok("schema", "is this program's")
        yield from _traffic(store, found)
    except BridgeError as error:
        yield problem("database", f"{error}. Check DATABASE_URL, and whether the database may be reached and written")
    finally:
        store.close()


def _not_there_yet(url: str) -> Finding | None:
    """An SQLite file that was not made yet, and whether it can be."""
    path = Path(url.removeprefix("sqlite:///").partition("?")[0])
    if not url.startswith("sqlite:///") or path.exists():
        return None
    folder = path.absolute().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        return problem("database", f"{folder} is no folder that can be written to. Make it, or change DATABASE_URL")
    return warning("database", f"{path.absolute()} is not there yet. serve and migrate make it")


def _told(described: Mapping[str, object]) -> str:
    """Kind and version, where it is, how large, and how what was acknowledged is kept safe."""
    size = int(str(described.get("bytes", 0))) / 2**20
    told = f"{described.get('dialect')} {described.get('version')}, {described.get('path')}, {size:.1f} MiB"
    if "journal_mode" not in described:
        return f"{told}, synchronous_commit {described.get('synchronous_commit')}"
    bug = ", as its WAL-reset bug demands" if described.get("has_wal_reset_bug") else ""
    return f"{told}, journal mode {described['journal_mode']}; all writes pass one lane{bug}"


def _disk(described: Mapping[str, object]) -> Iterator[Finding]:
    if described.get("dialect") != "sqlite":
        return
    free = shutil.disk_usage(Path(str(described["path"])).parent).free
    if free < LITTLE_DISK:
        yield problem("disk", f"{free // 2**20} MiB left beside the database: without room webhooks get 503")
    else:
        yield ok("disk", f"{free / 2**30:.1f} GiB left beside the database")


def _traffic(store: Store, found: Settings) -> Iterator[Finding]:
    """Whether anybody works on what is stored, and whether it gets through."""
    now = datetime.now(UTC)
    with store.reading() as tx:
        seen_at = max(leases.beats(tx).values(), default=None)
        paused = {one.destination: one for one in pauses.paused(tx, now)}
        dead = sum(count for (_, state), count in outbox.counts(tx).items() if state is DeliveryStatus.DEAD)
        failed = sum(count for (_, state), count in inbox.counts(tx).items() if state is InboxStatus.FAILED)
    yield _worker(seen_at, now)
    for source in found.sources.values():
        pause = paused.get(Destination(endpoint=source.endpoint, token=source.token).id)
        if pause is not None:
            told = f"nothing is sent until {clock(pause.until)} UTC: {pause.reason}. Everything is kept"
            yield problem(f"source {source.name}", told)
    if dead:
        yield warning(
            "dead", f"{counted(dead, 'revenue event')} given up: pulsora-bridge deliveries list --status dead"
        )
    if failed:
        yield warning(
            "failed", f"{counted(failed, 'webhook')} could not be read: pulsora-bridge events list --status failed"
        )


def _worker(seen_at: datetime | None, now: datetime) -> Finding:
    if seen_at is None:
        return warning("worker", "none has run yet. Start: pulsora-bridge serve (or worker)")
    age = (now - seen_at).total_seconds()
    if age > SILENT_SECONDS:
        return warning("worker", f"last seen {span(age)} ago. Does it run? Start: pulsora-bridge serve (or worker)")
    return ok("worker", f"seen {span(max(age, 0))} ago")

"""Running the bridge: `serve`, `worker`, `migrate`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import click

from bridge.cli.environment import load_settings
from bridge.cli.output import json_option, print_json, progress
from bridge.cli.resend import offer_kept_back
from bridge.errors import BridgeError, UsageError
from bridge.monitoring.heartbeat import is_worker_alive, latest_heartbeat
from bridge.server import banner, supervisor
from bridge.settings import Settings
from bridge.store import Store, open_store

if TYPE_CHECKING:
    from rich.progress import TaskID


@click.command()
@click.option("--dev", is_flag=True, help="For development: a fake Pulsora, on this machine alone, no settings needed.")
@click.option("--host", help="The address to listen on, instead of the one in BIND.")
@click.option("--port", type=click.IntRange(1, 65535), help="The port to listen on, instead of the one in BIND.")
def serve(dev: bool, host: str | None, port: int | None) -> None:
    """Run web and worker together, on one machine.

    Migrates the database first. SIGTERM and SIGINT finish the work in progress; a second one stops at once.
    """
    if dev and (host or port):
        raise UsageError("--dev listens on 127.0.0.1 and the port of BIND: leave out --host and --port")
    if dev:
        from bridge.cli.dev import serve_for_development

        raise click.exceptions.Exit(serve_for_development())
    settings = load_settings()
    settings = replace(settings, bind=_bind(settings.bind, host, port))
    _migrate(settings)
    offer_kept_back(settings, may_ask=True)
    raise click.exceptions.Exit(supervisor.serve(settings, partial(banner.announce, settings)))


@click.command(short_help="Run a worker, for web processes that you run separately.")
def worker() -> None:
    """Run a worker: it translates, settles and sends the webhooks that web processes store.

    On PostgreSQL any number may run, on any number of machines.
    """
    settings = load_settings()
    _migrate(settings)
    offer_kept_back(settings, may_ask=False)
    supervisor.run_worker(settings)


def _bind(configured: str, host: str | None, port: int | None) -> str:
    """BIND with another host or port. A Unix socket has neither, so that one of the two replaces it."""
    if host is None and port is None:
        return configured
    old_host, _, old_port = ("127.0.0.1:8000" if configured.startswith("unix:") else configured).rpartition(":")
    chosen = old_host if host is None else f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"{chosen}:{old_port if port is None else port}"


def _migrate(settings: Settings) -> None:
    store = open_store(settings.database_url)
    store.migrate()
    store.close()


@click.command(short_help="Migrate the database schema, or copy everything to another database.")
@click.option("--to", "target", metavar="URL", help="Copy everything to another, empty database, such as PostgreSQL.")
@json_option
def migrate(target: str | None, as_json: bool) -> None:
    """Migrate the database schema to this version, or copy everything to another database.

    Stop the bridge before copying, set DATABASE_URL to the new database, and start it again.
    """
    store = open_store(load_settings().database_url)
    try:
        store.migrate()
        if target is not None:
            _require_stopped(store)
        counts = {} if target is None else _copied(store, target)
    finally:
        store.close()
    if as_json:
        print_json({"schema_fits": True, "copied": counts})
        return
    click.echo("The schema matches this version.")
    for table, count in counts.items():
        click.echo(f"  {table}: {count:,} rows copied")
    if target is not None:
        click.echo("Now set DATABASE_URL to the new database and start the bridge. The old database is unchanged.")


def _require_stopped(store: Store) -> None:
    """Raises BridgeError while a worker runs: whatever arrives during the copy would stay behind."""
    with store.reading() as tx:
        heartbeat_at = latest_heartbeat(tx)
    if is_worker_alive(heartbeat_at, datetime.now(UTC)):
        raise BridgeError("a worker is running: what arrives during the copy would stay behind. Stop the bridge first")


def _copied(store: Store, target: str) -> dict[str, int]:
    from bridge.store.copy import copy_store  # which serve does not need

    other = open_store(target)
    other.migrate()
    try:
        with progress() as bar:
            tasks: dict[str, TaskID] = {}

            def advance(table: str, done: int, total: int) -> None:
                if table not in tasks:
                    tasks[table] = bar.add_task(table, total=total)
                bar.update(tasks[table], completed=done)

            return copy_store(store, other, advance)
    finally:
        other.close()

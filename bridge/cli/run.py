"""Running the bridge: `serve`, `worker`, `migrate`."""

from __future__ import annotations

import click
from rich.progress import TaskID

from bridge.cli.environment import load_settings
from bridge.cli.output import json_option, print_json, progress
from bridge.cli.resend import offer_kept_back
from bridge.server import supervisor
from bridge.settings import Settings
from bridge.store import Store, open_store
from bridge.store.copy import copy_store


@click.command()
@click.option("--dev", is_flag=True, help="For development: a fake Pulsora, on this machine alone, no settings needed.")
def serve(dev: bool) -> None:
    """Run web and worker together, on one machine.

    Migrates the database first. SIGTERM and SIGINT finish the work in progress; a second one stops at once.
    """
    if dev:
        from bridge.cli.dev import serve_for_development

        raise click.exceptions.Exit(serve_for_development())
    settings = load_settings()
    _migrate(settings)
    offer_kept_back(settings, may_ask=True)
    raise click.exceptions.Exit(supervisor.serve(settings))


@click.command(short_help="Run a worker, for web processes that you run separately.")
def worker() -> None:
    """Run a worker: it translates, settles and sends the webhooks that web processes store.

    On PostgreSQL any number may run, on any number of machines.
    """
    settings = load_settings()
    _migrate(settings)
    offer_kept_back(settings, may_ask=False)
    supervisor.run_worker(settings)


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
    store.migrate()
    counts = {} if target is None else _copied(store, target)
    store.close()
    if as_json:
        print_json({"schema_fits": True, "copied": counts})
        return
    click.echo("The schema matches this version.")
    for table, count in counts.items():
        click.echo(f"  {table}: {count:,} rows copied")


def _copied(store: Store, target: str) -> dict[str, int]:
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

"""Running it: serve, worker, migrate."""

from __future__ import annotations

import click
from rich.progress import TaskID

from bridge import serving
from bridge.cli.output import as_json, progress, settings, tell
from bridge.store import Store, open_store
from bridge.store.copy import copy


@click.command()
def serve() -> None:
    """Run web and worker together, for one machine.

    Brings the database to this program's schema first. SIGTERM and SIGINT finish what is in hand; a second one stops
    at once.
    """
    raise click.exceptions.Exit(serving.serve(settings()))


@click.command(short_help="Run a worker beside web processes of your own.")
def worker() -> None:
    """Run a worker: it translates, settles and sends what the web processes store.

    On PostgreSQL any number may run, on any number of machines.
    """
    found = settings()
    store = open_store(found.database_url)
    store.migrate()
    store.close()
    serving.work(found)


@click.command(short_help="Bring the database to this schema, or move it to another.")
@click.option(
    "--to", "target", metavar="URL", help="Copy everything to another, empty database, for example PostgreSQL."
)
@as_json
def migrate(target: str | None, as_json: bool) -> None:
    """Bring the database's schema to this version, or copy everything to another database.

    Stop the bridge before copying, set DATABASE_URL to the new place, and start it again.
    """
    store = open_store(settings().database_url)
    store.migrate()
    counts = {} if target is None else _copied(store, target)
    store.close()
    if as_json:
        tell({"schema_fits": True, "copied": counts})
        return
    click.echo("The schema is this program's.")
    for table, count in counts.items():
        click.echo(f"  {table}: {count} rows copied")


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

            return dict(copy(store, other, advance))
    finally:
        other.close()

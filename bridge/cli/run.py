"""Running it: serve, worker, migrate."""

from __future__ import annotations

import sys

import click
from rich.progress import Progress, TaskID

from bridge.cli.here import console, settings
from bridge.store import open_store


@click.command()
def serve() -> None:
    """Run web and worker together, for one machine."""
    from bridge.serving import serve as serve_all

    sys.exit(serve_all(settings()))


@click.command()
def worker() -> None:
    """Run a worker: translate, settle and send what the web processes store."""
    from bridge.serving import work

    found = settings()
    store = open_store(found.database_url)
    store.migrate()
    store.close()
    work(found)


@click.command()
@click.option(
    "--to", "target", metavar="URL", help="Copy everything to another, empty database, for example PostgreSQL."
)
def migrate(target: str | None) -> None:
    """Bring the database's schema to this version, or move everything to another database."""
    store = open_store(settings().database_url)
    store.migrate()
    if target is None:
        click.echo("The schema is this program's.")
        store.close()
        return
    from bridge.store.transfer import copy

    other = open_store(target)
    other.migrate()
    with Progress(console=console()) as progress:
        tasks: dict[str, TaskID] = {}

        def advance(table: str, done: int, total: int) -> None:
            if table not in tasks:
                tasks[table] = progress.add_task(table, total=total)
            progress.update(tasks[table], completed=done)

        counts = copy(store, other, advance)
    for table, count in counts.items():
        click.echo(f"{table}: {count} rows")
    store.close()
    other.close()


COMMANDS = (serve, worker, migrate)

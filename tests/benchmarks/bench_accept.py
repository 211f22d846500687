"""How fast webhooks are acknowledged once they are on disk, beside a bare Flask route under the same gunicorn.

python tests/benchmarks/bench_accept.py [--events 10000] [--connections 32] [--web 2] [--peers]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import peers
from load import BARE, ROOT, WARM, Measured, ingest, memory, post, postgres, requests, started
from table import Row, show

from bridge.store import inbox, open_store

GUNICORN = ("gunicorn", "-c", str(ROOT / "config" / "gunicorn.conf.py"))
ROUNDS = 3
PLAIN = "the usual handler: proves it, tells Pulsora, answers; stores nothing"


def measured(events: int, connections: int, web: int) -> list[Row]:
    """Each alone on the machine, in turn and three times; of each the run whose rate is in the middle."""
    asked = (events, connections, web)
    rounds = [[found for way in (_bare, _sqlite, _postgresql) for found in way(*asked)] for _ in range(ROUNDS)]
    rows = [sorted(runs, key=lambda run: run.rate or 0)[ROUNDS // 2] for runs in zip(*rounds, strict=True)]
    return [rows[0], _plain(*asked), *rows[1:]]


def _bare(*asked: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        return [_posted("bare:app", Path(name), *asked)[0].row(BARE)]


def _plain(*asked: int) -> Row:
    with tempfile.TemporaryDirectory() as name, ingest() as (endpoint, _):
        return _posted("plain:app", Path(name), *asked, PULSORA_ENDPOINT=endpoint)[0].row(PLAIN, BARE)


def _sqlite(*asked: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        return [_durable("SQLite", f"sqlite:///{name}/bridge.db", Path(name), *asked)]


def _postgresql(*asked: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as name, postgres() as url:
        return [_durable("PostgreSQL", url, Path(name), *asked)] if url else []


def with_peers(events: int, connections: int, web: int) -> list[Row]:
    """The same, and after them what other software does with a webhook, as far as it can be installed."""
    rows = measured(events, connections, web)
    with tempfile.TemporaryDirectory() as name:
        return rows + peers.measured(Path(name), events, connections, web)


def _posted(app: str, folder: Path, events: int, connections: int, web: int, **environ: str) -> tuple[Measured, str]:
    with started([*GUNICORN, app], folder, WEB_WORKERS=str(web), **environ) as port:
        post(port, requests(WARM, "warm"), connections)
        found = post(port, requests(events, "evt"), connections)
        return found, f"{max(memory(port).values()):.0f} MB a process"


def _durable(dialect: str, url: str, folder: Path, events: int, connections: int, web: int) -> Row:
    store = open_store(url)
    store.migrate()
    found, sizes = _posted("wsgi:app", folder, events, connections, web, DATABASE_URL=url)
    with store.reading() as tx:
        stored = sum(inbox.counts(tx).values())
    store.close()
    assert stored == WARM + found.count, f"{stored} stored, {found.count} acknowledged"
    return found.row(f"on disk, then 200: {dialect}", BARE, sizes)


def main(args: Sequence[str]) -> None:
    """Measures, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--web", type=int, default=2, help="web processes")
    parser.add_argument("--peers", action="store_true", help="install and measure other software too")
    asked = parser.parse_args(args)
    found = with_peers if asked.peers else measured
    show(found(asked.events, asked.connections, asked.web))


if __name__ == "__main__":
    main(sys.argv[1:])

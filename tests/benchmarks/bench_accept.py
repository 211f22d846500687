"""How fast webhooks are stored and acknowledged, compared with a bare Flask route under the same gunicorn.

python tests/benchmarks/bench_accept.py [--events 10000] [--connections 32] [--web 2] [--peers]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import peers
from load import BARE, ROOT, WARM, LoadResult, fake_pulsora, memory, post, postgres, requests, running_server
from table import Row, print_table

from bridge.store import inbox, open_store

GUNICORN = ("gunicorn", "-c", str(ROOT / "config" / "gunicorn.conf.py"))
ROUNDS = 3
STATELESS = "the usual handler: verifies it, sends it to Pulsora, responds; stores nothing"


def measure(events: int, connections: int, web: int) -> list[Row]:
    """Runs each alone, in turn, three times. Returns the run with the median rate of each."""
    options = (events, connections, web)
    rounds = [[found for way in (_bare, _sqlite, _postgresql) for found in way(*options)] for _ in range(ROUNDS)]
    rows = [sorted(runs, key=lambda run: run.rate or 0)[ROUNDS // 2] for runs in zip(*rounds, strict=True)]
    return [rows[0], _stateless(*options), *rows[1:]]


def _bare(*options: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        return [_posted("bare_flask:app", Path(name), *options)[0].row(BARE)]


def _stateless(*options: int) -> Row:
    with tempfile.TemporaryDirectory() as name, fake_pulsora() as (endpoint, _):
        return _posted("stateless_handler:app", Path(name), *options, PULSORA_ENDPOINT=endpoint)[0].row(STATELESS, BARE)


def _sqlite(*options: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        return [_durable("SQLite", f"sqlite:///{name}/bridge.db", Path(name), *options)]


def _postgresql(*options: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as name, postgres() as url:
        return [_durable("PostgreSQL", url, Path(name), *options)] if url else []


def with_peers(events: int, connections: int, web: int) -> list[Row]:
    """The same, followed by other software, where it can be installed."""
    rows = measure(events, connections, web)
    with tempfile.TemporaryDirectory() as name:
        return rows + peers.measure(Path(name), events, connections, web)


def _posted(app: str, folder: Path, events: int, connections: int, web: int, **environ: str) -> tuple[LoadResult, str]:
    with running_server([*GUNICORN, app], folder, WEB_WORKERS=str(web), **environ) as port:
        post(port, requests(WARM, "warm"), connections)
        found = post(port, requests(events, "evt"), connections)
        return found, f"{max(memory(port).values()):.0f} MB per process"


def _durable(dialect: str, url: str, folder: Path, events: int, connections: int, web: int) -> Row:
    store = open_store(url)
    store.migrate()
    found, sizes = _posted("bridge:create_app()", folder, events, connections, web, DATABASE_URL=url)
    with store.reading() as tx:
        stored = sum(inbox.counts(tx).values())
    store.close()
    assert stored == WARM + found.count, f"{stored} stored, {found.count} acknowledged"
    return found.row(f"on disk, then 200: {dialect}", BARE, sizes)


def main(args: Sequence[str]) -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--web", type=int, default=2, help="web processes")
    parser.add_argument("--peers", action="store_true", help="install and measure other software too")
    options = parser.parse_args(args)
    found = with_peers if options.peers else measure
    print_table(found(options.events, options.connections, options.web))


if __name__ == "__main__":
    main(sys.argv[1:])

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
PLAIN = "the usual handler: proves it, tells Pulsora, answers; stores nothing"


def measured(events: int, connections: int, web: int) -> list[Row]:
    """All of them, one after the other, each with the same webhooks."""
    with tempfile.TemporaryDirectory() as name, ingest() as (endpoint, _), postgres() as url:
        folder = Path(name)
        asked = (folder, events, connections, web)
        bare, _ = _posted("bare:app", *asked)
        plain, _ = _posted("plain:app", *asked, PULSORA_ENDPOINT=endpoint)
        sqlite, sizes = _durable(f"sqlite:///{folder}/bridge.db", *asked)
        rows = [bare.row(BARE), plain.row(PLAIN, BARE), sqlite.row("on disk, then 200: SQLite", BARE, sizes)]
        if url is not None:
            found, sizes = _durable(url, *asked)
            rows.append(found.row("on disk, then 200: PostgreSQL", BARE, sizes))
        return rows


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


def _durable(url: str, folder: Path, events: int, connections: int, web: int) -> tuple[Measured, str]:
    store = open_store(url)
    store.migrate()
    found, sizes = _posted("wsgi:app", folder, events, connections, web, DATABASE_URL=url)
    with store.reading() as tx:
        stored = sum(inbox.counts(tx).values())
    store.close()
    assert stored == WARM + found.count, f"{stored} stored, {found.count} acknowledged"
    return found, sizes


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

"""How fast webhooks are acknowledged once they are on disk, beside a bare Flask route under the same gunicorn.

python tests/benchmarks/bench_accept.py [--events 10000] [--connections 32] [--web 1] [--url postgresql://…]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from load import ROOT, Measured, memory, post, requests, started

from bridge.store import inbox, open_store

GUNICORN = ("gunicorn", "-c", str(ROOT / "config" / "gunicorn.conf.py"))


def main() -> None:
    """Runs both, and prints rates, waits and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--web", type=int, default=1, help="web processes")
    parser.add_argument("--url", help="a DATABASE_URL of an empty database; default: SQLite in a temporary folder")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bare = _bare(folder, asked)
        durable = _durable(folder, asked)
    sys.stdout.write(f"{'':<22}{'events/s':>9}{'p50 ms':>8}{'p99 ms':>8}{'errors':>8}\n")
    sys.stdout.write(_line("bare Flask route", bare) + _line("on disk, then 200", durable))
    sys.stdout.write(f"{'ratio':<22}{durable.rate / bare.rate:9.2f}\n")


def _bare(folder: Path, asked: argparse.Namespace) -> Measured:
    with started([*GUNICORN, "bare:app"], folder, WEB_WORKERS=str(asked.web)) as port:
        post(port, requests(500, "warm"), asked.connections)
        return post(port, requests(asked.events, "evt"), asked.connections)


def _durable(folder: Path, asked: argparse.Namespace) -> Measured:
    url = asked.url or f"sqlite:///{folder}/bridge.db"
    store = open_store(url)
    store.migrate()
    with started([*GUNICORN, "wsgi:app"], folder, WEB_WORKERS=str(asked.web), DATABASE_URL=url) as port:
        post(port, requests(500, "warm"), asked.connections)
        measured = post(port, requests(asked.events, "evt"), asked.connections)
        sys.stdout.write(f"memory, MB: {', '.join(f'{size:.0f}' for size in memory(port).values())}\n")
    with store.reading() as tx:
        stored = sum(inbox.counts(tx).values())
    store.close()
    assert stored == 500 + measured.count, f"{stored} stored, {measured.count} acknowledged"
    return measured


def _line(name: str, measured: Measured) -> str:
    waits = f"{measured.wait(0.5):8.1f}{measured.wait(0.99):8.1f}"
    return f"{name:<22}{measured.rate:9.0f}{waits}{measured.errors:8}\n"


if __name__ == "__main__":
    main()

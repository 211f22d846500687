"""How fast webhooks are stored and acknowledged, compared with a bare Flask route under the same gunicorn.

    PYTHONPATH=. python tests/benchmarks/bench_accept.py [--rounds 5] [--seconds 8] [--web 2] [--only SQLite] [--peers]

The client is `wrk`. Each round measures all of them in turn, so that a ratio compares neighbours in time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import peers
from load import BARE, ROOT, fake_pulsora, postgres, running_server
from table import Row, print_table
from wrk import Run, prepared, row, wrk

from bridge.store import inbox, open_store

GUNICORN = ("gunicorn", "-c", str(ROOT / "config" / "gunicorn.conf.py"))
TOLERANCE = {"SIGNATURE_TOLERANCE_SECONDS": "86400"}  # signed once, for all rounds


class Way(Protocol):
    """Starts a service and posts the requests of the file to it."""

    def __call__(self, folder: Path, file: Path, seconds: int, web: int) -> Run: ...


def measure(rounds: int, seconds: int, web: int, only: Sequence[str] = ()) -> list[Row]:
    """The bare route and those named, or all."""
    chosen = {name: way for name, way in WAYS.items() if name == BARE or not only or name.endswith(tuple(only))}
    runs: dict[str, list[Run]] = {name: [] for name in chosen}
    with prepared() as file:
        for _ in range(rounds):
            for name, way in chosen.items():
                with tempfile.TemporaryDirectory() as folder:
                    runs[name].append(way(Path(folder), file, seconds, web))
                sys.stderr.write(f"{name}: {runs[name][-1]}\n")
    return [row(name, found, () if name == BARE else runs[BARE]) for name, found in runs.items()]


def with_peers(rounds: int, seconds: int, web: int) -> list[Row]:
    """All, followed by other software where it can be installed."""
    rows = measure(rounds, seconds, web)
    with tempfile.TemporaryDirectory() as name:
        return rows + peers.measure(Path(name), seconds, web)


def _bare(folder: Path, file: Path, seconds: int, web: int) -> Run:
    return _posted("bare_flask:app", folder, file, seconds, web)


def _stateless(folder: Path, file: Path, seconds: int, web: int) -> Run:
    with fake_pulsora() as (endpoint, _):
        return _posted("stateless_handler:app", folder, file, seconds, web, PULSORA_ENDPOINT=endpoint)


def _sqlite(folder: Path, file: Path, seconds: int, web: int) -> Run:
    return _durable(f"sqlite:///{folder}/bridge.db", folder, file, seconds, web)


def _postgresql(folder: Path, file: Path, seconds: int, web: int) -> Run:
    with postgres() as url:
        if url is None:
            raise SystemExit(1)
        return _durable(url, folder, file, seconds, web)


WAYS: Mapping[str, Way] = {
    BARE: _bare,
    "the usual handler: verifies it, sends it to Pulsora, responds; stores nothing": _stateless,
    "on disk, then 200: SQLite": _sqlite,
    "on disk, then 200: PostgreSQL": _postgresql,
}


def _posted(app: str, folder: Path, file: Path, seconds: int, web: int, **environ: str) -> Run:
    with running_server([*GUNICORN, app], folder, WEB_WORKERS=str(web), **TOLERANCE, **environ) as port:
        return wrk(port, file, seconds)


def _durable(url: str, folder: Path, file: Path, seconds: int, web: int) -> Run:
    store = open_store(url)
    store.migrate()
    found = _posted("bridge:create_app()", folder, file, seconds, web, DATABASE_URL=url)
    with store.reading() as tx:
        stored = sum(inbox.counts(tx).values())
    store.close()
    assert stored >= found.count, f"{stored} stored, {found.count} acknowledged"  # some responses came after the end
    return found


def main(args: Sequence[str]) -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--web", type=int, default=2, help="web processes")
    parser.add_argument("--only", action="append", default=[], help="the end of a name; may be repeated")
    parser.add_argument("--peers", action="store_true", help="install and measure other software too")
    options = parser.parse_args(args)
    if options.peers:
        print_table(with_peers(options.rounds, options.seconds, options.web))
    else:
        print_table(measure(options.rounds, options.seconds, options.web, options.only))


if __name__ == "__main__":
    main(sys.argv[1:])

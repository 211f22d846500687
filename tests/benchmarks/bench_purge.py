"""How long webhooks wait for their response while old bodies are purged and the file is written anew (SQLite).

python tests/benchmarks/bench_purge.py [--stored 200000] [--per-second 100]
"""

from __future__ import annotations

import argparse
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

from bench_history import GUNICORN, SEEDED, _multiply
from load import ROOT, SETTINGS, _is_whole, fill, requests, running_server, running_worker
from table import Row, print_table

from bridge.store import open_store

CONNECTIONS = 4
QUIET_SECONDS = 15.0
PURGING_SECONDS = 30.0  # a purge every five seconds
OLD = timedelta(days=400)


@dataclass(slots=True)
class Clients:
    """Connections that post a webhook each at a steady pace. `latencies` in seconds."""

    port: int
    per_second: float
    prepared: Iterator[bytes]
    latencies: list[float] = field(default_factory=list)
    errors: int = 0
    stop: Event = field(default_factory=Event)

    def run(self) -> None:
        """Posts until it is stopped."""
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            due = time.perf_counter()
            while not self.stop.wait(max(due - time.perf_counter(), 0)):
                due += CONNECTIONS / self.per_second
                since = time.perf_counter()
                connection.sendall(next(self.prepared))
                response = bytearray()
                while not _is_whole(response):
                    response += connection.recv(65536)
                self.latencies.append(time.perf_counter() - since)
                self.errors += not response.startswith(b"HTTP/1.1 200")

    def row(self, name: str) -> Row:
        """What was measured since the last row."""
        found, errors = sorted(self.latencies), self.errors
        self.latencies.clear()
        self.errors = 0
        at = [found[int((len(found) - 1) * share)] * 1000 for share in (0.5, 0.99)]
        return Row(name=name, p50=at[0], p99=at[1], errors=errors, note=f"slowest {found[-1] * 1000:.0f} ms")


def measure(stored: int, per_second: float) -> list[Row]:
    """Without a purge, with the worker's, with the command's, and with the file written anew."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite:///{folder / 'bridge.db'}"
        _fill(url, folder / "bridge.db", stored)
        environ = {"DATABASE_URL": url, "SIGNATURE_TOLERANCE_SECONDS": "86400"}
        with (
            running_server(GUNICORN, folder, WEB_WORKERS="2", **environ) as port,
            _posting(port, per_second) as clients,
        ):
            rows = [_during(clients, "no purge", lambda: time.sleep(QUIET_SECONDS))]
            with running_worker(folder, RATE_LIMIT_PER_HOUR="1", **environ):
                rows.append(_during(clients, "the worker purges", lambda: time.sleep(PURGING_SECONDS)))
            for text, more in (("`purge`", []), ("`purge --compact`", ["--compact"])):
                rows.append(_during(clients, text, lambda more=more: _purge(folder, environ, more)))
        return rows


def _fill(url: str, path: Path, stored: int) -> None:
    store = open_store(url)
    store.migrate()
    fill(store, SEEDED, "old")
    store.close()
    at = int((datetime.now(UTC) - OLD).timestamp() * 1e6)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE inbox SET status = 'settled', received_at = ?, settled_at = ?", (at, at))
        connection.commit()
    _multiply(path, stored // SEEDED)


@contextmanager
def _posting(port: int, per_second: float) -> Iterator[Clients]:
    clients = Clients(port, per_second, iter(requests(50_000, "now")))
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        running = [pool.submit(clients.run) for _ in range(CONNECTIONS)]
        yield clients
        clients.stop.set()
        for one in running:
            one.result()


def _during(clients: Clients, name: str, action: Callable[[], object]) -> Row:
    clients.latencies.clear()
    action()
    return clients.row(name)


def _purge(folder: Path, environ: dict[str, str], more: Sequence[str]) -> None:
    command = [sys.executable, "-m", "bridge.cli", "purge", "--yes", *more]
    variables = {"PYTHONPATH": str(ROOT), "COLUMNS": "200", **SETTINGS, **environ}
    printed = subprocess.run(command, cwd=folder, env=variables, check=True, capture_output=True, text=True).stdout
    sys.stderr.write(printed)


def main(args: Sequence[str]) -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stored", type=int, default=200_000)
    parser.add_argument("--per-second", type=float, default=100.0)
    options = parser.parse_args(args)
    print_table(measure(options.stored, options.per_second))


if __name__ == "__main__":
    main(sys.argv[1:])

"""Acknowledging compared with a bare Flask route, alternating, with `wrk` as the client (Debian: `apt install wrk`).

    PYTHONPATH=. python tests/benchmarks/bench_wrk.py [--rounds 5] [--seconds 8] [--web 2] [--postgres]

Each round measures all of them, so that a ratio compares neighbours in time. The processor time of the service for one
webhook depends less on what else the machine does than the rate.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil
from bench_accept import GUNICORN
from load import postgres, requests, running_server

from bridge.store import open_store

SCRIPT = Path(__file__).with_name("post.lua")
RESULT = re.compile(r"RESULT (\d+) (\d+) ([\d.]+) ([\d.]+) (\d+)")
PREPARED = 30_000  # more than a run posts, so that the bridge stores each as a new webhook
TOLERANCE = {"SIGNATURE_TOLERANCE_SECONDS": "86400"}  # signed once, for all rounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: responses per second, latencies in milliseconds, and the service's processor time for one response."""

    rate: float
    p50: float
    p99: float
    errors: int
    cpu_microseconds: float


def main(args: Sequence[str]) -> None:
    """Measures and prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--web", type=int, default=2, help="web processes")
    parser.add_argument("--postgres", action="store_true", help="measure PostgreSQL too")
    options = parser.parse_args(args)
    ways = ["bare", "SQLite", *(["PostgreSQL"] if options.postgres else [])]
    runs: dict[str, list[Run]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as name:
        os.environ["REQUESTS"] = str(_prepare(Path(name)))
        for _ in range(options.rounds):
            for way in ways:
                runs[way].append(_run(way, options.seconds, options.web))
    for way in ways:
        sys.stdout.write(f"{_line(way, runs)}\n")


def _prepare(folder: Path) -> Path:
    path = folder / "requests"
    with path.open("wb") as file:
        for request in requests(PREPARED, "wrk"):
            file.write(b"%d\n" % len(request) + request)
    return path


def _run(way: str, seconds: int, web: int) -> Run:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if way == "bare":
            return _posted("bare_flask:app", folder, seconds, web)
        if way == "SQLite":
            return _durable(f"sqlite:///{folder}/bridge.db", folder, seconds, web)
        with postgres() as url:
            if url is None:
                raise SystemExit(1)
            return _durable(url, folder, seconds, web)


def _durable(url: str, folder: Path, seconds: int, web: int) -> Run:
    store = open_store(url)
    store.migrate()
    store.close()
    return _posted("bridge:create_app()", folder, seconds, web, DATABASE_URL=url)


def _posted(app: str, folder: Path, seconds: int, web: int, **environ: str) -> Run:
    with running_server([*GUNICORN, app], folder, WEB_WORKERS=str(web), **TOLERANCE, **environ) as port:
        before = _cpu_seconds(port)
        address = f"http://127.0.0.1:{port}/webhooks/stripe"
        command = ["wrk", "-t1", "-c32", f"-d{seconds}s", "-s", str(SCRIPT), address]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        used = _cpu_seconds(port) - before
    found = RESULT.search(printed)
    if found is None:
        raise SystemExit(printed)
    count, microseconds, p50, p99, errors = (float(one) for one in found.groups())
    rate = (count - errors) / microseconds * 1e6
    return Run(rate=rate, p50=p50, p99=p99, errors=int(errors), cpu_microseconds=used / count * 1e6)


def _cpu_seconds(port: int) -> float:
    """The processor time so far of the processes that serve the port."""
    seconds = 0.0
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("BIND") == f"127.0.0.1:{port}":
                times = process.cpu_times()
                seconds += times.user + times.system
    return seconds


def _line(way: str, runs: dict[str, list[Run]]) -> str:
    mine, bare = runs[way], runs["bare"]
    rates, ratios = [run.rate for run in mine], [a.rate / b.rate for a, b in zip(mine, bare, strict=True)]
    return (
        f"{way:12} {median(rates):6.0f}/s ({min(rates):.0f} to {max(rates):.0f}), "
        f"ratio {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), "
        f"p50 {median(run.p50 for run in mine):.1f} ms, p99 {median(run.p99 for run in mine):.1f} ms, "
        f"CPU {median(run.cpu_microseconds for run in mine):.0f} us, errors {sum(run.errors for run in mine)}"
    )


if __name__ == "__main__":
    main(sys.argv[1:])

"""The load generator `wrk` (Debian: `apt install wrk`), which takes little of the machine that it shares."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil
from load import BARE, memory, requests
from table import Row

SCRIPT = Path(__file__).with_name("post.lua")
RESULT = re.compile(r"RESULT (\d+) (\d+) ([\d.]+) ([\d.]+) (\d+)")
PREPARED = 30_000  # more than a run posts, so that each is a new webhook
CONNECTIONS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: responses per second, latencies in milliseconds, processor time for one, and memory of a process."""

    count: int
    rate: float
    p50: float
    p99: float
    errors: int
    cpu_microseconds: float
    megabytes: float


@contextmanager
def prepared(path: str = "/webhooks/stripe", kind: str = "charge.succeeded") -> Iterator[Path]:
    """A file of signed requests, each with another event."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requests"
        with file.open("wb") as out:
            for request in requests(PREPARED, "wrk", path=path, kind=kind):
                out.write(b"%d\n" % len(request) + request)
        yield file


def wrk(port: int, file: Path, seconds: int) -> Run:
    """Posts the requests of the file for so long."""
    before = _cpu_seconds(port)
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(SCRIPT), f"http://127.0.0.1:{port}/"]
    environ = {**os.environ, "REQUESTS": str(file)}
    printed = subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout
    used = _cpu_seconds(port) - before
    found = RESULT.search(printed)
    if found is None:
        raise SystemExit(printed)
    count, microseconds, p50, p99, errors = (float(one) for one in found.groups())
    return Run(
        count=int(count - errors),
        rate=(count - errors) / microseconds * 1e6,
        p50=p50,
        p99=p99,
        errors=int(errors),
        cpu_microseconds=used / max(count, 1) * 1e6,
        megabytes=max(memory(port).values()),
    )


def row(name: str, runs: Sequence[Run], bare: Sequence[Run] = (), note: str = "") -> Row:
    """The medians of some runs. The ratio is the median of those to the bare route in the same round, if given."""
    ratios = [one.rate / other.rate for one, other in zip(runs, bare, strict=False)]
    spread = f"{min(one.rate for one in runs):,.0f} to {max(one.rate for one in runs):,.0f}/s"
    cpu = f"{median(one.cpu_microseconds for one in runs):,.0f} µs"
    size = f"{max(one.megabytes for one in runs):.0f} MB per process"
    return Row(
        name=name,
        rate=median(one.rate for one in runs),
        p50=median(one.p50 for one in runs),
        p99=median(one.p99 for one in runs),
        errors=sum(one.errors for one in runs),
        baseline=None if name == BARE else BARE,
        ratio=f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})" if ratios else None,
        note=", ".join(part for part in (spread, cpu, size, note) if part),
    )


def _cpu_seconds(port: int) -> float:
    """The processor time so far of the processes that serve the port."""
    seconds = 0.0
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("BIND") == f"127.0.0.1:{port}":
                times = process.cpu_times()
                seconds += times.user + times.system
    return seconds

"""Runs all benchmarks of the service, and prints one table.

python tests/benchmarks/run.py [--events 10000] [--stored 100000] [--peers]
"""

from __future__ import annotations

import argparse
import os
import platform
import sys

import bench_accept
import bench_history
import bench_pipeline
from table import print_table


def main() -> None:
    """Measures, then prints the machine and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--stored", type=int, default=100_000, help="events of the long history")
    parser.add_argument("--peers", action="store_true", help="install and measure other software too")
    options = parser.parse_args()
    accepted = bench_accept.with_peers if options.peers else bench_accept.measure
    rows = accepted(rounds=5, seconds=8, web=2)
    rows += bench_pipeline.measure(options.events)
    rows += bench_history.measure(options.stored, waiting=10_000, events=options.events // 2)
    sys.stdout.write(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} processors, ")
    sys.stdout.write(f"load before the run: see `uptime`. {options.events:,} webhooks of 7 kB, 32 connections.\n\n")
    print_table(rows)


if __name__ == "__main__":
    main()

"""The process is stopped at writes and syncs: what was acknowledged is there, and the revenue events are the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).with_name("crash_points.py")
EVERY = "330"  # the whole campaign is a command, see README.md


def stopped_at(points: list[str], unsynced_disk: str, disabled: str = "") -> subprocess.CompletedProcess[str]:
    """Plays some crash points in a process of its own."""
    environ = {**os.environ, "LD_PRELOAD": unsynced_disk, "DISABLED_GUARDS": disabled}
    return subprocess.run(
        [sys.executable, str(PROGRAM), *points], env=environ, capture_output=True, text=True, timeout=300
    )


def test_nothing_is_lost_wherever_the_process_stops(unsynced_disk: str) -> None:
    found = stopped_at(["--every", EVERY], unsynced_disk)

    assert (found.returncode, found.stderr) == (0, ""), found.stdout + found.stderr
    assert [line.split(":")[0] for line in found.stdout.splitlines()] == [
        "pipeline", "upgrade", "copy", "erasure", "purge",
    ]  # fmt: skip
    assert found.stdout.count(", 0 wrong") == 5


def test_the_harness_notices_a_migration_of_several_transactions(unsynced_disk: str) -> None:
    found = stopped_at(["--cycle", "upgrade", "--every", "500", "--start", "120"], unsynced_disk, "split_migration")

    assert found.returncode == 1
    assert "the schema is of a version in between" in found.stdout

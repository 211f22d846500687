"""A machine's uptime: one clock for all of its processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bridge import uptime

pytestmark = pytest.mark.skipif(not uptime.boot_name(), reason="this system does not name its boots")


def test_every_process_of_a_boot_reads_the_same_clock() -> None:
    code = "from bridge.uptime import read; print(read().boot, read().seconds)"
    before = uptime.read()
    out = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    after = uptime.read()

    boot, seconds = out.stdout.split()

    assert before
    assert after
    assert boot == before.boot == after.boot
    assert before.seconds < float(seconds) < after.seconds

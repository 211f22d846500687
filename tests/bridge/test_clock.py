"""The uptime of the machine is the same clock in all processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bridge import clock

pytestmark = pytest.mark.skipif(not clock.boot_name(), reason="this system does not identify its boots")


def test_every_process_of_a_boot_reads_the_same_clock() -> None:
    code = "from bridge.clock import uptime; print(uptime().boot, uptime().seconds)"
    before = clock.uptime()
    out = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    after = clock.uptime()

    boot, seconds = out.stdout.split()

    assert before
    assert after
    assert boot == before.boot == after.boot
    assert before.seconds < float(seconds) < after.seconds

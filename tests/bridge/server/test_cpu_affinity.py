"""Each process is pinned to one CPU, and consecutive processes to different ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
import os
from bridge.server.cpu_affinity import pin_to_one_cpu

pin_to_one_cpu({})
print(*os.sched_getaffinity(0))
"""

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system has no CPU affinity")


def pinned(number: int) -> set[int]:
    """The CPUs that a pinned process may run on."""
    command = [sys.executable, "-c", PROGRAM.format(number)]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return {int(one) for one in printed.split()}


def test_a_process_keeps_to_one_of_its_own_processors() -> None:
    own = os.sched_getaffinity(0)

    assert len(pinned(1)) == 1
    assert pinned(1) <= own


def test_as_many_processes_as_there_are_processors_take_one_each() -> None:
    own = sorted(os.sched_getaffinity(0))[:2]

    assert set.union(*(pinned(number) for number in range(len(os.sched_getaffinity(0)))[:2])) == set(own)

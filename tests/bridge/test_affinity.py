"""A process on one processor, and several processes on several."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ASK = "import os; from bridge.affinity import keep_to_one_processor as keep; keep({}); print(*os.sched_getaffinity(0))"

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system cannot say where to run")


def kept(number: int) -> set[int]:
    """The processors that a process of its own keeps to."""
    ask = [sys.executable, "-c", ASK.format(number)]
    told = subprocess.run(ask, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return {int(one) for one in told.split()}


def test_a_process_keeps_to_one_of_its_own_processors() -> None:
    own = os.sched_getaffinity(0)

    assert len(kept(1)) == 1
    assert kept(1) <= own


def test_as_many_processes_as_there_are_processors_take_one_each() -> None:
    own = sorted(os.sched_getaffinity(0))[:2]

    assert set.union(*(kept(number) for number in range(len(os.sched_getaffinity(0)))[:2])) == set(own)

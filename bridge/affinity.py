"""On which processor a process runs: one process's threads hand Python to each other faster on a single one."""

from __future__ import annotations

import os
from contextlib import suppress


def keep_to_one_processor(number: int) -> None:
    """Runs this process and the threads it will start on one processor; processes of different numbers spread out.

    Only one thread at a time can run Python anyway, and waking the next one on another processor costs about half of
    all processor time (docs/performance.md). Other programs are free to move away.
    """
    with suppress(AttributeError, OSError):  # not every system can
        own = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {own[number % len(own)]})

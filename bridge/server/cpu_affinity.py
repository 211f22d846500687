"""CPU affinity: the threads of one process switch faster on a single CPU."""

from __future__ import annotations

import os
from contextlib import suppress


def pin_to_one_cpu(number: int) -> None:
    """Pins this process and its future threads to one CPU. Processes of consecutive numbers get different ones.

    Only one thread at a time can run Python, and waking the next one on another CPU costs about half of all CPU time
    (docs/performance.md).
    """
    with suppress(AttributeError, OSError):  # not supported by every system
        available = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {available[number % len(available)]})

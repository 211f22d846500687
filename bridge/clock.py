"""The uptime of the machine: a clock that cannot be set, common to all processes since one boot."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

from processors.values import Value


class Uptime(Value):
    """Seconds since a boot, which `boot` identifies."""

    boot: str
    seconds: float


def uptime() -> Uptime | None:
    """The current uptime; None where the system does not identify its boots."""
    boot = boot_name()
    return Uptime(boot=boot, seconds=time.clock_gettime(time.CLOCK_BOOTTIME)) if boot else None


@cache
def boot_name() -> str:
    """Linux's identifier of this boot; empty on other systems."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""

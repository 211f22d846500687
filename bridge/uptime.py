"""How long this machine has been up: a clock that nobody sets, the same for all processes of one boot."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Uptime:
    """Seconds since the boot of that name."""

    boot: str
    seconds: float


def read() -> Uptime | None:
    """The uptime now; None where the system names no boot."""
    boot = boot_name()
    return Uptime(boot=boot, seconds=time.clock_gettime(time.CLOCK_BOOTTIME)) if boot else None


@cache
def boot_name() -> str:
    """What Linux calls this boot of this machine; nothing elsewhere."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""

"""Who a worker is, in leases and heartbeats, and whether another one of this machine has ended."""

from __future__ import annotations

import os
import socket
from functools import cache
from hashlib import blake2s
from pathlib import Path

from bridge import uptime


def this() -> str:
    """This process: host, process id, and a mark of where that id means something."""
    return f"{socket.gethostname()}:{os.getpid()}:{_place()}"


def has_ended(owner: str) -> bool:
    """Whether that process is surely gone. Nothing is known of another machine's, or another container's."""
    host, _, rest = owner.partition(":")
    pid, _, place = rest.partition(":")
    if host != socket.gethostname() or not place or place != _place() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return _is_zombie(int(pid))


def _is_zombie(pid: int) -> bool:
    """Whether a process has ended and only waits to be struck off by the one that began it."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] == "Z"


@cache
def _place() -> str:
    """A mark of this boot of this machine and this space of process ids; nothing where the system does not tell."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
    return blake2s(f"{uptime.boot_name()} {space}".encode(), digest_size=4).hexdigest()

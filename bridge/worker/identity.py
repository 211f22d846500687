"""The identity of a worker process in leases and heartbeats, and whether another process of this machine has ended."""

from __future__ import annotations

import os
import socket
from functools import cache
from hashlib import blake2s
from pathlib import Path

from bridge import clock


def own_name() -> str:
    """The name of this process: host, process id, and a digest of where that id is valid."""
    return f"{socket.gethostname()}:{os.getpid()}:{_pid_space()}"


def has_ended(owner: str) -> bool:
    """Whether that process has certainly ended. False for processes of another machine or container."""
    host, _, rest = owner.partition(":")
    pid, _, space = rest.partition(":")
    if host != socket.gethostname() or not space or space != _pid_space() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return _is_zombie(int(pid))


def _is_zombie(pid: int) -> bool:
    """Whether a process has ended and its parent has not read its exit status yet: signal 0 still reaches it."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] == "Z"


@cache
def _pid_space() -> str:
    """A digest of this boot and this process id namespace; empty where the system does not have them.

    After a reboot, or in another container with the same host name, a process id belongs to another process.
    """
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
    return blake2s(f"{clock.boot_name()} {namespace}".encode(), digest_size=4).hexdigest()

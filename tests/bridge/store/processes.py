"""Starting the programs of `crowd.py`, each a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CROWD = Path(__file__).with_name("crowd.py")
ROOT = Path(__file__).resolve().parents[3]


def started(deed: str, url: str, name: str = "p", threads: int = 1, count: int = 1) -> subprocess.Popen[str]:
    """A process at work; what it prints can be read from its `stdout`."""
    command = [sys.executable, "-W", "ignore", str(CROWD), deed, url, name, str(threads), str(count)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def ended(process: subprocess.Popen[str], seconds: float = 60) -> list[str]:
    """The lines that a process printed until its end, which must be a good one."""
    out, errors = process.communicate(timeout=seconds)
    assert process.returncode == 0, errors
    assert errors == ""
    return out.split("\n")[:-1]

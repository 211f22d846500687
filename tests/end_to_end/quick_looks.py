"""The command line with a schedule that looks every fifth of a second, and with a disk whose free space a file states.

Everything else is the program as it is.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

from bridge.monitoring import disk
from bridge.web import worker_watch
from bridge.worker import loop

SECONDS = 0.2

loop.SCHEDULE_SECONDS = loop.AUDIT_LOOK_SECONDS = SECONDS
worker_watch.SECONDS = SECONDS
if "FREE_BYTES_FILE" in os.environ:
    free = Path(os.environ["FREE_BYTES_FILE"])
    disk.shutil = SimpleNamespace(disk_usage=lambda path: SimpleNamespace(free=int(free.read_text())))  # type: ignore[assignment]
else:
    assert disk.shutil is shutil

if __name__ == "__main__":
    from bridge.cli import main

    main()

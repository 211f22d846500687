"""The free space of the disk that holds the database."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path


def free_bytes(database_url: str) -> int | None:
    """The free bytes for an SQLite file; None: another machine holds the database, or its folder does not exist."""
    path = Path(database_url.removeprefix("sqlite:///").partition("?")[0])
    if database_url.startswith("sqlite:///"):
        with suppress(OSError):
            return shutil.disk_usage(path.absolute().parent).free
    return None

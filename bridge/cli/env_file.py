"""Writing settings: into a `.env` file, readable by its owner alone, or into the file of a single secret."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from bridge.errors import BridgeError

OWNER_ONLY = 0o600
NEEDS_QUOTES = re.compile(r"[^A-Za-z0-9_./:,@%+=-]")


def merge(path: Path, values: Mapping[str, str]) -> None:
    """Sets these names in a `.env` file, and leaves every other line as it is."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    for name, value in values.items():
        stated = re.compile(rf"\s*(?:export\s+)?{re.escape(name)}\s*=")
        places = [number for number, line in enumerate(lines) if stated.match(line)]
        line = f"{name}={_quoted(value)}"
        if places:
            lines[places[-1]] = line  # the last one is the one that counts
        else:
            lines.append(line)
    write_secret(path, "\n".join(lines) + "\n")


def write_secret(path: Path, text: str) -> None:
    """Replaces a file as a whole, so that no interruption leaves half of it. Only its owner may read it."""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            os.fchmod(out.fileno(), OWNER_ONLY)
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        Path(temporary).replace(path)
    except OSError as error:
        raise BridgeError(f"{path}: cannot be written: {error.strerror}") from error


def _quoted(value: str) -> str:
    """The value as both python-dotenv and systemd read it."""
    if not NEEDS_QUOTES.search(value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

"""Where settings come from: the environment, `.env`, `NAME_FILE` secrets and a TOML file, as plain texts by name."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

CONFIG = "BRIDGE_CONFIG"
SOURCE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
MIN_SIMILARITY = 0.85  # of a name to a setting's, to be reported as its misspelling
COMMON_MISTAKES = {
    "PULSORA_TOKEN": "PULSORA_SECRET_TOKEN",
    "PULSORA_SECRET": "PULSORA_SECRET_TOKEN",
    "PULSORA_API_KEY": "PULSORA_SECRET_TOKEN",
    "PULSORA_URL": "PULSORA_ENDPOINT",
    "PADDLE_PUBLIC_KEY": "PADDLE_CLASSIC_PUBLIC_KEY",
    "DB_URL": "DATABASE_URL",
}


def read_dotenv(path: Path | None, problems: list[str]) -> dict[str, str]:
    """The values of a `.env` file, without interpolation: secrets may contain `$`. Empty if there is no file."""
    if path is None or not path.is_file():
        return {}
    try:
        found = dotenv_values(path, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{path}: cannot be read ({type(error).__name__})")
        return {}
    return {name: value for name, value in found.items() if value is not None}


def read_files(values: Mapping[str, str], known: Collection[str], where: str, problems: list[str]) -> dict[str, str]:
    """The values with every `NAME_FILE` read into NAME, stripped. Empty values count as not set."""
    found = {name: value.strip() for name, value in values.items() if value.strip()}
    for name in sorted(known):
        path = found.get(f"{name}_FILE")
        if path is None:
            continue
        if name in found:
            problems.append(f"{where}{name}_FILE: {name} is set as well. Set only one of the two")
            continue
        try:
            found[name] = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            example = f"{name}_FILE=/run/secrets/{name.lower()}"
            problems.append(f"{where}{name}_FILE: cannot be read ({type(error).__name__}). Example: {example}")
    return found


def read_toml(path: str, problems: list[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The `[sources.NAME]` tables of the TOML file. Anything else in it is a problem: it would have no effect."""
    try:
        document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        problems.append(f"{CONFIG}: cannot be read: {error}. Example: {CONFIG}=/etc/pulsora-bridge.toml")
        return
    problems += [
        f"{CONFIG}: {key} has no meaning here. Example: [sources.shop]" for key in document if key != "sources"
    ]
    sources = document.get("sources", {})
    for name, table in sources.items() if isinstance(sources, dict) else [("", sources)]:
        if not isinstance(table, dict):
            problems.append(f"{CONFIG}: sources.{name} must be a table. Example: [sources.shop]")
        elif not SOURCE_NAME.fullmatch(name):
            problems.append(
                f"[sources.{name}]: a name may contain a-z, 0-9, - and _, as in /webhooks/NAME. Example: shop"
            )
        else:
            yield name, table


def text_of(value: object) -> str | None:
    """A TOML value as the environment would hold it; None if it has no such form."""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ",".join(value)
    return str(value) if isinstance(value, str | int | float) else None


def misspelled(environ: Mapping[str, str], known: Collection[str]) -> Iterator[str]:
    """A warning for each name that is no setting but resembles one that is not set."""
    for name in sorted(environ):
        plain = name.removesuffix("_FILE")
        if plain in known:
            continue
        meant = COMMON_MISTAKES.get(plain) or next(iter(get_close_matches(plain, known, 1, MIN_SIMILARITY)), None)
        if meant is not None and meant not in environ and f"{meant}_FILE" not in environ:
            yield f"{name} is set, but is not a setting. Did you mean {meant}?"

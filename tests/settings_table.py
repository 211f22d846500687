"""The tables of docs/settings.md. `PYTHONPATH=. python tests/settings_table.py` writes them from the declarations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from bridge.settings import SERVICE_SETTINGS, SOURCE_SETTINGS, Setting
from processors import processors
from processors.interface import Option

PAGE = Path(__file__).resolve().parents[1] / "docs" / "settings.md"
HEADER = "| setting | default | meaning |\n|---|---|---|\n"
TABLE = re.compile(r"(?<=<!-- table: )(?P<name>[\w-]+)( -->\n\n)(?P<rows>(?:\|.*\n)*)")
BUILT_IN = ("stripe", "paddle", "paddle-classic")
CONFIG_FILE = Setting(
    name="BRIDGE_CONFIG", check=str, default=None, example="", help="TOML file for more than one source or project"
)


def tables() -> Mapping[str, str]:
    """Each table as Markdown, by its name in the page."""
    # PADDLE_ENVIRONMENT is an option of two processors: the later table leaves it out.
    table_of = {option.name: name for name in reversed(BUILT_IN) for option in _options(name)}
    of_processors = {
        name: "".join(_option_row(option) for option in _options(name) if table_of[option.name] == name)
        for name in BUILT_IN
    }
    return {name: HEADER + rows for name, rows in of_processors.items()} | {
        "sources": HEADER + "".join(map(_row, SOURCE_SETTINGS)),
        "service": HEADER + "".join(map(_row, (*SERVICE_SETTINGS, CONFIG_FILE))),
    }


def with_tables(page: str) -> str:
    """The page with current tables."""
    current = tables()
    return TABLE.sub(lambda found: found["name"] + found[2] + current[found["name"]], page)


def default_text(default: object) -> str:
    """A default as it is written in the environment; empty if there is none."""
    if default in (None, "", ()):
        return ""
    if isinstance(default, bool):
        return "1" if default else "0"
    return f"{default:g}" if isinstance(default, float) else str(default)


def _options(name: str) -> Iterator[Option]:
    processor = processors()[name]
    yield processor.secret
    if processor.api_key is not None:
        yield processor.api_key
    yield from processor.options


def _row(one: Setting) -> str:
    default = default_text(one.default)
    return _line(one.name, f"`{default}`" if default else "", one.help)


def _option_row(one: Option) -> str:
    return _line(one.name, "", one.help)


def _line(name: str, default: str, meaning: str) -> str:
    sentence = f"{meaning[0].upper()}{meaning[1:].rstrip('.')}."
    return f"| `{name}` | {default} | {sentence} |\n"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

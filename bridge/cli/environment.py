"""The settings, the store and the source a command works with."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bridge.errors import SchemaMismatch, UsageError
from bridge.settings import Settings, Source, load
from processors import processors
from processors.interface import Api

if TYPE_CHECKING:
    from bridge.store import Store

DOTENV = Path(".env")


def dotenv_path() -> Path:
    """The file of settings: --env-file, else `.env` in the current directory."""
    context = click.get_current_context(silent=True)
    given = None if context is None else context.find_root().params.get("env_file")
    return DOTENV if given is None else Path(given)


def local_address(bind: str) -> str:
    """Where a client on this machine reaches a server that listens at `bind`."""
    return re.sub(r"^(0\.0\.0\.0|\[::\]):", "127.0.0.1:", bind)  # every address; a client needs one of them


def load_settings() -> Settings:
    """Loads the settings from the environment and `.env` or --env-file, and configures logging by them."""
    from bridge import log

    settings = read_settings()
    log.configure(settings.log_format, settings.log_level)
    return settings


def read_settings() -> Settings:
    """The settings for a command that only reads, and logs nothing: importing structlog costs 0.1 s."""
    path = dotenv_path()
    if path != DOTENV and not path.is_file():
        raise UsageError(f"--env-file: there is no file {path}")
    return load(os.environ, dotenv=path)


@contextmanager
def opened_store(settings: Settings) -> Iterator[Store]:
    """The store, closed at the end. Raises SchemaMismatch if its schema is not this program's."""
    from bridge.store import open_store  # imports SQLAlchemy, which commands without a database do not need

    store = open_store(settings.database_url)
    try:
        if mismatch := store.schema_mismatch():
            raise SchemaMismatch(mismatch)
        yield store
    finally:
        store.close()


def source_named(sources: Mapping[str, Source], name: str | None) -> Source:
    """The source of this name; without a name, the only source. Raises UsageError."""
    if name is None and len(sources) == 1:
        return next(iter(sources.values()))
    if name is None or name not in sources:
        raise UsageError(f"--source: choose one of {', '.join(sorted(sources))}")
    return sources[name]


def api_of(source: Source) -> Api:
    """The API of a source's processor. Raises UsageError without a key."""
    from bridge.worker.enrichment import connect  # imports the whole worker

    api = connect(source)
    if api is None:
        processor = processors()[source.processor]
        setting = f": set {api_key_setting(source)} to a read-only key" if processor.api_key else ""
        raise UsageError(f"source {source.name} has no API key to read {processor.title}{setting}")
    return api


def api_key_setting(source: Source) -> str:
    """The name of a source's API key where it is stated: in the environment, or in its table of BRIDGE_CONFIG."""
    option = processors()[source.processor].api_key
    if option is None:
        return "API key"
    return option.name if source.name == source.processor else f"[sources.{source.name}] api_key"

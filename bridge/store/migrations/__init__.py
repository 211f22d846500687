"""The schema's versions: which one this program needs, which one a database has, and the way between them."""

from __future__ import annotations

from functools import cache
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from bridge.errors import SchemaBehind
from bridge.store.migrations import versions

if TYPE_CHECKING:
    from alembic.config import Config

# Alembic is imported where it is needed: to start without it takes a fifth of a second less.


@cache
def newest() -> str:
    """The version that this program needs. It stands in its file's name: `v0001_first.py`."""
    return max(name[1:].partition("_")[0] for _, name, _ in iter_modules(versions.__path__) if name.startswith("v"))


def current(tx: Connection) -> str | None:
    """The version that the database has; None: it has no tables yet."""
    if not inspect(tx).has_table("alembic_version"):
        return None
    return tx.execute(text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(tx: Connection) -> None:
    """Brings the schema to the newest version, inside the caller's transaction. Does nothing where it is already."""
    if current(tx) == newest():
        return
    from alembic import command
    from alembic.util import CommandError

    config = _config()
    config.attributes["connection"] = tx
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise SchemaBehind(f"the database was made by a newer version of this program: {error}") from error


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "bridge.store:migrations")
    config.set_main_option("path_separator", "os")
    return config

"""The schema versions: the one that this program needs, the one that a database has, and the upgrade between them."""

from __future__ import annotations

from functools import cache
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from bridge.errors import SchemaMismatch
from bridge.store.migrations import versions

if TYPE_CHECKING:
    from alembic.config import Config

# Alembic is imported only when a migration runs: without it a start takes a fifth of a second less.


@cache
def newest() -> str:
    """The version that this program needs, from the file names: `v0001_first.py`."""
    return max(name[1:].partition("_")[0] for _, name, _ in iter_modules(versions.__path__) if name.startswith("v"))


def current(tx: Connection) -> str | None:
    """The version that the database has; None: it has no tables yet."""
    if not inspect(tx).has_table("alembic_version"):
        return None
    return tx.execute(text("SELECT version_num FROM alembic_version")).scalar()


def mismatch(tx: Connection) -> str | None:
    """Why the schema is not this program's, and what to do; None: it is."""
    found, needed = current(tx), newest()
    if found == needed:
        return None
    if found is None:
        return "the database has no tables yet. Run: pulsora-bridge migrate"
    if found > needed:
        return (
            f"the database has schema version {found} of a newer program; this program knows versions up to {needed}."
            " Install the newer program, or restore the backup from before its migration"
        )
    return f"the database has schema version {found}, this program needs {needed}. Run: pulsora-bridge migrate"


def upgrade(tx: Connection) -> None:
    """Upgrades the schema to the newest version, inside the caller's transaction.

    Raises `SchemaMismatch` when the database is newer than this program.
    """
    found = current(tx)
    if found == newest():
        return
    if found is not None and found > newest():
        raise SchemaMismatch(mismatch(tx) or "")
    from alembic import command

    config = _config()
    config.attributes["connection"] = tx
    command.upgrade(config, "head")


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "bridge.store:migrations")
    config.set_main_option("path_separator", "os")
    return config

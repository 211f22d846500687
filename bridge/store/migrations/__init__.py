"""The schema's versions: which one this program needs, which one a database has, and the way between them."""

from __future__ import annotations

from functools import cache

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, inspect, text

from bridge.errors import SchemaBehind


@cache
def newest() -> str | None:
    """The version that this program needs."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def current(tx: Connection) -> str | None:
    """The version that the database has; None: it has no tables yet."""
    if not inspect(tx).has_table("alembic_version"):
        return None
    return tx.execute(text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(tx: Connection) -> None:
    """Brings the schema to the newest version, inside the caller's transaction."""
    config = _config()
    config.attributes["connection"] = tx
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise SchemaBehind(f"the database was made by a newer version of this program: {error}") from error


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "bridge.store:migrations")
    config.set_main_option("path_separator", "os")
    return config

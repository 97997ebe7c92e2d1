"""Bringing the tables to this version, with Alembic.

Two processes may start at once: on SQLite the migration's own write lock, on PostgreSQL an advisory lock
makes the second one wait and then find nothing to do. A migration is one transaction on both.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import text

from plans.errors import StateConflict
from store.database import Database

_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x6461726B726F6F6D  # "darkroom"


def migrate(database: Database) -> None:
    """Make or update the tables; does nothing when they are up to date.

    Raises:
        StateConflict: the database was made by a newer version.
        Unreachable: the database does not answer.
        DiskFull: there is no space left; the tables are as they were.
    """
    with database.session() as session:
        if not database.is_sqlite:
            session.connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        settings = Config(attributes={"connection": session.connection})
        settings.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
        settings.set_main_option("path_separator", "os")
        try:
            command.upgrade(settings, "head")
        except CommandError:
            raise StateConflict(
                "the database was made by a newer version of Darkroom",
                "database",
                "Run that version, or a later one.",
            ) from None


def newest() -> str:
    """Return the name of the newest migration."""
    settings = Config()
    settings.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    settings.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(settings).get_current_head() or ""

"""Opening the database, and transactions.

SQLite is the default: write-ahead log, foreign keys on, `synchronous=FULL` so that what was committed
survives a power cut, and writers that queue for `_PATIENCE_S`. A writing transaction takes SQLite's write
lock when it begins (`BEGIN IMMEDIATE`), so it can never find out at its end that somebody else was faster.
PostgreSQL by URL.

Every error of the database becomes one of ours here. Parameters, and with them values, never enter a message.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, CursorResult, Engine, Executable, create_engine, event, exc
from sqlalchemy.engine import URL, make_url

from plans.errors import DarkroomError, DiskFull, Malformed, SettingsWrong, StateConflict, Unreachable

_PATIENCE_S = 10
_SQLITE_ERROR, _SQLITE_BUSY, _SQLITE_READONLY, _SQLITE_FULL = 1, 5, 8, 13
_PG_DISK_FULL, _PG_READ_ONLY, _PG_NO_TABLE = "53100", "25006", ("42P01", "42703")


@dataclass(frozen=True, slots=True)
class Session:
    """One transaction, as it is handed to the functions of `store`. Only `store` looks inside."""

    connection: Connection

    def execute(self, statement: Executable) -> CursorResult[Any]:
        """Run one statement.

        Raises:
            Unreachable, DiskFull, StateConflict, Malformed: as `Database.session` says.
        """
        with _translated():
            return self.connection.execute(statement)


@dataclass(frozen=True, slots=True)
class Database:
    """An open database; may be shared by threads, not by forked processes."""

    engine: Engine

    @property
    def is_sqlite(self) -> bool:
        """Whether this is SQLite."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Begin a transaction that may write; commit at the end, roll back on any error.

        Raises:
            Unreachable: the database does not answer, or others held the write lock for too long.
            DiskFull: there is no space left.
            StateConflict: a key is there already, or the tables are not of this version.
        """
        with _translated(), self.engine.connect() as connection, connection.begin():
            yield Session(connection)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Begin a transaction that only reads and never waits for writers; a write in it is refused.

        Raises:
            Unreachable: the database does not answer.
            StateConflict: something tried to write.
        """
        with _translated(), self.engine.connect() as connection:
            readonly = connection.execution_options(**_read_only(self.is_sqlite))
            with readonly.begin():
                yield Session(readonly)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def open_database(url: str) -> Database:
    """Open `sqlite:///path` or `postgresql+psycopg://…`; the tables are made by `migrate`.

    Raises:
        SettingsWrong: the URL is none of the two.
        Unreachable: nobody answers there.
    """
    parsed = _parsed(url)
    if parsed.drivername == "sqlite":
        engine = create_engine(parsed, hide_parameters=True, connect_args={"timeout": _PATIENCE_S})
        _prepare_sqlite(engine)
    else:
        engine = create_engine(parsed, hide_parameters=True, pool_pre_ping=True)
    database = Database(engine)
    with _translated(), engine.connect():
        return database


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except exc.ArgumentError:
        raise SettingsWrong("this is not the URL of a database", "database_url") from None
    if parsed.drivername not in ("sqlite", "postgresql+psycopg"):
        raise SettingsWrong("a database is sqlite:///path or postgresql+psycopg://host/name", "database_url")
    if parsed.drivername == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise SettingsWrong("SQLite needs a file: sqlite:///path", "database_url")
        _make_folder(Path(parsed.database).parent)
    return parsed


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull("there is no space for the database", str(folder)) from None
        raise Unreachable("the folder of the database cannot be made", str(folder)) from None


def _prepare_sqlite(engine: Engine) -> None:
    """Make the driver leave transactions to us, and set what SQLite keeps per connection."""

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "foreign_keys=ON", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        reads = connection.get_execution_options().get("darkroom_reads", False)
        connection.exec_driver_sql(f"PRAGMA query_only={'ON' if reads else 'OFF'}")
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _read_only(sqlite: bool) -> dict[str, bool]:
    return {"darkroom_reads": True} if sqlite else {"postgresql_readonly": True}


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what the driver raises into our errors, without the driver's text."""
    try:
        yield
    except exc.StatementError as problem:
        raise _ours(problem) from None
    except exc.TimeoutError:
        raise Unreachable("all connections to the database are in use", "database") from None


def _ours(problem: exc.StatementError) -> DarkroomError:
    if isinstance(problem.orig, DarkroomError):
        return problem.orig
    if isinstance(problem, exc.IntegrityError):
        return StateConflict("there is one with this name already", "database", "Choose another name.")
    sqlite_code = getattr(problem.orig, "sqlite_errorcode", None)
    return _by_sqlite_code(sqlite_code) if sqlite_code is not None else _by_sqlstate(problem)


def _by_sqlite_code(code: int) -> DarkroomError:
    primary = code & 0xFF
    if primary == _SQLITE_FULL:
        return DiskFull("the database cannot grow: the disk is full", "database")
    if primary == _SQLITE_BUSY:
        return Unreachable(f"others kept the database busy for {_PATIENCE_S} s", "database")
    if primary == _SQLITE_ERROR:
        return _other_version()
    if primary == _SQLITE_READONLY:
        return StateConflict("this transaction, or this database, can only be read", "database")
    return Unreachable(
        "the file of the database cannot be used", "database", "Look at the file and its folder."
    )


def _by_sqlstate(problem: exc.StatementError) -> DarkroomError:
    state = getattr(problem.orig, "sqlstate", None) or ""
    if state == _PG_DISK_FULL:
        return DiskFull("the database cannot grow: the disk is full", "database")
    if state in _PG_NO_TABLE:
        return _other_version()
    if state == _PG_READ_ONLY:
        return StateConflict("this transaction, or this database, can only be read", "database")
    if isinstance(problem, (exc.OperationalError, exc.InterfaceError)):
        return Unreachable("the database does not answer", "database")
    return Malformed("the database refuses this value", "database")


def _other_version() -> DarkroomError:
    return StateConflict(
        "the database does not have the tables of this version",
        "database",
        "Run `darkroom-server up`: it migrates.",
    )

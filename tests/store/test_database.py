"""Transactions and failures: all or nothing, and each failure is a sentence of ours without a value."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from plans.errors import DarkroomError, DiskFull, Malformed, SettingsWrong, StateConflict, Unreachable
from store import api as store
from store import migrate as migration
from store import tables


def member(name: str = "a@nm", password: str = "hash") -> store.MemberRow:
    return store.MemberRow(name, "nm", ("researcher", "approver"), password, "", "", 1_700_000_000)


def test_what_a_failed_transaction_did_is_undone(database: store.Database) -> None:
    with pytest.raises(StateConflict), database.session() as session:
        store.members.add(session, member())
        raise StateConflict("something else failed")
    with database.reading() as session:
        assert store.members.all(session) == ()


def test_an_error_that_the_caller_caught_inside_does_not_half_commit(database: store.Database) -> None:
    with database.session() as session:
        store.members.add(session, member())
    with pytest.raises(StateConflict), database.session() as session:
        store.members.set_password(session, "a@nm", "other")
        store.members.add(session, member())
    with database.reading() as session:
        assert store.members.get(session, "a@nm").password_hash == "hash"


def test_a_reading_transaction_refuses_to_write_and_harms_no_later_one(database: store.Database) -> None:
    with pytest.raises(StateConflict), database.reading() as session:
        store.members.add(session, member())
    with database.session() as session:
        store.members.add(session, member())


def test_a_reader_does_not_wait_for_a_writer(database: store.Database) -> None:
    with database.session() as writer:
        store.members.add(writer, member())
        with database.reading() as reader:
            assert store.members.all(reader) == ()


def test_no_error_carries_the_value_that_caused_it(database: store.Database) -> None:
    canary = "canary-8f2b"
    with database.session() as session:
        store.members.add(session, member(canary))
    with pytest.raises(DarkroomError) as caught, database.session() as session:
        store.members.add(session, member(canary))
    told = caught.value
    assert canary not in f"{told} {told.problem()}" and told.__cause__ is None and told.__suppress_context__


@pytest.mark.parametrize("words", ["a\0b", "a\ud800b"])
def test_text_that_one_of_the_databases_would_change_is_refused_by_both(
    database: store.Database, words: str
) -> None:
    with pytest.raises(Malformed), database.session() as session:
        store.members.add(session, member(password=words))


def test_chinese_and_large_text_come_back_unchanged(database: store.Database) -> None:
    words = "内蒙古 «'%_\\\n" * 20_000
    with database.session() as session:
        store.members.add(session, member(password=words))
    with database.reading() as session:
        assert store.members.get(session, "a@nm").password_hash == words


# ---------------------------------------------------------------------------------------------- migrations


def test_migrations_lead_to_exactly_the_tables_that_the_code_uses(database: store.Database) -> None:
    with database.reading() as session:
        context = MigrationContext.configure(session.connection, opts={"compare_type": False})
        assert compare_metadata(context, tables.metadata) == []


def test_migrating_twice_and_at_the_same_time_is_migrating_once(url: str) -> None:
    opened = store.open_database(url)
    failures: list[DarkroomError] = []

    def start() -> None:
        try:
            store.migrate(opened)
        except DarkroomError as problem:
            failures.append(problem)

    threads = [threading.Thread(target=start) for _ in range(3)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert failures == []
    with opened.reading() as session:
        assert session.execute(text("select version_num from alembic_version")).scalars().all() == [
            migration.newest()
        ]
    opened.close()


def test_a_database_without_tables_says_so(url: str) -> None:
    opened = store.open_database(url)
    with pytest.raises(StateConflict, match="tables of this version"), opened.reading() as session:
        store.members.all(session)
    opened.close()


def test_applications_of_before_roles_asked_as_researchers(url: str) -> None:
    opened = store.open_database(url)
    at(opened, "0002")
    with opened.session() as session:
        names = "id, member, project, purpose, dataset, columns, until, uses, reason, state, decided_by, created_at"
        names += ', "grant"'
        said = "'a-1', 'a@nm', 'p', 'why', 'nm/tax/income', '[\"region\"]', 9, 5, '', 'open', '', 1, ''"
        session.execute(text(f"insert into applications ({names}) values ({said})"))
    store.migrate(opened)
    with opened.reading() as session:
        found = store.applications.get(session, "a-1")
    assert (found.role, found.columns, found.until) == ("researcher", ("region",), 9)
    with pytest.raises(DarkroomError), opened.session() as session:  # a new one has to say its role
        session.execute(text(f"insert into applications ({names}) values ({said.replace('a-1', 'a-2')})"))
    opened.close()


def test_sessions_of_before_labs_were_made_under_none(url: str) -> None:
    opened = store.open_database(url)
    at(opened, "0005")
    columns = "token_hash, member, kind, scopes, label, created_at, expires_at"
    insert = f"insert into sessions ({columns}) values ('{{}}', 'a@nm', 'session', '[]', '', 1, 9)"
    with opened.session() as session:
        session.execute(text(insert.format("h")))
    store.migrate(opened)
    with opened.reading() as session:
        assert store.sessions.get(session, "h", 8).parent == ""
        assert store.projects.all(session) == ()
    with pytest.raises(DarkroomError), opened.session() as session:  # a new one has to say so
        session.execute(text(insert.format("i")))
    opened.close()


def at(opened: store.Database, version: str) -> None:
    """Make the tables of an older version."""
    with opened.session() as session:
        settings = Config(attributes={"connection": session.connection})
        settings.set_main_option("script_location", str(Path(migration.__file__).parent / "migrations"))
        command.upgrade(settings, version)


def test_a_database_of_a_newer_version_is_left_alone(database: store.Database) -> None:
    with database.session() as session:
        session.execute(text("update alembic_version set version_num = 'later'"))
    with pytest.raises(StateConflict, match="newer version"):
        store.migrate(database)


# ------------------------------------------------------------------------------------------------ failures


@pytest.mark.parametrize(
    "url", ["mysql://h/x", "sqlite://", "sqlite:///:memory:", "nonsense", "postgresql+psycopg2://h/x", ""]
)
def test_only_the_two_databases_are_opened(url: str) -> None:
    with pytest.raises(SettingsWrong) as caught:
        store.open_database(url)
    assert caught.value.where == "database_url"


def test_a_database_that_is_down_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(Unreachable):
        store.open_database(f"postgresql+psycopg://u@/d?host={tmp_path}")
    (tmp_path / "folder").mkdir()
    with pytest.raises(Unreachable):
        store.open_database(f"sqlite:///{tmp_path}/folder")


def test_a_file_that_is_no_database_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("not a database at all, but somebody's letter\n" * 100)
    before = file.read_bytes()
    with pytest.raises(Unreachable):
        store.open_database(f"sqlite:///{file}")
    assert file.read_bytes() == before


@pytest.mark.postgres
def test_a_connection_that_the_server_ends_is_unreachable_once_and_then_works(postgres_folder: Path) -> None:
    opened = store.open_database(f"postgresql+psycopg://darkroom@/postgres?host={postgres_folder}")
    with pytest.raises(Unreachable), opened.session() as session:
        session.execute(text("select pg_terminate_backend(pg_backend_pid())"))
    with opened.reading() as session:
        assert session.execute(text("select 1")).scalar() == 1
    opened.close()


def test_a_full_disk_is_said_and_nothing_is_lost(tmp_path: Path) -> None:
    """SQLite's own limit of pages stands for the disk: it fails with the same code."""
    opened = store.open_database(f"sqlite:///{tmp_path}/store.db")
    store.migrate(opened)
    with opened.session() as session:
        store.members.add(session, member())
        pages = session.execute(text("pragma page_count")).scalar()
    with pytest.raises(DiskFull), opened.session() as session:
        session.execute(text(f"pragma max_page_count = {pages}"))
        store.members.add(session, member("b@nm", "x" * 100_000))
    with opened.reading() as session:
        assert [row.name for row in store.members.all(session)] == ["a@nm"]
    opened.close()


def test_sqlite_is_opened_durably(tmp_path: Path) -> None:
    opened = store.open_database(f"sqlite:///{tmp_path}/deep/er/store.db")
    with opened.session() as session:
        found = {
            name: session.execute(text(f"pragma {name}")).scalar()
            for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        }
    assert found == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2, "busy_timeout": 10_000}
    opened.close()

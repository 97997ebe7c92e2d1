"""The engine keeps its promises: encrypted files, encrypted spill, and no way out once it is locked."""

from __future__ import annotations

import secrets
from pathlib import Path

import duckdb
import pytest

from inside import engine
from plans.box import Limits

LIMITS = Limits(512, 64, 2048, 64, 60, 60, 64, 64, 2)
CANARY = "CANARY-OF-ENGINE"


@pytest.fixture
def connection(tmp_path: Path):
    (tmp_path / "spill").mkdir()
    with engine.open_engine(tmp_path / "spill", LIMITS) as opened:
        yield opened


def write_encrypted(connection: engine.Connection, path: Path) -> None:
    engine.add_key(connection, "mine", secrets.token_hex(32))
    connection.execute(
        f"COPY (SELECT '{CANARY}' || i AS word FROM range(1000) r(i)) TO {engine.literal(str(path))}"
        f" (FORMAT parquet, ENCRYPTION_CONFIG {engine.encryption('mine')})"
    )


def test_a_written_file_reads_with_its_key_and_with_no_other(
    connection: engine.Connection, tmp_path: Path
) -> None:
    path = tmp_path / "words.parquet"
    write_encrypted(connection, path)
    read = f"SELECT count(*) FROM read_parquet({engine.literal(str(path))}"
    control = connection.execute(f"{read}, encryption_config = {engine.encryption('mine')})").fetchone()
    assert control == (1000,)
    engine.add_key(connection, "other", secrets.token_hex(32))
    for wrong in (f"{read})", f"{read}, encryption_config = {engine.encryption('other')})"):
        with pytest.raises(duckdb.Error):
            connection.execute(wrong)
    assert CANARY.encode() not in path.read_bytes()


def test_a_key_has_256_bits(connection: engine.Connection) -> None:
    with pytest.raises(ValueError, match="256"):
        engine.add_key(connection, "short", "00" * 16)


def spilled_canaries(connection: engine.Connection, folder: Path) -> int:
    """Sort more than fits in memory, and count the canaries in what lies on disk before the end."""
    connection.execute("SET memory_limit = '100MiB'")
    connection.execute(f"CREATE TABLE t AS SELECT '{CANARY}' || (i * 7919) AS s FROM range(8000000) r(i)")
    files = list(folder.glob("duckdb_temp_storage*"))
    assert files, "nothing was spilled: the test proves nothing"
    return sum(file.read_bytes().count(CANARY.encode()) for file in files)


def test_what_is_spilled_is_encrypted(connection: engine.Connection, tmp_path: Path) -> None:
    assert spilled_canaries(connection, tmp_path / "spill") == 0


def test_the_canary_would_be_found_in_a_plain_spill(tmp_path: Path) -> None:
    """The control: the same work without our settings leaves rows on disk."""
    with duckdb.connect(config={"temp_directory": str(tmp_path), "threads": 2}) as plain:
        assert spilled_canaries(plain, tmp_path) > 0


WAYS_OUT = [
    "FROM read_csv('{other}')",
    "FROM read_text('{other}')",
    "FROM glob('{folder}/*')",
    "COPY (SELECT 1) TO '{folder}/leak.parquet'",
    "ATTACH '{folder}/leak.db'",
    "SET enable_external_access = true",
    "SET allowed_directories = ['/']",
    "SET temp_file_encryption = false",
    "INSTALL spatial",
    "LOAD '{folder}/x.duckdb_extension'",
    "FROM read_csv('http://127.0.0.1:1/x.csv')",
]


@pytest.mark.parametrize("statement", WAYS_OUT)
def test_a_locked_engine_opens_only_the_files_that_were_named(
    connection: engine.Connection, tmp_path: Path, statement: str
) -> None:
    mine, other = tmp_path / "mine.csv", tmp_path / "other.csv"
    mine.write_text("a\n1\n")
    other.write_text("a\n1\n")
    engine.lock(connection, readable=[mine])
    assert connection.execute(f"FROM read_csv('{mine}')").fetchall() == [(1,)]
    with pytest.raises(duckdb.Error):
        connection.execute(statement.format(other=other, folder=tmp_path))


def test_names_and_texts_cannot_leave_their_quotes() -> None:
    with duckdb.connect() as plain:
        for text in ("it's", 'a"b', "'; SELECT 1; --", "汉字", "\\"):
            row = plain.execute(f"SELECT {engine.literal(text)} AS {engine.identifier(text)}")
            assert row.fetchone() == (text,) and row.description[0][0] == text
    for quote in (engine.literal, engine.identifier):
        with pytest.raises(ValueError, match="zero"):
            quote("a\0b")

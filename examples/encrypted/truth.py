"""What the answer of a story must be: figures as in the other joint stories, and what is told person by person as
DuckDB has it when it runs the very statement on the files.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import duckdb

from darkroom.joint_result import JointResult
from examples.encrypted.stories import BY_ROWS
from examples.joint import truth as figures
from examples.joint.stories import Register, Story

HERE = Path(__file__).parent

Row = tuple[str | None, ...]


def differing(story: Story, result: JointResult, files: Path) -> int:
    """Return how many figures, or rows, of an answer are not what they must be."""
    if story.truth is not BY_ROWS:
        return figures.differing(story, result, files)
    return len(set(rows_of(story, files)) ^ set(found_in(result)))


def rows_of(story: Story, files: Path) -> list[Row]:
    """Return what the statement yields on the joined files, as texts."""
    with duckdb.connect() as connection:
        for register in story.registers:
            _table(connection, register, files / f"{register.file}.csv")
        return [_texts(row) for row in connection.execute(story.statement).fetchall()]


def found_in(result: JointResult) -> list[Row]:
    """Return an answer in the same form."""
    return [_texts(row) for row in result.rows]


def _table(connection: duckdb.DuckDBPyConnection, register: Register, path: Path) -> None:
    """Make a register's relation of its file, with the types that its description gives, and `person`."""
    description = tomllib.loads((HERE / f"{register.name}.toml").read_text(encoding="utf-8"))
    columns = [
        f'"{each["name"]}"::{_TYPES.get(each["type"], each["type"])} AS "{each["name"]}"'
        for each in description["columns"]
    ]
    if description["person"] != "none":
        columns.append(f'"{description["person"]}" AS person')
    schema, _, table = register.relation.partition(".")
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    connection.execute(
        f"CREATE TABLE {schema}.{table} AS SELECT {', '.join(columns)} FROM read_csv('{path}', all_varchar=true)"
    )


_TYPES = {"code": "VARCHAR", "text": "VARCHAR"}


def _texts(row: tuple[object, ...]) -> Row:
    """Return values as texts; a number that is a double has the digits of a score."""
    return tuple(
        None if cell is None else f"{cell:.4f}" if isinstance(cell, float) else str(cell) for cell in row
    )

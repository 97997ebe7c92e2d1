"""The engine of look-alike data: DuckDB in this process, with the rows of recipes and nothing else, and then locked.

It is for trying statements, and is like the engine of a query box where a statement could tell: no infinities, no file,
no extension, no variable of the program that calls; one thread, so that rows come in one order. What it lacks is the
guard: a statement may run here that the platform refuses. `explain` says so before anything is asked of an owner.
"""

from __future__ import annotations

import contextlib
import datetime
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from darkroom import twin_memory
from plans.errors import DarkroomError, SqlSyntax, SqlUnsupported, StateConflict, TooLarge
from plans.quoting import identifier, literal
from plans.released import Cell, ReleasedColumn
from plans.trial import TwinTable
from plans.twin_sql import select

MEMORY_MB = 512
"""What the engine may have; in a lab no more than the lab has left when the engine is opened."""

MOST_CELLS = 1_000_000
"""Cells of an answer: as many as may leave a box."""

MOST_MB = 512
"""What the rows of one recipe may take in memory, about: a recipe of some long texts would fill a kernel otherwise."""

BATCH = 10_000

_ROW_MAKERS = ("range", "generate_series", "unnest")
"""Functions that a statement may read rows of. Others would change the engine (`enable_logging`) or run texts."""

_SETTINGS: dict[str, str | bool | int] = {
    "threads": 1,
    "temp_directory": "",
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "allow_persistent_secrets": False,
    "python_enable_replacements": False,
}

Recipes = Callable[[str], TwinTable]
"""Returns the table of a relation's recipe; raises `NotFound` where there is none."""


@dataclass(frozen=True, slots=True)
class Made:
    """What a statement found among look-alike rows."""

    columns: tuple[ReleasedColumn, ...]
    rows: tuple[tuple[Cell, ...], ...]
    relations: tuple[str, ...]


class TwinEngine:
    """An engine whose relations are made when a statement first names them, and again when their recipe changes."""

    def __init__(self) -> None:
        self._duckdb = _duckdb()
        self._memory_mb = _memory_mb()
        settings = _SETTINGS | {"memory_limit": f"{self._memory_mb}MiB"}
        self._connection = self._duckdb.connect(":memory:", config=settings)
        with contextlib.suppress(
            self._duckdb.InvalidInputException
        ):  # in Jupyter it asks for widgets, to show none
            self._connection.execute("SET enable_progress_bar = false")
        self._connection.execute("SET ieee_floating_point_ops = false")
        self._connection.execute("SET enable_external_access = false")
        self._connection.execute("SET lock_configuration = true")
        self._made: dict[str, TwinTable] = {}

    def run(self, statement: str, recipes: Recipes) -> Made:
        """Run one statement that selects.

        Raises:
            SqlSyntax, SqlUnsupported: it is not one, names what is not there, or the engine refuses it.
            TooLarge: it has more than `MOST_CELLS` cells, or needs more memory than the engine may have.
            KeyboardInterrupt: it was interrupted; the engine goes on to work.
        """
        try:
            relations = self._relations(statement)
            for relation in relations:
                self._make(relation, recipes(relation))
            return self._answer(statement, relations)
        except self._duckdb.OutOfMemoryException:
            what = f"the statement needs more memory than it may have here, {self._memory_mb} MiB"
            raise TooLarge(
                what, "statement, on look-alike data", "Group rows, or read fewer columns."
            ) from None
        except self._duckdb.Error as problem:
            raise SqlSyntax(_sentence(problem), "statement, on look-alike data", _HELP) from None
        except RuntimeError as problem:
            raise _interruption(problem) from None

    def arrow(self, table: TwinTable) -> Any:
        """Return a recipe's rows as `pyarrow.Table`, typed as a job's program finds them.

        Raises:
            TooLarge: they do not fit into memory.
        """
        _require_small(table)
        try:
            return self._connection.execute(select(table, 0)).to_arrow_reader(BATCH).read_all()
        except self._duckdb.Error as problem:
            raise TooLarge(
                _sentence(problem), table.name, "Ask for fewer of its columns by a statement."
            ) from None
        except RuntimeError as problem:
            raise _interruption(problem) from None

    def _relations(self, statement: str) -> tuple[str, ...]:
        """Return the relations that a statement names, as the engine reads it."""
        if "\0" in statement:
            raise SqlSyntax("a statement holds no zero character", "statement", _HELP)
        found = self._connection.extract_statements(statement)
        if len(found) != 1 or found[0].type != self._duckdb.StatementType.SELECT:
            raise SqlUnsupported(
                "only one statement that selects is run", "statement", "Send one SELECT at a time."
            )
        # As text: DuckDB imports pandas, for a second, to look at a parameter.
        read = self._connection.execute(f"SELECT json_serialize_sql({literal(statement)})").fetchone()
        tree = json.loads(read[0])
        if tree.get("error"):
            raise SqlUnsupported(
                "this form of statement is not run here", "statement", "Write it as a plain SELECT."
            )
        for function in _row_functions(tree):
            if function not in _ROW_MAKERS:
                raise SqlUnsupported(
                    f"rows are not read of the function {function}",
                    "statement",
                    "Read a relation: darkroom.datasets()",
                )
        return tuple(sorted({name.lower() for name in _named(tree)}))

    def _make(self, relation: str, table: TwinTable) -> None:
        """Make a relation's rows, unless this very recipe has made them already."""
        if self._made.get(relation) == table:
            return
        _require_small(table)
        schema, _, name = relation.partition(".")
        self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {identifier(schema)}")
        self._connection.execute(
            f"CREATE OR REPLACE TABLE {identifier(schema)}.{identifier(name)} AS {select(table, 0)}"
        )
        self._made[relation] = table

    def _answer(self, statement: str, relations: tuple[str, ...]) -> Made:
        cursor = self._connection.execute(statement)
        columns = tuple(ReleasedColumn(str(each[0]), str(each[1])) for each in cursor.description or ())
        rows: list[tuple[Cell, ...]] = []
        while batch := cursor.fetchmany(BATCH):
            rows += [tuple(map(_cell, row)) for row in batch]
            if len(rows) * len(columns) > MOST_CELLS:
                raise TooLarge(
                    f"the answer has more than {MOST_CELLS:,} cells", "statement", "Group it, or add LIMIT."
                )
        return Made(columns, tuple(rows), relations)


def _interruption(problem: RuntimeError) -> BaseException:
    """Return what a signal's handler raised while the engine ran, such as `KeyboardInterrupt`. The engine hides it
    behind a `RuntimeError`, which an `except Exception` in a member's loop would swallow; another one stays itself.
    """
    return problem.__cause__ or problem


def _named(tree: Any) -> Iterator[str]:
    """Yield the relations in a statement as the engine parsed it; a name without schema is one of its own."""
    if isinstance(tree, dict):
        if tree.get("type") == "BASE_TABLE" and tree.get("schema_name"):
            yield f"{tree['schema_name']}.{tree['table_name']}"
        for each in tree.values():
            yield from _named(each)
    elif isinstance(tree, list):
        for each in tree:
            yield from _named(each)


def _row_functions(tree: Any) -> Iterator[str]:
    """Yield the functions that a statement reads rows of."""
    if isinstance(tree, dict):
        if tree.get("type") == "TABLE_FUNCTION":
            yield str((tree.get("function") or {}).get("function_name", "")).lower()
        for each in tree.values():
            yield from _row_functions(each)
    elif isinstance(tree, list):
        for each in tree:
            yield from _row_functions(each)


def _require_small(table: TwinTable) -> None:
    """Check that a recipe's rows, with the longest texts it can choose, fit into memory."""
    row = sum(max((len(value.encode()) for value in each.values), default=16) for each in table.visible)
    if row * table.rows > MOST_MB * 2**20:
        raise TooLarge(
            f"the look-alike rows of {table.name} would take more than {MOST_MB} MiB",
            table.name,
            "Tell the owner of the data, who declared so many or so long values.",
        )


_HELP = "Correct it; darkroom.describe(…) shows what a dataset holds, docs/sql.md what may be written."


def text_of(value: Any) -> str | None:
    """Return a value in the one spelling that released cells have."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    for kind, writer in _WRITERS:
        if isinstance(value, kind):
            return writer(value)
    return str(value)


_WRITERS: Sequence[tuple[type, Callable[[Any], str]]] = (
    (int, str),
    (float, repr),
    (Decimal, lambda value: format(value, "f")),
    (datetime.datetime, lambda value: value.isoformat(" ")),
    (datetime.date, lambda value: value.isoformat()),
)


def _cell(value: Any) -> Cell:
    return Cell(text_of(value), False)


def _sentence(problem: Exception) -> str:
    """Return what the engine says, on one line and without its drawing; it has seen made-up rows alone."""
    return (
        " ".join(str(problem).partition("\n\nLINE ")[0].split())[:400].rstrip(".") or "the engine refused it"
    )


def _memory_mb() -> int:
    room = twin_memory.here()
    return MEMORY_MB if room is None else max(twin_memory.LEAST_MB, min(MEMORY_MB, room.left // 2**20))


def _duckdb() -> Any:
    """Return the engine's module, which only look-alike data need.

    Raises:
        StateConflict: it is not installed.
    """
    try:
        import duckdb
    except ImportError:
        raise missing_engine() from None
    return duckdb


def missing_engine() -> DarkroomError:
    """Return the sentence for a machine without the engine."""
    return StateConflict(
        "look-alike data need DuckDB, which is not installed here",
        "duckdb",
        "Install it: pip install 'darkroom-client[twin]'. What runs on real data does not need it.",
    )

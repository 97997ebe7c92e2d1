"""The table of functions: what is listed is known to the engine and calls nothing else; what is dangerous is not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import duckdb
import pytest

from policies.reading import functions
from policies.reading.bounds import parse
from policies.reading.functions import EXAMPLES, FUNCTIONS, LEFT_OUT, Function, FunctionKind
from tools import functions_reference

ROOT = Path(__file__).resolve().parents[2]
WRITTEN = [entry for entry in FUNCTIONS.values() if entry.kind is not FunctionKind.INTERNAL]


@pytest.fixture(scope="module")
def engine() -> duckdb.DuckDBPyConnection:
    """An engine with the one relation that the examples are about."""
    connection = duckdb.connect(":memory:")
    connection.execute(f"CREATE TABLE r ({', '.join(f'{name} {kind}' for name, kind in EXAMPLES.items())})")
    return connection


def statement(entry: Function) -> str:
    """A statement around an example."""
    return f"select {entry.example} as f from r" + (" group by rollup(s)" if "grouping" in entry.name else "")


def called(connection: duckdb.DuckDBPyConnection, text: str) -> set[str]:
    """The functions in the engine's plan of a statement."""
    (plan,) = connection.execute("SELECT json_serialize_plan(?, optimize := false)", [text]).fetchone()
    answer = json.loads(plan)
    assert not answer["error"], answer
    return set(_names(answer))


def _names(node: Any) -> list[str]:
    if isinstance(node, list):
        return [name for each in node for name in _names(each)]
    if not isinstance(node, dict):
        return []
    own = []
    if node.get("expression_class") in ("BOUND_FUNCTION", "BOUND_AGGREGATE"):
        own = [node["name"]]
    elif node.get("expression_class") == "BOUND_WINDOW" and node["type"] != "WINDOW_AGGREGATE":
        own = [node["type"].removeprefix("WINDOW_").lower()]
    return own + [name for each in node.values() for name in _names(each)]


@pytest.mark.parametrize("entry", FUNCTIONS.values(), ids=FUNCTIONS.keys())
def test_what_is_listed_binds_and_calls_only_what_is_listed(
    engine: duckdb.DuckDBPyConnection, entry: Function
) -> None:
    names = called(engine, statement(entry))
    assert all(functions.allowed(name) for name in names), names


def test_no_listed_function_asks_the_clock_or_chance(engine: duckdb.DuckDBPyConnection) -> None:
    known = engine.execute(
        "SELECT function_name, function_type, stability FROM duckdb_functions()"
        " WHERE function_type IN ('table', 'table_macro', 'pragma') OR stability = 'VOLATILE'"
        " OR stability = 'CONSISTENT_WITHIN_QUERY'"
    ).fetchall()
    # `error` is listed for plans only, and `len`-like names that are table functions too cannot stand in FROM.
    volatile = {name for name, kind, stability in known if stability and stability != "CONSISTENT"}
    assert {"random", "now", "error"} <= volatile  # control: the engine does say so
    assert volatile & {entry.name for entry in WRITTEN} == set()


def test_nothing_is_both_listed_and_left_out() -> None:
    assert {entry.name for entry in WRITTEN} & set(LEFT_OUT) == set()


def test_what_only_the_binder_writes_cannot_be_called() -> None:
    internal = [entry for entry in FUNCTIONS.values() if entry.kind is FunctionKind.INTERNAL]
    assert internal and not any(functions.written(entry.name) for entry in internal)
    assert all(functions.allowed(entry.name) for entry in internal)


def test_what_is_not_in_the_table_is_not_allowed() -> None:
    assert not functions.allowed("query") and not functions.allowed("") and not functions.written("read_csv")
    assert functions.why_not("READ_CSV") and not functions.why_not("no_such_function")
    assert functions.written("LOWER") is FUNCTIONS["lower"]


def test_a_finish_collects_no_values() -> None:
    assert functions.written("list") and functions.written("list", finish=True) is None
    assert not functions.allowed("string_agg", finish=True) and functions.allowed("sum", finish=True)


def test_the_parsers_classes_are_those_of_listed_functions() -> None:
    """No class of a call is admitted that no listed function needs, and none is missing."""
    from sqlglot import exp

    found = {
        type(node).__name__
        for entry in WRITTEN
        for node in parse(statement(entry)).walk()
        if isinstance(node, exp.Func) and not isinstance(node, exp.Anonymous | exp.Cast)
    }
    operators = {"And", "Or", "Case", "Cast", "GroupingSets", "Rollup", "Exists", "Any"}
    assert found - operators <= functions.NODES | {"Like", "ILike", "Glob"}
    assert found | {"StrPosition"} >= functions.NODES


def test_the_page_is_generated_from_the_table() -> None:
    assert (ROOT / "docs" / "functions.md").read_text(encoding="utf-8") == functions_reference.page(), (
        "run `.venv/bin/python tools/functions_reference.py`"
    )


def test_every_listed_function_is_on_the_page() -> None:
    page = functions_reference.page()
    assert all(
        re.search(rf"\b{re.escape(entry.name)}\b", page) for entry in WRITTEN if entry.name.isidentifier()
    )

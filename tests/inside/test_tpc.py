"""SQL as analysts write it: with every column granted plainly, TPC-H and TPC-DS give what bare DuckDB gives.

Each query goes the whole way that it goes in the boxes, on data at a small scale: both readers, the decision, the
program, the relations with the used columns only under the query box's settings, and every value in the form in
which it leaves. Compared are multisets, and sequences where ORDER BY leaves no choice; floats within 1e-9.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import pytest
from sqlglot import exp

from inside import query, table
from inside.check import check
from plans.decision import Outcome
from plans.errors import Malformed
from plans.plan import Program
from plans.reading import Level, Output
from policies import api as policies
from policies.reading.bounds import parse
from tests.inside import tpc_cases
from tests.inside.tpc_cases import Suite

REFUSED: dict[str, frozenset[int]] = {"tpch": frozenset(), "tpcds": frozenset()}
"""The queries that are refused; a query that joins them is a loss of what analysts can ask."""

Row = list[Any]


@dataclass(frozen=True, slots=True)
class Bench:
    """A suite, and its tables in the schema `main` of an engine with one thread, so that ties fall alike."""

    suite: Suite
    engine: duckdb.DuckDBPyConnection


def bench(name: str, scale: float) -> Bench:
    """Generate a suite."""
    engine = duckdb.connect(config={"threads": 1})
    tpc_cases.generate(engine, name, scale)
    return Bench(tpc_cases.suite(engine, name), engine)


@pytest.fixture(scope="module", params=["tpch", "tpcds"])
def small(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A suite at scale factor 0.01."""
    made = bench(request.param, 0.01)
    with made.engine:
        yield made


# --- the two ways ---------------------------------------------------


def program(suite: Suite, statement: str) -> Program:
    """What will run for a statement, which must be allowed as it is."""
    reading = check(statement, suite.shadows, 512)
    case = suite.case(statement, reading)
    decision = policies.decide(case)
    assert (decision.outcome, decision.reasons) == (Outcome.ALLOW, ())
    assert reading.level is Level.ROWS
    return policies.program_of(case)


def relations(engine: duckdb.DuckDBPyConnection, made: Program, suite: str) -> None:
    """Make the program's relations as the query box does, over tables instead of files."""
    engine.execute(f"DROP SCHEMA IF EXISTS {suite} CASCADE; CREATE SCHEMA {suite}")
    for relation in made.relations:
        columns = ", ".join(('0::UBIGINT AS "person"', *(f'"{name}"' for name in relation.columns)))
        engine.execute(
            f"CREATE VIEW {relation.name} AS SELECT {columns} FROM main.{relation.name.partition('.')[2]}"
        )


def checked(at: Bench, made: Program) -> list[Row]:
    """The rows of a program, as they leave."""
    relations(at.engine, made, at.suite.name)
    (cells,) = made.tables
    at.engine.execute(query.NO_INFINITIES)
    described = at.engine.execute(f"DESCRIBE {cells.counted}").fetchall()
    assert [kind for _, kind, *_ in described] == [output.type for output in cells.outputs]
    rows = query.fetch(at.engine, cells.counted, 1_000_000)
    at.engine.execute("RESET ieee_floating_point_ops")
    return leaving(rows, cells.outputs)


def bare(at: Bench, statement: str, outputs: tuple[Output, ...]) -> list[Row]:
    """The rows that DuckDB alone gives for a query, in the same form."""
    text = statement.replace(f"{at.suite.name}.", "main.")
    return leaving(query.fetch(at.engine, text, 1_000_000), outputs)


def leaving(rows: list[Row], outputs: tuple[Output, ...]) -> list[Row]:
    """Values in the form of a table that leaves; floats as numbers, to be compared."""
    readers = [table.reader(output.type) for output in outputs]
    floats = [output.type in ("DOUBLE", "FLOAT") for output in outputs]
    return [
        [
            None if value is None else float(read(value)) if is_float else read(value)
            for value, read, is_float in zip(row, readers, floats, strict=True)
        ]
        for row in rows
    ]


# --- what is the same ----------------------------------------------


def same(left: list[Row], right: list[Row]) -> bool:
    """Whether two sequences of rows are equal, floats within 1e-9."""
    return len(left) == len(right) and all(
        alike(a, b) for one, other in zip(left, right, strict=True) for a, b in zip(one, other, strict=True)
    )


def alike(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-9) or (
            math.isnan(left) and math.isnan(right)
        )
    return bool(left == right) and type(left) is type(right)


def sorted_rows(rows: list[Row]) -> list[Row]:
    """Rows in an order that small differences of floats do not change."""
    return sorted(rows, key=lambda row: [f"{v:.6g}" if isinstance(v, float) else repr(v) for v in row])


def total_order(statement: str, rows: list[Row], outputs: tuple[Output, ...]) -> bool:
    """Whether ORDER BY names outputs whose values are different in every row, so that there is one order only."""
    order = parse(statement).args.get("order")
    places = [_place(term.this, outputs) for term in order.expressions] if order else []
    if not places or None in places:
        return False
    keys = [tuple(repr(row[place]) for place in places if place is not None) for row in rows]
    return len(set(keys)) == len(keys)


def _place(term: exp.Expression, outputs: tuple[Output, ...]) -> int | None:
    if isinstance(term, exp.Literal) and not term.is_string:
        return int(term.name) - 1
    names = [output.name for output in outputs]
    name = term.name.lower() if isinstance(term, exp.Column) else ""
    return names.index(name) if name in names else None


def compare(at: Bench, every: int = 1) -> dict[str, int]:
    """Compare every query of a suite, or every third one and so on, and count what was compared."""
    counts = {"read": 0, "with rows": 0, "in one order": 0}
    refused = {}
    for number, statement in list(at.suite.queries.items())[::every]:
        try:
            made = program(at.suite, statement)
        except Malformed as problem:
            refused[number] = str(problem)
            continue
        ours, theirs = checked(at, made), bare(at, statement, made.outputs)
        ordered = total_order(statement, theirs, made.outputs)
        assert same(ours, theirs) if ordered else same(sorted_rows(ours), sorted_rows(theirs)), number
        counts["read"] += 1
        counts["with rows"] += bool(theirs)
        counts["in one order"] += ordered
    assert set(refused) == REFUSED[at.suite.name], refused
    return counts


@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.long)])
def test_every_query_gives_what_bare_duckdb_gives(small: Bench, every: int) -> None:
    """All of TPC-H; of TPC-DS every third one, and all where there is time."""
    every = 1 if small.suite.name == "tpch" else every
    counts = compare(small, every)
    assert counts["read"] == {"tpch": 22, "tpcds": 99 // every}[small.suite.name]
    assert counts["with rows"] > 0.6 * counts["read"]
    assert counts["in one order"] > 0.3 * counts["read"]


@pytest.mark.long
@pytest.mark.parametrize("name", ["tpch", "tpcds"])
def test_every_query_gives_what_bare_duckdb_gives_on_more_data(name: str) -> None:
    at = bench(name, 0.2)
    with at.engine:
        counts = compare(at)
    assert counts["with rows"] > 0.8 * counts["read"]


# --- controls -----------------------------------------------------


def test_control_a_changed_value_or_order_is_noticed() -> None:
    rows = [[1, 2.0], [2, 3.0]]
    assert same(rows, [[1, 2.0 + 1e-12], [2, 3.0]])
    assert not same(rows, [[1, 2.0 + 1e-6], [2, 3.0]])
    assert not same(rows, rows[::-1])
    assert not same(sorted_rows(rows), sorted_rows(rows[:1]))


def test_control_a_column_that_is_not_shown_closes_the_level_of_rows(small: Bench) -> None:
    first, *others = small.suite.bundle.policies
    statement = f"select {first.constraints[0].column} from {small.suite.manifests[0].relation}"
    assert check(statement, small.suite.shadows, 512).level is Level.ROWS

    narrowed = replace(first, constraints=first.constraints[1:])
    bundle = replace(small.suite.bundle, policies=(narrowed, *others))
    with pytest.raises(Malformed):
        check(statement, replace(small.suite, bundle=bundle).shadows, 512)

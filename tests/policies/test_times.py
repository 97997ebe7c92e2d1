"""Totals are of numbers: of dates, times and spans there is no sum, so nobody could say who dominates their mean."""

from __future__ import annotations

from itertools import product

import duckdb
import pytest

from plans.errors import SqlUnsupported
from plans.reading import Shadow, ShadowColumn
from policies.reading import forms, grammar, read

TYPES = {"person": "UBIGINT", "d": "DATE", "e": "DATE", "t": "TIMESTAMP", "n": "INTEGER", "x": "DOUBLE"}
SHADOWS = (Shadow("s.v", tuple(ShadowColumn(name, kind, name != "person") for name, kind in TYPES.items())),)

BASES = (
    "d",
    "t",
    "n",
    "d + 1",
    "1 + d",
    "d - n",
    "d + interval 1 month",
    "date '2000-01-01'",
    "cast(d as timestamp)",
)
ARGUMENTS = (
    *BASES,
    *(f"({a}) - ({b})" for a, b in product(BASES, BASES)),
    *(f"coalesce({a}, {b})" for a, b in product(("d", "t", "null"), ("e", "d + 1", "t", "date '2000-01-01'"))),
    *(f"case when n > 3 then {a} else {b} end" for a, b in product(("d", "t"), ("e", "t", "null", "d + 1"))),
    *(f"(case when n > 3 then {a} end) - ({b})" for a, b in product(("d", "t"), ("e", "t", "d + 1"))),
    "date_trunc('month', d)",
    "date_trunc('month', d) - d",
    "d - coalesce(e, date '2000-01-01')",
    "'2000-01-01' - d",
    "-(t - d)",
    "(t - d) / 2",
    "2 * (t - d)",
    "(d - e) / 2",
    "-(d - e) * x",
    "n * interval 1 day",
    "(d + n * interval 1 day) - d",
    "(e + (d - e)) - d",
    "date_diff('day', e, d)",
    "date_diff('day', date '2000-01-01', t)",
    "year(d) + n",
)  # fmt: skip


@pytest.fixture(scope="module")
def engine() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    columns = ", ".join(f"{name} {kind}" for name, kind in TYPES.items())
    connection.execute(f"create schema s; create table s.v ({columns})")
    return connection


def kind_of(engine: duckdb.DuckDBPyConnection, text: str) -> str:
    """The engine's type of an expression; empty if it has none."""
    try:
        return str(engine.execute(f"describe select {text} as q from s.v").fetchall()[0][1])
    except duckdb.Error:
        return ""


def accepted(figure: str) -> str:
    """What each person adds to a figure, as SQL; empty if the guard refuses it."""
    try:
        (table,) = forms.read(f"select n, {figure} as f from s.v group by n", SHADOWS).tables
    except SqlUnsupported:
        return ""
    assert table.contributions is not None
    return table.contributions.statement


@pytest.mark.parametrize("function", grammar.TOTALS)
def test_what_the_guard_lets_be_added_up_the_engine_can_add_up_and_numbers_are_let(
    engine: duckdb.DuckDBPyConnection, function: str
) -> None:
    """The oracle is the engine: what it has a type for is a number, or it is refused."""
    numbers = 0
    for argument in ARGUMENTS:
        kind = kind_of(engine, argument)
        if not kind:
            continue
        contributions = accepted(f"{function}({argument})")
        is_number = kind in ("INTEGER", "BIGINT", "HUGEINT", "DOUBLE") or kind.startswith("DECIMAL")
        numbers += is_number
        if contributions:
            assert is_number, f"{function}({argument}) is of {kind}"
            engine.execute(f"explain {contributions}")
        elif is_number and function == "sum":
            with pytest.raises(SqlUnsupported) as told:
                read(f"select sum({argument}) as f from s.v", SHADOWS)
            assert "span of time" not in str(told.value), f"sum({argument}) is a number"
    assert numbers > 10


def test_without_the_rule_a_mean_of_dates_passes_and_what_persons_add_to_it_cannot_be_computed(
    engine: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control."""
    assert accepted("avg(d)") == ""
    monkeypatch.setattr("policies.reading.calls.is_time", lambda _: False)
    assert kind_of(engine, "avg(d)") == "TIMESTAMP"
    with pytest.raises(duckdb.BinderException):
        engine.execute(f"explain {accepted('avg(d)')}")


def test_the_refusal_says_what_to_write_instead_and_that_is_read() -> None:
    with pytest.raises(SqlUnsupported) as told:
        read("select avg(d) from s.v", SHADOWS)
    instead = "avg(date_diff('day', date '2000-01-01', d))"
    assert instead in told.value.next_step and accepted(instead)


def test_dates_of_a_query_in_with_are_dates_too() -> None:
    for text in (
        "with w as (select n, d as q from s.v) select n, avg(q) from w group by n",
        "with w as (select n, d + interval 1 day as q from s.v) select n, avg(q) from w group by n",
        "with w as (select n, t - d as q from s.v) select n, avg(q) from w group by n",
    ):
        with pytest.raises(SqlUnsupported, match="span of time"):
            read(text, SHADOWS)

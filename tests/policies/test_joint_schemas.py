"""Whatever the owners' columns are: what the reader lets through is exact, in range, and what DuckDB says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import duckdb
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from inside.check_joint import check_joint
from plans.errors import SqlUnsupported
from plans.joint_guards import decimals_of, largest_number
from plans.joint_shadows import JointShadow
from plans.manifest import Declared
from policies.reading import read_joint
from tests.inside.sql_cases import create
from tests.policies import joint_meaning
from tests.policies.joint_cases import joint_shadow

WHOLE = {"TINYINT": 127, "SMALLINT": 2**15 - 1, "INTEGER": 2**31 - 1, "UINTEGER": 2**32 - 1, "BIGINT": 2**60}


@dataclass(frozen=True)
class Made:
    """A column: its type, what was declared, its decimals, and how a statement uses it."""

    kind: str
    low: int
    high: int
    decimals: int
    nullable: bool
    used: str

    @property
    def declared(self) -> Declared:
        return Declared(_text(self.low, self.decimals), _text(self.high, self.decimals))

    def value(self, draw: st.DrawFn) -> Any:
        if self.nullable and draw(st.integers(0, 3)) == 0:
            return None
        ends = st.sampled_from([self.low, self.high, min(max(0, self.low), self.high)])
        whole = draw(ends | st.integers(self.low, self.high))
        if self.kind == "DOUBLE":
            return whole / 10**self.decimals
        return Decimal(_text(whole, self.decimals)) if self.decimals else whole


def _text(whole: int, decimals: int) -> str:
    sign, digits = "-" * (whole < 0), str(abs(whole)).rjust(decimals + 1, "0")
    return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}" if decimals else f"{sign}{digits}"


@st.composite
def columns(draw: st.DrawFn, name: str) -> Made:
    """A column of numbers with declared ends; doubles are used through a cast."""
    kind = draw(st.sampled_from([*WHOLE, "DECIMAL", "DECIMAL", "DOUBLE"]))
    decimals, most = 0, WHOLE.get(kind, 0)
    if kind == "DECIMAL":
        width = draw(st.integers(1, 18))
        decimals = draw(st.integers(0, min(width, 6)))
        kind, most = f"DECIMAL({width},{decimals})", 10**width - 1
    elif kind == "DOUBLE":
        decimals, most = draw(st.integers(0, 3)), 10**9
    least = 0 if kind.startswith("U") else -most
    low, high = sorted(
        (draw(st.integers(least, most)), draw(st.integers(least, most) | st.sampled_from([0, 1, most])))
    )
    used = f"cast({name} as decimal(18,{decimals}))" if kind == "DOUBLE" else name
    return Made(kind, low, high, decimals, draw(st.booleans()), used)


@st.composite
def expressions(draw: st.DrawFn, names: tuple[str, ...], depth: int = 2) -> str:
    """A number computed from one owner's columns."""
    if depth == 0 or draw(st.integers(0, 2)) == 0:
        return draw(st.sampled_from(names))
    inner = expressions(names, depth - 1)
    constant = draw(st.sampled_from(["0", "1", "2", "0.5", "10", "1.25", "100"]))
    return draw(
        st.sampled_from(
            [
                f"({draw(inner)} + {constant})", f"({constant} - {draw(inner)})", f"({draw(inner)} * {constant})",
                f"(- {draw(inner)})", f"({draw(inner)} + {draw(inner)})", f"({draw(inner)} * {draw(inner)})",
                f"case when {draw(st.sampled_from(names))} > {constant} then {draw(inner)} end",
                f"case when {draw(st.sampled_from(names))} > {constant} then {draw(inner)} else 0 end",
                f"case when {draw(st.sampled_from(names))} is null then 1 else 0 end",
            ]
        )
    )  # fmt: skip


@st.composite
def worlds(draw: st.DrawFn) -> tuple[tuple[JointShadow, ...], list[list[tuple[Any, ...]]], str]:
    """Two owners with two columns each, some rows, and one figure."""
    shadows, tables, used = [], [], []
    for owner, relation in enumerate(("health.visits", "tax.income")):
        named = {f"{'ab'[owner]}{n}": draw(columns(f"{'ab'[owner]}{n}")) for n in range(2)}
        listed: dict[str, tuple[str, Declared | None]] = {
            name: (made.kind + "?" * made.nullable, made.declared) for name, made in named.items()
        }
        shadows.append(joint_shadow(relation, ("nm/health", "nm/tax")[owner], 100, **listed))
        persons = draw(st.lists(st.integers(0, 9), unique=True, max_size=8))
        tables.append([(n, f"id{n}", *(made.value(draw) for made in named.values())) for n in persons])
        used.append(tuple(made.used for made in named.values()))
    alone = [expressions(names) for names in used]
    function = draw(st.sampled_from(["sum", "avg", "var_samp", "var_pop", "stddev_pop", "count"]))
    figure = draw(
        st.sampled_from(
            [
                f"{function}({draw(alone[0])})", f"{function}({draw(alone[1])})",
                f"sum({draw(alone[0])} * {draw(alone[1])})", f"avg({draw(alone[0])} * {draw(alone[1])})",
                f"corr({draw(alone[0])}, {draw(alone[1])})", f"corr({draw(alone[0])}, {draw(alone[0])})",
            ]
        )
    )  # fmt: skip
    return (
        tuple(shadows),
        tables,
        f"select {figure} as f, count(*) as n from health.visits join tax.income using (person)",
    )


@settings(max_examples=25, deadline=None)
@given(worlds())
def test_what_is_read_is_exact_in_range_and_what_duckdb_says(
    world: tuple[tuple[JointShadow, ...], list[list[tuple[Any, ...]]], str],
) -> None:
    shadows, tables, statement = world
    try:
        reading = read_joint(statement, shadows)
    except SqlUnsupported:
        assume(False)
    assert check_joint(statement, shadows, 256) == reading
    with duckdb.connect(":memory:") as database:
        for shadow, rows in zip(shadows, tables, strict=True):
            create(database, shadow.shadow, rows)
        ((codes, cells),) = joint_meaning.cells(database, reading).items()
        ((theirs, count),) = _answer(database, statement)
    assert codes == () and cells["n"].value == count
    assert all(abs(each) <= largest_number(reading, max(1, count)) for each in cells["n"].magnitudes)
    ours = cells["f"].value
    if not cells["f"].persons or theirs is None:
        return
    scale = decimals_of(reading, reading.sums[reading.figures[0].sums[0]])
    if isinstance(theirs, Fraction):
        assert ours == theirs
    elif ours is not None:
        assert math.isclose(ours, theirs, rel_tol=1e-6, abs_tol=10.0 ** -(scale + 3)) or _spread(
            reading.figures[0].function
        )


def _spread(function: str) -> bool:
    """DuckDB computes these with floating point, which may lose everything where numbers are large and alike."""
    return function not in ("sum", "avg", "count")


def _answer(database: joint_meaning.Database, statement: str) -> list[tuple[Any, int]]:
    """DuckDB's answer; none where its own arithmetic overflows, which the owners' boxes never do."""
    try:
        found = database.execute(statement).fetchall()
    except (duckdb.OutOfRangeException, duckdb.ConversionException, duckdb.InvalidInputException):
        relations = statement.partition(" from ")[2]
        return [(None, database.execute(f"select count(*) from {relations}").fetchall()[0][0])]
    return [(joint_meaning.value(found[0][0]), found[0][1])]

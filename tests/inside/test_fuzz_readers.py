"""Random statements: the first reader finds every column that the engine's binder finds, or refuses.

A silent miss would be a column that is read without anybody asking whether it may be. The controls weaken the
first reader on purpose, and the same search catches it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import duckdb
import pytest
from sqlglot import exp

from inside.bound import planned, shadow_engine
from inside.plan_columns import read_plan
from plans.errors import Malformed
from plans.reading import ColumnUse
from policies.reading.bounds import parse
from policies.reading.general import find
from policies.reading.rows import read_rows
from tests.inside import statement_grammar
from tests.inside.statement_grammar import Grammar

SHADOWS = statement_grammar.shadows()
FEW, CAUGHT, MANY, PART = 600, 2_000, 100_000, 10_000

Uses = tuple[ColumnUse, ...]
Reader = Callable[[str], Uses | None]


@dataclass
class Outcome:
    """Of a search: how many statements both read, one refused, or nobody reads; and what was missed."""

    both: int = 0
    refused: int = 0
    neither: int = 0
    missed: list[str] = field(default_factory=list)

    @property
    def shortest(self) -> str:
        """The shortest statement with a miss, and the columns."""
        return min(self.missed, key=len, default="")


def first(statement: str) -> Uses | None:
    """What the first reader finds, or none where it refuses."""
    try:
        reading = read_rows(parse(statement), statement, SHADOWS)
    except Malformed:
        return None
    return reading.uses if reading else None


def second(engine: duckdb.DuckDBPyConnection, statement: str) -> frozenset[tuple[str, str]] | None:
    """The columns in the engine's plan, or none where the engine or the second reader refuses."""
    try:
        return read_plan(planned(engine, statement)).pairs
    except Malformed:
        return None


def search(reader: Reader, seed: int, count: int, *, all_of_them: bool = True) -> Outcome:
    """Try `count` statements, or end at the first miss."""
    grammar, found = Grammar(seed), Outcome()
    with shadow_engine(SHADOWS, 512) as engine:
        for _ in range(count):
            statement = grammar.statement()
            uses, columns = reader(statement), second(engine, statement)
            if uses is None or columns is None:
                found.neither += uses is None and columns is None
                found.refused += uses is not None or columns is not None
                continue
            found.both += 1
            missing = columns - {(use.relation, use.column) for use in uses}
            if missing:
                found.missed.append(f"{statement}\n{sorted(missing)}")
                if not all_of_them:
                    break
    return found


def test_no_column_is_missed_in_hundreds_of_statements() -> None:
    outcome = search(first, 20_261_128, FEW)
    assert not outcome.missed, outcome.shortest
    assert outcome.both > 0.7 * FEW  # most statements are read by both: the search is not about refusals
    assert outcome.refused > 0.03 * FEW  # and it does go where readers refuse


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(MANY // PART))
def test_no_column_is_missed_in_a_hundred_thousand_statements(part: int) -> None:
    outcome = search(first, part, PART)
    assert not outcome.missed, outcome.shortest
    assert outcome.both > 0.7 * PART


# --- controls -----------------------------------------------------


def weakened(change: Callable[[exp.Expression], exp.Expression | None]) -> Reader:
    """A first reader that sees the tree only after `change` has been made to each of its nodes."""

    def read(statement: str) -> Uses | None:
        try:
            return find(parse(statement).transform(change), SHADOWS).uses
        except Malformed:
            return None

    return read


def without(*parts: str) -> Callable[[exp.Expression], exp.Expression]:
    """A change that takes these parts from every node that has them."""

    def change(node: exp.Expression) -> exp.Expression:
        for part in parts:
            if node.args.get(part):
                node.set(part, None)
        return node

    return change


def starless(node: exp.Expression) -> exp.Expression:
    """A change after which `*` is a constant."""
    return exp.Literal.number(1) if isinstance(node, exp.Star) else node


def conditionless(node: exp.Expression) -> exp.Expression:
    """A change after which no subquery is tested for being there."""
    return exp.true() if isinstance(node, exp.Exists) else node


CONTROLS = {
    "ignores ORDER BY": without("order"),
    "ignores QUALIFY": without("qualify"),
    "ignores GROUP BY": without("group"),
    "ignores HAVING": without("having"),
    "ignores WHERE": without("where"),
    "ignores conditions of joins": without("on"),
    "ignores USING": without("using"),
    "ignores DISTINCT ON": without("distinct"),
    "ignores PARTITION BY": without("partition_by"),
    "ignores stars": starless,
    "ignores EXISTS": conditionless,
}


@pytest.mark.parametrize("change", CONTROLS.values(), ids=CONTROLS)
def test_control_a_weakened_first_reader_is_caught(
    change: Callable[[exp.Expression], exp.Expression],
) -> None:
    assert search(weakened(change), 7, CAUGHT, all_of_them=False).missed


def test_control_nothing_is_missed_by_the_same_reader_unweakened() -> None:
    assert not search(weakened(lambda node: node), 7, 300).missed

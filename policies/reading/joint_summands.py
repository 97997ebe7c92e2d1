"""What a known quantity must not hide in a figure on shares: the summands of its value, each tested by itself.

`sum(income + 1000000)` passes every test of dominance, since everybody adds a million of which everybody knows, and the
asker takes it off again (ATTACKS 29). So a value is cut into monomials, as for one owner (`policies.reading.summands`),
and a figure is opened only if nobody dominates any of them: `JointFigure.beside` names their totals, which are tested
and never opened.

The reader itself moves values of deviations and correlations by a constant, so that none is negative; beside them the
values that were asked for are tested. Differences of more than two columns, constants beside a difference or in a
deviation, and `+` or `-` in a factor or in `corr` would take still further totals. They are refused: sums add up on the
member's side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import islice

from sqlglot import exp

from policies.reading import joint_ranges as ranges
from policies.reading import refusal
from policies.reading.joint_ranges import Facts, Range
from policies.reading.tree import (
    NULL,
    ZERO,
    Branch,
    Case,
    Constant,
    Expression,
    Operation,
    Sort,
    value_columns,
)

ONE = Constant(Sort.NUMBER, "1")

MOST_COEFFICIENT = 1_000_000
"""The largest value (times 10^decimals) of the smaller of two owners' factors."""

MOST_TERMS = 16
"""How many monomials a value is multiplied out to at the most: each is a column that its owner shares."""

Monomial = tuple[int, tuple[Expression, ...]]
"""A sign and factors; weights are left out, since dominance does not depend on the unit."""


@dataclass(frozen=True, slots=True)
class Value:
    """A number that one owner computes: whose it is (place of the portion), how, and its range.

    A `ready` one is of our own making, already as the owner's box computes it.
    """

    portion: int
    expression: Expression
    range: Range
    node: exp.Expression = field(compare=False)
    ready: bool = False


def absolute(value: Value) -> Value:
    """Return the absolute value, as the owner's box computes it; the value itself, where none is negative."""
    if value.range.low >= 0:
        return value
    itself = ranges.exact(value.expression)
    negative = ranges.exact(Operation("negative", (value.expression,)))
    found = Case((Branch(Operation("<", (itself, ZERO)), negative),), itself)
    bounds = replace(value.range, low=0, high=max(-value.range.low, value.range.high))
    return Value(value.portion, found, bounds, value.node, ready=True)


def summands(value: Value, facts: Facts, deviation: bool = False) -> tuple[Value, ...]:
    """Return what is tested beside a value in the rows in which that is there; nothing where it is one summand.

    Raises:
        SqlUnsupported: these would not be all that a constant or another column could hide.
    """
    found = list(dict.fromkeys(_few(value)))
    measured = [factors for _, factors in found if any(map(value_columns, factors))]
    if len(found) < 2 or not measured:
        return ()
    given = tuple(_given(value, reduce(_times, factors), facts) for factors in dict.fromkeys(measured))
    mixed = len({sign for sign, _ in found}) > 1 or any(each.range.low < 0 for each in given)
    constant = len(measured) < len(found)
    if (constant and (deviation or (mixed and len(given) > 1))) or (mixed and len(given) > 2):
        raise refusal.unsupported(
            value.node,
            "a constant or a further column in this value could hide that one person makes up the rest",
            "Leave constants out of deviations; ask for sums of single columns, and add those up on your side.",
        )
    return given


def require_one_summand(value: Value) -> None:
    """Check that a value has no `+` or `-`.

    Raises:
        SqlUnsupported: it has, in which one summand could hide another.
    """
    if len(_few(value)) > 1:
        raise refusal.unsupported(
            value.node,
            "an argument of corr, or a factor of a product over two owners, is a sum or a difference, of which one part"
            " could hide that one person makes up the other",
            "A constant changes no correlation: leave it out. Ask for products with each part, and add those up.",
        )


def require_small(values: tuple[Value, ...], node: exp.Expression) -> None:
    """Check that one of two owners' factors is small (ATTACKS 98).

    Raises:
        SqlUnsupported: both may be large.
    """
    if min(value.range.high for value in values) > MOST_COEFFICIENT:
        raise refusal.unsupported(
            node,
            f"both factors of a product over two owners may be larger than {MOST_COEFFICIENT:,}, decimals included:"
            " wide factors could write single values of the other side into one sum",
            "Use a factor of 0 and 1 (CASE), cast one to fewer decimals, or ask for a narrower declared range.",
        )


def _few(value: Value) -> list[Monomial]:
    """Return the monomials of a value, of which n brackets could make 2^n."""
    found = list(islice(_cut(value.expression), MOST_TERMS + 1))
    if len(found) > MOST_TERMS:
        raise refusal.unsupported(
            value.node,
            f"a value is multiplied out to more than {MOST_TERMS} terms",
            "Ask for sums of fewer terms, and add those up on your side.",
        )
    return found


def _cut(expression: Expression) -> Iterator[Monomial]:
    match expression:
        case Constant():
            yield from () if ranges.is_nothing(expression) else ((1, ()),)
        case Operation(operator="negative", operands=(operand,)):
            yield from ((-sign, factors) for sign, factors in _cut(operand))
        case Operation(operator="+" | "-" as operator, operands=(left, right)):
            yield from _cut(left)
            yield from ((sign if operator == "+" else -sign, factors) for sign, factors in _cut(right))
        case Operation(operator="*", operands=(left, right)):
            for sign, factors in _cut(left):
                yield from ((sign * other, factors + more) for other, more in _cut(right))
        case Case():
            valued = next((each for each in expression.values if not ranges.is_nothing(each)), NULL)
            for sign, factors in _cut(valued):
                yield sign, (_chosen(expression, reduce(_times, factors) if factors else ONE),)
        case _:
            yield 1, (expression,)


def _times(left: Expression, right: Expression) -> Expression:
    return Operation("*", (left, right))


def _chosen(case: Case, value: Expression) -> Case:
    """Return a CASE with another value in its one branch that has one."""
    kept = (each if ranges.is_nothing(each) else value for each in case.values)
    branches = tuple(
        Branch(branch.condition, each) for branch, each in zip(case.branches, kept, strict=False)
    )
    return Case(branches, case.otherwise if ranges.is_nothing(case.otherwise) else value)


def _given(whole: Value, part: Expression, facts: Facts) -> Value:
    """Return a summand in the rows in which the whole value is there."""
    bounds = ranges.range_of(part, facts, whole.node)
    if not whole.range.nullable:
        return Value(whole.portion, part, bounds, whole.node)
    missing = Operation("is null", (ranges.exact(whole.expression),))
    there = Case((Branch(missing, NULL),), ranges.exact(part))
    return Value(whole.portion, there, replace(bounds, nullable=True), whole.node, ready=True)

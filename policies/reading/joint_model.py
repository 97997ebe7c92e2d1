"""Numbers of a model and of the rows that it scores: each with its range, and none that may be without a value."""

from __future__ import annotations

from sqlglot import exp

from policies.reading import joint_ranges as ranges
from policies.reading import refusal
from policies.reading.joint_figures import Sums, local
from policies.reading.joint_ranges import Range
from policies.reading.joint_summands import Value
from policies.reading.tree import Cast, Column, Expression, Operation, columns

ROWS, MODEL = 0, 1
"""Places of the two portions."""


def bare(node: exp.Expression) -> exp.Expression:
    """Return a node without the brackets around it."""
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def coefficient(node: exp.Expression, sums: Sums, *, negative: bool = False) -> int:
    """Return the place of a number of the model, a column as it stands or its cast, added if it is new.

    Raises:
        SqlUnsupported: it is something else, or no range follows.
    """
    found = local(node, sums.scope)
    itself = found.operand if isinstance(found, Cast) else found
    if not isinstance(itself, Column):
        raise refusal.unsupported(
            node,
            "a coefficient is a column of the model as it stands",
            "Ask its owner for a model that has the number in a column of its own.",
        )
    sums.stand_in(MODEL, "sum", found)
    return sums.operand(number(MODEL, found, node, sums, negative))[1]


def number(
    portion: int, expression: Expression, node: exp.Expression, sums: Sums, negative: bool = False
) -> Value:
    """Return a feature or a coefficient with its range.

    Raises:
        SqlUnsupported: none follows, or it may be without a value.
    """
    if negative:
        expression = Operation("negative", (expression,))
    found = ranges.range_of(expression, sums.facts, node)
    require_value(portion, expression, found, node)
    return Value(portion, expression, found, node)


def require_value(portion: int, expression: Expression, found: Range, node: exp.Expression) -> None:
    """Check that a feature or a coefficient has a value in every row.

    Raises:
        SqlUnsupported: it may have none.
    """
    if not found.nullable:
        return
    names = ", ".join(dict.fromkeys(each.name for each in columns(expression) if each.nullable))
    raise refusal.unsupported(
        node,
        f"{('a feature', 'a coefficient')[portion]} may be without a value ({names}), and nothing would stand for it",
        ("Write coalesce(column, a number).", "Ask the model's owner for a version without gaps.")[portion],
    )

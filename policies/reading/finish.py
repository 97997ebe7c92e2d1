"""What may stand in a `finish`: a SELECT over tables of cells, and nothing that looks elsewhere.

A finish is written from the parser's tree, of whose nodes only those listed here may be in it. It names no
relation but `cells_0` … and its own names of WITH, and calls listed functions only. It runs where nothing but
these tables is; this list is there so that nothing depends on that alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sqlglot import exp
from sqlglot.errors import SqlglotError

from policies.reading import functions, grammar, refusal, translate, words
from policies.reading.bounds import BOUNDS, DIALECT, require_shallow, too_deep
from policies.reading.sources import identifier, refuse_extra

MOST_CHARACTERS = 100_000
_CELLS = re.compile(r"cells_\d+")
_NODES = (
    exp.Select, exp.Union, exp.Except, exp.Intersect, exp.Subquery, exp.With, exp.CTE, exp.From, exp.Join, exp.Table,
    exp.TableAlias, exp.Identifier, exp.Column, exp.Star, exp.Alias, exp.Paren, exp.Where, exp.Group, exp.Having,
    exp.Qualify, exp.Distinct, exp.Order, exp.Ordered, exp.Limit, exp.Offset, exp.Rollup, exp.Cube, exp.GroupingSets,
    exp.Tuple, exp.Grouping, exp.Window, exp.WindowSpec, exp.Filter, exp.IgnoreNulls, exp.RespectNulls, exp.Literal,
    exp.Boolean, exp.Null, exp.Interval, exp.Var, exp.DataType, exp.DataTypeParam, exp.Cast, exp.TryCast, exp.Case,
    exp.If, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Neg, exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT,
    exp.GTE, exp.And, exp.Or, exp.Not, exp.Between, exp.In, exp.Is, exp.Like, exp.ILike, exp.NullSafeEQ,
    exp.NullSafeNEQ, exp.Exists, exp.Any, exp.All, exp.DPipe,
)  # fmt: skip
"""Nodes that a finish may hold, beside calls of listed functions."""

_VARS = {
    "ALL",
    *(unit.upper() for unit in grammar.DATE_PARTS),
    *(unit.upper() for unit in grammar.INTERVAL_UNITS),
}
_WIDTHS = re.compile(r"\d{1,2}")


def write(finish: exp.Expression, tables: int) -> str:
    """Return a finish over this many tables of cells as SQL, without comments.

    Raises:
        SqlUnsupported: something in it is not listed.
    """
    require_shallow(finish)
    defined = {identifier(item.args["alias"].this) for item in finish.find_all(exp.CTE)}
    known = {f"cells_{number}" for number in range(tables)}
    for node in finish.walk():
        _require_listed(node)
        if isinstance(node, exp.Table):
            _require_cells(node, known | defined)
    try:
        text = str(finish.sql(dialect=DIALECT, identify=True, comments=False))
    except RecursionError:
        raise too_deep() from None
    except SqlglotError:
        raise refusal.unsupported(finish, "the statement cannot be written down over its figures") from None
    if len(text) > MOST_CHARACTERS:
        raise refusal.unsupported(
            None, f"what is computed from the figures has more than {MOST_CHARACTERS:,} characters"
        )
    return text


def is_reserved(name: str) -> bool:
    """Return whether a name is one that tables of cells have."""
    return _CELLS.fullmatch(name) is not None


def _require_listed(node: exp.Expression) -> None:
    if isinstance(node, exp.Func) and not isinstance(node, _NODES):
        _require_function(node)
    elif not isinstance(node, _NODES):
        raise refusal.unsupported(node, f"{refusal.word(node)} is not in the subset")
    for kind, rule in _RULES:
        if isinstance(node, kind):
            rule(node)


def _require_column(node: exp.Column) -> None:
    refuse_extra(node, {"this", "table"})


def _require_word(node: exp.Var) -> None:
    if str(node.this).upper() not in _VARS:
        raise refusal.unsupported(node, "this word is not in the subset")


def _require_number(node: exp.Limit | exp.Offset) -> None:
    count = node.expression
    if not isinstance(count, exp.Literal) or count.is_string or not str(count.this).isdigit():
        raise refusal.unsupported(node, f"{refusal.word(node).upper()} takes a whole number")


def _require_short(node: exp.In) -> None:
    if len(node.expressions) > BOUNDS.list_items:
        raise refusal.unsupported(node, f"IN takes at most {BOUNDS.list_items:,} values")


def _require_function(node: exp.Func) -> None:
    name = node.name if isinstance(node, exp.Anonymous) else type(node).__name__
    by_name = isinstance(node, exp.Anonymous) and functions.written(str(node.this), finish=True) is not None
    by_class = not isinstance(node, exp.Anonymous) and name in functions.NODES and _may_finish(node)
    if not by_name and not by_class:
        raise refusal.unsupported(
            node,
            f"the function {refusal.shown(name.lower())} is not in the subset over figures",
            "See docs/functions.md.",
        )


def _may_finish(node: exp.Func) -> bool:
    """Return whether a listed class may be called here; one whose name is not the engine's is left to the binder."""
    found = functions.FUNCTIONS.get(functions.aggregate_name(type(node).__name__, node.sql_name().lower()))
    return found is None or found.finish


def _require_type(node: exp.DataType) -> None:
    kind = str(getattr(node.this, "value", node.this))
    sizes = [str(size.this) for size in node.expressions]
    if (kind not in grammar.CAST_TYPES and kind != "BOOLEAN") or not all(map(_WIDTHS.fullmatch, sizes)):
        known = ", ".join(sorted(set(grammar.CAST_TYPES.values()) | {"BOOLEAN"}))
        raise refusal.unsupported(node, "a cast to this type is not in the subset", f"Types: {known}.")


def _require_cells(table: exp.Table, known: set[str]) -> None:
    extra = {name for name, value in table.args.items() if value not in (None, False, [])} - {"this", "alias"}
    if extra or not isinstance(table.this, exp.Identifier) or identifier(table.this) not in known:
        raise refusal.unsupported(
            table, "what is computed from figures reads figures only", "Aggregate it first."
        )


_RULES: tuple[tuple[type[exp.Expression], Callable[[Any], object]], ...] = (
    (exp.Column, _require_column),
    (exp.Literal, translate.read_literal),
    (exp.Identifier, identifier),
    (exp.Var, _require_word),
    (exp.Limit, _require_number),
    (exp.Offset, _require_number),
    (exp.In, _require_short),
    (exp.DataType, _require_type),
    (exp.Pad, words.require_short),
)
"""What is asked of some listed nodes besides."""

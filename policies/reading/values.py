"""Expressions of any SELECT: the base columns in them, each in the clause in which it stands.

Every node of the parser's tree is visited, and only nodes that are listed may be there: so nothing is left out
because it stands in an unexpected part of a node. Which part it is only decides the clause.
"""

from __future__ import annotations

from typing import Protocol

from sqlglot import exp

from plans.errors import SqlUnsupported
from plans.reading import Clause
from policies.reading import functions, refusal
from policies.reading.places import NO_BASES, Bases, Item, Place, is_token
from policies.reading.sources import refuse_extra


class Collector(Protocol):
    """What reads the queries inside an expression, and remembers what is used."""

    def use(self, bases: Bases, clause: Clause, function: str = "") -> None:
        """Remember a use of base columns."""

    def link(self, bases: Bases) -> None:
        """Remember tokens that are set equal to each other."""

    def query(self, node: exp.Expression, place: Place) -> tuple[Item, ...]:
        """Read a query that stands in this place."""


_LEAVES = (exp.Literal, exp.Null, exp.Boolean)
_PLAIN_TEXT = """
Add Sub Mul Div IntDiv Mod Neg DPipe And Or Not Paren Tuple Is Interval Escape Window WindowSpec Order
Ordered Filter Where Having Qualify Distinct WithinGroup IgnoreNulls RespectNulls GroupingSets Rollup
Cube Group Case Any All Exists Limit Offset LimitOptions
"""
_PLAIN = frozenset(_PLAIN_TEXT.split())
_ARITHMETIC = frozenset(["Add", "Sub", "Mul", "Div", "IntDiv", "Mod", "Neg", "DPipe"])
_COMPARISONS_TEXT = """
EQ NEQ LT LTE GT GTE NullSafeEQ NullSafeNEQ In Between Like ILike Glob SimilarTo RegexpLike StartsWith
"""
_COMPARISONS = frozenset(_COMPARISONS_TEXT.split())
_WORDS = {"Interval": "unit", "Extract": "this", "WindowSpec": "exclude", "Ordered": "this"}
"""Nodes in which a bare word is part of the syntax, and the part where it stands."""
_UNITS = {"DateDiff", "TimestampTrunc"}
"""Nodes whose unit the parser makes a bare word of; `words` makes sure that it was written as text."""

_TYPES_TEXT = """
BOOLEAN TINYINT SMALLINT INT BIGINT INT128 UTINYINT USMALLINT UINT UBIGINT FLOAT DOUBLE DECIMAL TEXT
VARCHAR CHAR DATE TIME TIMESTAMP TIMESTAMPNTZ INTERVAL
"""
_TYPES = frozenset(_TYPES_TEXT.split())


def read_value(node: exp.Expression, clause: Clause, place: Place, collector: Collector) -> Bases:
    """Return the base columns in an expression, having told the collector in which clause each of them stands.

    Raises:
        SqlSyntax, SqlUnsupported: something in it is not there, or not listed.
    """
    found = NO_BASES
    waiting: list[tuple[exp.Expression, Clause, str]] = [(node, clause, "")]
    while waiting:
        each, where, function = waiting.pop()
        if isinstance(each, exp.Column):
            bases = place.column(each)
            collector.use(bases, where, function)
        elif isinstance(each, exp.Query):
            bases = _of_query(each, where, function, place, collector)
        elif isinstance(each, exp.EQ | exp.In) and (linked := _link(each, place, collector)):
            bases = linked
        else:
            waiting += _parts(each, where, function)
            continue
        found |= bases
    return found


def strip(node: exp.Expression) -> exp.Expression:
    """Return an expression without the parentheses around it."""
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def _of_query(
    node: exp.Expression, clause: Clause, function: str, place: Place, collector: Collector
) -> Bases:
    items = collector.query(node, place)
    if isinstance(node.parent, exp.Exists):
        return NO_BASES  # it asks whether there is a row, not what is in it
    bases = NO_BASES.union(*(item.bases for item in items))
    collector.use(bases, clause, function)
    return bases


def _link(node: exp.EQ | exp.In, place: Place, collector: Collector) -> Bases:
    """Return the person tokens that a condition sets equal, or nothing where it does something else.

    It is the only thing beside `count(distinct person)` that a statement may do with tokens.
    """
    left = strip(node.this)
    right = strip(node.expression) if isinstance(node, exp.EQ) else node.args.get("query")
    if not isinstance(left, exp.Column) or not is_token(place.column(left)):
        return NO_BASES
    if isinstance(right, exp.Column):
        tokens = place.column(right)
    elif isinstance(node, exp.In) and isinstance(right, exp.Query):
        refuse_extra(node, {"this", "query"})
        items = collector.query(right, place)
        tokens = items[0].bases if len(items) == 1 else NO_BASES
    else:
        return NO_BASES
    if not is_token(tokens):
        return NO_BASES
    linked = place.column(left) | tokens
    collector.link(linked)
    return linked


# --- what stands inside what -----------------------------------------------------


def _parts(node: exp.Expression, clause: Clause, function: str) -> list[tuple[exp.Expression, Clause, str]]:
    """Return the expressions directly inside a listed node, each with its clause."""
    kind = type(node).__name__
    if isinstance(node, _LEAVES):
        refuse_extra(node, {"this", "is_string"})
        return []
    if isinstance(node, exp.Cast | exp.TryCast):
        _require_type(node.args.get("to"))
        refuse_extra(node, {"this", "to", "safe"})
        return [(node.this, clause, function)]
    _require_listed(node, kind)
    if isinstance(node, exp.AggFunc) or _calls_aggregate(node):
        clause, function = _aggregate(node, clause)
    elif isinstance(node, exp.Window):
        clause, function = Clause.WINDOW, ""
    elif isinstance(node, exp.Where | exp.Having | exp.Qualify):
        clause, function = Clause.FILTER, ""
    clause = _compared(node, kind, clause)
    return [
        (child, _choosing(child), "") if _chooses(child) else (child, clause, function)
        for child in node.iter_expressions()
        if not _is_syntax(node, kind, child)
    ]


def _require_listed(node: exp.Expression, kind: str) -> None:
    if kind in _PLAIN or kind in _COMPARISONS or kind in functions.NODES:
        return
    if isinstance(node, exp.Anonymous):
        if functions.written(node.name):
            return
        raise not_listed(node, node.name)
    if isinstance(node, exp.Func):
        raise not_listed(node, node.sql_name())
    if isinstance(node, exp.Star):
        raise refusal.unsupported(node, "* stands where a value belongs", "Name the columns.")
    raise refusal.unsupported(node, f"{refusal.word(node)} is not in the list of what a statement may hold")


def not_listed(node: exp.Expression | None, name: str) -> SqlUnsupported:
    """Return the refusal of a function that is not in the table."""
    reason = functions.why_not(name)
    return refusal.unsupported(
        node,
        f"the function {refusal.shown(name.lower())} is not listed" + (f": {reason}" if reason else ""),
        "docs/functions.md lists those that a statement may call.",
    )


def _calls_aggregate(node: exp.Expression) -> bool:
    found = functions.written(node.name) if isinstance(node, exp.Anonymous) else None
    return found is not None and found.aggregates


def _aggregate(node: exp.Expression, clause: Clause) -> tuple[Clause, str]:
    """Return the clause of an aggregate's arguments; as a function of a window it is the window's."""
    above, below = node.parent, node
    while isinstance(above, exp.Filter | exp.IgnoreNulls | exp.RespectNulls | exp.WithinGroup):
        above, below = above.parent, above
    if isinstance(above, exp.Window) and above.this is below:
        return Clause.WINDOW, ""
    name = node.name.lower() if isinstance(node, exp.Anonymous) else node.sql_name().lower()
    if isinstance(node, exp.Count) and isinstance(node.this, exp.Distinct):
        name = "count_distinct"
    return Clause.AGGREGATE, functions.aggregate_name(type(node).__name__, name)


def _chooses(child: exp.Expression) -> bool:
    """Return whether a part is the condition of a CASE or `if`, or what a simple CASE compares."""
    above = child.parent
    return child.arg_key == "this" and isinstance(above, exp.If | exp.Case)


def _choosing(child: exp.Expression) -> Clause:
    """Return the clause of what chooses: `CASE x WHEN 5` compares."""
    case = (
        child.parent if isinstance(child.parent, exp.Case) else child.parent.parent if child.parent else None
    )
    compares = isinstance(case, exp.Case) and case.this is not None
    return Clause.COMPARE if compares else Clause.FILTER


def _compared(node: exp.Expression, kind: str, clause: Clause) -> Clause:
    """Return the clause of the parts of a node: where a condition compares anything but bare columns, `compare`.

    What is computed beside a column may be a constant in disguise, as in `x = 5 + 0 * y`; a subquery may yield one.
    """
    if clause is not Clause.FILTER or isinstance(node, exp.Query):
        return clause
    if isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
        return clause if isinstance(strip(node.this), exp.Column) else Clause.COMPARE
    if kind in _COMPARISONS or kind == "Is":
        return clause if all(map(_is_bare, node.iter_expressions())) else Clause.COMPARE
    return clause if kind in _PLAIN and kind not in _ARITHMETIC else Clause.COMPARE


def _is_bare(node: exp.Expression) -> bool:
    """Return whether a side of a comparison is a column as it stands, or a cast of one."""
    node = strip(node)
    return isinstance(node, exp.Column) or (isinstance(node, exp.Cast) and _is_bare(node.this))


def _is_syntax(node: exp.Expression, kind: str, child: exp.Expression) -> bool:
    """Return whether a part is a word of the syntax, and no expression.

    Raises:
        SqlUnsupported: a word stands where none belongs.
    """
    if isinstance(child, exp.Star) and isinstance(node, exp.Count) and child.arg_key == "this":
        refuse_extra(child, set())
        return True
    if (
        isinstance(child, exp.Identifier)
        and isinstance(node, exp.Window)
        and child.arg_key in ("alias", "this")
    ):
        return True
    if isinstance(child, exp.Var):
        if _WORDS.get(kind) == child.arg_key or (kind in _UNITS and child.arg_key == "unit"):
            return True
        raise refusal.unsupported(child, f"a word stands inside {refusal.word(node)} where a value belongs")
    return False


def _require_type(kind: exp.Expression | None) -> None:
    if not isinstance(kind, exp.DataType) or kind.this.name not in _TYPES:
        raise refusal.unsupported(kind, "a cast to this type is not in the list", "Cast to a plain type.")
    refuse_extra(kind, {"this", "expressions", "nested"})

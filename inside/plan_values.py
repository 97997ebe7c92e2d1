"""Expressions of a bound plan at the level of rows: which base columns they hold, and in which clause each stands.

Unlike `inside.terms`, which writes expressions as text to compare two statements, this reader only follows
columns: what it returns is what a value can be computed from. Everything is walked; an expression of a class
that is not listed is refused.

A condition is recorded wherever it stands, also as the test of a CASE or as an output:

* `join`: the sides of a comparison hold columns of different relations, or of one relation that is read twice;
* `filter`: bare columns of one relation are compared, one is tested for null, or a truth column stands by itself;
* `compare`: everything else, whether it is called a comparison or not. What is computed beside a column may be a
  constant in disguise (`x = 5 + 0 * y`), so this is recorded beside `join` as well.

The person token is there to link: where bare tokens are set equal, it counts as `join` and as nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from plans.errors import SqlUnsupported
from plans.names import PERSON
from plans.reading import Clause, ColumnUse

Node = Mapping[str, Any]
Column = tuple[int, str, str]
"""A base column: the number of its scan in the plan, the relation, the name.

Below zero are the copies of outer columns that the engine hands to a correlated subquery (`handed`).
"""
Columns = frozenset[Column]
_NONE: Columns = frozenset()


@dataclass(frozen=True, slots=True)
class Value:
    """A column of an operator, or an expression over such.

    `columns` are base columns whose values it is computed from row by row; `sources` also those that it
    rests on through an aggregate or a window. `type` is DuckDB's name of the type; `bare` is a base column itself,
    `cast` a cast of one.
    """

    type: str
    columns: Columns = _NONE
    sources: Columns = _NONE
    bare: bool = False
    cast: bool = False

    @property
    def plain(self) -> bool:
        """Whether it is a base column as it stands, in whatever type."""
        return self.bare or self.cast


Rows = list[Value | None]
"""The columns of an operator; none is the row number, which `count(*)` scans and nothing may name."""


class Findings:
    """What a plan is found to do, collected while it is walked."""

    def __init__(self) -> None:
        self.uses: set[ColumnUse] = set()
        self.functions: set[str] = set()

    def use(self, columns: Columns, clause: Clause, function: str = "") -> None:
        """Record that a clause uses columns.

        A subquery's groups and windows hold what the engine handed to it: of a token, that is the link.
        """
        for scan, relation, column in columns:
            linked = scan < 0 and column == PERSON and clause in (Clause.GROUP, Clause.WINDOW)
            self.uses.add(ColumnUse(relation, column, Clause.JOIN if linked else clause, function))

    def link(self, columns: Columns) -> None:
        """Record that columns of an outer query are used in a subquery, or tested against one: filter and join."""
        self.use(columns, Clause.JOIN)
        self.use(frozenset(each for each in columns if each[2] != PERSON), Clause.FILTER)

    def compare(self, left: Value, right: Value, *, equal: bool = False) -> None:
        """Record a comparison of two values; `equal` says that it asks for equality."""
        columns = left.columns | right.columns
        tokens = frozenset(each for each in columns if each[2] == PERSON)
        if tokens and tokens == columns and equal and left.bare and right.bare:
            self.use(columns, Clause.JOIN)
            return
        self.use(tokens, Clause.SELECT)  # anything else tells of the token itself
        scans = {column[0] for column in left.columns}, {column[0] for column in right.columns}
        if all(scans) and len(scans[0] | scans[1]) > 1:
            self.use(columns, Clause.JOIN)
        elif left.plain and right.plain:
            self.use(columns, Clause.FILTER)
        if not (left.plain and right.plain):
            self.use(columns, Clause.COMPARE)


def handed(value: Value) -> Value:
    """Return an outer column as a correlated subquery sees it."""
    copies = frozenset((min(scan, -1 - scan), relation, name) for scan, relation, name in value.columns)
    return Value(value.type, copies, value.sources, value.bare)


def unlisted(what: str) -> SqlUnsupported:
    """Return the refusal of something in a plan."""
    return SqlUnsupported(f"{what} in the engine's plan is not in the subset", "statement")


def type_name(kind: Node) -> str:
    """Return a type as DuckDB writes it; of nested types the outermost word."""
    info = kind.get("type_info") or {}
    if info.get("alias"):  # JSON is text under a name of its own
        return str(info["alias"])
    if kind["id"] == "DECIMAL":
        return f"DECIMAL({info['width']},{info['scale']})"
    return str(kind["id"])


def merged(kind: str, values: Iterable[Value]) -> Value:
    """Return a value that is computed from others."""
    columns = sources = _NONE
    for value in values:
        columns, sources = columns | value.columns, sources | value.sources
    return Value(kind, columns, sources)


def read_value(node: Node, rows: Rows, found: Findings) -> Value:
    """Return an expression over the columns of the operator below.

    Raises:
        SqlUnsupported: it holds something that is not listed.
    """
    rule = _CLASSES.get(node["expression_class"])
    if rule is None:
        raise unlisted("an expression")
    return rule(node, rows, found)


def read_condition(node: Node, rows: Rows, found: Findings) -> Value:
    """Return a condition that decides about rows, or between the branches of a CASE; its columns are recorded."""
    if node["expression_class"] == "BOUND_CONJUNCTION" or node["type"] == "OPERATOR_NOT":
        return merged("BOOLEAN", [read_condition(child, rows, found) for child in node["children"]])
    value = read_value(node, rows, found)
    if not _compares(node):
        found.use(
            value.columns, Clause.FILTER if value.bare or _asks_for_null(node, rows) else Clause.COMPARE
        )
    return value


def _asks_for_null(node: Node, rows: Rows) -> bool:
    """Whether this is IS [NOT] NULL of a base column: of what is computed, null may mean anything."""
    if node["type"] not in ("OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL"):
        return False
    (child,) = node["children"]
    return child["expression_class"] == "BOUND_REF" and _reference(child, rows, Findings()).bare


def read_orders(orders: Any, rows: Rows, found: Findings, clause: Clause) -> Value:
    """Return the terms of an ORDER BY, which stand in `clause`."""
    listed = orders.get("orders", ()) if isinstance(orders, Mapping) else orders or ()
    value = merged("", [read_value(order["expression"], rows, found) for order in listed])
    found.use(value.columns, clause)
    return value


# --- classes of expressions -----------------------------------------------------


def _reference(node: Node, rows: Rows, _found: Findings) -> Value:
    if node["index"] >= len(rows):
        raise unlisted("a column that no operator yields")
    value = rows[node["index"]]
    if value is None:
        raise unlisted("a row number")
    kind = type_name(node["return_type"])
    if kind != value.type:  # positions and types are counted by two parts of the engine: they must meet
        raise unlisted("a column of another type than its operator yields")
    return value


def _constant(node: Node, _rows: Rows, _found: Findings) -> Value:
    return Value(type_name(node["value"]["type"]))


def _cast(node: Node, rows: Rows, found: Findings) -> Value:
    target = type_name(node["return_type"])
    if target not in _TYPES and not target.startswith("DECIMAL("):
        raise unlisted(f"a cast to {target}")
    child = read_value(node["child"], rows, found)
    return replace(merged(target, [child]), cast=child.plain)


def _comparison(node: Node, rows: Rows, found: Findings) -> Value:
    left, right = read_value(node["left"], rows, found), read_value(node["right"], rows, found)
    found.compare(left, right, equal=node["type"] in EQUALITIES)
    return merged("BOOLEAN", [left, right])


def _between(node: Node, rows: Rows, found: Findings) -> Value:
    value = read_value(node["input"], rows, found)
    bounds = [read_value(node[bound], rows, found) for bound in ("lower", "upper")]
    for bound in bounds:
        found.compare(value, bound)
    return merged("BOOLEAN", [value, *bounds])


def _conjunction(node: Node, rows: Rows, found: Findings) -> Value:
    return merged("BOOLEAN", [read_value(child, rows, found) for child in node["children"]])


def _operator(node: Node, rows: Rows, found: Findings) -> Value:
    if node["type"] not in _OPERATORS:
        raise unlisted("an operator")
    values = [read_value(child, rows, found) for child in node["children"]]
    if _compares(node):
        for item in values[1:]:
            found.compare(values[0], item)
    return merged(type_name(node["return_type"]), values)


def _case(node: Node, rows: Rows, found: Findings) -> Value:
    """What a CASE yields is a column's value only in its branches; it rests on its conditions as well."""
    tested, chosen = [], [read_value(node["else_expr"], rows, found)]
    for check in node["case_checks"]:
        tested.append(read_condition(check["when_expr"], rows, found))
        if not _is_one_row_check(check["then_expr"]):
            chosen.append(read_value(check["then_expr"], rows, found))
    value = merged(type_name(node["return_type"]), chosen)
    return Value(value.type, value.columns, value.sources | merged("", tested).sources)


def _is_one_row_check(node: Node) -> bool:
    """Whether this is the error that the engine itself plans for a scalar subquery of several rows.

    Its own carries no catalog; an `error` that a statement calls is found in one, and is not listed.
    """
    return (
        node["expression_class"] == "BOUND_FUNCTION"
        and node["name"] == "error"
        and node.get("catalog_name") == ""
        and [child["expression_class"] for child in node["children"]] == ["BOUND_CONSTANT"]
    )


def _function(node: Node, rows: Rows, found: Findings) -> Value:
    _require_own(node, ("system",))
    data = node.get("function_data") or {}
    if any("lambda" in member for member in data):  # its body is not among the children
        raise unlisted("a function of a function")
    if node["name"] == "error":
        raise unlisted("an error of the statement's own")
    found.functions.add(node["name"])
    values = [read_value(child, rows, found) for child in node["children"]]
    if _compares(node):
        for item in values[1:]:
            found.compare(values[0], item)
    return merged(type_name(node["return_type"]), values)


def read_aggregate(node: Node, rows: Rows, found: Findings) -> Value:
    """Return an aggregate over the rows below: what it yields is no column's value any more."""
    if node["expression_class"] != "BOUND_AGGREGATE":
        raise unlisted("an expression among aggregates")
    _require_own(node, ("", "system"))
    name = "count" if node["name"] == "count_star" else node["name"]
    found.functions.add(name)
    values = [read_value(child, rows, found) for child in node["children"]]
    found.use(
        merged("", values).columns, Clause.AGGREGATE, _named(name, node["aggregate_type"] == "DISTINCT")
    )
    if node.get("filter"):
        read_condition(node["filter"], rows, found)
    values.append(read_orders(node.get("order_bys"), rows, found, Clause.ORDER))
    return Value(type_name(node["return_type"]), sources=merged("", values).sources)


def read_window(node: Node, rows: Rows, found: Findings) -> Value:
    """Return a window function; one that picks a row yields the column's value, the others a figure."""
    if node["expression_class"] != "BOUND_WINDOW":
        raise unlisted("an expression among windows")
    aggregate = node["type"] == "WINDOW_AGGREGATE"
    name = node["name"] if aggregate else _WINDOWS.get(node["type"])
    if not name:
        raise unlisted("a window function")
    _require_own(node, ("", "system"))
    name = "count" if name == "count_star" else name
    found.functions.add(name)
    values = [read_value(child, rows, found) for child in node["children"]]
    picked = merged("", values).columns
    values += [read_value(each, rows, found) for each in node["partitions"]]
    frame = [node.get(part) for part in ("start_expr", "end_expr", "offset_expr", "default_expr")]
    values += [read_value(each, rows, found) for each in frame if each]
    values += [read_orders(node.get(part), rows, found, Clause.WINDOW) for part in ("orders", "arg_orders")]
    if node.get("filters"):
        read_condition(node["filters"], rows, found)
    whole = merged("", values)
    found.use(whole.columns, Clause.WINDOW)
    if aggregate:
        found.use(picked, Clause.AGGREGATE, _named(name, node["distinct"]))
    return Value(type_name(node["return_type"]), _NONE if aggregate else picked, whole.sources)


def _named(name: str, distinct: bool) -> str:
    return "count_distinct" if (name, distinct) == ("count", True) else name


def _require_own(node: Node, catalogs: tuple[str, ...]) -> None:
    """The engine's own functions only; those that it puts into a plan by itself carry no catalog."""
    if node.get("catalog_name", "") not in catalogs or node.get("schema_name", "") not in ("", "main"):
        raise unlisted("a function that is not the engine's own")


def _compares(node: Node) -> bool:
    """Whether reading this expression has already recorded what it compares."""
    return (
        node["expression_class"] in ("BOUND_COMPARISON", "BOUND_BETWEEN")
        or node["type"] in ("COMPARE_IN", "COMPARE_NOT_IN")
        or (node["expression_class"] == "BOUND_FUNCTION" and node["name"] in _PATTERNS)
    )


EQUALITIES = ("COMPARE_EQUAL", "COMPARE_NOT_DISTINCT_FROM")

_CLASSES: dict[str, Callable[[Node, Rows, Findings], Value]] = {
    "BOUND_REF": _reference,
    "BOUND_CONSTANT": _constant,
    "BOUND_CAST": _cast,
    "BOUND_COMPARISON": _comparison,
    "BOUND_BETWEEN": _between,
    "BOUND_CONJUNCTION": _conjunction,
    "BOUND_OPERATOR": _operator,
    "BOUND_CASE": _case,
    "BOUND_FUNCTION": _function,
}
_OPERATORS = {
    "COMPARE_IN",
    "COMPARE_NOT_IN",
    "OPERATOR_COALESCE",
    "OPERATOR_IS_NOT_NULL",
    "OPERATOR_IS_NULL",
    "OPERATOR_NOT",
    "OPERATOR_TRY",
}
_PATTERNS = {
    "^@",
    "contains",
    "ends_with",
    "like_escape",
    "ilike_escape",
    "not_ilike_escape",
    "not_like_escape",
    "prefix",
    "regexp_full_match",
    "regexp_matches",
    "starts_with",
    "suffix",
    "~~",
    "!~~",
    "~~*",
    "!~~*",
    "~~~",
}
"""Functions that compare a text with a pattern."""
_WINDOWS = {
    "WINDOW_CUME_DIST": "cume_dist",
    "WINDOW_FIRST_VALUE": "first_value",
    "WINDOW_LAG": "lag",
    "WINDOW_LAST_VALUE": "last_value",
    "WINDOW_LEAD": "lead",
    "WINDOW_NTH_VALUE": "nth_value",
    "WINDOW_NTILE": "ntile",
    "WINDOW_PERCENT_RANK": "percent_rank",
    "WINDOW_RANK": "rank",
    "WINDOW_RANK_DENSE": "dense_rank",
    "WINDOW_ROW_NUMBER": "row_number",
}
_TYPES = {
    "BIGINT",
    "BOOLEAN",
    "DATE",
    "DOUBLE",
    "FLOAT",
    "HUGEINT",
    "INTEGER",
    "INTERVAL",
    "SMALLINT",
    "TIME",
    "TIMESTAMP",
    "TINYINT",
    "UBIGINT",
    "UHUGEINT",
    "UINTEGER",
    "USMALLINT",
    "UTINYINT",
    "VARCHAR",
}
"""What a value may be cast to, beside DECIMAL."""

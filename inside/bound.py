"""The second reader: DuckDB's own binder, on empty tables, and what its plan says that a statement does.

`json_serialize_plan(…, optimize := false)` gives the bound plan as a tree of operators, in which columns are
positions in the rows of the operator below. A statement of the subset has a plan of one shape,

    LIMIT, ORDER BY, PROJECTION  →  AGGREGATE  →  FILTER  →  joins of scans

where `person IN (SELECT person FROM …)` is a join of the type MARK, which leaves the rows as they are and adds a truth
value to each; of the same plain shape is what it looks into. A plan
that does not have this shape is refused, as is every operator, expression, function or cast that is not
listed here. The positions are followed down to base columns, and each expression is written as text with
these columns in it. The texts of two statements are equal only if the engine would compute the same from the
same rows.

The tables carry the shadows' names and types and no row, so nothing in a plan, or in an error, can come from
data.
"""

from __future__ import annotations

import decimal
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from inside.engine import identifier, literal
from inside.figures import figure_digits, require_narrow, require_room
from inside.terms import Term, Tests, typed, unlisted, write
from plans import names
from plans.errors import Malformed, SqlSyntax, SqlUnsupported
from plans.reading import Clause, ColumnUse, Shadow

Connection = duckdb.DuckDBPyConnection
Node = Mapping[str, Any]

_TYPE = re.compile(r"[A-Z][A-Z ]{0,30}(\(\d{1,2}(,\s?\d{1,2})?\))?")
_JOINED_CASTS = ("SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "DOUBLE")
"""Conversions that a join may hold, since they cannot fail at a row."""
_JOINS = ("INNER", "LEFT")
_SETTINGS: dict[str, str | bool | int] = {
    "threads": 1,
    "temp_directory": "",
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
}


@dataclass(frozen=True, slots=True)
class Bound:
    """What a bound plan says: uses by clause, functions, output columns as text and by type, and the rows
    they see.

    `rows` is everything below the outputs: the scans in their order, the joins, the filters, the groups.
    """

    uses: frozenset[ColumnUse]
    functions: frozenset[str]
    outputs: tuple[str, ...]
    types: tuple[str, ...]
    relations: frozenset[str]
    rows: tuple[tuple[str, ...], ...]


def empty_engine(memory_mb: int) -> Connection:
    """Return an engine without tables, which `shadow_engine` fills and locks; opening it takes the longest."""
    return duckdb.connect(":memory:", config={**_SETTINGS, "memory_limit": f"{max(64, memory_mb // 2)}MiB"})


def shadow_engine(
    shadows: tuple[Shadow, ...], memory_mb: int, opened: Connection | None = None
) -> Connection:
    """Return a locked engine that holds nothing but the shadows as empty tables.

    `opened` is one that `empty_engine` made before.

    Raises:
        Malformed: a shadow has a name or type that cannot be a table's.
    """
    connection = opened or empty_engine(memory_mb)
    create_tables(connection, shadows)
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def create_tables(connection: Connection, shadows: tuple[Shadow, ...]) -> None:
    """Create the shadows as empty tables, in the place of those that are there by their names.

    Raises:
        Malformed: a shadow has a name or type that cannot be a table's.
    """
    schemas = dict.fromkeys(shadow.relation.partition(".")[0] for shadow in shadows)
    statements = [f"CREATE SCHEMA IF NOT EXISTS {identifier(schema)}" for schema in schemas]
    for shadow in shadows:
        schema, _, table = shadow.relation.partition(".")
        columns = ", ".join(f"{identifier(column.name)} {_type(column.type)}" for column in shadow.columns)
        statements.append(f"CREATE OR REPLACE TABLE {identifier(schema)}.{identifier(table)} ({columns})")
    connection.execute(f"BEGIN; {'; '.join(statements)}; COMMIT")


def bind(connection: Connection, statement: str) -> Bound:
    """Return what the engine's binder finds in a statement.

    Raises:
        SqlSyntax: the binder does not accept it; the engine's own words stay here.
        SqlUnsupported: the plan holds something that is not listed.
    """
    return _Reader().read(planned(connection, statement))


def planned(connection: Connection, statement: str) -> Node:
    """Return the engine's bound plan of one statement.

    Raises:
        SqlSyntax: the binder does not accept it; the engine's own words stay here.
    """
    try:
        # A literal, not a parameter: for a parameter the engine's module imports all of pandas, where it is
        # installed.
        asked = f"SELECT json_serialize_plan({literal(statement)}, optimize := false)"
        found = connection.execute(asked).fetchone()
    except duckdb.Error:
        raise SqlSyntax("the engine cannot plan the statement", "statement") from None
    answer = json.loads(found[0]) if found else {"error": True}
    if answer["error"]:
        raise SqlSyntax(
            _SENTENCES.get(str(answer.get("error_type")), _SENTENCES["binder"]), _place(statement, answer)
        )
    if len(answer["plans"]) != 1:
        raise SqlSyntax("exactly one statement is needed", "statement")
    plan: Node = answer["plans"][0]
    return plan


def grouped_rows(
    connection: Connection, statement: str, before: tuple[str, ...] = ()
) -> tuple[tuple[str, ...], ...]:
    """Return which rows a statement groups, and by what: the scans, the joins, the filters, the keys of groups.

    What is computed from the groups is not looked at. With `before`, relations are numbered as if these had been
    scanned before those of the statement.

    Raises:
        SqlSyntax: the binder does not accept it.
        SqlUnsupported: the plan below its figures holds something that is not listed.
    """
    return rows_below(grouping(planned(connection, statement)), before)


def grouping(plan: Node) -> Node:
    """Return the operator of a plan that groups rows.

    Raises:
        SqlUnsupported: what is computed from groups is not at the top of it.
    """
    while plan["type"] == "LOGICAL_PROJECTION":
        (plan,) = plan["children"]
    if plan["type"] != "LOGICAL_AGGREGATE_AND_GROUP_BY":
        raise _unknown_operator(plan)
    return plan


def rows_below(top: Node, before: tuple[str, ...] = ()) -> tuple[tuple[str, ...], ...]:
    """Return which rows an operator groups, and by what, as `grouped_rows` does; raises like it."""
    reader = _Reader()
    reader.scans += before
    rows = reader._rows(top["children"][0])
    return (*reader._kept(), tuple(write(key, rows).text for key in top["groups"]))


def chosen_rows(connection: Connection, statement: str) -> tuple[tuple[str, ...], ...]:
    """Return which rows a statement without figures yields: the scans, the joins, the filters, the columns.

    Raises:
        SqlSyntax: the binder does not accept it.
        SqlUnsupported: the plan holds something that is not listed.
    """
    top = planned(connection, statement)
    kept, rows = rows_yielded(top)
    return (*kept, tuple(write(output, rows).text for output in top["expressions"]))


def rows_yielded(
    top: Node, before: tuple[str, ...] = (), *, crossed: bool = False
) -> tuple[tuple[tuple[str, ...], ...], list[Term | None]]:
    """Return which rows a projection yields (scans, joins, filters), and their columns below it, by position. Relations
    may stand side by side without a condition where rows may be `crossed`.

    Raises:
        SqlUnsupported: the plan is another, or holds something that is not listed.
    """
    if top["type"] != "LOGICAL_PROJECTION":
        raise _unknown_operator(top)
    reader = _Reader(crossed)
    reader.scans += before
    rows = reader._rows(top["children"][0])
    return reader._kept(), rows


def scanned(plan: Node) -> set[tuple[str, str]]:
    """Return every column, with its relation, that a plan of whatever shape reads from a relation."""
    found: set[tuple[str, str]] = set()
    waiting: list[Any] = [plan]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if node.get("type") == "LOGICAL_GET":
                found |= set(_read_columns(node))
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
    return found


def _read_columns(scan: Node) -> Iterator[tuple[str, str]]:
    data = scan.get("function_data") or {}
    if scan.get("name") != "seq_scan":
        raise unlisted("a scan of something else than a relation")
    for entry in scan["column_indexes"]:
        if entry["index"] < len(scan["names"]):
            yield f"{data['schema']}.{data['table']}", scan["names"][entry["index"]]


_SENTENCES = {
    "parser": "the engine cannot parse the statement",
    "catalog": "the statement names something that the engine does not have",
    "binder": "the engine cannot bind the statement: types or numbers of arguments do not fit",
}


def _place(statement: str, answer: Node) -> str:
    """Return where the engine stopped, from its offset alone."""
    offset = str(answer.get("position", ""))
    if not offset.isdigit() or int(offset) > len(statement):
        return "statement"
    before = statement[: int(offset)]
    return f"line {before.count(chr(10)) + 1}, character {len(before) - before.rfind(chr(10))}"


def _type(name: str) -> str:
    if not _TYPE.fullmatch(name):
        raise Malformed("a column's type is not one that a shadow can have", "shadow")
    return name


# --- operators -----------------------------------------------------


class _Reader:
    """Reads one plan from the top; collects uses on the way."""

    def __init__(self, crossed: bool = False) -> None:
        self.crossed = crossed
        self.uses: set[ColumnUse] = set()
        self.functions: set[str] = set()
        self.scans: list[str] = []
        self.asked: set[str] = set()
        self.joins: list[str] = []
        self.filters: list[str] = []
        self.digits: list[int] = []

    def read(self, top: Node) -> Bound:
        """Return the finding about a plan of the one shape that is allowed."""
        above: list[Node] = []
        while top["type"] in ("LOGICAL_LIMIT", "LOGICAL_ORDER_BY", "LOGICAL_PROJECTION"):
            above.append(top)
            (top,) = top["children"]
        if top["type"] != "LOGICAL_AGGREGATE_AND_GROUP_BY":
            raise _unknown_operator(top)
        rows, groups = self._aggregate(top)
        for node in reversed(above):
            if node["type"] == "LOGICAL_PROJECTION":
                self._require_room(node, len(groups))
                rows = [self._note(write(expression, rows)) for expression in node["expressions"]]
        if any(term is None for term in rows):
            raise unlisted("a row number")
        kept = [term for term in rows if term is not None]
        relations = frozenset({*self.scans, *self.asked})
        return Bound(
            frozenset(self.uses),
            frozenset(self.functions),
            tuple(term.text for term in kept),
            tuple(term.type for term in kept),
            relations,
            (*self._kept(), tuple(sorted(set(groups)))),
        )

    def _kept(self) -> tuple[tuple[str, ...], ...]:
        """Return which rows there are: the scans, the joins, the filters."""
        return tuple(self.scans), tuple(self.joins), tuple(sorted(set(self.filters)))

    def _require_room(self, node: Node, keys: int) -> None:
        """Bound every output that computes with figures; the first projection above an aggregate has them all."""
        digits = [0] * keys + self.digits
        for expression in node["expressions"]:
            if expression["expression_class"] == "BOUND_FUNCTION" and expression["name"] in ("*", "/", "-"):
                require_room(expression, digits)

    def _aggregate(self, node: Node) -> tuple[list[Term | None], list[str]]:
        sets = node.get("grouping_sets") or [[]]
        if node.get("grouping_functions") or sets not in ([[]], [list(range(len(node["groups"])))]):
            raise unlisted("grouping sets")
        rows = self._rows(node["children"][0])
        groups = [self._note(write(expression, rows)) for expression in node["groups"]]
        for term in groups:
            self._use(term.columns, Clause.GROUP)
            self._test(term.conditions | term.compared)
        return [*groups, *(self._figure(expression, rows) for expression in node["expressions"])], [
            term.text for term in groups
        ]

    def _figure(self, node: Node, rows: list[Term | None]) -> Term:
        if node["expression_class"] != "BOUND_AGGREGATE" or node.get("filter") or _orders(node):
            raise unlisted("an aggregate with a filter or an order")
        function = _AGGREGATES.get((node["name"], node["aggregate_type"]))
        if function is None:
            raise unlisted("an aggregate function")
        arguments = [self._note(write(child, rows)) for child in node["children"]]
        if function not in ("count", "count_distinct") and any(term.type == "BOOLEAN" for term in arguments):
            raise unlisted("arithmetic on a truth value")
        for term in arguments:
            require_narrow(function, term.type)
            self._use(term.values, Clause.AGGREGATE, function)
            self._test(term.conditions)
        self.functions.add(function)
        self.digits.append(figure_digits(function, [term.type for term in arguments]))
        text = f"{function}({', '.join(term.text for term in arguments) or '*'}{_quantile(node)})"
        return Term(text, typed(node["return_type"]))

    def _rows(self, node: Node) -> list[Term | None]:
        """Return the columns of the rows below the aggregate: filters over joins over scans."""
        if node["type"] == "LOGICAL_FILTER":
            _require_empty(node, "projection_map")
            rows = self._rows(node["children"][0])
            for expression in node["expressions"]:
                term = self._note(write(expression, rows))
                self._test(term.tests)
                self.filters.append(term.text)
            return rows
        if node["type"] == "LOGICAL_COMPARISON_JOIN":
            return self._mark(node) if node["join_type"] == "MARK" else self._join(node)
        if node["type"] == "LOGICAL_GET":
            return self._scan(node)
        if node["type"] == "LOGICAL_CROSS_PRODUCT" and self.crossed:
            self.joins.append("CROSS")
            return [column for child in node["children"] for column in self._rows(child)]
        raise _unknown_operator(node)

    def _join(self, node: Node) -> list[Term | None]:
        _require_empty(
            node, "left_projection_map", "right_projection_map", "duplicate_eliminated_columns", "expressions"
        )
        if node["join_type"] not in _JOINS:
            raise unlisted("a join of this type")
        left, right = (self._rows(child) for child in node["children"])
        pairs = []
        for condition in node["conditions"]:
            if condition.get("comparison") != "COMPARE_EQUAL":
                raise unlisted("a join on something else than equality")
            sides = self._note(write(condition["left"], left)), self._note(write(condition["right"], right))
            for term in sides:
                self._use(term.columns, Clause.JOIN)
                if term.text.startswith("CAST(") and term.type not in _JOINED_CASTS:
                    raise SqlUnsupported(
                        "columns of different types are joined", "FROM", "Join columns of one type."
                    )
            pairs.append(" = ".join(term.text for term in sides))
        self.joins.append(f"{node['join_type']} {' AND '.join(sorted(pairs))}")
        return [*left, *right]

    def _mark(self, node: Node) -> list[Term | None]:
        """Return the rows with one column more: whether their person is among those of other rows.

        What is asked about the other rows is in the text of this column, under numbers of their own.
        """
        _require_empty(
            node, "left_projection_map", "right_projection_map", "duplicate_eliminated_columns", "mark_types",
            "expressions",
        )  # fmt: skip
        left, right = node["children"]
        rows, inner = self._rows(left), _Reader()
        if right["type"] != "LOGICAL_PROJECTION":
            raise _unknown_operator(right)
        found = inner._rows(right["children"][0])
        chosen: list[Term | None] = [
            inner._note(write(expression, found)) for expression in right["expressions"]
        ]
        (condition,) = node["conditions"]
        if condition.get("comparison") != "COMPARE_EQUAL" or len(chosen) != 1:
            raise unlisted("a subquery that is linked by something else than one equality")
        sides = _token(condition["left"], rows), _token(condition["right"], chosen)
        tests = frozenset((column, Clause.JOIN) for term in sides for column in term.columns)
        tests |= {((use.relation, use.column), use.clause) for use in inner.uses}
        self.asked |= {*inner.scans, *inner.asked}
        text = f"({sides[0].text} IN {sides[1].text} OF {inner._kept()})"
        functions = frozenset(inner.functions)
        return [*rows, Term(text, "BOOLEAN", functions=functions, tests=tests, compared=tests)]

    def _scan(self, node: Node) -> list[Term | None]:
        _require_empty(node, "projection_ids", "projected_input", "children")
        data = node.get("function_data") or {}
        if node["name"] != "seq_scan" or (node.get("table_filters") or {}).get("filters"):
            raise unlisted("a scan of something else than a relation")
        relation = f"{data['schema']}.{data['table']}"
        source = f"{relation}#{len(self.scans)}"
        self.scans.append(relation)
        return [_base(node, relation, source, entry) for entry in node["column_indexes"]]

    def _note(self, term: Term) -> Term:
        self.functions |= term.functions
        return term

    def _test(self, tests: Tests) -> None:
        for column, clause in tests:
            self._use(frozenset({column}), clause)

    def _use(self, columns: frozenset[tuple[str, str]], clause: Clause, function: str = "") -> None:
        self.uses |= {ColumnUse(relation, column, clause, function) for relation, column in columns}


def _token(node: Node, rows: list[Term | None]) -> Term:
    """Return a person token as it stands: by nothing else may a subquery choose rows."""
    found = write(node, rows)
    if node["expression_class"] != "BOUND_REF" or {name for _, name in found.columns} != {names.PERSON}:
        raise unlisted("a subquery that chooses rows by something else than the person")
    return found


def _base(node: Node, relation: str, source: str, entry: Node) -> Term | None:
    """Return a base column; none stands for the row number, which `count(*)` scans and nothing may name."""
    index = entry["index"]
    if index >= len(node["names"]):
        return None
    if entry.get("child_indexes"):
        raise unlisted("a field of a column")
    name = node["names"][index]
    column = frozenset({(relation, name)})
    tests = frozenset({((relation, name), Clause.FILTER)})
    kind = typed(node["returned_types"][index])
    return Term(f"{source}.{name}", kind, column, values=column, tests=tests, bare=True)


_AGGREGATES = {
    ("count_star", "NON_DISTINCT"): "count",
    ("count", "NON_DISTINCT"): "count",
    ("count", "DISTINCT"): "count_distinct",
    ("sum", "NON_DISTINCT"): "sum",
    ("avg", "NON_DISTINCT"): "avg",
    ("mean", "NON_DISTINCT"): "avg",
    ("stddev", "NON_DISTINCT"): "stddev",
    ("stddev_samp", "NON_DISTINCT"): "stddev",
} | {(name, "NON_DISTINCT"): name for name in ("min", "max", "median", "quantile_cont", "quantile_disc")}


def _quantile(node: Node) -> str:
    """Return which quantile an aggregate computes, as text; nothing for other aggregates."""
    data = node.get("function_data") or {}
    quantiles = data.get("quantiles", [])
    if not quantiles:
        return ""
    if len(quantiles) != 1 or data.get("desc"):
        raise unlisted("a quantile of this form")
    (which,) = quantiles
    scale = (which["type"].get("type_info") or {}).get("scale", 0)
    return f"; {decimal.Decimal(str(which['value'])).scaleb(-scale).normalize()}"


def _orders(node: Node) -> bool:
    orders = node.get("order_bys")
    return bool(orders.get("orders") if isinstance(orders, dict) else orders)


def _require_empty(node: Node, *members: str) -> None:
    if any(node.get(member) for member in members):
        raise _unknown_operator(node)


def _unknown_operator(node: Node) -> SqlUnsupported:
    return unlisted(f"the operator {str(node['type']).removeprefix('LOGICAL_').lower()}")

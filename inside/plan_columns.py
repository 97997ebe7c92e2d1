"""The second reader at the level of rows: base columns by clause, functions and lineage in any bound plan.

A bound plan is a tree of operators, in which an expression names columns by their position in what the
operator below yields. This reader knows what each listed operator yields, follows the positions down to the
scans, and records every base column in the clauses in which it stands (`inside.plan_values`). What decorrelation
makes of a subquery is read as it is planned: a column of the outer query that a subquery uses counts as `filter`
and `join`.

Operators, joins, expressions and casts that are not listed are refused; functions are handed out by name, and
`inside.rows` compares them with the table of those that a statement may call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from inside.plan_values import (
    EQUALITIES,
    Column,
    Findings,
    Node,
    Rows,
    Value,
    handed,
    merged,
    read_aggregate,
    read_condition,
    read_orders,
    read_value,
    read_window,
    type_name,
    unlisted,
)
from plans.errors import SqlUnsupported
from plans.names import PERSON
from plans.reading import Clause, ColumnUse

_WHOLE_JOINS = ("INNER", "LEFT", "RIGHT", "FULL", "SINGLE")
"""Joins that yield the columns of both sides."""
_TESTING_JOINS = ("SEMI", "ANTI", "MARK")
"""Joins that ask of each left row whether there is a right one; MARK yields the answer as a column."""


@dataclass(frozen=True, slots=True)
class PlanColumns:
    """What a plan does. `relations` are `schema.table`; `outputs` have their types and base columns."""

    uses: frozenset[ColumnUse]
    functions: frozenset[str]
    relations: frozenset[str]
    outputs: tuple[Value, ...]

    @property
    def pairs(self) -> frozenset[tuple[str, str]]:
        """Every base column that the plan reads, as relation and column."""
        return frozenset((use.relation, use.column) for use in self.uses)


def read_plan(plan: Node) -> PlanColumns:
    """Return what a bound, unoptimised plan does.

    Raises:
        SqlUnsupported: it holds something that is not listed, or nests too deeply.
    """
    reader = _Plan()
    try:
        rows = reader.rows(plan)
    except RecursionError:
        raise SqlUnsupported("the statement nests too deeply", "statement", "Write it flatter.") from None
    outputs = tuple(value for value in rows if value is not None)
    if len(outputs) != len(rows):
        raise unlisted("a row number")
    found = reader.found
    for output in outputs:
        found.use(output.columns, Clause.SELECT)
    seen = {(use.relation, use.column) for use in found.uses}
    unseen = {each for each in reader.scanned if each[1:] not in seen}
    # EXISTS (SELECT * …) reads every column and looks at none. A token that nothing looks at is no use of it.
    found.use(frozenset(each for each in unseen if each[2] != PERSON), Clause.SELECT)
    return PlanColumns(frozenset(found.uses), frozenset(found.functions), frozenset(reader.scans), outputs)


class _Plan:
    """Walks one plan. `scans` are the relations in the order in which they are met, `scanned` their columns."""

    def __init__(self) -> None:
        self.found = Findings()
        self.scans: list[str] = []
        self.scanned: set[Column] = set()
        self._shared: dict[int, Rows] = {}
        self._eliminated: list[Rows] = []

    def rows(self, node: Node) -> Rows:
        """Return the columns that an operator yields."""
        rule = _OPERATORS.get(node["type"])
        if rule is None:
            raise unlisted(f"the operator {str(node['type']).removeprefix('LOGICAL_').lower()}")
        return rule(self, node)

    def _below(self, node: Node) -> Rows:
        (child,) = node["children"]
        return self.rows(child)

    # what rows come from

    def scan(self, node: Node) -> Rows:
        """A base relation; nothing but a table has a catalog entry here, so no file and no table function."""
        _require_empty(node, "projection_ids", "projected_input", "children")
        data = node.get("function_data") or {}
        if node["name"] != "seq_scan" or (node.get("table_filters") or {}).get("filters"):
            raise unlisted("a scan of something else than a relation")
        relation, number = f"{data['schema']}.{data['table']}", len(self.scans)
        self.scans.append(relation)
        return [self._base(node, (number, relation), entry) for entry in node["column_indexes"]]

    def _base(self, node: Node, scan: tuple[int, str], entry: Node) -> Value | None:
        index = entry["index"]
        if index >= len(node["names"]):
            return None
        if entry.get("child_indexes"):
            raise unlisted("a field of a column")
        column = (*scan, str(node["names"][index]))
        self.scanned.add(column)
        columns = frozenset({column})
        return Value(type_name(node["returned_types"][index]), columns, columns, bare=True)

    def nothing(self, node: Node) -> Rows:
        """One row without columns, for a SELECT without FROM."""
        _require_empty(node, "children")
        return [None]

    def values(self, node: Node) -> Rows:
        """VALUES: each column is any of its expressions."""
        below = self._below(node)
        listed = [[read_value(each, below, self.found) for each in row] for row in node["expressions"]]
        kinds = [type_name(kind) for kind in node["expr_types"]]
        return [merged(kind, column) for kind, column in zip(kinds, zip(*listed, strict=True), strict=True)]

    def shared(self, node: Node) -> Rows:
        """A CTE beside the query that reads it, perhaps several times."""
        definition, query = node["children"]
        self._shared[node["table_index"]] = self.rows(definition)
        return self.rows(query)

    def shared_reference(self, node: Node) -> Rows:
        """The columns of a CTE that was read before."""
        rows = self._shared.get(node["cte_index"])
        if rows is None or node.get("is_recurring"):
            raise unlisted("a recursive CTE")
        return _retyped(rows, node["chunk_types"])

    def eliminated(self, node: Node) -> Rows:
        """The distinct values of the outer query's columns that a correlated subquery uses."""
        if not self._eliminated:
            raise unlisted("a correlated column")
        return _retyped(self._eliminated[-1], node["chunk_types"])

    # what is done with rows

    def project(self, node: Node) -> Rows:
        """SELECT, at any depth; whatever is computed with a token tells of it, even where nobody looks."""
        below = self._below(node)
        values = [read_value(each, below, self.found) for each in node["expressions"]]
        computed = merged("", [value for value in values if not value.bare]).columns
        self.found.use(frozenset(each for each in computed if each[2] == PERSON), Clause.SELECT)
        return values

    def filter(self, node: Node) -> Rows:
        """WHERE, HAVING and QUALIFY."""
        _require_empty(node, "projection_map")
        below = self._below(node)
        for each in node["expressions"]:
            read_condition(each, below, self.found)
        return below

    def aggregate(self, node: Node) -> Rows:
        """GROUP BY and aggregates, then what `grouping()` tells."""
        below = self._below(node)
        groups: Rows = [read_value(each, below, self.found) for each in node["groups"]]
        for group in groups:
            self.found.use(group.columns if group else frozenset(), Clause.GROUP)
        if _is_one_row_check(node):
            figures: Rows = [below[node["expressions"][0]["children"][0]["index"]], Value("BIGINT")]
        else:
            figures = [read_aggregate(each, below, self.found) for each in node["expressions"]]
        return [*groups, *figures, *(Value("BIGINT") for _ in node["grouping_functions"])]

    def window(self, node: Node) -> Rows:
        """Window functions stand beside the columns below."""
        below = self._below(node)
        return [*below, *(read_window(each, below, self.found) for each in node["expressions"])]

    def order(self, node: Node) -> Rows:
        """ORDER BY."""
        _require_empty(node, "projections")
        below = self._below(node)
        read_orders(node["orders"], below, self.found, Clause.ORDER)
        return below

    def limit(self, node: Node) -> Rows:
        """LIMIT and OFFSET; a number that is computed decides about rows."""
        below = self._below(node)
        for part in (node["limit_val"], node["offset_val"]):
            if part.get("expression"):
                value = read_value(part["expression"], below, self.found)
                self.found.use(value.columns, Clause.FILTER)
        return below

    def distinct(self, node: Node) -> Rows:
        """DISTINCT and DISTINCT ON: the rows of a group become one."""
        below = self._below(node)
        targets = [read_value(each, below, self.found) for each in node["distinct_targets"]]
        self.found.use(merged("", targets).columns, Clause.GROUP)
        read_orders(node.get("order_by"), below, self.found, Clause.ORDER)
        return below

    def united(self, node: Node) -> Rows:
        """UNION, INTERSECT, EXCEPT: each column is that of any side; the last two compare the sides."""
        sides = [self.rows(child) for child in node["children"]]
        if len({len(side) for side in sides}) != 1 or any(value is None for side in sides for value in side):
            raise unlisted("a set operation of different columns")
        columns = [[value for value in column if value] for column in zip(*sides, strict=True)]
        if node["type"] != "LOGICAL_UNION":
            for column in columns:
                self.found.compare(column[0], merged("", column[1:]))
                self.found.use(merged("", column).columns, Clause.FILTER)
        elif not node.get("setop_all"):
            self.found.use(merged("", [value for each in columns for value in each]).columns, Clause.GROUP)
        return [merged(column[0].type, column) for column in columns]

    # joins

    def cross(self, node: Node) -> Rows:
        """Relations side by side."""
        left, right = node["children"]
        return [*self.rows(left), *self.rows(right)]

    def any_join(self, node: Node) -> Rows:
        """A join on any condition."""
        left, right = (self.rows(child) for child in node["children"])
        value = read_condition(node["condition"], [*left, *right], self.found)
        self.found.use(value.columns, Clause.JOIN)
        return _joined(node["join_type"], left, right, value)

    def join(self, node: Node) -> Rows:
        """A join on comparisons."""
        _require_empty(node, "duplicate_eliminated_columns")
        left, right = (self.rows(child) for child in node["children"])
        return self._compared(node, left, right)

    def delim_join(self, node: Node) -> Rows:
        """A correlated subquery: its right side reads the distinct values of some columns of the left."""
        if node.get("delim_flipped"):
            raise unlisted("a subquery on the left side")
        outer, inner = node["children"]
        left = self.rows(outer)
        distinct = [read_value(each, left, self.found) for each in node["duplicate_eliminated_columns"]]
        self.found.link(merged("", distinct).columns)
        self._eliminated.append([handed(value) for value in distinct])
        right = self.rows(inner)
        self._eliminated.pop()
        return self._compared(node, left, right)

    def _compared(self, node: Node, left: Rows, right: Rows) -> Rows:
        _require_empty(node, "left_projection_map", "right_projection_map", "expressions")
        compared = [value for value in right if value]
        for condition in node["conditions"]:
            if "left" not in condition or "right" not in condition:
                raise unlisted("a join's condition")
            sides = (
                read_value(condition["left"], left, self.found),
                read_value(condition["right"], right, self.found),
            )
            columns = sides[0].columns | sides[1].columns
            self.found.use(columns, Clause.JOIN)
            if node["join_type"] in _TESTING_JOINS:
                self.found.link(columns)
            self.found.compare(*sides, equal=condition.get("comparison") in EQUALITIES)
            compared += sides
        if node.get("predicate"):
            compared.append(read_condition(node["predicate"], [*left, *right], self.found))
        return _joined(node["join_type"], left, right, merged("", compared))


def _joined(kind: str, left: Rows, right: Rows, compared: Value) -> Rows:
    """Return what a join yields; the mark of a MARK join rests on all that was compared."""
    if kind in _WHOLE_JOINS:
        return [*left, *right]
    if kind not in _TESTING_JOINS:
        raise unlisted("a join of this type")
    return [*left, Value("BOOLEAN", sources=compared.sources)] if kind == "MARK" else left


def _is_one_row_check(node: Node) -> bool:
    """Whether the engine itself planned this, to make one row of a scalar subquery: the first, and how many."""
    if node["groups"] or len(node["expressions"]) != 2:
        return False
    first, count = node["expressions"]
    return (
        [each.get("name") for each in (first, count)] == ["first", "count_star"]
        and [each.get("catalog_name") for each in (first, count)] == ["", ""]
        and [child["expression_class"] for child in first["children"]] == ["BOUND_REF"]
    )


def _retyped(rows: Rows, kinds: list[Node]) -> Rows:
    """Return columns that are read again elsewhere in the plan, if they have the types that are expected there."""
    if [value.type if value else "" for value in rows] != [type_name(kind) for kind in kinds]:
        raise unlisted("a column of another type than its operator yields")
    return rows


def _require_empty(node: Node, *members: str) -> None:
    if any(node.get(member) for member in members):
        raise unlisted(f"this form of the operator {str(node['type']).removeprefix('LOGICAL_').lower()}")


_OPERATORS: Mapping[str, Callable[[_Plan, Node], Rows]] = {
    "LOGICAL_AGGREGATE_AND_GROUP_BY": _Plan.aggregate,
    "LOGICAL_ANY_JOIN": _Plan.any_join,
    "LOGICAL_COMPARISON_JOIN": _Plan.join,
    "LOGICAL_CROSS_PRODUCT": _Plan.cross,
    "LOGICAL_CTE_REF": _Plan.shared_reference,
    "LOGICAL_DELIM_GET": _Plan.eliminated,
    "LOGICAL_DELIM_JOIN": _Plan.delim_join,
    "LOGICAL_DISTINCT": _Plan.distinct,
    "LOGICAL_DUMMY_SCAN": _Plan.nothing,
    "LOGICAL_EXCEPT": _Plan.united,
    "LOGICAL_EXPRESSION_GET": _Plan.values,
    "LOGICAL_FILTER": _Plan.filter,
    "LOGICAL_GET": _Plan.scan,
    "LOGICAL_INTERSECT": _Plan.united,
    "LOGICAL_LIMIT": _Plan.limit,
    "LOGICAL_MATERIALIZED_CTE": _Plan.shared,
    "LOGICAL_ORDER_BY": _Plan.order,
    "LOGICAL_PROJECTION": _Plan.project,
    "LOGICAL_UNION": _Plan.united,
    "LOGICAL_WINDOW": _Plan.window,
}

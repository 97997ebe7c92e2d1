"""The checker box on statements that tell something of single persons: scores by a model, and hidden lookups.

Both readers must find the same rows (scans, how they are joined, filters) and the same outputs. Of a score the
engine's expression and the terms of the reading must be one polynomial (`inside.bound_scores`), in whatever order it
was written.
"""

from __future__ import annotations

from inside.bound import Connection, Node, grouped_rows, planned, rows_yielded
from inside.bound_scores import Polynomial, branched, polynomial, product, rounded, total
from inside.engine import identifier
from inside.terms import write
from plans.errors import SqlUnsupported
from plans.joint import JointReading, Portion, ScoreFunction, ScoreNode, ScoreTree
from plans.names import PERSON


def own_rows(portion: Portion) -> str:
    """Return an owner's own rows as one statement: its condition over its relation, and how many pass."""
    return f"SELECT count(*) {source_of(portion)}"


def source_of(portion: Portion) -> str:
    """Return an owner's own rows as FROM and WHERE have them."""
    schema, _, table = portion.relation.partition(".")
    where = f" WHERE {portion.where}" if portion.where else ""
    return f"FROM {identifier(schema)}.{identifier(table)}{where}"


def joins_of(reading: JointReading, kind: str = "INNER") -> set[str]:
    """Return every way to write that two owners' rows are about one person."""
    named = [
        (f"{portion.relation}#{place}.{column}", column == PERSON)
        for place, portion in enumerate(reading.portions)
        for column in (PERSON, portion.key)
    ]
    return {
        f"{kind} {left} = {right}"
        for left, is_token in named
        for right, other_is_token in named
        if is_token == other_is_token and left != right
    }


def disagreement(what: str) -> SqlUnsupported:
    """Return the refusal of a statement that the two readers take for different ones."""
    return SqlUnsupported(
        f"the two readers disagree about the {what} of the statement",
        "statement",
        "Write it more plainly, as in docs/joint-sql.md; if it is plain already, report it as a defect.",
    )


def require_lookup(connection: Connection, statement: str, reading: JointReading) -> None:
    """The key of the own rows, and as they stand the fields of the register's, of so many persons as LIMIT says.

    Raises:
        SqlSyntax, SqlUnsupported: the binder refuses the statement, or finds something else in it.
    """
    asked, register = reading.portions
    top = planned(connection, statement)
    limit = top.get("limit_val") or {}
    if top["type"] != "LOGICAL_LIMIT" or (top.get("offset_val") or {}).get("type") != "UNSET":
        raise disagreement("number of persons")
    if (limit.get("type"), limit.get("constant_integer")) != ("CONSTANT_VALUE", asked.bound):
        raise disagreement("number of persons")
    (top,) = top["children"]
    (scans, joins, filters), rows = rows_yielded(top)
    _require_filtered(connection, reading, scans, filters)
    if len(joins) != 1 or joins[0] not in joins_of(reading, "LEFT"):
        raise disagreement("joins")
    key, *outputs = (write(output, rows).text for output in top["expressions"])
    if key not in _keys(asked) or outputs != [
        f"{register.relation}#1.{field.column}" for field in register.fields
    ]:
        raise disagreement("outputs")


def require_scores(connection: Connection, statement: str, reading: JointReading) -> None:
    """The key of the rows, and the score that the reading's terms are.

    Raises:
        SqlSyntax, SqlUnsupported: the binder refuses the statement, or finds something else in it.
    """
    score = reading.score
    top = planned(connection, statement)
    (scans, joins, filters), rows = rows_yielded(top, crossed=True)
    _require_filtered(connection, reading, scans, filters)
    if joins != ("CROSS",):
        raise disagreement("joins")
    outputs: list[Node] = top["expressions"]
    if len(outputs) != 2 or write(outputs[0], rows).text not in _keys(reading.portions[0]):
        raise disagreement("outputs")
    features, coefficients = (_operands(connection, reading, place) for place in (0, 1))
    if score is None:
        raise disagreement("score")
    terms = (
        product(features[feature], coefficients[place]) if feature >= 0 else coefficients[place]
        for feature, place in score.terms
    )
    said = total([*terms, *(_tree(tree, features, coefficients) for tree in score.trees)])
    logistic = score.function is ScoreFunction.LOGISTIC
    if rounded(outputs[1], rows) != (logistic, said, score.decimals):
        raise disagreement("score")


def _tree(tree: ScoreTree, features: list[Polynomial], coefficients: list[Polynomial]) -> Polynomial:
    def branch(node: ScoreNode | None, low: Polynomial, high: Polynomial) -> Polynomial:
        if node is None:  # one leaf, twice
            return low
        return branched(features[node.feature], coefficients[node.threshold], low, high)

    leaves = [coefficients[place] for place in tree.four]
    return branch(tree.root, branch(tree.low, *leaves[:2]), branch(tree.high, *leaves[2:]))


def _require_filtered(
    connection: Connection, reading: JointReading, scans: tuple[str, ...], filters: tuple[str, ...]
) -> None:
    """Both relations are read in their order, and only the first one's rows are chosen, by its own condition."""
    if scans != tuple(portion.relation for portion in reading.portions) or reading.portions[1].where:
        raise disagreement("relations")
    if filters != grouped_rows(connection, own_rows(reading.portions[0]))[2]:
        raise disagreement("conditions")


def _keys(portion: Portion) -> tuple[str, ...]:
    return tuple(f"{portion.relation}#0.{column}" for column in (PERSON, portion.key))


def _operands(connection: Connection, reading: JointReading, place: int) -> list[Polynomial]:
    """Return what an owner's own box computes for each of its rows."""
    portion = reading.portions[place]
    listed = ", ".join(operand.expression for operand in portion.operands)
    top = planned(connection, f"SELECT {listed} {source_of(portion)}")
    before = tuple(each.relation for each in reading.portions[:place])
    _, rows = rows_yielded(top, before)
    return [polynomial(expression, rows) for expression in top["expressions"]]

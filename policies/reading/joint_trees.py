"""Scores by small trees: CASE that compares rows with the model, one or two levels deep.

    SELECT a.person, round(m.base + CASE WHEN a.age >= m.t0 THEN CASE WHEN a.income >= m.t1 THEN m.v11 ELSE m.v10 END
                                    ELSE m.v0 END, 2) AS score FROM bank.applicants a CROSS JOIN tax.trees m

A *question* is whether a value of the rows is at least a threshold, a column of the model. Which features are asked,
and where, everybody sees; thresholds and leaves are the model's. The owner of a threshold declared all values that it
may have (`categories` of its description), so that the box with the rows can answer for each of them, encrypted, and
the box with the model take its own answer. Every other comparison is refused, since it would need other answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from sqlglot import exp

from plans.joint import ScoreNode, ScoreTree
from plans.joint_reading import MOST_THRESHOLDS
from policies.reading import joint_ranges as ranges
from policies.reading import refusal
from policies.reading.joint_figures import Sums, local, sources_of
from policies.reading.joint_model import MODEL, ROWS, bare, coefficient, number, require_value
from policies.reading.joint_summands import Value
from policies.reading.sources import Scope, refuse_extra
from policies.reading.tree import Column, columns

_SIGNS = {exp.GT: ">", exp.LT: "<", exp.LTE: "<=", exp.EQ: "=", exp.NEQ: "<>"}
_FORM = "CASE WHEN a.x >= m.t THEN m.high ELSE m.low END"


def is_tree(node: exp.Expression, scope: Scope) -> bool:
    """Return whether a term of a score is a CASE over both owners' columns."""
    return isinstance(bare(node), exp.Case) and len(sources_of(node, scope)) > 1


def model_columns(node: exp.Expression, scope: Scope) -> Iterator[str]:
    """Yield the names of the model's columns in a term, as often as they stand there."""
    model = scope.sources[MODEL].alias
    for column in (each for each in node.find_all(exp.Column) if isinstance(each.this, exp.Identifier)):
        found = scope.column(column)
        if found.source == model:
            yield found.name


def read_tree(node: exp.Expression, negative: bool, sums: Sums) -> ScoreTree:
    """Return a tree of a score, its leaves turned where it is taken away.

    Raises:
        SqlUnsupported: it is deeper than two levels, or asks something else than whether a value of the rows is at
            least a threshold with declared values.
    """
    question, below = _split(bare(node), sums)
    nodes: list[ScoreNode | None] = []
    leaves: list[int] = []
    for branch in below:
        inner = bare(branch)
        if isinstance(inner, exp.Case):
            second, ends = _split(inner, sums)
            nodes.append(second)
        else:
            nodes.append(None)
            ends = (inner,)
        leaves += [_leaf(end, negative, sums) for end in ends]
    return ScoreTree(question, nodes[0], nodes[1], tuple(leaves))


def _split(case: exp.Expression, sums: Sums) -> tuple[ScoreNode, tuple[exp.Expression, ...]]:
    """Return the question of a CASE, and what is below no and below yes."""
    checks, otherwise = case.args.get("ifs") or [], case.args.get("default")
    if case.args.get("this") is not None or len(checks) != 1 or otherwise is None:
        raise refusal.unsupported(
            case,
            "a CASE of a tree has one WHEN, which is a comparison, and an ELSE",
            f"Write {_FORM}, and a second level as a CASE below THEN or ELSE.",
        )
    refuse_extra(case, {"ifs", "default"})
    return _question(bare(checks[0].this), sums), (otherwise, checks[0].args["true"])


def _leaf(node: exp.Expression, negative: bool, sums: Sums) -> int:
    inner = bare(node)
    if isinstance(inner, exp.Case):
        raise refusal.unsupported(
            inner, "a tree of more than two levels", "Ask the model's owner for trees of one or two levels."
        )
    if sources_of(inner, sums.scope) != (sums.scope.sources[MODEL].alias,):
        raise refusal.unsupported(
            inner,
            "a leaf of a tree that is no column of the model",
            "Ask its owner for a model that has the number in a column of its own.",
        )
    return coefficient(inner, sums, negative=negative)


def _question(node: exp.Expression, sums: Sums) -> ScoreNode:
    if not isinstance(node, exp.GTE):
        found = _SIGNS.get(type(node)) or refusal.word(node)
        raise refusal.unsupported(
            node,
            f"a tree asks whether a value of the rows is at least a threshold, by >=, and this is {found}",
            f"Write {_FORM}.",
        )
    left, right = bare(node.this), bare(node.expression)
    rows, model = (source.alias for source in sums.scope.sources)
    if sources_of(left, sums.scope) != (rows,) or sources_of(right, sums.scope) != (model,):
        raise refusal.unsupported(
            node,
            "a tree compares a value of the rows, on the left of >=, with a threshold of the model",
            f"Write {_FORM}.",
        )
    feature = local(left, sums.scope)
    assert columns(feature), "it mentions a column of the rows"
    place = sums.operand(number(ROWS, feature, left, sums))[1]
    return ScoreNode(place, *_threshold(right, sums))


def _threshold(node: exp.Expression, sums: Sums) -> tuple[int, tuple[int, ...]]:
    """Return the place of a threshold, and all values that it may have, at its scale."""
    column = local(node, sums.scope)
    if not isinstance(column, Column):
        raise refusal.unsupported(
            node,
            "a threshold is a column of the model as it stands",
            "Ask its owner for a model that has the threshold in a column of its own.",
        )
    decimals = ranges.scale_of(column.type)
    if decimals is None:
        raise refusal.unsupported(
            node,
            f"the threshold {column.name} has the type {column.type}, which has no exact values",
            "Ask its owner for a DECIMAL or a whole number.",
        )
    values = _values(column, decimals, node, sums)
    found = ranges.Range(values[0], values[-1], decimals, column.nullable)
    ranges.require_narrow(found, node)
    require_value(MODEL, column, found, node)
    sums.stand_in(MODEL, "sum", column)
    return sums.operand(Value(MODEL, column, found, node))[1], values


def _values(column: Column, decimals: int, node: exp.Expression, sums: Sums) -> tuple[int, ...]:
    said = sums.facts[column.source]
    texts = said.declared_of(column.name).values
    if not 1 <= len(texts) <= MOST_THRESHOLDS:
        raise refusal.unsupported(
            node,
            f"{said.domain} has declared no list of 1 to {MOST_THRESHOLDS} values of the threshold {column.name}",
            "Ask it to declare all values that the threshold may have, as categories (docs/joint-sql.md).",
        )
    found = {Fraction(text) * 10**decimals for text in texts if ranges.is_number(text)}
    if len(found) != len(texts) or any(value.denominator != 1 for value in found):
        raise refusal.unsupported(
            node,
            f"the values that {said.domain} declared of the threshold {column.name} are not different numbers of its "
            "type",
            "Ask it to declare plain numbers, with no more decimals than the column has.",
        )
    return tuple(sorted(int(value) for value in found))

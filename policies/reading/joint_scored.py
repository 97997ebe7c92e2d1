"""Scores of one owner's rows by another's model: a linear form or small trees, or the logistic curve of it.

    SELECT a.person, round(m.base + a.income * m.income + a.age * m.age, 2) AS score
    FROM bank.applicants a CROSS JOIN tax.risk_model m WHERE a.age > 17

Each term of a linear form is a value that the rows' owner computes by itself, times a column of the model, or such a
column alone. More than that nobody computes on ciphertexts here: a product of two coefficients, or a bracket over both
owners' columns, is a polynomial of higher degree and refused by this name. Every feature and every coefficient lies in
a range that its owner declared, and none may be without a value, since nothing would stand for it.

A score of trees (`joint_trees`) is a sum of CASEs and of columns of the model; terms with features stand in no sum with
them, since they would need other ciphertexts.

The logistic curve is written as `1 / (1 + exp(-(…)))`. It is computed from the exact sum after decryption.

**Stand-ins.** Of the model its owner is asked for sums of its coefficients: single ones nobody sees. Of the rows the
features are shown row by row: a model of one coefficient, 1, tells a feature of everybody who is scored, and nobody but
the model's owner sees that it does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce

from sqlglot import exp

from plans.joint import JointReading, Score, ScoreFunction, ScoreTree, Shape
from plans.joint_reading import MOST_SCORE_DECIMALS
from plans.joint_shadows import JointShadow
from plans.names import PERSON
from plans.request import statement_digest
from policies.reading import joint_ranges as ranges
from policies.reading import joint_select, refusal
from policies.reading.joint_figures import Sums, local, sources_of
from policies.reading.joint_model import MODEL, ROWS, bare, coefficient, number
from policies.reading.joint_trees import is_tree, model_columns, read_tree
from policies.reading.sources import Scope, Source, read_sources, refuse_extra
from policies.reading.tree import columns


@dataclass(frozen=True, slots=True)
class _Term:
    """A coefficient, as it is written, and what it is multiplied by: no factors stand for 1."""

    negative: bool
    factors: tuple[exp.Expression, ...]
    coefficient: exp.Expression


def read_scored(text: str, root: exp.Select, shadows: tuple[JointShadow, ...]) -> JointReading:
    """Return what a statement of scores is; its FROM has a CROSS JOIN.

    Raises:
        SqlSyntax: it names what is not there.
        SqlUnsupported: it is more than scores by a linear model, or no range follows for a feature or a coefficient.
    """
    scope, facts = _sources(root, shadows)
    key, item = _items(root)
    require_key(key, scope, facts)
    name = joint_select.name_of(key, 1, [])
    conditions = joint_select.conditions_of(root, scope)
    if conditions[MODEL]:
        raise refusal.unsupported(
            root.args["where"], "a condition on the model", "A model is one row; leave conditions on it out."
        )
    function, form, decimals = _rounded(joint_select.inner(item))
    sums = Sums.over(scope, facts)
    terms, trees = _parts(form, sums)
    score = Score(joint_select.name_of(item, 2, [name]), function, terms, decimals, trees)
    rows, model = (
        joint_select.portion_of(place, source, sums, conditions[place], [])
        for place, source in enumerate(scope.sources)
    )
    used = dict.fromkeys(column.name for each in sums.computed[ROWS] for column in columns(each))
    shown = joint_select.shown(scope.sources[ROWS], list(used), conditions[ROWS])
    return JointReading(
        statement=statement_digest(text),
        portions=(replace(rows, stand_in=shown), replace(model, bound=1)),
        sums=(),
        figures=(),
        outputs=(name, score.name),
        shape=Shape.SCORED,
        score=score,
    )


def require_key(item: exp.Expression, scope: Scope, facts: ranges.Facts) -> None:
    """Check that an output is the column that names the persons of the first relation.

    Raises:
        SqlSyntax: it names what is not there.
        SqlUnsupported: it is something else.
    """
    first = scope.sources[0]
    node = joint_select.inner(item)
    column = (
        scope.column(node) if isinstance(node, exp.Column) and not isinstance(node.this, exp.Star) else None
    )
    if column is None or column.source != first.alias or column.name not in (PERSON, facts[first.alias].key):
        raise refusal.unsupported(
            item,
            f"the first output is not the column that names the persons of {first.shadow.relation}",
            f"Begin with SELECT {first.alias}.{PERSON}.",
        )


# --- FROM and the SELECT list -----------------------------------------------------


def _sources(root: exp.Select, shadows: tuple[JointShadow, ...]) -> tuple[Scope, dict[str, JointShadow]]:
    """Return the rows and the model, in this order."""
    joins = root.args["joins"]
    if len(joins) != 1:
        raise refusal.unsupported(
            root, "rows of one relation are scored by one model", "FROM rows a CROSS JOIN model m."
        )
    refuse_extra(joins[0], {"this", "kind"})
    clause = root.args.get("from_")
    if clause is None:
        raise refusal.unsupported(root, "a statement needs a relation", "FROM rows a CROSS JOIN model m.")
    refuse_extra(clause, {"this"})
    found: list[Source] = []
    for table in (clause.this, joins[0].this):
        alone = exp.Select(from_=exp.From(this=table))
        found += read_sources(alone, tuple(each.shadow for each in shadows)).sources
    rows, model = found
    if rows.alias == model.alias:
        raise refusal.wrong(
            root, f"two relations are called {rows.alias!r}", "Give each an alias of its own."
        )
    by_relation = {each.shadow.relation: each for each in shadows}
    facts = {source.alias: by_relation[source.shadow.relation] for source in found}
    _require_model(root, facts[rows.alias], facts[model.alias])
    return Scope((rows, model)), facts


def _require_model(root: exp.Expression, rows: JointShadow, model: JointShadow) -> None:
    named = rows.shadow.relation, model.shadow.relation
    if not rows.key:
        raise refusal.unsupported(
            root,
            f"persons are scored, and {named[0]} is about nobody",
            "Write the relation of persons first.",
        )
    if model.key:
        raise refusal.unsupported(
            root,
            f"CROSS JOIN is with a model, which is about nobody, and {named[1]} is about persons",
            "Join persons USING (person).",
        )
    if model.rows != 1:
        raise refusal.unsupported(
            root,
            f"a model is one row, and {named[1]} has {model.rows:,}",
            "Ask its owner for a model of its own.",
        )
    if rows.domain == model.domain:
        raise refusal.unsupported(
            root,
            f"rows and model are both {rows.domain}'s",
            "A statement over one owner's relations is an ordinary one: darkroom.sql.",
        )


def _items(root: exp.Select) -> tuple[exp.Expression, exp.Expression]:
    if root.args.get("group"):
        raise refusal.unsupported(
            root.args["group"], "GROUP BY has no place where each row is scored", "Leave it out."
        )
    items = joint_select.items_of(root)
    if len(items) != 2:
        raise refusal.unsupported(
            root,
            "a statement of scores yields the person and one score",
            "SELECT a.person, round(…, 2) AS score.",
        )
    return items[0], items[1]


def _rounded(node: exp.Expression) -> tuple[ScoreFunction, exp.Expression, int]:
    """Return the function of a score, the sum of terms in it, and its decimals."""
    if not isinstance(node, exp.Round):
        raise refusal.unsupported(
            node, "a score is rounded to a number of decimals that everybody sees", "Write round(…, 2)."
        )
    refuse_extra(node, {"this", "decimals"})
    places = node.args.get("decimals")
    digits = "0" if places is None else str(places.this) if isinstance(places, exp.Literal) else ""
    if not re.fullmatch(r"\d{1,2}", digits) or int(digits) > MOST_SCORE_DECIMALS:
        raise refusal.unsupported(
            node, f"a score is rounded to 0 to {MOST_SCORE_DECIMALS} decimals, written as a number"
        )
    inside = bare(node.this)
    form = _exponent(inside)
    if form is not None:
        return ScoreFunction.LOGISTIC, form, int(digits)
    return ScoreFunction.LINEAR, inside, int(digits)


def _exponent(node: exp.Expression) -> exp.Expression | None:
    """Return x of `1 / (1 + exp(-x))`; none where the node is no quotient.

    Raises:
        SqlUnsupported: it is another quotient.
    """
    if not isinstance(node, exp.Div):
        return None
    below = bare(node.expression)
    if _is_one(node.this) and isinstance(below, exp.Add):
        sides = [bare(below.this), bare(below.expression)]
        curve = next((each for each in sides if isinstance(each, exp.Exp)), None)
        if any(map(_is_one, sides)) and curve is not None and isinstance(bare(curve.this), exp.Neg):
            return bare(bare(curve.this).this)
    raise refusal.unsupported(
        node, "a quotient that is not the logistic curve", "Write it as 1 / (1 + exp(-(m.base + a.x * m.x)))."
    )


def _is_one(node: exp.Expression) -> bool:
    inner = bare(node)
    return (
        isinstance(inner, exp.Literal)
        and not inner.is_string
        and re.fullmatch(r"1(\.0*)?", inner.this) is not None
    )


# --- terms -----------------------------------------------------


def _parts(form: exp.Expression, sums: Sums) -> tuple[tuple[tuple[int, int], ...], tuple[ScoreTree, ...]]:
    """Return the terms and the trees of a score.

    Raises:
        SqlUnsupported: a part is neither; both have features, or none has; or a column of the model stands there twice.
    """
    scope = sums.scope
    summed = list(_summed(form, False))
    cases = [(negative, node) for negative, node in summed if is_tree(node, scope)]
    written = [_term(negative, node, scope) for negative, node in summed if not is_tree(node, scope)]
    _require_once([node for _, node in summed], scope)
    mixed = next((term for term in written if cases and term.factors), None)
    if mixed is not None:
        raise refusal.unsupported(
            mixed.factors[0],
            "a score is linear, or of trees and constants, and this one is both",
            "Ask for two scores, and add them up on your own side.",
        )
    terms = tuple(_place(term, sums) for term in written)
    trees = tuple(read_tree(node, negative, sums) for negative, node in cases)
    if not trees and all(feature < 0 for feature, _ in terms):
        raise refusal.unsupported(
            form, "a score of no feature is the same for everybody", "Multiply a column with a coefficient."
        )
    return terms, trees


def _require_once(nodes: list[exp.Expression], scope: Scope) -> None:
    seen: set[str] = set()
    for node in nodes:
        for written in model_columns(node, scope):
            if written in seen:
                raise refusal.unsupported(
                    node,
                    f"the coefficient {written} stands in two terms",
                    "Put what it is multiplied by into one bracket: (a.x + a.y) * m.w. In trees each threshold and "
                    "each leaf is a column of its own.",
                )
            seen.add(written)


def _summed(node: exp.Expression, negative: bool) -> Iterator[tuple[bool, exp.Expression]]:
    node = bare(node)
    if isinstance(node, exp.Neg):
        yield from _summed(node.this, not negative)
    elif isinstance(node, exp.Add | exp.Sub):
        yield from _summed(node.this, negative)
        yield from _summed(node.expression, negative != isinstance(node, exp.Sub))
    else:
        yield negative, node


def _term(negative: bool, node: exp.Expression, scope: Scope) -> _Term:
    features: list[exp.Expression] = []
    coefficients: list[exp.Expression] = []
    rows, model = (source.alias for source in scope.sources)
    for turned, factor in _multiplied(node):
        negative ^= turned
        found = sources_of(factor, scope)
        if set(found) == {rows, model}:
            raise refusal.unsupported(
                factor,
                "a bracket or function over both owners' columns: a polynomial of higher degree, or no polynomial",
                "Write the score as a sum of terms, each a value of the rows times a column of the model.",
            )
        (coefficients if found == (model,) else features).append(factor)
    if not coefficients:
        raise refusal.unsupported(
            node,
            "a term without a coefficient of the model",
            "Multiply it with a column of the model, or add it on your own side.",
        )
    if len(coefficients) > 1:
        raise refusal.unsupported(
            node,
            "two coefficients are multiplied: a polynomial of higher degree",
            "Write the score as a sum of terms, each a value of the rows times a column of the model.",
        )
    return _Term(negative, tuple(features), coefficients[0])


def _multiplied(node: exp.Expression) -> Iterator[tuple[bool, exp.Expression]]:
    """Yield the factors of a product, each with whether a sign turns it."""
    node = bare(node)
    if isinstance(node, exp.Mul):
        yield from _multiplied(node.this)
        yield from _multiplied(node.expression)
    elif isinstance(node, exp.Neg):
        first, *rest = _multiplied(node.this)
        yield not first[0], first[1]
        yield from rest
    else:
        yield False, node


def _place(term: _Term, sums: Sums) -> tuple[int, int]:
    """Return the places of a term's feature (−1: none) and coefficient, added if they are new."""
    alone = not term.factors
    place = coefficient(term.coefficient, sums, negative=term.negative and alone)
    if alone:
        return -1, place
    product = reduce(lambda left, right: exp.Mul(this=left, expression=right), term.factors)
    feature = local(product, sums.scope)
    if not columns(feature):
        raise refusal.unsupported(
            product,
            "a constant is multiplied with a coefficient",
            "Ask its owner for the product as a column, or multiply a column of the rows.",
        )
    return sums.operand(number(ROWS, feature, product, sums, term.negative))[1], place

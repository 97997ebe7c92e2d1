"""Which parameters ciphertexts and lookups of a plan have, from what its reading says: public sizes and ranges. Pure.

The compiler asks it for the reasons in a plan (`plans.joint.Scheme.reasons`), every party asks again, and boxes ask it
for the parameters that they run with, so that all of them have the same. It imports neither engine nor arrays.

What a box may use of memory is its own party's affair (`mpc.estimate`): nothing here depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass

from mpc.encrypted.planner import Planned, plan_products, plan_scores, plan_sums, plan_trees
from mpc.lookup.fields import width_of
from mpc.lookup.plan import Plan, planned
from mpc.protocols import forecast
from plans.errors import Malformed
from plans.joint import JointReading, JointTask, Measure, Operand, Score, ScoreFunction, ScoreNode, Shape, Sum
from plans.joint_guards import cap_of, most_votes

_MOST_MB = 1 << 20
"""Memory that no plan is refused for here."""


def reasons_of(task: JointTask, reading: JointReading) -> tuple[str, ...]:
    """Return how a plan's parameters came to be what they are, and what it will take, as sentences; none where nothing
    is encrypted.

    Raises:
        RangeTooWide, Malformed, TooLarge: they do not fit; the sentence says which figure is too large.
    """
    if reading.shape is Shape.LOOKUP:
        plan = lookups(reading)
        return (*plan.reasons, forecast.of_lookups(plan, reading.portions[0].bound))
    found = ciphertexts(task, reading)
    return (*found.reasons, forecast.of_ciphertexts(found)) if found else ()


def ciphertexts(task: JointTask, reading: JointReading) -> Planned | None:
    """Return what ciphertexts of a plan are made with, and what they take; nothing where there are none.

    Raises:
        RangeTooWide, Malformed: they do not fit.
    """
    if reading.shape is Shape.SCORED:
        return scores(reading)
    if not task.collector:
        return None
    return sums(reading) if reading.shape is Shape.STACKED else products(task, reading)


# ------------------------------------------------------------------------------------------- one table in parts


def sums(reading: JointReading) -> Planned:
    """Plan the sums of a table in parts, and holders' votes on every figure. Raises as `plan_sums` does."""
    vectors = len(reading.sums) + len(reading.figures)
    return plan_sums(len(reading.portions), vectors * reading.cells, largest_part(reading), _MOST_MB)


def largest_part(reading: JointReading) -> int:
    """Return the largest absolute value of one holder's sum, or vote."""
    most = largest_cap(reading) * max(portion.bound for portion in reading.portions)
    return max(most, len(reading.portions) + 1)


def largest_total(reading: JointReading) -> int:
    """Return the largest absolute value of a sum of all holders together, or of their votes."""
    most = largest_cap(reading) * sum(portion.bound for portion in reading.portions)
    return max(most, most_votes(reading))


def largest_cap(reading: JointReading) -> int:
    """Return the largest absolute value that one row adds to a sum."""
    return max(cap_of(reading, total) for total in reading.sums)


# ------------------------------------------------------------------------------------------- rows of two owners


@dataclass(frozen=True, slots=True)
class Factor:
    """What one of two owners brings to a sum over rows in common: a measure of its operands, 1 for `rows`."""

    measure: Measure
    operands: tuple[int, ...]


def factor_of(total: Sum, place: int) -> Factor:
    """Return an owner's factor in a sum: of a product of both, its operand's total; of the other's numbers, 1."""
    mine = tuple(operand for portion, operand in total.operands if portion == place)
    if not mine:
        return Factor(Measure.ROWS, ())
    if total.measure is Measure.PRODUCT and len(mine) == 1:
        return Factor(Measure.TOTAL, mine)
    return Factor(total.measure, mine)


def factors(reading: JointReading, place: int) -> tuple[Factor, ...]:
    """Return all factors of an owner, each once, in the order in which sums use them first."""
    return tuple(dict.fromkeys(factor_of(total, place) for total in reading.sums))


def own_cells(reading: JointReading, place: int) -> int:
    """Return how many combinations of its own groups an owner has."""
    count = 1
    for group in reading.portions[place].groups:
        count *= len(group.codes)
    return count


def products(task: JointTask, reading: JointReading) -> Planned:
    """Plan sums over rows that two owners have in common, for every pair of their own cells.

    The owner of the key brings a column for each of its factors and own cells, as long as its padded list; the other
    one multiplies. No more rows match than the shorter list has.

    Raises:
        RangeTooWide, Malformed: see `plan_products`.
    """
    left = [portion.domain for portion in reading.portions].index(task.inspector)
    places = (left, 1 - left)
    columns = tuple(len(factors(reading, place)) * own_cells(reading, place) for place in places)
    caps = [max(factor_cap(reading, place, factor) for factor in factors(reading, place)) for place in places]
    rows = reading.portions[left].bound
    return plan_products(rows, (columns[0], columns[1]), caps[0], caps[1], _MOST_MB, largest_product(reading))


def factor_cap(reading: JointReading, place: int, factor: Factor) -> int:
    """Return the largest absolute value of a factor."""
    if factor.measure in (Measure.ROWS, Measure.PRESENT):
        return 1
    cap = 1
    for operand in factor.operands:
        cap *= reading.portions[place].operands[operand].cap
    return cap * cap if factor.measure is Measure.SQUARE else cap


def largest_product(reading: JointReading) -> int:
    """Return the largest absolute value of a sum over rows in common."""
    return max(1, largest_cap(reading)) * min(portion.bound for portion in reading.portions)


# ------------------------------------------------------------------------------------------- scores


def scores(reading: JointReading) -> Planned:
    """Plan the scores of the first portion's rows by the model that is the second.

    Raises:
        RangeTooWide, Malformed: see `plan_scores` and `plan_trees`; or a score is of no feature.
    """
    count, rows = encrypted_columns(reading), reading.portions[0].bound
    if not count:
        raise Malformed("a score is made of one feature at least", "joint-reading.score")
    if trees := len(score_of(reading).trees):
        leaf = leaf_cap(reading) + -(-_largest_constant(reading) // trees)  # together as large as all
        return plan_trees(rows, count, trees, leaf, _MOST_MB)
    widest = feature_cap(reading), weight_cap(reading)
    return plan_scores(rows, count, *widest, _MOST_MB, largest_score(reading))


def score_of(reading: JointReading) -> Score:
    """Return a reading's score.

    Raises:
        Malformed: it has none.
    """
    if reading.score is None:
        raise Malformed("this reading has no score", "joint-reading.score")
    return reading.score


def terms_of(reading: JointReading) -> tuple[tuple[int, int], ...]:
    """Return the terms of a reading's score. Raises as `score_of` does."""
    return score_of(reading).terms


def encrypted_columns(reading: JointReading) -> int:
    """Return how many columns of rows are encrypted: features of terms, or the answers to all questions of trees."""
    return len(bits_of(reading)) or sum(feature >= 0 for feature, _ in terms_of(reading))


def feature_cap(reading: JointReading) -> int:
    """Return the largest absolute value in an encrypted column: of a feature, 1 at least; of an answer 1."""
    rows, score = reading.portions[0], score_of(reading)
    if score.trees:
        return 1
    return max(1, *(rows.operands[feature].cap for feature, _ in score.terms if feature >= 0))


def weight_cap(reading: JointReading) -> int:
    """Return the largest absolute value of a coefficient at the scale of its term, 1 at least."""
    model = reading.portions[1]
    pairs = zip(terms_of(reading), powers_of(reading), strict=True)
    caps: list[int] = [model.operands[place].cap * 10**power for (_, place), power in pairs]
    return max(1, *caps)


def bits_of(reading: JointReading) -> tuple[tuple[int, int], ...]:
    """Return the answers that the trees of a score may ask for, each once: pairs of a feature and the whole number that
    it is at least, at its scale. Nothing where there are no trees.

    Values of a threshold between which no value of the feature is have one answer.
    """
    asked = (
        (node.feature, cut_of(reading, node, value))
        for node in score_of(reading).nodes
        for value in node.values
    )
    return tuple(dict.fromkeys(asked))


def cut_of(reading: JointReading, node: ScoreNode, value: int) -> int:
    """Return from which whole number on, at its own scale, a feature is at least a threshold of this value.

    It is within the feature's range, or one beyond: what lies farther gives every row the same answer, too.
    """
    feature = reading.portions[0].operands[node.feature]
    threshold = reading.portions[1].operands[node.threshold]
    found: int = -(-value * 10**feature.decimals // 10**threshold.decimals)
    return min(max(found, feature.low), feature.high + 1)


def leaf_cap(reading: JointReading) -> int:
    """Return the largest absolute value of a leaf at the scale of the score, 1 at least."""
    scale, model = score_decimals(reading), reading.portions[1]
    places = [place for tree in score_of(reading).trees for place in tree.leaves]
    caps: list[int] = [_at(model.operands[place], scale) for place in places]
    return max(1, *caps)


def unknowns(reading: JointReading) -> int:
    """Return with how many scores a model can be worked out, as far as scores depend on it: one for each feature that
    has coefficients, and one for the constant.

    Of trees it is one for each leaf but the last, which the constant may be, too: as many scores of rows on both sides
    of each threshold tell leaves and thresholds. So thresholds, of which few values are possible, count for nothing,
    and trees that ask the same features in the same places count once, for they may be one.
    """
    score = score_of(reading)
    if not score.trees:
        return len({feature for feature, _ in score.terms})
    asked = {tuple(node.feature for node in tree.nodes): len(tree.leaves) for tree in score.trees}
    return 1 + sum(leaves - 1 for leaves in asked.values())


def told_by_score(reading: JointReading) -> int:
    """Return how many unknowns of a model one rounded score may tell, at the least 1.

    Whoever chooses the features of a row, by the statement or by its data, can have coefficients stand side by side in
    one score, as digits do: 1, 10^5, 10^10 (ATTACKS 98). A score has room for so many of the narrowest as its different
    values are more than theirs together. Of a tree it tells one leaf.
    """
    model, score = reading.portions[1].operands, score_of(reading)
    wide: dict[int, int] = {}
    for feature, place in score.terms:
        wide[feature] = max(wide.get(feature, 1), model[place].high - model[place].low + 1)
    spans = [*wide.values()]
    spans += [min(model[leaf].high - model[leaf].low + 1 for leaf in tree.leaves) for tree in score.trees]
    found, together, room = 0, 1, _different_scores(reading)
    for span in sorted(spans):
        together *= span
        found += together <= room
    return max(1, found)


def _different_scores(reading: JointReading) -> int:
    """Return how many values a rounded score may have."""
    score, scale = score_of(reading), score_decimals(reading)
    if score.function is ScoreFunction.LOGISTIC:
        return int(10**score.decimals) + 1
    return int(2 * largest_score(reading) // 10 ** max(0, scale - score.decimals)) + 1


def score_decimals(reading: JointReading) -> int:
    """Return by which power of ten a score is scaled before it is rounded: the largest of a term, or of a leaf."""
    model = reading.portions[1].operands
    leaves = (model[place].decimals for tree in score_of(reading).trees for place in tree.leaves)
    return max(*_decimals(reading), *leaves, 0)


def powers_of(reading: JointReading) -> tuple[int, ...]:
    """Return by which power of ten each term's coefficient is multiplied, so that all terms have one scale."""
    scale = score_decimals(reading)
    return tuple(scale - decimals for decimals in _decimals(reading))


def _decimals(reading: JointReading) -> list[int]:
    rows, model = reading.portions
    return [
        model.operands[coefficient].decimals + (rows.operands[feature].decimals if feature >= 0 else 0)
        for feature, coefficient in terms_of(reading)
    ]


def _at(operand: Operand, scale: int) -> int:
    """Return the largest absolute value of a number of the model at a scale."""
    return int(operand.cap * 10 ** (scale - operand.decimals))


def _largest_constant(reading: JointReading) -> int:
    """Return the largest absolute value of all constants of a score together, at its scale."""
    scale, model = score_decimals(reading), reading.portions[1].operands
    return sum(_at(model[place], scale) for feature, place in terms_of(reading) if feature < 0)


def largest_score(reading: JointReading) -> int:
    """Return the largest absolute value of a score at its scale (`score_decimals`)."""
    rows, model = (portion.operands for portion in reading.portions)
    total, scale = _largest_constant(reading), score_decimals(reading)
    for (feature, coefficient), power in zip(terms_of(reading), powers_of(reading), strict=True):
        if feature >= 0:
            total += max(1, rows[feature].cap) * model[coefficient].cap * 10**power
    for tree in score_of(reading).trees:
        total += max(_at(model[place], scale) for place in tree.leaves)
    return max(1, total)


# ------------------------------------------------------------------------------------------- lookups


def lookups(reading: JointReading) -> Plan:
    """Plan the lookups of the first portion's persons in the register that is the second: exactly as many questions as
    the first one's bound.

    Raises:
        Malformed, TooLarge: it cannot be done; the figure that does not fit is said.
    """
    asked, register = reading.portions
    return planned(register.bound, record_width(reading), _MOST_MB, asked.bound)


def record_width(reading: JointReading) -> int:
    """Return the bytes of a record (`mpc.lookup.fields`)."""
    return width_of(tuple(field.width for field in reading.portions[1].fields))

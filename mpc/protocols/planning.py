"""Which parameters ciphertexts and lookups of a plan have, from what its reading says: public sizes and ranges. Pure.

The compiler asks it for the reasons in a plan (`plans.joint.Scheme.reasons`), every party asks again, and boxes ask it
for the parameters that they run with, so that all of them have the same. It imports neither engine nor arrays.

What a box may use of memory is its own party's affair (`mpc.estimate`): nothing here depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass

from mpc.encrypted.planner import Planned, plan_products, plan_scores, plan_sums
from mpc.lookup.fields import width_of
from mpc.lookup.plan import Plan, planned
from plans.errors import Malformed
from plans.joint import JointReading, JointTask, Measure, ScoreFunction, Shape, Sum
from plans.joint_guards import cap_of, most_votes

_MOST_MB = 1 << 20
"""Memory that no plan is refused for here."""


def reasons_of(task: JointTask, reading: JointReading) -> tuple[str, ...]:
    """Return how a plan's parameters came to be what they are, as sentences; none where nothing is encrypted.

    Raises:
        RangeTooWide, Malformed, TooLarge: they do not fit; the sentence says which figure is too large.
    """
    if reading.shape is Shape.LOOKUP:
        return lookups(reading).reasons
    found = ciphertexts(task, reading)
    return found.reasons if found else ()


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
        RangeTooWide, Malformed: see `plan_scores`; or a score is of no feature.
    """
    features = [feature for feature, _ in terms_of(reading) if feature >= 0]
    if not features:
        raise Malformed("a score is made of one feature at least", "joint-reading.score")
    return plan_scores(
        reading.portions[0].bound,
        len(features),
        feature_cap(reading),
        weight_cap(reading),
        _MOST_MB,
        largest_score(reading),
    )


def feature_cap(reading: JointReading) -> int:
    """Return the largest absolute value of a feature that a score is made of, 1 at least."""
    rows = reading.portions[0]
    return max(1, *(rows.operands[feature].cap for feature, _ in terms_of(reading) if feature >= 0))


def weight_cap(reading: JointReading) -> int:
    """Return the largest absolute value of a coefficient at the scale of its term, 1 at least."""
    model = reading.portions[1]
    pairs = zip(terms_of(reading), powers_of(reading), strict=True)
    caps: list[int] = [model.operands[place].cap * 10**power for (_, place), power in pairs]
    return max(1, *caps)


def terms_of(reading: JointReading) -> tuple[tuple[int, int], ...]:
    """Return the terms of a reading's score.

    Raises:
        Malformed: it has none.
    """
    if reading.score is None:
        raise Malformed("this reading has no score", "joint-reading.score")
    return reading.score.terms


def unknowns(reading: JointReading) -> int:
    """Return with how many scores of independent rows a model can be worked out, as far as scores depend on it: one for
    each feature that has coefficients, and one for the constant.
    """
    return len({feature for feature, _ in terms_of(reading)})


def told_by_score(reading: JointReading) -> int:
    """Return how many unknowns of a model one rounded score may tell, at the least 1.

    Whoever chooses the features of a row, by the statement or by its data, can have coefficients stand side by side in
    one score, as digits do: 1, 10^5, 10^10 (ATTACKS 98). A score has room for so many of the narrowest as its different
    values are more than theirs together.
    """
    spans: dict[int, int] = {}
    for feature, place in terms_of(reading):
        operand = reading.portions[1].operands[place]
        spans[feature] = max(spans.get(feature, 1), operand.high - operand.low + 1)
    found, together, room = 0, 1, _different_scores(reading)
    for span in sorted(spans.values()):
        together *= span
        found += together <= room
    return max(1, found)


def _different_scores(reading: JointReading) -> int:
    """Return how many values a rounded score may have."""
    assert reading.score is not None, "terms of a score were looked at"
    decimals, scale = reading.score.decimals, score_decimals(reading)
    if reading.score.function is ScoreFunction.LOGISTIC:
        return int(10**decimals) + 1
    return int(2 * largest_score(reading) // 10 ** max(0, scale - decimals)) + 1


def score_decimals(reading: JointReading) -> int:
    """Return by which power of ten a score is scaled before it is rounded: the largest of a term."""
    return max(_decimals(reading))


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


def largest_score(reading: JointReading) -> int:
    """Return the largest absolute value of a score at its scale (`score_decimals`)."""
    rows, model = reading.portions
    total = 0
    for (feature, coefficient), power in zip(terms_of(reading), powers_of(reading), strict=True):
        value = max(1, rows.operands[feature].cap) if feature >= 0 else 1
        total += value * model.operands[coefficient].cap * 10**power
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

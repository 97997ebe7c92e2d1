"""What a figure of a joint computation is made of, and what is tested before it is opened: one table for compilers,
boxes, and whoever reads the answer.

The sums of a figure stand in this order (`SUMS`):

* `count`: a number of rows (`rows`, `present`, or a product of flags);
* `sum`: the total;
* `avg`: the total, the number of rows with a value;
* `var_samp`, `var_pop`, `stddev_samp`, `stddev_pop`: the total of squares, the total, the number;
* `corr`: the number, the totals of x and of y, of their squares, and of x times y.

Operands of variances and correlations may be shifted by a constant, which changes neither.

Of one table in parts, exactly, every holder tests its own part of every figure and cell, too, and has a *vote* 表决: so
what all have together, less one's own part, is made of large parts. Votes stand behind the sums, a vector for each
figure, and are added up as sums are (`votes_of`). A part without a row fails, too: were it told apart from one of a few
rows, a condition would ask whether a single person is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import reduce

from plans.decision import Decision, Obligations
from plans.errors import PolicyDenied
from plans.joint import JointFigure, JointPlan, JointReading, Measure, Shape, Sum

SUMS = {
    "count": 1,
    "sum": 1,
    "avg": 2,
    "var_samp": 3,
    "var_pop": 3,
    "stddev_samp": 3,
    "stddev_pop": 3,
    "corr": 6,
}
"""Functions of figures, and how many sums each is made of."""

NOISED = ("count", "sum", "avg")
"""Functions that noise is added to: squares of noised sums would not be those of any data."""


def decimals_of(reading: JointReading, total: Sum) -> int:
    """Return by which power of ten a sum is scaled: that of its operand, twice it for squares, both for a product."""
    if total.measure in (Measure.ROWS, Measure.PRESENT):
        return 0
    each = [next(reading.alike(*place)).decimals for place in total.operands]
    return 2 * each[0] if total.measure is Measure.SQUARE else sum(each)


def cap_of(reading: JointReading, total: Sum, holder: int | None = None) -> int:
    """Return the largest absolute value that one row adds to a sum; of one table in parts that of any holder's row, or
    of a row of the holder whose portion stands at this place.
    """
    if total.measure in (Measure.ROWS, Measure.PRESENT):
        return 1
    cap = 1
    for place in total.operands:
        alike = [operand.cap for operand in reading.alike(*place)]
        cap *= max(alike) if holder is None else alike[holder]
    return cap * cap if total.measure is Measure.SQUARE else cap


def tested(
    reading: JointReading, figure: JointFigure, holder: int | None = None
) -> tuple[tuple[int, int], ...]:
    """Return what the test of dominance looks at before a figure is opened: (place of a sum, cap of one row) in pairs;
    the caps are those of one holder's rows where its place is given.

    Every total, total of squares and product of the figure, and of what is tested beside it, is tested by the total of
    its absolute values: by itself where no row can be negative, else by the sum of the measure `magnitude` over the
    same operand. A cell passes with magnitude · dominance ≥ 200 · cap, for every pair.
    """
    pairs = []
    for place in (*figure.sums, *figure.beside):
        total = reading.sums[place]
        if total.measure in (Measure.TOTAL, Measure.SQUARE, Measure.PRODUCT):
            pairs.append((_magnitude(reading, place), cap_of(reading, total, holder)))
    return tuple(dict.fromkeys(pairs))


def _magnitude(reading: JointReading, place: int) -> int:
    total = reading.sums[place]
    if total.measure is not Measure.TOTAL:
        return place  # squares are not negative, and of products no factor is
    if all(operand.low >= 0 for operand in reading.alike(*total.operands[0])):
        return place
    return reading.sums.index(Sum(Measure.MAGNITUDE, total.operands))


def thresholds(joint: JointPlan, figure: JointFigure) -> tuple[tuple[int, int], ...]:
    """Return the tests of a figure on sums: (place of a sum, what it must reach) in pairs, those of persons first.

    A person who may be in the parts of several holders of one table counts for one, so there are as many times more
    rows behind a figure as there are holders; but not where each holder votes, for then there are enough different
    persons, of whom nobody dominates, in every part, and so in all together.
    """
    rows = 1 if votes_of(joint) else joint.reading.rows_of_a_person
    return _tests(joint, figure, tested(joint.reading, figure), rows)


def own_thresholds(joint: JointPlan, figure: JointFigure, holder: int) -> tuple[tuple[int, int], ...]:
    """Return the same tests as one holder makes them on the sums of its own part, by the ranges of its own rows."""
    return _tests(joint, figure, tested(joint.reading, figure, holder), 1)


def _tests(
    joint: JointPlan, figure: JointFigure, caps: Sequence[tuple[int, int]], rows: int
) -> tuple[tuple[int, int], ...]:
    found = [(place, joint.scheme.minimum_group * rows) for place in (figure.persons, *figure.rest)]
    found += [(place, -(-200 * cap * rows // joint.scheme.dominance)) for place, cap in caps]
    return tuple(dict.fromkeys(found))


# --- votes of holders ----------------------------------------------


def votes_of(joint: JointPlan) -> int:
    """Return how many vectors of votes stand behind the sums: one for each figure of one table in parts without noise.

    With noise there are none: a vote is made from exact numbers, so it would not be private.
    """
    exact = joint.reading.shape is Shape.STACKED and not joint.scheme.noise_micro
    return len(joint.reading.figures) if exact else 0


def vectors_of(joint: JointPlan) -> int:
    """Return how many vectors of a number for each cell are made together: all sums, and votes behind them."""
    return len(joint.reading.sums) + votes_of(joint)


def agreed(joint: JointPlan, figure: JointFigure) -> tuple[tuple[int, int], ...]:
    """Return the test of holders' votes on a figure, as `thresholds` returns those of sums; none where nobody votes."""
    holders = len(joint.reading.portions)
    return ((vote_place(joint, figure), holders),) if votes_of(joint) else ()


def vote_place(joint: JointPlan, figure: JointFigure) -> int:
    """Return the place of a figure's votes among all vectors."""
    return len(joint.reading.sums) + joint.reading.figures.index(figure)


def most_votes(reading: JointReading) -> int:
    """Return what votes of all holders add up to at the most: one for each part that passes."""
    return len(reading.portions)


def strictest_of(decisions: Sequence[Decision]) -> Obligations:
    """Return what all owners demand together, the strictest of each.

    Raises:
        PolicyDenied: an owner's decision is no.
    """
    each = [decision.obligations for decision in decisions if decision.obligations is not None]
    if len(each) < len(decisions) or not each:
        raise PolicyDenied("an owner's decision about its own portion is no", "joint-plan.decisions")
    return reduce(Obligations.strictest, each)


def noise_scale(reading: JointReading, total: Sum, noise_micro: int) -> Fraction:
    """Return the scale t of the discrete Laplace noise on a sum, P(z) ∝ exp(−|z|/t): its cap over the rate.

    A person's row changes one cell of a sum by at most its cap, so this noise makes the sum ε-differentially private
    with ε = noise_micro / 10^6, and an answer with n sums n·ε; a person in the parts of several holders of one table
    has as many rows, for which the scale makes up.
    """
    return Fraction(cap_of(reading, total) * reading.rows_of_a_person * 1_000_000, noise_micro)


def noise_room(scale: Fraction, numbers: int) -> int:
    """Return what three servers' noise on so many numbers stays below, but for a probability of less than 2^−64.

    One part of it (`mpc.protocols.noise`) exceeds k with less than the probability exp(−k/scale).
    """
    each = (46 + numbers.bit_length()) * scale  # ln(2^64 · 6) < 46.2, and ln(n) < the bits of n
    return int(3 * (each + scale)) + 1


def largest_number(reading: JointReading, matched: int, noise_micro: int = 0) -> int:
    """Return the largest absolute value on shares: of sums over `matched` rows and their noise, and of the test of
    dominance.
    """
    if not reading.figures:
        return 1
    caps = [cap_of(reading, total) for total in reading.sums]
    numbers = len(reading.sums) * reading.cells
    scales = [noise_scale(reading, total, noise_micro) for total in reading.sums] if noise_micro else []
    noise = max((noise_room(scale, numbers) for scale in scales), default=0)
    return max(100 * matched + 200 * reading.rows_of_a_person, 200) * max(caps, default=1) + noise

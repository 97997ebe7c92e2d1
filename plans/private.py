"""What the mode `private` runs in place of exact figures: bounded sums, the noise on each, and what they become.

All of it follows from the statement, the owner's declarations and the policy; nothing here depends on a row. The
owner's keeper derives it again, like the rest of a program (`policies.private` has the rules, `docs/private.md`
the claim).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum

from plans import names
from plans.errors import Malformed
from plans.record import Record

MOST_ROOM = 60_000
"""Values that the bounded sums of one table have at the most, keys included: what boxes hand over always fits."""

LONGEST_KEY = 80
"""Characters of a group key that is a text; what is longer is cut before anything is counted."""


DEVIATIONS = Decimal("1.96")
"""Standard deviations within which a noisy number lies in 95 of 100 cases."""


class Measure(StrEnum):
    """What is summed over the persons of a cell."""

    PERSONS = "persons"
    ROWS = "rows"
    TOTAL = "total"


@dataclass(frozen=True, slots=True)
class Part(Record):
    """One whole number per cell, and the noise that is added to it.

    `output` is the position of the output whose rows or values are summed (for persons it means nothing). What one
    person adds to one cell is held within `low` and `high`, in units; `unit` is the size of one as decimal text.
    `scale` is the standard deviation of the discrete Gaussian in units, as decimal text.
    """

    measure: Measure
    output: int
    low: int
    high: int
    unit: str
    scale: str

    def check(self) -> None:
        if self.low > self.high or self.largest < 1:
            raise Malformed("a person adds something, between two bounds", "private.part")
        if _number(self.unit) <= 0 or _number(self.scale) <= 0:
            raise Malformed("a unit and a scale are larger than 0", "private.part")

    @property
    def largest(self) -> int:
        """The most by which one person changes the number of one cell, in units."""
        return max(abs(self.low), abs(self.high))

    @property
    def error(self) -> str:
        """How far the noise moves the number in 95 of 100 cases at the most, as decimal text; rounded up."""
        steps = math.ceil(DEVIATIONS * Decimal(self.scale))
        return f"{(steps * Decimal(self.unit)).normalize():f}"


@dataclass(frozen=True, slots=True)
class NoisyFigure(Record):
    """An output: the positions of the parts that it is computed from. A mean is `total` by `count`; else `count` is
    -1, and a key has neither.
    """

    total: int = -1
    count: int = -1


@dataclass(frozen=True, slots=True)
class Private(Record):
    """The noisy side of a program.

    Members:
        parts: the numbers that are summed and noised, in the order in which the query box writes them.
        figures: for each output of the table what it is made of.
        lists: for each key, in the order of the outputs, its public values: then every combination appears, and no
            other. Empty where there is no key or where keys are found in the data.
        threshold: where keys are found in the data, the noisy number of persons from which a cell appears; 0 else.
        persons: the position of the part that the threshold looks at, or -1.
        floor: cells of fewer persons are not even handed to the box that noises, so that all others fit.
        most_groups, most_rows: in how many cells a person counts, and with how many rows in each.
        rho_micro, delta_exponent: what the answer costs, see `plans.checks.Privacy`.
        datasets: the lineages that pay.
    """

    parts: tuple[Part, ...]
    figures: tuple[NoisyFigure, ...]
    lists: tuple[tuple[str, ...], ...]
    threshold: int
    persons: int
    floor: int
    most_groups: int
    most_rows: int
    rho_micro: int
    delta_exponent: int
    datasets: tuple[str, ...]

    @property
    def errors(self) -> tuple[str, ...]:
        """For each output the error bar of its noise, known before anything runs; nothing for keys and means."""
        return tuple(
            self.parts[figure.total].error if figure.total >= 0 > figure.count else ""
            for figure in self.figures
        )

    def check(self) -> None:
        if not self.parts or not self.datasets or min(self.rho_micro, self.most_groups, self.most_rows) < 1:
            raise Malformed("a private answer has a part, a lineage, a price and bounds", "private")
        if any(max(figure.total, figure.count) >= len(self.parts) for figure in self.figures):
            raise Malformed("a figure is made of a part that is not there", "private.figures")
        if (self.threshold > 0) != (self.persons >= 0) or self.persons >= len(self.parts):
            raise Malformed("a threshold looks at a number of persons", "private.threshold")
        if self.threshold and (self.lists or self.parts[self.persons].measure is not Measure.PERSONS):
            raise Malformed("keys are public or found in the data, not both", "private.lists")
        if self.floor < 0:
            raise Malformed("a floor is not negative", "private.floor")
        for dataset in self.datasets:
            names.require("dataset", dataset, "private.datasets")


def _number(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise Malformed("this is no decimal number", "private.part") from None
    if not number.is_finite():
        raise Malformed("this is no finite number", "private.part")
    return number

"""What must hold before anything leaves: the numbers of the disclosure rules, as an owner's policy sets them.

The rules themselves are the airlock's (`airlock`); presets with a source for every number are in
`airlock/presets.toml`. A plan over several datasets must satisfy the strictest of each number. What a number of 0
means stands beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import reduce
from typing import ClassVar

from plans.errors import Malformed
from plans.record import Record

PERSONS_FOR_A_CELL = 10
"""Of so many persons at least one exact cell of a column leaves within a period (docs/ledger.md)."""


class Mode(StrEnum):
    """How a lineage protects its persons: by rules (and no epsilon is claimed), or by differential privacy."""

    RULES = "rules"
    PRIVATE = "private"


@dataclass(frozen=True, slots=True)
class Checks(Record):
    """The numbers of the rules for one dataset.

    Members:
        preset: the set of rules from which these numbers come, for people who read them.
        dominance_largest, dominance_percent: a total of which the so many largest persons hold at least this share
            is withheld (the (n, k) rule); 0 largest: not applied.
        p_percent: a total is withheld from which the second largest person can estimate the largest one within so
            many percent (the p% rule); 0: not applied.
        degrees: residual degrees of freedom that a fitted model has at least.
        zeros: whether a figure of exactly zero, in which all persons agree, is withheld.
        margins: whether of a whole cross-table further cells stay back, so that its margins do not give back the small
            ones when they are asked for by themselves. That they are missing tells that there are small ones; without
            it, nothing does, and margins are the ledger's and the rounding's.
        enterprises: distinct enterprises behind every figure, where the dataset declares them; 0: none asked.
        differ: in how many persons a released cell differs from every other one at least, or in none (the
            disclosure ledger); 0: the dataset's minimum group.
        missing: whether that holds, too, where persons differ in nothing but that some have no value in a column as it
            stands (docs/ledger.md). Without it, numbers of persons without a value can be told, of 1 to 9 too, and no
            value; with it, groups in which few lack one are kept back.
        exact_cells, period_days: how many distinct exact cells of one sensitive column may leave within the period, and
            no more than one for ten persons of the dataset.
        unsafe_exact_cells: whether `exact_cells` holds however few persons there are, though so many answers about so
            few tell on nearly everybody.
        code_bits, code_bits_period: how many bits of what a member's own code wrote may leave at once, and within
            the period.
        model_advantage: by how many percent an attack on a model may do better than guessing.
        reviewers: how many people look at what the machine cannot decide.
        automatic: whether what passes leaves without a person.
        code_review: whether a person reads a member's code before it meets data.
    """

    KIND: ClassVar[str] = "checks"

    preset: str = "region"
    dominance_largest: int = 2
    dominance_percent: int = 90
    p_percent: int = 10
    degrees: int = 10
    zeros: bool = False
    margins: bool = False
    enterprises: int = 0
    differ: int = 0
    missing: bool = False
    exact_cells: int = 20_000
    unsafe_exact_cells: bool = False
    period_days: int = 30
    code_bits: int = 8_000_000
    code_bits_period: int = 80_000_000
    model_advantage: int = 10
    reviewers: int = 2
    automatic: bool = True
    code_review: bool = False

    def check(self) -> None:
        if not 0 <= self.dominance_largest <= 2 or not 1 <= self.dominance_percent <= 100:
            raise Malformed(
                "the dominance rule looks at no, one or two persons, and at 1 to 100 percent", "checks"
            )
        numbers = (self.p_percent, self.degrees, self.enterprises, self.differ, self.model_advantage)
        if min(numbers) < 0 or min(self.exact_cells, self.code_bits, self.code_bits_period) < 0:
            raise Malformed("a number of a rule is not negative", "checks")
        if self.period_days < 1 or not 1 <= self.reviewers <= 5:
            raise Malformed("a period has a day at least, and 1 to 5 people review", "checks")

    def cells_of(self, persons: int) -> int:
        """Return how many exact cells of a column may leave within the period, of a dataset about so many persons.

        One for ten persons at the most: with many more, linear reconstruction (Dinur and Nissim 2003) has nearly
        everybody's value. Of data of which nobody is the person (0), `exact_cells`.
        """
        if self.unsafe_exact_cells or not persons:
            return self.exact_cells
        return min(self.exact_cells, max(1, persons // PERSONS_FOR_A_CELL))

    def strictest(self, other: Checks) -> Checks:
        """Return the numbers that satisfy both."""
        return Checks(
            preset=self.preset if self.preset == other.preset else f"{self.preset}, {other.preset}"[:200],
            dominance_largest=max(self.dominance_largest, other.dominance_largest),
            dominance_percent=min(self.dominance_percent, other.dominance_percent),
            p_percent=max(self.p_percent, other.p_percent),
            degrees=max(self.degrees, other.degrees),
            zeros=self.zeros or other.zeros,
            margins=self.margins or other.margins,
            enterprises=max(self.enterprises, other.enterprises),
            differ=max(self.differ, other.differ),
            missing=self.missing or other.missing,
            exact_cells=min(self.exact_cells, other.exact_cells),
            unsafe_exact_cells=self.unsafe_exact_cells and other.unsafe_exact_cells,
            period_days=max(self.period_days, other.period_days),
            code_bits=min(self.code_bits, other.code_bits),
            code_bits_period=min(self.code_bits_period, other.code_bits_period),
            model_advantage=min(self.model_advantage, other.model_advantage),
            reviewers=max(self.reviewers, other.reviewers),
            automatic=self.automatic and other.automatic,
            code_review=self.code_review or other.code_review,
        )


@dataclass(frozen=True, slots=True)
class Privacy(Record):
    """The budget of a lineage in the mode `private`, in zero-concentrated differential privacy (Bun and Steinke 2016).

    The unit is one person with all their rows. `rho_micro` is the whole budget of a period in millionths of rho;
    `delta_exponent` n stands for a delta of 10^-n where sets of group keys are not public. One person counts in
    at most `most_groups` cells of a table, with at most `most_rows` rows in each; what is above is left out.
    """

    KIND: ClassVar[str] = "privacy"

    rho_micro: int
    period_days: int
    delta_exponent: int = 9
    most_groups: int = 1
    most_rows: int = 1

    def check(self) -> None:
        if min(self.rho_micro, self.period_days, self.most_groups, self.most_rows) < 1:
            raise Malformed("a budget and its bounds are at least 1", "privacy")
        if not 5 <= self.delta_exponent <= 18:
            raise Malformed("delta is between 10^-5 and 10^-18", "privacy")

    def strictest(self, other: Privacy) -> Privacy:
        """Return what satisfies both: the smaller budget with its period, the smaller delta, the tighter bounds."""
        smaller = min((self, other), key=lambda each: (each.rho_micro, -each.period_days))
        return Privacy(
            rho_micro=smaller.rho_micro,
            period_days=smaller.period_days,
            delta_exponent=max(self.delta_exponent, other.delta_exponent),
            most_groups=min(self.most_groups, other.most_groups),
            most_rows=min(self.most_rows, other.most_rows),
        )


def strictest(each: Sequence[Privacy]) -> Privacy | None:
    """Return what satisfies all of these budgets, or none where there is none."""
    return reduce(Privacy.strictest, each) if each else None

"""Inspected answers: plans over incomes by region and kind of household, and sums as servers would have opened them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from plans.checks import Checks
from plans.decision import Decision, Obligations
from plans.joint import (
    Grouping,
    JointFigure,
    JointPlan,
    JointReading,
    JointTask,
    Measure,
    Operand,
    Portion,
    Scheme,
    Shape,
    Sum,
)
from plans.joint_guards import own_thresholds
from plans.joint_rules import Matching, Opening
from plans.released import Released
from tests.plans import examples, joint_examples

SALT = "5a" * 16
HEALTH, TAX = "nm/health", "nm/tax"
CAP = 1_000
NO_RULES = Checks(dominance_largest=0, dominance_percent=100, p_percent=0)

ROWS, PRESENT, TOTAL, SQUARE, MAGNITUDE = range(5)
SUMS = (
    Sum(Measure.ROWS, ()),
    Sum(Measure.PRESENT, ((1, 0),)),
    Sum(Measure.TOTAL, ((1, 0),)),
    Sum(Measure.SQUARE, ((1, 0),)),
    Sum(Measure.MAGNITUDE, ((1, 0),)),
)
FIGURES = (
    JointFigure("n", "count", (ROWS,), ROWS),
    JointFigure("total", "sum", (TOTAL,), PRESENT),
    JointFigure("mean", "avg", (TOTAL, PRESENT), PRESENT),
    JointFigure("spread", "stddev_samp", (SQUARE, TOTAL, PRESENT), PRESENT),
)

People = Sequence[int | None]
"""The incomes of a cell's persons, none where one has no value."""


@dataclass(frozen=True)
class Case:
    """What an owner demands, and how the answer is cut."""

    sizes: tuple[int, ...] = (2, 3)
    low: int = 0
    cap: int = CAP
    decimals: int = 0
    checks: Checks = NO_RULES
    least: int = 10
    base: int = 1
    dominance: int = 100
    holders: int = 1
    figures: tuple[JointFigure, ...] = FIGURES
    noise_micro: int = 0
    largest: int = 100_000

    def plan(self) -> JointPlan:
        obligations = Obligations(self.least, self.base, self.largest, examples.OBLIGATIONS.tier, self.checks)
        return self.demanded(obligations, examples.OBLIGATIONS)

    def demanded(self, *obligations: Obligations) -> JointPlan:
        """The plan where each owner demands something, all others nothing more than the first."""
        example = joint_examples.joint_plan(examples.DECISION, examples.REQUEST)
        reading = self.reading()
        loose = replace(obligations[0], minimum_group=1, rounding=1, largest_result=10**9, checks=NO_RULES)
        each = [*obligations[:1], *(loose for _ in reading.portions[1:])]
        decisions = tuple(
            replace(example.decisions[0], domain=portion.domain, decision=allowed(demand))
            for portion, demand in zip(reading.portions, each, strict=True)
        )
        stacked = reading.shape is Shape.STACKED
        task = JointTask(
            joint_examples.JOINT_SQL,
            Matching.NONE if stacked else Matching.HELPER,
            Opening.INSPECTED,
            ("nm/civil", "nm/health", "nm/tax"),
            helper="" if stacked else "nm/office",
            inspector=TAX,
        )
        domains = sorted({*task.servers, *task.others, *(portion.domain for portion in reading.portions)})
        return replace(
            example,
            task=task,
            parties=tuple(joint_examples.party(domain, place) for place, domain in enumerate(domains)),
            reading=reading,
            decisions=decisions,
            scheme=Scheme(128, 10_000, self.least, self.dominance, self.noise_micro),
        )

    def reading(self) -> JointReading:
        groups = tuple(
            Grouping(f"key{place}", f"key{place}", tuple(f"c{code}" for code in range(size)))
            for place, size in enumerate(self.sizes)
        )
        income = Operand("income", self.low, self.cap, self.decimals, True)
        if self.holders > 1:
            portions = tuple(portion(f"nm/h{place}", groups, (income,)) for place in range(self.holders - 1))
            portions = (*portions, portion(TAX, groups, (income,)))
            sums = tuple(Sum(each.measure, ((0, 0),) if each.operands else ()) for each in SUMS)
        else:
            portions, sums = (portion(HEALTH, groups, ()), portion(TAX, (), (income,))), SUMS
        outputs = (*(group.name for group in groups), *(figure.name for figure in self.figures))
        shape = Shape.STACKED if self.holders > 1 else Shape.JOINED
        return JointReading(examples.digest("0"), portions, sums, self.figures, outputs, shape)

    def sums(self, cells: Sequence[People]) -> list[list[int]]:
        """What the servers open: each person once; of one table in parts, whose persons are dealt out to its holders
        one by one.
        """
        if self.holders > 1:
            parts = [[people[place :: self.holders] for people in cells] for place in range(self.holders)]
            return self.sums_of_parts(parts)
        return self._sums(cells)

    def sums_of_parts(self, parts: Sequence[Sequence[People]]) -> list[list[int]]:
        """The same of parts of a table, `[holders][cells]`, with votes behind the sums where there is no noise."""
        joint, each = self.plan(), [self._sums(cells) for cells in parts]
        places = range(len(self.figures) if not self.noise_micro else 0)
        votes = [
            [[self.vote(joint, part, place, cell) for cell in range(len(part[0]))] for place in places]
            for part in each
        ]
        vectors = [[*part, *said] for part, said in zip(each, votes, strict=True)]
        return [[sum(numbers) for numbers in zip(*rows, strict=True)] for rows in zip(*vectors, strict=True)]

    def vote(self, joint: JointPlan, part: list[list[int]], place: int, cell: int) -> int:
        """What a holder says of its part of a figure: 1 for yes."""
        tests = own_thresholds(joint, self.figures[place], 0)
        return int(all(part[number][cell] >= least for number, least in tests))

    def _sums(self, cells: Sequence[People]) -> list[list[int]]:
        found = []
        for people in cells:
            values = [value for value in people if value is not None]
            squares, sizes = sum(value * value for value in values), sum(map(abs, values))
            found.append([len(people), len(values), sum(values), squares, sizes])
        return [list(each) for each in zip(*found, strict=True)]

    def codes(self) -> list[tuple[str, ...]]:
        return list(product(*(tuple(f"c{code}" for code in range(size)) for size in self.sizes)))


def portion(domain: str, groups: Any, operands: Any) -> Portion:
    return Portion(domain, f"{domain[3:]}.rows", "id_number", "", groups, operands, "SELECT 1", 10_000)


def allowed(obligations: Obligations) -> Decision:
    return replace(examples.DECISION, obligations=obligations)


def column(released: Released, name: str) -> list[str | None]:
    """A column of what left, a suppressed cell as `…`."""
    place = [each.name for each in released.columns].index(name)
    return ["…" if row[place].suppressed else row[place].v for row in released.rows]

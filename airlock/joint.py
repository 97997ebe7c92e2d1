"""The rules by which an inspected answer of a joint computation leaves. Pure: opened sums in, a table out.

They run in the party box of the inspector, an owner on whose airlock all owners agreed (`plans.joint`: opening
`inspected`). It sees every sum of every cell in the clear, and nothing but this table leaves its box. What all owners
demand together holds, the strictest of each number:

**Small groups, dominance.** A figure is suppressed in a cell in which one of its tests fails: those that servers make
on shares where nobody inspects (`plans.joint_guards.thresholds`), on persons and on public caps, since nobody here
knows what a single person adds, either. There is a row for every cell of the public lists, with persons or without, so
that which rows there are tells nothing.

Of one table in parts, without noise, each holder has looked at its own part by the same tests, and only what nobody
says no to stands (`plans.joint_guards.agreed`). Several cells stand as one where every holder says yes to each, or
where all holders' parts of one of them pass: what is added to a part that passes makes it larger. Of which holder a no
is nobody here knows, so that cells which would stand together may be kept back.

**Zeros.** Where an owner asks for it, a figure of a total to which nobody adds anything is suppressed, too.

**Margins** (ATTACKS 27). Where an owner asks for these rules or for one about totals, further cells stay back, so that
the same figures by fewer keys do not give back the suppressed ones (`airlock.secondary`): of totals always then, of
counts with `margins`. Whatever stays back for one of these figures does in all of them: a mean times its count is the
total, and so are two parts of it that CASEs tell apart, whatever sums they are made of.

**Rounding** is that of every other answer (`airlock.rules`, `airlock.rounding`): counts to the nearest multiple of the
base, any other figure to the digits that its persons support. Where noise was added, the sums have it already; all of
this looks at noised numbers alone.

Nobody can look at the table before it leaves, and nobody counted enterprises: where an owner asks for either, nothing
leaves (policies refuse such requests before, `policies.joint`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import product

from airlock.classes import Rule
from airlock.dominance import applies
from airlock.rounding import MOST_DIGITS, count, measure, plain
from airlock.secondary import complete
from plans.checks import Checks, Mode
from plans.decision import Obligations
from plans.errors import Malformed, OutputRefused, PolicyDenied
from plans.joint import JointFigure, JointPlan, JointReading, Measure
from plans.joint_answer import figure_of
from plans.joint_guards import (
    agreed,
    decimals_of,
    strictest_of,
    tested,
    thresholds,
    vectors_of,
    votes_of,
)
from plans.released import SUPPRESSED, Cell, Note, Released, ReleasedColumn

Sums = Sequence[Sequence[int]]
"""Every sum of a reading in every cell, votes of holders behind them, `[vectors][cells]`, as signed whole numbers at
their scales.
"""

COUNT, SIGNED = "count", ("sum", "avg")
"""The function whose figures are counts, and those whose figures can cancel out."""

NOISE = "noise"
"""The rule class of a note about noise."""


def judge_joint(joint: JointPlan, sums: Sums, salt: str) -> Released:
    """Return the table that leaves: a row for every cell, in the order of the public lists, figures rounded.

    Args:
        joint: the plan.
        sums: what was opened.
        salt: 128 fresh random bits in hex (`plans.released`).

    Raises:
        Malformed: these are not the sums of this plan.
        OutputRefused: the table has more cells than an owner lets leave at once.
        PolicyDenied: an owner's decision is no, or demands what nobody can keep here.
    """
    reading, demanded = joint.reading, strictest_of([each.decision for each in joint.decisions])
    _require_kept(demanded)
    if len(sums) != vectors_of(joint) or any(len(each) != reading.cells for each in sums):
        raise Malformed(
            "what was opened has another number of sums or cells than the plan", "joint-plan.sums"
        )
    if reading.cells * len(reading.figures) > demanded.largest_result:
        raise OutputRefused(Rule.TOO_MANY_CELLS.sentence, Rule.TOO_MANY_CELLS.value, Rule.TOO_MANY_CELLS.help)
    table = _Table(joint, sums, demanded)
    columns = {group.name: _codes(reading, place) for place, group in enumerate(reading.groups)}
    for figure, hidden in zip(reading.figures, table.hidden(), strict=True):
        columns[figure.name] = [
            SUPPRESSED if cell in hidden else table.shown(figure, cell) for cell in range(reading.cells)
        ]
    return Released(
        plan=joint.digest,
        columns=tuple(ReleasedColumn(name, _type(reading, name)) for name in reading.outputs),
        rows=tuple(zip(*(columns[name] for name in reading.outputs), strict=True)),
        notes=_notes(joint, demanded),
        salt=salt,
    )


def _require_kept(demanded: Obligations) -> None:
    """Raise `PolicyDenied` where an owner demands what nobody can keep here: whoever asked was to be told before."""
    checks = demanded.checks
    unkept = {
        "an owner's data are private, with a budget of their own": demanded.mode is not Mode.RULES,
        "an owner counts enterprises behind every figure": checks.enterprises > 0,
        "an owner has people look at everything before it leaves": not checks.automatic,
    }
    for what, holds in unkept.items():
        if holds:
            raise PolicyDenied(f"{what}, which is not done for inspected answers", "joint-plan.decisions")


def _codes(reading: JointReading, place: int) -> list[Cell]:
    """Return the code of a key in every cell."""
    return [Cell(codes[place], False) for codes in _keys(reading)]


def _keys(reading: JointReading) -> list[tuple[str, ...]]:
    return list(product(*(group.codes for group in reading.groups)))


@dataclass(frozen=True, slots=True)
class _Table:
    """Opened sums, and what all owners demand of what leaves."""

    joint: JointPlan
    sums: Sums
    demanded: Obligations

    def hidden(self) -> list[frozenset[int]]:
        """Return for every figure the cells in which it is suppressed."""
        figures, checks = self.joint.reading.figures, self.demanded.checks
        own = [
            frozenset(cell for cell in range(self.joint.reading.cells) if not self._stands(figure, (cell,)))
            for figure in figures
        ]
        looked = [self._looked(figure, checks) for figure in figures]
        counted = {figure.persons for figure, look in zip(figures, looked, strict=True) if look}
        sizes = [sum(self.sums[place][cell] for place in counted) for cell in range(self.joint.reading.cells)]
        further = frozenset[int]().union(
            *(
                self._completed(figure, first, sizes) - first
                for figure, first, look in zip(figures, own, looked, strict=True)
                if look
            )
        )
        return [first | further if look else first for first, look in zip(own, looked, strict=True)]

    def _looked(self, figure: JointFigure, checks: Checks) -> bool:
        """Return whether margins are looked at for a figure."""
        return checks.margins or (applies(checks) and bool(tested(self.joint.reading, figure)))

    def _completed(self, figure: JointFigure, first: Collection[int], sizes: Sequence[int]) -> frozenset[int]:
        """Return the cells that stay back for one figure; of further ones, those that are smallest in all figures."""
        return complete(
            _keys(self.joint.reading),
            first,
            lambda cells: self._stands(figure, cells),
            lambda cell: sizes[cell],
        )

    def _stands(self, figure: JointFigure, cells: Collection[int]) -> bool:
        """Return whether a figure may leave for some cells as one: of different persons, so that sums add up."""
        tests = list(thresholds(self.joint, figure))
        if self.demanded.checks.zeros:
            tests += [(place, 1) for place, _ in tested(self.joint.reading, figure)]
        reached = all(sum(self.sums[place][cell] for cell in cells) >= least for place, least in tests)
        return reached and all(self._agreed(*test, cells) for test in agreed(self.joint, figure))

    def _agreed(self, place: int, least: int, cells: Collection[int]) -> bool:
        """Return whether every holder's part of some cells as one passes its tests: it does where it does in one of
        them, since what is added to it only grows.
        """
        return max(self.sums[place][cell] for cell in cells) >= least

    def shown(self, figure: JointFigure, cell: int) -> Cell:
        """Return a figure that may leave, rounded; nothing where it is not defined."""
        value = figure_of(self.joint, figure, [self.sums[place][cell] for place in figure.sums])
        if value is None:
            return Cell(None, False)
        base = self.demanded.rounding
        if figure.function == COUNT:
            return Cell(str(count(int(value), base)), False)
        persons = -(-self.sums[figure.persons][cell] // self.joint.reading.rows_of_a_person)
        return Cell(plain(measure(Decimal(str(value)), persons, base, self._cancelled(figure, cell))), False)

    def _cancelled(self, figure: JointFigure, cell: int) -> Decimal:
        """Return how many times a total without signs is as large as the figure (`airlock.dominance.Shares`)."""
        total = self.joint.reading.sums[figure.sums[0]].measure
        net = abs(self.sums[figure.sums[0]][cell])
        if figure.function not in SIGNED or total not in (Measure.TOTAL, Measure.PRODUCT) or not net:
            return Decimal(1)
        magnitude, _ = tested(self.joint.reading, figure)[0]
        return max(Decimal(1), Decimal(self.sums[magnitude][cell]) / net)


def _type(reading: JointReading, name: str) -> str:
    """Return the DuckDB type of an output, before rounding."""
    figure = next((each for each in reading.figures if each.name == name), None)
    if figure is None:
        return "VARCHAR"
    if figure.function == COUNT:
        return "BIGINT"
    if figure.function != "sum":
        return "DOUBLE"
    decimals = decimals_of(reading, reading.sums[figure.sums[0]])
    return f"DECIMAL(38,{decimals})" if decimals else "HUGEINT"


def _notes(joint: JointPlan, demanded: Obligations) -> tuple[Note, ...]:
    """Return a note for every rule that applies to this table; no number in it is looked at."""
    reading, scheme, checks = joint.reading, joint.scheme, demanded.checks
    totals = any(tested(reading, figure) for figure in reading.figures)
    notes = []
    if scheme.minimum_group > 1:
        persons = f"A figure that rests on fewer than {scheme.minimum_group:,} persons is suppressed"
        notes.append(Note(Rule.SMALL_GROUP.value, persons + _parts(joint)))
    if totals:
        sentence = (
            "A figure of a total is suppressed where two persons could make up more than"
            f" {scheme.dominance} percent of it, by the ranges that owners declared."
        )
        zeros = " So is a total to which nobody adds anything." if checks.zeros else ""
        own = " Each holder's own part is tested so by itself." if votes_of(joint) else ""
        notes.append(Note(Rule.DOMINANCE.value, sentence + own + zeros))
    if reading.groups and (checks.margins or (totals and applies(checks))):
        sentence = "Further cells are suppressed, from which others could be found by subtraction."
        notes.append(Note(Rule.SMALL_GROUP.value if checks.margins else Rule.DOMINANCE.value, sentence))
    if scheme.noise_micro:
        sentence = (
            f"Noise of the rate {scheme.noise_micro:,} millionths was added to every sum, before all else."
        )
        notes.append(Note(NOISE, sentence))
    if demanded.rounding > 1 or any(figure.function != COUNT for figure in reading.figures):
        sentence = (
            f"Counts are rounded to multiples of {demanded.rounding:,}; other figures have as many"
            f" significant digits as a count of their persons rounded so, at most {MOST_DIGITS}."
        )
        notes.append(Note(Rule.ROUNDING.value, sentence))
    return tuple(notes)


def _parts(joint: JointPlan) -> str:
    """Return how the test of persons looks at a table in parts, as the end of a sentence."""
    rows = joint.reading.rows_of_a_person
    if votes_of(joint):
        return ", and so is one of which a holder's own part rests on fewer."
    return (
        f"; since one person may be in every holder's part, it has {rows} times as many rows."
        if rows > 1
        else "."
    )

"""The rules of the mode `private`: from bounded sums to a table of noisy figures and their error bars. Pure.

They run in the judging box, in place of the rules of `airlock.rules`: nothing is suppressed for being small and
nothing is rounded, since that would depend on exact numbers. What is computed here from noisy numbers is
post-processing and costs nothing (Bun and Steinke 2016, lemma 1.8). The noise itself is given: `inside.noise` has
OpenDP draw it.

An error bar holds the exact figure of the bounded data in 95 of 100 cases. It is about the noise alone: what the bounds
cut off, it does not know.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import product

from airlock.rules import (
    Judgement,
    Row,
    Rule,
    Shown,
    Stamp,
    Table,
    Value,
    may_leave,
    ordered,
    plain,
    shown_key,
    too_large,
)
from plans.decision import Obligations
from plans.errors import Malformed, OutputRefused
from plans.inspection import Applied, Effect
from plans.plan import Program
from plans.private import Part, Private
from plans.reading import Output, Role
from plans.released import SUPPRESSED, Cell, Note, Released, ReleasedColumn
from plans.verdict import Finding

PRIVATE = "private"
"""The rule class that stands in verdicts and notes of this mode."""

BOTH = Decimal("2.25")
"""Standard deviations within which two noisy numbers lie at once in 95 of 100 cases: each does in 97.5."""

LARGEST = 2**62
"""No number of a cell is larger, so that it stays one of 64 bits with its noise."""

Noise = Callable[[Sequence[int], Part], list[int]]
"""Adds to each number of a part the noise that the part says, drawn anew."""


@dataclass(frozen=True, slots=True)
class NoisyCell:
    """A cell: its keys as they are shown, and the noisy number of each part."""

    keys: tuple[Cell, ...]
    numbers: tuple[int, ...]


def answer(table: Table, program: Program, obligations: Obligations, stamp: Stamp, noise: Noise) -> Judgement:
    """Return the judgement about a table of bounded sums: keys, then a whole number for every part.

    Raises:
        Malformed: the program is not private.
        OutputRefused: a number is one that no honest engine finds under the bounds.
    """
    private = program.private
    if private is None or not all(may_leave(output) for output in program.outputs):
        raise Malformed("this program is not private", "program.private")
    cells = [_cell(row, program, private) for row in table.rows]
    if not keys_of(program) or private.lists:
        cells = _every(cells, private)
    noisy = _noised(cells, private, noise)
    columns = _columns(program)
    rows = [_row(cell, program, private) for cell in noisy]
    if too_large(rows, tuple(columns), obligations):
        return Judgement(Finding.REFUSED, (Rule.TOO_MANY_CELLS.value,), None)
    places = _places(program)
    order = tuple(dataclasses.replace(term, output=places[term.output]) for term in program.order)
    released = Released(
        plan=stamp.plan,
        columns=tuple(ReleasedColumn(column.name, column.type) for column in columns),
        rows=tuple(ordered(rows, tuple(columns), order)[: program.limit]),
        notes=notes(private),
        salt=stamp.salt,
    )
    applied = tuple(_applied(program, private, len(rows)))
    if not obligations.checks.automatic:
        return Judgement(Finding.HELD, (PRIVATE, Rule.BY_PEOPLE.value), released, applied)
    return Judgement(Finding.PASS, (PRIVATE,), released, applied)


def _applied(program: Program, private: Private, rows: int) -> Iterator[Applied]:
    """Yield for the owner's record what was noised, and how; the numbers are those of the plan."""
    for figure, output in zip(private.figures, program.outputs, strict=True):
        for place in (figure.total, figure.count):
            if place >= 0:
                part = private.parts[place]
                numbers = {"scale": part.scale, "unit": part.unit, "low": part.low, "high": part.high}
                yield Applied(
                    PRIVATE, output.name, Effect.REPAIRED, rows, {"measure": part.measure.value, **numbers}
                )
    numbers = {"rho_micro": private.rho_micro, "delta_exponent": private.delta_exponent}
    yield Applied(PRIVATE, "answer", Effect.PASSED, rows, {**numbers, "threshold": private.threshold})


def keys_of(program: Program) -> tuple[Output, ...]:
    """Return the outputs that are keys."""
    return tuple(output for output in program.outputs if output.role is Role.KEY)


def notes(private: Private) -> tuple[Note, ...]:
    """Return what the reader of a private answer must know; nothing of it depends on a row."""
    cost = Decimal(private.rho_micro) / 1_000_000
    told = [
        f"Every figure has noise added: the answer is differentially private with rho = {plain(cost)} (zCDP), for one"
        f" person with all rows. A person counts in at most {private.most_groups:,} cells, with at most"
        f" {private.most_rows:,} rows in each, and with values within the declared bounds.",
        "The columns _error say how far the noise moves a figure in 95 of 100 cases; what the bounds cut off is not in"
        " them.",
    ]
    if private.threshold:
        told.append(
            f"A group appears if its noisy number of persons is at least {private.threshold:,};"
            f" delta is 10^-{private.delta_exponent}."
        )
    elif private.lists:
        told.append("Every declared value of the keys appears, with persons or without.")
    return tuple(Note(PRIVATE, sentence) for sentence in told)


# --- cells -----------------------------------------------------


def _cell(row: Row, program: Program, private: Private) -> NoisyCell:
    keys = keys_of(program)
    if len(row) != len(keys) + len(private.parts):
        raise Malformed("a row has another number of values than the program says", "table")
    numbers = tuple(_whole(value) for value in row[len(keys) :])
    shown = tuple(shown_key(value, output) for value, output in zip(row, keys, strict=False))
    return NoisyCell(shown, numbers)


def _whole(value: Value) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise OutputRefused("a bounded sum is a whole number", "output")
    number = int(value)
    if abs(number) > LARGEST:
        raise OutputRefused("a bounded sum is larger than its bounds allow", "output")
    return number


def _every(cells: list[NoisyCell], private: Private) -> list[NoisyCell]:
    """Return a cell for every combination of public values, zeros where nobody is; others are left out."""
    known = {tuple(key.v for key in cell.keys): cell for cell in cells}
    nobody = (0,) * len(private.parts)
    found = []
    for values in product(*private.lists):
        cell = known.get(values)
        found.append(cell or NoisyCell(tuple(Cell(value, False) for value in values), nobody))
    return found


def _noised(cells: list[NoisyCell], private: Private, noise: Noise) -> list[NoisyCell]:
    """Return the cells with noise on every number; those that are found in the data only above the threshold."""
    columns: dict[int, list[int]] = {}
    if private.threshold:
        persons = noise([cell.numbers[private.persons] for cell in cells], private.parts[private.persons])
        kept = [n for n, number in enumerate(persons) if number >= private.threshold]
        cells = [cells[n] for n in kept]
        columns[private.persons] = [persons[n] for n in kept]
    for place, part in enumerate(private.parts):
        if place not in columns:
            columns[place] = noise([cell.numbers[place] for cell in cells], part)
    return [
        NoisyCell(cell.keys, tuple(columns[place][n] for place in range(len(private.parts))))
        for n, cell in enumerate(cells)
    ]


# --- what is shown -----------------------------------------------------


def _columns(program: Program) -> list[Output]:
    """Return the columns of the answer: the outputs, and behind every figure its error bar."""
    found: list[Output] = []
    taken = {output.name for output in program.outputs}
    for output in program.outputs:
        found.append(output)
        if output.role is not Role.KEY:
            name = f"{output.name}_error"
            while name in taken:
                name += "_"
            taken.add(name)
            found.append(Output(name, "DOUBLE", Role.FIGURE, PRIVATE, 0))
    return found


def _places(program: Program) -> list[int]:
    """Return where each output stands among the columns of the answer."""
    places, place = [], 0
    for output in program.outputs:
        places.append(place)
        place += 1 if output.role is Role.KEY else 2
    return places


def _row(cell: NoisyCell, program: Program, private: Private) -> Shown:
    keys, shown = iter(cell.keys), list[Cell]()
    for figure in private.figures:
        if figure.total < 0:
            shown.append(next(keys))
        elif figure.count < 0:
            part = private.parts[figure.total]
            number = cell.numbers[figure.total] * Decimal(part.unit)
            shown += [Cell(plain(number), False), Cell(part.error, False)]
        else:
            total, count = private.parts[figure.total], private.parts[figure.count]
            shown += _mean((cell.numbers[figure.total], total), (cell.numbers[figure.count], count))
    return tuple(shown)


def _mean(total: tuple[int, Part], count: tuple[int, Part]) -> list[Cell]:
    """Return a noisy sum over a noisy count, and how far it is off: nothing where the count may be zero.

    With |s - S| <= a and |n - N| <= b, where b < n: |s/n - S/N| <= (a + |s/n| b) / (n - b).
    """
    (summed, part), (counted, of) = total, count
    off_total, off_count = BOTH * Decimal(part.scale), BOTH * Decimal(of.scale)
    if counted <= off_count:
        return [SUPPRESSED, SUPPRESSED]
    mean = Decimal(summed) / counted
    error = (off_total + abs(mean) * off_count) / (counted - off_count)
    unit = Decimal(part.unit)
    digit = Decimal(1).scaleb(max((error * unit).adjusted() - 2, -12))
    rounded = (error * unit / digit).to_integral_value("ROUND_CEILING") + 1
    return [
        Cell(plain((mean * unit / digit).to_integral_value() * digit), False),
        Cell(plain(rounded * digit), False),
    ]

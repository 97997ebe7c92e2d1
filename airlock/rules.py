"""The rules by which a table leaves, or does not. Pure: a table and obligations in, a judgement out.

Every row of a table is a *cell* of persons: those whose records fell into the row's group. Beside the
member's columns the engine counted them (`_persons_0`), and for each figure the persons whose values it rests
on (`Output.persons`).

**Small groups.** A row whose cell holds fewer persons than the minimum does not appear, with its keys: a rare
key says by itself that somebody with it exists. A figure that rests on fewer is *suppressed*, and so is one
that is no finite number. No persons are fewer than the minimum, too: were zero shown and one not, a missing
zero would be a finding about somebody. For the same reason nobody learns *whether* a row was left out. The
notes and the reasons of a verdict say which rules were applied, never which ones struck, and a table of which
nothing remains is refused whether nobody or one person was in it. Otherwise any question about one person
could be asked as "is anybody left out?" (ATTACKS 24, 90).

**Rounding.** Counts go to the nearest multiple of the base, halves to the even multiple. Any other figure
keeps as many significant digits as the number of persons it rests on keeps after rounding to the base, at
least one and at most `MOST_DIGITS`, halves to even: base 10 and 4,321 persons give three. So one average
person's share is below the last digit, `sum(1)` says no more than `count(*)`, and the low bits of a
floating-point number, which depend on the order of addition and could carry a message, stay inside. It is no
protection against one person who outweighs the rest: that is the dominance rule's work, and differences
between several figures or answers are the ledger's. Neither is here yet. Secondary suppression is not needed: the
only table with margins is one whose margins are computed from its protected cells.

**Order and limit** are the member's, but are applied last and to what is released, with suppressed cells at
the end and ties broken by the released values themselves: the position of a row tells nothing that the row
does not. A table of too many cells is refused before the limit, or page after page would take all of it out.

**A finish** (`plans.reading`) computes from tables to which all of this was done before (`protect`), each no
larger than an answer may be. What it made is bounded in size and leaves as it is: nothing can be computed from
protected figures that they do not say.

**Rows** leave only under a program of the level `rows`, which a plan has only if the owner shows every column
in it to this asker. They are bounded in size, in the order of the statement, and nothing is left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from enum import StrEnum

from plans.canonical import LARGEST_NUMBER
from plans.decision import Obligations
from plans.errors import Malformed
from plans.plan import Program
from plans.reading import Cells, Level, Order, Output, Role
from plans.released import SUPPRESSED, Cell, Note, Released, ReleasedColumn
from plans.verdict import Finding

MOST_DIGITS = 6
"""Significant digits of a figure at the most; a double has 15 to 17, of which the last depend on the order of
addition.
"""

COUNT = "count"
"""The function whose figures are counts."""

WHOLE = re.compile(r"U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)")
NUMBER = re.compile(WHOLE.pattern + r"|DECIMAL(\(\d+,\s*\d+\))?|FLOAT|DOUBLE")
"""The DuckDB types that a figure may have. A truth value or a text computed from figures could tell unrounded
ones.
"""

Value = str | int | bool | None
Row = tuple[Value, ...]
Shown = tuple[Cell, ...]


class Rule(StrEnum):
    """The rule classes that verdicts and notes name."""

    SMALL_GROUP = "small-group"
    ROUNDING = "rounding"
    TOO_MANY_CELLS = "too-many-cells"
    NOT_A_FIGURE = "not-a-figure"
    NOTHING_LEFT = "nothing-left"
    TOO_MANY_ROWS = "too-many-rows"
    FINISHED = "finished"
    ROW_LEVEL = "row-level"
    MASKED = "masked"

    @property
    def sentence(self) -> str:
        """Why an output was refused by this rule; empty for a rule that refuses none."""
        return _REFUSALS.get(self, ("", ""))[0]

    @property
    def help(self) -> str:
        """What would make it pass; the same whatever the data are."""
        return _REFUSALS.get(self, ("", ""))[1]


_REFUSALS = {
    Rule.SMALL_GROUP: (
        "No group holds enough persons to be shown.",
        "Group by fewer or coarser columns, or filter less.",
    ),
    Rule.ROUNDING: ("Figures leave rounded only.", "Ask for figures that make sense when rounded."),
    Rule.TOO_MANY_CELLS: (
        "The result has more cells than may leave at once.",
        "Group by fewer or coarser columns; LIMIT does not help, it is applied afterwards.",
    ),
    Rule.NOT_A_FIGURE: (
        "A figure is neither a number nor a key of its group.",
        "Ask for the number itself, and compare on your own side.",
    ),
    Rule.NOTHING_LEFT: (
        "Of what the statement computes from the protected figures no row is left.",
        "Group by fewer or coarser columns, filter less, or loosen the outer conditions.",
    ),
    Rule.TOO_MANY_ROWS: (
        "The result has more cells than may leave at once.",
        "Ask for fewer rows or columns.",
    ),
}


@dataclass(frozen=True, slots=True)
class Table:
    """What the query box found. A row holds a value for each output, then the hidden numbers of persons.

    Numbers are int up to 53 bits, else text in plain or exponent notation; what is no finite number is the
    text `nan`.
    """

    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Stamp:
    """What marks a released table as this one: the plan's digest, and 128 fresh random bits in hex."""

    plan: str
    salt: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What happens to a table, by which rules, and what leaves (nothing when refused)."""

    finding: Finding
    reasons: tuple[str, ...]
    released: Released | None


def judge(table: Table, program: Program, obligations: Obligations, stamp: Stamp) -> Judgement:
    """Return the judgement about the table that is a program's answer: its one table, or what its finish made.

    Raises:
        Malformed: the table is not one of this program; nothing may leave then.
    """
    if program.finish or program.level is Level.ROWS:
        return _judge_computed(table, program, obligations, stamp)
    (cells,) = program.tables
    _require_fitting(table, cells)
    if not all(may_leave(output) for output in cells.outputs):
        return _refused(Rule.NOT_A_FIGURE)
    rows = _kept(table, cells, obligations)
    if not rows:
        return _refused(Rule.SMALL_GROUP)
    if too_large(rows, program.outputs, obligations):
        return _refused(Rule.TOO_MANY_CELLS)
    in_order = ordered(rows, program.outputs, program.order)[: program.limit]
    return _leaving(in_order, program, obligations, stamp)


def protect(table: Table, cells: Cells, obligations: Obligations) -> Table:
    """Return a table of cells as a finish may compute with it: small groups gone, figures rounded, rows by value.

    A suppressed figure has no value there. The form is that of `Table`, without the numbers of persons.

    Raises:
        Malformed: the table is not one of these cells, or a figure is no number.
    """
    _require_fitting(table, cells)
    if not all(may_leave(output) for output in cells.outputs):
        raise Malformed(Rule.NOT_A_FIGURE.sentence, "cells")
    rows = ordered(_kept(table, cells, obligations), cells.outputs)
    types = [output.type for output in cells.outputs]
    return Table(
        tuple(tuple(_typed(cell.v, kind) for cell, kind in zip(row, types, strict=True)) for row in rows)
    )


def too_large(rows: Sized, outputs: tuple[Output, ...], obligations: Obligations) -> bool:
    """Return whether a table has more cells than may leave at once."""
    return len(rows) * len(outputs) > obligations.largest_result


def _judge_computed(table: Table, program: Program, obligations: Obligations, stamp: Stamp) -> Judgement:
    """Judge what needs no protection any more: rows that are shown, or what a finish made of protected tables."""
    if any(len(row) != len(program.outputs) for row in table.rows):
        raise Malformed("a row has another number of values than the program says", "table")
    rows = [tuple(map(shown_key, row, program.outputs)) for row in table.rows]
    if program.finish and not rows:
        return _refused(Rule.NOTHING_LEFT)
    if too_large(rows, program.outputs, obligations):
        return _refused(Rule.TOO_MANY_ROWS)
    return _leaving(rows, program, obligations, stamp)


def _leaving(rows: list[Shown], program: Program, obligations: Obligations, stamp: Stamp) -> Judgement:
    notes = _notes(program, obligations)
    released = Released(
        plan=stamp.plan,
        columns=tuple(ReleasedColumn(output.name, output.type) for output in program.outputs),
        rows=tuple(rows),
        notes=notes,
        salt=stamp.salt,
    )
    repaired = any(note.rule in (Rule.SMALL_GROUP, Rule.ROUNDING) for note in notes)
    finding = Finding.REPAIRED if repaired else Finding.PASS
    return Judgement(finding, tuple(note.rule for note in notes), released)


def count(value: int, base: int) -> int:
    """Return a count rounded to the nearest multiple of the base, a half to the even multiple."""
    multiple, rest = divmod(value, base)
    up = 2 * rest > base or (2 * rest == base and multiple % 2 == 1)
    return (multiple + up) * base


def digits(persons: int, base: int) -> int:
    """Return how many significant digits a figure keeps that rests on so many persons."""
    lost = len(str(base - 1)) if base > 1 else 0
    return min(MOST_DIGITS, max(1, len(str(persons)) - lost))


def measure(value: Decimal, persons: int, base: int) -> Decimal:
    """Return a sum, mean or deviation with the digits that its persons support."""
    return Context(prec=digits(persons, base), rounding=ROUND_HALF_EVEN).plus(value)


def is_count(output: Output) -> bool:
    """Return whether an output is a plain count, which is rounded to the base."""
    return output.role is Role.FIGURE and output.function == COUNT and bool(WHOLE.fullmatch(output.type))


# --- one row ------------------------------------------------------------------------------------------------


def _kept(table: Table, cells: Cells, obligations: Obligations) -> list[Shown]:
    """Return the rows of large groups, as they may be shown."""
    large = (row for row in table.rows if _persons(row, cells, 0) >= obligations.minimum_group)
    return [_released_row(row, cells, obligations) for row in large]


def _released_row(row: Row, cells: Cells, obligations: Obligations) -> Shown:
    return tuple(
        shown_key(row[position], output)
        if output.role is Role.KEY
        else _figure(row[position], output, _persons(row, cells, output.persons), obligations)
        for position, output in enumerate(cells.outputs)
    )


def shown_key(value: Value, output: Output) -> Cell:
    """Return a key, or a row's own value, as it is shown."""
    if value is None:
        return Cell(None, False)
    if isinstance(value, bool):
        return Cell("true" if value else "false", False)
    if value != "nan" and NUMBER.fullmatch(output.type):
        return Cell(plain(_number(value)), False)
    return Cell(str(value), False)


def _figure(value: Value, output: Output, persons: int, obligations: Obligations) -> Cell:
    if persons < obligations.minimum_group or value == "nan":
        return SUPPRESSED
    if value is None:
        return Cell(None, False)
    number = _number(value)
    if is_count(output):
        return Cell(str(count(int(number), obligations.rounding)), False)
    return Cell(plain(measure(number, persons, obligations.rounding)), False)


def plain(number: Decimal) -> str:
    """Return a number in plain notation, without trailing zeros after the point, and zero without a sign."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _number(value: Value) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Malformed("a figure is a number", "table")
    number = Decimal(value)
    if not number.is_finite():
        raise Malformed("a figure is a finite number", "table")
    return number


def _typed(shown: str | None, kind: str) -> Value:
    """Return the value that a cell shows, in the form of a `Table`; a number too large for a double is none."""
    if shown is None or shown == "nan":
        return shown
    if kind == "BOOLEAN":
        return shown == "true"
    if WHOLE.fullmatch(kind):
        return int(shown) if abs(int(shown)) <= LARGEST_NUMBER else shown
    if kind in ("FLOAT", "DOUBLE"):
        return repr(float(shown)) if math.isfinite(float(shown)) else None
    return shown


def _persons(row: Row, cells: Cells, hidden: int) -> int:
    persons = row[len(cells.outputs) + hidden]
    if isinstance(persons, bool) or not isinstance(persons, int) or persons < 0:
        raise Malformed("a number of persons is a whole number, 0 or more", "table")
    return persons


# --- the whole table ----------------------------------------------------------------------------------------


def _require_fitting(table: Table, cells: Cells) -> None:
    width = len(cells.outputs) + cells.hidden
    if any(len(row) != width for row in table.rows):
        raise Malformed("a row has another number of values than the program says", "table")


def may_leave(output: Output) -> bool:
    """Return whether an output of a table of cells is a key, or a figure that is a number."""
    return output.role is Role.KEY or bool(NUMBER.fullmatch(output.type))


def _refused(rule: Rule) -> Judgement:
    return Judgement(Finding.REFUSED, (rule.value,), None)


def _notes(program: Program, obligations: Obligations) -> tuple[Note, ...]:
    """Return a note for every rule that applies to tables of this shape; no row is looked at."""
    if program.level is Level.ROWS:
        sentence = (
            "These are rows, as their owner shows them to the asker: nothing was suppressed or rounded."
        )
        return (Note(Rule.ROW_LEVEL.value, sentence), *_masked(program))
    notes = []
    figures = [output for cells in program.tables for output in cells.outputs if output.role is Role.FIGURE]
    if obligations.minimum_group > 1:
        least = f"{obligations.minimum_group:,} persons"
        sentence = (
            f"A group of fewer than {least} does not appear; a figure that rests on fewer is suppressed."
        )
        notes.append(Note(Rule.SMALL_GROUP.value, sentence))
    if any(not is_count(output) for output in figures) or (figures and obligations.rounding > 1):
        sentence = (
            f"Counts are rounded to multiples of {obligations.rounding:,}; other figures have as many"
            f" significant digits as a count of their persons rounded so, at most {MOST_DIGITS}."
        )
        notes.append(Note(Rule.ROUNDING.value, sentence))
    if program.finish:
        sentence = (
            "The result was computed after that, from protected figures alone: groups that do not appear are not in"
            " its totals, suppressed figures are missing values in it, and roundings add up."
        )
        notes.append(Note(Rule.FINISHED.value, sentence))
    return (*notes, *_masked(program))


def _masked(program: Program) -> Iterator[Note]:
    """Yield a note that names the columns whose values stand masked, if there are any."""
    columns = [
        f"{relation.name}.{mask.column} ({' '.join(filter(None, (mask.kind, mask.argument)))})"
        for relation in program.relations
        for mask in relation.masks
    ]
    if columns:
        yield Note(Rule.MASKED.value, f"Masked before the statement ran: {', '.join(sorted(columns))}.")


def ordered(rows: list[Shown], outputs: tuple[Output, ...], order: tuple[Order, ...] = ()) -> list[Shown]:
    """Return the rows in the member's order; where that leaves a choice, in the order of what they show."""
    ties = (Order(position, False, False) for position in range(len(outputs)))
    for term in reversed((*order, *ties)):
        rows = _by(term, rows, NUMBER.fullmatch(outputs[term.output].type) is not None)
    return rows


def _by(term: Order, rows: Iterable[Shown], numeric: bool) -> list[Shown]:
    """Return the rows sorted by one column; stable, so that an earlier order holds among equals."""
    suppressed: list[Shown] = []
    nulls: list[Shown] = []
    values: list[Shown] = []
    for row in rows:
        cell = row[term.output]
        (suppressed if cell.suppressed else nulls if cell.v is None else values).append(row)
    values.sort(key=lambda row: _rank(row[term.output].v, numeric), reverse=term.descending)
    shown = nulls + values if term.nulls_first else values + nulls
    return shown + suppressed


def _rank(text: str | None, numeric: bool) -> tuple[Decimal, str]:
    """Return what a value is sorted by: its size, or its text by code points; `nan` keys come after all
    numbers.
    """
    if not numeric:
        return Decimal(0), text or ""
    return (Decimal("Infinity"), "") if text == "nan" else (Decimal(text or 0), "")

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
between several figures or answers are the ledger's. Neither is here yet, nor is secondary suppression: a
table has no margins so far, since GROUPING SETS are refused.

**Order and limit** are the member's, but are applied last and to what is released, with suppressed cells at
the end and ties broken by the released values themselves: the position of a row tells nothing that the row
does not. A table of too many cells is refused before the limit, or page after page would take all of it out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from enum import StrEnum

from plans.decision import Obligations
from plans.errors import Malformed
from plans.plan import Program
from plans.reading import Order, Output, Role
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
Cells = tuple[Cell, ...]


class Rule(StrEnum):
    """The rule classes that verdicts and notes name."""

    SMALL_GROUP = "small-group"
    ROUNDING = "rounding"
    TOO_MANY_CELLS = "too-many-cells"
    NOT_A_FIGURE = "not-a-figure"

    @property
    def sentence(self) -> str:
        """Why an output was refused by this rule."""
        return _REFUSALS[self][0]

    @property
    def help(self) -> str:
        """What would make it pass; the same whatever the data are."""
        return _REFUSALS[self][1]


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
    """Return the judgement about a table.

    Raises:
        Malformed: the table is not one of this program; nothing may leave then.
    """
    _require_fitting(table, program)
    if not all(_may_leave(output) for output in program.outputs):
        return _refused(Rule.NOT_A_FIGURE)
    large = (row for row in table.rows if _persons(row, program, 0) >= obligations.minimum_group)
    rows = [_released_row(row, program, obligations) for row in large]
    if not rows:
        return _refused(Rule.SMALL_GROUP)
    if len(rows) * len(program.outputs) > obligations.largest_result:
        return _refused(Rule.TOO_MANY_CELLS)
    notes = _notes(program, obligations)
    released = Released(
        plan=stamp.plan,
        columns=tuple(ReleasedColumn(output.name, output.type) for output in program.outputs),
        rows=tuple(_ordered(rows, program)[: program.limit]),
        notes=notes,
        salt=stamp.salt,
    )
    finding = Finding.REPAIRED if notes else Finding.PASS
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


def _released_row(row: Row, program: Program, obligations: Obligations) -> Cells:
    return tuple(
        _key(row[position], output)
        if output.role is Role.KEY
        else _figure(row[position], output, _persons(row, program, output.persons), obligations)
        for position, output in enumerate(program.outputs)
    )


def _key(value: Value, output: Output) -> Cell:
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


def _persons(row: Row, program: Program, hidden: int) -> int:
    persons = row[len(program.outputs) + hidden]
    if isinstance(persons, bool) or not isinstance(persons, int) or persons < 0:
        raise Malformed("a number of persons is a whole number, 0 or more", "table")
    return persons


# --- the whole table ----------------------------------------------------------------------------------------


def _require_fitting(table: Table, program: Program) -> None:
    width = len(program.outputs) + program.tables[0].hidden
    if any(len(row) != width for row in table.rows):
        raise Malformed("a row has another number of values than the program says", "table")


def _may_leave(output: Output) -> bool:
    return output.role is Role.KEY or bool(NUMBER.fullmatch(output.type))


def _refused(rule: Rule) -> Judgement:
    return Judgement(Finding.REFUSED, (rule.value,), None)


def _notes(program: Program, obligations: Obligations) -> tuple[Note, ...]:
    """Return a note for every rule that applies to tables of this shape; no row is looked at."""
    notes = []
    figures = [output for output in program.outputs if output.role is Role.FIGURE]
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
    return tuple(notes)


def _ordered(rows: list[Cells], program: Program) -> list[Cells]:
    """Return the rows in the member's order; where that leaves a choice, in the order of what they show."""
    ties = (Order(position, False, False) for position in range(len(program.outputs)))
    for term in reversed((*program.order, *ties)):
        rows = _by(term, rows, NUMBER.fullmatch(program.outputs[term.output].type) is not None)
    return rows


def _by(term: Order, rows: Iterable[Cells], numeric: bool) -> list[Cells]:
    """Return the rows sorted by one column; stable, so that an earlier order holds among equals."""
    suppressed: list[Cells] = []
    nulls: list[Cells] = []
    values: list[Cells] = []
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

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

**Enterprises.** Where the owner asks for a number of enterprises behind every figure, the engine counted these beside
the persons (`_enterprises_0` …), and rows and figures with too few of them stay back in the same way. Where nobody
could count, people look at the answer (`plans.reading.Cells.enterprises`).

**Rounding.** Counts go to the nearest multiple of the base, halves to the even multiple. Any other figure keeps as
many significant digits as the number of persons it rests on keeps after rounding to the base, at least one and at
most `MOST_DIGITS`, halves to even: base 10 and 4,321 persons give three. So one average person's share is below the
last digit, `sum(1)` says no more than `count(*)`, and the low bits of a floating-point number, which depend on the
order of addition and could carry a message, stay inside. Where what persons add cancels out (`avg(income - 52000)`),
digits are counted from the sum without signs, so that no constant moves them.

**Dominance.** A total that one or two persons make up almost alone is suppressed (`airlock.dominance`), and with it
others, so that what a margin would give back keeps the same rules (`airlock.secondary`).

**The ledger.** Rows that the owner's disclosure ledger keeps back, since they differ from an earlier answer in too few
persons, are left out like small groups. Their positions come with the keys.

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
from dataclasses import dataclass, field, replace
from decimal import Decimal

from airlock.classes import Rule as Rule
from airlock.dominance import TOTALS, Shares, applies, withheld_cells
from airlock.rounding import MOST_DIGITS as MOST_DIGITS
from airlock.rounding import count as count
from airlock.rounding import digits as digits
from airlock.rounding import measure as measure
from airlock.rounding import plain as plain
from plans.canonical import LARGEST_NUMBER
from plans.checks import Checks
from plans.decision import Obligations
from plans.errors import Malformed
from plans.inspection import Applied, Effect
from plans.plan import Program
from plans.reading import Cells, Level, Order, Output, Role
from plans.released import SUPPRESSED, Cell, Note, Released, ReleasedColumn
from plans.verdict import Finding

SHARES = 4
"""Numbers that stand beside a cell for each total (`airlock.dominance.Shares`)."""

_SIGNED = ("sum", "avg")
"""Functions whose figures grow with what persons add, and can cancel out."""

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
    applied: tuple[Applied, ...] = field(default=(), compare=False)


def judge(
    table: Table,
    program: Program,
    obligations: Obligations,
    stamp: Stamp,
    withheld: Iterable[int] = (),
) -> Judgement:
    """Return the judgement about the table that is a program's answer: its one table, or what its finish made.

    `withheld` are positions of rows that the owner's ledger keeps back. Where the policy says so, what may leave is
    held for people to look at.

    Raises:
        Malformed: the table is not one of this program; nothing may leave then.
    """
    if program.finish or program.level is Level.ROWS:
        return _judge_computed(table, program, obligations, stamp)
    (cells,) = program.tables
    _require_fitting(table, cells)
    if not all(may_leave(output) for output in cells.outputs):
        return _refused(Rule.NOT_A_FIGURE)
    rows, applied = _kept(table, cells, obligations, withheld)
    return replace(_judge_kept(rows, program, obligations, stamp), applied=applied)


def _judge_kept(rows: list[Shown], program: Program, obligations: Obligations, stamp: Stamp) -> Judgement:
    if not rows:
        return _refused(Rule.SMALL_GROUP)
    if too_large(rows, program.outputs, obligations):
        return _refused(Rule.TOO_MANY_CELLS)
    in_order = ordered(rows, program.outputs, program.order)[: program.limit]
    return _leaving(in_order, program, obligations, stamp)


def protect(table: Table, cells: Cells, obligations: Obligations, withheld: Iterable[int] = ()) -> Table:
    """Return a table of cells as a finish may compute with it: small groups gone, figures rounded, rows by value.

    `withheld` are positions of rows that the owner's ledger keeps back. A suppressed figure has no value there. The
    form is that of `Table`, without the numbers of persons.

    Raises:
        Malformed: the table is not one of these cells, or a figure is no number.
    """
    _require_fitting(table, cells)
    if not all(may_leave(output) for output in cells.outputs):
        raise Malformed(Rule.NOT_A_FIGURE.sentence, "cells")
    kept, _ = _kept(table, cells, obligations, withheld)
    rows = ordered(kept, cells.outputs)
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
    reasons = tuple(note.rule for note in notes)
    if _uncounted(program, obligations.checks):
        return Judgement(Finding.HELD, (*reasons, Rule.ENTERPRISES.value, Rule.BY_PEOPLE.value), released)
    if not obligations.checks.automatic:
        return Judgement(Finding.HELD, (*reasons, Rule.BY_PEOPLE.value), released)
    repaired = any(rule in (Rule.SMALL_GROUP, Rule.ENTERPRISES, Rule.ROUNDING) for rule in reasons)
    return Judgement(Finding.REPAIRED if repaired else Finding.PASS, reasons, released)


def _uncounted(program: Program, checks: Checks) -> bool:
    """Return whether the policy asks for enterprises behind figures of a table for which nobody counted them."""
    asked = checks.enterprises > 0 and program.level is Level.CELLS
    return asked and not all(cells.enterprises for cells in program.tables)


def is_count(output: Output) -> bool:
    """Return whether an output is a plain count, which is rounded to the base."""
    return output.role is Role.FIGURE and output.function == COUNT and bool(WHOLE.fullmatch(output.type))


# --- one row ------------------------------------------------------------------------------------------------


def _kept(
    table: Table, cells: Cells, obligations: Obligations, withheld: Iterable[int]
) -> tuple[list[Shown], tuple[Applied, ...]]:
    """Return the rows that stay, as they may be shown, and which rules were applied to how many of them."""
    back = frozenset(withheld)
    many = [
        place for place, row in enumerate(table.rows) if _persons(row, cells, 0) >= obligations.minimum_group
    ]
    large = [place for place in many if _enough_enterprises(table.rows[place], cells, 0, obligations)]
    rows = [table.rows[place] for place in large if place not in back]
    hidden, applied = _dominated(rows, cells, obligations.checks)
    shown = [
        _released_row(row, cells, obligations, {output for output, found in hidden.items() if place in found})
        for place, row in enumerate(rows)
    ]
    counted = [
        Applied(
            Rule.SMALL_GROUP, "rows", _effect(len(table.rows) - len(many)), len(table.rows) - len(many),
            {"minimum_group": obligations.minimum_group},
        ),
        *_counted_enterprises(len(many) - len(large), cells, obligations),
        Applied(Rule.LEDGER, "rows", _effect(len(large) - len(rows)), len(large) - len(rows), {}),
        Applied(Rule.ROUNDING, "figures", Effect.REPAIRED, len(rows), {"base": obligations.rounding}),
        *_too_few(rows, cells, obligations),
    ]  # fmt: skip
    return shown, (*counted, *applied)


def _too_few(rows: list[Row], cells: Cells, obligations: Obligations) -> Iterator[Applied]:
    """Yield how many figures rest on too few persons or enterprises, for every output in which some do."""
    least, asked = obligations.minimum_group, obligations.checks.enterprises
    for output in cells.outputs:
        alone = sum(not _enough_enterprises(row, cells, output.persons, obligations) for row in rows)
        if output.role is Role.FIGURE and alone:
            yield Applied(Rule.ENTERPRISES, output.name, Effect.WITHHELD, alone, {"enterprises": asked})
        few = sum(_persons(row, cells, output.persons) < least for row in rows)
        if output.role is Role.FIGURE and few:
            yield Applied(Rule.SMALL_GROUP, output.name, Effect.WITHHELD, few, {"minimum_group": least})


def _counted_enterprises(withheld: int, cells: Cells, obligations: Obligations) -> Iterator[Applied]:
    """Yield how many rows stay back for their enterprises, where these are counted."""
    asked = obligations.checks.enterprises
    if cells.enterprises and asked:
        yield Applied(Rule.ENTERPRISES, "rows", _effect(withheld), withheld, {"enterprises": asked})


def _dominated(
    rows: list[Row], cells: Cells, checks: Checks
) -> tuple[dict[int, set[int]], tuple[Applied, ...]]:
    """Return for every output the rows in which its total does not leave, and the record of it.

    A total of which nobody knows the largest persons does not leave anywhere.
    """
    hidden: dict[int, set[int]] = {}
    applied = []
    keys = [
        tuple(row[place] for place, output in enumerate(cells.outputs) if output.role is Role.KEY)
        for row in rows
    ]
    for number, place in enumerate(cells.totals):
        first, besides = withheld_cells(keys, [_shares(row, cells, number) for row in rows], checks)
        hidden[place] = hidden.get(place, set()) | first | besides
        numbers = {"largest": checks.dominance_largest, "percent": checks.dominance_percent,
                   "p_percent": checks.p_percent, "by_itself": len(first), "for_margins": len(besides)}  # fmt: skip
        name = cells.outputs[place].name
        applied.append(
            Applied(Rule.DOMINANCE, name, _effect(len(first | besides)), len(first | besides), numbers)
        )
    if cells.contributions is None and applies(checks):
        for place, output in enumerate(cells.outputs):
            if output.role is Role.FIGURE and output.function in TOTALS:
                hidden[place] = set(range(len(rows)))
    return hidden, tuple(applied)


def _shares(row: Row, cells: Cells, number: int) -> Shares:
    start = len(cells.outputs) + cells.hidden + cells.enterprises + SHARES * number
    return Shares(*(_number(value) for value in row[start : start + SHARES]))


def _effect(cells: int) -> Effect:
    return Effect.WITHHELD if cells else Effect.PASSED


def _released_row(row: Row, cells: Cells, obligations: Obligations, hidden: set[int]) -> Shown:
    return tuple(
        shown_key(row[position], output)
        if output.role is Role.KEY
        else SUPPRESSED
        if position in hidden
        else _figure(row, position, cells, obligations)
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


def _figure(row: Row, position: int, cells: Cells, obligations: Obligations) -> Cell:
    value, output = row[position], cells.outputs[position]
    persons = _persons(row, cells, output.persons)
    few = persons < obligations.minimum_group
    if few or value == "nan" or not _enough_enterprises(row, cells, output.persons, obligations):
        return SUPPRESSED
    if value is None:
        return Cell(None, False)
    number = _number(value)
    if is_count(output):
        return Cell(str(count(int(number), obligations.rounding)), False)
    cancelled = Decimal(1)
    if output.function in _SIGNED and position in cells.totals:
        cancelled = _shares(row, cells, cells.totals.index(position)).cancelled
    return Cell(plain(measure(number, persons, obligations.rounding, cancelled)), False)


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
    return _counted(row[len(cells.outputs) + hidden])


def _enough_enterprises(row: Row, cells: Cells, hidden: int, obligations: Obligations) -> bool:
    """Return whether a figure rests on as many enterprises as are asked for; where none are counted, people look."""
    if not cells.enterprises:
        return True
    found = _counted(row[len(cells.outputs) + cells.hidden + hidden])
    return found >= obligations.checks.enterprises


def _counted(number: Value) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise Malformed("a number of persons or enterprises is a whole number, 0 or more", "table")
    return number


# --- the whole table ----------------------------------------------------------------------------------------


def _require_fitting(table: Table, cells: Cells) -> None:
    width = len(cells.outputs) + cells.hidden + cells.enterprises + SHARES * len(cells.totals)
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
    asked = obligations.checks.enterprises
    if asked and any(cells.enterprises for cells in program.tables):
        least = f"{asked:,} enterprises"
        sentence = (
            f"A group of fewer than {least} does not appear; a figure that rests on fewer is suppressed."
        )
        notes.append(Note(Rule.ENTERPRISES.value, sentence))
    if any(not is_count(output) for output in figures) or (figures and obligations.rounding > 1):
        sentence = (
            f"Counts are rounded to multiples of {obligations.rounding:,}; other figures have as many"
            f" significant digits as a count of their persons rounded so, at most {MOST_DIGITS}."
        )
        notes.append(Note(Rule.ROUNDING.value, sentence))
    if applies(obligations.checks) and any(output.function in TOTALS for output in figures):
        sentence = (
            "A sum, mean or deviation that one or two persons make up almost alone is suppressed, and so are"
            " others from which it could be found."
        )
        notes.append(Note(Rule.DOMINANCE.value, sentence))
    if obligations.minimum_group > 1:
        sentence = "A group that differs from an earlier answer in too few persons does not appear."
        notes.append(Note(Rule.LEDGER.value, sentence))
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

"""The rules for a table of figures about groups of persons, one after the other.

Small groups go with their keys, as in an answer to a statement (`airlock.rules`). Beside that: parts of a group
that are too few, and such that leave too few (complements); a group of one category; figures that are single
persons' values, or are ruled by one (with a component's evidence); what the ledger keeps back; totals
(`airlock.outputs.margins`); rounding.

What a member's code says about persons is a claim. A component's evidence is not: it comes from code that the owner
trusts by its digest.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from airlock.dominance import Shares, applies, held_by_few, tells_largest, withheld_cells
from airlock.outputs import identifiers, wording
from airlock.outputs.ground import Book, Ground
from airlock.outputs.margins import block_totals, drop_told, partition, recompute, total_rows
from airlock.outputs.rules import OutputRule
from airlock.outputs.sheet import Figure, Sheet, Shown, lay_out
from airlock.outputs.singles import left_out, single_steps, small_levels
from airlock.outputs.values import Evidence, Grid, GridColumn, Unfit
from airlock.rules import MOST_DIGITS
from plans.checks import Checks
from plans.inspection import Effect

FEWEST_ROWS = 20
"""Rows from which on a table can look like rows of persons."""

LONG_TEXT, LONG_SHARE = 64, 0.2
PERFECT = Decimal("0.9999")
"""A coefficient of determination from which on a fit is called perfect."""

MOST_CATEGORIES = 12
_MARKED = re.compile(
    r"[0-9]+|[<≤>] ?=? ?[0-9]+|\*+|\.+|-+|\[?(?:redacted|suppressed|masked|c|s|x)\]?|抑制", re.IGNORECASE
)
"""A number, or what people write in its place (`<5`, `[REDACTED]`)."""

_FRACTION = re.compile(r"[0-9]+\.[0-9]+")


@dataclass(frozen=True, slots=True)
class ShownTable:
    """A table as it may leave: columns by name and type, and rows of shown cells."""

    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[Shown, ...], ...]


@dataclass(frozen=True, slots=True)
class Subject:
    """Which output this is: its name, its column of persons, a component's evidence, rows that a ledger keeps back."""

    name: str
    persons: str
    evidence: Evidence | None = None
    withheld: tuple[int, ...] = ()


def judge_table(grid: Grid, subject: Subject, ground: Ground, book: Book) -> ShownTable | None:
    """Return a table as it may leave, or nothing where it does not; the book says by which rules.

    Raises:
        Unfit: it has no numbers of persons, no keys, or too many cells.
    """
    if grid.height * len(grid.columns) > ground.obligations.largest_result:
        raise Unfit(OutputRule.TOO_LARGE)
    _look_for_identifiers(grid, subject, book)
    sheet = lay_out(grid, subject.persons, subject.evidence)
    if any(not 0 <= row < grid.height for row in subject.withheld):
        raise Unfit(OutputRule.LEDGER)
    if ground.members_code:
        _look_for_rows(sheet, subject, book)
        _look_for_single_steps(sheet, subject, ground, book)
    _look_at_fits(sheet, subject, ground, book)
    totals, blocks = total_rows(sheet), block_totals(sheet)
    _withhold(sheet, subject, ground, book)
    recompute(sheet, totals, ground, book)
    if ground.obligations.checks.margins and len(sheet.keys) > 1:
        looked = subject.evidence is not None and subject.evidence.margins
        book.note(OutputRule.MARGINS, subject.name, Effect.PASSED if looked else Effect.HELD)
    drop_told(sheet, {row: parts for row, parts in blocks.items() if row not in totals}, book)
    if not sheet.alive:
        book.note(OutputRule.SMALL_GROUP, subject.name, Effect.REFUSED, 0, minimum=ground.minimum)
        return None
    book.note(OutputRule.ROUNDING, subject.name, Effect.REPAIRED, len(sheet.alive), base=ground.base)
    return _released(sheet, ground)


def _withhold(sheet: Sheet, subject: Subject, ground: Ground, book: Book) -> None:
    name, zeros = subject.name, ground.obligations.checks.zeros
    book.withheld(OutputRule.LEDGER, name, sheet.drop(subject.withheld))
    small = [row for row in sheet.alive if sheet.persons[row] < ground.minimum]
    small += small_levels(sheet, ground.minimum) if subject.evidence is None else []
    parts = partition(sheet)
    single = _single_category(sheet)
    book.withheld(OutputRule.SMALL_GROUP, name, sheet.drop(small), minimum=ground.minimum)
    book.withheld(OutputRule.CLASS_DISCLOSURE, name, sheet.drop(single), unit="rows")
    for figure in sheet.figures:
        where = f"{name}/{figure.name}"
        if zeros:
            book.withheld(OutputRule.ZEROS, where, figure.withhold(_zeros(sheet, figure)))
        if subject.evidence is None:
            _counted_by_members(sheet, figure, where, (parts, ground, book))
        else:
            _ruled_by_one(sheet, figure, where, (subject.evidence.parts, ground, book))


def _counted_by_members(
    sheet: Sheet, figure: Figure, where: str, judged: tuple[list[Figure], Ground, Book]
) -> None:
    """Apply what guards parts of a row's persons to figures of which nobody says on whom they rest.

    A component counts the persons of every cell: its other counts are of things.
    """
    parts, ground, book = judged
    extreme = wording.says_extreme(figure.name)
    book.withheld(OutputRule.EXTREMES, where, figure.withhold(sheet.alive) if extreme else 0)
    book.withheld(OutputRule.SMALL_GROUP, where, figure.withhold(_small(sheet, figure, ground)))
    book.withheld(OutputRule.CLASS_DISCLOSURE, where, figure.withhold(_everybody(sheet, figure, parts)))


# --- single figures -----------------------------------------------------------------------------------------


def _bounded(sheet: Sheet, figure: Figure) -> bool:
    """Return whether a column can count persons of its rows."""
    return figure.counts and all(0 <= figure.present(row) <= sheet.persons[row] for row in sheet.alive)


def _small(sheet: Sheet, figure: Figure, ground: Ground) -> list[int]:
    """Return the rows whose count is small, or leaves a small rest of the persons; a share of them tells a count."""
    share = _share_of(sheet, figure)
    if not figure.counts and not share:
        return []
    rest, found = bool(share) or _bounded(sheet, figure), []
    for row in sheet.alive:
        counted = figure.present(row) * (sheet.persons[row] / share if share else 1)
        left = sheet.persons[row] - counted
        if _few(abs(counted), ground) or (rest and _few(left, ground)):
            found.append(row)
    return found


def _few(counted: Decimal, ground: Ground) -> bool:
    """Return whether a count is of somebody, and of too few; what a share tells is not exact."""
    return Decimal("0.01") < counted < ground.minimum


def _share_of(sheet: Sheet, figure: Figure) -> Decimal | None:
    """Return 1 or 100 for a column of shares of the persons: it says so, or it is a mean of zeros and ones."""
    values = [(figure.values[row], sheet.persons[row]) for row in sheet.alive]
    known = [(value, persons) for value, persons in values if value is not None and persons > 0]
    if figure.whole or not known or not all(0 <= value <= 100 for value, _ in known):
        return None
    below_one = all(value <= 1 for value, _ in known)
    if wording.says_proportion(figure.name):
        return Decimal(1 if below_one else 100)
    counts = [value * persons for value, persons in known]
    exact = all(abs(each - each.to_integral_value()) < Decimal("1e-6") for each in counts)
    return Decimal(1) if below_one and exact else None


def _zeros(sheet: Sheet, figure: Figure) -> list[int]:
    return [row for row in sheet.alive if figure.values[row] is not None and figure.values[row] == 0]


def _everybody(sheet: Sheet, figure: Figure, parts: list[Figure]) -> list[int]:
    """Return the rows in which a count says that all persons are in one category; in a partition, all of its cells."""
    if not _bounded(sheet, figure) or sheet.repeats_persons(figure):
        return []
    counted = parts if any(part is figure for part in parts) else [figure]
    return [row for row in sheet.alive if any(part.present(row) == sheet.persons[row] for part in counted)]


def _single_category(sheet: Sheet) -> list[int]:
    """Return rows of a long table whose group has no row of another category, where most groups have several."""
    if len(sheet.keys) < 2 or sheet.keys[-1].type != "VARCHAR":
        return []
    last = sheet.keys[-1]
    groups: dict[tuple[str | None, ...], list[int]] = defaultdict(list)
    for row in sheet.alive:
        if sheet.persons[row] > 0 and not any(
            wording.says_total(key.values[row] or "") for key in sheet.keys
        ):
            groups[tuple(key.values[row] for key in sheet.keys[:-1])].append(row)
    categories = {last.values[row] for rows in groups.values() for row in rows}
    several = sum(1 for rows in groups.values() if len(rows) > 1)
    if not 2 <= len(categories) <= MOST_CATEGORIES or 2 * several < len(groups):
        return []
    return [rows[0] for rows in groups.values() if len(rows) == 1]


def _ruled_by_one(
    sheet: Sheet, figure: Figure, where: str, judged: tuple[Sequence[int], Ground, Book]
) -> None:
    """Apply the (n, k) rule and the p% rule to a figure whose contributions a component states.

    A total or mean of which it does not state them may be one person's, and is withheld. Further cells go with the
    dominated ones, since margins that are asked for by themselves would give these back.
    """
    apart, ground, book = judged
    checks = ground.obligations.checks
    if figure.kind not in ("total", "mean") or not applies(checks):
        return
    parts = [figure.record.get(part) or [None] * sheet.grid.height for part in ("totals", "first", "second")]
    shares, unsaid = {}, []
    for row in sheet.alive:
        said = [Decimal(part[row]) for part in parts if part[row] is not None]
        if len(said) == len(parts):
            shares[row] = Shares(said[0], *said)
        else:
            unsaid.append(row)
    dominated = [row for row, each in shares.items() if held_by_few(each, checks)]
    estimated = [row for row, each in shares.items() if tells_largest(each, checks)]
    book.withheld(
        OutputRule.DOMINANCE,
        where,
        figure.withhold([*dominated, *unsaid]),
        largest=checks.dominance_largest,
        percent=checks.dominance_percent,
    )
    book.withheld(OutputRule.P_PERCENT, where, figure.withhold(estimated), percent=checks.p_percent)
    if besides := _besides(sheet, shares, apart, checks):
        book.withheld(OutputRule.MARGINS, where, figure.withhold(besides))


def _besides(sheet: Sheet, shares: dict[int, Shares], apart: Sequence[int], checks: Checks) -> list[int]:
    """Return the rows whose figure is withheld for the sake of others: margins of one part of the table tell.

    A key of one value is left out: margins without it are the cells, and a table of those has rules of its own.
    """
    groups: dict[int, list[int]] = defaultdict(list)
    for row in shares:
        groups[apart[row] if apart else 0].append(row)
    found = []
    for rows in groups.values():
        told = [key.values for key in sheet.keys if len({key.values[row] for row in rows}) > 1]
        keys = [tuple(values[row] for values in told) for row in rows]
        _, besides = withheld_cells(keys, [shares[row] for row in rows], checks)
        found += [rows[place] for place in sorted(besides)]
    return found


# --- what looks like persons --------------------------------------------------------------------------------


def _look_for_identifiers(grid: Grid, subject: Subject, book: Book) -> None:
    """Refuse a table that holds identifiers, or says that it does."""
    columns = grid.columns
    if any(holds_exact(column.name) for column in columns):
        raise Unfit(OutputRule.COLUMN_NAMES)
    said = sum(column.type == "VARCHAR" and wording.says_person(column.name) for column in columns)
    hits = sum(map(_identifies, columns)) + said
    book.note(
        OutputRule.IDENTIFIERS,
        subject.name,
        Effect.REFUSED if hits else Effect.PASSED,
        hits,
        columns=len(columns),
    )


def _look_for_rows(sheet: Sheet, subject: Subject, book: Book) -> None:
    """Have people look at what seems to be rows, names or texts."""
    texts = [column for column in sheet.keys if column.type == "VARCHAR"]
    named = sum(identifiers.are_names([value for value in column.values if value]) for column in texts)
    rows = _looks_like_rows(sheet) or named
    book.note(OutputRule.ROW_LEVEL, subject.name, Effect.HELD if rows else Effect.PASSED, sheet.grid.height)
    single = sum(wording.says_single(column.name) for column in sheet.keys)
    book.note(OutputRule.EXTREMES, subject.name, Effect.HELD if single else Effect.PASSED, single)
    long = sum(_is_long(column) or _is_half_redacted(column) for column in texts)
    book.note(OutputRule.FREE_TEXT, subject.name, Effect.HELD if long else Effect.PASSED, long)


def _look_for_single_steps(sheet: Sheet, subject: Subject, ground: Ground, book: Book) -> None:
    """Have people look at rows that differ by single persons."""
    few = single_steps(sheet, ground.minimum) + left_out(sheet, ground.minimum)
    effect = Effect.HELD if few else Effect.PASSED
    book.note(OutputRule.SMALL_GROUP, subject.name, effect, few, minimum=ground.minimum)


def _identifies(column: GridColumn) -> bool:
    if identifiers.holds_identifier(column.name):
        return True
    present = {value for value in column.values if value}
    if column.type == "VARCHAR":
        return any(map(identifiers.holds_identifier, present))
    if column.type == "BIGINT":
        return identifiers.numbers_identify(present)
    if column.type == "DOUBLE":
        return identifiers.numbers_identify(
            format(Decimal(value), "f").removesuffix(".0") for value in present if value.endswith(".0")
        )
    return False


def _looks_like_rows(sheet: Sheet) -> bool:
    """Return whether there are as many rows as persons, or all rows claim the same number and are merely numbered."""
    height, claimed = sheet.grid.height, set(sheet.persons)
    if height < FEWEST_ROWS:
        return False
    if len(claimed) <= 2 and height >= max(claimed):
        return True
    fits = any(wording.says_coefficient(figure.name) for figure in sheet.figures)
    return len(claimed) == 1 and not fits and any(map(_is_numbering, sheet.keys))


def _is_numbering(column: GridColumn) -> bool:
    """Return whether a key is a running number, or one stem with numbers behind, and its name says no group."""
    if wording.says_key(column.name) or len(set(column.values)) < len(column.values):
        return False
    stems = {value.rstrip("0123456789") for value in column.values if value}
    return column.type == "BIGINT" or (column.type == "VARCHAR" and len(stems) == 1)


def _is_long(column: GridColumn) -> bool:
    """Return whether a key's texts are sentences or encoded, not names of groups."""
    present = [value for value in column.values if value]
    long = sum(1 for value in present if len(value) > LONG_TEXT)
    packed = any(len(part) > 40 for value in present for part in value.split())
    exact = sum(1 for value in present if holds_exact(value))
    return packed or max(long, exact) > LONG_SHARE * len(present)


def _is_half_redacted(column: GridColumn) -> bool:
    """Return whether a column is one of counts that somebody redacted by hand: the others in it would leave exact, as
    a key does.
    """
    present = [value.strip() for value in column.values if value and value.strip()]
    numbers = [value for value in present if value.isdigit()]
    named = wording.says_key(column.name)
    return (
        bool(numbers) and len(numbers) < len(present) and not named and all(map(_MARKED.fullmatch, present))
    )


def holds_exact(text: str) -> bool:
    """Return whether a text holds a number with a fraction and more digits than a rounded one has."""
    return any(len(found.replace(".", "").strip("0")) > MOST_DIGITS for found in _FRACTION.findall(text))


# --- fits ---------------------------------------------------------------------------------------------------


def _look_at_fits(sheet: Sheet, subject: Subject, ground: Ground, book: Book) -> None:
    """Refuse what says of itself that it is saturated: degrees of freedom, a perfect fit, a parameter for every
    person."""
    least = ground.obligations.checks.degrees
    low = [
        figure.name for figure in sheet.figures if wording.says_degrees(figure.name) and _below(figure, least)
    ]
    if any(wording.says_coefficient(figure.name) for figure in sheet.figures) and sheet.persons:
        low += [subject.name] * (max(sheet.persons) - sheet.grid.height < least)
    perfect = [figure.name for figure in sheet.figures if is_perfect(figure.name, figure.values)]
    for name, values in _measures_by_row(sheet):
        low += [name] * (wording.says_degrees(name) and any(value < least for value in values))
        perfect += [name] * is_perfect(name, values)
    book.note(
        OutputRule.DEGREES, subject.name, Effect.REFUSED if low else Effect.PASSED, len(low), degrees=least
    )
    book.note(OutputRule.SATURATED, subject.name, Effect.REFUSED if perfect else Effect.PASSED, len(perfect))


def _measures_by_row(sheet: Sheet) -> Iterator[tuple[str, list[Decimal]]]:
    """Yield what long tables of measures say: the word in a key, and the figures of its row."""
    for key in sheet.keys:
        said = set(filter(_says_fit, set(key.values)))
        for row, name in enumerate(key.values):
            if name in said and name:
                yield name, [value for figure in sheet.figures if (value := figure.values[row]) is not None]


def _says_fit(name: str | None) -> bool:
    says = (wording.says_degrees, wording.says_fit, wording.says_residual)
    return name is not None and any(each(name) for each in says)


def is_perfect(name: str, values: Iterable[Decimal | None]) -> bool:
    """Return whether figures under a name say that a fit leaves no residual."""
    if wording.says_fit(name):
        return any(value is not None and PERFECT <= value <= 2 - PERFECT for value in values)
    return wording.says_residual(name) and any(
        value is not None and abs(value) < Decimal("1e-9") for value in values
    )


def _below(figure: Figure, least: int) -> bool:
    return any(value is not None and value < least for value in figure.values)


# --- what leaves --------------------------------------------------------------------------------------------


def _released(sheet: Sheet, ground: Ground) -> ShownTable:
    """Return columns in the program's order and rows in that of their keys: an order of its own would tell
    something."""
    columns = [sheet.shown(column, ground) for column in sheet.grid.columns]
    order = sorted(range(len(sheet.alive)), key=lambda place: _rank(sheet, sheet.alive[place]))
    return ShownTable(
        tuple((column.name, column.type) for column in sheet.grid.columns),
        tuple(tuple(column[place] for column in columns) for place in order),
    )


def _rank(sheet: Sheet, row: int) -> tuple[tuple[bool, Decimal, str], ...]:
    """Return what a row is sorted by: numbers by size, all else by code points, what has no value last."""
    return tuple(
        (value is None, Decimal(value or 0) if key.type == "BIGINT" else Decimal(0), value or "")
        for key in sheet.keys
        for value in (key.values[row],)
    )

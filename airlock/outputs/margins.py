"""Totals: found by their words or by their values, and computed anew from what is shown (secondary suppression).

A total beside its parts tells a withheld part. So a total of counts becomes the sum of the *shown* parts; any other
figure of a total row (a mean over all) is withheld as soon as a part under it is gone. What is withheld then counts
as nothing, and the total says no more than its parts do. That also holds for a table whose count columns add up to
its persons.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from airlock.outputs import wording
from airlock.outputs.ground import Book, Ground
from airlock.outputs.rules import OutputRule
from airlock.outputs.sheet import Figure, Sheet
from plans.inspection import Effect

Tree = dict[int, list[int]]
"""Rows that are totals, and the rows that they add up."""


def total_rows(sheet: Sheet) -> Tree:
    """Return the total rows of a table as it was left, those over the fewest keys first."""
    marked = {
        row: frozenset(
            place for place, key in enumerate(sheet.keys) if wording.says_total(key.values[row] or "")
        )
        for row in sheet.alive
    }
    found = {row: _parts(sheet, row, marks, marked) for row, marks in marked.items() if marks}
    if not found and (row := _by_value(sheet)) is not None:
        found = {row: [other for other in sheet.alive if other != row]}
    return dict(sorted(found.items(), key=lambda item: (len(marked[item[0]]), item[0])))


def block_totals(sheet: Sheet) -> Tree:
    """Return rows that add up the rows just before or after them, in persons and every count, whatever they are
    called."""
    numbers = [tuple(_numbers(sheet, row)) for row in range(sheet.grid.height)]
    before = _blocks(numbers)
    last = len(numbers) - 1
    after = _blocks(numbers[::-1])
    found = {last - row: [last - part for part in parts] for row, parts in after.items()}
    return {**found, **before}


def drop_told(sheet: Sheet, blocks: Tree, book: Book) -> None:
    """Take totals of unknown or unnamed parts out as soon as something that they could tell is withheld."""
    alive = set(sheet.alive)
    gone = {row for figure in sheet.figures if figure.counts for row in figure.gone}
    told = [row for row, parts in blocks.items() if any(part not in alive or part in gone for part in parts)]
    if len(alive) < sheet.grid.height or gone:
        told += [
            row for row in alive if any(wording.mentions_total(key.values[row] or "") for key in sheet.keys)
        ]
    book.withheld(OutputRule.MARGINS, sheet.persons_name, sheet.drop(told), unit="rows")


def _numbers(sheet: Sheet, row: int) -> Iterator[Decimal]:
    yield Decimal(sheet.persons[row])
    yield from (figure.present(row) for figure in sheet.figures if figure.counts)


def _blocks(numbers: list[tuple[Decimal, ...]]) -> Tree:
    """Return the rows that are sums of at least two rows just before them, and these rows."""
    sums: list[tuple[Decimal, ...]] = [tuple(Decimal(0) for _ in each) for each in numbers[:1]]
    places: dict[tuple[Decimal, ...], int] = {sums[0]: 0} if sums else {}
    found: Tree = {}
    for row, each in enumerate(numbers):
        start = places.get(tuple(a - b for a, b in zip(sums[row], each, strict=True)))
        if start is not None and row - start >= 2 and each[0] > 0:
            found[row] = list(range(start, row))
        sums.append(tuple(a + b for a, b in zip(sums[row], each, strict=True)))
        places[sums[-1]] = row + 1
    return found


def recompute(sheet: Sheet, totals: Tree, ground: Ground, book: Book) -> None:
    """Compute totals anew: first across columns, then down rows."""
    cells = _across(sheet, ground) + sum(_down(sheet, row, parts, ground) for row, parts in totals.items())
    effect = Effect.REPAIRED if cells else Effect.PASSED
    book.note(OutputRule.MARGINS, sheet.persons_name, effect, cells, rows=len(totals))


def partition(sheet: Sheet) -> list[Figure]:
    """Return the count columns that add up to the persons of every row, if there are such."""
    counts = [figure for figure in sheet.figures if figure.whole and not sheet.repeats_persons(figure)]
    if len(counts) < 2 or not sheet.alive:
        return []
    added = {row: sum(figure.present(row) for figure in counts) for row in sheet.alive}
    for left_out in (None, *counts):
        parts = [figure for figure in counts if figure is not left_out]
        if len(parts) > 1 and all(
            added[row] - (left_out.present(row) if left_out else 0) == sheet.persons[row]
            for row in sheet.alive
        ):
            return parts
    return []


def _parts(sheet: Sheet, row: int, marks: frozenset[int], marked: dict[int, frozenset[int]]) -> list[int]:
    """Return the rows that a total adds up: the same in every other key, and no total themselves in any of its own."""
    return [
        other
        for other in sheet.alive
        if not marked[other] & marks
        and all(
            key.values[other] == key.values[row] for place, key in enumerate(sheet.keys) if place not in marks
        )
    ]


def _by_value(sheet: Sheet) -> int | None:
    """Return the one row whose persons are those of all others together, though its keys do not say so."""
    everybody = sum(sheet.persons[row] for row in sheet.alive)
    if len(sheet.alive) < 3 or not everybody:
        return None
    found = [row for row in sheet.alive if 2 * sheet.persons[row] == everybody]
    return found[0] if len(found) == 1 else None


def _across(sheet: Sheet, ground: Ground) -> int:
    """Compute columns that are sums of others anew; return how many cells were touched."""
    cells = 0
    for total, parts in _sums_of_columns(sheet):
        for row in sheet.alive:
            shown = [part for part in parts if row not in part.gone]
            if not shown:
                continue
            added = sum((_there(sheet, part, row, ground) for part in shown), Decimal(0))
            cells += 1
            if total is None:
                sheet.sums[row] = int(added)
            else:
                total.sums[row] = added
                total.gone.discard(row)
    return cells


def _sums_of_columns(sheet: Sheet) -> Iterator[tuple[Figure | None, list[Figure]]]:
    """Yield sums of columns: a figure, or none for the persons themselves, and the columns that it adds up."""
    parts = partition(sheet)
    if parts:
        yield None, parts
        for figure in sheet.figures:
            if figure.whole and sheet.repeats_persons(figure):
                yield figure, parts
        return
    counts = [figure for figure in sheet.figures if figure.whole]
    if len(counts) < 3:
        return
    everything = {row: sum(figure.present(row) for figure in counts) for row in sheet.alive}
    for total in counts:
        if any(everything.values()) and all(2 * total.present(row) == everything[row] for row in sheet.alive):
            yield total, [figure for figure in counts if figure is not total]
            return


def _down(sheet: Sheet, row: int, parts: list[int], ground: Ground) -> int:
    """Compute a total row anew from the parts that are still there; return how many cells were touched."""
    if row not in sheet.alive or not parts:
        return 0
    alive = set(sheet.alive)
    left = [part for part in parts if part in alive]
    if not left:
        sheet.drop([row])
        return 1
    sheet.sums[row] = sum(sheet.rounded_persons(part, ground) for part in left)
    cells = 1
    for figure in sheet.figures:
        if figure.counts:
            there = [part for part in left if part not in figure.gone]
            figure.sums[row] = sum((_there(sheet, figure, part, ground) for part in there), Decimal(0))
            figure.gone.discard(row)
            cells += 1
        elif len(left) < len(parts) or any(part in figure.gone for part in left):
            cells += figure.withhold([row])
    return cells


def _there(sheet: Sheet, figure: Figure, row: int, ground: Ground) -> Decimal:
    return sheet.rounded(figure, row, ground) or Decimal(0)

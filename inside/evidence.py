"""Evidence about the persons behind each cell: what the query box finds out beside the figures, in one pass.

For every table the counted statement is kept as a table in the engine, and the statement of contributions
(`plans.reading.Contributions`) is run once, for the cells of large groups only. From its rows come

* for every total, the sum of what the persons add to it, without signs and with them, and the largest and the second
  largest of these: the numbers of `airlock.dominance`. What a person adds is the sum over all their rows. To a
  deviation they also add their squared distances from the mean of the cell;
* for the persons of the cell, and of each part of it that a figure tells apart, the sum of their signs
  (`plans.sets`), which the owner's disclosure ledger compares.

Where a row is about several persons, each of them has contributions of its own: the numbers are then the least total
and the largest shares among them, and each has its sets. Where enterprises are counted, they are among those whose
shares are looked at, and have sets of their own, which say how many rows are of which enterprise (`plans.sets`).

Where a person has several rows in a cell, there are *weighted* sets besides: in them a person with another number of
rows has other signs, so that answers about the same persons and other rows of theirs are told apart.

Signs are summed two at a time: bits j and j + 32 of a person's hash stand in the two halves of one number, of which
2^32 can be added before the lower half runs over.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from airlock.secondary import complete
from inside.engine import Connection, identifier, keyed
from plans.reading import Cells, Role
from plans.sets import SEVERAL, SIGNS, Sets

MOST_PRINTS = 16_000_000
"""Sums of signs that a box keeps for all of its tables together; they are written as 4 bytes each."""

MOST_CROSSED = 250_000
"""Cells of a cross-table, small ones too; more are no table that anybody reads."""

ENTERPRISE = "enterprise:"
"""Stands before the name of an enterprise that is hashed, so that a person of the same name has another hash."""

BATCH = 10_000
_LANES = SIGNS // 2
_NUMBERS = 3
"""Values that the engine finds for a total: the sum without signs, that with them, and the two largest."""
_LOW = 2**32 - 1
_BEYOND, _ROOT = "1e100", "1e49"
"""What is no finite number counts as this much: a total with it in it is dominated. A sum whose square is nearly so."""

_LOST = "1e-10"
"""What share of the squares is left, at the least, where a sum of squared distances from the mean is still exact."""


class TooMany(Exception):
    """There are more rows, or more sets of persons, than the boxes after this one read."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of a table: cells of at least so many persons, at most so many rows, the key of the signs
    (empty: no sets), how many sums of signs there is room for, whether margins are looked at, and of how many
    enterprises a cell is at least where they are counted. Whether sets are weighted as well is found on the way.
    """

    least: int
    most: int
    signs: str
    room: int = MOST_PRINTS
    margins: bool = False
    enterprises: int = 0
    weighted: bool = False

    def large(self, cells: Cells, prefix: str = "") -> str:
        """Return the condition, as SQL, for a cell of enough persons and enterprises."""
        persons = f"{prefix}_persons_0 >= {self.least}"
        return f"{persons} AND {prefix}_enterprises_0 >= {self.enterprises}" if cells.enterprises else persons


@dataclass(frozen=True, slots=True)
class Gathered:
    """The rows of a table, each with its outputs, its numbers of persons and four numbers for each total; and the sets
    of persons behind them, in the order of the rows.
    """

    rows: list[tuple[Any, ...]]
    sets: Sets


def gather(connection: Connection, cells: Cells, wish: Wish) -> Gathered:
    """Return a table of cells with its evidence.

    Of a whole cross-table further cells stay here if the policy asks for it, so that its margins do not give back the
    small ones.

    Raises:
        TooMany: there are too many rows or sets.
        duckdb.Error: the engine stopped; its text may hold values.
    """
    assert cells.contributions is not None
    asked = cells.contributions
    texts = (asked.statement, *asked.further, *asked.enterprises)
    people = 1 + len(asked.further)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE _counted AS {cells.counted}")
    shown = wish.large(cells, "c.")
    if wish.margins and asked.crossed and (besides := _besides(connection, cells, wish)):
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE _besides AS SELECT unnest(?::BIGINT[]) AS cell", [besides]
        )
        shown = f"{shown} AND c.rowid NOT IN (SELECT cell FROM _besides)"
    for number, text in enumerate(texts):
        shares = _shares(cells, text, shown, wish, "" if number < people else ENTERPRISE)
        connection.execute(f"CREATE OR REPLACE TEMP TABLE _shares_{number} AS {shares}")
    if wish.signs:
        wish = replace(wish, weighted=any(_several(connection, cells, number) for number in range(people)))
    rows = _rows(connection.execute(_asked(cells, shown, wish)), cells, wish)
    for number in range(len(texts)):
        connection.execute(f"DROP TABLE _shares_{number}")
    connection.execute("DROP TABLE _counted")
    return rows


def _several(connection: Connection, cells: Cells, number: int) -> bool:
    """Return whether any person has more than one row in a cell that is shown; a part of it has no more."""
    found = connection.execute(f"SELECT max(_set_0) > 1 FROM _shares_{number}").fetchone()
    return bool(found and found[0])


def _besides(connection: Connection, cells: Cells, wish: Wish) -> list[int]:
    """Return the large cells that stay as well, since the margins of the table would give back the small ones.

    Withheld cells of a margin together hold nobody, or as many persons as a group that is shown. Persons who stand in
    several cells are counted once for each only where there are none: else, the largest cell is all that is sure. So it
    is for enterprises always.
    """
    large = wish.large(cells)
    (few,) = connection.execute(f"SELECT count(*) FROM _counted WHERE NOT ({large})").fetchone() or (0,)
    if not few:
        return []
    firms = "_enterprises_0" if cells.enterprises else str(wish.enterprises)
    items = ", ".join(["rowid", "_persons_0", firms, f"NOT ({large})", *key_columns(cells)])
    listed = connection.execute(f"SELECT {items} FROM _counted ORDER BY rowid").fetchall()
    if len(listed) > MOST_CROSSED:
        raise TooMany
    persons = [row[1] for row in listed]
    together = sum if _once(connection, cells) else max

    def safe(places: Collection[int]) -> bool:
        found = [persons[place] for place in places]
        enterprises = max((listed[place][2] for place in places), default=0)
        return not any(found) or (together(found) >= wish.least and enterprises >= wish.enterprises)

    withheld = {place for place, row in enumerate(listed) if row[3]}
    found = complete([row[4:] for row in listed], withheld, safe, persons.__getitem__)
    return [listed[place][0] for place in sorted(found - withheld)]


def _once(connection: Connection, cells: Cells) -> bool:
    """Return whether every person stands in one cell."""
    asked = cells.contributions
    assert asked is not None
    if asked.further:
        return False
    found = connection.execute(
        f"SELECT count(*) = count(DISTINCT _person) FROM ({asked.statement})"
    ).fetchone()
    return bool(found and found[0])


def key_columns(cells: Cells) -> list[str]:
    """Return the names of a table's keys, as SQL."""
    return [identifier(output.name) for output in cells.outputs if output.role is Role.KEY]


def _sums(cells: Cells) -> list[str]:
    """Return the columns of the totals, as `policies.reading.contributions` names them."""
    asked = cells.contributions
    assert asked is not None
    found, seen = [], dict.fromkeys(asked.totals, 0)
    for place in asked.totals:
        seen[place] += 1
        alone = place in asked.figures and seen[place] == 1
        found.append(f"_sum_{place}" if alone else f"_sum_{place}_{seen[place]}")
    return found


def _shares(cells: Cells, text: str, shown: str, wish: Wish, purpose: str) -> str:
    """Return the statement of what each person adds to each cell that is shown, by the number of the cell's row.

    Signs for a `purpose` are those of enterprises; without one, of persons.
    """
    asked = cells.contributions
    assert asked is not None
    sums = [
        f"greatest(least(coalesce(CAST({name} AS DOUBLE), 0), {_BEYOND}), -{_BEYOND}) AS {name}"
        for name in _sums(cells)
    ]
    signs = [f"{keyed(wish.signs, '_person', purpose)} AS _signs"] if wish.signs else []
    sets = [f"_set_{number}" for number in range(1 + asked.sets)] if wish.signs else []
    equal = [f"s.{name} IS NOT DISTINCT FROM c.{name}" for name in key_columns(cells)]
    items = ", ".join(["c.rowid AS _cell", *sums, *signs, *sets])
    found = (
        f"SELECT {items} FROM ({text}) AS s JOIN _counted AS c ON {' AND '.join([*equal, shown])}"
        " WHERE s._person IS NOT NULL"
    )
    return _spread(found, cells) if asked.squares else found


def _spread(text: str, cells: Cells) -> str:
    """Return the statement with squared distances from the mean of the cell in the place of squares and of their rows.

    A person with n rows, the sum s and the sum of squares q lies q - 2ms + nm² from the mean m, all rows together.
    Where less is left of the squares than doubles can carry, nobody knows whose it is: one person counts for all.
    """
    assert cells.contributions is not None
    names = _sums(cells)
    means, distances, kept = [], [], []
    for place in cells.contributions.squares:
        total, squares, rows = names[place - 1 : place + 2]
        means.append(f"sum({total}) OVER w / nullif(sum({rows}) OVER w, 0) AS _mean_{place}")
        exact = f"{squares} - 2 * _mean_{place} * {total} + {rows} * _mean_{place} * _mean_{place}"
        beyond = f"{squares} >= {_BEYOND} OR abs({total}) >= {_ROOT}"
        distances.append(
            f"CASE WHEN {beyond} THEN {_BEYOND} ELSE greatest(coalesce({exact}, 0), 0) END AS _far_{place}"
        )
        lost = f"sum(_far_{place}) OVER w <= {_LOST} * sum({squares}) OVER w AND sum({squares}) OVER w > 0"
        alone = f"CASE WHEN row_number() OVER w = 1 THEN {_BEYOND} ELSE 0 END"
        far = f"CASE WHEN {lost} THEN {alone} ELSE _far_{place} END"
        kept += [f"{far} AS {squares}", f"{far} AS {rows}"]
    places = ", ".join(f"_mean_{n}, _far_{n}" for n in cells.contributions.squares)
    window = "WINDOW w AS (PARTITION BY _cell)"
    first = f"SELECT *, {', '.join(means)} FROM ({text}) {window}"
    second = f"SELECT *, {', '.join(distances)} FROM ({first})"
    return f"SELECT * EXCLUDE ({places}) REPLACE ({', '.join(kept)}) FROM ({second}) {window}"


def _asked(cells: Cells, shown: str, wish: Wish) -> str:
    """Return the statement that puts the evidence beside the cells."""
    blocks = range(sum(_blocks(cells)))
    joins = "".join(
        f" LEFT JOIN ({_evidence(cells, number, wish)}) AS e{number} ON c.rowid = e{number}._cell"
        for number in blocks
    )
    names = [identifier(output.name) for output in cells.outputs]
    names += [f"_persons_{number}" for number in range(cells.hidden)]
    names += [f"_enterprises_{number}" for number in range(cells.enterprises)]
    items = [*(f"c.{name}" for name in names), *(f"e{number}.* EXCLUDE (_cell)" for number in blocks)]
    if not cells.totals and not wish.signs:
        return f"SELECT {', '.join(items[: len(names)])} FROM _counted AS c WHERE {shown}"
    return f"SELECT {', '.join(items)} FROM _counted AS c{joins} WHERE {shown}"


def _blocks(cells: Cells) -> tuple[int, int]:
    """Return how many persons a row is about, and of how many enterprises shares are looked at."""
    asked = cells.contributions
    assert asked is not None
    return 1 + len(asked.further), len(asked.enterprises)


def _evidence(cells: Cells, number: int, wish: Wish) -> str:
    """Return the statement of the numbers of every cell: for each total three, for each set its persons and signs."""
    items = ["_cell"]
    for column, name in enumerate(_sums(cells)):
        size = f"abs({name})"
        items.append(f"sum({size}) AS t{column}, abs(sum({name})) AS s{column}, max({size}, 2) AS m{column}")
    kept = _kept_sets(cells, wish)
    if number >= _blocks(cells)[0]:
        return _evidence_of_enterprises(items, kept, number)
    for each in kept:
        items.append(f"count(*) FILTER ({_where(each)}) AS n{each}")
        items += _lanes(f"h{each}")
    hashes = [f"CASE WHEN {_inside(each)} THEN _signs ELSE 0 END AS h{each}" for each in kept]
    for each in kept if wish.weighted else ():
        hashes.append(f"CASE WHEN {_inside(each)} THEN {_weighted_signs(each)} ELSE 0 END AS w{each}")
        items += _lanes(f"w{each}")
    inner = f"SELECT {', '.join(['*', *hashes])} FROM _shares_{number}"
    return f"SELECT {', '.join(items)} FROM ({inner}) GROUP BY _cell"


def _evidence_of_enterprises(items: list[str], kept: range, number: int) -> str:
    """Return the same for enterprises: for each set their number and its buckets (`plans.sets`)."""
    own = "CAST(((_signs >> 6) & 4294967295) | 1 AS BIGINT)"
    rows = [f"{own} * _set_{each} AS w{each}" for each in kept]
    for each in kept:
        items.append(f"count(*) FILTER ({_where(each)}) AS n{each}")
        items += [
            f"sum(w{each}) FILTER (WHERE _signs & 63 = {bucket}) AS b{each}_{bucket}"
            for bucket in range(SIGNS)
        ]
    inner = f"SELECT {', '.join(['*', *rows])} FROM _shares_{number}"
    return f"SELECT {', '.join(items)} FROM ({inner}) GROUP BY _cell"


def _lanes(hashed: str) -> list[str]:
    """Return the columns that sum the bits of a hash over persons."""
    return [
        f"sum(CAST(({hashed} >> {bit}) & 4294967297 AS BIGINT)) AS {hashed}_{bit}" for bit in range(_LANES)
    ]


def _weighted_signs(each: int) -> str:
    """Return the signs of a person with so many rows; those of the person for one."""
    several = f"md5_number_lower('{SEVERAL}' || _signs || ':' || _set_{each})"
    return f"CASE WHEN _set_{each} > 1 THEN {several} ELSE _signs END"


def _kept_sets(cells: Cells, wish: Wish) -> range:
    assert cells.contributions is not None
    return range(1 + cells.contributions.sets) if wish.signs else range(0)


def _where(each: int) -> str:
    return f"WHERE {_inside(each)}"


def _inside(each: int) -> str:
    return f"_set_{each} > 0"


def _rows(cursor: Any, cells: Cells, wish: Wish) -> Gathered:
    width, totals = len(cells.outputs) + cells.hidden + cells.enterprises, len(cells.totals)
    people, firms = _blocks(cells)
    sets, end = len(_kept_sets(cells, wish)), _NUMBERS * totals
    block = end + sets * (1 + _LANES + _LANES * wish.weighted)
    rows: list[tuple[Any, ...]] = []
    persons, prints = array("Q"), array("i")
    while batch := cursor.fetchmany(BATCH):
        for row in batch:
            blocks = [row[width + number * block : width + (number + 1) * block] for number in range(people)]
            beside = row[width + people * block :]
            wide = end + sets * (1 + SIGNS)
            others = [beside[number * wide : (number + 1) * wide] for number in range(firms)]
            rows.append((*row[:width], *_shared([*blocks, *others], totals)))
            _add_sets([each[end:] for each in blocks], sets, persons, prints)
            _add_enterprises([each[end:] for each in others], sets, persons, prints)
        if len(rows) > wish.most or len(prints) > wish.room:
            raise TooMany
    asked = cells.contributions
    assert asked is not None
    weighted, chosen = people * sets * wish.weighted, people * asked.chosen * bool(sets)
    per_row = people * sets + weighted + firms * sets
    told = (asked.patterns, asked.computed) if sets else ()
    kept = Sets(len(rows), per_row, persons, prints, weighted, chosen, firms * sets, *told)
    return Gathered(rows, kept)


def _shared(blocks: list[tuple[Any, ...]], totals: int) -> Iterator[float]:
    """Yield the numbers of every total as they are for whatever persons they are most one-sided."""
    for place in range(totals):
        found = [each[_NUMBERS * place : _NUMBERS * (place + 1)] for each in blocks]
        sizes = [(total or 0.0, net or 0.0) for total, net, _ in found]
        least = min(total for total, _ in sizes)
        yield least
        yield least * min(net / total if total else 1.0 for total, net in sizes)
        for rank in range(2):
            yield max((float(top[rank]) if top and len(top) > rank else 0.0) for _, _, top in found)


def _add_sets(blocks: Sequence[Sequence[Any]], sets: int, persons: array[int], prints: array[int]) -> None:
    """Add the sets of one row, set by set for each sort of persons: their numbers, and the sums of signs, of which bit
    1 is plus. The weighted ones follow, with the same numbers.
    """
    wide = sets * (1 + _LANES)
    ends = range(wide, len(blocks[0]), _LANES) if blocks else range(0)
    starts = [*((start, start + 1) for start in range(0, wide, 1 + _LANES))]
    starts += [(number * (1 + _LANES), start) for number, start in enumerate(ends)]
    for number, start in starts:
        for block in blocks:
            count = block[number] or 0
            lanes = [int(value or 0) for value in block[start : start + _LANES]]
            persons.append(count)
            prints.extend(2 * (lane & _LOW) - count for lane in lanes)
            prints.extend(2 * (lane >> 32) - count for lane in lanes)


def _add_enterprises(
    blocks: Sequence[Sequence[Any]], sets: int, persons: array[int], prints: array[int]
) -> None:
    """Add the sets of enterprises of one row, set by set for each column that names some; buckets wrap around."""
    for start in range(0, sets * (1 + SIGNS), 1 + SIGNS):
        for block in blocks:
            persons.append(block[start] or 0)
            buckets = (int(value or 0) & _LOW for value in block[start + 1 : start + 1 + SIGNS])
            prints.extend(bucket - (bucket >> 31 << 32) for bucket in buckets)

"""The SQL that makes the rows of a twin: text for an engine, and one source of it for everybody who makes rows.

A box makes the twins of a trial by it (`inside.twin`), and a member's own client those of a notebook
(`darkroom.twin`), so both have the same rows, byte for byte. The same declaration and the same seed give the same rows:
every value is computed from the seed, the column's name and the number of the row, by MD5, which no version of the
engine can change. One value in eight is missing where values may be missing. Where a recipe says how often what appears
(`plans.twins`), each column with weights first *picks* one of its choices, given what its parent picked.

Persons are the same in every twin: the first row is about the same made-up person everywhere, so that tables join.
"""

from __future__ import annotations

import decimal
from dataclasses import replace
from decimal import Decimal

from plans import names
from plans.quoting import identifier, literal
from plans.trial import WHOLE, TwinColumn, TwinTable

POPULATION = "population"
"""Names the one made-up population; it is nobody's secret, since there is nobody in it."""

_MOST_STEPS = 10**18 - 1
_EXACT = decimal.Context(prec=100)


def select(table: TwinTable, seed: int) -> str:
    """Return the SQL of a twin's rows."""
    prefix = f"{table.seed or seed}/{table.name}"
    columns = ", ".join(
        f"{_person(table) if column.name == names.PERSON else expression(column, prefix)}"
        f" AS {identifier(column.name)}"
        for column in table.visible
    )
    return f"SELECT {columns} FROM {picked(table, prefix)}"


def picked(table: TwinTable, prefix: str) -> str:
    """Return the SQL of the rows' numbers `n` and what each column with weights picks, as `pick(column)`."""
    rows = f"range({table.rows}) AS made(n)"
    for step in table.order():
        draws = ", ".join(
            f"{_drawn(f'{prefix}/{each.name}/pick')} % {WHOLE} AS {_draw(each.name)}" for each in step
        )
        picks = ", ".join(f"{_picking(each)} AS {pick(each.name)}" for each in step)
        rows = f"(SELECT *, {picks} FROM (SELECT *, {draws} FROM {rows})) AS made"
    return rows


def pick(column: str) -> str:
    """Return the name under which a column's pick stands; no column can have such a name."""
    return identifier(f"pick {column}")


def expression(column: TwinColumn, seed: str) -> str:
    """Return the SQL of a column's values; `n` is the number of the row."""
    drawn = _drawn(f"{seed}/{column.name}")
    if column.given:
        return f"CAST({_of_pick(column, drawn)} AS {column.type})"
    value = _chosen(column, drawn) if column.values else _between(column, drawn)
    typed = f"CAST({value} AS {column.type})"
    if not column.nulls:
        return typed
    return f"CASE WHEN {_drawn(f'{seed}/{column.name}/missing')} % 8 = 0 THEN NULL ELSE {typed} END"


def _person(table: TwinTable) -> str:
    """Return the SQL of the token of the row's person; where persons have several rows, every fifth row repeats one."""
    number = "n * 4 // 5" if table.repeats else "n"
    return f"md5_number_lower({literal(f'{POPULATION}/')} || ({number}))"


def _draw(column: str) -> str:
    return identifier(f"draw {column}")


def _picking(column: TwinColumn) -> str:
    """Return the SQL of the choice that a column's draw falls on, given its parent's."""
    trees = [_tree(_marks(row), _draw(column.name)) for row in column.given]
    if not column.parent:
        return trees[0]
    cases = " ".join(f"WHEN {place} THEN {tree}" for place, tree in enumerate(trees))
    return f"CASE {pick(column.parent)} {cases} END"


def _marks(weights: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return (end, choice) of every choice that has weight, the ends rising to `WHOLE`."""
    marks, end = [], 0
    for choice, weight in enumerate(weights):
        end += weight
        if weight:
            marks.append((end, choice))
    return marks


def _tree(marks: list[tuple[int, int]], draw: str) -> str:
    """Return a balanced tree of comparisons, since a list of a thousand would be gone through for every row."""
    if len(marks) == 1:
        return str(marks[0][1])
    middle = len(marks) // 2
    low, high = _tree(marks[:middle], draw), _tree(marks[middle:], draw)
    return f"CASE WHEN {draw} < {marks[middle - 1][0]} THEN {low} ELSE {high} END"


def _of_pick(column: TwinColumn, drawn: str) -> str:
    """Return the value that a pick stands for; the pick for missing stands for none."""
    if column.values:
        return f"[{', '.join(literal(value) for value in column.values)}][1 + {pick(column.name)}]"
    spans = column.spans or ((column.low, column.high),)
    within = (replace(column, low=first, high=last, spans=(), parent="", given=()) for first, last in spans)
    cases = " ".join(
        f"WHEN {place} THEN CAST({_between(each, drawn)} AS {column.type})"
        for place, each in enumerate(within)
    )
    return f"CASE {pick(column.name)} {cases} END"


def _drawn(name: str) -> str:
    """Return a whole number below 2^64 that depends on the name and the row only."""
    return f"md5_number_lower({literal(name + '/')} || n)"


def _chosen(column: TwinColumn, drawn: str) -> str:
    values = ", ".join(literal(value) for value in column.values)
    return f"[{values}][1 + CAST({drawn} % {len(column.values)} AS BIGINT)]"


def _between(column: TwinColumn, drawn: str) -> str:
    """Return a value between the bounds: whole steps for whole numbers and dates, a fraction for the others."""
    low, high = literal(column.low), literal(column.high)
    if column.type == "DATE":
        return f"CAST({low} AS DATE) + CAST({drawn} % (CAST({high} AS DATE) - CAST({low} AS DATE) + 1) AS INTEGER)"
    if column.type == "TIMESTAMP":
        seconds = f"(epoch(CAST({high} AS TIMESTAMP)) - epoch(CAST({low} AS TIMESTAMP)) + 1)"
        return f"CAST({low} AS TIMESTAMP) + to_seconds(CAST({drawn} % CAST({seconds} AS UBIGINT) AS BIGINT))"
    if column.type in ("DOUBLE", "FLOAT"):
        span = f"(CAST({high} AS DOUBLE) - CAST({low} AS DOUBLE))"
        return f"CAST({low} AS DOUBLE) + {span} * (CAST({drawn} AS DOUBLE) / 18446744073709551616)"
    if column.type.startswith("DECIMAL"):
        return _decimal(column, drawn)
    span = f"(CAST({high} AS HUGEINT) - CAST({low} AS HUGEINT) + 1)"
    return f"CAST({low} AS HUGEINT) + {drawn} % {span}"


def _decimal(column: TwinColumn, drawn: str) -> str:
    """Return steps of the type's last digit above the lower bound, as many as lie within type and bounds.

    A step is never below 10^-18, and there are never more than 10^18, so that the engine's product fits 38 digits.
    """
    width, scale = (int(part) for part in column.type.removeprefix("DECIMAL(").removesuffix(")").split(","))
    digits = min(scale, 18)
    reach = min(
        _EXACT.subtract(Decimal(column.high), Decimal(column.low)), _EXACT.scaleb(10**width - 1, -scale)
    )
    steps = 1 + min(int(_EXACT.scaleb(reach, digits)), _MOST_STEPS - 1)
    step = f"CAST('{_EXACT.scaleb(1, -digits):f}' AS DECIMAL({digits + 1},{digits}))"
    above = f"CAST(CAST({drawn} % {steps} AS DECIMAL(18,0)) * {step} AS {column.type})"
    return f"CAST({literal(column.low)} AS {column.type}) + {above}"

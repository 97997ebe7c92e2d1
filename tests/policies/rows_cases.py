"""Shadows whose columns are shown, and statements read by the first reader at the level of rows."""

from __future__ import annotations

from dataclasses import replace

from plans.reading import Reading, Shadow, ShadowColumn
from policies.reading import general, rows
from policies.reading.bounds import parse


def shadow(relation: str, **columns: str) -> Shadow:
    """A relation all of whose columns are shown, and may be linked by its person token."""
    listed = tuple(ShadowColumn(name, kind, True, True) for name, kind in columns.items())
    return Shadow(relation, (ShadowColumn("person", "UBIGINT", False, True), *listed))


INCOME = shadow("tax.income", region="VARCHAR", age="INTEGER", income="DOUBLE", born="DATE", urban="BOOLEAN")
VISIT = shadow("med.visit", region="VARCHAR", cost="DOUBLE", day="TIMESTAMP", kind="VARCHAR")
SHADOWS = (INCOME, VISIT)
TAX, V = "tax.income.", "med.visit."


def hiding(*names: str) -> tuple[Shadow, ...]:
    """The shadows, with these columns not shown."""
    return tuple(
        replace(
            each,
            columns=tuple(
                replace(column, shown=column.shown and column.name not in names) for column in each.columns
            ),
        )
        for each in SHADOWS
    )


def read(statement: str, shadows: tuple[Shadow, ...] = SHADOWS) -> Reading | None:
    """The reading, or none."""
    return rows.read_rows(parse(statement), statement, shadows)


def reading(statement: str) -> Reading:
    """The reading of a statement that may yield rows."""
    found = read(statement)
    assert found is not None, rows.not_shown(parse(statement), SHADOWS)
    return found


def uses(statement: str) -> set[tuple[str, str]]:
    """Uses as (relation.column, clause)."""
    found = general.find(parse(statement), SHADOWS)
    return {(f"{use.relation}.{use.column}", use.clause.value) for use in found.uses}


def columns(statement: str) -> set[str]:
    """The columns of the relation tax.income, and those of med.visit with their relation."""
    return {column.removeprefix(TAX) for column, _ in uses(statement)}


def clauses(**by_clause: str) -> set[tuple[str, str]]:
    """Expected uses: words are columns of tax.income, or of med.visit after `v.`."""
    return {
        (V + name[2:] if name.startswith("v.") else TAX + name, clause)
        for clause, text in by_clause.items()
        for name in text.split()
    }

"""What values must satisfy beyond their type, as SQL over what was written.

The checks run on the files just written, so they also prove that those can be read with their keys. A check
finds *that* something is wrong; the number of the row is looked for in the source only then
(`inside.ingest_faults`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from inside.engine import identifier, literal
from inside.ingest_task import TaskColumn

ID18_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
ID18_CHECK = "10X98765432"
"""GB 11643-1999: 17 digits, weights 2^(18-i) mod 11, and the check character by the remainder (ISO 7064 MOD 11-2)."""

USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
USCC_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
"""GB 32100-2015: 17 characters of this alphabet, weights 3^(i-1) mod 31, and the check character."""


@dataclass(frozen=True, slots=True)
class Check:
    """A rule on one column: the failure's code, and the SQL that is true for a value that breaks it.

    `prepared` are expressions that the engine shall compute once a row, by the names that `broken` uses.
    """

    column: TaskColumn
    code: str
    broken: str
    prepared: str = ""

    def search(self, found: str, rows: str) -> str:
        """Return the statement that selects `found` from those of `rows` that break the rule."""
        if self.prepared:
            rows = f"(SELECT *, {self.prepared} FROM {rows})"
        return f"SELECT {found} FROM {rows} WHERE {self.broken}"


def checks_of(column: TaskColumn) -> Iterator[Check]:
    """Yield the column's checks. Missing values break none."""
    name = identifier(column.name)
    for operator, bound in (("<", column.minimum), (">", column.maximum)):
        if bound is not None:
            broken = f"{name} {operator} CAST({literal(bound)} AS {column.type})"
            yield Check(column, "ingest.range", broken)
    if column.type == "DOUBLE":
        yield Check(column, "ingest.range", f"NOT isfinite({name})")
    if column.categories:
        listed = ", ".join(f"CAST({literal(value)} AS {column.type})" for value in column.categories)
        yield Check(column, "ingest.category", f"{name} NOT IN ({listed})")
    if column.check == "id18":
        yield Check(column, "ingest.check-digit", _refuses(_id18()), f"{_text(name)}, {_NUMBER}")
    elif column.check == "uscc":
        yield Check(column, "ingest.check-digit", _refuses(_uscc()), _text(name))


def may_round(columns: tuple[TaskColumn, ...]) -> str:
    """Return the SQL that is true when the text of some column holds a point: fast, and never too few."""
    return " OR ".join(f"contains({identifier(column.name)}, '.')" for column in columns) or "false"


def rounds(column: TaskColumn) -> str:
    """Return the SQL that is true when a text would lose a fraction as a whole number; 3.0 would not."""
    return f"regexp_matches({identifier(column.name)}, '^[^eE]*\\.[0-9]*[1-9]')"


def _text(name: str) -> str:
    """A code has 18 characters; only another one may still have blanks to cut."""
    return f"upper(CASE WHEN length({name}) = 18 THEN {name} ELSE trim({name}) END) AS _text"


_NUMBER = "TRY_CAST(left(_text, 17) AS BIGINT) AS _number"
"""Digits as one number, from which arithmetic takes them apart: many times faster than text functions."""


def _refuses(right: str) -> str:
    """A code that cannot be judged is a wrong one; a missing one is not."""
    return f"_text IS NOT NULL AND NOT coalesce({right}, false)"


def _id18() -> str:
    """Right citizen numbers: the number written out again, with the right character behind, is the very text."""
    terms = (f"(_number // {10 ** (16 - n)}) % 10 * {weight}" for n, weight in enumerate(ID18_WEIGHTS))
    character = f"substr('{ID18_CHECK}', ({' + '.join(terms)}) % 11 + 1, 1)"
    return f"(_number > 0 AND length(_text) = 18 AND _text = _number::VARCHAR || {character})"


def _uscc() -> str:
    """Right social credit codes."""
    values = (f"(instr('{USCC_ALPHABET}', substr(_text, {n + 1}, 1)) - 1)" for n in range(17))
    total = " + ".join(f"{value} * {weight}" for value, weight in zip(values, USCC_WEIGHTS, strict=True))
    expected = f"substr('{USCC_ALPHABET}', (31 - ({total}) % 31) % 31 + 1, 1)"
    formed = f"regexp_full_match(_text, '[{USCC_ALPHABET}]{{18}}')"
    return f"({formed} AND right(_text, 1) = {expected})"

"""What values must satisfy beyond their type, as SQL over what was written.

The checks run on the files just written, so they also prove that those can be read with their keys. A check finds
*that* something is wrong; the number of the row is looked for in the source only then (`inside.ingest_faults`).
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
    """A rule on one column: the failure's code, and the SQL that is true for a value that breaks it."""

    column: TaskColumn
    code: str
    broken: str


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
    if column.check:
        broken = _DIGITS[column.check](f"upper(trim({name}::VARCHAR))")
        yield Check(column, "ingest.check-digit", broken)


def id18(text: str) -> str:
    """Return the SQL that is true when `text` is no 18-digit citizen number with a right check character."""
    number = f"TRY_CAST(left({text}, 17) AS BIGINT)"
    terms = (f"({number} // {10 ** (16 - n)}) % 10 * {weight}" for n, weight in enumerate(ID18_WEIGHTS))
    expected = f"substr('{ID18_CHECK}', ({' + '.join(terms)}) % 11 + 1, 1)"
    formed = f"regexp_full_match({text}, '[0-9]{{17}}[0-9X]')"
    return f"(NOT {formed} OR right({text}, 1) <> {expected})"


def uscc(text: str) -> str:
    """Return the SQL that is true when `text` is no unified social credit code with a right check character."""
    values = (f"(instr('{USCC_ALPHABET}', substr({text}, {n + 1}, 1)) - 1)" for n in range(17))
    total = " + ".join(f"{value} * {weight}" for value, weight in zip(values, USCC_WEIGHTS, strict=True))
    expected = f"substr('{USCC_ALPHABET}', (31 - ({total}) % 31) % 31 + 1, 1)"
    formed = f"regexp_full_match({text}, '[{USCC_ALPHABET}]{{18}}')"
    return f"(NOT {formed} OR right({text}, 1) <> {expected})"


_DIGITS = {"id18": id18, "uscc": uscc}

"""What masks leave: which types each kind takes, and the type that comes out. The one place that says so.

`policies` makes shadows by it and refuses masks that do not fit, and a query box (`inside.relations`) makes
the values. Any mask may leave nothing where there was a value: where it cannot be computed, and where it
would show a value whole, so a masked column may always be null.
"""

from __future__ import annotations

import re

from plans.constraints import Mask, MaskKind
from plans.errors import Malformed

TEXT, DATE = "VARCHAR", "DATE"

_WHOLE = r"U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)"
_EXACT = rf"{_WHOLE}|DECIMAL\(\d+,\s?\d+\)"
_TAKES = {
    MaskKind.LAST: re.compile(rf"VARCHAR|{_WHOLE}"),
    MaskKind.DATE: re.compile(r"DATE|TIMESTAMP"),
    MaskKind.PLACE: re.compile(r"VARCHAR"),
    MaskKind.BUCKET: re.compile(rf"{_EXACT}|FLOAT|DOUBLE"),
    MaskKind.NULL: re.compile(r".+"),
    MaskKind.PSEUDONYM: re.compile(rf"VARCHAR|DATE|TIMESTAMP|BOOLEAN|{_EXACT}"),
}
"""Numbers with a floating point have no pseudonyms: what looks equal need not be."""

_LEAVES = {
    MaskKind.LAST: TEXT,
    MaskKind.DATE: DATE,
    MaskKind.PLACE: TEXT,
    MaskKind.PSEUDONYM: TEXT,
}
"""The types of masked values; a kind that is not here keeps the column's own."""


def fits(mask: Mask, kind: str) -> bool:
    """Return whether a mask can be laid on a column of a DuckDB type."""
    return _TAKES[mask.kind].fullmatch(kind) is not None


def masked_type(mask: Mask, kind: str) -> str:
    """Return the type of what a mask leaves of a column of a type.

    Raises:
        Malformed: the mask does not fit the type.
    """
    if not fits(mask, kind):
        raise Malformed(
            f"a mask of the kind {mask.kind} does not fit a column of the type {kind}", mask.column
        )
    return _LEAVES.get(mask.kind, kind)

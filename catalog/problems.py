"""What an ingest box reports, as a sentence for the owner: what is wrong, where, and what to do.

A box sends a stable code and facts: a described column, the number of a row (1 is the first after the header, 0 the
header itself), a limit. It never sends a value, so a sentence cannot hold one.
"""

from __future__ import annotations

from collections.abc import Mapping

from plans import errors
from plans.errors import DarkroomError

Facts = Mapping[str, str | int]

_SENTENCES: dict[str, str] = {
    "ingest.empty": "the file has no row",
    "ingest.malformed": "the file cannot be read as {expected}",
    "ingest.encoding": "the file is not UTF-8 text; it looks like {found}",
    "ingest.too-large": "the file has more than {limit_bytes} bytes",
    "ingest.line-too-long": "a line has more than {limit_bytes} bytes",
    "ingest.quote": "a quoted value does not end where it should",
    "ingest.row-width": "a row does not have {expected} values as the header has",
    "ingest.duplicate-column": "the same column is there twice",
    "ingest.missing-column": "the described column is not in the file",
    "ingest.extra-column": "a column of the file is not among the {expected} that are described",
    "ingest.type": "a value is no {expected}",
    "ingest.range": "a value lies outside the described range",
    "ingest.category": "a value is none of the described categories",
    "ingest.check-digit": "the check character does not fit the others",
    "ingest.key-missing": "a row has no value in the person column",
    "ingest.key-repeated": "a person comes a second time, though the description says unique; first in row {first}",
    "ingest.token-collision": "two persons have the same token",
    "disk.full": "there was no space left to write the encrypted files",
    "box.limit": "the ingest box reached its limit of {limit}",
}
_ENCODINGS = {"unknown": "no encoding that is known here", "gb18030": "GB 18030 (GBK)", "utf-16": "UTF-16"}


def ingest_problem(code: str, facts: Facts) -> DarkroomError:
    """Return the error of the tree that a box's failure is, worded for the owner."""
    kind = errors.by_code().get(code, errors.BoxFailed)
    sentence = _SENTENCES.get(code, "the ingest box ended without a result")
    return kind(sentence.format_map(_Words(facts)), _place(facts))


class _Words(dict[str, str]):
    """Facts as words; one that a box did not send reads as unknown, and hides no sentence."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(
            {name: f"{value:,}" if isinstance(value, int) else value for name, value in facts.items()}
        )
        if "found" in self:
            self["found"] = _ENCODINGS.get(self["found"], _ENCODINGS["unknown"])

    def __missing__(self, name: str) -> str:
        return f"(unknown {name})"


def _place(facts: Facts) -> str:
    """Where: the column, its position in the header, the row."""
    parts = []
    if "column" in facts:
        parts.append(f"column {facts['column']}")
    if "position" in facts:
        parts.append(f"position {facts['position']} of the header")
    if "row" in facts:
        parts.append("header" if facts["row"] == 0 else f"row {int(facts['row']):,}")
    return ", ".join(parts)

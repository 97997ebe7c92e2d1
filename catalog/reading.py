"""Read descriptions from TOML files that people write, and say in their words what is wrong.

id = "nm/tax/income"
title = "Annual income of natural persons"
title_zh = "自然人年收入"
source_system = "Natural person tax system"
grade = "general-3"            # optional: share ("conditional"), format ("csv"), about, unique (false)
person = "id18"                # the identifier whose values tell persons apart; "row": each row; "none": about nobody

[[columns]]
name = "income"
type = "decimal(12,2)"         # text, code, integer, real, date, boolean, decimal(p,s)
kind = "sensitive"             # identifier, quasi-identifier, sensitive, plain
unit = "CNY"                   # optional, like title, title_zh, header, range, categories, check_digit
range = [0, 100_000_000]       # either end may be ""
"""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from catalog.description import CheckDigit, DescribedColumn, Description, Format, Share
from plans.errors import Malformed, NotFound, TooLarge
from plans.manifest import Grade, Kind
from plans.record import Record

R = TypeVar("R", bound=Record)

LARGEST_FILE = 1 << 20
"""Bytes of a description file."""

_DATASET_REQUIRED = ("id", "title", "title_zh", "source_system", "grade", "person", "columns")
_DATASET_OPTIONAL = {"about": "", "share": "conditional", "format": "csv", "unique": False}
_COLUMN_REQUIRED = ("name", "type", "kind")
_COLUMN_OPTIONAL = {
    "title": "", "title_zh": "", "unit": "", "header": None, "range": ["", ""], "categories": [], "check_digit": "",
}  # fmt: skip


def read_file(path: Path) -> Description:
    """Return the description in a TOML file.

    Raises:
        NotFound: there is no such file.
        TooLarge: it is larger than any description.
        Malformed: it is not TOML, or a key is missing, unknown or has a wrong value; the error names file and key.
    """
    try:
        data = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        raise NotFound("there is no such description file", path.name, "Check the path.") from None
    if len(data) > LARGEST_FILE:
        raise TooLarge(f"the description has more than {LARGEST_FILE:,} bytes", path.name)
    return read_text(data, path.name)


def read_text(data: bytes, name: str) -> Description:
    """Return the description in TOML bytes; `name` is what errors call the file. Raises as `read_file`."""
    try:
        table = tomllib.loads(data.decode("utf-8"), parse_float=Decimal)
    except UnicodeDecodeError:
        raise Malformed("the description is not UTF-8 text", name, "Save the file as UTF-8.") from None
    except tomllib.TOMLDecodeError as problem:
        raise Malformed(
            f"the description is not TOML: {problem}", name, "Correct the line that it names."
        ) from None
    return _dataset(table, name)


def read_folder(folder: Path) -> tuple[Description, ...]:
    """Return the descriptions in a folder's `*.toml` files, by dataset id.

    Raises:
        Malformed: as `read_file`, or two files describe the same dataset.
    """
    found: dict[str, tuple[str, Description]] = {}
    for path in sorted(folder.glob("*.toml")):
        description = read_file(path)
        if description.dataset in found:
            other = found[description.dataset][0]
            raise Malformed(
                f"{other} and {path.name} both describe {description.dataset}", path.name, "Remove one."
            )
        found[description.dataset] = (path.name, description)
    return tuple(found[dataset][1] for dataset in sorted(found))


def _dataset(table: Mapping[str, Any], name: str) -> Description:
    values = _keys(table, _DATASET_REQUIRED, _DATASET_OPTIONAL, name)
    rows = values["columns"]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Malformed("columns are written as [[columns]] tables", name)
    columns = tuple(_column(row, f"{name}, column {position}") for position, row in enumerate(rows, start=1))
    return _built(
        name,
        Description,
        dataset=values["id"],
        title=values["title"],
        title_zh=values["title_zh"],
        about=values["about"],
        source_system=values["source_system"],
        grade=_choice(Grade, values["grade"], f"{name}: grade"),
        share=_choice(Share, values["share"], f"{name}: share"),
        format=_choice(Format, values["format"], f"{name}: format"),
        person=values["person"],
        unique=values["unique"],
        columns=columns,
    )


def _column(table: Mapping[str, Any], where: str) -> DescribedColumn:
    values = _keys(table, _COLUMN_REQUIRED, _COLUMN_OPTIONAL, where)
    where = f"{where} ({str(values['name'])[:40]})"
    minimum, maximum = _range(values["range"], where)
    if not isinstance(values["categories"], list):
        raise Malformed("categories are a list", f"{where}: categories")
    return _built(
        where,
        DescribedColumn,
        name=values["name"],
        header=values["name"] if values["header"] is None else values["header"],
        title=values["title"],
        title_zh=values["title_zh"],
        type=values["type"],
        unit=values["unit"],
        kind=_choice(Kind, values["kind"], f"{where}: kind"),
        minimum=minimum,
        maximum=maximum,
        categories=tuple(_text(value, f"{where}: categories") for value in values["categories"]),
        check_digit=_choice(CheckDigit, values["check_digit"], f"{where}: check_digit"),
    )


def _keys(
    table: Mapping[str, Any], required: tuple[str, ...], optional: Mapping[str, Any], where: str
) -> dict[str, Any]:
    for key in required:
        if key not in table:
            raise Malformed(
                f"the key {key!r} is missing", where, f"Add it; required are {', '.join(required)}."
            )
    for key in table:
        if key not in required and key not in optional:
            known = ", ".join([*required, *optional])
            raise Malformed(
                f"the key {key[:40]!r} is unknown", where, f"Remove or correct it; known are {known}."
            )
    return {**optional, **table}


def _choice(kind: type[Any], value: object, where: str) -> Any:
    for member in kind:
        if member.value == value:
            return member
    offers = ", ".join(repr(str(member.value)) for member in kind)
    raise Malformed(f"{str(value)[:40]!r} is none of the choices", where, f"Use one of {offers}.")


def _range(value: object, where: str) -> tuple[str | None, str | None]:
    if not isinstance(value, list) or len(value) != 2:
        raise Malformed(
            "a range has two ends", f"{where}: range", 'Write range = [0, 100], or [0, ""] for no end.'
        )
    low, high = (_text(end, f"{where}: range") for end in value)
    return low or None, high or None


def _text(value: object, where: str) -> str:
    """Bounds and categories may be written as TOML numbers, dates or booleans; a record holds text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | Decimal | datetime.date) and not isinstance(value, datetime.datetime):
        return str(value)
    raise Malformed("a value here is a text, number, date or truth value", where)


def _built(where: str, record: type[R], **members: Any) -> R:
    """Build a record; what it finds wrong is told together with the file."""
    try:
        return record(**members)
    except Malformed as problem:
        raise Malformed(problem.what, f"{where}: {problem.where}", problem.next_step) from None

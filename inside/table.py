"""Tables between boxes: the bytes that a query box hands to the parse box, and every box after it to the next.

They are canonical JSON (`plans.canonical`): `{"tables": [{"columns": [{"name", "type"}, …], "rows": [[…], …]}, …],
"salt": hex}`; what comes from a query box has no salt. The tables are the program's, in their order, each with its
outputs by name and type, then `_persons_0 …` and, where they are counted, `_enterprises_0 …` of the type `BIGINT`,
then for each total `_total_0`, `_net_0`, `_first_0`, `_second_0` … of the type `DOUBLE`: what the persons add to it
together, without signs and with them, the largest of them and the second largest. Protected tables have none of these,
and what a finish made is one table of the answer's outputs. Values by type:

* whole numbers: a number up to 53 bits, text of decimal digits beyond; numbers of persons are always numbers;
* DECIMAL: text in plain notation; DOUBLE, FLOAT: text as Python writes it, `nan`, `inf`, `-inf`;
* BOOLEAN: true, false; VARCHAR: text;
* DATE: `YYYY-MM-DD`; TIMESTAMP: `YYYY-MM-DD HH:MM:SS[.ffffff]`;
* null where there is no value.

`read_tables` accepts exactly that and re-encodes it: one spelling per value, so that no message hides in how a
number is written. It is run by every box after the first, over bytes that it does not trust: an engine that a
statement has broken may write anything (ATTACKS 55, 94).

What an honest engine can find in the data is never a reason to refuse, since the refusal would tell of a row
that is about to be left out: a number that is not finite becomes `nan`, a day outside the years 1 to 9999 no
value, a control character `\ufffd`, and a long text is cut.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Protocol

from airlock.rules import NUMBER, WHOLE, Row, Table, Value, plain
from plans import canonical, names
from plans.errors import Malformed, OutputRefused
from plans.reading import Output

LARGEST_BYTES = 32 * 2**20
"""Bytes of a table at the most; also what a query box may write."""

MOST_CELLS = 1_000_000
LONGEST_TEXT = 1_000
"""Characters of one value that leave; the rest is cut."""

PERSONS_TYPE, SHARE_TYPE = "BIGINT", "DOUBLE"
SHARES = ("total", "net", "first", "second")
"""What stands beside a cell for each total (`airlock.dominance.Shares`)."""

_WHOLE_TEXT = re.compile(r"-?(0|[1-9][0-9]{0,77})")
_PLAIN_TEXT = re.compile(r"-?(0|[1-9][0-9]{0,77})(\.[0-9]{1,77})?")
_DOUBLE_TEXT = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?(e[+-]?[0-9]{1,3})?")
_UNBOUNDED = {"nan", "inf", "-inf"}
_DATE_TEXT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIMESTAMP_TEXT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?")
_FAR_TEXT = re.compile(r"-?infinity|-?[0-9]{1,7}-[0-9 :.-]{1,30}( \(BC\))?")
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""Characters that terminals act on, or that reorder or hide what a person reads (ATTACKS 44, 51)."""


class Form(Protocol):
    """What a table looks like: its outputs, how many numbers of persons and of enterprises stand beside them, and of
    which outputs the totals are whose largest shares stand there too (`Cells` is one).
    """

    @property
    def outputs(self) -> tuple[Output, ...]: ...
    @property
    def hidden(self) -> int: ...
    @property
    def enterprises(self) -> int: ...
    @property
    def totals(self) -> tuple[int, ...]: ...


@dataclass(frozen=True, slots=True)
class Bare:
    """The form of a table without numbers of persons: protected cells, or an answer."""

    outputs: tuple[Output, ...]
    hidden: int = 0
    enterprises: int = 0
    totals: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Salted:
    """Tables and the salt in their bytes, empty for those that come from a query box."""

    tables: tuple[Table, ...]
    salt: str


def read_tables(data: bytes, forms: Sequence[Form], salted: bool) -> Salted:
    """Return the tables in `data`, every value in its one spelling.

    Raises:
        OutputRefused: the bytes are not tables of these forms; the error holds no value of them.
    """
    if len(data) > LARGEST_BYTES:
        raise OutputRefused("the result is larger than an output may be", "output")
    try:
        content = canonical.decode(data)
    except Malformed:
        raise OutputRefused("the result is not in canonical form", "output") from None
    members = {"tables", "salt"} if salted else {"tables"}
    if not isinstance(content, dict) or set(content) != members:
        raise OutputRefused("the result does not hold tables", "output")
    found = content["tables"]
    if not isinstance(found, list) or len(found) != len(forms):
        raise OutputRefused("the result has another number of tables than the plan", "output")
    _require_room(found)
    tables = tuple(_table(each, form) for each, form in zip(found, forms, strict=True))
    return Salted(tables, _salt(content["salt"]) if salted else "")


def write_tables(tables: Sequence[Table], forms: Sequence[Form], salt: str) -> bytes:
    """Return the canonical bytes of tables that have been read, with a salt, or without when it is empty."""
    content: dict[str, Any] = {
        "tables": [
            {"columns": columns(form), "rows": [list(row) for row in table.rows]}
            for table, form in zip(tables, forms, strict=True)
        ]
    }
    return canonical.encode({**content, "salt": salt} if salt else content)


def columns(form: Form) -> list[dict[str, str]]:
    """Return the columns that a table of a form has."""
    hidden = [{"name": f"_persons_{k}", "type": PERSONS_TYPE} for k in range(form.hidden)]
    hidden += [{"name": f"_enterprises_{k}", "type": PERSONS_TYPE} for k in range(form.enterprises)]
    shares = [
        {"name": f"_{name}_{k}", "type": SHARE_TYPE} for k in range(len(form.totals)) for name in SHARES
    ]
    return [{"name": output.name, "type": output.type} for output in form.outputs] + hidden + shares


def _require_room(found: list[Any]) -> None:
    """Bound all tables together, before any value is read."""
    cells = 0
    for each in found:
        if not isinstance(each, dict) or set(each) != {"columns", "rows"}:
            raise OutputRefused("the result is not a table", "output")
        if not isinstance(each["rows"], list) or not isinstance(each["columns"], list):
            raise OutputRefused("the result's rows are not a list", "output")
        cells += len(each["rows"]) * len(each["columns"])
    if cells > MOST_CELLS:
        raise OutputRefused("the result has more cells than an output may have", "output")


def _table(found: dict[str, Any], form: Form) -> Table:
    if found["columns"] != columns(form):
        raise OutputRefused("the result's columns are not those of the plan", "output")
    readers = [reader(output.type) for output in form.outputs] + [_persons] * (form.hidden + form.enterprises)
    readers += [_share] * len(SHARES) * len(form.totals)
    return Table(tuple(_row(row, readers, n) for n, row in enumerate(found["rows"], 1)))


def _salt(value: object) -> str:
    if not isinstance(value, str):
        raise OutputRefused("the result's salt is not text", "output")
    return names.require("nonce", value, "output")


def _row(found: object, readers: list[Callable[[Any], Value]], n: int) -> Row:
    if not isinstance(found, list) or len(found) != len(readers):
        raise OutputRefused("a row has another number of values than there are columns", f"row {n}")
    try:
        return tuple(
            None if v is None and r not in _NEVER_NULL else r(v) for v, r in zip(found, readers, strict=True)
        )
    except (ValueError, TypeError):
        raise OutputRefused("a value does not have the form of its column's type", f"row {n}") from None


# --- one value -----------------------------------------------------


def reader(kind: str) -> Callable[[Any], Value]:
    """Return the function that reads values of a DuckDB type; it raises `ValueError` for any other value.

    Raises:
        OutputRefused: no output may have this type.
    """
    if WHOLE.fullmatch(kind):
        return _whole
    if kind in _READERS:
        return _READERS[kind]
    if NUMBER.fullmatch(kind):
        return _decimal
    raise OutputRefused("an output has a type that cannot leave", "output")


def _whole(value: Any) -> Value:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    number = int(_matching(value, _WHOLE_TEXT))
    return number if abs(number) <= canonical.LARGEST_NUMBER else str(number)


def _persons(value: Any) -> Value:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("persons")
    return value


def _share(value: Any) -> Value:
    found = _double(value)
    if not isinstance(found, str) or found == "nan" or float(found) < 0:
        raise ValueError("share")
    return found


_NEVER_NULL = (_persons, _share)


def _decimal(value: Any) -> Value:
    return plain(Decimal(_matching(value, _PLAIN_TEXT)))


def _double(value: Any) -> Value:
    """Return the shortest text that reads back as the same double, without a signed zero."""
    if value in _UNBOUNDED:
        return "nan"
    number = float(_matching(value, _DOUBLE_TEXT)) + 0.0
    return repr(number) if math.isfinite(number) else "nan"


def _truth(value: Any) -> Value:
    if not isinstance(value, bool):
        raise ValueError("truth")
    return value


def _date(value: Any) -> Value:
    return _moment(value, _DATE_TEXT, lambda text: date.fromisoformat(text).isoformat())


def _timestamp(value: Any) -> Value:
    return _moment(value, _TIMESTAMP_TEXT, lambda text: datetime.fromisoformat(text).isoformat(" "))


def _moment(value: Any, form: re.Pattern[str], canonical_text: Callable[[str], str]) -> Value:
    if isinstance(value, str) and form.fullmatch(value) and not value.startswith("0000"):
        return canonical_text(value)
    _matching(value, _FAR_TEXT)
    return None


def _text(value: Any) -> Value:
    if not isinstance(value, str):
        raise ValueError("text")
    return _UNSEEN.sub("\ufffd", value[:LONGEST_TEXT])


def _matching(value: Any, form: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not form.fullmatch(value):
        raise ValueError("form")
    return value


_READERS: dict[str, Callable[[Any], Value]] = {
    "BOOLEAN": _truth,
    "DATE": _date,
    "DOUBLE": _double,
    "FLOAT": _double,
    "TIMESTAMP": _timestamp,
    "VARCHAR": _text,
}

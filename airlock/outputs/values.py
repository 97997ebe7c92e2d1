"""Typed outputs as values: what the first box writes, and what the second reads, believing nothing.

    artifacts.bin   canonical JSON {"artifacts": [{"name", "form", "content"}, …], "evidence": {name: {…}},
                    "refused": [{"rule", "subject"}, …], "salt": hex}

Where anything was refused there are no artifacts. The content of a table is {"columns": [{"name", "type",
"values"}, …]}, of metrics {name: text of a number}, of a report its text, of a model in JSON the same with numbers
as text, of everything else base64. Values of a table are texts by type, null where there is none:

    BIGINT      decimal digits of at most 64 bits       DOUBLE     as Python writes a finite double
    BOOLEAN     true, false                             DATE       YYYY-MM-DD
    TIMESTAMP   YYYY-MM-DD HH:MM:SS                     VARCHAR    printable text of at most 200 characters
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airlock.outputs.rules import OutputRule
from plans import canonical, names
from plans.artifacts import Artifact, Form
from plans.errors import DarkroomError, Malformed, OutputRefused

MOST_CELLS, MOST_COLUMNS, LONGEST_TEXT, LONGEST_NAME = 1_000_000, 500, 200, 64
LARGEST_SET = 64 * 2**20
"""Bytes of all outputs together between the two boxes."""

_NAME = re.compile(r"[^\W_][\w .,%()/<>=+:\[\]~≤≥-]{0,63}|_[\w]{1,63}")
UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ufffe\uffff]|[\U000e0000-\U000e0fff]"
)
"""Characters that terminals act on, that reorder or hide what a person reads, or carry what nobody sees."""

_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")
_DOUBLE = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,20})?(?:e[+-]?[0-9]{1,3})?")
_DATE = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])")
_MOMENT = re.compile(_DATE.pattern + r" (?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]")
_FORMULA = ("=", "+", "-", "@")


@dataclass(frozen=True, slots=True)
class GridColumn:
    """A column of a table: its name, its type, its values in their one spelling."""

    name: str
    type: str
    values: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of values, column by column; all have the same length."""

    columns: tuple[GridColumn, ...]

    @property
    def height(self) -> int:
        """How many rows there are."""
        return len(self.columns[0].values) if self.columns else 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a component says about its table: the keys, the persons of each row, and for figures the two largest
    contributions of single persons to the absolute total of the cell (decimals as text).

    `margins` says that cells stay back so that margins do not give small ones back; of each row `parts` has a number,
    and only rows of the same one add up to margins.
    """

    keys: tuple[str, ...]
    persons: tuple[int, ...]
    figures: Mapping[str, Mapping[str, Any]]
    margins: bool = False
    parts: tuple[int, ...] = ()


Content = Grid | Mapping[str, Any] | str | bytes


@dataclass(frozen=True, slots=True)
class Value:
    """One output as it was read. `content` is a grid for a table, a mapping for metrics and models in JSON, text for a
    report, bytes for a figure and for other models.
    """

    name: str
    form: Form
    content: Content


@dataclass(frozen=True, slots=True)
class Handed:
    """What one box hands to the next: outputs, or the rules by which there are none."""

    values: tuple[Value, ...] = ()
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    refused: tuple[tuple[OutputRule, str], ...] = ()
    salt: str = ""


class Unfit(Exception):
    """An output cannot be read; the rule says why. It never carries a value."""

    def __init__(self, rule: OutputRule) -> None:
        super().__init__(rule.value)
        self.rule = rule


def require_name(name: object, where: OutputRule = OutputRule.COLUMN_NAMES) -> str:
    """Return the name of a column or a metric; raises `Unfit` for one that could carry more than a name."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or UNSEEN.search(name) or name != name.strip():
        raise Unfit(where)
    return name


def neutral(text: str) -> str:
    """Return a text that no spreadsheet runs: a formula gets an apostrophe in front, what is not seen is replaced."""
    cleaned = UNSEEN.sub("\ufffd", text) if UNSEEN.search(text) else text
    return f"'{cleaned}" if cleaned.startswith(_FORMULA) else cleaned


def whole(number: int) -> str:
    """Return the one spelling of a whole number; raises `ValueError` beyond 64 bits."""
    if not -(2**63) <= number < 2**63:
        raise ValueError("whole")
    return str(number)


def double(number: float) -> str | None:
    """Return the one spelling of a double, none where it is not finite."""
    return repr(number + 0.0) if math.isfinite(number) else None


def is_integral(text: str) -> bool:
    """Return whether a number's text has no fraction (pandas writes counts so where some are missing)."""
    return math.isfinite(number := float(text)) and number == int(number)


# --- between the boxes --------------------------------------------------------------------------------------


def write(handed: Handed) -> bytes:
    """Return the bytes of what is handed over."""
    return canonical.encode(
        {
            "artifacts": [
                {"name": each.name, "form": each.form.value, "content": _plain(each.content)}
                for each in handed.values
            ],
            "evidence": {
                name: {
                    "keys": list(each.keys),
                    "persons": list(each.persons),
                    "figures": dict(each.figures),
                    "margins": each.margins,
                    "parts": list(each.parts or [0] * len(each.persons)),
                }
                for name, each in handed.evidence.items()
            },
            "refused": [{"rule": rule.value, "subject": subject} for rule, subject in handed.refused],
            "salt": handed.salt,
        }
    )


def read(data: bytes, declared: tuple[Artifact, ...]) -> Handed:
    """Return what the first box wrote, if it is of the declared outputs and every value has its one spelling.

    Raises:
        OutputRefused: it is not; the error holds no value.
    """
    if len(data) > LARGEST_SET:
        raise OutputRefused("the outputs are larger than they may be", "outputs")
    try:
        found = canonical.decode(data)
        if not isinstance(found, dict) or set(found) != {"artifacts", "evidence", "refused", "salt"}:
            raise Malformed("these are no outputs", "outputs")
        salt = names.require("nonce", found["salt"], "outputs")
        refused = tuple((OutputRule(each["rule"]), str(each["subject"])) for each in found["refused"])
        if refused:
            return Handed(refused=refused, salt=salt)
        return Handed(_values(found["artifacts"], declared), _evidence(found["evidence"]), (), salt)
    except (DarkroomError, Unfit, ValueError, TypeError, KeyError, AttributeError):
        raise OutputRefused("the outputs are not in the form of the box that reads them", "outputs") from None


def _plain(content: Content) -> Any:
    if isinstance(content, Grid):
        return {
            "columns": [{"name": c.name, "type": c.type, "values": list(c.values)} for c in content.columns],
        }
    return base64.b64encode(content).decode() if isinstance(content, bytes) else content


def _values(found: Any, declared: tuple[Artifact, ...]) -> tuple[Value, ...]:
    if [(each["name"], each["form"]) for each in found] != [
        (each.name, each.form.value) for each in declared
    ]:
        raise Malformed("these are not the declared outputs", "outputs")
    return tuple(
        Value(each.name, each.form, _content(entry["content"], each))
        for entry, each in zip(found, declared, strict=True)
    )


def _content(found: Any, artifact: Artifact) -> Content:
    if artifact.form is Form.TABLE:
        return _grid(found["columns"])
    if artifact.form is Form.REPORT:
        return _text_of(found)
    if artifact.form is Form.METRICS or artifact.name.endswith(".json"):
        if not isinstance(found, dict):
            raise ValueError("object")
        return found
    return decoded(found)


def decoded(text: Any) -> bytes:
    """Return the bytes of base64; raises `ValueError` for another spelling."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError):
        raise ValueError("base64") from None


def _text_of(found: Any) -> str:
    if not isinstance(found, str):
        raise ValueError("text")
    return found


def _grid(found: Any) -> Grid:
    columns = tuple(_column(each) for each in found)
    if not 1 <= len(columns) <= MOST_COLUMNS or len({len(column.values) for column in columns}) != 1:
        raise ValueError("columns")
    if len({column.name for column in columns}) != len(columns):
        raise ValueError("names")
    return Grid(columns)


def _column(found: Any) -> GridColumn:
    form = _FORMS[found["type"]]
    values = tuple(found["values"])
    if len(values) > MOST_CELLS or not all(value is None or form(value) for value in values):
        raise ValueError("values")
    return GridColumn(require_name(found["name"]), found["type"], values)


def _is_whole(value: Any) -> bool:
    return bool(_WHOLE.fullmatch(value)) and value != "-0" and whole(int(value)) == value


def _is_double(value: Any) -> bool:
    return bool(_DOUBLE.fullmatch(value)) and double(float(value)) == value


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_TEXT + 1 and neutral(value) == value


_FORMS: dict[str, Callable[[Any], bool]] = {
    "BIGINT": _is_whole,
    "DOUBLE": _is_double,
    "BOOLEAN": lambda value: value in ("true", "false"),
    "DATE": lambda value: bool(_DATE.fullmatch(value)),
    "TIMESTAMP": lambda value: bool(_MOMENT.fullmatch(value)),
    "VARCHAR": _is_text,
}


_SAID = {"keys", "persons", "figures", "margins", "parts"}


def _evidence(found: Any) -> dict[str, Evidence]:
    return {name: read_evidence(each) for name, each in found.items()}


def read_evidence(found: Any) -> Evidence:
    """Return what a component says about a table; raises `ValueError`, `TypeError` or `KeyError` for another form."""
    if not {"keys", "persons", "figures"} <= set(found) <= _SAID:
        raise ValueError("evidence")
    persons = tuple(found["persons"])
    if not all(type(count) is int and count >= 0 for count in persons):
        raise ValueError("persons")
    for figure in found["figures"].values():
        if figure["kind"] not in ("count", "total", "mean", "other"):
            raise ValueError("kind")
        for part in ("totals", "first", "second"):
            listed = figure.get(part, [])
            if listed and len(listed) != len(persons):
                raise ValueError("contributions")
            if not all(value is None or math.isfinite(float(value)) for value in listed):
                raise ValueError("contributions")
    margins, parts = found.get("margins", False), tuple(found.get("parts", [0] * len(persons)))
    if (
        type(margins) is not bool
        or len(parts) != len(persons)
        or not all(type(part) is int for part in parts)
    ):
        raise ValueError("margins")
    return Evidence(tuple(str(key) for key in found["keys"]), persons, found["figures"], margins, parts)

"""A result: opened from its release after everything about it was checked, and shown without doing anything.

What is checked before a byte is believed: the release is signed by the keeper that this member trusts for the
owner's domain; it is about this very plan, and the plan holds the member's own signed request; the sealed
bytes have the hash that the release names; they open with the member's key for this plan; and what is inside
has the digest that the judge vouched for.
"""

from __future__ import annotations

import hashlib
import html
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from darkroom.files import Files, require_declared
from keys import api as keys
from plans.artifacts import ReleasedSet
from plans.errors import HashMismatch, SignatureWrong
from plans.plan import Plan, PlanKind
from plans.release import RELEASE_INFO, Release
from plans.released import Cell, Released
from plans.statements import Duty, Signed, Type

if TYPE_CHECKING:
    import pandas
    import pyarrow

SUPPRESSED = "‹suppressed›"
SHOWN_ROWS = 20
_WHOLE = {
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "HUGEINT",
    "UHUGEINT",
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the portal hands over for a job: its plan, the signed release, and the sealed bytes."""

    plan: Plan
    release: Signed
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Result:
    """A released table. `rows` holds None where the data have no value *and* where a figure was suppressed;
    see `suppressed`.
    """

    released: Released
    plan: Plan = field(repr=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(column.name for column in self.released.columns)

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """The rows as Python values: int for whole numbers, text otherwise (exact decimals included)."""
        types = [column.type for column in self.released.columns]
        return [
            tuple(_value(cell, kind) for cell, kind in zip(row, types, strict=True))
            for row in self.released.rows
        ]

    @property
    def suppressed(self) -> list[tuple[bool, ...]]:
        """For every cell whether the airlock withheld it."""
        return [tuple(cell.suppressed for cell in row) for row in self.released.rows]

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done to the table before it left, one sentence each."""
        return tuple(note.sentence for note in self.released.notes)

    def to_arrow(self) -> pyarrow.Table:
        """Return an Arrow table; for each column with suppressed cells a column `<name>_suppressed` says
        which.
        """
        import pyarrow

        names, arrays = [], []
        for position, column in enumerate(self.released.columns):
            cells = [row[position] for row in self.released.rows]
            names.append(column.name)
            arrays.append(_arrow(pyarrow, cells, column.type))
            if any(cell.suppressed for cell in cells):
                names.append(f"{column.name}_suppressed")
                arrays.append(pyarrow.array([cell.suppressed for cell in cells], pyarrow.bool_()))
        return pyarrow.Table.from_arrays(arrays, names=names)

    def to_pandas(self) -> pandas.DataFrame:
        """Return a pandas table with the same columns as `to_arrow`; needs pandas, which Darkroom does not
        install.
        """
        return self.to_arrow().to_pandas()

    def texts(self) -> list[list[str]]:
        """Return every cell as text for a person; suppressed ones are marked, missing ones empty."""
        return [
            [SUPPRESSED if cell.suppressed else (cell.v or "") for cell in row] for row in self.released.rows
        ]

    def __repr__(self) -> str:
        hidden = sum(map(sum, self.suppressed))
        size = f"{len(self.released.rows)} rows × {len(self.columns)} columns, {hidden} cells suppressed"
        return f"Result({', '.join(self.columns)}; {size}; plan {self.released.plan})"

    def _repr_html_(self) -> str:
        """A notebook's display: the first rows, escaped; nothing is fetched or run."""
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in row) + "</tr>"
            for row in self.texts()[:SHOWN_ROWS]
        )
        rest = len(self.released.rows) - SHOWN_ROWS
        more = f"<p>… {rest} more rows</p>" if rest > 0 else ""
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}<ul>{notes}</ul>"


def open_release(evidence: Evidence, member_keys: keys.MemberKeys, keeper_key: str) -> Result | Files:
    """Return the result inside a release, after checking all of the chain that the module's docstring lists: the
    table of a statement, or the files of a task.

    Raises:
        SignatureWrong: the release is not signed by the trusted keeper, or the plan's request not by this
            member.
        HashMismatch: the release, the sealed bytes or the content belong to something else.
        EvidenceBroken: the bytes were not sealed to this member for this plan.
    """
    release = _release(evidence, keeper_key)
    _require_own_plan(evidence.plan, member_keys)
    if release.plan != evidence.plan.digest or release.recipient != member_keys.opening.public:
        raise HashMismatch("the release is about another plan or for another recipient", "release")
    if "sha256:" + hashlib.sha256(evidence.sealed).hexdigest() != release.sealed:
        raise HashMismatch("the sealed bytes are not the ones that the release names", "release.sealed")
    plain = member_keys.opening.open(evidence.sealed, RELEASE_INFO, release.plan.encode())
    kind = Released if evidence.plan.kind is PlanKind.SQL else ReleasedSet
    released: Released | ReleasedSet = kind.decode(plain)
    if released.plan != release.plan or released.digest != release.content:
        raise HashMismatch("the content is not the one that was judged", "release.content")
    if isinstance(released, Released):
        return Result(released, evidence.plan)
    require_declared(released, evidence.plan)
    return Files(released, evidence.plan)


def _release(evidence: Evidence, keeper_key: str) -> Release:
    statement = keys.verify(evidence.release)
    expected = (Type.RELEASE, Duty.KEEPER, evidence.plan.domain, keeper_key)
    if (statement.type, statement.duty, statement.domain, statement.signer) != expected:
        raise SignatureWrong(
            "the release was not signed by the keeper that you trust for this owner", evidence.plan.domain
        )
    return Release.read(dict(statement.body))


def _require_own_plan(plan: Plan, member_keys: keys.MemberKeys) -> None:
    request = plan.request
    if request is None or request.signer != member_keys.signing.public:
        raise SignatureWrong("this plan does not hold a request of yours", "plan.request")
    keys.verify_request(request.signer, request.canonical(), plan.request_signature)


def _value(cell: Cell, kind: str) -> Any:
    if cell.v is None:
        return None
    if kind in _WHOLE:
        return _whole(cell.v)
    return {"true": True, "false": False}[cell.v] if kind == "BOOLEAN" else cell.v


def _whole(text: str) -> Any:
    """Return a whole number; a figure that rounding has given decimals stays exact text."""
    try:
        return int(text)
    except ValueError:
        return text


def _arrow(pyarrow: Any, cells: list[Cell], kind: str) -> Any:
    values = [_value(cell, kind) for cell in cells]
    if kind in _WHOLE and all(_fits_int64(value) for value in values):
        return pyarrow.array(values, pyarrow.int64())
    if kind in ("DOUBLE", "FLOAT") or kind.startswith("DECIMAL"):
        return pyarrow.array([None if value is None else float(value) for value in values], pyarrow.float64())
    if kind == "BOOLEAN":
        return pyarrow.array(values, pyarrow.bool_())
    return pyarrow.array([None if cell.v is None else cell.v for cell in cells], pyarrow.string())


def _fits_int64(value: Any) -> bool:
    return value is None or (isinstance(value, int) and -(2**63) <= value < 2**63)

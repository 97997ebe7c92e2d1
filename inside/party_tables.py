"""Tables of persons, as they leave a finder's box: who is in common, their scores, or what a register has of them.

Whatever a finder learns is of its own rows alone, in their own order, so identifiers are its own. Rows are put in the
order of their identifiers: a file's order can be that of a hidden column. Nothing is suppressed here; who is told of
how many persons, owners' terms decide (`plans.joint_rules.JointRules.members`).
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from mpc.protocols.computation import Found, Records, Scores
from mpc.protocols.identifiers import unpack
from mpc.protocols.joint_rows import OwnRows
from plans.errors import Malformed
from plans.joint import JointPlan
from plans.released import Cell, Note, Released, ReleasedColumn

COMMON, SCORED, LOOKED_UP = "common", "scores", "records"
"""The rule classes of the notes in these tables."""

WIDEST = 38
"""Digits of a DECIMAL at the most."""

_COMPARED = (
    "identifiers as they are compared: without blanks at both ends, in capitals. Nothing was suppressed."
)


def table_of(joint: JointPlan, learned: Found | Scores | Records, rows: OwnRows | None) -> Released:
    """Return the table of what a finder learned of its own rows.

    Raises:
        Malformed: what it learned is not about these rows, or not what the statement asks for.
    """
    if rows is None:
        raise Malformed("what was learned is not about the finder's own rows", joint.task.finder)
    if isinstance(learned, Found):
        return in_common(joint, learned, rows)
    if isinstance(learned, Scores):
        return scored(joint, learned, rows)
    return looked_up(joint, learned, rows)


def in_common(joint: JointPlan, found: Found, rows: OwnRows) -> Released:
    """Return the table of persons whom all owners have: one column of identifiers, as matching compares them."""
    _require_about(joint, len(found.everywhere), rows)
    texts = unpack(rows.keys[found.everywhere])
    note = Note(COMMON, f"These are rows of {joint.task.finder} that all owners have, with their {_COMPARED}")
    (name,) = joint.reading.outputs
    return _released(joint, (ReleasedColumn(name, "VARCHAR"),), [(text,) for text in texts], note)


def scored(joint: JointPlan, scores: Scores, rows: OwnRows) -> Released:
    """Return the table of all own rows with their scores."""
    _require_about(joint, len(scores.numbers), rows)
    model = joint.reading.portions[1].relation
    sentence = (
        f"These are scores of rows of {joint.task.finder} by the model {model}, computed from ciphertexts and rounded "
        f"to {scores.decimals} decimals, with their {_COMPARED}"
    )
    person, name = joint.reading.outputs
    columns = (
        ReleasedColumn(person, "VARCHAR"),
        ReleasedColumn(name, f"DECIMAL({WIDEST},{scores.decimals})"),
    )
    found = list(zip(unpack(rows.keys), scores.texts, strict=True))
    return _released(joint, columns, found, Note(SCORED, sentence))


def looked_up(joint: JointPlan, records: Records, rows: OwnRows) -> Released:
    """Return the table of all own rows with what the register has of each; of a person who is not there, no values."""
    _require_about(joint, len(records.records), rows)
    register = joint.reading.portions[1]
    sentence = (
        f"This is what {register.relation} has of persons of {joint.task.finder}, whose owner does not know who they "
        "are. Where a row has no values, the person is not there, or nothing is known. Rows have their "
        f"{_COMPARED}"
    )
    fields = register.fields
    columns = (
        ReleasedColumn(joint.reading.outputs[0], "VARCHAR"),
        *(ReleasedColumn(field.name, field.type) for field in fields),
    )
    absent = (None,) * len(fields)
    found = [
        (text, *(record or absent)) for text, record in zip(unpack(rows.keys), records.records, strict=True)
    ]
    return _released(joint, columns, found, Note(LOOKED_UP, sentence))


def _require_about(joint: JointPlan, count: int, rows: OwnRows) -> None:
    if count != len(rows.keys):
        raise Malformed("what was learned is not about the finder's own rows", joint.task.finder)


def _released(
    joint: JointPlan,
    columns: tuple[ReleasedColumn, ...],
    rows: Sequence[tuple[str | None, ...]],
    note: Note,
) -> Released:
    if tuple(column.name for column in columns) != joint.reading.outputs:
        raise Malformed("a table has the columns of its statement", "joint-reading.outputs")
    ordered = sorted(rows, key=lambda row: str(row[0]))
    return Released(
        plan=joint.digest,
        columns=columns,
        rows=tuple(tuple(Cell(text, False) for text in row) for row in ordered),
        notes=(note,),
        salt=secrets.token_hex(16),
    )

"""What leaves a party's box: one file, sealed to the recipient, of a size that follows from the plan.

A server's shares are sealed as they are. An inspector's sums are judged first (`airlock.joint`), and of what a finder
learned its own identifiers are written, so from these two a table leaves (`plans.released`). It is padded as if every
figure were as long as can be, or every row had been found: those who carry or count the bytes learn nothing of it.
"""

from __future__ import annotations

import secrets

from airlock.joint import judge_joint
from keys import sealing
from mpc.protocols.computation import Found, Handed, Totals
from mpc.protocols.identifiers import unpack
from mpc.protocols.joint_rows import OwnRows
from plans.errors import Malformed
from plans.handover import padded, padded_size
from plans.joint import JointPlan, JointReading, Opened
from plans.joint_answer import JUDGED_INFO, OPENED_INFO, judged_bound, opened_bound
from plans.released import Cell, Note, Released, ReleasedColumn

LONGEST_FIGURE, LONGEST_KEY = 128, 32
"""Bytes of a figure at the most (a number of 128 bits in plain notation, with its decimals), and of an identifier that
can be matched, as JSON has it: only one of control characters is longer, and then shows in the size of a file."""

_AROUND = 4_096
"""Bytes around the rows of a table: its names, of columns too, and notes have room beside."""

COMMON = "common"
"""The rule class of the note in a table of persons in common."""


def sealed(joint: JointPlan, attempt: int, handed: Handed, rows: OwnRows | None = None) -> bytes:
    """Return what leaves of what a domain has to hand over, as only the recipient of the request can read it.

    Args:
        joint: the plan.
        attempt: its number.
        handed: from `take_part`.
        rows: a finder's own, of which it was found who is everywhere.

    Raises:
        Malformed, OutputRefused, PolicyDenied: an inspector's sums are not those of the plan, or may not leave.
    """
    recipient = joint.request.recipient
    if isinstance(handed, Opened):
        bound = opened_bound(joint.digest, attempt, handed.server)
        return sealing.seal(recipient, padded(handed.canonical()), OPENED_INFO, bound)
    if isinstance(handed, Totals):
        opener, table = joint.task.inspector, judge_joint(joint, handed.sums, secrets.token_hex(16))
    else:
        opener, table = joint.task.finder, in_common(joint, handed, rows)
    content = _filled(table.canonical(), _room(joint, table))
    return sealing.seal(recipient, content, JUDGED_INFO, judged_bound(joint.digest, attempt, opener))


def in_common(joint: JointPlan, found: Found, rows: OwnRows | None) -> Released:
    """Return the table of persons whom all owners have: one column of identifiers, sorted, as matching compares them.

    Raises:
        Malformed: what was found is not about these rows.
    """
    if rows is None or len(found.everywhere) != len(rows.keys):
        raise Malformed("what was found is not about the finder's own rows", joint.task.finder)
    (name,) = joint.reading.outputs
    texts = sorted(unpack(rows.keys[found.everywhere]))
    sentence = (
        f"These are rows of {joint.task.finder} that all owners have, with their identifiers as they are compared:"
        " without blanks at both ends, in capitals. Nothing was suppressed."
    )
    return Released(
        plan=joint.digest,
        columns=(ReleasedColumn(name, "VARCHAR"),),
        rows=tuple((Cell(text, False),) for text in texts),
        notes=(Note(COMMON, sentence),),
        salt=secrets.token_hex(16),
    )


def _room(joint: JointPlan, table: Released) -> int:
    """Return how many bytes the longest table of a plan has; what is looked at is the same whatever was found."""
    notes = sum(len(note.canonical()) for note in table.notes)
    names = sum(len(column.canonical()) for column in table.columns)
    return _AROUND + notes + names + _room_of_rows(joint.reading, joint.scheme.matched)


def _room_of_rows(reading: JointReading, matched: int) -> int:
    shortest = len(Cell("", False).canonical()) + len(",")
    if not reading.figures:
        return matched * (shortest + LONGEST_KEY + len("[]"))
    codes = [max(len(Cell(code, False).canonical()) for code in group.codes) for group in reading.groups]
    return reading.cells * (sum(codes) + len(reading.outputs) * (shortest + LONGEST_FIGURE) + len("[]"))


def _filled(content: bytes, room: int) -> bytes:
    """Return the content padded (`plans.handover`), to the size that so many bytes would have at the least."""
    whole = padded(content)
    return whole + bytes(max(0, padded_size(room) - len(whole)))

"""What leaves a party's box: one file, sealed to the recipient, of a size that follows from the plan.

A server's shares are sealed as they are. An inspector's sums are judged first (`airlock.joint`), and of what a finder
learned a table of its own persons is made (`inside.party_tables`), so from these two a table leaves (`plans.released`).
It is padded as if every figure and every text were as long as can be, and there were as many rows as can be: those who
carry or count the bytes learn nothing of it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from airlock.joint import judge_joint
from inside.party_tables import table_of
from keys import sealing
from mpc.protocols.computation import Handed, Totals
from mpc.protocols.joint_rows import OwnRows
from plans.handover import padded, padded_size
from plans.joint import JointPlan, JointReading, Opened, Shape
from plans.joint_answer import JUDGED_INFO, OPENED_INFO, judged_bound, opened_bound
from plans.joint_persons import commitments
from plans.released import Cell, Released

LONGEST_FIGURE, LONGEST_KEY, LONGEST_SCORE = 128, 32, 32
"""Bytes of a figure at the most (a number of 128 bits in plain notation, with its decimals), of an identifier that
can be matched, as JSON has it (only one of control characters is longer, and then shows in the size of a file), and of
a score (50 bits and six decimals)."""

ESCAPED = 6
"""Bytes of a byte of text in JSON at the most."""

_AROUND = 4_096
"""Bytes around the rows of a table: its names, of columns too, and notes have room beside."""


@dataclass(frozen=True, slots=True)
class Left:
    """What a box leaves: the file, and salted commitments to the persons who were looked up, if any were."""

    sealed: bytes
    commitments: tuple[str, ...] = ()


def sealed(joint: JointPlan, attempt: int, handed: Handed, rows: OwnRows | None = None) -> Left:
    """Return what leaves of what a domain has to hand over, as only the recipient of the request can read it.

    Args:
        joint: the plan.
        attempt: its number.
        handed: from `take_part`.
        rows: a finder's own, of which it learned something.

    Raises:
        Malformed, OutputRefused, PolicyDenied: an inspector's sums are not those of the plan, or may not leave.
    """
    recipient = joint.request.recipient
    if isinstance(handed, Opened):
        bound = opened_bound(joint.digest, attempt, handed.server)
        return Left(sealing.seal(recipient, padded(handed.canonical()), OPENED_INFO, bound))
    if isinstance(handed, Totals):
        opener, table = joint.task.inspector, judge_joint(joint, handed.sums, secrets.token_hex(16))
    else:
        opener, table = joint.task.finder, table_of(joint, handed, rows)
    content = _filled(table.canonical(), _room(joint, table))
    file = sealing.seal(recipient, content, JUDGED_INFO, judged_bound(joint.digest, attempt, opener))
    if joint.reading.shape is not Shape.LOOKUP:
        return Left(file)
    return Left(file, tuple(commitments(table, joint.reading.portions[0].bound)))


def _room(joint: JointPlan, table: Released) -> int:
    """Return how many bytes the longest table of a plan has; what is looked at is the same whatever was found."""
    notes = sum(len(note.canonical()) for note in table.notes)
    names = sum(len(column.canonical()) for column in table.columns)
    return _AROUND + notes + names + _room_of_rows(joint.reading, joint.scheme.matched)


def _room_of_rows(reading: JointReading, matched: int) -> int:
    shortest = len(Cell("", False).canonical()) + len(",")
    if not reading.figures:
        told = LONGEST_SCORE if reading.score else 0
        told += sum(ESCAPED * field.width for portion in reading.portions for field in portion.fields)
        return matched * (len(reading.outputs) * shortest + LONGEST_KEY + told + len("[]"))
    codes = [max(len(Cell(code, False).canonical()) for code in group.codes) for group in reading.groups]
    return reading.cells * (sum(codes) + len(reading.outputs) * (shortest + LONGEST_FIGURE) + len("[]"))


def _filled(content: bytes, room: int) -> bytes:
    """Return the content padded (`plans.handover`), to the size that so many bytes would have at the least."""
    whole = padded(content)
    return whole + bytes(max(0, padded_size(room) - len(whole)))

"""Records of another's register for a few persons of one owner, who does not say which: hidden lookup in a joint plan.

The register's box makes a version of its table for this attempt alone, so that nothing of one attempt belongs to
another, and answers exactly as many questions as the plan says; the finder's box asks so many, however few persons it
has (`mpc.lookup.dialogue`). Sizes and numbers of all messages follow from the plan.

- *The register's owner* sees that so many questions were asked, and of them nothing but uniform points and questions.
- *The finder* sees the record, or that there is none, of each person that it asks for, and of the rest of the register
  its public bound.

Persons are asked by their packed identifiers (`identifiers`), 16 bytes; what fills up are drawn keys of 32.
"""

from __future__ import annotations

from keys.randomness import MaskStream
from mpc.lookup import dialogue
from mpc.lookup.fields import unpack
from mpc.lookup.table import TableRecord
from mpc.protocols import planning
from mpc.protocols.channel import Channel
from mpc.protocols.joint_rows import OwnRows
from plans.errors import Malformed
from plans.joint import JointPlan

Texts = tuple[str | None, ...]


def serve(channel: Channel, joint: JointPlan, rows: OwnRows, coins: MaskStream) -> TableRecord:
    """Do the part of the register's owner; return the record of the table that it made for this attempt.

    Args:
        channel: a link with the finder.
        joint: the plan.
        rows: the register's, each with its record.
        coins: this owner's own fresh randomness.

    Raises:
        Malformed, KeyRepeated, TooLarge: the rows cannot be looked up; nothing was sent then.
        LinkBroken, PeerLost: see `Channel`; or what came is no question.
    """
    width, register = planning.record_width(joint.reading), joint.reading.portions[1]
    if rows.records.shape != (len(rows.keys), width):
        raise Malformed("the rows of a register have records of the width of its fields", register.relation)
    keys, records = ([bytes(row) for row in table] for table in (rows.keys, rows.records))
    plan = planning.lookups(joint.reading)
    return dialogue.serve(channel, joint.task.finder, (keys, records), plan, questions(joint), coins)


def seek(
    channel: Channel, joint: JointPlan, rows: OwnRows, coins: MaskStream
) -> tuple[tuple[Texts | None, ...], TableRecord]:
    """Do the finder's part; return what the register has of each of its rows, in their order, and of which table.

    Raises:
        TooLarge: there are more rows than the plan's public number.
        LinkBroken, PeerLost: see `Channel`.
        EvidenceBroken: the register's owner did not do what its table's record says.
    """
    register, plan = joint.reading.portions[1], planning.lookups(joint.reading)
    keys = [bytes(key) for key in rows.keys]
    found = dialogue.seek(channel, register.domain, keys, plan, questions(joint), coins)
    widths = [field.width for field in register.fields]
    told = [None if record is None else tuple(unpack(record, widths)) for record in found.records]
    return tuple(told), found.table


def questions(joint: JointPlan) -> int:
    """Return how many persons are asked for, those included who are nobody: the finder's public number of rows."""
    return joint.reading.portions[0].bound

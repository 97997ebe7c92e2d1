"""What the boxes of a joint plan report beside what they leave, in records that launchers sign; of it nothing is about
anybody.

| who | reports |
|---|---|
| every party | how many bytes it sent |
| whose box has a key of ciphertexts | how often the key decrypted |
| both sides of lookups | the digest of the record of the table that was asked, hint and root included |
| who looks persons up | a salted commitment to each (`plans.joint_persons`) |

A good end needs all that its form has and no more: a side that says nothing, or more than was agreed, has none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from plans.box import Entry
from plans.errors import HashMismatch
from plans.joint import JointPlan, Shape
from plans.statements import StageRecord

LOOKED_UP, TABLE, DECRYPTIONS = "looked_up", "table", "decryptions"
"""What a report has these things under."""

_COMMITMENT = re.compile("[0-9a-f]{64}")
_DIGEST = re.compile("sha256:[0-9a-f]{64}")


def key_owner(joint: JointPlan) -> str:
    """Return the domain whose box makes the key of a plan's ciphertexts; empty where there are none."""
    if joint.task.collector:
        return joint.task.inspector
    return joint.task.finder if joint.reading.shape is Shape.SCORED else ""


def decryptions_of(joint: JointPlan) -> int:
    """Return how often the key of a plan's ciphertexts decrypts: once, whatever was asked."""
    return 1 if key_owner(joint) else 0


def commitments_of(records: Sequence[StageRecord]) -> tuple[str, ...]:
    """Return the salted commitments to persons who were looked up, as the box that did reported them."""
    found = _party_report(records).get(LOOKED_UP)
    return tuple(map(str, found)) if isinstance(found, list | tuple) else ()


def table_of(records: Sequence[StageRecord]) -> str:
    """Return the digest of the table that was asked, as a box of lookups reported it; empty for none."""
    return str(_party_report(records).get(TABLE, ""))


def require_reports(records: Sequence[StageRecord], joint: JointPlan, domain: str) -> None:
    """Check that the boxes of a party reported what its form has, and nothing of it that is another's to say.

    Raises:
        HashMismatch: they did not: decryptions, tables or commitments are others, or missing.
    """
    for record in records:
        for word, (due, sentence) in _DUE.items():
            said = record.report.get(word)
            wanted = due(joint, domain) if record.stage is Entry.PARTY else None
            if wanted is None:
                good = word not in record.report
            else:
                good = wanted(said)
            if not good:
                raise HashMismatch(sentence, "receipt")


def require_one_table(told: Mapping[str, Sequence[StageRecord]], joint: JointPlan) -> None:
    """Check that both sides of lookups speak of one table: who answers cannot say later that it was another.

    Args:
        told: the records of each party.
        joint: the plan; of other forms there is nothing to compare.

    Raises:
        HashMismatch: they speak of different ones, or of none.
    """
    if joint.reading.shape is not Shape.LOOKUP:
        return
    found = {table_of(records) for records in told.values()}
    if len(told) != len(joint.parties) or len(found) != 1 or "" in found:
        raise HashMismatch(
            "who asked and who answered were at different tables", "joint.table",
            "Ask both parties' keepers; believe nothing of this answer until they agree.",
        )  # fmt: skip


Said = Callable[[Any], bool]


def _decrypted(joint: JointPlan, domain: str) -> Said | None:
    if domain != key_owner(joint):
        return None
    return lambda said: type(said) is int and said == decryptions_of(joint)


def _asked(joint: JointPlan, domain: str) -> Said | None:
    if joint.reading.shape is not Shape.LOOKUP:
        return None
    return lambda said: isinstance(said, str) and _DIGEST.fullmatch(said) is not None


def _committed(joint: JointPlan, domain: str) -> Said | None:
    """A finder is held to each person whom it looked up, for whoever is shown them later."""
    if joint.reading.shape is not Shape.LOOKUP or domain != joint.task.finder:
        return None
    count = joint.reading.portions[0].bound

    def committed(said: Any) -> bool:
        each = list(map(str, said)) if isinstance(said, list | tuple) else []
        return len(each) == len(set(each)) == count and all(map(_COMMITMENT.fullmatch, each))

    return committed


_DUE: Mapping[str, tuple[Callable[[JointPlan, str], Said | None], str]] = {
    DECRYPTIONS: (_decrypted, "the key's owner, and nobody else, decrypted as often as the plan says"),
    TABLE: (_asked, "both sides of lookups, and nobody else, say which table was asked"),
    LOOKED_UP: (_committed, "as many persons are committed to as were looked up"),
}


def _party_report(records: Sequence[StageRecord]) -> Mapping[str, Any]:
    return next((record.report for record in records if record.stage is Entry.PARTY), {})

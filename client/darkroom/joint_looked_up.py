"""Whom a member looked up in another's register, as it can be shown to an auditor, and as the auditor checks it.

The launcher of the finder's box signed a salted commitment to each question (`plans.joint_persons`). The salts follow
from the table that the recipient opened, so that it alone can show one; what it shows is a person and the salt of that
row, from which no other row's salt follows. That a question was for nobody is shown alike.
"""

from __future__ import annotations

from collections.abc import Sequence

from darkroom.joint_result import JointResult
from plans.errors import EvidenceBroken, Malformed, NotFound
from plans.joint import JointPlan, Shape
from plans.joint_evidence import JointEvidence, boxes_of
from plans.joint_persons import Shown, commitment, shown
from plans.joint_reports import commitments_of

_SALT_BYTES = 32


def looked_up(result: JointResult, evidence: JointEvidence, person: str | None = None) -> tuple[Shown, ...]:
    """Return what there is to show of an opened answer: of one person, or of all questions, those for nobody too.

    Args:
        result: the opened answer.
        evidence: of the same computation.
        person: an identifier, or none for all.

    Raises:
        Malformed: nobody was looked up in this computation.
        NotFound: this person is none of them.
        EvidenceBroken: what the finder's launcher signed are commitments to others.
    """
    plan = result.plan
    signed = _signed(evidence)
    if result.judged is None or plan.digest != evidence.joint.digest:
        raise Malformed("the evidence is of another computation", plan.digest)
    found = shown(result.judged.table, plan.reading.portions[0].bound)
    if tuple(each.commitment for each in found) != signed:
        raise EvidenceBroken(
            "the finder's side is committed to other persons than its table has", plan.task.finder
        )
    if person is None:
        return found
    wanted = as_compared(person)
    for each in found:
        if wanted and each.person == wanted:
            return (each,)
    raise NotFound(
        "this person is none of those who were looked up", "PERSON", "Without a person, all are shown."
    )


def checked(evidence: JointEvidence, told: Sequence[str]) -> tuple[Shown, ...]:
    """Return what an auditor was shown, once each is what the finder's launcher signed.

    Args:
        evidence: whose signatures are looked at elsewhere (`joint.verified`).
        told: `PERSON=SALT` each; before the sign nothing, for a question that was for nobody.

    Raises:
        Malformed: one is not of this form, or nobody was looked up in this computation.
        EvidenceBroken: somebody else was looked up, or one question is shown twice.
    """
    signed, found = _signed(evidence), []
    for text in told:
        person, _, salt = text.rpartition("=")
        try:
            raw = bytes.fromhex(salt)
        except ValueError:
            raw = b""
        if len(raw) != _SALT_BYTES:
            raise Malformed("what is shown is PERSON=SALT, the salt in hex", "--looked-up")
        who = as_compared(person)
        found.append(Shown(who, salt, commitment(who.encode(), raw)))
    commitments = [each.commitment for each in found]
    if len(set(commitments)) != len(commitments) or not set(commitments) <= set(signed):
        raise EvidenceBroken(
            "what is shown is not what the finder's side was committed to before its answer was handed over",
            "--looked-up", "Ask whoever showed it for person and salt of each question.",
        )  # fmt: skip
    return tuple(found)


def questions(plan: JointPlan) -> int:
    """Return how many questions a computation asked, those for nobody included."""
    return plan.reading.portions[0].bound


def as_compared(person: str) -> str:
    """Return an identifier as it is compared: without blanks at both ends, in capitals."""
    return person.strip().upper()


def _signed(evidence: JointEvidence) -> tuple[str, ...]:
    joint = evidence.joint
    if joint.reading.shape is not Shape.LOOKUP:
        raise Malformed("nobody was looked up in this computation", joint.digest)
    return commitments_of(boxes_of(evidence).get(joint.task.finder, []))

"""What can be computed jointly at all: a task against the statement that it is for, whatever owners' terms say. Pure.

Whoever makes a plan asks this before, so that the asker hears what would help; and every party asks it again of a plan
that is put before it (`mpc.derive.require_same`), since a plan is made by somebody else.
"""

from __future__ import annotations

from mpc.separation import one_hand
from plans.errors import PolicyDenied
from plans.joint import JointPlan, JointReading, JointTask, Shape
from plans.joint_guards import NOISED
from plans.joint_rules import Matching, Opening

MOST_LOOKUPS = 100
"""Persons who are looked up by one statement, at the most: each of them is one question."""


def require_possible(task: JointTask, reading: JointReading, member: str) -> None:
    """Check the parts that a task gives to parties against the shape of its statement, and who owns what.

    Raises:
        PolicyDenied: they do not go together; the sentence says what would help.
    """
    _require_shape(task, reading)
    owners = tuple(portion.domain for portion in reading.portions)
    joined = reading.shape is Shape.JOINED
    for what, domain in (("helper", task.helper), ("collector", "" if joined else task.collector)):
        if domain in owners:
            raise PolicyDenied(
                f"{domain} has data in this statement, and {_OUTSIDERS[what]}",
                f"joint-task.{what}",
                f"Name a {what} that owns nothing here, or ask for another way: {_INSTEAD[what]}.",
            )
    for what, domain in (("inspector", task.inspector), ("finder", task.finder)):
        if domain and domain not in owners:
            raise PolicyDenied(
                f"{domain} has no data in this statement, and only an owner may be its {what}",
                f"joint-task.{what}",
                "Name one of the owners.",
            )
    if task.finder:
        _require_persons(task, reading, member)
    elif task.collector:
        if joined:
            _require_two_owners(task, reading)
    elif task.matching is Matching.DIFFIE_HELLMAN and set(owners) >= set(task.servers):
        raise PolicyDenied(
            "without a helper, rows are matched by a server that owns none of them, and every server owns some",
            "joint-task.servers",
            "Name a server that has no data in this statement, or a helper.",
        )


_OUTSIDERS = {
    "helper": "whoever matches pseudonyms must not know their key",
    "collector": "whoever adds up ciphertexts has neither key nor data",
}
_INSTEAD = {"helper": "the matching diffie-hellman", "collector": "three servers"}

_TOLD = {
    Shape.COMMON: (Opening.INTERSECTION, "asks for persons, whom one of the owners learns of"),
    Shape.SCORED: (Opening.SCORES, "asks for scores, which the owner of the scored rows learns"),
    Shape.LOOKUP: (Opening.RECORDS, "asks for records of persons, which who looks them up learns"),
}
"""Which statements tell something of single persons: with which opening, and in words."""


def _require_shape(task: JointTask, reading: JointReading) -> None:
    """Check that rows come together as the statement needs it, and that figures are asked for where there are some."""
    stacked = reading.shape is Shape.STACKED
    if reading.shape in _TOLD:
        opening, asks = _TOLD[reading.shape]
        if task.opening is not opening:
            raise PolicyDenied(
                f"this statement {asks}, and no figure that could be opened",
                "joint-task.opening",
                f"Name the owner that is to learn it as finder, with the opening {opening}; or ask for count(*).",
            )
        return
    if task.finder:
        raise PolicyDenied(
            "a finder learns something of single persons, and this statement asks for figures",
            "joint-task.finder",
            "Leave the finder out, and name three servers; or ask for what is told person by person.",
        )
    if stacked and task.matching is not Matching.NONE:
        raise PolicyDenied(
            "holders of one table add up their own rows, and nobody is matched",
            "joint-task.matching",
            "Ask for the matching none, without a helper.",
        )
    if not stacked and task.matching is Matching.NONE:
        raise PolicyDenied(
            "this statement brings rows of one person at several owners together, so they have to be matched",
            "joint-task.matching",
            "Name a helper, or ask for the matching diffie-hellman.",
        )


def _require_persons(task: JointTask, reading: JointReading, member: str) -> None:
    """Check that what is told of persons is told to the owner that asks, and of its own persons alone."""
    if reading.shape is not Shape.COMMON and task.finder != reading.portions[0].domain:
        raise PolicyDenied(
            f"whose persons are scored or looked up learns it, and they are {reading.portions[0].domain}'s",
            "joint-task.finder",
            "Name their owner as finder, or write its relation first.",
        )
    _require_no_condition(reading, task.finder)
    if member.partition("@")[2] != task.finder:
        raise PolicyDenied(
            f"what is told of persons is told to {task.finder}, and {member} is no member of it",
            "joint-task.finder",
            "Let a member of the finder's domain ask, or name the own domain as finder.",
        )
    if task.matching is Matching.DIFFIE_HELLMAN and len(reading.portions) != 2:
        raise PolicyDenied(
            "without a helper, persons in common are found between exactly two owners",
            "joint-task.matching",
            "Name a helper, or ask about one other owner at a time.",
        )
    if any(operand.nullable for portion in reading.portions for operand in portion.operands):
        raise PolicyDenied(
            "a score is made of numbers that every row has, and a column may have none",
            "joint-reading.portions",
            "Write coalesce(column, a value) for what may be null.",
        )
    if reading.shape is Shape.LOOKUP and reading.portions[0].bound > MOST_LOOKUPS:
        raise PolicyDenied(
            f"{reading.portions[0].bound:,} persons are to be looked up, and one statement asks for {MOST_LOOKUPS}",
            "joint-task.statement",
            f"Write LIMIT 1 to {MOST_LOOKUPS}.",
        )


def _require_no_condition(reading: JointReading, learner: str) -> None:
    """Check that being found tells nothing of a person but that it is there."""
    for portion in reading.portions:
        if portion.where and portion.domain != learner:
            keyed = " A key of groups that may have no value is one, too." if portion.groups else ""
            raise PolicyDenied(
                f"a condition on {portion.relation} would tell {learner} something of every person that it finds",
                "joint-task.statement",
                f"Leave conditions on others' rows out; those on {learner}'s own rows are allowed.{keyed}",
            )


def _require_two_owners(task: JointTask, reading: JointReading) -> None:
    """Check that two owners compute alone: the inspector has the key, and the other one matches and multiplies."""
    owners = {portion.domain for portion in reading.portions}
    if owners != {task.inspector, task.collector}:
        raise PolicyDenied(
            "rows of two owners are joined on ciphertexts by these two alone: one has the key, and the other computes",
            "joint-task.collector",
            "Name one of two owners as inspector and the other one as collector; or three servers.",
        )
    if task.matching is not Matching.DIFFIE_HELLMAN:
        raise PolicyDenied(
            "two owners alone match by themselves",
            "joint-task.matching",
            "Ask for the matching diffie-hellman, without a helper.",
        )
    _require_no_condition(reading, task.collector)


def require_no_own_part(joint: JointPlan) -> None:
    """Check that whose box opens exact sums of one table in parts first could not take its own part away and be left
    with that of one other holder.

    It sees sums before anything is tested. Whoever gets figures may have parts, since every holder tests its own one:
    what all others have together is made of parts that are empty or large (`plans.joint_guards`).

    Parts of one administration are one part, for who administers two owners sees what both see.

    Raises:
        PolicyDenied: the inspector has all parts but one, and no noise is added.
    """
    portions, inspector = joint.reading.portions, joint.task.inspector
    if joint.reading.shape is not Shape.STACKED or joint.scheme.noise_micro or not inspector:
        return
    others = [each.domain for each in portions if each.domain != inspector]
    left = others if len(others) == 1 else [each for each in others if not one_hand(joint, each, inspector)]
    if len(left) == 1:
        parts = (
            "one of two parts"
            if len(others) == 1
            else "all parts but one, with holders of its administration"
        )
        raise PolicyDenied(
            f"{inspector} has {parts}: taken away from the sums that its box opens first, that leaves every sum of "
            f"{left[0]}, small ones too",
            "joint-task.inspector",
            "Ask three holders at least, of different administrations; or without an inspector; or, with servers, ask "
            "an owner for a rate of noise.",
        )


def require_noised(task: JointTask, reading: JointReading) -> None:
    """Check that noise can be added to every figure: those of squares would be of no data.

    Raises:
        PolicyDenied: a figure has no noised form, or nobody is there who could add noise.
    """
    if task.collector:
        raise PolicyDenied(
            "an owner demands noise, and where sums are added up as ciphertexts nobody adds any",
            "joint-task.collector",
            "Name three servers instead of a collector.",
        )
    if not task.shared:
        raise PolicyDenied(
            "there is no sum to which noise could be added",
            "scheme.noise_micro",
            "Leave noise out of the plan.",
        )
    for figure in reading.figures:
        if figure.function not in NOISED:
            raise PolicyDenied(
                f"an owner demands noise, and {figure.function} has no noised form",
                figure.name,
                f"Ask for figures of these functions: {', '.join(NOISED)}.",
            )

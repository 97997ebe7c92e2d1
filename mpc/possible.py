"""What can be computed jointly at all: a task against the statement that it is for, whatever owners' terms say. Pure.

Whoever makes a plan asks this before, so that the asker hears what would help; and every party asks it again of a plan
that is put before it (`mpc.derive.require_same`), since a plan is made by somebody else.
"""

from __future__ import annotations

from plans import names
from plans.errors import PolicyDenied
from plans.joint import JointPlan, JointReading, JointTask, Shape
from plans.joint_guards import NOISED
from plans.joint_rules import Matching


def require_possible(task: JointTask, reading: JointReading, member: str) -> None:
    """Check the parts that a task gives to parties against the shape of its statement, and who owns what.

    Raises:
        PolicyDenied: they do not go together; the sentence says what would help.
    """
    _require_shape(task, reading)
    owners = tuple(portion.domain for portion in reading.portions)
    for what, domain in (("helper", task.helper), ("collector", task.collector)):
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
        _require_common(task, reading, member)
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


def _require_shape(task: JointTask, reading: JointReading) -> None:
    """Check that rows come together as the statement needs it, and that figures are asked for where there are some."""
    stacked, common = reading.shape is Shape.STACKED, reading.shape is Shape.COMMON
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
    if common and not task.finder:
        raise PolicyDenied(
            "this statement asks for persons, whom one of the owners learns of, and no figure that could be opened",
            "joint-task.finder",
            "Name the owner that is to learn of them as finder, or ask for count(*).",
        )
    if task.finder and not common:
        raise PolicyDenied(
            "a finder learns which persons all owners have, and this statement asks for figures",
            "joint-task.finder",
            "Leave the finder out, and name three servers; or select the key alone.",
        )


def _require_common(task: JointTask, reading: JointReading, member: str) -> None:
    """Check that persons in common are told to the owner that asks, and nothing of them but that they are there."""
    for portion in reading.portions:
        if portion.where and portion.domain != task.finder:
            raise PolicyDenied(
                f"a condition on {portion.relation} would tell {task.finder} something of every person that it finds",
                "joint-task.statement",
                f"Leave conditions on others' rows out; those on {task.finder}'s own rows are allowed.",
            )
    if member.partition("@")[2] != task.finder:
        raise PolicyDenied(
            f"persons in common are found for {task.finder}, and {member} is no member of it",
            "joint-task.finder",
            "Let a member of the finder's domain ask, or name the own domain as finder.",
        )
    if task.matching is Matching.DIFFIE_HELLMAN and len(reading.portions) != 2:
        raise PolicyDenied(
            "without a helper, persons in common are found between exactly two owners",
            "joint-task.matching",
            "Name a helper, or ask about one other owner at a time.",
        )


def require_no_own_part(joint: JointPlan) -> None:
    """Check that whoever gets exact figures of one table in parts has none of the parts.

    Tests look at the rows of all holders together. A holder that gets the answer takes its own part away, and what is
    left may be a single person of another holder, who with noise is hidden in it, too.

    Raises:
        PolicyDenied: the member's domain holds one of them, and no noise is added.
    """
    if joint.reading.shape is not Shape.STACKED or joint.scheme.noise_micro:
        return
    member = joint.request.member
    for portion in joint.reading.portions:
        if names.within(member.partition("@")[2], portion.domain):
            raise PolicyDenied(
                f"{portion.domain} has one of the parts: {member} could take it away from what all have together, and "
                "figures would tell of others' rows, however few these are",
                "request.member",
                "Let somebody ask whose domain has no part, or ask an owner for a rate of noise.",
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

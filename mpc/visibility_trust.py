"""The model under which a visibility table holds: the adversary, who must not collude, who draws what. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from mpc.protocols.planning import score_of, unknowns
from mpc.separation import normal
from plans.joint import JointPlan, Shape, Trust
from plans.joint_guards import votes_of


def trust(joint: JointPlan) -> Trust:
    """Return the model under which the table of a plan holds."""
    return Trust(_adversary(joint), tuple(_collusions(joint)), _randomness(joint))


def _adversary(joint: JointPlan) -> str:
    finder = joint.task.finder
    if finder:
        noticed = _NOTICED[joint.reading.shape].format(finder=finder, other=_others(joint, finder))
    elif joint.task.collector:
        noticed = "; a ciphertext that was changed on its way is"
    else:
        noticed = "; a share that differs between two servers is"
    return (
        "Semi-honest: every party computes what the plan says. One party alone, whatever it writes down, learns no "
        "more than its lines of the table. A party that shares other values than its data hold, or computes something "
        f"else, is not noticed{noticed}. Channels between boxes are encrypted end to end."
    )


_NOTICED = {
    Shape.COMMON: ". {finder} is told of whomever it has in its data, those included whom it may have put there to ask "
    "about them",
    Shape.SCORED: "; a ciphertext that was changed on its way is. {finder} gets scores of whatever rows it has, those "
    "included which it may have made up to learn of the model",
    Shape.LOOKUP: "; an answer that is not from the one table of {other} is, by {finder}'s box, which then hands over "
    "nothing, and {other} learns that it failed. {finder} is told of whomever it asks about",
}
"""What is noticed, and what is not, where something is told of single persons."""


def _others(joint: JointPlan, but: str) -> str:
    return ", ".join(domain for domain in _owners(joint) if domain != but)


def _collusions(joint: JointPlan) -> Iterator[str]:
    shape = joint.reading.shape
    if shape is Shape.STACKED:
        yield from _stacked(joint)
    elif shape is Shape.COMMON:
        yield from _common(joint)
    elif shape is Shape.JOINED and joint.task.shared:
        yield from _joined(joint)
    else:
        yield from _alone(joint)
    yield from _administrations(joint)


def _owners(joint: JointPlan) -> tuple[str, ...]:
    return tuple(portion.domain for portion in joint.reading.portions)


def _joined(joint: JointPlan) -> Iterator[str]:
    owners = _owners(joint)
    first, second, third = joint.task.servers
    yield (
        f"any two of {first}, {second} and {third}: all numbers of all rows that came out of matching, row by row, "
        "without names"
    )
    yield from _with_helper(joint, owners) if joint.task.helper else _with_server(joint, owners)
    for place, portion in enumerate(joint.reading.portions):
        if portion.operands or portion.groups:
            yield (
                f"{portion.domain} with {joint.partner(place)}: which of its rows match, among random ones that do not"
            )


def _with_helper(joint: JointPlan, owners: tuple[str, ...]) -> Iterator[str]:
    helper = joint.task.helper
    yield _identifiers(joint)
    for place, portion in enumerate(joint.reading.portions):
        if portion.operands or portion.groups:
            yield f"{helper} with {joint.partner(place)}: all numbers and codes of {portion.domain}, under pseudonyms"
    if joint.reading.groups:
        yield f"{helper} with any server: the codes of rows that match, under pseudonyms"


def _identifiers(joint: JointPlan) -> str:
    return (
        f"{joint.task.helper} with any of {', '.join(_owners(joint))}: the identifiers of all owners' rows that passed "
        "the filters, and who matches"
    )


def _with_server(joint: JointPlan, owners: tuple[str, ...]) -> Iterator[str]:
    for owner in owners:
        yield f"{joint.matcher} with {owner}: which rows of {owner} match"


def _stacked(joint: JointPlan) -> Iterator[str]:
    task, owners = joint.task, _owners(joint)
    each = "every sum of every cell of each single holder, small ones too"
    if task.collector:
        yield f"{task.collector} with {task.inspector}: {each}"
    else:
        first, second, third = task.servers
        yield f"any two of {first}, {second} and {third}: {each}"
    if task.inspector and len(owners) > 2:
        yield (
            f"{task.inspector} with all other holders but one: every sum of every cell of that one; and without them, "
            "where conditions leave them no rows"
        )
    own = "which passes all tests by itself" if votes_of(joint) else "with all the noise"
    yield f"whoever gets the answer, with all holders but one: that one's part of every figure that is opened, {own}"


def _common(joint: JointPlan) -> Iterator[str]:
    if joint.task.helper:
        yield _identifiers(joint)
        if len(_owners(joint)) > 2:
            yield (
                f"{joint.task.finder} with all other owners but one: of every person whom they all have, whether that "
                "one has it, too"
            )
        return
    yield from _alone(joint)


def _alone(joint: JointPlan) -> Iterator[str]:
    """Yield what two owners open together who are the only parties, and what comes out without any collusion."""
    first, second = _owners(joint)
    yield f"{first} with {second}: nothing that is anybody else's, for nobody else takes part"
    if joint.reading.shape is Shape.SCORED:
        count = unknowns(joint.reading)
        equation = "a sum of leaves" if score_of(joint.reading).trees else "an equation"
        yield f"whoever has {count} scores with their rows: the model of {second}, of which each is {equation}"
    if joint.task.collector:
        yield f"{joint.task.collector} with whoever gets the answer: which persons every figure is made of"


def _administrations(joint: JointPlan) -> Iterator[str]:
    """Name parties that one hand could make collude: the same administrators, hosts, or signer of software."""
    for what, told in (
        ("administration", "the same administrators"),
        ("hosting", "the same machines' operator"),
        ("software", "the same signer of software"),
    ):
        seen: dict[str, list[str]] = {}
        for party in joint.parties:
            seen.setdefault(normal(getattr(party, what)), []).append(party.domain)
        for domains in seen.values():
            if len(domains) > 1:
                yield f"{', '.join(domains)} have {told}, who could make them collude"


def _randomness(joint: JointPlan) -> str:
    expanded = joint.task.shared or joint.reading.shape is Shape.COMMON
    how = (
        "Everything is expanded with the digest of the plan, the attempt and the step, and never used twice."
        if expanded
        else "All of it is drawn anew for each attempt, and what is encrypted is bound to plan and attempt."
    )
    return f"Drawn in boxes: {'; '.join(_drawn(joint))}. {how}"


def _drawn(joint: JointPlan) -> Iterator[str]:
    task, shape = joint.task, joint.reading.shape
    keys = "the key of pseudonyms by all owners together" if task.helper else "exponents by each owner"
    if shape is Shape.SCORED:
        yield f"the key of this attempt by {task.finder}"
        yield f"what hides all but the scores by {_others(joint, task.finder)}"
    elif shape is Shape.LOOKUP:
        register = _others(joint, task.finder)
        yield f"the name of the table, the exponent of its keys and the places of its records by {register}"
        yield f"what blinds each identifier, and the secret of each question, by {task.finder}"
    elif shape is Shape.COMMON:
        yield keys
        yield "rows that stand for nobody, and the order of rows, by each owner"
    elif shape is Shape.JOINED and task.collector:
        yield keys
        yield "rows that stand for nobody, and the order of rows, by each owner"
        yield f"the key of this attempt by {task.inspector}"
        yield f"what hides all but the sums by {task.collector}"
    elif shape is Shape.JOINED:
        yield keys
        yield "masks and the order of rows by each owner, the masks in common with its partner"
        yield f"the order of what matches by {joint.matcher}"
    elif task.collector:
        yield f"the key of this attempt by {task.inspector}"
        yield "what hides its numbers in a ciphertext by each holder"
    else:
        yield "the components of its sums by each holder"
    if task.shared:
        yield "common randomness of two servers by one of the two"

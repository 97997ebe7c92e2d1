"""Who sees what while rows of one person at several owners find each other: lines of the visibility table. Pure.

Where rows are joined, whoever matches also gets masked numbers, and partners get orders of rows. Where only persons in
common are sought, owners send nothing but identifiers, and what the finder learns is opened to it
(`mpc.visibility_open`). Of one table in parts nothing is matched.
"""

from __future__ import annotations

from collections.abc import Iterator

from plans.joint import JointPlan, Part, SeenAs, Shape, Sight, Step
from plans.joint_rules import Matching


def matches(joint: JointPlan) -> bool:
    """Return whether anything is matched."""
    return joint.task.matching is not Matching.NONE


def filtering(joint: JointPlan) -> str:
    """Return whose row filters a row has passed that is told of to `JointPlan.learner`; empty if there are none."""
    owners = (each.domain for each in joint.decisions if each.relation.row_filter)
    return " and ".join(each for each in owners if each != joint.learner)


def match(joint: JointPlan) -> Iterator[Sight]:
    """Yield the lines of the step `match`."""
    if not matches(joint):
        return
    if joint.reading.shape is Shape.COMMON:
        yield from _common(joint)
        return
    if joint.task.collector:
        yield from _two_owners(joint)
        return
    yield from _owners_at_match(joint)
    matcher, part = joint.matcher, Part.HELPER if joint.task.helper else Part.SERVER
    for place, portion in enumerate(joint.reading.portions):
        yield _pseudonyms(joint, place, part)
        if portion.operands or portion.groups:
            yield Sight(
                Step.MATCH,
                matcher,
                part,
                f"numbers and codes of {portion.domain} under masks that it shares with {joint.partner(place)} alone",
                SeenAs.MASKED,
                portion.bound,
            )
    yield Sight(Step.MATCH, matcher, part, _intersection(joint), SeenAs.SIZE, joint.scheme.matched)
    for place, portion in enumerate(joint.reading.portions):
        if portion.operands or portion.groups:
            yield from _partner(joint, place)


def _pseudonyms(joint: JointPlan, place: int, part: Part) -> Sight:
    portion = joint.reading.portions[place]
    under = "a key that only the owners have" if joint.task.helper else "exponents of all owners"
    what = f"identifiers of {portion.domain} under {under}, rows that stand for nobody among them"
    return Sight(Step.MATCH, joint.matcher, part, what, SeenAs.PSEUDONYM, portion.bound)


def _owners_at_match(joint: JointPlan) -> Iterator[Sight]:
    owners = tuple(portion.domain for portion in joint.reading.portions)
    for owner in owners:
        others = ", ".join(other for other in owners if other != owner)
        if joint.task.matching is Matching.HELPER:
            what = f"the key of pseudonyms, which it has in common with {others}"
            yield Sight(Step.MATCH, owner, Part.OWNER, what, SeenAs.CLEAR, 1)
        else:
            bound = sum(each.bound for each in joint.reading.portions if each.domain != owner)
            what = f"identifiers of {others} as points under exponents, one of which at least it lacks"
            yield Sight(Step.MATCH, owner, Part.OWNER, what, SeenAs.PSEUDONYM, bound)


def _intersection(joint: JointPlan) -> str:
    what = "how many persons all owners have in common after their filters, and which rows of the lists these are"
    return what if len(joint.reading.portions) == 2 else f"{what}; also for any two of the owners"


def _partner(joint: JointPlan, place: int) -> Iterator[Sight]:
    portion, partner = joint.reading.portions[place], joint.partner(place)
    yield Sight(
        Step.MATCH,
        partner,
        Part.SERVER,
        f"the seed of the masks of {portion.domain}, whose masked numbers and codes it never gets",
        SeenAs.CLEAR,
        1,
    )
    yield Sight(
        Step.MATCH,
        partner,
        Part.SERVER,
        f"{joint.scheme.matched:,} random places in the list of {portion.domain}, whose order it does not know, "
        "whether they match or not",
        SeenAs.MASKED,
        joint.scheme.matched,
    )
    if portion.groups:
        for server in joint.task.servers:
            if server != joint.matcher:
                yield Sight(
                    Step.MATCH,
                    server,
                    Part.SERVER,
                    f"by how much the codes of {portion.domain} are turned in each row",
                    SeenAs.MASKED,
                    joint.scheme.matched,
                )


def _common(joint: JointPlan) -> Iterator[Sight]:
    """Yield what is seen of identifiers alone; two owners without a helper compare between themselves."""
    yield from _owners_at_match(joint)
    if joint.task.helper:
        for place in range(len(joint.reading.portions)):
            yield _pseudonyms(joint, place, Part.HELPER)
        size = joint.scheme.matched
        yield Sight(Step.MATCH, joint.matcher, Part.HELPER, _intersection(joint), SeenAs.SIZE, size)
        return
    yield _under_both(joint, Part.FINDER)


def _under_both(joint: JointPlan, part: Part) -> Sight:
    """Return what who finds out gets back of its own list."""
    own = next(each for each in joint.reading.portions if each.domain == joint.learner)
    return Sight(
        Step.MATCH,
        joint.learner,
        part,
        "identifiers of its own list under exponents of both owners, in the order in which it sent them",
        SeenAs.PSEUDONYM,
        own.bound,
    )


def _two_owners(joint: JointPlan) -> Iterator[Sight]:
    """Yield what two owners see that match by themselves, so that one of them can compute with what the other
    encrypts.
    """
    yield from _owners_at_match(joint)
    yield _under_both(joint, Part.COLLECTOR)
    passed = f", and so pass the row filter of {filtering(joint)}" if filtering(joint) else ""
    yield Sight(
        Step.MATCH,
        joint.task.collector,
        Part.COLLECTOR,
        f"which of its own rows match under its own condition{passed}, and at which places of "
        f"{joint.task.inspector}'s list, whose order it does not know",
        SeenAs.CLEAR,
        joint.scheme.matched,
    )

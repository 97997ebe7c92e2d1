"""What each party derives again from a joint plan: the plan of its own boxes, and what code says of it. Pure.

A party believes nothing that it can make again (ATTACKS 72, 78): the boxes, the scheme, the visibility table and the
model of trust follow from the reading, the decisions and the task, byte for byte. What only its owner can say (the own
reading, decision and relation) its keeper derives and compares.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mpc.scheme import scheme_of, tier_of
from mpc.visibility import normal, sights, trust
from plans.box import BoxSpec, Entry, Input, Limits, Link, Outputs
from plans.decision import Tier
from plans.errors import Malformed, PolicyDenied, RederivationMismatch
from plans.handover import OPENED, OWN_ROWS
from plans.joint import JointPlan, PortionDecision, joint_task_of
from plans.joint_guards import strictest_of
from plans.joint_rules import JointRules, Opening
from plans.joint_shadows import JointShadow
from plans.plan import Plan, PlanKind

ROWS_FOR_A_GROUP = 10
"""How many minimum groups an owner's version has rows for, at least."""


BUILT_OPENINGS = (Opening.OBLIVIOUS,)
"""How answers can be opened; what an airlock inspects first is not built, and no key is given for such plans."""


def party_plan(joint: JointPlan, domain: str, limits: Mapping[Entry, Limits]) -> Plan:
    """Return the plan of one party's boxes, under this side's limits.

    An owner has the box `extract`, linked with its box `party`; everybody has `party`, linked with those of all others.
    A server's leaves what it hands to whoever opens.

    Raises:
        Malformed: the domain takes no part, or the plan does not name an owner's files.
        PolicyDenied: an owner's decision is no.
    """
    joint.party(domain)
    tier = tier_of([each.decision for each in joint.decisions])
    place = joint.owns(domain)
    peers = tuple(
        Link(f"peer-{number}", f"party:{party.domain}")
        for number, party in enumerate(joint.parties)
        if party.domain != domain
    )
    left = (OPENED,) if domain in joint.handing else ()
    rows = () if place is None else (Link(OWN_ROWS, f"stage:{Entry.EXTRACT}"),)
    party_box = BoxSpec(
        Entry.PARTY, joint.party_image, (), limits[Entry.PARTY], tier, outputs=Outputs(len(left), left),
        links=(*rows, *peers),
    )  # fmt: skip
    boxes = (
        (party_box,) if place is None else (_extract(joint, joint.decisions[place], limits, tier), party_box)
    )
    return Plan(
        kind=PlanKind.JOINT,
        domain=domain,
        request=None,
        request_signature="",
        decision=None,
        program=None,
        material=joint.canonical().decode(),
        stages=boxes,
        nonce=joint.nonce,
        made_at=joint.made_at,
    )


def _extract(joint: JointPlan, own: PortionDecision, limits: Mapping[Entry, Limits], tier: Tier) -> BoxSpec:
    if len(own.files) != 2:
        raise Malformed(
            "a portion names its file of attributes and its file of identifiers", "joint-plan.decisions"
        )
    files = zip(own.files, (own.relation.file, own.identifiers), strict=True)
    return BoxSpec(
        Entry.EXTRACT,
        joint.extract_image,
        tuple(Input(name, sha256) for name, sha256 in files),
        limits[Entry.EXTRACT],
        tier,
        outputs=Outputs(0),
        links=(Link(OWN_ROWS, f"stage:{Entry.PARTY}"),),
    )


def require_same(joint: JointPlan, rules: JointRules | None = None) -> None:
    """Check everything in a joint plan that code makes from the rest of it; `rules` are an owner's own terms.

    Raises:
        RederivationMismatch: the plan says something else; the sentence names what.
        PolicyDenied: the own terms do not allow these parties, an owner's decision is no, its version is tiny, or the
            answer larger than it allows.
        RangeTooWide: the numbers of the plan fit no ring.
    """
    if joint.task.opening not in BUILT_OPENINGS:
        raise PolicyDenied(
            f"the opening {joint.task.opening} is not built yet: only the recipient opens answers",
            "joint-plan.task",
            f"Ask for the opening {BUILT_OPENINGS[0]}.",
        )
    decisions = [each.decision for each in joint.decisions]
    made = {
        "task": (joint_task_of(joint.request), joint.task),
        "scheme": (scheme_of(joint.reading, decisions, joint.scheme.noise_micro), joint.scheme),
        "sights": (sights(joint), joint.sights),
        "trust": (trust(joint), joint.trust),
    }
    for what, (ours, theirs) in made.items():
        if ours != theirs:
            raise RederivationMismatch(
                f"the {_WORDS[what]} in the plan is not the one that this side makes", f"joint-plan.{what}"
            )
    require_sizes(joint)
    if rules is not None:
        require_terms(joint, rules)


def require_sizes(joint: JointPlan) -> None:
    """Check that the answer is no larger than every owner allows, and that no owner's version is so small that a joint
    statement asks others about the few who are in it (74).

    Raises:
        PolicyDenied: the answer is larger, or a version is about fewer persons than `ROWS_FOR_A_GROUP` minimum groups.
    """
    wanted = joint.reading.cells * len(joint.reading.figures)
    largest = strictest_of([each.decision for each in joint.decisions]).largest_result
    if wanted > largest:
        raise PolicyDenied(
            f"the answer has {wanted:,} cells, and an owner lets at most {largest:,} leave in one result",
            "joint-plan.reading",
            "Group by fewer keys, or ask for fewer figures.",
        )
    least = ROWS_FOR_A_GROUP * joint.scheme.minimum_group
    for shadow in joint.shadows:
        if shadow.rows < least:
            raise PolicyDenied(
                f"{shadow.shadow.relation} is about fewer than {least:,} persons: whoever knows them would learn "
                "about them from others",
                "joint-plan.shadows",
                "Ask with a larger register.",
            )


def opened_numbers(joint: JointPlan) -> int:
    """Return how many numbers a plan opens at the most, which is what owners' quotas count.

    The recipient gets the sums of which a figure is made: of a correlation six for each cell. A sum that stands behind
    two figures is one number, and a figure is one at least, for whether it is opened tells something too.
    """
    reading = joint.reading
    sums = {place for figure in reading.figures for place in figure.sums}
    return reading.cells * max(len(reading.figures), len(sums))


_WORDS = {
    "task": "task",
    "scheme": "scheme",
    "sights": "visibility table",
    "trust": "model of trust",
}


def require_own_shadow(joint: JointPlan, own: JointShadow) -> None:
    """Check that the statement was read on an owner's relation as it is.

    Raises:
        RederivationMismatch: its version, columns, ranges or view are others now.
    """
    place = joint.owns(own.domain)
    if place is None or len(joint.shadows) != len(joint.reading.portions) or joint.shadows[place] != own:
        raise RederivationMismatch(
            "the statement was read on another likeness of the own relation than there is",
            "joint-plan.shadows",
        )


def require_terms(joint: JointPlan, rules: JointRules) -> None:
    """Check what an owner's terms say of the parties and the answer; the rest of them is part of the own decision.

    Raises:
        PolicyDenied: two parties that must be separate are administered by one hand, the answer has more cells than
            are opened within a whole period, or less noise than an owner asks for.
    """
    if rules.separate and (together := shared_administration(joint)):
        raise PolicyDenied(
            f"an owner demands separate administrations, and {' and '.join(together)} have the same",
            "joint-task.servers",
            "Name servers and a helper that different people administer.",
        )
    wanted = opened_numbers(joint)
    if wanted > rules.cells:
        raise PolicyDenied(
            f"the answer has {wanted:,} cells, every sum counted, and an owner opens at most "
            f"{rules.cells:,} within {rules.period_days} days",
            "joint-plan.reading",
            "Group by fewer keys, or ask for fewer figures.",
        )

    if rules.noise_micro and not 0 < joint.scheme.noise_micro <= rules.noise_micro:
        raise PolicyDenied(
            f"an owner demands noise of the rate {rules.noise_micro} millionths, and the plan has less",
            "scheme.noise_micro",
        )


def shared_administration(joint: JointPlan) -> tuple[str, ...]:
    """Return servers and helper that one administration runs, the first such set; none is good (ATTACKS 96)."""
    return next(_together(joint), ())


def _together(joint: JointPlan) -> Iterator[tuple[str, ...]]:
    by_hand: dict[str, list[str]] = {}
    for domain in (*joint.task.servers, *filter(None, (joint.task.helper,))):
        by_hand.setdefault(normal(joint.party(domain).administration), []).append(domain)
    yield from (tuple(domains) for domains in by_hand.values() if len(domains) > 1)

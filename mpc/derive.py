"""What each party derives again from a joint plan: the plan of its own boxes, and what code says of it. Pure.

A party believes nothing that it can make again (ATTACKS 72, 78): the boxes, the scheme, the visibility table and the
model of trust follow from the reading, the decisions and the task, byte for byte. What only its owner can say (the own
reading, decision and relation) its keeper derives and compares.
"""

from __future__ import annotations

from collections.abc import Mapping

from mpc.possible import require_no_own_part, require_noised, require_possible
from mpc.protocols.planning import told_by_score, unknowns
from mpc.scheme import scheme_of, tier_of
from mpc.separation import shared_administration
from mpc.visibility import sights
from mpc.visibility_trust import trust
from plans.box import BoxSpec, Entry, Input, Limits, Link, Outputs
from plans.decision import Tier
from plans.errors import Malformed, PolicyDenied, RederivationMismatch
from plans.handover import OPENED, OWN_ROWS
from plans.joint import JointPlan, PortionDecision, Shape, joint_task_of
from plans.joint_guards import strictest_of
from plans.joint_rules import JointRules, Opening
from plans.joint_shadows import JointShadow
from plans.plan import Plan, PlanKind

MOST_LISTED = {Shape.COMMON: 2_000_000, Shape.SCORED: 1_000_000}
"""Persons of a list at the most, as long as it may be: a longer file no agent hands over (`mpc.agent.client`), and
that would show once the answer was computed and charged.
"""

ROWS_FOR_A_GROUP = 10
"""How many minimum groups an owner's version has rows for, at least."""


def party_plan(joint: JointPlan, domain: str, limits: Mapping[Entry, Limits]) -> Plan:
    """Return the plan of one party's boxes, under this side's limits.

    An owner has the box `extract`, linked with its box `party`; everybody has `party`, linked with those of all others.
    What is left for the recipient, the boxes of `JointPlan.handing` leave: the servers', or that of who opens first.

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
    digests = tuple(filter(None, (own.relation.file, own.identifiers)))  # a model is about nobody
    if len(own.files) != len(digests):
        raise Malformed(
            "a portion names its file of attributes, and of persons its file of identifiers",
            "joint-plan.decisions",
        )
    files = zip(own.files, digests, strict=True)
    return BoxSpec(
        Entry.EXTRACT,
        joint.extract_image,
        tuple(Input(name, sha256) for name, sha256 in files),
        limits[Entry.EXTRACT],
        tier,
        outputs=Outputs(0),
        links=(Link(OWN_ROWS, f"stage:{Entry.PARTY}"),),
    )


def require_same(joint: JointPlan, rules: JointRules | None = None, own: str = "") -> None:
    """Check everything in a joint plan that code makes from the rest of it; `rules` are an owner's own terms, and `own`
    is its domain.

    Raises:
        RederivationMismatch: the plan says something else; the sentence names what.
        PolicyDenied: the task cannot be computed so, the own terms do not allow these parties, an owner's decision is
            no, its version is tiny, or the answer larger than it allows.
        RangeTooWide: the numbers of the plan fit no ring.
    """
    require_possible(joint.task, joint.reading, joint.request.member)
    if joint.scheme.noise_micro:
        require_noised(joint.task, joint.reading)
    require_no_own_part(joint)
    decisions = [each.decision for each in joint.decisions]
    made = {
        "task": (joint_task_of(joint.request), joint.task),
        "scheme": (scheme_of(joint.reading, decisions, joint.scheme.noise_micro, joint.task), joint.scheme),
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
        require_terms(joint, rules, own)


def require_sizes(joint: JointPlan) -> None:
    """Check that the answer is no larger than every owner allows, and that no owner's version is so small that a joint
    statement asks others about the few who are in it (74).

    What is told of persons are no cells, but for the fields of a register: of how many an owner lets another know, its
    terms say (`require_terms`). Whose persons are scored or looked up may have few; so may a model, which is about
    nobody.

    Raises:
        PolicyDenied: the answer is larger, or longer than anybody hands over; or a version is about fewer persons than
            `ROWS_FOR_A_GROUP` minimum groups.
    """
    _require_handed(joint)
    wanted, decisions = joint.reading.cells * len(joint.reading.figures), joint.decisions
    if joint.reading.shape is Shape.LOOKUP:
        wanted, decisions = told_persons(joint) * len(joint.reading.portions[1].fields), joint.decisions[1:]
    largest = strictest_of([each.decision for each in decisions]).largest_result
    if wanted > largest:
        raise PolicyDenied(
            f"the answer has {wanted:,} cells, and an owner lets at most {largest:,} leave in one result",
            "joint-plan.reading",
            "Group by fewer keys, or ask for fewer figures or fields.",
        )
    least = ROWS_FOR_A_GROUP * joint.scheme.minimum_group
    for shadow in joint.shadows:
        if shadow.rows < least and not _may_be_few(joint, shadow.domain):
            raise PolicyDenied(
                f"{shadow.shadow.relation} is about fewer than {least:,} persons: whoever knows them would learn "
                "about them from others",
                "joint-plan.shadows",
                "Ask with a larger register.",
            )


def _require_handed(joint: JointPlan) -> None:
    told, most = told_persons(joint), MOST_LISTED.get(joint.reading.shape)
    if most is not None and told > most:
        raise PolicyDenied(
            f"the answer may list {told:,} persons, and at most {most:,} are handed over in one",
            "joint-plan.reading",
            "Ask with a smaller register of the own, or for figures.",
        )


def _may_be_few(joint: JointPlan, domain: str) -> bool:
    shape = joint.reading.shape
    return shape is Shape.SCORED or (shape is Shape.LOOKUP and domain == joint.task.finder)


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


def told_persons(joint: JointPlan) -> int:
    """Return of how many persons at the most a plan tells `JointPlan.learner` something, which is what quotas of
    members count: whether they are in common, a score or a record of each. None where nothing but figures is opened.
    """
    return joint.scheme.matched if joint.learner else 0


def require_terms(joint: JointPlan, rules: JointRules, own: str = "") -> None:
    """Check what an owner's terms say of the parties and the answer; the rest of them is part of the own decision.

    Args:
        joint: the plan.
        rules: the terms.
        own: whose they are; who is told of its own persons does not count them by its own terms.

    Raises:
        PolicyDenied: two parties that must be separate are administered by one hand; the answer has more cells, or
            tells of more persons, than is allowed within a whole period; so many that a model can be worked out;
            a collector finds out who is in common, and that is not allowed;
            ciphertexts are computed with and that is not allowed; or there is less noise than an owner asks for.
    """
    if rules.separate and (together := shared_administration(joint)):
        raise PolicyDenied(
            f"an owner demands separate administrations, and {' and '.join(together)} have the same",
            "joint-task.servers",
            "Name servers, helper and collector that different people administer, and none of an owner's.",
        )
    if joint.task.collector and not rules.ciphertexts:
        raise PolicyDenied(
            "an owner does not let others compute with its ciphertexts under the key of another",
            "joint-task.collector",
            "Name three servers instead of a collector.",
        )
    if own != joint.learner:
        _require_told(joint, rules)
    _require_quota(joint, rules, own)
    asked = joint.task.shared and rules.noise_micro  # elsewhere there are no sums, or nobody who adds noise
    if asked and not 0 < joint.scheme.noise_micro <= rules.noise_micro:
        raise PolicyDenied(
            f"an owner demands noise of the rate {rules.noise_micro} millionths, and the plan has less",
            "scheme.noise_micro",
        )


def _require_quota(joint: JointPlan, rules: JointRules, own: str) -> None:
    """Check that a whole period's quota has room for the answer."""
    wanted, told = opened_numbers(joint), told_persons(joint)
    if wanted > rules.cells:
        raise PolicyDenied(
            f"the answer has {wanted:,} cells, every sum counted, and an owner opens at most "
            f"{rules.cells:,} within {rules.period_days} days",
            "joint-plan.reading",
            "Group by fewer keys, or ask for fewer figures.",
        )
    if own != joint.learner and told > rules.members:
        raise PolicyDenied(
            f"the answer tells {joint.learner} {_TELLS[joint.reading.shape]} of up to {told:,} persons, and an owner "
            f"tells another of at most {rules.members:,} within {rules.period_days} days",
            "joint-plan.reading",
            "Ask with fewer rows of the own.",
        )


_TELLS = {
    Shape.COMMON: "whether they are there",
    Shape.JOINED: "whether they are there",
    Shape.SCORED: "a score",
    Shape.LOOKUP: "a record",
}


def _require_told(joint: JointPlan, rules: JointRules) -> None:
    """Check what terms say of somebody else who is told something of single persons, beside how many they are.

    That terms accept the opening is part of the own decision; who finds out who is in common on the way opens nothing.
    """
    if joint.reading.shape is Shape.SCORED:
        _require_kept(joint, rules)
    found = joint.learner and joint.reading.shape is Shape.JOINED
    if found and Opening.INTERSECTION not in rules.openings:
        raise PolicyDenied(
            f"{joint.learner} finds out which of its persons an owner has, too, and that owner tells nobody so",
            "joint-task.collector",
            "Name three servers; or ask the owner for the opening intersection in its terms.",
        )


def _require_kept(joint: JointPlan, rules: JointRules) -> None:
    """Check that a model cannot be worked out from the scores of a whole period, unless its owner wants that."""
    unknown, each = unknowns(joint.reading), told_by_score(joint.reading)
    most = max(joint.scheme.matched, rules.members)
    if most * each >= unknown and not rules.given_away:
        wide = f", with room for {each} coefficients side by side in each" if each > 1 else ""
        raise PolicyDenied(
            f"{most:,} scores within {rules.period_days} days{wide} are as many equations as this model has "
            f"unknowns, {unknown}: whoever gets them can work it out",
            "joint-plan.reading",
            f"Let its owner allow at most {(unknown - 1) // each} members, or say in its terms that the model is given "
            "away; or ask for narrower features, or fewer decimals.",
        )

"""The visibility table 可见性表 of a joint plan, made by code: at each step, what each party sees, and in which form.

Pure. It follows from what a plan computes, for whom, and by which protocols, and every party makes it again with its
own code before its approvers read it (`mpc.derive`). The arguments why nobody sees more stand with the protocols
(`mpc.protocols.helper`, `diffie_hellman`, `replicated`, `stacked`, `common`); a test compares the table with the
messages of a run. Lines of matching are in `mpc.visibility_match`, those of ciphertexts and lookups in
`mpc.visibility_ciphers`, those of who opens in `mpc.visibility_open`, and who must not collude in
`mpc.visibility_trust`.

A domain with several parts has a line for each. What a party knows anyway, its own data, is in the table once, at the
step `extract`.
"""

from __future__ import annotations

from collections.abc import Iterator

from mpc.visibility_ciphers import VOTES, computes, encrypts
from mpc.visibility_match import match, matches
from mpc.visibility_open import opens
from plans.joint import SERVERS, JointPlan, Measure, Part, SeenAs, Shape, Sight, Step
from plans.joint_guards import vectors_of, votes_of
from plans.joint_rules import Opening


def sights(joint: JointPlan) -> tuple[Sight, ...]:
    """Return the visibility table of a plan, whatever stands in its own."""
    return (
        *_ask(joint),
        *_check(joint),
        *_extract(joint),
        *match(joint),
        *_share(joint),
        *encrypts(joint),
        *_compute(joint),
        *opens(joint),
        *_timing(joint),
    )


def _part(joint: JointPlan, domain: str) -> Part:
    """Return the part in which a domain is named where all parties see the same."""
    if joint.owns(domain) is not None:
        return Part.OWNER
    if domain in joint.task.servers:
        return Part.SERVER
    return Part.COLLECTOR if domain == joint.task.collector else Part.HELPER


def _ask(joint: JointPlan) -> Iterator[Sight]:
    for party in joint.parties:
        yield Sight(
            Step.ASK,
            party.domain,
            _part(joint, party.domain),
            "the statement with its constants, who asks for which purpose, and for whom the answer is; of every "
            "owner's relation the columns and what is declared of them, how many rows and persons it has, its row "
            "filter and masks, and what the owner's decision demands",
            SeenAs.CLEAR,
        )
    if joint.reading.shape is Shape.LOOKUP:
        asked, register = joint.reading.portions
        yield Sight(
            Step.ASK,
            register.domain,
            Part.OWNER,
            f"by which condition {asked.domain} chooses whom it asks about; a constant that names a person tells who",
            SeenAs.CLEAR,
        )


def _check(joint: JointPlan) -> Iterator[Sight]:
    before = "the matching" if matches(joint) else _BEFORE[joint.reading.shape]
    more = _TOO_MANY if joint.reading.shape is Shape.LOOKUP else ""
    for party in joint.parties:
        yield Sight(
            Step.CHECK,
            party.domain,
            _part(joint, party.domain),
            "which party is not ready, if one is not; why is told to its owner alone, and at every later step which "
            f"party failed at which step. That an owner fails before {before} tells that under its conditions a "
            f"person is there twice or without an identifier, or that a value is none of the declared ones{more}",
            SeenAs.CLEAR,
        )


_BEFORE = {
    Shape.STACKED: "it adds up its rows",
    Shape.SCORED: "anything is encrypted",
    Shape.LOOKUP: "the first question",
}
"""What comes after rows were looked at, where nothing is matched."""

_TOO_MANY = ", or that more persons meet the condition of who looks them up than the statement says"


def _extract(joint: JointPlan) -> Iterator[Sight]:
    for portion in joint.reading.portions:
        yield Sight(
            Step.EXTRACT,
            portion.domain,
            Part.OWNER,
            f"its own rows of {portion.relation}, in its own box",
            SeenAs.CLEAR,
            portion.bound,
        )


# --- on shares -----------------------------------------------------


def _share(joint: JointPlan) -> Iterator[Sight]:
    reading, stacked = joint.reading, joint.reading.shape is Shape.STACKED
    for server in joint.task.servers:
        if stacked:
            votes = f", and of {VOTES}" if votes_of(joint) else ""
            what = (
                f"two of the {SERVERS} components of each sum of each cell of each holder's own rows{votes}"
            )
            bound = len(reading.portions) * vectors_of(joint) * reading.cells
        else:
            what = (
                f"two of the {SERVERS} components of every number of every row that came out of matching, and of its "
                "cell"
            )
            bound = joint.scheme.matched * (shared_columns(joint) + reading.cells)
        yield Sight(Step.SHARE, server, Part.SERVER, what, SeenAs.SHARE, bound)


def shared_columns(joint: JointPlan) -> int:
    """Return how many columns of numbers owners share: each measure of an operand once; of products, both factors."""
    wanted = {
        (Measure.TOTAL if total.measure is Measure.PRODUCT else total.measure, operand)
        for total in joint.reading.sums
        for operand in total.operands
    }
    return len(wanted)


def _compute(joint: JointPlan) -> Iterator[Sight]:
    reading = joint.reading
    together = ", of all holders together" if reading.shape is Shape.STACKED else ""
    votes = ", and of how many parts pass" if votes_of(joint) else ""
    for server in joint.task.servers:
        yield Sight(
            Step.COMPUTE,
            server,
            Part.SERVER,
            f"two components of each sum of each cell{together}{votes}",
            SeenAs.SHARE,
            reading.cells * vectors_of(joint),
        )
    yield from computes(joint)
    if joint.task.opening is not Opening.OBLIVIOUS:
        return  # whoever opens first tests in the clear, in its box
    for server in joint.task.servers:
        yield Sight(
            Step.GUARD,
            server,
            Part.SERVER,
            "two components of whether each figure may be opened; nobody learns which before the answer is",
            SeenAs.SHARE,
            reading.cells * len(reading.figures),
        )


# --- what nobody can hide ------------------------------------------


def _timing(joint: JointPlan) -> Iterator[Sight]:
    depends = (
        "how long the matching takes depends a little on how many match"
        if matches(joint)
        else "how long an owner takes depends a little on how many of its rows pass its condition"
    )
    for party in joint.parties:
        yield Sight(
            Step.OPEN,
            party.domain,
            _part(joint, party.domain),
            "when each step of others begins and ends, and the lengths of messages, which follow from public bounds; "
            f"{depends}",
            SeenAs.TIMING,
        )

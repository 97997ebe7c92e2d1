"""The visibility table 可见性表 of a joint plan, made by code: at each step, what each party sees, and in which form.

Pure. It follows from what a plan computes, for whom, and by which protocols, and every party makes it again with its
own code before its approvers read it (`mpc.derive`). The arguments why nobody sees more stand with the protocols
(`mpc.protocols.helper`, `diffie_hellman`, `replicated`); a test compares the table with the messages of a run.

A domain with several parts has a line for each. What a party knows anyway, its own data, is in the table once, at the
step `extract`.
"""

from __future__ import annotations

from collections.abc import Iterator

from plans.joint import SERVERS, JointPlan, Measure, Part, SeenAs, Sight, Step, Trust
from plans.joint_rules import Matching, Opening


def sights(joint: JointPlan) -> tuple[Sight, ...]:
    """Return the visibility table of a plan, whatever stands in its own."""
    return (
        *_ask(joint),
        *_check(joint),
        *_extract(joint),
        *_match(joint),
        *_share(joint),
        *_compute(joint),
        *_open(joint),
    )


def trust(joint: JointPlan) -> Trust:
    """Return the model under which the table holds."""
    return Trust(ADVERSARY, tuple(_collusions(joint)), _randomness(joint))


ADVERSARY = (
    "Semi-honest: every party computes what the plan says. One party alone, whatever it writes down, learns no more "
    "than its lines of the table. A party that shares other values than its data hold, or computes something else, is "
    "not noticed; a share that differs between two servers is. Channels between boxes are encrypted end to end."
)


def _owners(joint: JointPlan) -> tuple[str, ...]:
    return tuple(portion.domain for portion in joint.reading.portions)


def _parts(joint: JointPlan, domain: str) -> Part:
    """Return the part in which a domain is named where all parties see the same."""
    if domain in _owners(joint):
        return Part.OWNER
    return Part.SERVER if domain in joint.task.servers else Part.HELPER


def _ask(joint: JointPlan) -> Iterator[Sight]:
    for party in joint.parties:
        yield Sight(
            Step.ASK,
            party.domain,
            _parts(joint, party.domain),
            "the statement with its constants, who asks for which purpose, and for whom the answer is; of every "
            "owner's relation the columns and what is declared of them, how many rows and persons it has, its row "
            "filter and masks, and what the owner's decision demands",
            SeenAs.CLEAR,
        )


def _check(joint: JointPlan) -> Iterator[Sight]:
    for party in joint.parties:
        yield Sight(
            Step.CHECK,
            party.domain,
            _parts(joint, party.domain),
            "which party is not ready, if one is not; why is told to its owner alone, and at every later step which "
            "party failed at which step. That an owner fails before the matching tells that under its conditions a "
            "person is there twice or without an identifier, or that a value is none of the declared ones",
            SeenAs.CLEAR,
        )


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


# --- matching -----------------------------------------------------


def _match(joint: JointPlan) -> Iterator[Sight]:
    yield from _owners_at_match(joint)
    matcher, part = joint.matcher, Part.HELPER if joint.task.helper else Part.SERVER
    for place, portion in enumerate(joint.reading.portions):
        under = "a key that only the owners have" if joint.task.helper else "exponents of all owners"
        yield Sight(
            Step.MATCH,
            matcher,
            part,
            f"identifiers of {portion.domain} under {under}, rows that stand for nobody among them",
            SeenAs.PSEUDONYM,
            portion.bound,
        )
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


def _owners_at_match(joint: JointPlan) -> Iterator[Sight]:
    owners = _owners(joint)
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


# --- on shares -----------------------------------------------------


def _share(joint: JointPlan) -> Iterator[Sight]:
    columns = shared_columns(joint) + joint.reading.cells
    for server in joint.task.servers:
        yield Sight(
            Step.SHARE,
            server,
            Part.SERVER,
            f"two of the {SERVERS} components of every number of every row that came out of matching, and of its cell",
            SeenAs.SHARE,
            joint.scheme.matched * columns,
        )


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
    for server in joint.task.servers:
        yield Sight(
            Step.COMPUTE,
            server,
            Part.SERVER,
            "two components of each sum of each cell",
            SeenAs.SHARE,
            reading.cells * len(reading.sums),
        )
    for server in joint.task.servers:
        yield Sight(
            Step.GUARD,
            server,
            Part.SERVER,
            "two components of whether each figure may be opened; nobody learns which before the answer is",
            SeenAs.SHARE,
            reading.cells * len(reading.figures),
        )


def _open(joint: JointPlan) -> Iterator[Sight]:
    reading = joint.reading
    numbers = reading.cells * sum(1 + len(figure.sums) for figure in reading.figures)
    if joint.task.opening is Opening.INSPECTED:
        yield Sight(
            Step.OPEN,
            joint.task.inspector,
            Part.INSPECTOR,
            "every figure with the sums that it is made of, before anybody else",
            SeenAs.CLEAR,
            numbers,
        )
    yield Sight(
        Step.OPEN,
        joint.request.member,
        Part.RECIPIENT,
        f"figures behind which at least {joint.scheme.minimum_group} persons stand and nobody dominates, "
        f"{_how(joint)}, with the sums that they are made of; of every other one, that it is withheld",
        SeenAs.CLEAR,
        numbers,
    )
    yield Sight(
        Step.OPEN,
        joint.request.member,
        Part.RECIPIENT,
        "what differences between figures tell, of this answer and of others: every owner bounds how many cells are "
        "opened within a period, and approves each plan",
        SeenAs.CLEAR,
    )
    if any(portion.operands for portion in reading.portions) and not joint.scheme.noise_micro:
        yield Sight(
            Step.OPEN,
            joint.request.member,
            Part.RECIPIENT,
            "exact totals: whoever gets one and knows all the amounts, as their owner does, may find out which few "
            "persons it is made of",
            SeenAs.CLEAR,
        )
    for party in joint.parties:
        yield Sight(
            Step.OPEN,
            party.domain,
            _parts(joint, party.domain),
            "when each step of others begins and ends, and the lengths of messages, which follow from public bounds; "
            "how long the matching takes depends a little on how many match",
            SeenAs.TIMING,
        )


def _how(joint: JointPlan) -> str:
    """Return how figures leave: as they are, or with noise that each server adds its part of."""
    rate = joint.scheme.noise_micro
    if not rate:
        return "exactly"
    return f"with discrete noise on every sum, of a rate of {rate:,} millionths, of which no server knows all"


# --- trust -----------------------------------------------------


def _collusions(joint: JointPlan) -> Iterator[str]:
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
    yield from _administrations(joint)


def _with_helper(joint: JointPlan, owners: tuple[str, ...]) -> Iterator[str]:
    helper = joint.task.helper
    yield (
        f"{helper} with any of {', '.join(owners)}: the identifiers of all owners' rows that passed the filters, and "
        "who matches"
    )
    for place, portion in enumerate(joint.reading.portions):
        if portion.operands or portion.groups:
            yield f"{helper} with {joint.partner(place)}: all numbers and codes of {portion.domain}, under pseudonyms"
    if joint.reading.groups:
        yield f"{helper} with any server: the codes of rows that match, under pseudonyms"


def _with_server(joint: JointPlan, owners: tuple[str, ...]) -> Iterator[str]:
    for owner in owners:
        yield f"{joint.matcher} with {owner}: which rows of {owner} match"


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


def normal(text: str) -> str:
    """Return who administers, hosts or supplies a party as it is compared: spaces and case do not count."""
    return " ".join(text.split()).casefold()


def _randomness(joint: JointPlan) -> str:
    matcher = joint.task.helper or joint.matcher
    keys = "the key of pseudonyms by all owners together" if joint.task.helper else "exponents by each owner"
    return (
        f"Drawn in boxes: {keys}; masks and the order of rows by each owner, the masks in common with its partner; "
        f"the order of what matches by {matcher}; common randomness of two servers by one of the two. Everything is "
        "expanded with the digest of the plan, the attempt and the step, and never used twice."
    )

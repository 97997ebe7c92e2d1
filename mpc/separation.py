"""Which parties of a joint plan must not be one hand, where an owner demands it (`JointRules.separate`). Pure.

Two parties that the same people administer are one party that sees what both see. Of which two that would open more
than a figure the protocols' own pages say; here they stand in one place:

- any two servers, and the helper with a server: numbers row by row, or every holder's sums;
- whoever matches, with an owner: whose rows match, and with a helper everybody's identifiers;
- an owner with its partner, which knows the order of what matched: which of its own rows match;
- a collector that adds up with the inspector, who has the key: every holder's sums.

Two owners that compute alone may be one hand: what they have together is theirs. So may holders of one table, who count
as one then (`mpc.possible.require_no_own_part`).
"""

from __future__ import annotations

from collections.abc import Iterator

from plans import names
from plans.joint import JointPlan, Shape


def apart(joint: JointPlan) -> Iterator[tuple[str, ...]]:
    """Yield sets of different domains, of which no two may have the same administration."""
    task, reading = joint.task, joint.reading
    owners = tuple(portion.domain for portion in reading.portions)
    yield (*task.servers, *filter(None, (task.helper,)))
    if task.collector and reading.shape is Shape.STACKED:
        yield task.collector, task.inspector
    joined = reading.shape is Shape.JOINED and task.shared
    if joined or task.helper:
        yield from ((joint.matcher, owner) for owner in owners)
    if joined:
        for place, portion in enumerate(reading.portions):
            if portion.operands or portion.groups:
                yield portion.domain, joint.partner(place)


def shared_administration(joint: JointPlan) -> tuple[str, ...]:
    """Return parties that must not be one hand and are, the first such set; none is good (ATTACKS 96)."""
    return next(_together(joint), ())


def _together(joint: JointPlan) -> Iterator[tuple[str, ...]]:
    for domains in apart(joint):
        by_hand: dict[str, list[str]] = {}
        for domain in domains:
            by_hand.setdefault(normal(joint.party(domain).administration), []).append(domain)
        yield from (tuple(found) for found in by_hand.values() if len(found) > 1)


def one_hand(joint: JointPlan, domain: str, holder: str) -> bool:
    """Return whether who is of a domain sees what a holder sees: it is that, or lies below it, or says of itself that
    the same people administer it.
    """
    said = {party.domain: normal(party.administration) for party in joint.parties}
    return names.within(domain, holder) or (domain in said and said[domain] == said[holder])


def normal(text: str) -> str:
    """Return who administers, hosts or supplies a party as it is compared: spaces and case do not count."""
    return " ".join(text.split()).casefold()

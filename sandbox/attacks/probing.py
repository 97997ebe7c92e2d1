"""Does this node hold what its tiers promise? Tried by attacking from inside, not by reading settings; in seconds."""

from __future__ import annotations

from dataclasses import dataclass

from plans.decision import Tier
from plans.errors import TierMissing
from sandbox.attacks import running
from sandbox.attacks.attack import Finding, Outcome
from sandbox.attacks.catalogue import TEXTS
from sandbox.contract import Wall

OTHER = "nothing else of use"
"""What attacks are called here that no single wall stops."""


@dataclass(frozen=True, slots=True)
class Probed:
    """A protection of a tier, whether every attack on it was refused, and how many there were, or which went through.

    A tier that this node lacks has one line, which says why; that is no fault of the node.
    """

    tier: Tier
    protection: str
    held: bool
    how: str


def probe(image: str = "sql") -> tuple[Probed, ...]:
    """Attack every tier of this node with what needs one box, and return a line per protection.

    Raises:
        NotFound: the image was not built.
    """
    return tuple(line for tier in (Tier.T1, Tier.T2) for line in _tier(tier, image))


def _tier(tier: Tier, image: str) -> tuple[Probed, ...]:
    try:
        found = running.carry_out(tier, [each for each in TEXTS if tier in each.tiers], image)
    except TierMissing as problem:
        return (Probed(tier, "this tier", tier is not Tier.T1, f"not on this node: {problem.what}"),)
    by_wall: dict[str, list[Finding]] = {}
    for finding in found:
        for wall in finding.attack.walls or (OTHER,):
            by_wall.setdefault(str(wall), []).append(finding)
    order = [*(str(wall) for wall in Wall), OTHER]
    return tuple(_line(tier, name, by_wall[name]) for name in order if name in by_wall)


def _line(tier: Tier, name: str, findings: list[Finding]) -> Probed:
    bad = [finding for finding in findings if finding.outcome in (Outcome.LEAK, Outcome.CANNOT_RUN)]
    if bad:
        said = "; ".join(
            f"{finding.attack.title}: {finding.outcome.value}, {finding.how}" for finding in bad[:3]
        )
        return Probed(tier, name, False, said)
    refused = sum(finding.outcome is Outcome.REFUSED for finding in findings)
    known = [finding.how for finding in findings if finding.outcome is Outcome.KNOWN]
    return Probed(tier, name, True, "; ".join([f"{refused} attacks from inside, refused", *known]))

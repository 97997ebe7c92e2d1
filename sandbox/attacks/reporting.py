"""A run of the suite over the tiers of this node, and what it means for whoever asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from plans.decision import Tier
from plans.errors import TierMissing
from sandbox.attacks import running, table
from sandbox.attacks.attack import Finding, Outcome

TIERS = (Tier.T1, Tier.T2)
"""Tiers that can be attacked here; T3 is the orchestrator's."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of every attack, and which tiers this node lacks, with the reason."""

    findings: tuple[Finding, ...]
    missing: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """Return 1 if an attack gained something, 2 if not all was tried and so not enough shown, else 0."""
        outcomes = {finding.outcome for finding in self.findings}
        if Outcome.LEAK in outcomes:
            return 1
        return 2 if Outcome.CANNOT_RUN in outcomes or Outcome.REFUSED not in outcomes else 0

    def summary(self) -> str:
        """Return what must not be overlooked, the counts, and what is missing."""
        parts = [table.remarkable(self.findings), table.counts(self.findings), *self.missing]
        return "\n".join(part for part in parts if part)

    def plain(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "attacks": [
                {
                    "attack": found.attack.name, "number": found.attack.number, "section": found.attack.section,
                    "title": found.attack.title, "tier": found.tier.value, "outcome": found.outcome.value,
                    "how": found.how,
                }
                for found in self.findings
            ],
            "missing": list(self.missing),
        }  # fmt: skip


def report(
    tiers: Iterable[Tier] = TIERS,
    sample: bool = False,
    image: str = "sql",
    write: Callable[[str], None] = lambda _: None,
) -> Report:
    """Carry out the suite; each line of its table is written as it comes.

    Raises:
        NotFound: the image was not built.
    """
    found: list[Finding] = []
    missing = []
    for tier in tiers:
        try:
            attacks = running.wanted(tier, sample)
            found += running.carry_out(tier, attacks, image, lambda finding: write(table.line(finding)))
        except TierMissing as problem:
            missing.append(f"{tier.value}: not on this node; {problem.what}. {problem.next_step}")
    return Report(tuple(found), tuple(missing))

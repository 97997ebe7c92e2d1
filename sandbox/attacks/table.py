"""What came of the attacks, as a table for people: one line each, then counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from plans.decision import Tier
from sandbox.attacks.attack import Finding, Outcome

_NAME, _HOW = 46, 70


def line(finding: Finding) -> str:
    """Return one attack, its tier, its outcome, and how that is known."""
    attack = finding.attack
    how = finding.how if len(finding.how) <= _HOW else finding.how[: _HOW - 1] + "…"
    words = f"{attack.label:<10} {finding.tier.value:<3} {finding.outcome.value:<11}"
    return f"{words} {attack.title[:_NAME]:<{_NAME}} {how}"


def counts(findings: Iterable[Finding]) -> str:
    """Return the counts, per tier and outcome, as the table's last lines."""
    by_tier: dict[Tier, Counter[Outcome]] = {}
    for finding in findings:
        by_tier.setdefault(finding.tier, Counter())[finding.outcome] += 1
    return "\n".join(
        f"{tier.value}: {sum(found.values())} attacks, "
        + ", ".join(f"{found[outcome]} {_WORDS[outcome]}" for outcome in Outcome)
        for tier, found in by_tier.items()
    )


def remarkable(findings: Iterable[Finding]) -> str:
    """Return what a reader must not overlook: leaks, and what could not be carried out, by reason."""
    reasons: dict[tuple[Outcome, Tier, str], list[str]] = {}
    for found in findings:
        if found.outcome in (Outcome.LEAK, Outcome.CANNOT_RUN):
            reasons.setdefault((found.outcome, found.tier, found.how), []).append(found.attack.title)
    return "\n".join(
        f"{outcome.value} on {tier.value}: {how} ({_few(titles)})"
        for (outcome, tier, how), titles in reasons.items()
    )


def _few(titles: list[str]) -> str:
    more = f" and {len(titles) - 4} more" if len(titles) > 4 else ""
    return ", ".join(titles[:4]) + more


_WORDS = {
    Outcome.REFUSED: "refused",
    Outcome.LEAK: "leaks",
    Outcome.KNOWN: "gained what docs/security.md says",
    Outcome.NOT_HERE: "about what this node has not",
    Outcome.CANNOT_RUN: "could not be carried out",
}

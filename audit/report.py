"""What verification found: findings that name the first event concerned, and a report that adds up."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from plans.errors import LogBroken


class Kind(StrEnum):
    """Kinds of findings; the sentence is what a person reads."""

    CHANGED = "changed"
    OUT_OF_PLACE = "out-of-place"
    MISSING = "missing"
    CLOCK = "clock"
    LEAVES = "leaves"
    REWRITTEN = "rewritten"
    HEAD = "head"
    COSIGNATURE = "cosignature"
    FORK = "fork"

    @property
    def sentence(self) -> str:
        """What it means."""
        return _SENTENCES[self]


_SENTENCES = {
    Kind.CHANGED: "An event's bytes are not those that were logged.",
    Kind.OUT_OF_PLACE: "An event was dropped, inserted or moved: this one does not belong here.",
    Kind.MISSING: "Events are missing at the end.",
    Kind.CLOCK: "An event's time contradicts its neighbours or the signed heads.",
    Kind.LEAVES: "The events are those that were signed, but their file of leaf hashes was changed.",
    Kind.REWRITTEN: "Events are not those under a signed head; their leaf hashes were changed to fit.",
    Kind.HEAD: "A signed head is not genuine.",
    Kind.COSIGNATURE: "A witness's signature is not genuine.",
    Kind.FORK: "The log's key signed two different pasts.",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    The first bad event is not before `first` and lies before `before`: it is known when `before` is one more.
    `segment` and `offset` (bytes) say where that event's line is, if there is one. `detail` names a head or
    witness.
    """

    kind: Kind
    first: int
    before: int
    segment: str = ""
    offset: int = -1
    detail: str = ""

    @property
    def exact(self) -> bool:
        """Whether the event is known, or only that it is one of several."""
        return self.before == self.first + 1

    def __str__(self) -> str:
        events = (
            f"event {self.first}" if self.exact else f"one of the events {self.first} to {self.before - 1}"
        )
        place = f", {self.segment} at byte {self.offset}" if self.offset >= 0 else ""
        detail = f" ({self.detail})" if self.detail else ""
        return f"{self.kind.sentence}{detail} From {events}{place}. [{self.kind}]"


@dataclass(frozen=True, slots=True)
class Report:
    """What was checked, and what is wrong, the first event concerned first.

    `signed` events are under a head of the log, `cosigned` ones under a head that a witness signed too: those
    behind can still be rewritten by somebody who holds the files, or the files and the key. `ignored` counts
    cosignatures by keys that were not given as witnesses.
    """

    events: int
    root: str
    heads: int
    cosignatures: int
    ignored: int
    signed: int
    cosigned: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    @property
    def first(self) -> Finding | None:
        """The finding with the first bad event; of several about the same, an exact one."""
        return self.findings[0] if self.findings else None

    def require(self) -> Report:
        """Return the report if nothing is wrong.

        Raises:
            LogBroken: something is; the error names the first bad event.
        """
        if self.first:
            raise LogBroken("the audit log does not verify", str(self.first))
        return self

    def lines(self) -> tuple[str, ...]:
        """Return the report as a person reads it."""
        summary = (
            f"{self.events:,} events, {self.heads:,} heads, {self.cosignatures:,} cosignatures"
            + (f" ({self.ignored:,} by unknown keys, ignored)" if self.ignored else ""),
            f"under a signed head: {self.signed:,}; cosigned by a witness: {self.cosigned:,}",
        )
        verdict = (
            "The log verifies." if self.ok else f"The log does NOT verify: {len(self.findings)} findings."
        )
        return (*summary, *map(str, self.findings), verdict)


def in_order(findings: list[Finding]) -> tuple[Finding, ...]:
    """Return findings by first event, exact ones before others."""
    return tuple(sorted(findings, key=lambda each: (each.first, not each.exact, each.kind)))

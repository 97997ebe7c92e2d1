"""The verdict: what the judge box found about the re-encoded output, and nothing about its values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from plans import names
from plans.record import Record


class Finding(StrEnum):
    """What happens to the output."""

    PASS = "pass"
    REPAIRED = "repaired"
    HELD = "held"
    REFUSED = "refused"

    @property
    def sentence(self) -> str:
        """What a person reads."""
        return _SENTENCES[self]


_SENTENCES = {
    Finding.PASS: "The output may leave as it is.",
    Finding.REPAIRED: "The output may leave after small groups were suppressed or figures rounded.",
    Finding.HELD: "The output waits for people of the owning domain to look at it.",
    Finding.REFUSED: "The output does not leave.",
}


@dataclass(frozen=True, slots=True)
class Verdict(Record):
    """A verdict on one plan's output.

    `judged` and `content` are salted commitments (the salt is inside the bytes, so that guessing small
    results does not help): to the re-encoded bytes that were judged, and to the bytes that leave. `sealed` is
    the SHA-256 of the sealed bytes, empty when refused; of a held output they lie under a key of the owner's.
    `reasons` are rule classes ("small-group", "rounding", "too-many-cells", …).
    """

    KIND: ClassVar[str] = "verdict"

    plan: str
    finding: Finding
    reasons: tuple[str, ...]
    judged: str
    content: str
    sealed: str

    def check(self) -> None:
        names.require("digest", self.plan, "verdict.plan")
        for value in (self.judged, self.content, self.sealed):
            if value:
                names.require("digest", value, "verdict")

"""The release: exactly the bytes that were judged, sealed to the recipient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from plans import names
from plans.record import Record


@dataclass(frozen=True, slots=True)
class Release(Record):
    """What the owner's side signs when a result leaves: which plan, which verdict, to whom, and which sealed bytes."""

    KIND: ClassVar[str] = "release"

    plan: str
    verdict: str
    recipient: str
    sealed: str
    content: str
    released_at: int

    def check(self) -> None:
        for value in (self.plan, self.verdict, self.sealed, self.content):
            names.require("digest", value, "release")
        names.require("opening key", self.recipient, "release.recipient")


RELEASE_INFO = b"darkroom/v1/release"
"""HPKE `info` under which a result is sealed to its recipient; the associated data is the plan's digest."""

KEYS_INFO = b"darkroom/v1/box-keys"
"""HPKE `info` under which a keeper seals keys to a box; the associated data is the box statement."""

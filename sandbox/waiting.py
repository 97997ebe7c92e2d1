"""Where a lab stands that waits, as a launcher tells it."""

from __future__ import annotations

from dataclasses import dataclass

from plans.errors import Malformed
from plans.record import Record

PLACES, MEMORY = "places", "memory"


@dataclass(frozen=True, slots=True)
class Waiting(Record):
    """How many wait before, and what there is too little of: `places` or `memory`."""

    before: int
    why: str

    def check(self) -> None:
        if self.before < 0 or self.why not in (PLACES, MEMORY):
            raise Malformed("a lab waits behind others, for a place or for memory", "launcher")

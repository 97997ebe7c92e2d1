"""What sharing works with: the database, the audit log and the way to the owners' keepers; and the one way to
record an event.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from audit import api as audit
from plans.statements import Signed
from store import api as store


class Keepers(Protocol):
    """The owners' keepers."""

    def submit(self, domain: str, signed: Signed) -> None:
        """Hand a statement to a domain's keeper, which verifies it against its own roster.

        Raises:
            Unreachable: the keeper does not answer; it knows nothing of the statement.
            SignatureWrong: the keeper does not accept it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Office:
    """The surroundings of every function here. The clock gives Unix seconds."""

    database: store.Database
    log: audit.Log
    keepers: Keepers
    clock: Callable[[], float] = time.time

    @property
    def now(self) -> int:
        """The present in Unix seconds."""
        return int(self.clock())

    def record(self, actor: store.MemberRow, domain: str, action: str, subject: str, plan: str = "") -> None:
        """Write an event about `domain`, durably, before anybody sees the result of its action.

        Raises:
            DarkroomError: it cannot be written; the action must not happen.
        """
        self.log.append(
            audit.Event(actor=actor.name, domain=domain, action=action, object=subject, plan=plan)
        )

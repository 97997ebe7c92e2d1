"""What sharing works with: the database, the audit log and the way to the owners' keepers; and the one way to
record an event.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from audit import api as audit
from plans.statements import Signed
from store import api as store

SHORT_LIVED = ("session", "token")
"""Events about who was there; all others are about who may do what, and are kept as grants are."""


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

    def record(self, actor: store.MemberRow, action: str, subject: str, **more: Any) -> None:
        """Write an event, durably, before anybody sees the result of its action.

        Args:
            actor: the member who acts.
            action: `session.begun`; the word before the dot says how long the event is kept.
            subject: the id, digest or name of what is acted on.
            more: `domain` if it is not the actor's own, `plan` (its digest), and `personal`: texts of which
                the log holds salted commitments only.

        Raises:
            DarkroomError: it cannot be written; the action must not happen.
        """
        retention = (
            audit.Retention.NETWORK if action.partition(".")[0] in SHORT_LIVED else audit.Retention.GRANTS
        )
        about = {"domain": actor.domain} | more
        self.log.append(audit.Draft(actor.name, action=action, object=subject, retention=retention, **about))

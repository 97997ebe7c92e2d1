"""What the jobs on look-alike data that have ended at once have in common: the interface of `darkroom.Job`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self

from darkroom.listing import Displayed

LOOK_ALIKE = "look-alike"
"""The state of a job on look-alike data: it has ended, and nothing was asked of an owner."""


class EndedTwin(Displayed):
    """A job that has ended already. `explain` asks what the owner's rules say of the same on real data; nothing else
    asks anybody anything.
    """

    look_alike: ClassVar[bool] = True
    kind: ClassVar[str]

    def __init__(self, name: str, explain: Callable[[], list[dict[str, str]]]) -> None:
        self.id, self._explain = name, explain

    @property
    def state(self) -> str:
        """`look-alike`."""
        return LOOK_ALIKE

    @property
    def sentence(self) -> str:
        """What came of it."""
        raise NotImplementedError

    @property
    def finished(self) -> bool:
        """True."""
        return True

    @property
    def waits_for(self) -> str:
        """Nobody."""
        return ""

    waiting = waits_for

    @property
    def view(self) -> dict[str, Any]:
        """What there is to say of it, as for a job at the platform."""
        told = {"id": self.id, "state": self.state, "sentence": self.sentence}
        return told | {"waits_for": self.waits_for, "kind": self.kind}

    def refresh(self) -> Self:
        """Do nothing: it has ended."""
        return self

    def wait(self, timeout: float | None = None, progress: Callable[[Any], None] | None = None) -> Self:
        """Return at once; `progress` is called with the one state that it has."""
        if progress:
            progress(self)
        return self

    def progress(self) -> str:
        """Return what came of it."""
        return self.sentence

    def problem(self) -> None:
        """Return nothing: it has a result."""

    def explain(self) -> list[dict[str, str]]:
        """Ask the platform what the owner's rules say of the same on real data, and return every reason; none if it
        would be allowed. It is a dry run: nothing runs on data and nothing is spent.

        Raises:
            DarkroomError: what the portal says, as of a statement that its guard refuses.
        """
        return self._explain()

    def cancel(self) -> Self:
        """Do nothing: it has ended."""
        return self

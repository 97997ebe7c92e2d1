"""What jobs on look-alike data have in common: the interface of `darkroom.Job`, without anybody who is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self

from darkroom.listing import Followed

LOOK_ALIKE = "look-alike"
"""The state of a job on look-alike data: it has ended, and nothing was asked of an owner."""


class Twin(Followed):
    """A job that runs in this process's sight, so that it waits for nobody and there is nothing to look up."""

    look_alike: ClassVar[bool] = True
    kind: ClassVar[str]

    def __init__(self, name: str) -> None:
        self.id = name

    @property
    def state(self) -> str:
        """Where it is: `look-alike` once it has ended well."""
        raise NotImplementedError

    @property
    def sentence(self) -> str:
        """What the state means."""
        raise NotImplementedError

    @property
    def waits_for(self) -> str:
        """Who has to act next: nobody."""
        return ""

    waiting = waits_for

    @property
    def view(self) -> dict[str, Any]:
        """What there is to say of it, as for a job at the platform."""
        told = {"id": self.id, "state": self.state, "sentence": self.sentence}
        return told | {"waits_for": self.waits_for, "kind": self.kind}

    def refresh(self) -> Self:
        """Do nothing: it is in sight."""
        return self


class EndedTwin(Twin):
    """A job that has ended already. `explain` asks what the owner's rules say of the same on real data; nothing else
    asks anybody anything.
    """

    def __init__(self, name: str, explain: Callable[[], list[dict[str, str]]]) -> None:
        super().__init__(name)
        self._explain = explain

    @property
    def state(self) -> str:
        """`look-alike`."""
        return LOOK_ALIKE

    @property
    def finished(self) -> bool:
        """True."""
        return True

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

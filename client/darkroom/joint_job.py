"""A joint computation as its asker follows it, with the interface of `darkroom.Job`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from darkroom import taken
from darkroom.listing import Followed
from plans.errors import DarkroomError, from_problem

if TYPE_CHECKING:
    from darkroom.joint_asking import Joint
    from darkroom.joint_result import JointResult

PATIENCE_S = 7 * 24 * 3600.0
"""How long is waited where nobody says: approvers of several agencies read the plan first."""

_ENDED = ("released", "refused", "failed", "cancelled")


class JointJob(Followed):
    """One joint computation. Looking at it fetches nothing; `refresh`, `wait` and `result` do."""

    look_alike: ClassVar[bool] = False
    kind: ClassVar[str] = "joint"

    def __init__(self, connection: Joint, view: dict[str, Any]) -> None:
        self._connection, self._view = connection, view

    @property
    def id(self) -> str:
        """The computation's number."""
        return str(self._view["id"])

    @property
    def state(self) -> str:
        """The state as of the last look."""
        return str(self._view["state"])

    @property
    def sentence(self) -> str:
        """What the state means."""
        return str(self._view.get("sentence", ""))

    @property
    def finished(self) -> bool:
        """Whether the state will not change any more."""
        return self.state in _ENDED

    @property
    def waits_for(self) -> str:
        """Who has to act next; empty when nobody has, or the portal does not say."""
        return str(self._view.get("waits_for") or "")

    @property
    def view(self) -> dict[str, Any]:
        """Everything that the portal said at the last look."""
        return dict(self._view)

    def refresh(self) -> JointJob:
        """Look again."""
        self._view = self._connection.joint(self.id)
        return self

    def wait(
        self, timeout: float | None = None, progress: Callable[[JointJob], None] | None = None
    ) -> JointJob:
        """Wait until it has ended; `progress` is called at each new state.

        Raises:
            NotFinished: it has not ended within `timeout` seconds; it goes on all the same.
            DarkroomError: it ended without an answer; the sentence says why.
        """

        def heard(view: dict[str, Any]) -> None:
            self._view = view
            if progress:
                progress(self)

        timeout = taken.seconds(timeout)
        self._view = self._connection.wait_jointly(self.id, PATIENCE_S if timeout is None else timeout, heard)
        return self

    def progress(self) -> str:
        """Look again, and return in one line where it is and which parties have approved it."""
        self.refresh()
        return f"{self.state}: {self.sentence}".rstrip(": ")

    def logs(self) -> str:
        """Return what happened so far, a line for each state, in UTC, where the portal tells it."""
        lines = []
        for entry in self._view.get("timeline") or ():
            at, _, state = str(entry).partition(" ")
            lines.append(time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(int(at))) + f"  {state}")
        return "\n".join(lines)

    def problem(self) -> DarkroomError | None:
        """Return why it did not end with an answer, or none."""
        problem = self._view.get("problem")
        return from_problem(problem) if isinstance(problem, dict) else None

    def explain(self) -> list[dict[str, str]]:
        """Fetch the plan, check it, and return what it says: who computes, who sees what, under which model."""
        from darkroom.joint_asking import plan_lines

        lines = plan_lines(self._connection.joint_plan(self.id))
        return [
            {"rule": each.label, "subject": self.id, "sentence": each.value, "help": ""} for each in lines
        ]

    def cancel(self) -> JointJob:
        """Cancel it; all parties end their boxes."""
        self._view = self._connection.cancel_joint(self.id)
        return self

    def result(self, timeout: float | None = None) -> JointResult:
        """Wait, fetch what was sealed to this member, check it, and open it.

        Raises:
            DarkroomError: why there is no answer, or what does not hold about it.
        """
        self.wait(timeout)
        return self._connection.open_jointly(self.id)

    def __repr__(self) -> str:
        return f"JointJob({self.id}: {self.state})"

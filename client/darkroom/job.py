"""A job as the member sees it. Looking at one never runs or fetches anything; `refresh`, `wait` and `result`
do.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

from darkroom import taken
from darkroom.listing import Followed
from plans.errors import DarkroomError, HashMismatch, NotFinished, StateConflict, from_problem

if TYPE_CHECKING:
    from darkroom.connection import Connection
    from darkroom.files import Files
    from darkroom.result import Result
    from plans.request import Request

if TYPE_CHECKING:  # Python has defaults of type variables from 3.13 on
    from typing_extensions import TypeVar as Defaulted

    R_co = Defaulted("R_co", covariant=True, default="Result | Files")
else:
    R_co = TypeVar("R_co", covariant=True)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 2.0
"""Between looks at a portal that answers at once although nothing has moved."""

RELEASED = "released"
ENDED = (RELEASED, "refused", "failed", "cancelled")
"""The states after which nothing more happens."""

UNFINISHED = ("submitted", "waiting-approval", "queued", "trying", "running", "inspecting", "held")
"""The states in which whoever waits for the end alone goes on waiting."""


def job_id_of(request: Request) -> str:
    """Return the id of the job that a request becomes: the head of its digest, so no other result fits it."""
    return request.digest.removeprefix("sha256:")[:20]


class Job(Followed, Generic[R_co]):
    """One submitted request, and what its result is: a table (`Job[Result]`), or files (`Job[Files]`)."""

    look_alike = False
    """It is about the real data (see `darkroom.twin_result.TwinJob`)."""

    def __init__(self, connection: Connection, view: dict[str, Any]) -> None:
        self._connection, self._view = connection, view

    @property
    def connection(self) -> Connection:
        """The connection over which it was found."""
        return self._connection

    @property
    def id(self) -> str:
        """The job's id."""
        return str(self._view["id"])

    @property
    def state(self) -> str:
        """The state as of the last look."""
        return str(self._view["state"])

    @property
    def sentence(self) -> str:
        """What the state means."""
        return str(self._view["sentence"])

    @property
    def waits_for(self) -> str:
        """Who has to act next; empty when nobody has."""
        return str(self._view["waits_for"] or "")

    @property
    def finished(self) -> bool:
        """Whether the state will not change any more."""
        return self.state in ENDED

    @property
    def view(self) -> dict[str, Any]:
        """Everything that the portal said at the last look."""
        return dict(self._view)

    def refresh(self) -> Self:
        """Look again."""
        self._view = self._connection.view(self.id)
        return self

    def wait(self, timeout: float | None = None, progress: Callable[[Self], None] | None = None) -> Self:
        """Wait until the job has finished; `progress` is called at each new state. The portal answers when there is
        something new; one that has no place for another waiting call is asked again after a pause.

        Raises:
            NotFinished: it has not finished within `timeout` seconds; it goes on all the same.
        """
        timeout = taken.seconds(timeout)
        ends = None if timeout is None else time.monotonic() + timeout
        pause, told = FIRST_PAUSE_S, ""
        while True:
            if progress and self.state != told:
                told = self.state
                progress(self)
            if self.finished:
                return self
            asked = time.monotonic()
            left = math.inf if ends is None else ends - asked
            if left <= 0:
                raise self._not_finished()
            seen = (self.state,) if progress else (self.state, *UNFINISHED)
            self._view = self._connection.view(self.id, seen=seen, wait_s=left)
            if self.state in seen and time.monotonic() - asked < pause:
                time.sleep(min(pause, left))
                pause = min(pause * 1.4, LONGEST_PAUSE_S)
            else:
                pause = FIRST_PAUSE_S

    def _not_finished(self) -> DarkroomError:
        from darkroom.advice import Lesson, teach

        problem = NotFinished(
            "the job has not finished yet",
            f"job {self.id}, {self.state}",
            f"It goes on; wait again: darkroom.job({self.id!r}).wait()",
        )
        return teach(problem, Lesson(command=f"It goes on; look again: darkroom job {self.id}"))

    @property
    def kind(self) -> str:
        """What was asked for: `sql`, `python` or `component`."""
        return str(self._view.get("kind", "sql"))

    @property
    def waiting(self) -> str:
        """What it waits for, and in which place of the queue; empty when nobody has to act."""
        before = int(self._view.get("position") or 0)
        return self.waits_for + (f", {before} jobs before it" if before else "")

    def explain(self) -> list[dict[str, str]]:
        """Return every reason of the decision: rule, subject, sentence, and what would help; none if it is allowed. Of
        a job that nothing is decided about the one reason is that, or what ended it before.
        """
        decision = self._view.get("decision") or {}
        if decision or self.state == RELEASED:
            return list(decision.get("reasons", []))
        problem = self.problem()
        if problem is not None:
            return [_reason(problem.code, self.id, problem.what, problem.next_step)]
        told = _SENTENCES["ended" if self.finished else "undecided"]
        return [_reason("undecided", self.id, *told)]

    def remedies(self) -> list[str]:
        """Return what would make a denied job pass, all of it together; empty if nothing is known to."""
        return self._suggested("remedies")

    def alternatives(self) -> list[str]:
        """Return what the owner could change in place of rewriting the statement."""
        return self._suggested("alternatives")

    def _suggested(self, part: str) -> list[str]:
        explanation = (self._view.get("problem") or {}).get("explanation") or {}
        return [str(remedy["sentence"]) for remedy in explanation.get(part, [])]

    def problem(self) -> DarkroomError | None:
        """Return why the job did not end with a result, or none."""
        problem = self._view.get("problem")
        return from_problem(problem) if problem else None

    def progress(self) -> str:
        """Look again, and return in one line where the job is and who has to act next."""
        self.refresh()
        waits = f"; waits for {self.waiting}" if self.waiting else ""
        return _shown(f"{self.state}: {self.sentence}{waits}")

    def logs(self) -> str:
        """Return what happened to the job so far, a line for each state, in UTC. What a program prints on real data
        stays in its box; a trial (`on="twin"`) shows it whole.
        """
        lines = []
        for entry in self._view.get("timeline") or ():
            at, _, state = str(entry).partition(" ")
            moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(int(at))) if at.isdecimal() else at
            lines.append(f"{moment}  {state}")
        return _shown("\n".join(lines))

    def cancel(self) -> Self:
        """Cancel it, unless it has finished."""
        self._view = self._connection.cancel(self.id)
        return self

    def retry(self) -> Self:
        """Have it run anew, if it failed or was cancelled."""
        self._view = self._connection.retry(self.id)
        return self

    def result(self, timeout: float | None = None) -> R_co:
        """Wait, fetch the release, check it, and open it with the member's key: the table of a statement, or the
        files of a task.

        Raises:
            DarkroomError: why there is no result.
            HashMismatch: the plan is about another request.
        """
        self.wait(timeout)
        problem = self.problem()
        if problem is not None:
            from darkroom.advice import taught

            raise taught(problem, self)
        if self.state != RELEASED:
            raise StateConflict(f"this job has no result: {self.sentence}", f"job {self.id}")
        evidence = self._connection.evidence(self.id)
        asked = evidence.plan.request
        if asked is None or job_id_of(asked) != self.id:
            raise HashMismatch(
                "the plan is not about the request that this job was made for", f"job {self.id}"
            )
        return cast("R_co", self._connection.open(evidence))

    def __repr__(self) -> str:
        waits = f", waits for {self.waits_for}" if self.waits_for else ""
        return _shown(f"Job({self.id}: {self.state}{waits})")


_SENTENCES = {
    "undecided": ("Nothing is decided about it yet.", "Wait for it: job.wait(), then job.explain()."),
    "ended": ("It ended before anything was decided about it.", "Ask again when you are ready."),
}
"""What there is to say of a job without a decision, and what would help."""


def _reason(rule: str, subject: str, sentence: str, helps: str) -> dict[str, str]:
    return {"rule": rule, "subject": subject, "sentence": sentence, "help": helps}


def _shown(text: str) -> str:
    """Return what the portal said as a terminal may show it, with control and direction characters escaped."""
    from darkroom.display_text import plain

    return plain(text)

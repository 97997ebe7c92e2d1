"""A folder or function on look-alike data: it runs here, and its job and result have the interface of real ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from darkroom import taken
from darkroom.folder import Work
from darkroom.twin_child import (
    ABSENT,
    CANCELLED,
    FAILED,
    LONGEST_S,
    MEMORY,
    OUTPUTS,
    TIME,
    UNDECLARED,
    Child,
    Ended,
    interpreter,
)
from darkroom.twin_ended import LOOK_ALIKE, Twin
from darkroom.twin_files import UNJUDGED, TwinFiles
from plans.errors import BoxFailed, DarkroomError, NotFinished, StateConflict
from plans.trial import TrialReport

if TYPE_CHECKING:
    import pyarrow

_LOOK_S = 0.2
"""Pause between two looks at a program that runs; a new state is told within it."""


class TwinRun(Twin):
    """A program that runs here on look-alike tables, with the interface of `darkroom.Job`. Nobody is asked anything,
    nothing is spent, and an interrupt ends it.
    """

    kind: ClassVar[str] = "python"

    def __init__(
        self,
        work: Work,
        tables: Mapping[str, pyarrow.Table],
        told: tuple[str, ...] = (),
        limit_s: float = LONGEST_S,
    ) -> None:
        super().__init__(f"twin-{work.folder.digest.removeprefix('sha256:')[:15]}")
        self._work, self._told = work, (UNJUDGED, interpreter(), *told)
        self._child = Child(work.folder, tables, limit_s)

    @property
    def state(self) -> str:
        """`trying`, then `look-alike`, `failed` or `cancelled`."""
        ended = self._child.ended
        if ended is None:
            return "trying"
        if ended.report.code == CANCELLED:
            return "cancelled"
        return "failed" if ended.report.code else LOOK_ALIKE

    @property
    def sentence(self) -> str:
        """What the state means."""
        return _STATES[self.state]

    @property
    def finished(self) -> bool:
        """Whether it has ended."""
        return self._child.ended is not None

    def wait(self, timeout: float | None = None, progress: Callable[[Any], None] | None = None) -> TwinRun:
        """Wait until it has ended; `progress` is called at each new state. An interrupt ends the program.

        Raises:
            NotFinished: it has not ended within `timeout` seconds; it goes on all the same.
        """
        timeout = taken.seconds(timeout)
        ends, told = None if timeout is None else time.monotonic() + timeout, ""
        while True:
            if progress and self.state != told:
                told = self.state
                progress(self)
            if self.finished:
                return self
            left = _LOOK_S if ends is None else min(_LOOK_S, ends - time.monotonic())
            if left <= 0:
                raise NotFinished(
                    "the program has not ended yet", self.id, "It goes on; job.cancel() ends it."
                )
            self._child.wait(left)

    def progress(self) -> str:
        """Return in one line where it is."""
        return f"{self.state}: {self.sentence}"

    def logs(self) -> str:
        """Wait, and return what the program printed. It saw made-up rows alone, so all of it is shown."""
        return self.report().log

    def report(self) -> TrialReport:
        """Wait, and return all that happened: how it ended and where, what it printed, the files that it left."""
        return self._ended().report

    def problem(self) -> DarkroomError | None:
        """Return why it has no result, or none."""
        report = self._child.ended.report if self._child.ended else None
        if report is None or not report.code:
            return None
        if report.code == CANCELLED:
            return StateConflict("the program was ended before it had a result", self.id, "Submit it again.")
        sentence, step = SENTENCES.get(report.code, SENTENCES[FAILED])
        place = f"{report.place.file}:{report.place.line}" if report.place else report.code
        if report.code != FAILED:
            where = f"{place}, {report.code}" if report.place else report.code
            return BoxFailed(f"{sentence}: {report.text}" if report.text else sentence, where, step)
        lines = report.text.strip().splitlines()
        return BoxFailed((lines[-1] if lines else sentence)[:400].rstrip("."), place, _SEE)

    def explain(self) -> list[dict[str, str]]:
        """Wait, and return why the program failed, as a list of one reason; none if it ended well. The owner's rules
        judge what leaves on real data, and are not asked.
        """
        self.wait()
        problem = self.problem()
        if problem is None:
            return []
        reason = {"rule": self.report().code, "subject": problem.where}
        return [reason | {"sentence": problem.what, "help": problem.next_step}]

    def cancel(self) -> TwinRun:
        """End the program, unless it has ended."""
        self._child.end()
        return self

    def result(self, timeout: float | None = None) -> TwinFiles:
        """Wait, and return what the program left.

        Raises:
            BoxFailed: the program failed, or left other outputs than it declares; it says where, or which.
            StateConflict: it was ended before.
            NotFinished: as `wait`.
        """
        self.wait(timeout)
        problem = self.problem()
        if problem is not None:
            raise problem
        return TwinFiles(self._work.artifacts, dict(self._ended().outputs), self._told)

    def __repr__(self) -> str:
        return f"TwinRun({self.id}: {self.state}, on LOOK-ALIKE data)"

    def _ended(self) -> Ended:
        self.wait()
        assert self._child.ended is not None  # `wait` returns once there is one
        return self._child.ended


_STATES = {
    "trying": "The program runs here on look-alike data. Nothing is asked of an owner, and nothing is spent.",
    LOOK_ALIKE: "It ended well on look-alike data, here. Nothing was asked of an owner, and nothing was spent.",
    "failed": "The program failed on look-alike data.",
    "cancelled": "The program was ended.",
}
_SEE = "job.logs() shows what it printed. Correct it and try again."

SENTENCES = {
    FAILED: ("the program ended with an error, or with a status other than 0", _SEE),
    TIME: (
        f"the program ran longer than a program may here, {LONGEST_S:.0f} s",
        "Work on fewer columns; or have it tried at the owner's launcher: darkroom.attempt(folder).",
    ),
    MEMORY: (
        "the program needed more memory than this lab has left for it",
        "Work on fewer columns or in parts, shut down kernels that you do not need, or ask for a larger profile.",
    ),
    OUTPUTS: (
        "the program left something that its plan does not let it leave",
        "Leave plain files with lower-case names in $DARKROOM_OUT, as many and as large as the plan says.",
    ),
    ABSENT: (
        "the program did not leave every output that it declares",
        "Write each declared output in every case, also where a table is empty; or declare fewer.",
    ),
    UNDECLARED: (
        "the program left an output that it does not declare",
        "Declare it with its form, or write it below $TMPDIR: nothing undeclared leaves.",
    ),
}
"""Why a program has no result, and what to do: of outputs in the words of a box (`sandbox.telling`)."""

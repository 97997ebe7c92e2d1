"""A folder or function on look-alike data: its trial beside the data, at the owner's launcher, and all that it said."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from darkroom import taken
from darkroom.listing import Displayed
from plans.errors import BoxFailed, NotFinished
from plans.trial import TrialReport

if TYPE_CHECKING:
    from darkroom.wire import Wire

LONGEST_TRIAL_S = 3_600.0


class TrialJob(Displayed):
    """A trial, with the interface of `darkroom.Job`. It is the same trial however often it is asked for."""

    look_alike: ClassVar[bool] = True
    kind: ClassVar[str] = "python"

    def __init__(self, wire: Wire, body: dict[str, Any], name: str) -> None:
        self._wire, self._body, self.id = wire, body, name
        self._report: TrialReport | None = None

    @property
    def state(self) -> str:
        """`trying`, then `tried` or `failed`, as of the last look."""
        if self._report is None:
            return "trying"
        return "failed" if self._report.code else "tried"

    @property
    def sentence(self) -> str:
        """What the state means."""
        return _SENTENCES[self.state]

    @property
    def finished(self) -> bool:
        """Whether it has ended."""
        return self._report is not None

    @property
    def waits_for(self) -> str:
        """Who has to act next: the platform, until it has ended."""
        return "" if self.finished else "the platform"

    waiting = waits_for

    @property
    def view(self) -> dict[str, Any]:
        """What there is to say of it."""
        told = {"id": self.id, "state": self.state, "sentence": self.sentence}
        return told | {"waits_for": self.waits_for, "kind": self.kind}

    def refresh(self) -> TrialJob:
        """Look again; the portal answers once the trial has ended, or after some seconds."""
        if self._report is None:
            plain = self._wire.post("/api/v1/trials", self._body, again=True)["report"]
            self._report = None if plain is None else TrialReport.read(plain)
        return self

    def wait(
        self, timeout: float | None = LONGEST_TRIAL_S, progress: Callable[[Any], None] | None = None
    ) -> TrialJob:
        """Wait until it has ended; `progress` is called at each new state.

        Raises:
            NotFinished: it has not ended within `timeout` seconds; it goes on all the same.
        """
        timeout = taken.seconds(timeout)
        ends, told = time.monotonic() + (LONGEST_TRIAL_S if timeout is None else timeout), ""
        while True:
            if progress and self.state != told:
                told = self.state
                progress(self)
            if self.finished:
                return self
            if time.monotonic() >= ends:
                raise NotFinished(
                    "the trial has not ended yet", self.id, "It goes on; the same call finds it again."
                )
            self.refresh()

    def progress(self) -> str:
        """Look again, and return in one line where it is."""
        self.refresh()
        return f"{self.state}: {self.sentence}"

    def logs(self) -> str:
        """Wait, and return what the program printed. It saw made-up rows alone, so all of it is shown."""
        return self.report().log

    def report(self) -> TrialReport:
        """Wait, and return all that happened: how it ended and where, what it printed, the files that it left."""
        self.wait()
        assert self._report is not None  # `wait` returns once there is one
        return self._report

    def problem(self) -> BoxFailed | None:
        """Return why the program failed, or none."""
        report = self._report
        if report is None or not report.code:
            return None
        place = f"{report.place.file}:{report.place.line}" if report.place else report.code
        what = report.text.strip().splitlines()[-1] if report.text.strip() else report.code
        return BoxFailed(
            what[:400].rstrip("."), place, "job.logs() shows what it printed. Correct it and try again."
        )

    def explain(self) -> list[dict[str, str]]:
        """Wait, and return why the program failed, as a list of one reason; none if it ended well."""
        self.wait()
        problem = self.problem()
        if problem is None:
            return []
        return [
            {
                "rule": problem.code,
                "subject": problem.where,
                "sentence": problem.what,
                "help": problem.next_step,
            }
        ]

    def cancel(self) -> TrialJob:
        """Do nothing: a trial ends by itself, and whoever asks again finds its report."""
        return self

    def result(self, timeout: float | None = None) -> TrialReport:
        """Wait, and return the report of a program that ended well. Contents of files are looked at on real data
        only, where rules check them; a trial tells names and sizes.

        Raises:
            BoxFailed: the program failed; it says where.
            NotFinished: as `wait`.
        """
        self.wait(timeout)
        problem = self.problem()
        if problem is not None:
            raise problem
        return self.report()

    def __repr__(self) -> str:
        return f"TrialJob({self.id}: {self.state}, on LOOK-ALIKE data)"


_SENTENCES = {
    "trying": "The program is being tried on look-alike data, beside the data and without any of them.",
    "tried": "The program ended well on look-alike data.",
    "failed": "The program failed on look-alike data.",
}

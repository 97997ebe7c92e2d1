"""How other processes speak with a launcher: blocking, one question per connection."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from plans import frames
from plans.box import BoxState, Entry
from plans.errors import DarkroomError, Malformed, Unreachable
from plans.plan import Plan
from plans.statements import Signed
from sandbox.kept_homes import Kept
from sandbox.waiting import Waiting

ASK_S = 30.0
LONGEST_RUN_S = 3600.0


@dataclass(frozen=True, slots=True)
class StageResult:
    """A stage that ended well: the launcher's signed record, and milliseconds from the beginning to each
    step.

    The timings are told to the owner only; whoever else asks hears in a word how long all took (`sandbox.telling`).
    Nobody signs either.
    """

    record: Signed
    timings: Mapping[str, int]
    took: str = ""


class LauncherClient:
    """A launcher behind its socket."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def put(self, plan: Plan) -> None:
        """Give the launcher a plan to keep."""
        frames.ask(self._path, {"op": "put", "plan": plan.plain()}, ASK_S)

    def run(
        self,
        plan: str,
        stage: Entry,
        attempt: int,
        on_state: Callable[[BoxState], None] | None = None,
        timeout_s: float | None = LONGEST_RUN_S,
        on_waiting: Callable[[Waiting], None] | None = None,
    ) -> StageResult:
        """Run a stage, or wait for it if it runs already, or return what it gave. `on_state` hears the box's
        states, and `on_waiting` where a lab stands in its line. A `timeout_s` of none is for labs, which say nothing
        for days.

        Raises:
            BoxLimit, BoxFailed: the box ended without a result; `where` is a stable code, see also
                `facts_of`.
            Unreachable: the launcher does not answer, or not within `timeout_s` of its last word; the box may
                still run.
            DarkroomError: what the launcher or the owner's keeper refuses with.
        """
        question = {"op": "run", "plan": plan, "stage": stage.value, "attempt": attempt}
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(timeout_s)
                connection.connect(str(self._path))
                connection.sendall(frames.pack(question))
                with connection.makefile("rb") as stream:
                    answer = _last(stream, on_state, on_waiting)
        except OSError as problem:
            told = problem.strerror or "no answer in time"
            raise Unreachable(f"the launcher does not answer ({told})", self._path.name) from None
        return self._result(answer)

    def kept(self, plan: str, stage: Entry, attempt: int) -> StageResult:
        """Return what a stage that has ended gave, and start nothing.

        Raises:
            NotFound: it has not ended, or nothing of it is kept: it was never run, or its launcher stopped meanwhile.
            DarkroomError: what it ended with.
        """
        question = {"op": "kept", "plan": plan, "stage": stage.value, "attempt": attempt}
        return self._result({"ok": frames.ask(self._path, question, ASK_S)})

    def pair(self, plan: str, trial: str) -> None:
        """Say which trial's plan belongs to a job's plan, before the job runs (`sandbox.pairing`).

        Raises:
            NotFound, Malformed, StateConflict: as `sandbox.pairing.pair`.
        """
        frames.ask(self._path, {"op": "pair", "plan": plan, "trial": trial}, ASK_S)

    def cancel(self, plan: str, stage: Entry, attempt: int) -> None:
        """End the box of a stage that is running; raises `NotFound` if it is not."""
        frames.ask(
            self._path, {"op": "cancel", "plan": plan, "stage": stage.value, "attempt": attempt}, ASK_S
        )

    def opened(self, plan: str, attempt: int) -> bytes:
        """Return what this side's part of a joint computation leaves for the recipient, sealed.

        Raises:
            NotFound: it leaves nothing, or has not ended well.
            Unreachable: the launcher does not answer.
        """
        question, sealed = {"op": "opened", "plan": plan, "attempt": attempt}, bytearray()
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(ASK_S)
                connection.connect(str(self._path))
                connection.sendall(frames.pack(question))
                with connection.makefile("rb") as stream:
                    while (frame := frames.read(stream)) is not None and "sealed" in frame:
                        sealed += bytes.fromhex(str(frame["sealed"]))
        except OSError as problem:
            told = problem.strerror or "no answer in time"
            raise Unreachable(f"the launcher does not answer ({told})", self._path.name) from None
        frames.settle(frame, self._path.name)
        return bytes(sealed)

    def status(self) -> dict[str, Any]:
        """Return domain, node, public key, whether it has a user of its own, tiers, images, and the boxes that live."""
        return frames.ask(self._path, {"op": "status"}, ASK_S)

    def homes(self, *, count: bool = True) -> tuple[Kept, ...]:
        """Return every home of a launcher with labs, for whoever may ask at its owner's door; to count may take long.

        Raises:
            NotFound: no labs run there.
        """
        answer = frames.ask(self._path, {"op": "homes", "count": count}, LONGEST_RUN_S)
        return tuple(Kept.read(kept) for kept in answer.get("homes") or ())

    def erase_home(self, name: str) -> None:
        """Erase a home with all that is in it.

        Raises:
            NotFound: there is none of this name, or no labs run there.
            StateConflict: a lab has it.
        """
        frames.ask(self._path, {"op": "erase-home", "home": name}, LONGEST_RUN_S)

    def _result(self, answer: dict[str, Any] | None) -> StageResult:
        try:
            good = frames.settle(answer, self._path.name)
        except DarkroomError as problem:
            problem.facts = dict((answer or {}).get("facts") or {})  # type: ignore[attr-defined]
            raise
        return StageResult(
            Signed.read(good.get("record")), dict(good.get("timings") or {}), str(good.get("took") or "")
        )


def facts_of(problem: DarkroomError) -> Mapping[str, str | int]:
    """Return the plain facts that a failed check or ingest gave with its code: a column, a row number, a limit."""
    found: Mapping[str, str | int] = getattr(problem, "facts", {})
    return found


def _last(
    stream: BinaryIO,
    on_state: Callable[[BoxState], None] | None,
    on_waiting: Callable[[Waiting], None] | None,
) -> dict[str, Any] | None:
    """Return the frame that ends the answer, telling the states and the waiting before it."""
    while (message := frames.read(stream)) is not None and ("state" in message or "waiting" in message):
        if "waiting" in message:
            waiting = Waiting.read(message["waiting"])
            if on_waiting is not None:
                on_waiting(waiting)
            continue
        if message["state"] not in list(BoxState):
            raise Malformed("the launcher speaks of a state that does not exist", "launcher")
        if on_state is not None:
            on_state(BoxState(message["state"]))
    return message

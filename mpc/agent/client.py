"""How other processes speak with an agent: blocking, one question per connection (`mpc.agent.doors`)."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plans import frames
from plans.errors import DarkroomError, Malformed, Unreachable, from_problem
from plans.joint import JointPlan
from plans.statements import Signed

ASK_S = 30.0
LONGEST_ATTEMPT_S = 7200.0
LARGEST_SEALED = 2**28
"""Bytes that a party may hand over for the recipient; an answer has some thousand cells, persons in common are more."""


@dataclass(frozen=True, slots=True)
class PartyEnd:
    """How an attempt ended at one party: its failure as an error, none for a good end, and the receipts that it has."""

    failure: DarkroomError | None
    receipts: tuple[Signed, ...]


@dataclass(frozen=True, slots=True)
class Left:
    """What a party hands over after a good end: what its box sealed to the recipient (most leave nothing), and all
    receipts.
    """

    sealed: bytes = field(repr=False)
    receipts: tuple[Signed, ...]


@dataclass(frozen=True, slots=True)
class AgentClient:
    """An agent behind its socket."""

    path: Path

    def put(self, joint: JointPlan) -> str:
        """Give the agent a joint plan to keep; return the digest that it finds."""
        return str(frames.ask(self.path, {"op": "put", "joint": joint.plain()}, ASK_S).get("joint"))

    def run(self, joint: str, attempt: int, on_state: Callable[[str], None] = lambda _: None) -> PartyEnd:
        """Run an attempt, or wait for it if it runs already, and return how it ended.

        Raises:
            Unreachable: the agent does not answer.
            DarkroomError: what it refuses with.
        """
        answer: dict[str, Any] = {}
        for frame in self._told({"op": "run", "joint": joint, "attempt": attempt}):
            if "state" in frame:
                on_state(str(frame["state"]))
            answer = frame
        good = frames.settle(answer, self.path.name)
        failure = good.get("failure")
        if failure and not isinstance(failure, dict):
            raise Malformed("an agent says in no known way why it ended", self.path.name)
        return PartyEnd(from_problem(failure) if failure else None, _receipts(good))

    def cancel(self, joint: str, attempt: int) -> None:
        """Stop an attempt at all parties."""
        frames.ask(self.path, {"op": "cancel", "joint": joint, "attempt": attempt}, ASK_S)

    def result(self, joint: str, attempt: int, receipts: Sequence[Signed] = ()) -> Left:
        """Return what this party hands over. It may be told receipts that other parties have, lest it missed some.

        Raises:
            StateConflict: the attempt has not ended well.
            NotFound: neither this agent nor its keeper knows of an end of it.
            Unreachable: the agent does not answer.
        """
        sealed, answer = bytearray(), dict[str, Any]()
        brought = [signed.plain() for signed in receipts]
        question = {"op": "result", "joint": joint, "attempt": attempt, "receipts": brought}
        for frame in self._told(question):
            if "sealed" in frame:
                sealed += _bytes(frame["sealed"])
            answer = frame
            if len(sealed) > LARGEST_SEALED:
                raise Malformed("an agent hands over more than an answer has", self.path.name)
        return Left(bytes(sealed), _receipts(frames.settle(answer, self.path.name)))

    def status(self) -> dict[str, Any]:
        """Return who this is, and which plans and attempts it knows."""
        return frames.ask(self.path, {"op": "status"}, ASK_S)

    def _told(self, question: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the frames of an answer as they come; the last one is a good answer or an error.

        Raises:
            Unreachable: the agent does not answer, or it ended in the middle of it.
        """
        last: dict[str, Any] = {}
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(LONGEST_ATTEMPT_S)
                connection.connect(str(self.path))
                connection.sendall(frames.pack(question))
                with connection.makefile("rb") as stream:
                    while (frame := frames.read(stream)) is not None:
                        last = frame
                        yield frame
        except OSError as problem:
            told = problem.strerror or "no answer in time"
            raise Unreachable(f"the agent does not answer ({told})", self.path.name) from None
        if not {"ok", "error"} & last.keys():
            raise Unreachable("the agent ended without an answer", self.path.name, "Try again shortly.")


def _receipts(answer: dict[str, Any]) -> tuple[Signed, ...]:
    found = answer.get("receipts")
    if not isinstance(found, list):
        raise Malformed("an agent's answer has receipts", "agent")
    return tuple(Signed.read(each) for each in found)


def _bytes(text: object) -> bytes:
    try:
        return bytes.fromhex(str(text))
    except ValueError:
        raise Malformed("what is sealed comes in hex", "agent") from None

"""The agent's two sockets on its own machine (`plans.frames`), one question per connection.

    door    for the centre and the operator
            put     joint                the canonical joint plan; answers its digest
            run     joint, attempt       `{"state": …}` frames, then how it ended, with the receipts; at once if an
                                         earlier life of the agent ran it to a good end
            cancel  joint, attempt       stops it at all parties
            status                       who this is, plans and attempts
            result  joint, attempt       after a good end: `{"sealed": hex}` frames, then all receipts; also of one
                                         that an earlier life of the agent ran; `receipts` may be told with it
    links   for the own launcher: the frame of `sandbox.links.header`, then the bytes of a box's link

A caller that hangs up changes nothing. Who is neither this user nor one that the settings name is refused
(SO_PEERCRED, unix(7)).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mpc.agent.agent import MOST_RUNNING, Agent, failure_of
from mpc.agent.attempt import Attempt, State
from mpc.agent.handing import GoodEnd
from mpc.links import CHUNK
from plans import frames, frames_async
from plans.box import MOST_LINKS
from plans.errors import DarkroomError, Malformed, NotAllowed, SettingsWrong, StateConflict
from plans.joint import JointPlan
from plans.statements import Signed

QUESTION_S = 30.0
LARGEST_QUESTION = 4 * 2**20
MOST_CALLERS, MOST_CARRIED = 64, MOST_RUNNING * MOST_LINKS
"""Questions that are answered at a time, and links of boxes: those of all attempts that may run."""

SEALED_BYTES = 2**20
"""Bytes of a sealed output that go into one frame."""

_PEER = struct.Struct("3i")

Handler = Callable[[dict[str, Any], asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class _Socket:
    """One of the two: what answers there, to which user ids, to how many callers at a time, and how many there are."""

    handler: Handler
    users: frozenset[int]
    most: int
    callers: int = 0


class Doors:
    """Both sockets of an agent."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._servers: list[tuple[asyncio.Server, Path]] = []

    async def open(
        self, door: Path, links: Path, askers: Collection[int], launchers: Collection[int]
    ) -> None:
        """Listen at both; `askers` and `launchers` are user ids beside the own one and root's.

        Raises:
            SettingsWrong: a socket cannot be made there.
            StateConflict: an agent listens there already.
        """
        await self._listen(door, _Socket(self._decide, frozenset(askers), MOST_CALLERS))
        await self._listen(links, _Socket(self._carry, frozenset(launchers), MOST_CARRIED))

    async def close(self) -> None:
        """Listen no more."""
        for server, path in self._servers:
            server.close()
            path.unlink(missing_ok=True)

    async def _listen(self, path: Path, made: _Socket) -> None:
        try:
            _free_socket(path)
            server = await asyncio.start_unix_server(partial(self._answer, made), path, limit=CHUNK)
            os.chmod(path, 0o666)  # who may ask is checked by user id; the folder decides who gets here
        except OSError as problem:
            raise SettingsWrong(f"the agent cannot listen here ({problem.strerror})", str(path)) from None
        self._servers.append((server, path))

    async def _answer(self, at: _Socket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        at.callers += 1
        try:
            _require_user(writer.get_extra_info("socket"), at.users)
            if at.callers > at.most:
                raise StateConflict(
                    "the agent has as many callers as it takes", "agent", "Try again shortly."
                )
            async with asyncio.timeout(QUESTION_S):
                question = await frames_async.read_async(reader, LARGEST_QUESTION)
            if question is not None:
                await at.handler(question, reader, writer)
        except DarkroomError as problem:
            await _say(writer, frames.refusal(problem))
        except (OSError, TimeoutError):
            pass
        finally:
            at.callers -= 1
            writer.close()

    async def _carry(
        self, head: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Carry a box's link; what is wrong with it, the box hears as its end: a frame would look like bytes of it."""
        with contextlib.suppress(DarkroomError):
            await self._agent.carry(head, (reader, writer))

    async def _decide(
        self, question: dict[str, Any], _: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        match question.get("op"):
            case "put":
                digest = self._agent.put(JointPlan.read(question.get("joint")))
                await _say(writer, {"ok": {"joint": digest}})
            case "run":
                past = await self._agent.forgotten(*_named(question))
                if past is not None:
                    await _say(writer, _ended(None, past.receipts))
                    return
                await self._run(await self._agent.order(*_named(question)), writer)
            case "cancel":
                await self._agent.attempt(*_named(question)).cancel()
                await _say(writer, {"ok": {}})
            case "status":
                await _say(writer, {"ok": self._agent.status()})
            case "result":
                end = await self._agent.good_end(*_named(question), _receipts(question))
                await self._result(end, writer)
            case other:
                raise Malformed(f"an agent does not know {str(other)[:40]!r}", "agent")

    async def _run(self, attempt: Attempt, writer: asyncio.StreamWriter) -> None:
        """Tell every state of an attempt, and how it ended."""
        heard = attempt.listen()
        try:
            while (state := await heard.get()) is not State.CLOSED:
                await _say(writer, {"state": state.value})
        finally:
            attempt.forget(heard)
        outcome = attempt.outcome
        if outcome is None:
            raise StateConflict(
                "the agent stopped before the attempt had ended", "agent", "Order the next one."
            )
        await _say(writer, _ended(failure_of(outcome), outcome.receipts.values()))

    async def _result(self, end: GoodEnd, writer: asyncio.StreamWriter) -> None:
        """Hand over what the own box left for the recipient of an attempt that ended well at all parties."""
        if self._agent.side.domain in end.joint.handing:
            read = partial(self._agent.side.opened, end.plan.digest, end.number)
            sealed = await asyncio.get_running_loop().run_in_executor(None, read)
            for begin in range(0, len(sealed), SEALED_BYTES):
                await _say(writer, {"sealed": sealed[begin : begin + SEALED_BYTES].hex()})
        await _say(writer, {"ok": {"receipts": [signed.plain() for signed in end.receipts]}})


def _named(question: dict[str, Any]) -> tuple[str, int]:
    joint, attempt = question.get("joint"), question.get("attempt")
    if not isinstance(joint, str) or type(attempt) is not int:
        raise Malformed("an attempt is named by joint plan and number", "agent")
    return joint, attempt


def _ended(failure: dict[str, Any] | None, receipts: Iterable[Signed]) -> dict[str, Any]:
    """Return the last frame about an attempt: how it ended, and the receipts of it."""
    return {"ok": {"failure": failure, "receipts": [signed.plain() for signed in receipts]}}


def _receipts(question: dict[str, Any]) -> tuple[Signed, ...]:
    """Return the receipts that a question brings; it need not."""
    found = question.get("receipts", [])
    if not isinstance(found, list):
        raise Malformed("receipts are a list", "agent")
    return tuple(Signed.read(each) for each in found)


def _require_user(connection: socket.socket, users: Collection[int]) -> None:
    """Refuse a caller that is neither this user nor root nor among `users`; raises `NotAllowed`."""
    peer = _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))[1]
    if peer not in {os.geteuid(), 0, *users}:
        raise NotAllowed("this user may not ask an agent", "peer")


async def _say(writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
    with contextlib.suppress(ConnectionError):
        writer.write(frames.pack(message))
        await writer.drain()


def _free_socket(path: Path) -> None:
    """Remove the socket of an earlier life; a living agent keeps its own."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise StateConflict("an agent already listens here", path.name, "Stop it first.")

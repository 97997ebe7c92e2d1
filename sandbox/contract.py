"""The contract of boxes: what every tier does, in which state, and what happens when it is asked twice.

    created ─ start ─► starting ─► running ◄─ freeze / thaw ─► frozen
                                      │ (ends by itself)         │ kill, or a limit
                                      ▼                          ▼
                            exited (status 0) · failed (any other) · killed
                                      │ collect
                                      ▼
                                  collected                 destroy, from every ended state ─► destroyed

    method    allowed in                  then                     asked again
    create    -                           created                  another box
    start     created                     running (or failed)      refused
    freeze    running                     frozen                   nothing happens
    thaw      frozen                      running                  nothing happens
    kill      all but ended               killed                   nothing happens; the first cause counts
    wait      all but created             exited, failed, killed   the same ending
    collect   exited                      collected                the same outputs
    destroy   created, ended, collected   destroyed                nothing happens

*create* makes the folder, takes a user id and links the inputs; no work is done. With a pool
(`sandbox.pool`) a process may already wait behind its walls, with no input, key or identity: whoever creates
the box cannot tell, except by the clock and by `waited`. Such a process can have died, or hang, without anybody
having noticed; so a box that waited and is lost before its hello may be made once more, *cold*. *start* puts up the
walls; the program waits for its launcher's word. *freeze* stops every process, memory and lease stay. *kill* returns
when every process is gone. *collect* checks the outputs, moves them out and hashes them. *destroy* wipes the folder
and gives the user id back.

Whatever is not in the table is refused with `StateConflict`. A crash of the launcher ends its boxes (they die
with their parent), and what they left is ended and wiped at the next start (`sandbox.reaper`); no box is ever
taken over by another process.

`LIFE` is that table as data; every tier moves through `Life`, so no tier can have its own idea of it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from plans.box import BoxSpec, BoxState
from plans.decision import Tier
from plans.errors import StateConflict
from plans.statements import StageOutput

_S = BoxState
ENDED = frozenset({_S.EXITED, _S.FAILED, _S.KILLED, _S.COLLECTED})

LIFE: Mapping[BoxState, frozenset[BoxState]] = {
    _S.CREATED: frozenset({_S.STARTING, _S.KILLED, _S.DESTROYED}),
    _S.STARTING: frozenset({_S.RUNNING, _S.FAILED, _S.KILLED}),
    _S.RUNNING: frozenset({_S.FROZEN, _S.EXITED, _S.FAILED, _S.KILLED}),
    _S.FROZEN: frozenset({_S.RUNNING, _S.FAILED, _S.KILLED}),
    _S.EXITED: frozenset({_S.COLLECTED, _S.DESTROYED}),
    _S.FAILED: frozenset({_S.DESTROYED}),
    _S.KILLED: frozenset({_S.DESTROYED}),
    _S.COLLECTED: frozenset({_S.DESTROYED}),
    _S.DESTROYED: frozenset(),
}


class Wall(StrEnum):
    """The protections of a box that tests can take off one by one, to show that an attack then succeeds.

    What is taken off is named `unsafe_without` wherever it is passed; no setting reaches it.
    """

    USER = "own user id"
    SESSION = "no terminal"
    ENVIRONMENT = "empty environment"
    DESCRIPTORS = "no inherited files"
    CAPABILITIES = "no capabilities"
    NETWORK = "no network"
    PROCESSES = "own processes only"
    IPC = "own shared memory only"
    HOSTNAME = "own name"
    USER_NAMESPACES = "no user namespaces"
    VIEW = "no file of the host"
    READ_ONLY = "read-only image and inputs"
    PROC = "covered /proc"
    DEVICES = "four devices"
    SYSCALLS = "system-call filter"
    LANDLOCK = "Landlock"
    MEMORY = "limit of memory"
    PROCESS_COUNT = "limit of processes"
    OPEN_FILES = "limit of open files"
    CORE_DUMPS = "no core dumps"
    TEMP_SIZE = "sized temporary space"
    PARENT = "dies with its launcher"


class Cause(StrEnum):
    """Why a box was killed; stable words that are answered as the `where` of a `BoxFailed`."""

    NONE = ""
    MEMORY = "box.memory"
    CPU = "box.cpu"
    WALL = "box.wall"
    OUTPUT = "box.output"
    CANCELLED = "box.cancelled"
    REVOKED = "box.revoked"
    LEASE = "box.lease-lost"
    PROTOCOL = "box.protocol"
    LAUNCHER = "box.launcher-stopped"
    PEER = "box.peer-ended"
    HOME = "box.home"

    @property
    def is_limit(self) -> bool:
        """Whether the box reached one of its own limits."""
        return self in (Cause.MEMORY, Cause.CPU, Cause.WALL, Cause.OUTPUT, Cause.HOME)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a box ended: the state, the exit status if it had one (128 + n for signal n), and why it was killed."""

    state: BoxState
    status: int
    cause: Cause


@dataclass(frozen=True, slots=True)
class Protection:
    """One protection of a tier, whether it holds here, and how that is known, or what stands in for it."""

    name: str
    held: bool
    how: str


@dataclass(frozen=True, slots=True)
class Offer:
    """What a tier offers on this machine, the weaker points said openly."""

    tier: Tier
    protections: tuple[Protection, ...]


@dataclass(frozen=True, slots=True)
class Ends:
    """One link of a box: the launcher's end of the stream, and where the box finds its own (`inside.session.Link`).

    Of a link to a service `ours` is a socket that listens.
    """

    ours: socket.socket
    place: int | str


@dataclass(frozen=True, slots=True)
class Conversation:
    """The launcher's ends of a box's pipes; frames of `plans.frames` go through them. `links` are by name."""

    from_box: asyncio.StreamReader
    to_box: asyncio.StreamWriter
    links: Mapping[str, Ends] = field(default_factory=dict)


class Box(Protocol):
    """One box; the table above says what each method does."""

    @property
    def state(self) -> BoxState:
        """The present state."""

    @property
    def tier(self) -> Tier:
        """What the box really is, which may be stronger than what its specification asks for."""

    @property
    def waited(self) -> bool:
        """Whether the box's process was up before anybody asked for the box."""

    async def start(self) -> Conversation:
        """Start the box; raises `BoxFailed` if it does not come up, and is `failed` then."""

    def freeze(self) -> None:
        """Stop every process of the box."""

    def thaw(self) -> None:
        """Let them go on."""

    async def kill(self, cause: Cause) -> None:
        """End every process of the box; the first cause counts."""

    async def wait(self) -> Ending:
        """Return how the box has ended, once it has."""

    async def collect(self, folder: Path) -> tuple[StageOutput, ...]:
        """Move the outputs of a box that exited to `folder`; raises `OutputRefused` for anything but plain files."""

    async def destroy(self) -> None:
        """Wipe what the box had."""


class Boxes(Protocol):
    """Makes boxes of one tier, or of several."""

    def offers(self) -> tuple[Offer, ...]:
        """Say what each tier offers here, the weakest first."""

    async def warm(self) -> None:
        """Do beforehand what the first box would have to wait for."""

    async def close(self) -> None:
        """End what waits for work that will not come."""

    def create(self, spec: BoxSpec, inputs: Mapping[str, Path], *, cold: bool = False) -> Box:
        """Make a box with read-only inputs; with `cold` none that has waited.

        Raises:
            TierMissing: the specification asks for a stronger tier than this.
            NotFound: image or input is missing.
            Unreachable: no user id is free; try again.
        """


class Life:
    """The state of one box, moved only along `LIFE`."""

    def __init__(self) -> None:
        self.state = BoxState.CREATED

    def move(self, target: BoxState) -> None:
        """Go to another state.

        Raises:
            StateConflict: the table has no such step.
        """
        if target not in LIFE[self.state]:
            raise StateConflict(f"a box that is {self.state} does not become {target}", "box")
        self.state = target

"""A box's side of the conversation with its launcher.

    box → launcher   ready    its program is imported; a warm box waits here, with no data, key or identity yet
    launcher → box   start    plan, stage, attempt, inputs by hash, links
    box → launcher   hello    the public half of a key that this box has just made
    launcher → box   keys     sealed by the keeper to that key, bound to the launcher's statement (check: none)
    box → launcher   report   facts for the launcher's signed record
                     failure  or a stable code, when the box gives up

While the keeper thinks, the box hashes its inputs; no input is opened before its hash and the plan's digest
have been verified. Inputs that an earlier stage wrote are encrypted, and so is what this box writes for the
next.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from keys import sealing
from plans import frames, record
from plans.box import Entry
from plans.errors import EvidenceBroken, HashMismatch, Malformed
from plans.handover import SMALLEST_HANDOVER as SMALLEST_HANDOVER
from plans.handover import handover, padded, unpadded
from plans.handover import padded_size as padded_size
from plans.key import BoxKeys
from plans.plan import Plan, Relation
from plans.release import KEYS_INFO
from plans.statements import BoxStatement, StageInput

IN, OUT, TEMP, SPILL = Path("/in"), Path("/out"), Path("/tmp"), Path("/spill")
"""Where a box finds its inputs, writes its outputs, has its own files in memory, and may spill what it encrypts."""


class BoxFailure(Exception):
    """A box gives up, with a stable code and structured facts; no text of an engine, no value of data.

    `facts` may name a column, a row *number* or a limit. For ingest they go to the owner; for queries nobody
    sees them.
    """

    def __init__(self, code: str, **facts: str | int) -> None:
        super().__init__(code)
        self.code, self.facts = code, facts


@dataclass(frozen=True, slots=True)
class Link:
    """A stream of bytes to a peer that the plan names: an inherited descriptor, or a socket in `/links` (T2)."""

    place: int | str

    def open(self) -> socket.socket:
        """Return the stream, connected; a link is opened once."""
        if isinstance(self.place, int):
            return socket.socket(fileno=self.place)
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        stream.connect(os.fspath(self.place))
        return stream


@dataclass(frozen=True, slots=True)
class Session:
    """One box's work: the plan and stage, its verified inputs, its keys, and where it writes."""

    plan: Plan
    stage: Entry
    attempt: int
    inputs: Mapping[str, Path]
    keys: BoxKeys = field(repr=False)
    out: Path = OUT
    temp: Path = TEMP
    spill: Path = SPILL
    warmed: Any = None
    """What the program made ready before it had a plan."""
    links: Mapping[str, Link] = field(default_factory=dict)
    secret: sealing.OpeningKey | None = None
    """The key that this box made; a party's box agrees with the boxes of others by it."""

    def file_of(self, relation: Relation) -> str:
        """Return the name of the input that is a relation's file, by its hash; its bytes were verified.

        Raises:
            HashMismatch: it is not among the inputs.
        """
        for item in self.plan.stage(self.stage).inputs:
            if item.sha256 == relation.file:
                return item.name
        raise HashMismatch("the file of a relation is not among the inputs", relation.name)

    def read(self, name: str) -> bytes:
        """Return in clear what the stage before wrote under this name."""
        key = bytes.fromhex(self.keys.inputs[name])
        sealed = self.inputs[name].read_bytes()
        return unpadded(sealing.decrypt(key, sealed, handover(self.plan, self.attempt, name)))

    def write(self, name: str, plaintext: bytes) -> None:
        """Write an output that only the next stage's box can read.

        It is padded to a power of two of bytes, since launchers report sizes, and the size of a result tells
        its rows.
        """
        key = bytes.fromhex(self.keys.outputs[name])
        (self.out / name).write_bytes(
            sealing.encrypt(key, padded(plaintext), handover(self.plan, self.attempt, name))
        )


def rehearse() -> None:
    """Do once, with nothing, what the conversation will take: make a key, seal to it, open it, know what plans hold.

    The first time costs the libraries some ten milliseconds, which a box that waits for work has and one with work
    has not. The key is nobody's and is dropped; the box's own is made after `start`.
    """
    secret = sealing.OpeningKey.fresh()
    sealed = sealing.seal(secret.public, BoxKeys({}, {}, "").canonical(), KEYS_INFO, b"")
    BoxKeys.decode(secret.open(sealed, KEYS_INFO, b""))
    for kind in (Plan, BoxStatement):
        record.prepare(kind)


def begin(incoming: BinaryIO, outgoing: BinaryIO, folder: Path = IN) -> Session:
    """Hold the conversation up to the keys and return the session.

    Raises:
        Malformed: the launcher does not speak the protocol.
        HashMismatch: an input is not the file that the plan names.
        EvidenceBroken: the keys were not sealed to this box for this plan and stage.
    """
    start = _expect(frames.read(incoming), "start")
    plan, stage = Plan.read(start["plan"]), Entry(start["stage"])
    found = tuple(StageInput.read(item) for item in start["inputs"])
    secret = sealing.OpeningKey.fresh()
    frames.write(outgoing, {"hello": secret.public})
    paths = _verified(plan, stage, found, folder)
    keys = BoxKeys({}, {}, "")
    if not plan.kind.keyless:
        keys = _receive_keys(
            _expect(frames.read(incoming), "keys"), secret, (plan, stage, start["attempt"], found)
        )
    links = {name: Link(place) for name, place in start["links"].items()}
    return Session(plan, stage, start["attempt"], paths, keys, links=links, secret=secret)


def _verified(plan: Plan, stage: Entry, found: tuple[StageInput, ...], folder: Path) -> dict[str, Path]:
    """Return the inputs' paths after checking that they are the plan's, and that their bytes have the hashes."""
    planned = {item.name: item.sha256 for item in plan.stage(stage).inputs}
    if [item.name for item in found] != list(planned):
        raise HashMismatch("the inputs are not those of the plan", "box inputs")
    for item in found:
        if planned[item.name] not in ("", item.sha256) or _sha256(folder / item.name) != item.sha256:
            raise HashMismatch("an input is not the file that the plan names", item.name)
    return {item.name: folder / item.name for item in found}


def _receive_keys(
    message: dict[str, Any], secret: sealing.OpeningKey, work: tuple[Plan, Entry, int, tuple[StageInput, ...]]
) -> BoxKeys:
    """Open the keys. They open only under the very statement that the keeper saw, so it is checked against our work."""
    plan, stage, attempt, found = work
    statement = BoxStatement.read(message["statement"])
    if (statement.plan, statement.stage, statement.attempt, statement.inputs) != (
        plan.digest,
        stage,
        attempt,
        found,
    ):
        raise EvidenceBroken("the keys were asked for with a statement about other work", "box keys")
    if statement.box_key != secret.public:
        raise EvidenceBroken("the keys were asked for with another box's key", "box keys")
    opened = secret.open(bytes.fromhex(message["sealed"]), KEYS_INFO, statement.canonical())
    return BoxKeys.decode(opened)


def _expect(message: dict[str, Any] | None, kind: str) -> dict[str, Any]:
    if message is None or not isinstance(message.get(kind), dict):
        raise Malformed(f"expected a {kind} message from the launcher", "box protocol")
    content: dict[str, Any] = message[kind]
    return content


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()

"""The box: what an isolated process is given, and what it may use."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from plans import names
from plans.decision import Tier
from plans.errors import Malformed
from plans.record import Record


class Entry(StrEnum):
    """The programs that boxes run; each is a module of `inside`."""

    CHECK = "check"
    QUERY = "query"
    PARSE = "parse"
    JUDGE = "judge"
    INGEST = "ingest"


@dataclass(frozen=True, slots=True)
class Limits(Record):
    """What a box may use: MiB of memory, temporary space and output, seconds, numbers."""

    memory_mb: int
    temp_mb: int
    output_mb: int
    cpu_s: int
    wall_s: int
    processes: int
    files: int
    cpus: int

    def check(self) -> None:
        if (
            min(
                self.memory_mb, self.output_mb, self.cpu_s, self.wall_s, self.processes, self.files, self.cpus
            )
            < 1
        ):
            raise Malformed("every limit is at least 1", "box.limits")
        if self.temp_mb < 0:
            raise Malformed("temporary space is not negative", "box.limits")


@dataclass(frozen=True, slots=True)
class Input(Record):
    """A read-only input: the name that the box sees in `/in`, and the SHA-256 that the launcher and the box verify.

    An empty `sha256` stands for an output of the stage before, whose hash is known only when that stage has
    ended; the box statement then carries it.
    """

    name: str
    sha256: str

    def check(self) -> None:
        names.require("file", self.name, "box.input")
        if self.sha256:
            names.require("digest", self.sha256, "box.input")


@dataclass(frozen=True, slots=True)
class BoxSpec(Record):
    """One box: image by digest, program, inputs, limits, tier. It has no link to anything but its launcher."""

    KIND: ClassVar[str] = "box-spec"

    entry: Entry
    image: str
    inputs: tuple[Input, ...]
    limits: Limits
    tier: Tier

    def check(self) -> None:
        names.require("digest", self.image, "box.image")
        input_names = [item.name for item in self.inputs]
        if len(set(input_names)) != len(input_names):
            raise Malformed("two inputs have the same name", "box.inputs")


class BoxState(StrEnum):
    """The life of a box; the launcher is the only one to move it (`sandbox.contract`)."""

    CREATED = "created"
    STARTING = "starting"
    RUNNING = "running"
    FROZEN = "frozen"
    EXITED = "exited"
    KILLED = "killed"
    FAILED = "failed"
    COLLECTED = "collected"
    DESTROYED = "destroyed"

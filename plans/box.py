"""The box: what an isolated process is given, and what it may use."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from plans import names
from plans.decision import Tier
from plans.errors import Malformed
from plans.record import Record

MOST_OUTPUTS, MOST_LINKS, MOST_GPUS = 1024, 20, 16
MOST_ARGUMENTS, LONGEST_ARGUMENT = 64, 1024
"""How much of each a specification may name."""


class Entry(StrEnum):
    """The programs that boxes run; each is a module of `inside`.

    `python` runs a member's own folder, `component` an entry of the algorithm library; `load` streams rows to
    either, and `reload` once more to the box that checks what was fitted to them. In a joint computation `extract`
    reads an owner's rows, and `party` speaks the protocol with the boxes of other parties. `lab` is a member's
    JupyterLab.
    """

    CHECK = "check"
    QUERY = "query"
    PARSE = "parse"
    PROTECT = "protect"
    FINISH = "finish"
    JUDGE = "judge"
    INGEST = "ingest"
    PYTHON = "python"
    LOAD = "load"
    COMPONENT = "component"
    REENCODE = "reencode"
    RELOAD = "reload"
    INSPECT = "inspect"
    TWIN = "twin"
    EXTRACT = "extract"
    PARTY = "party"
    LAB = "lab"


@dataclass(frozen=True, slots=True)
class Limits(Record):
    """What a box may use: MiB of space, seconds, numbers.

    `memory_mb` counts everything that lies in memory: processes, and files in `/tmp`, which may have
    `temp_mb` of it. `spill_mb` is a folder on the node's disk, `/spill`, for an engine that encrypts what
    it spills; programs that members wrote get none. `output_mb` is for all outputs together.
    """

    memory_mb: int
    temp_mb: int
    spill_mb: int
    output_mb: int
    cpu_s: int
    wall_s: int
    processes: int
    files: int
    cpus: int

    def check(self) -> None:
        counts = (self.output_mb, self.cpu_s, self.wall_s, self.processes, self.files, self.cpus)
        if min(self.memory_mb, *counts) < 1:
            raise Malformed("every limit is at least 1", "box.limits")
        if self.temp_mb < 0 or self.spill_mb < 0:
            raise Malformed("temporary space is not negative", "box.limits")
        if self.temp_mb > self.memory_mb:
            raise Malformed("temporary space lies in memory, so it is no larger than that", "box.limits")

    def within(self, ceiling: Limits) -> bool:
        """Whether no limit is above that of `ceiling`."""
        return all(getattr(self, name) <= getattr(ceiling, name) for name in Limits.__slots__)


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
class Outputs(Record):
    """What a box may leave in `/out`: at most `files` files, of these names only (none listed: any plain name)."""

    files: int = 64
    names: tuple[str, ...] = ()

    def check(self) -> None:
        if not 0 <= self.files <= MOST_OUTPUTS:
            raise Malformed(f"a box leaves between 0 and {MOST_OUTPUTS} files", "box.outputs")
        for name in self.names:
            names.require("file", name, "box.outputs")


@dataclass(frozen=True, slots=True)
class Link(Record):
    """A named stream of bytes to a peer that the plan lists: another stage (`stage:query`) or a party (`party:nm/tax`).

    Nothing but the bytes passes; the box cannot open another. A link to a service (`service:hub`, of labs alone) may
    be opened many times.
    """

    name: str
    peer: str

    def check(self) -> None:
        names.require("file", self.name, "box.link")
        kind, _, whom = self.peer.partition(":")
        if kind == "party":
            names.require("domain", whom, "box.link")
        elif kind == "service":
            names.require("file", whom, "box.link")
        elif kind != "stage" or whom not in list(Entry):
            raise Malformed("a link leads to stage:NAME, party:DOMAIN or service:NAME", "box.link")

    @property
    def service(self) -> str:
        """The service that it leads to, or nothing."""
        kind, _, whom = self.peer.partition(":")
        return whom if kind == "service" else ""


@dataclass(frozen=True, slots=True)
class Home(Record):
    """A folder that outlives its box, which sees it as `/home/<name>`; how many MiB and files it may hold."""

    name: str
    mb: int
    files: int

    def check(self) -> None:
        names.require("file", self.name, "box.home")
        if self.mb < 1 or self.files < 1:
            raise Malformed("a home has room for something", "box.home")


@dataclass(frozen=True, slots=True)
class BoxSpec(Record):
    """One box: image by digest, program with its arguments, inputs, outputs, limits, GPUs, links, tier, and its home.

    What is not named here a box does not have: no file, no peer, no device.
    """

    KIND: ClassVar[str] = "box-spec"

    entry: Entry
    image: str
    inputs: tuple[Input, ...]
    limits: Limits
    tier: Tier
    arguments: tuple[str, ...] = ()
    outputs: Outputs = Outputs()
    gpus: int = 0
    links: tuple[Link, ...] = ()
    home: Home | None = None

    def check(self) -> None:
        names.require("digest", self.image, "box.image")
        for what in (self.inputs, self.links):
            called = [item.name for item in what]
            if len(set(called)) != len(called):
                raise Malformed("two inputs or two links have the same name", "box")
        if len(self.links) > MOST_LINKS:
            raise Malformed(f"a box has at most {MOST_LINKS} links", "box.links")
        if not 0 <= self.gpus <= MOST_GPUS:
            raise Malformed(f"a box has between 0 and {MOST_GPUS} GPUs", "box.gpus")
        if len(self.arguments) > MOST_ARGUMENTS or any(not _is_argument(each) for each in self.arguments):
            raise Malformed("arguments are few, short, and without control characters", "box.arguments")
        lab = self.entry is Entry.LAB
        if lab != (self.home is not None) or any(bool(link.service) != lab for link in self.links):
            raise Malformed("a lab has a home and links to services; nothing else has either", "box")


def _is_argument(text: str) -> bool:
    return len(text) <= LONGEST_ARGUMENT and text.isprintable()


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

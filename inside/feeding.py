"""How a member's program gets its tables: a pipe for each, filled from a link that the program knows nothing of.

The runner opens the sealed links (`inside.streams`) and holds their keys. The program inherits the reading end of a
pipe for each table, and its environment says which is which (`TABLES`); the module `darkroom` of the image makes tables
of them. In a trial the same descriptors lead to files with made-up rows. A table passes once: there is nothing to open
again.

A link that breaks off must never look like the end of the data: the pipe then stays open, nothing more comes, and the
runner ends the program (`broken`). Only what was verified comes at all. A program that wants no more is no failure.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from inside.session import BoxFailure, Session
from inside.streams import Receiver
from plans.errors import DarkroomError

INPUTS = "python.inputs"
"""The failure of a job whose tables did not come, or not to their end."""

TABLES = "DARKROOM_TABLES"
"""The variable that says which table comes over which descriptor: tax.income=4,med.visit=5."""

FIRST = 4
"""The program's first descriptor of a table; below are its standard files, and the pipe on which it tells failures."""

ABOVE = 16
"""The runner's own descriptors lie above those that a child is given."""

_PIPE_SIZE = 2**20


@dataclass(frozen=True, slots=True)
class Source:
    """A table on its way: the link's end and its content in clear, and the pipe's end that is written to."""

    stream: socket.socket
    reader: Receiver
    end: int


class Feeding:
    """The tables of one program: `ends` are the descriptors that it reads from, by relation, ours until `begin`."""

    def __init__(self, ends: Mapping[str, int] | None = None, sources: tuple[Source, ...] = ()) -> None:
        self.ends = dict(ends or {})
        self._sources = sources
        self._broken = threading.Event()

    @classmethod
    def of_links(cls, session: Session) -> Feeding:
        """Open the links of a session, one for each of its plan's relations.

        Returns once every loader has sent its first rows, so that nothing runs before its tables are there.

        Raises:
            BoxFailure: `python.inputs` when one does not.
        """
        program, spec = session.plan.program, session.plan.stage(session.stage)
        relations = program.relations if program else ()
        ends, sources = {}, []
        for link, relation in zip(spec.links, relations, strict=True):
            stream = session.links[link.name].open()
            reader = Receiver(stream, session.keys.links[link.name], link.name)
            ends[relation.name], end = high_pipe()
            with contextlib.suppress(OSError):  # a larger pipe is only faster
                fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
            sources.append(Source(stream, reader, end))
        for source in sources:
            try:
                source.reader.peek()
            except DarkroomError:
                raise BoxFailure(INPUTS) from None
        return cls(ends, tuple(sources))

    @classmethod
    def of_files(cls, folder: Path) -> Feeding:
        """Open the files `<relation>.arrows` of a folder, and take their names away."""
        ends = {}
        for path in sorted(folder.glob("*.arrows")):
            opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            ends[path.name.removesuffix(".arrows")] = fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, ABOVE)
            os.close(opened)
            path.unlink()
        return cls(ends)

    @property
    def told(self) -> str:
        """What the program's environment says of its tables."""
        return ",".join(f"{name}={FIRST + place}" for place, name in enumerate(self.ends))

    def begin(self) -> None:
        """Leave the reading ends to the program, which has them by now, and fill the pipes."""
        for end in self.ends.values():
            os.close(end)
        for source in self._sources:
            threading.Thread(target=self._fill, args=(source,), daemon=True).start()

    def broken(self) -> bool:
        """Whether a table broke off; the program must not go on."""
        return self._broken.is_set()

    def end(self) -> None:
        """Close the links, once the program has ended; whoever still sends is told that nobody wants more."""
        for source in self._sources:
            with contextlib.suppress(OSError):
                source.stream.shutdown(socket.SHUT_RDWR)

    def _fill(self, source: Source) -> None:
        """Pour one table into its pipe. One that breaks off leaves the pipe open: its reader waits, and is ended."""
        try:
            while content := source.reader.content():
                _write(source.end, content)
        except DarkroomError:
            self._broken.set()
            return
        except OSError:
            pass  # the program wants no more
        os.close(source.end)
        source.stream.close()


def high_pipe() -> tuple[int, int]:
    """Return a pipe whose ends lie above the numbers that a child is given, and close at `exec`."""
    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, ABOVE) for end in ends)
    for end in ends:
        os.close(end)
    return high[0], high[1]


def _write(end: int, left: memoryview) -> None:
    while left:
        left = left[os.write(end, left) :]

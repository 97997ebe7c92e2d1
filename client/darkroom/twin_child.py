"""Runs a folder of Python here, on look-alike tables, in a child of this process that has nothing of the member's.

It is started as a job's program is (`inside.python`): the folder in a temporary place, its tables in another, its own
home, its arguments, and an environment in which nothing else stands. So it gets no token, no passphrase and no path of
a key file. It is the member's own program on the member's own machine: there is no wall, and none is needed for rows
that are about nobody.

A thread starts it, listens to it and reads what it left; it is ended at its time limit, when it is asked to, with
this process, and in a lab before it takes the memory that the lab needs (`darkroom.twin_memory`).
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import selectors
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unicodedata
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from darkroom import twin_memory, twin_start
from darkroom.local import in_lab
from plans import names
from plans.errors import DarkroomError, Malformed
from plans.trial import LONGEST_LOG, LONGEST_TEXT, Folder, Left, Place, TrialReport

if TYPE_CHECKING:
    import pyarrow

LONGEST_S = 600.0
"""How long a program may run here."""

LARGEST = 64 * 2**20
"""Bytes that it may leave, all files together."""

FAILED, TIME, CANCELLED = "python.failed", "python.time", "python.cancelled"
MEMORY = "python.memory"
OUTPUTS, ABSENT, UNDECLARED = "python.outputs", "python.absent", "python.undeclared"

IMAGE = Path("/box")
"""Where the packages of a lab's image lie, which holds that of jobs byte for byte (docs/images.md)."""

ORIGIN = Path("/etc/built-on")
"""Where a lab's image says on which other image it was built."""

_BATCH = 10_000
_CHUNK = 1 << 16
_NUMBERS = (
    *(f"{library}_NUM_THREADS" for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")),
    "LOKY_MAX_CPU_COUNT",
    "MALLOC_ARENA_MAX",
)
_SEQUENCE = re.compile(
    r"\x1b\[[0-?]{0,64}[ -/]{0,16}[@-~]|\x1b[\]P^_X][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)|\x1b."
)


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of a program: how it ended, what it printed, and the outputs that it declares."""

    report: TrialReport
    outputs: Mapping[str, bytes] = field(repr=False)


class _Refused(Exception):
    """An output against the rules: the code, and the sentence about this one."""

    def __init__(self, code: str, what: str) -> None:
        super().__init__(what)
        self.code, self.what = code, what


class Child:
    """A program that runs; `ended` is none until it has."""

    def __init__(
        self,
        folder: Folder,
        tables: Mapping[str, pyarrow.Table],
        limit_s: float = LONGEST_S,
        room: twin_memory.Room | None = None,
    ) -> None:
        self.ended: Ended | None = None
        self._room = room or twin_memory.here()
        self._folder, self._tables, self._limit_s = folder, dict(tables), limit_s
        self._over, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="darkroom-twin", daemon=True)
        _living.add(self)
        self._thread.start()

    def wait(self, timeout: float) -> bool:
        """Wait until it has ended; return whether it has. An interrupt ends the program."""
        try:
            return self._over.wait(timeout)
        except KeyboardInterrupt:
            self.end()
            raise

    def end(self) -> None:
        """End the program, and whatever it has started."""
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        try:
            with tempfile.TemporaryDirectory(prefix="darkroom-twin-", ignore_cleanup_errors=True) as place:
                self.ended = self._ran(Path(place).resolve())
        except OSError as problem:
            why = f"the program could not be started here ({problem.strerror})"
            if in_lab() and not os.path.isfile(__file__):
                why = "the image of this lab has disappeared from the node: stop the lab and start it again"
            self.ended = Ended(TrialReport(FAILED, None, why, "", ()), {})
        finally:
            _living.discard(self)
            self._over.set()

    def _ran(self, place: Path) -> Ended:
        places = {name: place / name for name in ("work", "data", "out", "home", "models")}
        for each in places.values():
            each.mkdir()
        _lay(self._folder, places["work"])
        _write_tables(self._tables, places["data"])
        most = self._room.left if self._room else 0
        if self._room and most < twin_memory.LEAST_MB * 2**20:
            return Ended(TrialReport(MEMORY, None, _mb(most), "", ()), {})
        told = place / "told.json"
        words = _words(self._folder, told, places["work"], most)
        with subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_environment(places),
            cwd=places["work"],
            start_new_session=True,
        ) as process:
            log, code = _watched(process, self._why_to_end(process.pid, time.monotonic() + self._limit_s))
        if code:
            return Ended(TrialReport(code, None, _mb(most) if code == MEMORY else "", log, ()), {})
        if process.returncode:
            where, text = _told(told)
            if self._room and twin_memory.is_lack(where.error if where else "", log):
                return Ended(TrialReport(MEMORY, where, _mb(most), log, ()), {})
            return Ended(TrialReport(FAILED, where, text or _status(process.returncode), log, ()), {})
        return _gathered(self._folder.outputs.names, places["out"], log)

    def _why_to_end(self, group: int, ends: float) -> Callable[[], str]:
        """Return what says, at each look, why the program has to end now; an empty word while it may go on."""
        lookout = twin_memory.Lookout(self._room)

        def why() -> str:
            if self._stop.is_set():
                return CANCELLED
            if time.monotonic() >= ends:
                return TIME
            return MEMORY if lookout.is_full(group) else ""

        return why


_living: weakref.WeakSet[Child] = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    for child in list(_living):
        child.end()


def interpreter() -> str:
    """Return a sentence that says which interpreter runs programs here, and with which packages."""
    version = ".".join(map(str, sys.version_info[:3]))
    if in_image():
        return f"It ran with Python {version} and the packages of the jobs' image on which this lab's image was built."
    return (
        f"It ran with {sys.executable} (Python {version}) and the packages that are installed there; a job has those "
        "of its image: darkroom.packages()."
    )


def in_image() -> bool:
    """Return whether this is a lab's box, whose packages are those of jobs."""
    return in_lab() and (IMAGE / "darkroom.py").is_file()


def built_on() -> str:
    """Return the digest of the jobs' image on which this lab's image was built; empty outside a lab's box."""
    try:
        return ORIGIN.read_text().strip() if in_image() else ""
    except OSError:
        return ""


def _words(folder: Folder, told: Path, work: Path, most: int = 0) -> list[str]:
    """Return how the program is started, with `most` bytes of memory (0: not bounded); in a lab without `site`, so that
    what a member installed is not there.
    """
    alone = ["-I", "-S", "-B"] if in_image() else ["-I", "-B"]
    packages = os.fspath(IMAGE) if in_image() else ""
    start = [os.path.abspath(twin_start.__file__), os.fspath(told), packages, str(most), os.fspath(work)]
    return [sys.executable, *alone, "-X", "utf8", *start, folder.main, *folder.arguments]


def _environment(places: Mapping[str, Path]) -> dict[str, str]:
    """Return the whole environment: nothing of this process's own, which knows tokens and where keys lie."""
    home = os.fspath(places["home"])
    workers = (
        {"PYTHONPATH": os.fspath(IMAGE)} if in_image() else {}
    )  # of joblib; the program itself is isolated
    if in_image():  # numbers that a job has, too: each thread takes memory
        workers |= {name: os.environ[name] for name in _NUMBERS if os.environ.get(name, "").isdecimal()}
    return {
        "DARKROOM_DATA": os.fspath(places["data"]),
        "DARKROOM_OUT": os.fspath(places["out"]),
        "DARKROOM_MODELS": os.fspath(places["models"]),
        "HOME": home,
        "TMPDIR": home,
        "LANG": "C.UTF-8",
        **workers,
    }


def _lay(folder: Folder, work: Path) -> None:
    for path, content in folder.content().items():
        target = work / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def _write_tables(tables: Mapping[str, Any], data: Path) -> None:
    import pyarrow

    for relation, table in tables.items():
        path = os.fspath(data / f"{names.require('relation', relation)}.arrows")
        with pyarrow.OSFile(path, "wb") as file, pyarrow.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=_BATCH)


# --- while it runs -----------------------------------------------------


def _watched(process: subprocess.Popen[bytes], why: Callable[[], str]) -> tuple[str, str]:
    """Read what it prints until it has ended or there is a reason why it must, and end whatever it has started; return
    the log, and that reason.
    """
    code, log = "", _Log()
    stream: IO[bytes] = process.stdout  # type: ignore[assignment]
    os.set_blocking(stream.fileno(), False)
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while process.poll() is None and not code:
            if selector.select(twin_memory.LOOK_S) and not log.take(stream):
                time.sleep(0.02)  # it has closed what it prints to, and goes on
            code = why()
    with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody of its group is left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    while log.take(stream):
        pass
    return log.text(), code


class _Log:
    """What a program prints: its beginning and its end, cleaned of what a terminal acts on."""

    def __init__(self) -> None:
        self._begin, self._end, self._missing = bytearray(), bytearray(), 0

    def take(self, stream: IO[bytes]) -> bool:
        """Read once; return whether anything came."""
        chunk = stream.read(_CHUNK) or b""
        half = LONGEST_LOG // 2 - 4096
        free = half - len(self._begin)
        self._begin += chunk[:free]
        self._end += chunk[max(free, 0) :]
        if (over := len(self._end) - half) > 0:
            del self._end[:over]
            self._missing += over
        return bool(chunk)

    def text(self) -> str:
        """Return the log; where bytes are missing, a line says how many."""
        if not self._missing:
            return clean(bytes(self._begin + self._end))[:LONGEST_LOG]
        note = f"\n… {self._missing:,} bytes left out …\n"
        return (clean(bytes(self._begin)) + note + clean(bytes(self._end)))[-LONGEST_LOG:]


def clean(content: bytes) -> str:
    """Return UTF-8 text without what a terminal acts on, what is not seen, and what changes direction."""
    text = _SEQUENCE.sub("", content.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n"))
    return "".join(_shown(each) for each in text)


def _shown(character: str) -> str:
    if character in "\n\t" or character.isprintable():
        return character
    return " " if unicodedata.category(character) == "Zs" else ""


def _told(path: Path) -> tuple[Place | None, str]:
    """Read where the program says that it failed; what has not that form is no place."""
    try:
        told = json.loads(path.read_bytes()[: 4 * twin_start.LONGEST_TOLD])
        text = clean(str(told["text"]).encode("utf-8", "replace"))[-LONGEST_TEXT:]
    except (OSError, ValueError, KeyError, TypeError):
        return None, ""
    try:
        return Place(told["file"], told["line"], told["error"]), text
    except (DarkroomError, KeyError):
        return None, text


def _mb(size: int) -> str:
    return f"{size // 2**20:,} MiB"


def _status(status: int) -> str:
    return f"it was ended by signal {-status}" if status < 0 else f"it ended with status {status}"


# --- what it left -----------------------------------------------------


def _gathered(declared: tuple[str, ...], out: Path, log: str) -> Ended:
    """Return what was left: plain files that are declared, each of them, as a box takes them; else one refusal."""
    try:
        found = _left(declared, out)
    except _Refused as refused:
        return Ended(TrialReport(refused.code, None, refused.what, log, ()), {})
    left = tuple(Left(name, len(content)) for name, content in sorted(found.items()))
    return Ended(TrialReport("", None, "", log, left), found)


def _left(declared: tuple[str, ...], out: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    left = LARGEST
    for path in sorted(_files(out)):
        name = path.relative_to(out).as_posix()
        if name not in declared:
            raise _Refused(UNDECLARED, f"{clean(name.encode('utf-8', 'replace'))} is not declared")
        if path.stat().st_size > left:
            raise _Refused(OUTPUTS, f"the outputs are larger than {LARGEST // 2**20} MiB")
        found[name] = path.read_bytes()
        left -= len(found[name])
    for name in declared:
        if name not in found:
            raise _Refused(ABSENT, f"{name} was not left")
    return found


def _files(out: Path) -> list[Path]:
    """Return every file below a folder; nothing is followed."""
    found: list[Path] = []
    for place, folders, files in os.walk(out, followlinks=False):
        for each in (Path(place, name) for name in (*folders, *files)):
            mode = each.lstat()
            try:
                names.require("file", each.name, "output")
            except Malformed:
                raise _Refused(
                    OUTPUTS, "names of outputs are lower-case letters, digits, dot, dash, underscore"
                ) from None
            if not stat.S_ISDIR(mode.st_mode) and (not stat.S_ISREG(mode.st_mode) or mode.st_nlink != 1):
                raise _Refused(OUTPUTS, f"{each.name} is a link or no plain file")
            if stat.S_ISREG(mode.st_mode):
                found.append(each)
    return found

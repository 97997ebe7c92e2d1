"""Runs a member's program as a child from which this process, which holds keys, has nothing to fear.

`inside.python` says what the child may and may not do; here is how. No thread, no shell, no code between `fork` and
`exec`: `posix_spawn` starts Python on `inside.bootstrap`.

What a child says about itself (which line failed, with which error) comes over a pipe of its own and is believed only
as far as its form goes. Its end is read from the kernel.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inside import bootstrap
from inside.feeding import FIRST, INPUTS, TABLES, Feeding, high_pipe
from inside.logs import BYTES_PER_SECOND, Log, clean
from inside.session import OUT, BoxFailure
from plans.errors import DarkroomError
from plans.trial import LONGEST_TEXT, Place

FAILED, MEMORY, TIME, UNFENCED = "python.failed", "python.memory", "python.time", "python.unfenced"
"""How a program can end badly; `inside.leavings` adds `python.outputs`."""

_SET_DUMPABLE = 4  # prctl(2), PR_SET_DUMPABLE
_CHUNK = 1 << 16
_MOST_TOLD = 1 << 17
_TO_DEFAULT = [signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD]


@dataclass(frozen=True, slots=True)
class Program:
    """What is to run: the folder, the file in it, arguments, and the whole environment."""

    folder: Path
    main: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended: `code` is empty if well. What the program said about itself is foreign text."""

    code: str
    place: Place | None
    text: str
    log: str


def close_up() -> None:
    """Make this process one that others of its user can neither look into, nor signal, nor inherit files from.

    A link may have a number beyond the box's own limit of open files: it has the one that it had at a busy launcher. So
    the kernel is asked what is open, which is before it stops answering others.

    Raises:
        BoxFailure: `python.unfenced` when the kernel does not do it.
    """
    try:
        opened = [int(number) for number in os.listdir("/proc/self/fd")]
    except OSError:
        raise BoxFailure(UNFENCED) from None
    if ctypes.CDLL(None, use_errno=True).prctl(_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise BoxFailure(UNFENCED)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # for process 1 that is: not at all (pid_namespaces(7))
    for descriptor in opened:
        with contextlib.suppress(OSError):  # the one by which the folder was read
            if descriptor > 2:
                os.set_inheritable(descriptor, False)


def parting() -> str:
    """Return how the child is parted from `/out` here.

    Raises:
        BoxFailure: `python.unfenced` when there is no way; nothing is run then.
    """
    if not OUT.is_dir():
        return "unsafe"  # no box: only where tests run this module by itself
    if (
        ctypes.CDLL(None, use_errno=True).syscall(444, None, 0, 1) >= 1
    ):  # landlock_create_ruleset: its version
        return "landlock"
    if os.geteuid() == 0:
        return "user"
    raise BoxFailure(UNFENCED)


def run(program: Program, feeding: Feeding | None = None) -> Ended:
    """Run a program to its end, and end whatever it leaves running; `feeding` has its tables.

    Raises:
        BoxFailure: `python.unfenced` when the child found no wall between it and `/out`.
    """
    feeding = feeding or Feeding()
    log_end, log_in = high_pipe()
    told_end, told_in = high_pipe()
    wake_end, wake_in = high_pipe()
    os.set_blocking(wake_in, False)
    before = signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_in, warn_on_full_buffer=False)
    try:
        child = _spawn(program, log_in, told_in, feeding)
        os.close(log_in)
        os.close(told_in)
        feeding.begin()
        watch = _Watch(log_end, told_end)
        status = watch.until(child, wake_end, feeding.broken)
        broken = feeding.broken()  # before the links are closed from here
        end_all(child)
        feeding.end()
        watch.drain()
    finally:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, before)
        for descriptor in (log_end, told_end, wake_end, wake_in):
            os.close(descriptor)
    return _settle(status, watch, broken)


def end_all(child: int) -> None:
    """Kill every process of the box but this one, and reap until none is left.

    As process 1 we adopt whatever lost its parent, so double forks and new sessions are among them (ATTACKS 47); one
    signal to all is one step for the kernel, which no fork outruns. Elsewhere only the child's own group is ours.
    """
    while True:
        try:
            if os.getpid() == 1:
                os.kill(-1, signal.SIGKILL)
            else:
                os.killpg(child, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # nobody is left, or only what has ended and is not reaped
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


class _Watch:
    """Reads what the child prints and tells, at a bounded rate and to a bounded size, while it runs."""

    def __init__(self, log_end: int, told_end: int) -> None:
        self.log, self.told = Log(), bytearray()
        self._log_end, self._told_end = log_end, told_end
        self._open = {log_end, told_end}
        self._second, self._taken = 0, 0
        for descriptor in self._open:
            os.set_blocking(descriptor, False)

    def until(self, child: int, wake_end: int, enough: Callable[[], bool]) -> int:
        """Return the child's exit status, as `waitpid` gives it; 0 if it is `enough` and the child still runs."""
        os.set_blocking(wake_end, False)
        while (status := _reaped(child)) is None:
            if enough():
                return 0
            wanted = {*self._open, wake_end} - ({self._log_end} if self._too_fast() else set())
            poll = select.poll()
            for descriptor in wanted:
                poll.register(descriptor, select.POLLIN)
            for descriptor, _ in poll.poll(100):
                self._take(descriptor)
        return status

    def drain(self) -> None:
        """Take what is left in the pipes; nobody writes any more."""
        for descriptor in tuple(self._open):
            while descriptor in self._open and self._take(descriptor):
                pass

    def _too_fast(self) -> bool:
        now = int(time.monotonic())
        if now != self._second:
            self._second, self._taken = now, 0
        return self._taken >= BYTES_PER_SECOND

    def _take(self, descriptor: int) -> bool:
        """Read once; return whether there may be more."""
        try:
            chunk = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return False
        if descriptor == self._log_end:
            self._taken += len(chunk)
            self.log.add(chunk)
        elif descriptor == self._told_end:
            self.told += chunk[: _MOST_TOLD - len(self.told)]
        if not chunk:
            self._open.discard(descriptor)
        return bool(chunk)


def _spawn(program: Program, log_in: int, told_in: int, feeding: Feeding) -> int:
    words = [
        sys.executable, "-I", "-S", "-B", "-X", "utf8", bootstrap.__file__, parting(), os.fspath(program.folder),
        program.main, *program.arguments,
    ]  # fmt: skip
    actions: list[tuple[Any, ...]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, log_in, 1),
        (os.POSIX_SPAWN_DUP2, log_in, 2),
        (os.POSIX_SPAWN_DUP2, told_in, bootstrap.TOLD),
        *((os.POSIX_SPAWN_DUP2, end, FIRST + place) for place, end in enumerate(feeding.ends.values())),
    ]
    environment = {**program.environment, TABLES: feeding.told}
    return os.posix_spawn(
        sys.executable, words, environment, file_actions=actions, setsid=True, setsigmask=[],
        setsigdef=_TO_DEFAULT,
    )  # fmt: skip


def _reaped(child: int) -> int | None:
    """Reap whoever has ended; return the child's status if it is among them."""
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == child:
            return status
        if pid == 0:
            return None


def _settle(status: int, watch: _Watch, broken: bool) -> Ended:
    told = bytes(watch.told)
    if broken:
        return Ended(INPUTS, None, "", watch.log.text())
    if not told.startswith(bootstrap.FENCED):
        raise BoxFailure(UNFENCED)
    place, text = _told(told.removeprefix(bootstrap.FENCED))
    return Ended(_code(status, place), place, text, watch.log.text())


def _code(status: int, place: Place | None) -> str:
    if status == 0:
        return ""
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
        return TIME
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    return MEMORY if killed or (place is not None and place.error == "MemoryError") else FAILED


def _told(content: bytes) -> tuple[Place | None, str]:
    """Read what the child said about its failure; what has not the form of a place is none."""
    try:
        told = json.loads(content)
        text = clean(str(told["text"]).encode("utf-8", "replace"))[-LONGEST_TEXT:]
        return _place(told), text
    except (ValueError, KeyError, TypeError, RecursionError):
        return None, ""


def _place(told: Mapping[str, Any]) -> Place | None:
    try:
        return Place(told["file"], told["line"], told["error"])
    except DarkroomError:
        return None

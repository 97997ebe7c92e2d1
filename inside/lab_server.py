"""The Jupyter server of a lab, as its runner sees it: a child that is told its environment once, and may crash.

It is started before anybody's lab it is, imports what it needs, and waits on its control socket (descriptor 3) for one
line: its environment and its folder. It answers with one byte when it listens. What it prints goes to a log in
memory, which the member can read and which does not grow without end.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from inside.lab_home import WRITE

PROGRAM = "/box/darkroom_lab/serve.py"
CONTROL = 3
LISTENS = b"R"

PAUSES_S = (0.2, 1.0, 3.0)
"""Before each new start; as many as there are in a row, then the lab ends."""

STEADY_S = 600.0
"""A server that lived as long as this has its new starts again."""

LARGEST_LOG, LARGEST_KEPT = 2**20, 2**16
CRASHES = ".lab-server.log"
"""Bytes of the log, and of what is left of it in the home under this name when the server has crashed."""

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_TO_DEFAULT = [signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD]


class Server:
    """One server after another, with the same environment."""

    def __init__(self, ground: Mapping[str, str], told: Path, program: str = PROGRAM) -> None:
        self._ground, self._folder, self._program = dict(ground), told, program
        self._line = b""
        self._starts = 0
        self._start()

    def begin(self, environment: Mapping[str, str], home: Path) -> None:
        """Tell the waiting server what it is; from now on it serves."""
        told = {"environment": {**self._ground, **environment}, "folder": os.fspath(home)}
        self._line = json.dumps(told).encode() + b"\n"
        self._tell()

    def listens(self) -> bool:
        """Take the server's word that it listens, where it has said so."""
        try:
            return self.control.recv(1) == LISTENS
        except OSError:
            return False

    def ended(self) -> int | None:
        """Reap whoever has ended, as process 1 has to; return the server's status if it is among them."""
        if os.path.exists(self._log) and os.stat(self._log).st_size > LARGEST_LOG:
            with contextlib.suppress(OSError):
                os.truncate(self._log, 0)
        while True:
            try:
                pid, status = os.waitpid(-1 if os.getpid() == 1 else self.pid, os.WNOHANG)
            except ChildProcessError:
                return 1
            if pid == self.pid:
                return os.waitstatus_to_exitcode(status)
            if pid == 0:
                return None

    def again(self) -> bool:
        """Start a new server in place of one that crashed; return whether it may have another start."""
        if time.monotonic() - self._since > STEADY_S:
            self._starts = 0
        if self._starts >= len(PAUSES_S):
            return False
        time.sleep(PAUSES_S[self._starts])
        self._starts += 1
        self._start()
        self._tell()
        return True

    def keep_log(self, home: Path) -> None:
        """Leave what the server said last in the home, where whoever is asked why it crashed can read it."""
        with contextlib.suppress(OSError):
            place = os.open(home / CRASHES, WRITE, 0o600)
            with open(place, "wb") as kept, open(os.open(self._log, _READ), "rb") as log:
                log.seek(max(0, os.stat(self._log).st_size - LARGEST_KEPT))
                kept.write(log.read(LARGEST_KEPT))

    def _start(self) -> None:
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, exist_ok=True)
        self._log = os.fspath(self._folder / "server.log")
        self.control, theirs = socket.socketpair()
        logging = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        logs = self._folder.is_dir() and (os.path.isfile(self._log) or not os.path.lexists(self._log))
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, self._log if logs else os.devnull, logging, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            (os.POSIX_SPAWN_DUP2, theirs.fileno(), CONTROL),
        ]
        words = [sys.executable, "-I", "-S", "-B", "-X", "utf8", self._program]
        with theirs:
            self.pid = os.posix_spawn(
                sys.executable, words, self._ground, file_actions=actions, setsid=True, setsigmask=[],
                setsigdef=_TO_DEFAULT,
            )  # fmt: skip
        self._since = time.monotonic()

    def _tell(self) -> None:
        with contextlib.suppress(OSError):  # it has died already, which `ended` will say
            self.control.sendall(self._line)

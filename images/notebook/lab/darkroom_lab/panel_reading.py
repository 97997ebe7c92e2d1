"""What the pages show, read through the client in threads of their own, so that the server goes on meanwhile.

Every failure becomes one sentence. The client waits and tries again by itself; a page does not wait longer than
`LONGEST_S` for it, and at most `AT_ONCE` readings go on at a time.
"""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LONGEST_S = 20.0
AT_ONCE = 4
HOME_FACTS = Path("/tmp/darkroom/home.json")
"""Written by the lab's runner every few seconds."""

_LARGEST_FACTS = 4096
_NUMBERS = ("used_mb", "limit_mb", "files", "files_limit")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is nothing to show: a word for the sentence of the house, or the sentence itself, and what to do."""

    key: str
    sentence: str = ""
    next_step: str = ""


class NotReadError(Exception):
    """Something could not be read; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.sentence or failure.key)
        self.failure = failure


@dataclass(slots=True)
class Reading:
    """The client, connected on first use and again after a failure, and the threads in which it is used."""

    _threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(AT_ONCE, "darkroom-panel")
    )
    _room: Any = None

    async def of(self, read: Callable[[Any], Any]) -> Any:
        """Return what `read` returns for the connection.

        Raises:
            NotReadError: there is nothing to show; the failure says why.
        """
        return await self.run(lambda: self._read(read))

    async def run(self, work: Callable[[], Any]) -> Any:
        """Return what `work` returns, from a thread.

        Raises:
            NotReadError: it takes longer than a page waits; or as `work` does.
        """
        running = asyncio.get_running_loop().run_in_executor(self._threads, work)
        try:
            return await asyncio.wait_for(running, LONGEST_S)
        except TimeoutError:
            raise NotReadError(Failure("slow")) from None

    def room(self) -> Any:
        """Return the connection.

        Raises:
            DarkroomError: there is none.
        """
        import darkroom

        if self._room is None:
            self._room = darkroom.connect()
        return self._room

    def _read(self, read: Callable[[Any], Any]) -> Any:
        try:
            from plans.errors import DarkroomError
        except ImportError:
            raise NotReadError(Failure("no-client")) from None
        try:
            return read(self.room())
        except ImportError as problem:  # another `plans` stands before ours, or the image has no client
            raise NotReadError(Failure("no-client", str(problem))) from None
        except DarkroomError as problem:
            self._room = None
            raise NotReadError(failure_of(problem)) from None
        except (AttributeError, KeyError, TypeError, ValueError):
            raise NotReadError(Failure("other-version")) from None


_KEYS = {
    "access.not-signed-in": "token-ended",
    "access.not-allowed": "not-allowed",
    "service.unreachable": "unreachable",
    "thing.not-found": "not-found",
}


def failure_of(problem: Any) -> Failure:
    """Return an error of the house as a failure; those that a page has words for are told in these."""
    return Failure(_KEYS.get(problem.code, ""), f"{problem.what}.", problem.next_step)


def home_facts(path: Path = HOME_FACTS) -> dict[str, Any] | None:
    """Return how full the home is, or none if nothing readable says so. The file lies where the member can write, so it
    is read as anybody's: a plain file, a few bytes, numbers.
    """
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            found = json.loads(file.read(_LARGEST_FACTS))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    facts = {name: found.get(name) for name in _NUMBERS}
    if not all(isinstance(value, int | float) and 0 <= value < 2**53 for value in facts.values()):
        return None
    return facts | {"full": found.get("full") is True}

"""The reaper: a launcher that starts ends and removes whatever boxes of an earlier life have left.

Boxes die with their launcher (`--die-with-parent`), but a launcher can be killed before a box has
that signal, and what escaped from a box has none. So before it makes its first box a launcher

1. ends every process of its boxes: those of its boxes' user ids, and those that it knows by a box's folder,
   which is how a launcher without user ids of its own finds them;
2. removes the control groups that carry its name;
3. wipes the folders of boxes, whatever was made in them: deep trees, and folders closed to their own owner.

A box's folder has a name of 64 random bits. A process belongs to it if one of its mounts comes from there
(which a program in a box cannot change), or if the name stands in its command line (the monitors of tiers,
which run no foreign code). What cannot be removed is said, and the launcher does not start: a box beside one
that nobody holds would be a weaker box.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from plans.errors import StateConflict
from sandbox import processes
from sandbox.cgroups import Cgroups

REAPING_S = 5.0
"""How long what was left may take to be gone."""

_PAUSE_S = 0.01


@dataclass(frozen=True, slots=True)
class Left:
    """What was found and is gone now: numbers of processes, control groups, folders."""

    processes: int
    groups: int
    folders: int

    @property
    def told(self) -> str:
        """Say it in a sentence."""
        counts = f"{self.processes} processes, {self.groups} control groups, {self.folders} folders"
        return f"earlier boxes had left {counts}; they are gone"


NOTHING = Left(0, 0, 0)


def reap(boxes: Path, uids: range, groups: Cgroups) -> Left:
    """Remove what earlier boxes have left below `boxes`, under the user ids `uids` (none: empty), in `groups`.

    Raises:
        StateConflict: something does not go; says what.
    """
    names = frozenset(os.listdir(boxes)) if boxes.exists() else frozenset()
    ended = _end(lambda: _left_processes(names, uids), "a process of an earlier box cannot be ended")
    found = list(groups.left())
    for group in found:
        group.kill()
        group.thaw()
        ended += _end(group.pids, "a process in an earlier box's control group cannot be ended")
        _patiently(group.discard, "an earlier box's control group cannot be removed", "control group")
    for name in sorted(names):
        _wipe(boxes / name)
    return Left(ended, len(found), len(names))


def _left_processes(names: frozenset[str], uids: range) -> list[int]:
    """Return the processes of earlier boxes: by user id, or by the folder that they live in."""
    own, us = {os.geteuid()}, os.getpid()
    found = []
    for pid in processes.living():
        users = processes.users(pid)
        if pid != us and (any(uid in uids for uid in users) or (users == own and _lives_in(pid, names))):
            found.append(pid)
    return found


def _lives_in(pid: int, names: frozenset[str]) -> bool:
    """Whether a process has a mount out of one of these folders, or names one in its command line."""
    if not names:
        return False
    words: set[str] = set()
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines():
            words.update(line.split(" ")[3].split("/"))
    with contextlib.suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        words.update(command.replace("\0", "/").replace("=", "/").replace(" ", "/").split("/"))
    return not names.isdisjoint(words)


def _end(find: Callable[[], list[int]], sentence: str) -> int:
    """Kill what `find` finds until it finds nothing more, and return how many processes that were."""
    seen: set[int] = set()
    until = time.monotonic() + REAPING_S
    while found := find():
        if time.monotonic() > until:
            raise _stuck(sentence, f"process {found[0]}")
        seen.update(found)
        for uid in sorted({uid for pid in found for uid in processes.users(pid)} - {os.geteuid()}):
            _end_user(uid)
        for pid in found:
            processes.send(pid, signal.SIGKILL)
        time.sleep(_PAUSE_S)
    return len(seen)


def _end_user(uid: int) -> None:
    """Kill all that runs under a user id, at once, by a child that takes it.

    A launcher in a user namespace of its own has no power over processes of the namespace before (its sibling), though
    their users are the same; a process of the same user has (kill(2)).
    """
    child = os.fork()
    if child == 0:
        try:
            os.setresuid(uid, uid, uid)
            os.kill(-1, signal.SIGKILL)
        except OSError:
            pass
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def _patiently(attempt: Callable[[], bool], sentence: str, what: str) -> None:
    until = time.monotonic() + REAPING_S
    while not attempt():
        if time.monotonic() > until:
            raise _stuck(sentence, what)
        time.sleep(_PAUSE_S)


def _wipe(folder: Path) -> None:
    """Remove a folder and all below it; `rm` and `chmod` need no stack of ours, however deep it is."""
    path = os.fspath(folder)
    _quietly("/bin/rm", "-rf", "--one-file-system", "--", path)
    if os.path.lexists(folder):
        _quietly("/bin/chmod", "-R", "u+rwX", "--", path)
        _quietly("/bin/rm", "-rf", "--one-file-system", "--", path)
    if os.path.lexists(folder):
        raise _stuck("what an earlier box left cannot be removed", folder.name)


def _quietly(*words: str) -> None:
    subprocess.run(words, env={}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def _stuck(sentence: str, what: str) -> StateConflict:
    return StateConflict(
        sentence, what, "End or remove it as the host's administrator, and start the launcher again."
    )

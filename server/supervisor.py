"""Starting the processes of a site, and starting again those that end.

The supervisor is the parent of API, dispatcher, keepers and launchers, each started in safe-path mode with an
environment that holds only what is listed here. A process that dies is started again after a pause that
grows; what it was doing is in its own durable state. When the supervisor is told to stop it ends its children
in the order opposite to their start.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from plans import frames
from plans.errors import DarkroomError, Unreachable
from sandbox import api as sandbox
from server.site import Site

_PASSED_ON = ("DARKROOM_IMAGES", "HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "TMPDIR")
_PATIENCE_S = 90
_LONGEST_PAUSE_S = 10.0


@dataclass(frozen=True, slots=True)
class Role:
    """One process: a name, the Python module and its arguments, and the file that it writes to, if not the centre's."""

    name: str
    module: str
    arguments: tuple[str, ...]
    log: Path | None = None


@dataclass(slots=True)
class _Child:
    role: Role
    process: subprocess.Popen[bytes]
    started: float
    falls: int = 0


@dataclass(slots=True)
class Supervisor:
    """Keeps the processes of one site alive for the time of a `with` block, or until `stop`."""

    site: Site
    _children: dict[str, _Child] = field(default_factory=dict)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _watcher: threading.Thread | None = None

    def start(self, roles: Sequence[Role]) -> None:
        """Start processes, in this order."""
        for role in roles:
            self._children[role.name] = _Child(role, self._spawn(role), time.monotonic())
        if self._watcher is None:
            self._watcher = threading.Thread(target=self._watch, daemon=True, name="supervisor")
            self._watcher.start()

    def restart(self, name: str) -> None:
        """End a process, politely; it is started anew as if it had died."""
        self._children[name].process.send_signal(signal.SIGTERM)

    def pid(self, name: str) -> int:
        """Return the process id that a role has at present."""
        return self._children[name].process.pid

    def pids(self) -> dict[str, int]:
        """Return every role's present process id."""
        return {name: child.process.pid for name, child in self._children.items()}

    def stop(self) -> None:
        """End all processes, last started first: politely, then not."""
        self._stopping.set()
        if self._watcher is not None:
            self._watcher.join()
        for child in reversed(self._children.values()):
            _end(child.process)
        self._children.clear()
        for owner in self.site.owners():
            sandbox.forget_groups(owner.launcher_home)
        if self.site.labs.settings.exists():
            sandbox.forget_groups(self.site.labs.launcher_home)

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _watch(self) -> None:
        while not self._stopping.wait(0.2):
            for child in list(self._children.values()):  # another thread may start more
                if child.process.poll() is not None:
                    self._revive(child)

    def _revive(self, child: _Child) -> None:
        lived = time.monotonic() - child.started
        child.falls = 1 if lived > 60 else child.falls + 1
        if self._stopping.wait(min(0.2 * 2 ** (child.falls - 1), _LONGEST_PAUSE_S)):
            return
        child.process, child.started = self._spawn(child.role), time.monotonic()

    def _spawn(self, role: Role) -> subprocess.Popen[bytes]:
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        command = [sys.executable, "-P", "-m", role.module, *role.arguments]
        with self._log(role) as log:
            return subprocess.Popen(
                command,
                cwd=self.site.centre,
                env=environment | {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _log(self, role: Role) -> IO[bytes]:
        path = role.log or self.site.centre / "logs" / f"{role.name.replace('/', '-').replace(':', '-')}.log"
        path.parent.mkdir(exist_ok=True, mode=0o700)
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600), "ab")


def roles(site: Site) -> list[Role]:
    """Return the processes of a site: owners' sides first, then the centre."""
    found = []
    for owner in site.owners():
        found += owner_roles(site, owner.domain)
    home = (str(site.home),)
    return [*found, Role("api", "server.web", home), Role("dispatcher", "server.dispatch", home)]


def owner_roles(site: Site, domain: str) -> list[Role]:
    """Return the processes of an owner's side; an agent, where it takes part in joint computations.

    Why an attempt failed on a side may depend on its data, so what its agent writes lies with the owner.
    """
    owner = site.owner(domain)
    agent = Role(f"agent:{domain}", "mpc.agent", (str(owner.agent_settings),), owner.agent_log)
    return [
        Role(f"launcher:{domain}", "sandbox.launcher", (str(owner.launcher_settings),)),
        Role(f"keeper:{domain}", "keeper", (str(owner.keeper_settings),)),
        *([agent] if owner.agent_settings.exists() else []),
    ]


def wait_for(socket: Path, patience_s: float = _PATIENCE_S) -> None:
    """Wait until a process answers on its socket.

    Raises:
        Unreachable: it does not, within the patience.
    """
    until = time.monotonic() + patience_s
    while True:
        try:
            frames.ask(socket, {"op": "status"}, timeout_s=5)
            return
        except Unreachable:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        except DarkroomError:
            return


def _end(process: subprocess.Popen[bytes], patience_s: float = 15) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

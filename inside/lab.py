"""The lab's runner: process 1 of a member's lab. It joins the Jupyter server to the world, and keeps it running.

    1. `warm`: the server's process is started and imports what it needs, while it is nobody's (`inside.lab_server`);
    2. over `/links/hub` it asks once for the lab's settings: the environment that the Hub made for this server;
    3. the server starts in the member's home;
    4. connections are carried: the server's to the Hub, and those of visitors to the server (`inside.lab_relay`);
    5. the home's use is watched, told, and bounded in a friendly way (`inside.lab_home`).

The lab ends when its server ends. A server that crashes is started again, with the same settings and in the same home;
one that does not stay up ends the lab. There is no key here and no data: what the member may not have is not in the
box, and nothing that this process does is a wall against the member.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from inside.lab_home import HomeWatch
from inside.lab_relay import Ports, Relay, Way
from inside.lab_server import Server
from inside.session import BoxFailure, Link, Session
from plans import frames
from plans.box import Entry, Limits
from plans.decision import Tier
from plans.errors import DarkroomError
from plans.labs import HUB

NO_SETTINGS, SERVER = "lab.settings", "lab.server"
"""How a lab can fail: nobody gave its settings; its server did not stay up."""

SETTINGS_S = 120.0
"""How long the lab asks for its settings while the porter is away."""

TOLD = Path("/tmp/darkroom")
"""Where runner, server, kernels and client tell each other what is no secret (`home.json`), and the server's log."""

_ASK = b"S"
_LONGEST_PAUSE_S = 2.0
_OPENING_S = 1.0
_TICK_S = 0.5
_PATH = "/box/bin:/python/bin:/usr/bin:/bin"
_GIVEN = ("JUPYTERHUB_", "DARKROOM_", "JPY_")
_LS, _SMALL = "/usr/bin/ls", "/box/strong"
"""Debian's program, and where small ones are, for boxes in which Debian's fail (`darkroom_lab.listing`)."""

_THREADS = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA")


def warm(limits: Limits) -> Server:
    """Start the server's process; it imports, and waits for its environment."""
    return Server(ground(limits), TOLD)


def run(session: Session) -> dict[str, Any]:
    """Run a member's lab until its server ends.

    Raises:
        BoxFailure: `lab.settings`, `lab.server`.
    """
    spec = session.plan.stage(Entry.LAB)
    server = session.warmed or warm(spec.limits)
    if spec.home is None:
        raise BoxFailure(NO_SETTINGS)
    home = Path("/home", spec.home.name)
    lab = Running(server, way_over(session.links[HUB]), home)
    lab.begin(settings(lab.way, SETTINGS_S), small=spec.tier is Tier.T2 and not lists_files())
    watch = HomeWatch(home, spec.home.mb, spec.home.files, TOLD)
    while not lab.step():
        watch.step(spared=(os.getpid(), server.pid))
    return {}


@dataclass
class Running:
    """A lab between its settings and its end."""

    server: Server
    way: Way
    home: Path
    ports: Ports = Ports()

    def begin(self, given: Mapping[str, str], small: bool = False) -> None:
        """Give the server its environment and begin to carry; `small`: with programs of ours before Debian's."""
        self.relay = Relay(self.way, self.ports)
        told = environment(given, self.home, self.ports)
        if small:
            told["PATH"] = f"{_SMALL}:{_PATH}"
        self.server.begin(told, self.home)
        self._attend()

    def step(self) -> bool:
        """Carry for a moment; return whether the lab has ended.

        Raises:
            BoxFailure: `lab.server`.
        """
        self.relay.step(_TICK_S)
        ended = self.server.ended()
        if ended is None:
            return False
        if ended == 0:
            self.relay.close()
            return True
        self.relay.forget(self.server.control)
        self.server.keep_log(self.home)
        if not self.server.again():
            raise BoxFailure(SERVER)
        self._attend()
        return False

    def _attend(self) -> None:
        """Let visitors in as soon as the server says that it listens."""
        control = self.server.control

        def said(_: int) -> None:
            self.relay.forget(control)
            if self.server.listens():
                self.relay.let_in()

        self.relay.watch(control, said)


def lists_files() -> bool:
    """Whether Debian's `ls` can ask about a file here: gVisor's release in Debian does not know a flag of its call."""
    quiet = [(os.POSIX_SPAWN_OPEN, each, os.devnull, os.O_RDWR, 0) for each in (0, 1, 2)]
    try:
        pid = os.posix_spawn(_LS, [_LS, "-d", "/"], {}, file_actions=quiet)
    except OSError:
        return False
    return os.waitpid(pid, 0)[1] == 0


def way_over(link: Link) -> Way:
    """Return how a link is opened, again and again, by one who must not wait long."""

    def opened() -> socket.socket:
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        stream.settimeout(_OPENING_S)
        try:
            stream.connect(str(link.place))
        except OSError:
            stream.close()
            raise
        return stream

    return opened


def settings(way: Way, within_s: float) -> dict[str, str]:
    """Ask for the lab's settings until they come.

    Raises:
        BoxFailure: `lab.settings`: they did not, or are none.
    """
    until, pause = time.monotonic() + within_s, 0.02
    while time.monotonic() < until:
        try:
            with way() as stream:
                stream.settimeout(30.0)
                stream.sendall(_ASK)
                with stream.makefile("rb") as answer:
                    told = frames.read(answer)
        except (OSError, DarkroomError):
            told = None  # nobody there, or somebody who was ended while speaking: another time
        if told is not None:
            return _environment_of(told)
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_S)
    raise BoxFailure(NO_SETTINGS)


def _environment_of(told: Mapping[str, Any]) -> dict[str, str]:
    given = told.get("environment")
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise BoxFailure(NO_SETTINGS)
    return {str(name): value for name, value in given.items()}


def ground(limits: Limits) -> dict[str, str]:
    """Return what the environment of every lab holds, whoever's it is."""
    cpus = str(limits.cpus)
    return {
        **os.environ,  # of the box: what its walls need, such as where a GPU's libraries are
        "LANG": "C.UTF-8",
        "PATH": _PATH,
        "SHELL": "/usr/bin/bash",
        "TMPDIR": "/tmp",
        "MALLOC_ARENA_MAX": "2",
        "PYTHONPATH": "/box/client:/box",
        "PYTHONUTF8": "1",
        "JUPYTER_NO_CONFIG": "1",
        "JUPYTER_PATH": "/box/darkroom_lab/share:/box/share/jupyter",
        "JUPYTERLAB_DIR": "/box/share/jupyter/lab",
        "JUPYTER_RUNTIME_DIR": str(TOLD / "runtime"),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": "/mirror",
        "PIP_USER": "1",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_WARN_SCRIPT_LOCATION": "1",
        "LOKY_MAX_CPU_COUNT": cpus,
        **{f"{library}_NUM_THREADS": cpus for library in _THREADS},
    }


def environment(given: Mapping[str, str], home: Path, ports: Ports) -> dict[str, str]:
    """Return what one lab's environment holds beyond that: what was given, as far as it may be, and its home."""
    kept = {name: value for name, value in given.items() if name.startswith(_GIVEN)}
    url = urlsplit(kept.get("JUPYTERHUB_SERVICE_URL", "http:/"))
    return {
        **kept,
        "JUPYTERHUB_SERVICE_URL": urlunsplit(("http", f"127.0.0.1:{ports.server}", url.path or "/", "", "")),
        "JUPYTERHUB_ROOT_DIR": str(home),
        "JUPYTERHUB_DISABLE_USER_CONFIG": "1",
        "HOME": str(home),
        "PYTHONUSERBASE": str(home / ".local"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / ".jupyter" / "lab" / "user-settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / ".jupyter" / "lab" / "workspaces"),
    }

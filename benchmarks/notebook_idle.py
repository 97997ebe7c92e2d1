"""The memory of an idle lab, and of a bare JupyterHub's idle server, looked at in the same moment.

Both were opened in a browser, which has left; no kernel runs. A lab is all that its box is: bubblewrap, the runner,
the server, and what lies in its tmpfs. Memory is the proportional set size: a page that several processes have counts
for each in part. A lab shares pages of its image with the box that waits beside it; the peer shares pages of the
environment with its Hub and the platform's processes. `lab.memory_own_ratio` counts what each has for itself alone.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmarks.box_memory import memory_of
from benchmarks.notebook_peer import BareHub
from benchmarks.notebook_starts import LAUNCHER, PEER_IS, PEER_NAME, fresh, rest, timed, tree, watched_page
from benchmarks.report import Metric
from plans.labs import home_of
from tests.e2e.labs_town import Guest, LabsTown

GOAL, SETTLE_S = 1.2, 10.0
SINGLE_USER = "jupyterhub.singleuser"
_MIB = 2**20


def idle_memory(town: LabsTown, hub: BareHub, guest: Guest) -> Iterator[Metric]:
    """Open both, let the browser leave, wait, and look. The lab still runs at the end; the peer's server does not."""
    page = watched_page(town.browser)
    hub.sign_in(page, PEER_NAME)
    timed(page, "#start")
    page.goto("about:blank")
    fresh(town, guest)
    timed(guest.page, "#start")
    guest.page.goto("about:blank")
    time.sleep(SETTLE_S)
    rest(town)
    lab, peer = lab_process(town, guest), server_process(hub)
    whole, bare = memory_of(lab) / _MIB, memory_of(peer) / _MIB
    own, bare_own = own_memory(lab) / _MIB, own_memory(peer) / _MIB
    hub.stop(page)
    page.context.close()
    yield Metric("lab.memory_ratio", whole / bare, "x", at_most=GOAL, peer=1.0, peer_is=PEER_IS)
    yield Metric("lab.memory_mb", whole, "MiB", peer=bare, peer_is=PEER_IS)
    yield Metric("lab.memory_own_ratio", own / bare_own, "x", peer=1.0, peer_is=PEER_IS)
    yield Metric("lab.memory_own_mb", own, "MiB", peer=bare_own, peer_is=PEER_IS)


def lab_process(town: LabsTown, guest: Guest) -> int:
    """Return the outermost process of the member's box: the launcher's child below which the member's home is seen.

    Raises:
        LookupError: the member has no lab.
    """
    home = home_of(guest.name)
    for child in psutil.Process(town.town.supervisor.pid(LAUNCHER)).children():
        if any(_sees(process.pid, home) for process in tree(child.pid)):
            return child.pid
    raise LookupError(f"{guest.name} has no lab")


def server_process(hub: BareHub) -> int:
    """Return the peer's single-user server.

    Raises:
        LookupError: there is none.
    """
    for process in tree(hub.process.pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            if SINGLE_USER in process.cmdline():
                return process.pid
    raise LookupError("the peer has no server")


def own_memory(first: int) -> int:
    """Return the bytes that the processes of a tree have for themselves alone."""
    return sum(process.memory_full_info().uss for process in tree(first))


def _sees(pid: int, home: str) -> bool:
    try:
        return Path("/proc", str(pid), "root", "home", home).exists()
    except PermissionError:
        return False

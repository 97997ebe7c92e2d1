"""Clicks that start a lab, cold and warm, and clicks that start a bare JupyterHub's server, in turns.

*Click*: on the button that starts it, on the Hub's own page, signed in, in both. *Usable* is as
`tests/e2e/jupyterlab.py` defines it, seen by the page itself at each frame: looking from outside comes up to half a
second late. Every start has a fresh browser context, so nothing is in the browser's caches.

*Warm*: a box waits. *Cold*: none waits: the launcher has forgotten what it was asked for and was started anew. The box
that it then starts for whoever comes next is started beside the one that was asked for, as it is in use; the same
holds of a warm start. Before each click all of that has come to rest.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import psutil
from playwright.sync_api import Browser, Page

from benchmarks.notebook_peer import BareHub
from benchmarks.report import Metric
from tests.e2e import jupyterlab
from tests.e2e.labs_town import Guest, LabsTown, until

ROUNDS = 4
COLD_GOAL, WARM_GOAL = 1.5, 0.7
LAUNCHER = "launcher:labs"
PEER_NAME, PEER_IS = "ann", "JupyterHub with a bare local process"

QUIET, LOOK_S, PATIENCE_S = 0.05, 0.5, 30.0
"""At rest: of two looks after each other, this part of a processor at most in both; who never rests is not waited for
beyond the patience."""

SEEN = """
(() => {
  const look = () => {
    const card = document.querySelector(".jp-LauncherCard[data-category=Notebook]");
    const covered = document.getElementById("jupyterlab-splash") !== null;
    if (card && card.getClientRects().length && !covered) window.usableAt = Date.now();
    else requestAnimationFrame(look);
  };
  if (window.top === window) requestAnimationFrame(look);
})();
"""
"""In every page: when it was usable, by the clock that the benchmark has as well."""
TIMES = """
[window.usableAt, performance.timeOrigin + performance.getEntriesByType("navigation")[0].responseStart]
"""


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from a click to a usable JupyterLab, and how many of them until its page began to arrive."""

    whole: float
    server: float


@dataclass(slots=True)
class Starts:
    """What was measured, by kind."""

    peer: list[Start] = field(default_factory=list)
    warm: list[Start] = field(default_factory=list)
    cold: list[Start] = field(default_factory=list)

    def metrics(self) -> Iterator[Metric]:
        """Yield ratios of medians, how far single starts lie apart, and where the time goes."""
        peer = _median(self.peer)
        for name, kind, goal in (("cold", self.cold, COLD_GOAL), ("warm", self.warm, WARM_GOAL)):
            own = _median(kind)
            yield Metric(
                f"lab.{name}_ratio", own.whole / peer.whole, "x", at_most=goal, peer=1.0, peer_is=PEER_IS
            )
            yield Metric(f"lab.{name}_s", own.whole, "s", peer=peer.whole, peer_is=PEER_IS)
            yield Metric(f"lab.{name}_least_s", _least(kind), "s", peer=_least(self.peer), peer_is=PEER_IS)
            yield Metric(f"lab.{name}_most_s", _most(kind), "s", peer=_most(self.peer), peer_is=PEER_IS)
            yield Metric(f"lab.{name}_server_s", own.server, "s", peer=peer.server, peer_is=PEER_IS)


def starts(town: LabsTown, hub: BareHub, guest: Guest) -> Starts:
    """Start each once for the file caches, then in turns. Nothing runs when it returns."""
    found = Starts()
    for number in range(ROUNDS + 1):
        into = found if number else Starts()
        into.peer.append(bare_start(town, hub))
        if number:  # the first time no box waits yet
            into.warm.append(lab_start(town, guest, waiting=1))
        empty_pool(town)
        into.cold.append(lab_start(town, guest, waiting=0))
    return found


def bare_start(town: LabsTown, hub: BareHub) -> Start:
    """Start the peer's server once, and stop it."""
    page = watched_page(town.browser)
    hub.sign_in(page, PEER_NAME)
    rest(town)
    took = timed(page, "#start")
    hub.stop(page)
    page.context.close()
    return took


def lab_start(town: LabsTown, guest: Guest, waiting: int) -> Start:
    """Start the lab once, and stop it; before the click, this many boxes must wait.

    Raises:
        RuntimeError: another number of them waits.
    """
    fresh(town, guest)
    rest(town)
    boxes = len(psutil.Process(town.town.supervisor.pid(LAUNCHER)).children())
    if boxes != waiting:
        raise RuntimeError(f"{boxes} boxes wait, not {waiting}")
    took = timed(guest.page, "#start")
    town.stop_lab(guest)
    until(lambda: not town.living())
    return took


def timed(page: Page, button: str) -> Start:
    """Click, and wait until JupyterLab is usable."""
    clicked = time.time()
    page.locator(button).click(no_wait_after=True)
    jupyterlab.wait_until_usable(page)
    page.wait_for_function("window.usableAt")
    usable, came = page.evaluate(TIMES)
    return Start(usable / 1000 - clicked, came / 1000 - clicked)


def fresh(town: LabsTown, guest: Guest) -> None:
    """Give the member a fresh browser, signed in, in front of the Hub's button."""
    guest.context.close()
    guest.page = watched_page(town.browser)
    guest.context = guest.page.context
    town.sign_in(guest)
    guest.page.goto(town.hub + "/hub/home")  # the portal's own link starts the lab at once
    guest.page.locator("#start").wait_for()


def watched_page(browser: Browser) -> Page:
    """Return a page in a fresh context that notes when it is usable."""
    context = jupyterlab.a_person(browser)
    context.add_init_script(SEEN)
    return context.new_page()


def empty_pool(town: LabsTown) -> None:
    """Have the launcher forget what it was asked for, and start it anew: no box waits, and none is started."""
    (town.site.labs.launcher_home / "warm.json").unlink(missing_ok=True)
    before = town.town.supervisor.pid(LAUNCHER)
    town.kill(LAUNCHER)
    until(lambda: town.town.supervisor.pid(LAUNCHER) != before)
    until(lambda: town.living() == [] and "answers")


def rest(town: LabsTown) -> None:
    """Wait until the launcher and its boxes have nothing to do: a box that is being started waits by then."""
    ends, quiet = time.monotonic() + PATIENCE_S, 0
    before = used(town.town.supervisor.pid(LAUNCHER))
    while quiet < 2 and time.monotonic() < ends:
        time.sleep(LOOK_S)
        now = used(town.town.supervisor.pid(LAUNCHER))
        quiet = quiet + 1 if abs(now - before) <= QUIET * LOOK_S else 0
        before = now


def used(first: int) -> float:
    """Return the processor seconds of a tree of processes."""
    spent = 0.0
    for process in tree(first):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        spent += times.user + times.system
    return spent


def tree(first: int) -> list[psutil.Process]:
    """Return a process and all that came of it; none where it has ended."""
    try:
        process = psutil.Process(first)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _median(kind: list[Start]) -> Start:
    whole = statistics.median(each.whole for each in kind)
    return Start(whole, statistics.median(each.server for each in kind))


def _least(kind: list[Start]) -> float:
    return min(each.whole for each in kind)


def _most(kind: list[Start]) -> float:
    return max(each.whole for each in kind)

"""Keeping a site up: `darkroom-server up`."""

from __future__ import annotations

import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from plans.errors import DarkroomError, Unreachable
from server import images, labs
from server.enrolment import found_site, offer_roster
from server.site import Site, open_site
from server.supervisor import Role, Supervisor, owner_roles, roles, wait_for
from store import api as store


def stay_up(home: Path, port: int) -> None:
    """Start a site, made on first use, and stay until Ctrl-C or SIGTERM; owners added meanwhile are started too."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    site = Site(home.resolve())
    if not site.settings.exists():
        site = found_site(home, port)
    _found_labs(site)
    if told := images.outdated():
        sys.stderr.write(f"Warning: {told}.\n")
    with started(open_site(home)) as supervisor:
        sys.stderr.write(f"Darkroom is up at {reached(site)}. Ctrl-C ends it.\n")
        _tell_of_labs(site)
        sides = Sides(site, supervisor)
        while not stop.wait(0.5):
            sides.follow()


def _found_labs(site: Site) -> None:
    """Make the side of labs. A Darkroom without one is a Darkroom still, so what is missing is only said."""
    try:
        labs.found(site)
    except DarkroomError as problem:
        site.labs.settings.unlink(missing_ok=True)
        sys.stderr.write(f"No labs here: {problem}\n")


def _tell_of_labs(site: Site) -> None:
    if not labs.roles(site):
        return
    try:
        labs.wait_until_up(site)
        sys.stderr.write(f"Labs are at {labs.address(site)}, by the portal's sign-in.\n")
    except DarkroomError as problem:
        sys.stderr.write(f"Labs are not up: {problem}\n")


class Sides:
    """What administrators change while a site is up: new sides, a side's new agent, settings of its processes."""

    def __init__(self, site: Site, supervisor: Supervisor) -> None:
        self._site, self._supervisor = site, supervisor
        self._known = {role.name: _written(role) for role in self._roles()}

    def follow(self) -> None:
        """Start what is new, and start anew what has other settings than it was started with."""
        domains = {name.partition(":")[2] for name in self._known}
        for role in self._roles():
            written = _written(role)
            if role.name not in self._known:
                self._supervisor.start([role])
            elif self._known[role.name] != written:
                self._supervisor.restart(role.name)
            self._known[role.name] = written
        for owner in self._site.owners():
            if owner.domain not in domains:
                wait_for(owner.keeper_socket)
                offer_roster(owner)

    def _roles(self) -> list[Role]:
        owners = [role for owner in self._site.owners() for role in owner_roles(self._site, owner.domain)]
        return [*owners, *labs.roles(self._site)]


def _written(role: Role) -> bytes:
    """Return the settings of a process of a side, as they are in its file."""
    return Path(role.arguments[0]).read_bytes()


def started(site: Site) -> Supervisor:
    """Start all processes of a site and return their supervisor once everything answers."""
    site.restore_run_folder()
    supervisor = Supervisor(site)
    try:
        supervisor.start([*roles(site), *labs.roles(site)])
        for owner in site.owners():
            wait_for(owner.launcher_socket)
            wait_for(owner.keeper_socket)
            offer_roster(owner)
            if owner.agent_settings.exists():
                wait_for(owner.agent_door)
        wait_for_api(site)
    except DarkroomError:
        supervisor.stop()
        raise
    return supervisor


def address(site: Site) -> str:
    """Return the address at which the portal listens, for calls of this machine."""
    return store.load_settings(site.settings).listening


def reached(site: Site) -> str:
    """Return in words where members reach the portal, and by what."""
    settings = store.load_settings(site.settings)
    if settings.origin:
        return f"{settings.origin}, by the proxy with TLS that passes it on to {settings.listening}"
    who = "plain HTTP, by anybody" if settings.unsafe_public_host else "only this machine can reach it"
    return f"{settings.listening} ({who})"


def wait_for_api(site: Site, patience_s: float = 60) -> None:
    """Wait until the portal answers.

    Raises:
        Unreachable: it does not, within the patience.
    """
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(address(site) + "/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise Unreachable("the portal does not answer", address(site), f"Look at {site.centre / 'logs'}.")

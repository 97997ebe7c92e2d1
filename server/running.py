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
from server.enrolment import found_site, offer_roster
from server.site import Site, open_site
from server.supervisor import Supervisor, owner_roles, roles, wait_for
from store import api as store


def stay_up(home: Path, port: int) -> None:
    """Start a site, made on first use, and stay until Ctrl-C or SIGTERM; owners added meanwhile are started too."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    site = Site(home.resolve())
    if not site.settings.exists():
        site = found_site(home, port)
    with started(open_site(home)) as supervisor:
        sys.stderr.write(
            f"Darkroom is up at {address(site)} (only this machine can reach it). Ctrl-C ends it.\n"
        )
        known = {owner.domain for owner in site.owners()}
        while not stop.wait(0.5):
            for owner in site.owners():
                if owner.domain not in known:
                    known.add(owner.domain)
                    supervisor.start(owner_roles(site, owner.domain))
                    wait_for(owner.keeper_socket)
                    offer_roster(owner)


def started(site: Site) -> Supervisor:
    """Start all processes of a site and return their supervisor once everything answers."""
    site.restore_run_folder()
    supervisor = Supervisor(site)
    try:
        supervisor.start(roles(site))
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
    """Return the portal's address."""
    settings = store.load_settings(site.settings)
    return f"http://{settings.host}:{settings.port}"


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

"""Members' homes, as the administrator of the labs' machine sees and erases them.

A home is called by a digest of its member's name (`plans.labs.home_of`), so a launcher cannot say whose one is; here
names of accounts are put beside. A home whose account is gone stays until somebody erases it by its own name.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from plans.errors import DarkroomError, NotFound, StateConflict
from plans.labs import home_of
from sandbox import api as sandbox
from server.enrolment import open_store
from server.events import OPERATOR, record
from server.site import Site, open_site
from store import api as store


@dataclass(frozen=True, slots=True)
class MembersHome:
    """A home: its name, its member (empty: no account is called so), that member's projects, MiB, entries, whether a
    lab has it now, and whether its size could be seen.
    """

    name: str
    member: str
    projects: tuple[str, ...]
    mb: int
    files: int
    in_use: bool
    counted: bool

    def plain(self) -> dict[str, Any]:
        """Return the home as JSON values."""
        return asdict(self)


def listed(home: Path) -> tuple[MembersHome, ...]:
    """Return every home, the largest first.

    Raises:
        NotFound: there are no labs here.
        Unreachable: their launcher does not run.
    """
    site = open_site(home)
    found = _launcher(site).homes()
    with open_store(site).reading() as session:
        members = {home_of(member.name): member.name for member in store.members.all(session)}
        projects = store.projects.all(session)
    homes = [
        MembersHome(
            kept.name,
            member := members.get(kept.name, ""),
            tuple(project.name for project in projects if member in project.members),
            kept.mb,
            kept.files,
            kept.in_use,
            kept.counted,
        )
        for kept in found
    ]
    return tuple(sorted(homes, key=lambda each: (-each.mb, each.member, each.name)))


def erase(home: Path, whose: str) -> None:
    """Erase the home of a member, or the one of this name. A line in the audit log says so before it is gone, and
    another one if it was not erased after all.

    Raises:
        NotFound: there is no such home, or there are no labs here.
        StateConflict: a lab has it.
        Unreachable: the launcher of labs does not run.
    """
    site = open_site(home)
    name = home_of(whose) if "@" in whose else whose
    launcher = _launcher(site)
    found = next((kept for kept in launcher.homes(count=False) if kept.name == name), None)
    if found is None:
        raise NotFound("there is no such home", whose[:80], "See them with darkroom-server labs homes.")
    if found.in_use:
        raise StateConflict("a lab has this home now", whose, "Erase it once its member has stopped the lab.")
    record(site, "home.erased", whose, OPERATOR, home=name)
    try:
        launcher.erase_home(name)
    except DarkroomError as problem:  # a lab that took it in this moment, or the launcher is gone
        record(site, "home.not-erased", whose, OPERATOR, home=name, code=problem.code)
        raise


def _launcher(site: Site) -> sandbox.LauncherClient:
    if not site.labs.settings.exists():
        raise NotFound("there are no labs here", "labs", "They are set up by darkroom-server up.")
    return sandbox.LauncherClient(site.labs.launcher_owner_socket)

"""The side of labs: its launcher, porter, proxy and Hub. Founded with a site, and at `up` where a site has none yet.

What the settings say (`[labs]`, and the highest limits of a lab) is written anew into the settings of these processes
at every start; secrets, ports and user ids are made once and stay.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from keys import api as keys
from notebooks.api import SECRETS, LabsSettings, proxy_program
from plans.box import Entry
from plans.errors import DarkroomError, SettingsWrong, Unreachable
from plans.labs import SERVICES
from sandbox import api as sandbox
from server import users as site_users
from server.settings import LABS_SECRET_HASH, portal_site
from server.site import LABS, LabsSide, LabUsers, Site, write_private
from server.supervisor import Role, wait_for
from store import api as store

BOX_UIDS = 256
PREFERRED_HUB_PORT, PREFERRED_PROXY_PORT, FIRST_LAB_PORT = 8081, 8001, 20_000
WARM_KINDS = 2


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports on loopback of the Hub, and of the proxy's door for the Hub."""

    hub: int
    proxy: int


def found(site: Site) -> LabsSide | None:
    """Make the side of labs, or write its settings anew; return it, or none where the settings have none.

    Raises:
        NotFound: the image for labs was never built, or the proxy is not installed.
        SettingsWrong: the settings do not fit.
    """
    settings = store.load_settings(site.settings)
    if not settings.labs.on:
        return None
    side, users = site.labs, users_of(site, os.geteuid() == 0)
    proxy_program()
    side.make_folders(users)
    for name in SECRETS:
        if not (side.keys / name).exists():
            write_private(side.keys / name, secrets.token_hex(32).encode())
    secret = side.oauth_secret.read_text().strip()
    write_private(site.centre / LABS_SECRET_HASH, hashlib.sha256(secret.encode()).hexdigest().encode())
    _launcher(side, users, settings).save(side.launcher_settings)
    write_private(side.settings, json.dumps(_settings(side, users, settings).plain(), indent=1).encode())
    return side


def users_of(site: Site, root: bool) -> LabUsers:
    """Return the user ids of the side; none of its own where we are not root."""
    if not root:
        return LabUsers()
    first = site_users.labs_of(site)
    beyond = first + 1 + BOX_UIDS
    return LabUsers(first, beyond, beyond + 1, beyond + 2)


def roles(site: Site) -> list[Role]:
    """Return the processes of the side, in the order in which they start; none where it was not founded or is off."""
    side = site.labs
    if not side.settings.exists() or not store.load_settings(site.settings).labs.on:
        return []
    told = (str(side.settings),)
    return [
        Role(f"launcher:{LABS}", "sandbox.launcher", (str(side.launcher_settings),)),
        Role("porter", "notebooks.porter", told),
        Role("proxy", "notebooks.proxy", told),
        Role("hub", "notebooks.hub", told),
    ]


def wait_until_up(site: Site, patience_s: float = 90) -> None:
    """Wait until launcher, porter, Hub and proxy answer.

    Raises:
        Unreachable: one does not, within the patience.
    """
    side, until = site.labs, time.monotonic() + patience_s
    wait_for(side.launcher_socket, patience_s)
    wait_for(side.desk, patience_s)
    told = LabsSettings.load(side.settings)
    for port in (told.hub_port, told.listen_port):
        while not _healthy(port):
            if time.monotonic() > until:
                where = str(site.centre / "logs")
                raise Unreachable(
                    "JupyterHub does not answer", where, "Its log is there; darkroom-server doctor."
                )
            time.sleep(0.2)


def address(site: Site) -> str:
    """Return where browsers reach the Hub."""
    return LabsSettings.load(site.labs.settings).address


def _healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/hub/health", timeout=5):
            return True
    except OSError:
        return False


def weaker_points(site: Site) -> Iterator[tuple[str, bool, str, bool]]:
    """Yield what the doctor says of labs: what was looked at, whether it is good, how, whether it is but weaker."""
    settings = store.load_settings(site.settings)
    if not settings.labs.on:
        yield "labs", True, "off in the settings (labs.on)", False
        return
    yield _image(settings)
    yield _proxy()
    if not site.labs.settings.exists():
        yield "labs", False, "not set up yet; darkroom-server up does it", False
        return
    yield from _answers(site, settings)
    if os.geteuid() != 0:
        how = "Hub, proxy and porter run as the user that started them; started by root each has a user of its own"
        yield "users of labs", True, how, True
    if not settings.labs.memory_mb:
        yield "memory of labs", True, _unbounded(settings), True
    if not settings.labs.public_origin.startswith("https://"):
        how = "plain HTTP, for browsers on this machine alone; set origin and labs.origin in production"
        yield "cookies of labs", True, how, True


def _unbounded(settings: store.Settings) -> str:
    largest = max(profile.memory_mb for profile in settings.labs.profiles.values())
    here = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return (
        f"labs may have more together than there is: {here // largest} of {largest:,} MiB fill this machine, and those "
        "after them do not wait; set labs.memory_mb"
    )


def _image(settings: store.Settings) -> tuple[str, bool, str, bool]:
    missing = []
    for name in sorted({profile.image for profile in settings.labs.profiles.values()}):
        try:
            sandbox.find(name)
        except DarkroomError:
            missing.append(name)
    if missing:
        build = " ".join(f"images/{name}" for name in missing)
        return "images of labs", False, f"build them: python -m sandbox.images build {build}", False
    return "images of labs", True, "those of all profiles are here", False


def _proxy() -> tuple[str, bool, str, bool]:
    try:
        proxy_program()
    except DarkroomError as problem:
        return "proxy of labs", False, f"{problem.what}; {problem.next_step}", False
    return "proxy of labs", True, "installed", False


def _answers(site: Site, settings: store.Settings) -> Iterator[tuple[str, bool, str, bool]]:
    node = f"launcher of {LABS}"
    try:
        status = sandbox.LauncherClient(site.labs.launcher_socket).status()
        offered = {offer["tier"] for offer in status["tiers"]}
        yield node, True, f"offers {', '.join(sorted(offered))}; {len(status['boxes'])} labs", False
        for name, profile in settings.labs.profiles.items():
            if profile.tier not in offered:
                yield f"profile {name}", True, f"asks for {profile.tier}, which this node lacks", True
    except DarkroomError as problem:
        yield node, False, problem.what, False
    told = LabsSettings.load(site.labs.settings)
    for what, port in (("Hub", told.hub_port), ("proxy of labs answers", told.listen_port)):
        good = _listens(port)
        yield what, good, settings.labs.public_origin if good else "start it with darkroom-server up", False


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True


def _launcher(side: LabsSide, users: LabUsers, settings: store.Settings) -> sandbox.LauncherConfig:
    if not (side.node / "key").exists():
        write_private(side.node / "key", keys.SigningKey.fresh().unsafe_secret().hex().encode())
    images = dict.fromkeys(sandbox.find(each.image).digest for each in settings.labs.profiles.values())
    return sandbox.LauncherConfig(
        domain=LABS,
        node="node1",
        home=side.launcher_home,
        socket=side.launcher_socket,
        owner_socket=side.launcher_owner_socket,
        key_file=side.node / "key",
        keeper_socket=None,
        data_folder=side.node / "data",
        images_folder=sandbox.images_folder(),
        user=users.launcher,
        first_uid=site_users.labs_of(side.site) + 1,
        uid_count=BOX_UIDS,
        warm_kinds=WARM_KINDS,
        askers=() if users.hub is None else (users.hub,),
        ceilings={Entry.LAB: settings.limits.lab},
        images=tuple(images),
        side_group=users.hub,
        services={name: side.service(name) for name in SERVICES},
        mirror=Path(settings.labs.mirror) if settings.labs.mirror else None,
        labs_memory_mb=settings.labs.memory_mb,
    )


def _settings(side: LabsSide, users: LabUsers, settings: store.Settings) -> LabsSettings:
    labs, portal, ports = settings.labs, portal_site(settings), _ports(side)
    return LabsSettings(
        portal=settings.listening,
        portal_page=portal.origin,
        address=labs.public_origin,
        listen_host="127.0.0.1",
        listen_port=labs.port,
        hub_port=ports.hub,
        proxy_port=ports.proxy,
        first_port=FIRST_LAB_PORT,
        launcher_socket=str(side.launcher_socket),
        porter_hub=str(side.service("hub")),
        porter_api=str(side.service("api")),
        porter_desk=str(side.desk),
        porter_state=str(side.porter),
        hub_state=str(side.hub),
        keys=str(side.keys),
        images=str(sandbox.images_folder()),
        user_launcher=users.launcher,
        user_porter=users.porter,
        user_proxy=users.proxy,
        user_hub=users.hub,
        idle_hours=labs.idle_hours,
        age_days=labs.age_days,
        limits=settings.limits.lab.plain(),
        administrator=labs.administrator,
    )


def _ports(side: LabsSide) -> Ports:
    """Return the ports of the side: those that it had, else the usual ones, else free ones."""
    try:
        old = LabsSettings.load(side.settings)
        return Ports(old.hub_port, old.proxy_port)
    except SettingsWrong:
        return Ports(_port(PREFERRED_HUB_PORT), _port(PREFERRED_PROXY_PORT))


def _port(preferred: int) -> int:
    for wanted in (preferred, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", wanted))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise SettingsWrong("no port on loopback is free", "labs")

"""Where everything lies on one machine: the centre, and several owners' sides beside it.

    <home>/darkroom.toml        settings
    <home>/centre/              database, audit log, sealed results, the log's signing key
    <home>/owners/<domain>/     root.key (take it offline), keyring/, home/ (journal), data/, keeper.json,
                                agent.json, agent.pem and party where it takes part in joint computations
    <home>/nodes/<domain>/      the launcher of the owner's node: its key, launcher.json, and home/
    <home>/owners/<domain>/log/ what the agent says to its owner alone
    <run>/<domain>/             keeper, desk: the keeper's sockets
    <run>/<domain>/node/        open, owner: the launcher's sockets
    <run>/<domain>/agent/       door, link: the agent's sockets, where there is an agent

Where members have labs (`server.labs`):

    <home>/labs/labs.json       settings of porter, proxy and Hub
    <home>/labs/keys/           their secrets, each in a file: oauth, cookie, state, proxy
    <home>/labs/hub/            the Hub's database
    <home>/labs/porter/         which lab has which port
    <home>/nodes/labs/          the launcher of labs: its key, launcher.json, and home/ with homes/
    <run>/labs/node/            open, owner: that launcher's sockets
    <run>/labs/porter/          hub, api: where that launcher brings what labs say
    <run>/labs/desk/            desk: where the Hub asks the porter

Paths of sockets are short, since they have 107 bytes at the most.

Run by root, everything belongs to root but what each launcher needs under the user that it becomes
(`sandbox.own_user`); its group is that user's own:

    nodes/<domain>/home, run/<domain>/node     the launcher's
    owners/<domain>/data and data/staging      root's, mode 0710 for its group: it opens what a plan names
    the files in there                         the launcher's, read-only, so that it can link them into boxes
    run/<domain>                               root's, mode 0710 for its group: no other user reaches a keeper

An agent has a user of its own too (`sandbox.own_user.step_down`), and where there is one, its group takes the place of
the launcher's in the folders of sockets, and the launcher is in that group as well (`side_group`):

    owners/<domain>/agent.pem                  the agent's
    run/<domain>                               root's, mode 0710 for the agent's group
    run/<domain>/node                          the launcher's, mode 2710 for the agent's group: so is its open socket
    run/<domain>/agent                         the agent's, mode 0710 for its group

Porter, proxy and Hub have users of their own as well, and behind their walls see nothing else (`notebooks.walls`):

    labs and labs/keys                         root's alone; secrets are handed over when a process starts
    labs/hub, labs/porter                      the Hub's, the porter's
    run/labs/node                              the launcher's, mode 2710 for the Hub's group; its `owner` is ours
    run/labs/porter                            the porter's, mode 2710 for the launcher's group
    run/labs/desk                              the porter's, mode 2710 for the Hub's group

The embedded shape has one administrator, so it separates processes and keys, not people.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from plans.errors import NotFound

_LONGEST_RUN_PATH = 66

LABS = "labs"
"""The name of the side of labs, as a folder and as the domain of its launcher; no owner's domain is called so."""


@dataclass(frozen=True, slots=True)
class Site:
    """The paths of one installation."""

    home: Path

    @property
    def settings(self) -> Path:
        """The settings file."""
        return self.home / "darkroom.toml"

    @property
    def centre(self) -> Path:
        """The centre's folder."""
        return self.home / "centre"

    @property
    def audit(self) -> Path:
        """The audit log's folder."""
        return self.centre / "audit"

    @property
    def results(self) -> Path:
        """Sealed results."""
        return self.centre / "results"

    @property
    def log_key(self) -> Path:
        """The secret key that signs heads of the audit log."""
        return self.centre / "log.key"

    @property
    def run(self) -> Path:
        """The folder of the sockets."""
        return Path((self.centre / "run").read_text().strip())

    @property
    def ray(self) -> Path:
        """The folder of the local Ray's session: short, and the same at every start of this site."""
        name = hashlib.sha256(str(self.home).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"dr-ray-{name}"

    def restore_run_folder(self) -> None:
        """Make the folders of the sockets again if they are gone, as a temporary folder is after a restart."""
        _make(self.run, 0o711)
        for owner in self.owners():
            owner.make_run_folders()

    @property
    def labs(self) -> LabsSide:
        """The side of labs."""
        return LabsSide(self)

    def owner(self, domain: str) -> Owner:
        """Return the paths of an owner's side."""
        return Owner(self, domain)

    def owners(self) -> tuple[Owner, ...]:
        """Return every owner's side of this site, by domain."""
        found = sorted((self.home / "owners").glob("*/domain"))
        return tuple(Owner(self, path.read_text().strip()) for path in found)


@dataclass(frozen=True, slots=True)
class Owner:
    """The paths of one owner's side and of its node."""

    site: Site
    domain: str

    @property
    def slug(self) -> str:
        """The domain as a folder's name."""
        return self.domain.replace("/", "-")

    @property
    def folder(self) -> Path:
        """The owner's folder."""
        return self.site.home / "owners" / self.slug

    @property
    def root_key(self) -> Path:
        """The domain's root key; belongs on a medium that is not plugged in."""
        return self.folder / "root.key"

    @property
    def keeper_settings(self) -> Path:
        """The keeper's settings."""
        return self.folder / "keeper.json"

    @property
    def data(self) -> Path:
        """Encrypted files of dataset versions."""
        return self.folder / "data"

    @property
    def node(self) -> Path:
        """The launcher's folder."""
        return self.site.home / "nodes" / self.slug

    @property
    def launcher_settings(self) -> Path:
        """The launcher's settings."""
        return self.node / "launcher.json"

    @property
    def launcher_home(self) -> Path:
        """Where the launcher keeps boxes and collected outputs."""
        return self.node / "home"

    @property
    def run(self) -> Path:
        """The folder of this side's sockets."""
        return self.site.run / self.slug

    @property
    def keeper_socket(self) -> Path:
        """The keeper's open socket."""
        return self.run / "keeper"

    @property
    def desk(self) -> Path:
        """The keeper's desk."""
        return self.run / "desk"

    @property
    def launcher_socket(self) -> Path:
        """The launcher's socket for whoever carries plans."""
        return self.run / "node" / "open"

    @property
    def launcher_owner_socket(self) -> Path:
        """The launcher's socket for this owner's keeper."""
        return self.run / "node" / "owner"

    @property
    def agent_settings(self) -> Path:
        """The settings of its agent in joint computations; there where it takes part in some."""
        return self.folder / "agent.json"

    @property
    def agent_identity(self) -> Path:
        """Key and certificate with which its agent speaks TLS."""
        return self.folder / "agent.pem"

    @property
    def party_file(self) -> Path:
        """How it describes itself to other parties, signed."""
        return self.folder / "party"

    @property
    def agent_door(self) -> Path:
        """The agent's socket for whoever carries plans."""
        return self.run / "agent" / "door"

    @property
    def agent_links(self) -> Path:
        """The agent's socket for the links of its launcher's boxes."""
        return self.run / "agent" / "link"

    @property
    def agent_log(self) -> Path:
        """What the agent writes: why attempts failed on this side, for the owner alone."""
        return self.folder / "log" / "agent.log"

    def make_folders(self, user: int | None) -> None:
        """Make the folders of a new side; `user` is its launcher's, or none where the launcher runs as we do."""
        for folder in (self.folder, self.node):
            _make(folder, 0o711)
        _make(self.folder / "home", 0o700)
        _make(self.launcher_home, 0o711, (user, user))
        for folder in (self.data, self.data / "staging"):
            _make(folder, 0o700 if user is None else 0o710, (None, user))
        self.make_run_folders()

    def make_run_folders(self) -> None:
        """Make the folders of its sockets; each user is whom a file of its own belongs to."""
        root = os.geteuid() == 0
        user = self.launcher_home.stat().st_uid if root else None
        agent = self.agent_identity.stat().st_uid if root and self.agent_identity.exists() else None
        group = user if agent is None else agent
        _make(self.run, 0o700 if user is None else 0o710, (None, group))
        _make(self.run / "node", 0o700 if agent is None else 0o2710, (user, group))
        if self.agent_identity.exists():
            _make(self.agent_door.parent, 0o700 if agent is None else 0o710, (agent, agent))


@dataclass(frozen=True, slots=True)
class LabUsers:
    """The user ids of the side of labs, each also the number of a group; none where all run as who starts them."""

    launcher: int | None = None
    porter: int | None = None
    proxy: int | None = None
    hub: int | None = None


@dataclass(frozen=True, slots=True)
class LabsSide:
    """The paths of the side of labs."""

    site: Site

    @property
    def folder(self) -> Path:
        """The folder of settings, secrets and state."""
        return self.site.home / LABS

    @property
    def settings(self) -> Path:
        """The settings of porter, proxy and Hub; there where the side was founded."""
        return self.folder / "labs.json"

    @property
    def keys(self) -> Path:
        """The folder of secrets, each in a file of its own."""
        return self.folder / "keys"

    @property
    def oauth_secret(self) -> Path:
        """The secret with which the Hub shows the portal that it is the Hub; a text of one line."""
        return self.keys / "oauth"

    @property
    def hub(self) -> Path:
        """The Hub's own folder."""
        return self.folder / "hub"

    @property
    def porter(self) -> Path:
        """The porter's own folder."""
        return self.folder / "porter"

    @property
    def node(self) -> Path:
        """The folder of the launcher of labs."""
        return self.site.home / "nodes" / LABS

    @property
    def launcher_settings(self) -> Path:
        """That launcher's settings."""
        return self.node / "launcher.json"

    @property
    def launcher_home(self) -> Path:
        """Where it keeps boxes, and the members' homes."""
        return self.node / "home"

    @property
    def launcher_socket(self) -> Path:
        """Its socket."""
        return self.site.run / LABS / "node" / "open"

    @property
    def launcher_owner_socket(self) -> Path:
        """Its socket for the administrator of this machine alone."""
        return self.site.run / LABS / "node" / "owner"

    @property
    def desk(self) -> Path:
        """The porter's socket for the Hub."""
        return self.site.run / LABS / "desk" / "desk"

    def service(self, name: str) -> Path:
        """The porter's socket for a service that labs have a link to."""
        return self.site.run / LABS / "porter" / name

    def make_folders(self, who: LabUsers) -> None:
        """Make the folders of the side."""
        _make(self.folder, 0o711)
        _make(self.keys, 0o700)
        for folder, user in ((self.hub, who.hub), (self.porter, who.porter)):
            _make(folder, 0o700, (user, user))
        _make(self.node, 0o711)
        _make(self.launcher_home, 0o711, (who.launcher, who.launcher))
        _make(self.node / "data", 0o700 if who.launcher is None else 0o710, (None, who.launcher))
        self.make_run_folders(who)

    def make_run_folders(self, who: LabUsers) -> None:
        """Make the folders of its sockets; each is open to the group of the one process that asks there."""
        _make(self.site.run / LABS, 0o711)
        for name, user, group in (
            ("node", who.launcher, who.hub),
            ("porter", who.porter, who.launcher),
            ("desk", who.porter, who.hub),
        ):
            _make(self.site.run / LABS / name, 0o700 if user is None else 0o2710, (user, group))


def open_site(home: Path) -> Site:
    """Return the site of a folder.

    Raises:
        NotFound: nobody set one up there.
    """
    site = Site(home.resolve())
    if not site.settings.exists():
        raise NotFound("there is no Darkroom here", str(home), "Start one with `darkroom-server up`.")
    return site


def make_folders(home: Path) -> Site:
    """Make the folders of a new site. Box user ids may pass through, and see nothing that is not theirs."""
    site = Site(home.resolve())
    for folder in (site.home, site.home / "nodes", site.home / "owners"):
        _make(folder, 0o711)
    for folder in (site.centre, site.audit, site.results):
        _make(folder, 0o700)
    run = site.home / "run"
    if len(str(run)) > _LONGEST_RUN_PATH:
        run = Path(tempfile.mkdtemp(prefix="dr-run-"))
    _make(run, 0o711)
    write_private(site.centre / "run", f"{run}\n".encode())
    return site


def _make(folder: Path, mode: int, owners: tuple[int | None, int | None] = (None, None)) -> None:
    """Make a folder, or set right one that is there: its mode, and its user and group where they are not ours."""
    folder.mkdir(parents=True, exist_ok=True)
    user, group = (-1 if each is None else each for each in owners)
    if (user, group) != (-1, -1):
        os.chown(folder, user, group)
    folder.chmod(mode)


def write_private(path: Path, content: bytes) -> None:
    """Write a new file that only its owner can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())

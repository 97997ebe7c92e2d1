"""Where everything lies on one machine: the centre, and several owners' sides beside it.

    <home>/darkroom.toml        settings <home>/centre/              database, audit log, sealed results, the
    log's signing key <home>/owners/<domain>/     root.key (take it offline), keyring/, home/ (journal),
    data/, keeper.json <home>/nodes/<domain>/      the launcher of the owner's node: its key, boxes, collected
    outputs, launcher.json <run>/                      Unix sockets; short, since a socket's path has 107
    bytes at the most

The embedded shape has one administrator, so it separates processes and keys, not people.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from plans.errors import NotFound

_LONGEST_RUN_PATH = 70


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
        """Make the folder of the sockets again if it is gone, as a temporary folder is after a restart."""
        self.run.mkdir(exist_ok=True, mode=0o700)

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
    def keeper_socket(self) -> Path:
        """The keeper's open socket."""
        return self.site.run / f"{self.slug}.keeper"

    @property
    def desk(self) -> Path:
        """The keeper's desk."""
        return self.site.run / f"{self.slug}.desk"

    @property
    def launcher_socket(self) -> Path:
        """The launcher's socket."""
        return self.site.run / f"{self.slug}.launcher"


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
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711)
    for folder in (site.centre, site.audit, site.results):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o700)
    run = site.home / "run"
    if len(str(run)) > _LONGEST_RUN_PATH:
        run = Path(tempfile.mkdtemp(prefix="dr-run-"))
    run.mkdir(exist_ok=True)
    run.chmod(0o700)
    write_private(site.centre / "run", f"{run}\n".encode())
    return site


def write_private(path: Path, content: bytes) -> None:
    """Write a new file that only its owner can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())

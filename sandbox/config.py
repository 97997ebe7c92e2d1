"""A launcher's settings: one JSON file, written by whoever composes the platform."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from keys.signing import SigningKey
from plans import names
from plans.box import Entry, Limits
from plans.errors import SettingsWrong
from plans.labs import SERVICES
from sandbox import settings
from sandbox.own_user import OwnIds


@dataclass(frozen=True, slots=True)
class LauncherConfig:
    """Whose boxes these are, where things lie, who may ask, and which user ids there are.

    `home` holds plans, results, collected outputs and the folders of living boxes; `key_file` 32 bytes in
    hex, readable by nobody else; `keeper_socket` is none for a launcher whose boxes need no keys (the
    centre's, for `check`).

    `socket` is for whoever carries plans, `owner_socket` for the owner's keeper alone, who orders ingests and
    hears what they say; none where there is no keeper. `askers` are user ids that may ask beside the
    launcher's own and root's; a launcher in a user namespace of its own sees no others, and leaves it to the
    folder of its sockets who reaches them.

    `user` is the launcher's own user id, for one that root starts; none for one that is started as its own
    user. `warm_kinds` is of how many kinds of boxes one waits already (`sandbox.pool`). `ceilings` are the
    highest limits of a box by its program; a program that is not in there runs nowhere. `images` are those
    that the owner trusts: what others ask for runs in one of them, or in one that has a name on this node.

    `agent_socket` is where this side's agent takes the links of joint plans to other parties; none for a side that
    takes part in no joint computation. `side_group` is the group that opens that socket's folder, and the one with the
    keeper's; none where the launcher's own does.

    `services` are the sockets of the services that labs have links to, by name (`plans.labs`); a launcher with any runs
    labs and nothing else, and keeps their homes. `mirror` is a folder of packages that every lab may install, or none.
    `labs_memory_mb` is what the limits of living labs may come to together; 0 is not bounded.
    """

    domain: str
    node: str
    home: Path
    socket: Path
    owner_socket: Path | None
    key_file: Path
    keeper_socket: Path | None
    data_folder: Path
    images_folder: Path
    user: int | None
    first_uid: int
    uid_count: int
    warm_kinds: int
    askers: tuple[int, ...]
    ceilings: Mapping[Entry, Limits]
    images: tuple[str, ...]
    agent_socket: Path | None = None
    side_group: int | None = None
    services: Mapping[str, Path] = field(default_factory=dict)
    mirror: Path | None = None
    labs_memory_mb: int = 0

    @classmethod
    def load(cls, path: Path) -> LauncherConfig:
        """Read the file.

        Raises:
            SettingsWrong: it is missing, is no JSON object, or has a member too many, too few or of the wrong
                type.
        """
        older = {"agent_socket": None, "side_group": None}  # from before there were joint computations
        older |= {"services": {}, "mirror": None, "labs_memory_mb": 0}  # from before there were labs
        config = cls(**settings.load(path, "the launcher", _READERS, older))
        names.require("domain", config.domain, "launcher.domain")
        if not set(config.services) <= set(SERVICES) or config.labs_memory_mb < 0:
            raise SettingsWrong(
                f"a launcher has services for labs of these names: {', '.join(SERVICES)}", str(path)
            )
        return config

    def save(self, path: Path) -> None:
        """Write the settings as JSON, readable by nobody else."""
        settings.save(self, path)

    def own_ids(self) -> OwnIds:
        """Return the ids of a launcher that root starts.

        Raises:
            SettingsWrong: it has no user of its own, or one that its boxes have too.
        """
        if self.user is None:
            raise SettingsWrong(
                "a launcher does not run as root",
                "launcher.user",
                "Give it a user id of its own in its settings.",
            )
        return OwnIds(self.user, self.first_uid, self.uid_count)

    def signing_key(self) -> SigningKey:
        """Return the launcher's key.

        Raises:
            SettingsWrong: it is missing, not 32 bytes in hex, or others may read it.
        """
        try:
            if stat.S_IMODE(os.stat(self.key_file).st_mode) & 0o077:
                raise SettingsWrong(
                    "others may read the launcher's key", str(self.key_file), "Set its mode to 0600."
                )
            return SigningKey.from_bytes(bytes.fromhex(self.key_file.read_text().strip()))
        except (OSError, ValueError):
            raise SettingsWrong("the launcher's key is not 32 bytes in hex", str(self.key_file)) from None


_READERS: Mapping[str, settings.Reader] = dict.fromkeys(
    (each.name for each in fields(LauncherConfig)), settings.place
) | {
    "domain": settings.text,
    "node": settings.text,
    "agent_socket": settings.maybe(settings.place),
    "owner_socket": settings.maybe(settings.place),
    "keeper_socket": settings.maybe(settings.place),
    "user": settings.maybe(settings.number),
    "side_group": settings.maybe(settings.number),
    "first_uid": settings.number,
    "uid_count": settings.number,
    "warm_kinds": settings.number,
    "askers": settings.several(settings.number),
    "ceilings": settings.limits,
    "images": settings.several(settings.digest),
    "services": settings.by_name(settings.place),
    "mirror": settings.maybe(settings.place),
    "labs_memory_mb": settings.number,
}
"""How each member is read; most are paths."""

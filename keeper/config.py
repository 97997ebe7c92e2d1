"""What a keeper is told when it starts: paths, pinned keys, trusted images. Secrets are in the keyring, not here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from plans import names
from plans.box import Entry, Limits
from plans.errors import SettingsWrong


@dataclass(frozen=True, slots=True)
class KeeperConfig:
    """One keeper's settings. `root` is the domain's root key, pinned out of band; `log_key` is the centre's log key.

    `images` are the digests of the box images that this owner trusts; the first is the one that its own
    checker box uses. `work_images` are those trusted for each stage of a task; none of a stage: no tasks of
    its kind; `extract` and `party` are those of a joint computation. `highest_grade` is the highest grade that may be
    ingested here (the embedded shape refuses important and core). `peers` are root keys of other domains, brought out
    of band, with which this owner computes jointly; without any it does not.
    """

    domain: str
    home: Path
    keyring: Path
    data: Path
    socket: Path
    desk: Path
    launcher_home: Path
    launcher_socket: Path
    root: str
    log_key: str
    images: tuple[str, ...]
    limits: Mapping[Entry, Limits]
    work_images: Mapping[Entry, tuple[str, ...]] = field(default_factory=dict)
    highest_grade: str = "general-4"
    peers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names.require("domain", self.domain, "keeper.domain")
        names.require("signing key", self.root, "keeper.root")
        names.require("signing key", self.log_key, "keeper.log_key")
        for domain, root in self.peers.items():
            names.require("domain", domain, "keeper.peers")
            names.require("signing key", root, "keeper.peers")
        if self.domain in self.peers:
            raise SettingsWrong("the own domain is not among its peers", "keeper.peers")
        if not self.images:
            raise SettingsWrong("a keeper without a trusted image can give no key", "keeper.images")

    def save(self, path: Path) -> None:
        """Write the settings as JSON."""
        content = {name: _plain(getattr(self, name)) for name in self.__dataclass_fields__}
        path.write_text(json.dumps(content, indent=1) + "\n")


_PATHS = ("home", "keyring", "data", "socket", "desk", "launcher_home", "launcher_socket")


def load(path: Path) -> KeeperConfig:
    """Read a keeper's settings.

    Raises:
        SettingsWrong: the file is missing or not right.
    """
    try:
        content = json.loads(path.read_text())
        content.update({name: Path(content[name]) for name in _PATHS}, images=tuple(content["images"]))
        content["work_images"] = {Entry(name): tuple(each) for name, each in content["work_images"].items()}
        content["limits"] = {Entry(name): Limits.read(plain) for name, plain in content["limits"].items()}
        return KeeperConfig(**content)
    except (OSError, ValueError, TypeError, KeyError) as problem:
        raise SettingsWrong(
            f"the keeper's settings cannot be read ({type(problem).__name__})", str(path)
        ) from None


def _plain_of(each: Limits | tuple[str, ...] | str) -> object:
    if isinstance(each, Limits):
        return each.plain()
    return each if isinstance(each, str) else list(each)


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Mapping):
        return {str(name): _plain_of(each) for name, each in value.items()}
    return str(value) if isinstance(value, Path) else value

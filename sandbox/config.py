"""A launcher's settings: one JSON file, written by whoever composes the platform."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from keys.signing import SigningKey
from plans import names
from plans.box import Entry, Limits
from plans.errors import Malformed, SettingsWrong
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

    @classmethod
    def load(cls, path: Path) -> LauncherConfig:
        """Read the file.

        Raises:
            SettingsWrong: it is missing, is no JSON object, or has a member too many, too few or of the wrong
                type.
        """
        try:
            content = json.loads(path.read_text())
        except (OSError, ValueError):
            raise SettingsWrong("the launcher's settings cannot be read as JSON", str(path)) from None
        known = [field.name for field in fields(cls)]
        if isinstance(content, dict):
            content = {
                "agent_socket": None,
                "side_group": None,
                **content,
            }  # settings that are older than joint computations
        if not isinstance(content, dict) or sorted(content) != sorted(known):
            raise SettingsWrong(
                f"the launcher's settings have exactly the members {', '.join(known)}", str(path)
            )
        config = cls(**{name: _value(name, content[name], path) for name in known})
        names.require("domain", config.domain, "launcher.domain")
        return config

    def save(self, path: Path) -> None:
        """Write the settings as JSON, readable by nobody else."""
        content = {field.name: _plain(getattr(self, field.name)) for field in fields(self)}
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(json.dumps(content, indent=1) + "\n")

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


def _value(name: str, value: Any, path: Path) -> Any:
    """Return a member of the file as what it has to be."""
    try:
        return _READERS.get(name, _path)(value)
    except (TypeError, ValueError, Malformed):
        raise SettingsWrong(
            f"the launcher's setting {name} has the wrong type or is empty", str(path)
        ) from None


def _path(value: Any) -> Path:
    return Path(_text(value))


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError
    return value


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return value


def _maybe(reader: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else reader(value)


def _numbers(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise TypeError
    return tuple(_number(item) for item in value)


def _digests(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError
    return tuple(names.require("digest", _text(item)) for item in value)


def _ceilings(value: Any) -> dict[Entry, Limits]:
    if not isinstance(value, dict):
        raise TypeError
    return {Entry(name): Limits.read(limits) for name, limits in value.items()}


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "domain": _text,
    "node": _text,
    "agent_socket": _maybe(_path),
    "owner_socket": _maybe(_path),
    "keeper_socket": _maybe(_path),
    "user": _maybe(_number),
    "side_group": _maybe(_number),
    "first_uid": _number,
    "uid_count": _number,
    "warm_kinds": _number,
    "askers": _numbers,
    "ceilings": _ceilings,
    "images": _digests,
}
"""How each member is read; the others are paths."""


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {entry.value: limits.plain() for entry, limits in value.items()}
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value

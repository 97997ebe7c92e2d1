"""An agent's settings: one JSON file, written by whoever composes the platform."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from plans import names
from plans.box import Entry, Limits
from plans.errors import Malformed, SettingsWrong


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """Whose agent it is, where it listens, and by which sockets it reaches its own side.

    `identity` is the file with key and certificate for TLS (`keys.tls`); others pin the certificate's hash. `listen`
    is `host:port` for other agents. `door` is the socket for the centre and the operator, with the user ids `askers`
    beside the agent's own and root's; `links` is the one where the own launcher (`launcher_uids`) brings the links of
    boxes. `user` is the agent's own user id, for one that root starts; none for one that is started as its own user.
    `limits` are those of this side's boxes, the same that the keeper derives plans with.
    """

    domain: str
    identity: Path
    listen: str
    door: Path
    links: Path
    keeper_socket: Path
    launcher_socket: Path
    user: int | None
    launcher_uids: tuple[int, ...]
    askers: tuple[int, ...]
    limits: Mapping[Entry, Limits]

    @classmethod
    def load(cls, path: Path) -> AgentConfig:
        """Read the file.

        Raises:
            SettingsWrong: it is missing, is no JSON object, or has a member too many, too few or of the wrong type.
        """
        try:
            content = json.loads(path.read_text())
        except (OSError, ValueError):
            raise SettingsWrong("the agent's settings cannot be read as JSON", str(path)) from None
        known = [field.name for field in fields(cls)]
        if not isinstance(content, dict) or sorted(content) != sorted(known):
            raise SettingsWrong(
                f"the agent's settings have exactly the members {', '.join(known)}", str(path)
            )
        config = cls(**{name: _value(name, content[name], path) for name in known})
        names.require("domain", config.domain, "agent.domain")
        return config

    def save(self, path: Path) -> None:
        """Write the settings as JSON, readable by nobody else."""
        content = {field.name: _plain(getattr(self, field.name)) for field in fields(self)}
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(json.dumps(content, indent=1) + "\n")

    def own_user(self) -> int:
        """Return the user id of an agent that root starts.

        Raises:
            SettingsWrong: it has none.
        """
        if self.user is None:
            raise SettingsWrong(
                "an agent does not run as root", "agent.user", "Give it a user id of its own in its settings."
            )
        return self.user

    @property
    def place(self) -> tuple[str, int]:
        """Where it listens, as host and port.

        Raises:
            SettingsWrong: it is not host:port.
        """
        host, _, port = self.listen.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65_535:
            raise SettingsWrong("an agent listens at host:port", "agent.listen")
        return host.strip("[]"), int(port)


def _value(name: str, value: Any, path: Path) -> Any:
    try:
        reader: Callable[[Any], Any] = _READERS.get(name, _path)
        return reader(value)
    except (TypeError, ValueError, Malformed):
        raise SettingsWrong(f"the agent's setting {name} has the wrong type or is empty", str(path)) from None


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError
    return value


def _path(value: Any) -> Path:
    return Path(_text(value))


def _user(value: Any) -> int | None:
    if value is not None and type(value) is not int:
        raise TypeError
    return value


def _users(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or any(type(item) is not int for item in value):
        raise TypeError
    return tuple(value)


def _limits(value: Any) -> dict[Entry, Limits]:
    if not isinstance(value, dict):
        raise TypeError
    return {Entry(name): Limits.read(limits) for name, limits in value.items()}


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "domain": _text,
    "listen": _text,
    "user": _user,
    "launcher_uids": _users,
    "askers": _users,
    "limits": _limits,
}
"""How each member is read; the others are paths."""


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {entry.value: limits.plain() for entry, limits in value.items()}
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value

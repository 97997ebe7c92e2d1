"""An agent's settings: one JSON file, written by whoever composes the platform."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from plans import names
from plans.box import Entry, Limits
from plans.errors import SettingsWrong
from sandbox.api import settings


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
        config = cls(**settings.load(path, "the agent", _READERS, {}))
        names.require("domain", config.domain, "agent.domain")
        return config

    def save(self, path: Path) -> None:
        """Write the settings as JSON, readable by nobody else."""
        settings.save(self, path)

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


_READERS: Mapping[str, settings.Reader] = dict.fromkeys(
    (field.name for field in fields(AgentConfig)), settings.place
) | {
    "domain": settings.text,
    "listen": settings.text,
    "user": settings.maybe(settings.number),
    "launcher_uids": settings.several(settings.number),
    "askers": settings.several(settings.number),
    "limits": settings.limits,
}
"""How each member is read; the others are paths."""

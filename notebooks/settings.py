"""What porter, proxy and Hub are told: one JSON file, written by whoever composes the platform, and four secrets.

The file and the secrets are root's. A process reads them as root and hands its inner part what that part needs, over
standard input (`notebooks.walls`), so that no file of a secret can be read by the user that it becomes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import urlsplit

from plans.errors import SettingsWrong


@dataclass(frozen=True, slots=True)
class LabsSettings:
    """Where everything is, who runs as whom, and how long a lab may lie idle and live.

    `portal` is where the Hub and the porter reach the portal, `portal_page` where browsers do. `address` is the Hub's
    origin for browsers; every lab has a host below its host. The proxy listens at `listen_host:listen_port`, which is
    loopback, with TLS before it in production. `hub_port` and `proxy_port` are on loopback: the Hub itself, and the
    proxy's door for the Hub's orders. Labs' ports, on loopback too, begin at `first_port`.

    `user_…` are user ids, none where everything runs as whoever started it. `limits` are the highest of a lab
    (`plans.box.Limits`), which its profile and `age_days` lower. `wait_s` is how long a lab may wait for its
    place, `answer_s` how long for its first answer;
    `membership_s` is how often the portal is asked whether its member still is one, `grace_s` how long a lab's pages
    may save what is open once they were told that it ends. `administrator` is whom labs name
    where an administrator has to act; empty names nobody.
    """

    portal: str
    portal_page: str
    address: str
    listen_host: str
    listen_port: int
    hub_port: int
    proxy_port: int
    first_port: int
    launcher_socket: str
    porter_hub: str
    porter_api: str
    porter_desk: str
    porter_state: str
    hub_state: str
    keys: str
    images: str
    user_launcher: int | None
    user_porter: int | None
    user_proxy: int | None
    user_hub: int | None
    idle_hours: int
    age_days: int
    limits: dict[str, int]
    wait_s: int = 900
    answer_s: int = 180
    membership_s: int = 60
    grace_s: int = 20
    administrator: str = ""

    @classmethod
    def load(cls, path: Path) -> LabsSettings:
        """Read the file.

        Raises:
            SettingsWrong: it is missing, is no JSON object, or has a member too many, too few or of the wrong type.
        """
        try:
            content = json.loads(path.read_text())
        except (OSError, ValueError):
            raise SettingsWrong("the settings of labs cannot be read as JSON", str(path)) from None
        return cls.read(content, str(path))

    @classmethod
    def read(cls, content: object, where: str = "labs") -> LabsSettings:
        """Return the settings of a JSON object; raises `SettingsWrong`."""
        types = get_type_hints(cls)
        if not isinstance(content, dict) or sorted(content) != sorted(types):
            raise SettingsWrong(f"the settings of labs have exactly the members {', '.join(types)}", where)
        for name, wanted in types.items():
            value = content[name]
            wanted = dict if name == "limits" else wanted
            empty = value == "" and name != "administrator"
            if isinstance(value, bool) or not isinstance(value, wanted) or empty:
                raise SettingsWrong(f"the setting {name} of labs has the wrong type or is empty", where)
        return cls(**content)

    def plain(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def secure(self) -> bool:
        """Whether cookies can be `Secure`, and so `__Host-` ones: by https, and at this machine's own names, which
        browsers trust without (Secure Contexts, section 3.1).
        """
        parts = urlsplit(self.address)
        return parts.scheme == "https" or (parts.hostname or "").rpartition(".")[2] == "localhost"

    @property
    def behind_tls(self) -> bool:
        """Whether a proxy with TLS stands before ours."""
        return urlsplit(self.address).scheme == "https"

    @property
    def portal_place(self) -> tuple[str, int]:
        """Host and port at which the portal listens."""
        parts = urlsplit(self.portal)
        return parts.hostname or "127.0.0.1", parts.port or 80


SECRETS = ("oauth", "cookie", "state", "proxy")
"""The files of the folder `keys`: the Hub's secret at the portal, the key of its cookies, the key under which it keeps
members' entrance tokens, and what the proxy's door asks for."""


def secret(settings: LabsSettings, name: str) -> str:
    """Return a secret; raises `SettingsWrong` if it is not there."""
    try:
        return (Path(settings.keys) / name).read_text().strip()
    except OSError:
        raise SettingsWrong(f"the secret {name} of labs cannot be read", settings.keys) from None


def secrets_of(settings: LabsSettings, wanted: tuple[str, ...]) -> Mapping[str, str]:
    """Return several secrets by name."""
    return {name: secret(settings, name) for name in wanted}

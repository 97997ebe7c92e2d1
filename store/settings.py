"""Settings: one TOML file and `DARKROOM_…` variables become one frozen value.

The file is named by `DARKROOM_SETTINGS`, or is `darkroom.toml` in the working directory; without one the
defaults hold, which are safe for one machine. A variable wins over the file. Whatever is unknown is refused,
with the nearest name that is known, because a misspelt limit that is silently ignored is no limit.
`docs/settings.md` is generated from this file (`store.reference`).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plans.box import Limits as BoxLimits
from plans.errors import SettingsWrong

OTHER_VARIABLES = {
    "DARKROOM_SETTINGS": "the settings file",
    "DARKROOM_SERVER_HOME": "the folder of a site, with its settings file (darkroom-server)",
    "DARKROOM_HOME": "a member's folder of keys and profile (client)",
    "DARKROOM_PASSPHRASE": "the passphrase of a member's key file (client)",
    "DARKROOM_PASSWORD": "a member's password (client)",
    "DARKROOM_TOKEN": "a member's access token (client)",
    "DARKROOM_DATA": "where a member's program finds its tables outside a job (docs/python.md)",
    "DARKROOM_TABLES": "over which descriptors a member's program gets its tables (in a box, docs/python.md)",
    "DARKROOM_OUT": "where a member's program leaves its outputs (in a box, docs/python.md)",
    "DARKROOM_MODELS": "where a member's program finds the models that it names (in a box, docs/python.md)",
    "DARKROOM_UNSAFE_PLAIN_HTTP": "lets the client speak plain HTTP beyond loopback (client)",
}
"""Variables that are no settings of the platform. `DARKROOM_TEST_…` is for tests."""


def _setting(default: Any, meaning: str, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"meaning": meaning})


@dataclass(frozen=True, slots=True)
class Limits:
    """Every limit of the platform, with safe defaults. Those of one box per program that boxes run."""

    request_bytes: int = _setting(1_048_576, "Bytes of one HTTP request; a larger one is refused unread.")
    attempts: int = _setting(3, "How often a job is tried when a node or process is lost.")
    jobs_per_member: int = _setting(20, "Jobs of one member that may wait or run at a time.")
    check: BoxLimits = _setting(
        BoxLimits(1024, 64, 0, 16, 20, 30, 64, 128, 1), "The box that reads a statement."
    )
    query: BoxLimits = _setting(
        BoxLimits(4096, 64, 8192, 1024, 1200, 1200, 128, 512, 2), "The box that runs a query."
    )
    parse: BoxLimits = _setting(
        BoxLimits(2048, 64, 0, 1024, 300, 300, 64, 128, 1), "The box that parses an output."
    )
    protect: BoxLimits = _setting(
        BoxLimits(2048, 64, 0, 1024, 300, 300, 64, 128, 1), "The box that protects inner figures."
    )
    finish: BoxLimits = _setting(
        BoxLimits(2048, 64, 1024, 1024, 300, 300, 128, 512, 1),
        "The box that computes with protected figures.",
    )
    judge: BoxLimits = _setting(
        BoxLimits(2048, 64, 0, 1024, 300, 300, 64, 128, 1), "The box that judges an output."
    )
    ingest: BoxLimits = _setting(
        BoxLimits(4096, 64, 65_536, 65_536, 14_400, 14_400, 128, 512, 2), "The box that ingests a file."
    )
    python: BoxLimits = _setting(
        BoxLimits(4096, 1024, 0, 1024, 3600, 3600, 128, 512, 2), "The box that runs a member's own folder."
    )
    load: BoxLimits = _setting(
        BoxLimits(2048, 64, 8192, 16, 3600, 3600, 128, 512, 1), "The box that streams rows to a job."
    )
    component: BoxLimits = _setting(
        BoxLimits(4096, 256, 0, 1024, 3600, 3600, 128, 512, 2), "The box that runs an entry of the library."
    )
    reencode: BoxLimits = _setting(
        BoxLimits(2048, 64, 0, 1024, 300, 300, 64, 128, 1), "The box that writes typed outputs anew."
    )
    reload: BoxLimits = _setting(
        BoxLimits(2048, 64, 8192, 16, 1200, 1200, 128, 512, 1),
        "The box that streams rows to a model's check.",
    )
    inspect: BoxLimits = _setting(
        BoxLimits(4096, 256, 0, 1024, 1200, 1200, 128, 512, 1), "The box that judges typed outputs."
    )
    twin: BoxLimits = _setting(
        BoxLimits(4096, 256, 8192, 1024, 1200, 1200, 128, 512, 2), "The box that makes look-alike data."
    )
    extract: BoxLimits = _setting(
        BoxLimits(4096, 64, 8192, 16, 3600, 3600, 128, 512, 2),
        "The box that computes an owner's own part of a joint computation.",
    )
    party: BoxLimits = _setting(
        BoxLimits(4096, 64, 0, 64, 7200, 7200, 128, 512, 2),
        "The box that speaks with the boxes of other parties.",
    )

    def __post_init__(self) -> None:
        for name in ("request_bytes", "attempts", "jobs_per_member"):
            _at_least(getattr(self, name), 1, f"limits.{name}")


@dataclass(frozen=True, slots=True)
class Settings:
    """What one installation is told. Paths are absolute once `load_settings` has read them."""

    data_folder: Path = _setting(
        Path("var"),
        "Where the centre keeps database, audit log and sealed bytes; relative to the settings file.",
    )
    database_url: str = _setting(
        "", "`sqlite:///path` or `postgresql+psycopg://…`; empty is SQLite in the data folder.", secret=True
    )
    images: str = _setting(
        "", "Folder of the box images; empty is the place that fits the user (`sandbox.images`)."
    )
    host: str = _setting(
        "127.0.0.1", "Address on which the API listens: loopback, a proxy with TLS before it."
    )
    port: int = _setting(8470, "Port on which the API listens; 0 takes a free one.")
    session_hours: int = _setting(12, "Hours after which a signed-in session ends.")
    token_days: int = _setting(30, "Days after which an access token ends, at the latest.")
    unsafe_public_host: bool = _setting(
        False, "Allows a `host` beyond loopback although the API itself speaks plain HTTP."
    )
    limits: Limits = field(default_factory=Limits, metadata={"meaning": "Limits, see below."})

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise SettingsWrong("a port is a number from 0 to 65535", "port")
        _at_least(self.session_hours, 1, "session_hours")
        _at_least(self.token_days, 1, "token_days")
        if not self.unsafe_public_host and not _is_loopback(self.host):
            raise SettingsWrong(
                "the API would listen beyond this machine in plain HTTP",
                "host",
                "Keep 127.0.0.1 and put a proxy with TLS before it, or set unsafe_public_host.",
            )

    @property
    def database(self) -> str:
        """The URL of the database, also where the setting is empty."""
        return self.database_url or f"sqlite:///{self.data_folder / 'centre.db'}"


def _at_least(value: int, least: int, where: str) -> None:
    if value < least:
        raise SettingsWrong(f"this setting is at least {least}", where)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

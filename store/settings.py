"""Settings: one TOML file and `DARKROOM_…` variables become one frozen value.

The file is named by `DARKROOM_SETTINGS`, or is `darkroom.toml` in the working directory; without one the
defaults hold, which are safe for one machine. A variable wins over the file. Whatever is unknown is refused,
with the nearest name that is known, because a misspelt limit that is silently ignored is no limit.
`docs/settings.md` is generated from this file (`store.reference`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from plans.box import Limits as BoxLimits
from plans.errors import SettingsWrong
from store.lab_settings import DEFAULT_LAB_HOST, Labs
from store.origins import host_in, http_origin, is_loopback, is_own_machine, require_origin
from store.setting import at_least, setting

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
    "DARKROOM_LAB": "`1` in a lab",
    "DARKROOM_URL": "the portal's origin (client in a lab)",
    "DARKROOM_API_SOCKET": "the socket by which a lab reaches the portal (client in a lab)",
    "DARKROOM_PORTAL_PAGE": "where a browser finds the portal's pages (client in a lab)",
    "DARKROOM_MEMBER": "whose lab it is (client in a lab)",
    "DARKROOM_PROJECT": "the project of a lab, and of what is asked from it (client)",
    "DARKROOM_PURPOSE": "the purpose of a lab, and of what is asked from it (client)",
    "DARKROOM_ADMINISTRATOR": "whom the client names where an administrator has to act (client in a lab)",
    "DARKROOM_LANG": "`en` or `zh`: the language of what the client shows",
    "DARKROOM_UNSAFE_PLAIN_HTTP": "lets the client speak plain HTTP beyond loopback (client)",
}
"""Variables that are no settings of the platform. `DARKROOM_TEST_…` is for tests."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Every limit of the platform, with safe defaults. Those of one box per program that boxes run."""

    request_bytes: int = setting(1_048_576, "Bytes of one HTTP request; a larger one is refused unread.")
    attempts: int = setting(3, "How often a job is tried when a node or process is lost.")
    jobs_per_member: int = setting(20, "Jobs of one member that may wait or run at a time.")
    check: BoxLimits = setting(
        BoxLimits(1024, 64, 0, 16, 20, 30, 64, 128, 1), "The box that reads a statement."
    )
    query: BoxLimits = setting(
        BoxLimits(4096, 64, 8192, 1024, 1200, 1200, 128, 512, 2), "The box that runs a query."
    )
    parse: BoxLimits = setting(
        BoxLimits(2048, 64, 0, 1024, 300, 300, 64, 128, 1), "The box that parses an output."
    )
    protect: BoxLimits = setting(
        BoxLimits(2048, 64, 0, 1024, 300, 300, 64, 128, 1), "The box that protects inner figures."
    )
    finish: BoxLimits = setting(
        BoxLimits(2048, 64, 1024, 1024, 300, 300, 128, 512, 1),
        "The box that computes with protected figures.",
    )
    judge: BoxLimits = setting(
        BoxLimits(2048, 64, 0, 1024, 300, 300, 64, 128, 1), "The box that judges an output."
    )
    ingest: BoxLimits = setting(
        BoxLimits(4096, 64, 65_536, 65_536, 14_400, 14_400, 128, 512, 2), "The box that ingests a file."
    )
    python: BoxLimits = setting(
        BoxLimits(4096, 1024, 0, 1024, 3600, 3600, 128, 512, 2), "The box that runs a member's own folder."
    )
    load: BoxLimits = setting(
        BoxLimits(2048, 64, 8192, 16, 3600, 3600, 128, 512, 1), "The box that streams rows to a job."
    )
    component: BoxLimits = setting(
        BoxLimits(4096, 256, 0, 1024, 3600, 3600, 128, 512, 2), "The box that runs an entry of the library."
    )
    reencode: BoxLimits = setting(
        BoxLimits(2048, 64, 0, 1024, 300, 300, 64, 128, 1), "The box that writes typed outputs anew."
    )
    reload: BoxLimits = setting(
        BoxLimits(2048, 64, 8192, 16, 1200, 1200, 128, 512, 1),
        "The box that streams rows to a model's check.",
    )
    inspect: BoxLimits = setting(
        BoxLimits(4096, 256, 0, 1024, 1200, 1200, 128, 512, 1), "The box that judges typed outputs."
    )
    twin: BoxLimits = setting(
        BoxLimits(4096, 256, 8192, 1024, 1200, 1200, 128, 512, 2), "The box that makes look-alike data."
    )
    extract: BoxLimits = setting(
        BoxLimits(4096, 64, 8192, 16, 3600, 3600, 128, 512, 2),
        "The box that computes an owner's own part of a joint computation.",
    )
    party: BoxLimits = setting(
        BoxLimits(4096, 64, 0, 64, 7200, 7200, 128, 512, 2),
        "The box that speaks with the boxes of other parties.",
    )
    lab: BoxLimits = setting(
        BoxLimits(65_536, 8192, 0, 16, 2_592_000, 2_592_000, 1024, 4096, 64),
        "The box of a member's lab: no profile (`labs.profiles`) has more than this.",
    )

    def __post_init__(self) -> None:
        for name in ("request_bytes", "attempts", "jobs_per_member"):
            at_least(getattr(self, name), 1, f"limits.{name}")


@dataclass(frozen=True, slots=True)
class Settings:
    """What one installation is told. Paths are absolute once `load_settings` has read them."""

    data_folder: Path = setting(
        Path("var"),
        "Where the centre keeps database, audit log and sealed bytes; relative to the settings file.",
    )
    database_url: str = setting(
        "", "`sqlite:///path` or `postgresql+psycopg://…`; empty is SQLite in the data folder.", secret=True
    )
    images: str = setting(
        "", "Folder of the box images; empty is the place that fits the user (`sandbox.images`)."
    )
    host: str = setting(
        "127.0.0.1", "Address on which the API listens: loopback, a proxy with TLS before it."
    )
    port: int = setting(8470, "Port on which the API listens; 0 takes a free one.")
    origin: str = setting(
        "",
        "In production: `https://…` by which members reach the portal, through a proxy with TLS on this machine "
        "(docs/production.md); empty is `host` and `port` over HTTP.",
    )
    session_hours: int = setting(12, "Hours after which a signed-in session ends.")
    token_days: int = setting(30, "Days after which an access token ends, at the latest.")
    unsafe_public_host: bool = setting(
        False, "Allows a `host` beyond loopback although the API itself speaks plain HTTP."
    )
    limits: Limits = field(default_factory=Limits, metadata={"meaning": "Limits, see below."})
    labs: Labs = field(default_factory=Labs, metadata={"meaning": "Labs, see below."})

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise SettingsWrong("a port is a number from 0 to 65535", "port")
        at_least(self.session_hours, 1, "session_hours")
        at_least(self.token_days, 1, "token_days")
        if self.origin:
            require_origin(self.origin, "the portal", "origin")
        if not self.unsafe_public_host and not is_loopback(self.host):
            raise SettingsWrong(
                "the API would listen beyond this machine in plain HTTP",
                "host",
                "Keep 127.0.0.1 and put a proxy with TLS before it, or set unsafe_public_host.",
            )
        if self.labs.on:
            self._require_addresses_of_labs()
            self._require_separate_labs()
            self._require_one_audience()
            self._require_fitting_profiles()

    def _require_fitting_profiles(self) -> None:
        """A launcher would refuse a profile above its limits; better now than when a member waits."""
        for name, profile in self.labs.profiles.items():
            for what in ("cpus", "memory_mb"):
                most = getattr(self.limits.lab, what)
                if getattr(profile, what) > most:
                    raise SettingsWrong(
                        f"the profile has more than limits.lab.{what} allows, {most:,}",
                        f"labs.profiles.{name}.{what}",
                    )

    def _require_addresses_of_labs(self) -> None:
        """Each lab calls the portal from an address of IPv4 loopback of its own (`plans.labs`). Over IPv6 all would
        come from one: labs could try passwords, and lock everybody out who comes from there.
        """
        if ":" in self.host:
            raise SettingsWrong(
                "labs could not be told from others where the portal listens at an IPv6 address",
                "host",
                "Keep 127.0.0.1, or write labs.on = false.",
            )

    def _require_separate_labs(self) -> None:
        """Labs under the portal's own host would be sent the portal's cookie: cookies know no ports."""
        labs = self.labs.public_host
        for portal in (self.public_host.lower(), self.host.lower()):
            below = labs.endswith("." + portal) and portal != "localhost"  # no cookie is for all of localhost
            if labs == portal or below or portal.endswith("." + labs):
                raise SettingsWrong(
                    "labs would lie under the portal's own host, and be sent its cookie",
                    "labs.origin" if self.labs.origin else "labs.host",
                    f"Give labs a host of their own, such as {DEFAULT_LAB_HOST}.",
                )
        if self.labs.port == self.port:
            raise SettingsWrong("labs and portal cannot listen on the same port", "labs.port")

    def _require_one_audience(self) -> None:
        """Whoever reaches labs from elsewhere is led to the portal to sign in, and back; a name of the browser's own
        machine would lead both ways to something else there.
        """
        labs_here, portal_here = is_own_machine(self.labs.public_host), is_own_machine(self.public_host)
        if portal_here and not labs_here:
            raise SettingsWrong(
                "labs would be reached from other machines, and send browsers to their own to sign in",
                "origin",
                "Write https://… by which members reach the portal (docs/production.md).",
            )
        if self.origin and labs_here and not portal_here:
            raise SettingsWrong(
                "the portal would be reached from other machines, and send browsers to their own for labs",
                "labs.origin",
                "Write https://… by which members reach labs, or labs.on = false.",
            )

    @property
    def public_origin(self) -> str:
        """Scheme, host and port by which members reach the portal."""
        return self.origin or self.listening

    @property
    def public_host(self) -> str:
        """The host in it, without the port."""
        return host_in(self.public_origin)

    @property
    def listening(self) -> str:
        """The origin at which the portal itself listens, for calls of this machine."""
        return http_origin(self.host, self.port)

    @property
    def database(self) -> str:
        """The URL of the database, also where the setting is empty."""
        return self.database_url or f"sqlite:///{self.data_folder / 'centre.db'}"

"""The settings of labs: where browsers reach them, how long they live, and the profiles that members choose from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from plans.box import MOST_GPUS
from plans.decision import Tier
from plans.errors import SettingsWrong
from store.origins import host_in, http_origin, require_host, require_origin
from store.setting import at_least, setting


@dataclass(frozen=True, slots=True)
class Profile:
    """What a lab of this profile has. `image` names a folder of images, `tier` the isolation."""

    title: str = setting("", "What members read; empty is the profile's name.")
    title_zh: str = setting("", "The same in Chinese.")
    cpus: int = setting(1, "Processors.")
    memory_mb: int = setting(2048, "MiB of memory; files in `/tmp` count there.")
    home_mb: int = setting(2048, "MiB of the home folder, which survives the lab.")
    home_files: int = setting(200_000, "Files and folders of the home folder.")
    gpus: int = setting(0, "Graphics processors.")
    image: str = setting("notebook", "The box image, by name.")
    tier: str = setting("T1", "The isolation tier, `T1` or `T2`.")

    def __post_init__(self) -> None:
        for name in ("cpus", "memory_mb", "home_mb", "home_files"):
            at_least(getattr(self, name), 1, f"labs.profiles.{name}")
        if not 0 <= self.gpus <= MOST_GPUS:
            raise SettingsWrong(f"a lab has between 0 and {MOST_GPUS} GPUs", "labs.profiles.gpus")
        if self.tier not in (Tier.T1, Tier.T2):
            raise SettingsWrong("a lab runs in the tier T1 or T2", "labs.profiles.tier")
        if not self.image or any(not text.isprintable() for text in (self.title, self.title_zh, self.image)):
            raise SettingsWrong(
                "title and image are one line of text, and an image is named", "labs.profiles"
            )


DEFAULT_PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        "small": Profile("Small", "标准"),
        "strong": Profile("Stronger isolation", "强隔离", tier="T2"),
    }
)
DEFAULT_LAB_HOST = "labs.localhost"


@dataclass(frozen=True, slots=True)
class Labs:
    """Members' labs. Browsers reach JupyterHub at `public_origin`, and each lab at a host below it."""

    on: bool = setting(True, "Whether there are labs here; `false` starts no JupyterHub.")
    host: str = setting(
        DEFAULT_LAB_HOST,
        "Host of JupyterHub on this machine, another than the portal's; a lab is a host below.",
    )
    port: int = setting(8471, "Port on loopback on which the labs' proxy listens.")
    origin: str = setting(
        "",
        "In production: `https://…` by which browsers reach JupyterHub; empty is `host` and `port` over HTTP.",
    )
    idle_hours: int = setting(4, "Hours without activity after which a lab is stopped; files stay.")
    age_days: int = setting(7, "Days after which a lab is stopped all the same; files stay.")
    token_days: int = setting(7, "Days after which the token inside a lab ends, at the latest.")
    memory_mb: int = setting(0, "MiB that all running labs may have together; 0 sets no bound.")
    mirror: str = setting(
        "",
        "Folder with packages that members may install in their labs, seen there as `/mirror`; empty for none.",
    )
    administrator: str = setting(
        "", "Whom members in a lab ask where an administrator has to act, one line; empty names nobody."
    )
    profiles: Mapping[str, Profile] = field(
        default_factory=lambda: DEFAULT_PROFILES,
        metadata={"meaning": "Profiles by name. A file that names any names all that there are."},
    )

    def __post_init__(self) -> None:
        if not 1 <= self.port <= 65_535:
            raise SettingsWrong("the port of labs is a number from 1 to 65535", "labs.port")
        for name in ("idle_hours", "age_days", "token_days"):
            at_least(getattr(self, name), 1, f"labs.{name}")
        at_least(self.memory_mb, 0, "labs.memory_mb")
        require_host(self.host, "labs", "labs.host")
        if self.origin:
            require_origin(self.origin, "labs", "labs.origin")
        if self.mirror and not Path(self.mirror).is_absolute():
            raise SettingsWrong("the mirror is a folder by its absolute path", "labs.mirror")
        if not self.administrator.isprintable():
            raise SettingsWrong("the administrator is named in one line of text", "labs.administrator")
        if self.on and not self.profiles:
            raise SettingsWrong("labs have at least one profile", "labs.profiles")

    @property
    def public_origin(self) -> str:
        """Scheme, host and port by which browsers reach JupyterHub."""
        return self.origin or http_origin(self.host, self.port)

    @property
    def public_host(self) -> str:
        """The host in it, without the port."""
        return host_in(self.public_origin)

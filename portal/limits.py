"""The portal's limits and where it is reached, in one frozen value with safe defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import urlsplit

from plans.errors import NotFound, SettingsWrong
from store.api import Profile


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the portal takes and how long it trusts. Sizes in bytes, times in seconds.

    `largest_folder` is for calls that bring a member's folder; `folders_at_once` of them are read at a time, and of one
    lab `folders_of_lab`. A body that has not come whole after `body_lasts` is not waited for.
    `sign_in_tries` wrong passwords of one account from one address lock that pair out for `sign_in_window`;
    one address may fail for `address_factor` times as many in all, whatever the accounts. `hashes_at_once`
    bounds the memory that password checks take: argon2id uses 64 MiB each. `jobs_per_member` is told to members; the
    room of jobs keeps it.
    """

    largest_body: int = 1_000_000
    largest_folder: int = 12_000_000
    folders_at_once: int = 8
    folders_of_lab: int = 2
    body_lasts: int = 60
    longest_password: int = 1_000
    session_lasts: int = 12 * 3600
    token_lasts: int = 30 * 86_400
    sign_in_tries: int = 5
    sign_in_window: int = 15 * 60
    address_factor: int = 10
    remembered_tries: int = 10_000
    hashes_at_once: int = 2
    jobs_per_member: int = 20


@dataclass(frozen=True, slots=True)
class Site:
    """Where members reach the portal: its one origin, such as `https://darkroom.example`.

    The host in it is the only one under which there are pages and cookies (a page that rebinds its name to our address
    meets a refusal), and the origin is the only one whose pages may change anything by cookie.

    `inner` is given where a proxy with TLS stands before the portal: the origin at which the portal itself listens, for
    calls of this machine with a token or with the Hub's secret (`portal.guards`). Without it nothing stands before it.
    """

    origin: str
    inner: str = ""

    def __post_init__(self) -> None:
        _require_origin(self.origin, "portal.origin")
        if self.inner:
            _require_origin(self.inner, "portal.inner")
            if self.inner_host == self.host:
                raise SettingsWrong("the portal would be reached at its own door", "portal.inner")

    @property
    def host(self) -> str:
        """Host and port as they stand in a request's Host header."""
        return urlsplit(self.origin).netloc

    @property
    def inner_host(self) -> str:
        """Host and port of the machine's own calls; empty where these have none of their own."""
        return urlsplit(self.inner).netloc

    @property
    def secure(self) -> bool:
        """Whether members come over TLS; only then can cookies be bound to it."""
        return urlsplit(self.origin).scheme == "https"

    @property
    def cookie(self) -> str:
        """The session cookie's name. The prefix `__Host-` (RFC 6265bis 4.1.3.2) stops a neighbour host from
        tossing one in.
        """
        return "__Host-darkroom" if self.secure else "darkroom"


@dataclass(frozen=True, slots=True)
class Labs:
    """What the portal knows of labs: where JupyterHub is reached, the SHA-256 of the secret by which it shows itself
    (hex), how many seconds a lab's token lasts, and the profiles. Without an origin there are no labs here.
    """

    origin: str = ""
    secret_sha256: str = field(default="", repr=False)
    token_lasts: int = 7 * 86_400
    profiles: Mapping[str, Profile] = field(default_factory=lambda: MappingProxyType({}))

    def require_on(self) -> None:
        """Check that there are labs here.

        Raises:
            NotFound: there are none.
        """
        if not self.origin:
            raise NotFound(
                "this Darkroom has no labs",
                "labs",
                "Its administrator can set labs.on; work from a terminal meanwhile.",
            )

    @property
    def redirect_uri(self) -> str:
        """The one address to which a browser carries a code."""
        return f"{self.origin}/hub/oauth_callback"


def _require_origin(origin: str, where: str) -> None:
    parts = urlsplit(origin)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query:
        raise SettingsWrong("the portal's origin is scheme, host and port, without a path", where)

"""Origins by which browsers reach the platform, as they are written into settings, and the hosts in them.

An origin is spelled as browsers spell it in `Host` and `Origin`: small letters, and no port where it is the usual one.
Spelled otherwise it would be compared with theirs and never be equal.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from plans.errors import SettingsWrong

_HOST = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?){1,8}")
"""A host with at least two labels: below one alone there are no hosts that keep their cookies to themselves."""

_ADDRESS = re.compile(r"([a-z0-9-]+\.)*([0-9]+|0x[0-9a-f]*)")
"""What browsers read as an address, since it ends in a number (WHATWG URL, section 3.5)."""

_ORIGIN = re.compile(r"(https?)://([^/?#@:]+)(?::([1-9][0-9]{0,4}))?")
_USUAL_PORTS = {"http": "80", "https": "443"}


def require_host(host: str, whose: str, where: str) -> None:
    """Check the host of something that browsers reach; `whose` names it for the sentence.

    Raises:
        SettingsWrong: it is no name of several labels.
    """
    if not _HOST.fullmatch(host) or _ADDRESS.fullmatch(host):
        raise SettingsWrong(
            f"the host of {whose} is a name such as labs.localhost, no address, without scheme and port",
            where,
        )


def require_origin(origin: str, whose: str, where: str) -> None:
    """Check an origin: https, or http at names that every browser takes for its own machine's.

    Raises:
        SettingsWrong: it is not spelled as browsers spell one, or would be reached in plain HTTP.
    """
    found = _ORIGIN.fullmatch(origin)
    scheme, host, port = found.groups() if found else ("", "", "")
    if not found or origin != origin.lower() or int(port or 0) > 65_535:
        raise SettingsWrong(
            f"the origin of {whose} is scheme, host and port in small letters",
            where,
            "Write nothing after them, no / either: https://darkroom.example.org.",
        )
    if port == _USUAL_PORTS[scheme]:
        raise SettingsWrong(
            f"browsers leave this port out of the origin of {whose}", where, f"Write {scheme}://{host}."
        )
    if scheme == "http" and not is_own_machine(host):
        raise SettingsWrong(
            f"{whose} would be reached in plain HTTP from beyond this machine", where, "Write https://…"
        )
    require_host(host, whose, where)


def host_in(origin: str) -> str:
    """Return the host of an origin, without the port."""
    return urlsplit(origin).hostname or ""


def is_own_machine(host: str) -> bool:
    """Whether a browser that is led to this host goes to the machine that it runs on itself."""
    return host == "localhost" or host.endswith(".localhost") or is_loopback(host)


def is_loopback(host: str) -> bool:
    """Whether only processes of this machine reach what listens at this host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def http_origin(host: str, port: int) -> str:
    """Return the origin of what listens at an address and port in plain HTTP."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

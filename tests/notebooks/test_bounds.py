"""What reaches the Hub that JupyterHub alone would take: cookies under nearly its own names, and bodies that fill its
memory. Hub and proxy as they really run.
"""

from __future__ import annotations

import contextlib
import socket
from urllib.parse import urlsplit

import pytest

from notebooks.bounds import LARGEST_BODY
from tests.notebooks.house import House

LI, LOGIN = "li@nm/tax", "__Host-jupyterhub-hub-login"


def asked(house: House, port: int, head: str, body: bytes = b"") -> str:
    """Say a request as bytes, since clients put cookies right, and return the answer's head."""
    host = urlsplit(house.settings.address).netloc
    lines = f"{head}\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), 120) as wire:
        wire.sendall(lines.encode("latin-1"))
        with contextlib.suppress(OSError):  # it was answered already
            wire.sendall(body)
        said = b""
        while b"\r\n\r\n" not in said and (chunk := wire.recv(65536)):
            said += chunk
    return said.partition(b"\r\n\r\n")[0].decode("latin-1")


def test_a_cookie_with_blanks_around_its_name_signs_nobody_in(house: House) -> None:
    """A lab can set such ones for the Hub's domain, and Chromium brings them: to a browser they have no prefix
    `__Host-`. They would hold the session of the lab's own member.
    """
    member = house.member(LI)
    member.get(member.hub("home"))
    (value,) = [each.value for each in member.client.cookies.jar if each.name == LOGIN]

    def shown(cookie: str) -> int:
        head = f"GET /hub/home HTTP/1.1\r\nAccept: text/html\r\nSec-Fetch-Mode: navigate\r\nCookie: {cookie}"
        return int(asked(house, house.settings.listen_port, head).split()[1])

    for tossed in ("\xa0{}", "\x85{}", "{}\xa0", "\xa0 {}", "{}\x85"):
        assert shown(f"{tossed.format(LOGIN)}={value}") == 302, "to sign in"
        assert shown(f"{LOGIN}={value}; {tossed.format(LOGIN)}=another") == 200, "nor does it push one out"
    assert shown(f"a=b; {LOGIN}={value}") == 200, "the control"


@pytest.mark.parametrize(
    "path", ["/hub/login", "/hub/api/users/x/activity", "/user/nobody/api/contents", "/"]
)
def test_nobody_fills_the_hubs_memory_with_bodies(house: House, path: str) -> None:
    """Through the proxy, where whatever is no lab's is the Hub's, and from a lab by its link."""
    for port in (house.settings.listen_port, house.settings.hub_port):
        large = asked(house, port, f"POST {path} HTTP/1.1", b"x" * (LARGEST_BODY + 1))
        small = asked(house, port, f"POST {path} HTTP/1.1", b"x" * (LARGEST_BODY - 1))
        assert large.split()[1:2] in (["400"], ["503"]) and "Set-Cookie" not in large, (
            "before the Hub looked at it"
        )
        assert small.split()[1] in ("403", "404", "405"), "the control: the Hub has something to say"

"""A real Hub and proxy behind a real nginx, with the configuration that operators are given: a member signs in at the
portal's public name and starts a lab, and every cookie on the way is one of TLS. Launcher and portal are stand-ins.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from notebooks.names import host_of
from tests.notebooks.house import House
from tests.portal import tls_proxy
from tests.portal.tls_proxy import LABS, PORTAL, Door

LI = "li@nm/tax"


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Door]]:
    """The side of labs, and nginx before it and the stand-in of the portal."""
    folder = tmp_path_factory.mktemp("front")
    door = tls_proxy.door(folder)
    house = House(address=door.labs, portal_page=door.portal)
    portal_port = int(urlsplit(house.portal.origin).port or 0)
    with tls_proxy.nginx(folder, door, portal_port, house.settings.listen_port), house:
        yield house, door


@dataclass
class Public(httpx.HTTPTransport):
    """Every host of example.test is this machine, by TLS under its own name; nothing else is reached."""

    door: Door
    asked: list[str] = field(default_factory=list)
    cookies: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(verify=ssl.create_default_context(cafile=str(self.door.certificate)))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert request.url.scheme == "https" and request.url.host.endswith(".example.test"), request.url
        self.asked.append(request.url.host)
        there = httpx.Request(
            request.method, request.url.copy_with(host="127.0.0.1"), headers=request.headers, stream=request.stream,
            extensions={**request.extensions, "sni_hostname": request.url.host},
        )  # fmt: skip
        answer = super().handle_request(there)
        self.cookies += [(request.url.host, each) for each in answer.headers.get_list("set-cookie")]
        return answer


def test_the_way_in_stays_on_tls_and_public_names_and_so_do_its_cookies(front: tuple[House, Door]) -> None:
    house, door = front
    member, public = house.member(LI), Public(door)
    member.client = httpx.Client(transport=public, follow_redirects=True, timeout=120)
    told = member.spawn()
    assert told[-1]["ready"], told
    lab_host = host_of(member.username, LABS, "user")
    assert {PORTAL, LABS} <= set(public.asked) <= {PORTAL, LABS, lab_host}
    kept = [each for each in public.cookies if '=""' not in each[1]]
    said = {(host, cookie.partition("=")[0]): cookie.lower() for host, cookie in kept}
    assert {name for _, name in said} >= {
        "__Host-oauthenticator-state",
        "__Host-jupyterhub-hub-login",
        "_xsrf",
    }
    for (host, name), cookie in said.items():
        words = cookie.split("; ")
        assert "secure" in words and "samesite=lax" in words, cookie
        if name.startswith("__Host-"):
            assert "path=/" in words and not any(each.startswith("domain") for each in words), cookie
            assert host == LABS
    answer = member.get(member.hub("home"))
    assert answer.headers.get_list("strict-transport-security") == ["max-age=31536000"]
    member.get(member.hub(f"user/{member.username}/lab"))
    assert public.asked[-1] == lab_host, "the Hub leads to the lab's own public host"
    assert not re.search(r"127\.0\.0\.1|localhost", answer.text)


def test_a_member_who_comes_to_the_lab_first_is_led_there_in_the_end(front: tuple[House, Door]) -> None:
    house, door = front
    member, public = house.member(LI), Public(door)
    member.client = httpx.Client(transport=public, follow_redirects=True, timeout=120)
    host = host_of(member.username, LABS, "user")
    answer = member.get(f"{door.labs.replace(LABS, host)}/user/{member.username}/lab")
    assert answer.status_code == 200 and host in public.asked and PORTAL not in public.asked[:1], answer.text[
        :500
    ]


def test_no_lab_can_finish_its_own_sign_in_in_anothers_browser(front: tuple[House, Door]) -> None:
    """The cookie that binds a sign-in to its browser is a `__Host-` one, too, and another is not believed."""
    house, door = front
    hub = f"http://127.0.0.1:{house.settings.hub_port}/hub/"
    headers = {"Host": urlsplit(door.labs).netloc, "X-Forwarded-Proto": "https"}
    began = httpx.get(hub + "oauth_login", headers=headers, timeout=60)
    cookie = SimpleCookie(began.headers["set-cookie"])
    (name,) = cookie
    assert name == "__Host-oauthenticator-state" and cookie[name]["secure"] and cookie[name]["path"] == "/"
    assert not cookie[name]["domain"]
    state = parse_qs(urlsplit(began.headers["location"]).query)["state"][0]
    for shown, status in ((name.removeprefix("__Host-"), 400), (name, 500)):
        arrived = httpx.get(
            hub + "oauth_callback",
            params={"code": "none", "state": state},
            headers=headers | {"Cookie": f"{shown}={cookie[name].coded_value}"},
            timeout=60,
        )
        assert arrived.status_code == status, (shown, "the second is believed, and its code is asked about")

"""A portal behind a proxy with TLS: members come by its public name. Under the name at which it listens there is
nothing for a browser, and what a call claims about its address is believed of the proxy alone.
"""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from plans.errors import SettingsWrong
from plans.labs import loopback_of
from portal import addresses
from portal import api as portal
from portal.guards import NOT_FOR_PROGRAMS
from portal.limits import Limits, Site
from tests.portal.audit_log import open_log
from tests.portal.region import HUB_SECRET, Region, build
from tests.portal.visitor import BROWSER, FORM, basic, bearer

PUBLIC, INNER = "https://darkroom.example", "http://127.0.0.1:8470"
MEI, LIN = "mei@nm/centre", "lin@nm/centre"
PROXY = "127.0.0.1"


@pytest.fixture
def app(region: Region) -> Starlette:
    """A portal with a proxy before it."""
    return portal.create_app(replace(region.services, site=Site(PUBLIC, INNER)))


def at(app: Starlette, origin: str = PUBLIC, peer: str = PROXY, **headers: str) -> TestClient:
    return TestClient(
        app, base_url=origin, client=(peer, 40_000), headers=headers, follow_redirects=False,
        raise_server_exceptions=False,
    )  # fmt: skip


def session(app: Starlette, region: Region, member: str = MEI) -> str:
    body = {"member": member, "password": region.password(member)}
    return str(at(app).post("/api/v1/sign-in", json=body).json()["token"])


def by_form(client: TestClient, region: Region, origin: str) -> int:
    body = f"member={MEI}&password={region.password(MEI).replace(' ', '+')}"
    return client.post("/sign-in", content=body, headers=FORM | {"Origin": origin}).status_code


# --- the public name ----------------------------------------------------------------------------------------


def test_under_the_public_name_the_cookie_is_bound_to_the_host_and_to_tls(
    app: Starlette, region: Region
) -> None:
    body = f"member={MEI}&password={region.password(MEI).replace(' ', '+')}"
    answer = at(app).post("/sign-in", content=body, headers=FORM | {"Origin": PUBLIC})
    name, *attributes = answer.headers["set-cookie"].lower().split("; ")
    assert answer.status_code == 303 and name.startswith("__host-darkroom=")
    assert {"secure", "httponly", "samesite=strict", "path=/"} <= set(attributes)
    assert not any(each.startswith("domain") for each in attributes)
    assert "max-age" in answer.headers["strict-transport-security"]


def test_control_without_a_public_name_it_is_not(region: Region) -> None:
    plain = portal.create_app(region.services)
    body = f"member={MEI}&password={region.password(MEI).replace(' ', '+')}"
    origin = region.services.site.origin
    answer = at(plain, origin).post("/sign-in", content=body, headers=FORM | {"Origin": origin})
    assert answer.headers["set-cookie"].startswith("darkroom=")
    assert "strict-transport-security" not in answer.headers


@pytest.mark.parametrize(
    "origin", [INNER, "http://darkroom.example", "https://darkroom.example:8470", "null"]
)
def test_forms_of_other_origins_change_nothing(app: Starlette, region: Region, origin: str) -> None:
    assert by_form(at(app), region, origin) == 403
    assert by_form(at(app), region, PUBLIC) == 303, "the control"


# --- the inner name -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/sign-in", "/labs", "/keys", "/oauth/authorize", "/style.css", "/openapi.json",
                                  "/jobs", "/api/v1", "//api/v1/me", "/api/v1/me"])  # fmt: skip
def test_under_the_inner_name_there_is_no_page_and_nothing_without_a_token(app: Starlette, path: str) -> None:
    answer = at(app, INNER).get(path, headers=BROWSER)
    assert answer.status_code == 421 and PUBLIC in answer.text
    assert at(app).get(path, headers=BROWSER).status_code != 421, "the control"


@pytest.mark.parametrize(
    "path",
    ["/sign-in", "/sign-out", "/keys", "/apply", "/api/v1/sign-in", "/api/v1/%73ign-in", "/api/v1/sign-in/"],
)
def test_under_the_inner_name_there_is_no_form_and_no_sign_in(
    app: Starlette, region: Region, path: str
) -> None:
    body = {"member": MEI, "password": region.password(MEI)}
    assert at(app, INNER).post(path, json=body, headers=bearer("anything")).status_code == 421
    assert at(app).post("/api/v1/sign-in", json=body).status_code == 200, "the control"


@pytest.mark.parametrize(
    "path", ["/api/v1/sign-in%0a", "/api/v1/me%0a", "/api/v1/%1fme", "/oauth/standing%0a"]
)
def test_a_path_with_characters_that_nobody_sees_leads_nowhere(
    app: Starlette, region: Region, path: str
) -> None:
    body = {"member": MEI, "password": region.password(MEI)}
    for origin in (PUBLIC, INNER):
        assert at(app, origin).post(path, json=body, headers=bearer("anything")).status_code == 422


def test_63_under_the_inner_name_a_session_cookie_is_worth_nothing(app: Starlette, region: Region) -> None:
    token = session(app, region)
    for name in ("__Host-darkroom", "darkroom"):
        cookie = {"Cookie": f"{name}={token}"}
        for path in ("/", "/api/v1/me"):
            assert at(app, INNER, **cookie).get(path).status_code == 421
            assert at(app, INNER, **cookie, **bearer(token)).get(path).status_code == 421
    assert "You are signed in as" in at(app, Cookie=f"__Host-darkroom={token}").get("/").text, "the control"
    assert at(app, Cookie=f"darkroom={token}").get("/api/v1/me").status_code == 401


def test_programs_of_this_machine_use_the_api_with_a_token_and_the_hub_its_secret(
    app: Starlette, region: Region
) -> None:
    token = session(app, region)
    assert at(app, INNER).get("/api/v1/me", headers=bearer(token)).json()["name"] == MEI
    assert at(app, INNER).get("/health").status_code == 200
    asked = at(app, INNER).post("/oauth/standing", content=f"member={MEI}", headers=FORM | basic(HUB_SECRET))
    assert asked.status_code == 200 and asked.json()["projects"]
    assert at(app, INNER).post("/oauth/token", content="", headers=FORM).status_code == 401
    assert at(app, INNER, loopback_of(20_001)).post("/oauth/token", content="").status_code == 403


@pytest.mark.parametrize("header", NOT_FOR_PROGRAMS)
def test_what_a_browser_sent_or_a_proxy_passed_on_is_not_taken_for_a_program(
    app: Starlette, region: Region, header: str
) -> None:
    """A visitor may name the inner host to the proxy, and a page may send a call to a port of the visitor's machine."""
    token = session(app, region)
    assert at(app, INNER).get("/api/v1/me", headers=bearer(token)).status_code == 200, "the control"
    assert at(app, INNER).get("/api/v1/me", headers=bearer(token) | {header: "x"}).status_code == 421


HOSTS = st.one_of(
    st.sampled_from(
        [
            "", "localhost:8470", "127.0.0.1", "127.0.0.1:80", "127.0.0.1:8471", "127.0.0.2:8470", "[::1]:8470",
            "rebound.example:8470", "darkroom.example:443", "darkroom.example:8470", "darkroom.example.", "example",
            "darkroom.example.evil.example", "127.0.0.1:8470.evil.example", "darkroom.example,127.0.0.1:8470",
        ]
    ),
    st.from_regex(r"[a-z0-9.-]{1,30}(:[0-9]{1,5})?", fullmatch=True),
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(host=HOSTS)
def test_a_rebound_name_is_refused(app: Starlette, host: str) -> None:
    known = ("darkroom.example", "127.0.0.1:8470")
    answer = at(app).get("/sign-in", headers={"Host": host})
    assert answer.status_code == (200 if host == known[0] else 421)


def test_without_a_proxy_there_is_one_name(region: Region) -> None:
    plain = portal.create_app(region.services)
    assert at(plain, INNER).get("/api/v1/me", headers=bearer("x")).status_code == 421
    with pytest.raises(SettingsWrong):
        Site("https://darkroom.example:8470", "http://darkroom.example:8470")
    with pytest.raises(SettingsWrong):
        Site(PUBLIC, "127.0.0.1:8470")


# --- whose tries they are -----------------------------------------------------------------------------------


def tries(app: Starlette, said: str, peer: str = PROXY, count: int = 7) -> set[int]:
    body = {"member": MEI, "password": "guessed, guessed"}
    visitor = at(app, peer=peer, **{"X-Forwarded-For": said})
    return {visitor.post("/api/v1/sign-in", json=body).status_code for _ in range(count)}


def test_one_visitors_wrong_passwords_do_not_lock_another_out(app: Starlette, region: Region) -> None:
    right = {"member": MEI, "password": region.password(MEI)}
    assert tries(app, "203.0.113.7") == {401, 429}
    assert (
        at(app, **{"X-Forwarded-For": "203.0.113.7"}).post("/api/v1/sign-in", json=right).status_code == 429
    )
    assert (
        at(app, **{"X-Forwarded-For": "203.0.113.8"}).post("/api/v1/sign-in", json=right).status_code == 200
    )


def test_what_the_visitor_writes_before_the_proxys_word_makes_nobody_another(app: Starlette) -> None:
    assert tries(app, "203.0.113.7") == {401, 429}
    for number in range(20):
        assert tries(app, f"198.51.100.{number}, 203.0.113.7", count=1) == {429}


def test_control_without_a_proxy_nobodys_word_counts(region: Region) -> None:
    plain = portal.create_app(region.services)
    body = {"member": MEI, "password": "guessed, guessed"}
    visitor = at(plain, region.services.site.origin)
    seen = [
        visitor.post("/api/v1/sign-in", json=body, headers={"X-Forwarded-For": f"203.0.113.{number}"})
        for number in range(7)
    ]
    assert {each.status_code for each in seen} == {401, 429}


V4 = st.ip_addresses(v=4).map(str)
LINES = st.lists(st.text("0123456789abcdef.:, x", max_size=60), max_size=3)


@given(peer=V4, lines=LINES)
def test_only_a_peer_of_this_machine_that_is_no_lab_is_believed(peer: str, lines: list[str]) -> None:
    believed = peer.startswith("127.") and not peer.startswith("127.84.")
    if not believed:
        assert addresses.counted(peer, lines, behind_proxy=True) == peer
    assert addresses.counted(peer, lines, behind_proxy=False) == peer


@given(port=st.integers(20_000, 29_999), lines=LINES)
def test_a_lab_is_counted_by_its_own_address_whatever_it_claims(port: int, lines: list[str]) -> None:
    lab = loopback_of(port)
    assert addresses.counted(lab, [*lines, "203.0.113.7"], behind_proxy=True) == lab
    assert addresses.counted(PROXY, [*lines, "203.0.113.7"], behind_proxy=True) == "203.0.113.7", (
        "the control"
    )


@given(address=st.ip_addresses(), claimed=LINES)
def test_the_last_word_alone_counts_and_what_is_no_address_does_not(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, claimed: list[str]
) -> None:
    once = addresses.counted(PROXY, [str(address)], behind_proxy=True)
    assert addresses.counted(PROXY, [", ".join([*claimed, str(address)])], behind_proxy=True) == once
    assert addresses.counted(PROXY, [*claimed, str(address)], behind_proxy=True) == once
    for nonsense in ("", "unknown", f"{address}, ", "127.0.0.1:80, x", "[::1]"):
        assert addresses.counted(PROXY, [nonsense], behind_proxy=True) == PROXY


def test_over_ipv6_the_network_is_counted() -> None:
    def told(said: str) -> str:
        return addresses.counted(PROXY, [said], behind_proxy=True)

    assert told("2001:db8:1:2::1") == told("2001:db8:1:2:ffff::9") == "2001:db8:1:2::"
    assert told("2001:db8:1:3::1") != told("2001:db8:1:2::1")
    assert told("::ffff:203.0.113.7") == "203.0.113.7"
    assert addresses.counted("::1", ["203.0.113.7"], behind_proxy=True) != "203.0.113.7", (
        "labs come from there, too, where the portal listens there"
    )


def test_one_address_cannot_try_every_account(tmp_path: Path) -> None:
    """The second count of tries, through the header: as many accounts as there are, one visitor."""
    region = build(tmp_path, open_log(tmp_path))
    limits = Limits(sign_in_tries=2, address_factor=2)
    made = portal.create_app(replace(region.services, site=Site(PUBLIC, INNER), limits=limits))

    def ask(member: str, said: str) -> int:
        body = {"member": member, "password": "guessed, guessed"}
        return at(made, **{"X-Forwarded-For": said}).post("/api/v1/sign-in", json=body).status_code

    assert [ask(f"m{number}@nm/centre", "203.0.113.7") for number in range(5)] == [401] * 4 + [429]
    assert ask(LIN, "203.0.113.8") == 401
    region.database.close()
    region.log.close()

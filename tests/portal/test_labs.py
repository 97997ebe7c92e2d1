"""How a member comes to JupyterHub and gets a lab; and every way in which the wrong one comes to nothing."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from plans.errors import DarkroomError, NotAllowed
from portal import api as portal
from portal.codes import LASTS_S, MOST, Bound, Codes
from portal.entrance import asked
from portal.lab_tokens import SCOPES
from portal.projects import may_have_lab, profiles_of, require_lab
from store import api as store
from tests.portal.region import HUB, HUB_SECRET, ORIGIN, PEOPLE, PROJECTS, Region
from tests.portal.visitor import (
    BROWSER,
    CALLBACK,
    FORM,
    Way,
    basic,
    bearer,
    changed,
    code_of,
    entrance,
    lab_token,
    led_to,
    signed_in_browser,
)

MEI, LIN, BO, ADA = "mei@nm/centre", "lin@nm/centre", "bo@nm/tax", "ada@nm/centre"


# --- the way there ------------------------------------------------------------------------------------------


def test_who_is_signed_in_comes_to_the_hub_and_gets_a_lab(hub: TestClient, mei: TestClient) -> None:
    way = Way()
    answer = changed(hub, way, code_of(mei, way))
    token = answer.json()
    assert answer.status_code == 200 and (token["token_type"], token["scope"]) == ("Bearer", "labs")
    assert 12 * 3600 - 60 < token["expires_in"] <= 12 * 3600
    me = hub.get("/api/v1/labs/me", headers=bearer(token["access_token"])).json()
    assert (me["name"], me["domain"], me["roles"]) == (MEI, "nm/centre", ["researcher"])
    assert me["projects"] == [
        {"project": "housing", "title": "Rents", "title_zh": "租金", "purpose": "Study of rents",
         "profiles": ["small", "strong"]}
    ]  # fmt: skip
    assert me["profiles"]["small"] == {
        "title": "Small", "title_zh": "标准", "cpus": 1, "memory_mb": 2048, "home_mb": 2048, "home_files": 200_000,
        "gpus": 0, "image": "notebook", "tier": "T1",
    }  # fmt: skip
    lab = lab_token(hub, token["access_token"])
    assert lab["purpose"] == "Study of rents"
    shown = hub.get("/api/v1/me", headers=bearer(lab["token"])).json()
    assert (shown["name"], tuple(shown["scopes"])) == (MEI, SCOPES) and SCOPES == (
        "catalog",
        "jobs",
        "results",
    )


def test_a_visit_from_another_site_is_answered_once_with_a_page_that_asks_again(
    region: Region, mei: TestClient, browser: Callable[[], TestClient]
) -> None:
    """The cookie is `SameSite=Strict`, so the first visit comes without it; that page's own visit comes with it."""
    way, without = Way(), browser()
    again = led_to(without.get(way.address(), headers=BROWSER | {"Sec-Fetch-Site": "cross-site"}))
    assert again.startswith("/oauth/authorize?") and again.endswith("&again=1")
    assert led_to(mei.get(again, headers=BROWSER)).startswith(f"{CALLBACK}?code=")
    form = without.get(again, headers=BROWSER, follow_redirects=False)
    assert form.status_code == 303 and form.headers["location"].startswith(
        "/sign-in?next=/oauth/authorize%3F"
    )


def test_who_is_not_signed_in_signs_in_and_comes_to_the_hub_without_going_in_a_circle(
    region: Region, hub: TestClient, browser: Callable[[], TestClient]
) -> None:
    visitor, way = browser(), Way()
    again = led_to(visitor.get(way.address(), headers=BROWSER))
    form = visitor.get(again, headers=BROWSER)
    (back,) = re.findall(r'name="next" value="([^"]*)"', form.text)
    assert "again" not in back
    body = urlencode({"member": MEI, "password": region.password(MEI), "next": back.replace("&amp;", "&")})
    entered = visitor.post(
        "/sign-in", content=body, headers=FORM | {"Origin": ORIGIN}, follow_redirects=False
    )
    assert entered.status_code == 303 and entered.headers["location"].startswith("/oauth/authorize?")
    there = led_to(visitor.get(entered.headers["location"], headers=BROWSER))
    code = parse_qs(urlsplit(there).query)["code"][0]
    assert changed(hub, way, code).status_code == 200


def test_a_wrong_password_on_the_way_does_not_lose_it(
    region: Region, browser: Callable[[], TestClient]
) -> None:
    back = asked(Way().address().partition("?")[2], CALLBACK).path
    body = urlencode({"member": MEI, "password": "wrong horse battery", "next": back})
    answer = browser().post("/sign-in", content=body, headers=FORM | {"Origin": ORIGIN})
    assert answer.status_code == 401 and 'name="next" value="/oauth/authorize?' in answer.text


def test_pages_on_the_way_have_no_script_and_tell_no_other_site_where_one_came_from(mei: TestClient) -> None:
    answer = mei.get(Way().address(), headers=BROWSER)
    assert "script" not in answer.text and answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store" and answer.headers["x-frame-options"] == "DENY"


def test_a_program_is_not_led_to_a_lab(signed_in: Callable[..., TestClient]) -> None:
    answer = signed_in(MEI).get(Way().address(), headers=BROWSER)
    assert answer.status_code == 403 and CALLBACK not in answer.text


@pytest.mark.parametrize("member", [BO, ADA])
def test_who_asks_for_no_data_is_told_so_instead_of_led(
    region: Region, browser: Callable[[], TestClient], member: str
) -> None:
    answer = signed_in_browser(browser(), region, member).get(Way().address(), headers=BROWSER)
    assert answer.status_code == 403 and "code=" not in answer.text and "your roles" in answer.text


# --- what a browser may bring -------------------------------------------------------------------------------

ELSEWHERE = [
    "http://labs.test:8472/hub/oauth_callback", "http://labs.test/hub/oauth_callback",
    "https://labs.test:8471/hub/oauth_callback", f"{CALLBACK}/", f"{CALLBACK}?x=1", f"{CALLBACK}#x",
    f"{CALLBACK}/../../user/lin/x", f"{HUB}/user/lin/",
    "http://labs.test:8471@evil.example/hub/oauth_callback", "http://evil.example/hub/oauth_callback",
    "http://lin.labs.test:8471/hub/oauth_callback", "//evil.example/hub/oauth_callback", "/hub/oauth_callback",
    "HTTP://LABS.TEST:8471/hub/oauth_callback", f" {CALLBACK}", f"{CALLBACK}\n", "javascript:alert(1)", "", "null",
]  # fmt: skip


@pytest.mark.parametrize("address", ELSEWHERE)
def test_a_code_is_led_to_the_hubs_one_address_and_nowhere_else(mei: TestClient, address: str) -> None:
    """Not to another port either, where somebody else on this machine might listen."""
    answer = mei.get(Way().address(redirect_uri=address), headers=BROWSER, follow_redirects=False)
    assert answer.status_code == 422 and "code=" not in answer.text
    assert "http-equiv" not in answer.text and "location" not in answer.headers


def test_control_an_address_that_were_believed_would_get_the_code(
    mei: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = "http://evil.example/hub/oauth_callback"
    monkeypatch.setattr("portal.limits.Labs.redirect_uri", evil)
    assert led_to(mei.get(Way().address(redirect_uri=evil), headers=BROWSER)).startswith(f"{evil}?code=")


@pytest.mark.parametrize(
    "changes",
    [
        {"state": None}, {"state": ""}, {"state": "short"}, {"state": "x" * 1001}, {"state": "with space here"},
        {"state": "line\nbreak-in-it"}, {"code_challenge": None}, {"code_challenge": "x"}, {"code_challenge": "x" * 44},
        {"code_challenge_method": None}, {"code_challenge_method": "plain"}, {"code_challenge_method": "s256"},
        {"client_id": None}, {"client_id": "Labs"}, {"client_id": "other"}, {"response_type": "token"},
        {"response_type": None}, {"response_type": "code token"}, {"scope": "jobs"}, {"scope": "labs self"},
        {"redirect_uri": None},
    ],
)  # fmt: skip
def test_what_is_missing_or_weaker_is_refused(mei: TestClient, changes: dict[str, str | None]) -> None:
    way = Way()
    answer = mei.get(way.address(**changes), headers=BROWSER, follow_redirects=False)
    assert answer.status_code == 422 and "code=" not in answer.text and "location" not in answer.headers
    assert mei.get(way.address(), headers=BROWSER).status_code == 200


@pytest.mark.parametrize("name", [*Way().said(), "again"])
def test_of_two_values_none_is_believed(mei: TestClient, name: str) -> None:
    """One reader might take the first and another the last: so neither."""
    way = Way()
    value = way.said().get(name, "1")
    doubled = f"{way.address()}&{urlencode({name: value})}" + (f"&{name}=1" if name == "again" else "")
    answer = mei.get(doubled, headers=BROWSER, follow_redirects=False)
    assert answer.status_code == 422 and "code=" not in answer.text


@given(st.text(st.characters(codec="utf-8"), max_size=40), st.sampled_from(sorted(Way().said())))
def test_whatever_a_browser_brings_its_page_leads_to_the_hub_or_nowhere(text: str, name: str) -> None:
    query = urlencode(Way().said(**{name: text}))
    try:
        wanted = asked(query, CALLBACK)
    except DarkroomError:
        return
    there = urlsplit(wanted.way_to("c"))
    assert (there.scheme, there.netloc, there.path) == ("http", "labs.test:8471", "/hub/oauth_callback")
    assert asked(urlsplit(wanted.path).query, CALLBACK) == wanted and not set(wanted.path) & set(
        " \"'<>\\;\n\r"
    )


@pytest.mark.parametrize(
    "back",
    [
        "/oauth/authorize", "//oauth/authorize?x=1", "/oauth/authorize?", "/oauth/token?x=1",
        "/oauth/authorize/../x?y=1",
        "/oauth/authorize?x=1#y", "/oauth/authorize?x=\\evil", "https://evil.example/oauth/authorize?x=1",
        "/oauth/authorize?x=1\r\nX: y", "/oauth/authorize?x=<script>", "/oauth/authorize?" + "x" * 4001, "/labs?x=1",
        "/keys?signing_key=ed25519:00", "/apply\\?dataset=x", "//apply?dataset=x", "/sign-in?next=/labs",
    ],
)  # fmt: skip
def test_the_way_back_from_the_form_is_one_of_our_own_pages(
    region: Region, browser: Callable[[], TestClient], back: str
) -> None:
    body = urlencode({"member": MEI, "password": region.password(MEI), "next": back})
    entered = browser().post(
        "/sign-in", content=body, headers=FORM | {"Origin": ORIGIN}, follow_redirects=False
    )
    assert (entered.status_code, entered.headers["location"]) == (303, "/")


def test_nobody_elses_page_signs_a_browser_in_on_the_way(
    region: Region, browser: Callable[[], TestClient]
) -> None:
    """Otherwise the victim would work in the attacker's lab."""
    victim = browser()
    back = asked(Way().address().partition("?")[2], CALLBACK).path
    body = urlencode({"member": LIN, "password": region.password(LIN), "next": back})
    for origin in ("http://evil.example", HUB, "http://lin.labs.test:8471", "null"):
        answer = victim.post(
            "/sign-in", content=body, headers=FORM | {"Origin": origin}, follow_redirects=False
        )
        assert answer.status_code == 403 and not victim.cookies


# --- the code -----------------------------------------------------------------------------------------------


def test_a_code_is_worth_one_token_and_used_twice_ends_that_one(hub: TestClient, mei: TestClient) -> None:
    way = Way()
    code = code_of(mei, way)
    token = changed(hub, way, code).json()["access_token"]
    assert hub.get("/api/v1/labs/me", headers=bearer(token)).status_code == 200
    second = changed(hub, way, code)
    assert (second.status_code, second.json()["error"]) == (400, "invalid_grant")
    assert hub.get("/api/v1/labs/me", headers=bearer(token)).status_code == 401
    assert mei.get("/api/v1/me").status_code == 200, "the member's own session stays"


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": "x" * 64}, {"code_verifier": "short"}, {"redirect_uri": f"{CALLBACK}/"},
        {"redirect_uri": "http://evil.example"}, {"code": "made-up"}, {"code": "é" * 3},
    ],
)  # fmt: skip
def test_a_code_without_what_it_is_bound_to_is_worth_nothing_and_gone(
    hub: TestClient, mei: TestClient, changes: dict[str, str]
) -> None:
    way = Way()
    code = code_of(mei, way)
    answer = changed(hub, way, code, **changes)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert changed(hub, way, code).status_code == (200 if "code" in changes else 400)


def test_the_codes_of_two_members_cannot_be_swapped(
    region: Region, hub: TestClient, mei: TestClient, browser: Callable[[], TestClient]
) -> None:
    """Whoever slips their own code into another's browser is refused at the Hub by state and verifier."""
    lin = signed_in_browser(browser(), region, LIN)
    of_mei, of_lin = Way(), Way()
    codes = code_of(mei, of_mei), code_of(lin, of_lin)
    assert changed(hub, of_mei, codes[1]).json()["error"] == "invalid_grant"
    assert changed(hub, of_lin, codes[0]).json()["error"] == "invalid_grant"
    token = entrance(hub, lin)
    assert hub.get("/api/v1/labs/me", headers=bearer(token)).json()["name"] == LIN


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ({}, 401), (basic("wrong"), 401), (basic(""), 401), (basic(HUB_SECRET, "hub"), 401),
        (basic(HUB_SECRET + " "), 401),
        (bearer(HUB_SECRET), 401), ({"Authorization": "Basic ***"}, 401), ({"Authorization": "Basic"}, 401),
        (basic(HUB_SECRET), 200),
    ],
)  # fmt: skip
def test_only_the_hub_changes_codes(
    hub: TestClient, mei: TestClient, header: dict[str, str], status: int
) -> None:
    way = Way()
    body = urlencode({"grant_type": "authorization_code", "code": code_of(mei, way), "redirect_uri": CALLBACK,
                      "code_verifier": way.verifier})  # fmt: skip
    answer = hub.post("/oauth/token", content=body, headers=FORM | header)
    assert answer.status_code == status
    if status == 401:
        assert answer.json()["error"] == "invalid_client" and answer.headers["www-authenticate"] == "Basic"
        assert hub.post("/oauth/token", content=body, headers=FORM | basic(HUB_SECRET)).status_code == 200


def test_the_hash_of_the_secret_is_no_secret(region: Region, hub: TestClient, mei: TestClient) -> None:
    way = Way()
    assert changed(hub, way, code_of(mei, way), secret=region.services.labs.secret_sha256).status_code == 401


def test_without_a_known_secret_nobody_is_the_hub(region: Region) -> None:
    labs = replace(region.services.labs, secret_sha256="")
    app = portal.create_app(replace(region.services, labs=labs))
    client = TestClient(app, base_url=ORIGIN)
    browser = signed_in_browser(TestClient(app, base_url=ORIGIN), region, MEI)
    for secret in ("", "-", HUB_SECRET):
        way = Way()
        assert changed(client, way, code_of(browser, way), secret=secret).status_code == 401


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"), ({"grant_type": None}, "unsupported_grant_type"),
        ({"code": None}, "invalid_request"), ({"code_verifier": None}, "invalid_request"),
        ({"redirect_uri": None}, "invalid_request"), ({"client_id": "other"}, "invalid_request"),
        ({"client_id": "labs"}, ""),
    ],
)  # fmt: skip
def test_a_form_that_is_not_whole_is_refused_and_keeps_the_code(
    hub: TestClient, mei: TestClient, changes: dict[str, str | None], error: str
) -> None:
    way = Way()
    code = code_of(mei, way)
    answer = changed(hub, way, code, **changes)
    assert answer.json().get("error", "") == error
    if error:
        assert answer.json()["code"] and answer.json()["error_description"]
        assert changed(hub, way, code).status_code == 200


def test_doubled_fields_are_refused_at_the_token_too(hub: TestClient, mei: TestClient) -> None:
    way = Way()
    form = {"grant_type": "authorization_code", "code": code_of(mei, way), "redirect_uri": CALLBACK,
            "code_verifier": way.verifier}  # fmt: skip
    for name, value in form.items():
        body = urlencode(form) + f"&{name}={quote(value)}"
        assert hub.post("/oauth/token", content=body, headers=FORM | basic(HUB_SECRET)).status_code == 400


def test_a_code_lasts_a_minute_and_codes_are_few() -> None:
    now = [1_000.0]
    codes = Codes(lambda: now[0])
    bound = Bound(MEI, "s", CALLBACK, "c")
    first = codes.make(bound)
    now[0] += LASTS_S - 1
    assert codes.take(first) == (bound, "") and codes.take(first) == (None, "")
    late = codes.make(bound)
    now[0] += LASTS_S
    assert codes.take(late) == (None, "")
    oldest = codes.make(bound)
    for _ in range(MOST):
        newest = codes.make(bound)
    assert codes.take(oldest) == (None, "") and codes.take(newest) == (bound, "")


# --- without labs -------------------------------------------------------------------------------------------


def test_where_labs_are_off_everything_about_them_says_so(region: Region) -> None:
    app = portal.create_app(replace(region.services, labs=portal.Labs()))
    browser = signed_in_browser(TestClient(app, base_url=ORIGIN), region, MEI)
    client = TestClient(app, base_url=ORIGIN)
    answers = [
        browser.get("/api/v1/labs/me"),
        browser.post("/api/v1/labs/tokens", json={"project": "housing"}, headers={"Origin": ORIGIN}),
        browser.get(Way().address(), headers=BROWSER),
        changed(client, Way(), "code"),
        client.post("/oauth/standing", content="member=x", headers=FORM | basic("")),
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert all("no labs" in answer.text for answer in answers)
    page = browser.get("/labs", headers=BROWSER)
    assert page.status_code == 200 and "has no labs" in page.text and "labs.test" not in page.text


# --- the rule -----------------------------------------------------------------------------------------------


def member(name: str, *roles: str) -> store.MemberRow:
    return store.MemberRow(name, "nm/centre", roles, "", "", "", 1)


def test_exactly_members_with_a_role_that_asks_have_labs_until_the_end() -> None:
    housing = replace(PROJECTS[0], until=100)
    cases = itertools.product(PEOPLE, ("researcher", "operator", "approver", "auditor"), (99, 100))
    for name, role, now in cases:
        expected = name in housing.members and role in ("researcher", "operator") and now < 100
        assert may_have_lab(housing, member(name, role), now) is expected
    assert may_have_lab(replace(housing, until=0), member(MEI, "researcher"), 10**12)
    assert not may_have_lab(None, member(MEI, "researcher"), 1)


def test_the_reason_says_what_would_help_and_not_what_else_there_is() -> None:
    for project, who in ((None, member(MEI, "researcher")), (PROJECTS[1], member(MEI, "researcher"))):
        with pytest.raises(NotAllowed) as caught:
            require_lab(project, who, 1)
        assert caught.value.next_step and "fares" not in str(caught.value)


def test_profiles_that_are_gone_from_the_settings_are_not_offered() -> None:
    assert profiles_of(PROJECTS[0], {"small", "strong"}) == ("small", "strong")
    assert profiles_of(PROJECTS[0], ()) == ()

"""Signing in: what it promises, and what a guesser, a thief of the database and a hostile page meet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from plans.errors import Malformed, SettingsWrong, TooManyTries, Unreachable
from portal import api as portal
from portal.attempts import Attempts
from portal.limits import Limits, Site
from portal.passwords import Passwords
from portal.permissions import Action, Role
from store import api as store
from tests.portal.audit_log import actions
from tests.portal.region import CHEAP, ORIGIN, Region

SignedIn = Callable[..., TestClient]
MEI = "mei@nm/centre"


def sign_in(client: TestClient, member: str, password: str):
    return client.post("/api/v1/sign-in", json={"member": member, "password": password})


def test_a_member_signs_in_and_is_known(signed_in: SignedIn) -> None:
    me = signed_in(MEI).get("/api/v1/me").json()
    assert (me["name"], me["domain"], me["roles"]) == (MEI, "nm/centre", ["researcher"])
    assert "password_hash" not in me


def test_wrong_password_and_unknown_member_get_the_same_answer(client: TestClient) -> None:
    answers = [
        sign_in(client, name, "wrong horse battery")
        for name in (
            MEI,
            "nobody@nm/centre",
            "x'; drop table members",
            "",
            "mei@nm/centre\0",
            "\ud800".encode("utf-16", "surrogatepass").hex(),
        )
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].json()["code"] == "access.not-signed-in"


def test_an_unknown_member_costs_the_same_work(region: Region) -> None:
    """One hash is computed either way; the control shows that the count can tell."""
    counted: list[str] = []

    class Counting:
        def hash(self, password: str) -> str:
            return CHEAP.hash(password)

        def verify(self, kept: str, password: str) -> bool:
            counted.append(kept)
            return CHEAP.verify(kept, password)

    passwords = Passwords(2, Counting())  # type: ignore[arg-type]
    assert not passwords.fits("anything at all", None)
    assert not passwords.fits("anything at all", "")
    assert not passwords.fits("anything at all", region.member(MEI).password_hash)
    assert len(counted) == 3
    assert passwords.fits(region.password(MEI), region.member(MEI).password_hash)
    assert not passwords.fits("x", "not a hash")


def test_new_passwords_are_hashed_with_argon2id_and_short_ones_refused() -> None:
    passwords = Passwords(2)
    kept = passwords.hash("long enough to keep")
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert passwords.fits("long enough to keep", kept)
    with pytest.raises(Malformed):
        passwords.hash("short")


def test_a_flood_of_tries_does_not_hold_the_portal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portal.passwords.LONGEST_WAIT_S", 0.01)
    passwords = Passwords(1, CHEAP)
    with passwords._turn(), pytest.raises(Unreachable):
        passwords.fits("anything at all", None)
    assert not passwords.fits("anything at all", None)


def test_only_the_hash_of_a_token_is_stored(region: Region, client: TestClient) -> None:
    token = sign_in(client, MEI, region.password(MEI)).json()["token"]
    content = b"".join(path.read_bytes() for path in region.folder.glob("store.db*"))
    assert token.encode() not in content
    assert MEI.encode() in content  # the control: what is stored would be found


def test_signing_out_ends_the_session_at_the_portal(signed_in: SignedIn) -> None:
    client = signed_in(MEI)
    assert client.post("/api/v1/sign-out").status_code == 200
    assert client.get("/api/v1/me").status_code == 401


def test_a_session_ends_by_itself(region: Region) -> None:
    now = [1_000_000.0]
    services = replace(region.services, clock=lambda: now[0])
    client = TestClient(portal.create_app(services), base_url=ORIGIN)
    token = sign_in(client, MEI, region.password(MEI)).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert client.get("/api/v1/me", headers=headers).status_code == 200
    now[0] += Limits().session_lasts
    assert client.get("/api/v1/me", headers=headers).status_code == 401


def test_a_role_that_is_taken_away_is_gone_at_once(region: Region, signed_in: SignedIn) -> None:
    client = signed_in("bo@nm/tax")
    assert client.get("/api/v1/approvals").status_code == 200
    row = replace(region.member("bo@nm/tax"), name="bo2@nm/tax", roles=())
    with region.database.session() as session:
        store.members.add(session, row)
    powerless = TestClient(client.app, base_url=ORIGIN)
    token = sign_in(powerless, "bo2@nm/tax", region.password("bo@nm/tax")).json()["token"]
    assert powerless.get("/api/v1/approvals", headers={"Authorization": f"Bearer {token}"}).status_code == 403


# --- guessing -----------------------------------------------------


def test_guessing_is_stopped_and_the_right_password_does_not_help_then(
    region: Region, client: TestClient
) -> None:
    for _ in range(Limits().sign_in_tries):
        assert sign_in(client, MEI, "wrong horse battery").status_code == 401
    stopped = sign_in(client, MEI, region.password(MEI))
    assert (stopped.status_code, stopped.json()["code"]) == (429, "access.too-many-tries")
    assert sign_in(client, "lin@nm/centre", region.password("lin@nm/centre")).status_code == 200


def test_being_stopped_does_not_tell_whether_a_member_exists(client: TestClient) -> None:
    answers = []
    for name in (MEI, "nobody@nm/centre"):
        for _ in range(Limits().sign_in_tries):
            sign_in(client, name, "wrong horse battery")
        answers.append(sign_in(client, name, "wrong horse battery").text)
    assert answers[0] == answers[1]


def test_one_address_cannot_try_one_password_on_every_account() -> None:
    limits = Limits()
    attempts = Attempts(limits, lambda: 0.0)
    for number in range(limits.sign_in_tries * limits.address_factor):
        attempts.begin(f"m{number}", "1.2.3.4")
    with pytest.raises(TooManyTries):
        attempts.begin("another", "1.2.3.4")
    attempts.begin("another", "1.2.3.5")


def test_the_memory_of_tries_is_bounded_and_ends() -> None:
    now = [0.0]
    attempts = Attempts(Limits(remembered_tries=30), lambda: now[0])
    for number in range(200):
        attempts.begin(f"m{number}", f"address {number}")
    assert len(attempts._counts) <= 30
    for _ in range(5):
        attempts.begin("m", "here")
    with pytest.raises(TooManyTries):
        attempts.begin("m", "here")
    now[0] += Limits().sign_in_window
    attempts.begin("m", "here")


def test_succeeding_forgives_the_own_failures_only() -> None:
    attempts = Attempts(Limits(), lambda: 0.0)
    for _ in range(4):
        attempts.begin("m", "here")
    attempts.begin("m", "here")
    attempts.succeed("m", "here")
    for _ in range(5):
        attempts.begin("m", "here")
    with pytest.raises(TooManyTries):
        attempts.begin("m", "here")


# --- the page -----------------------------------------------------

FORM = {"content-type": "application/x-www-form-urlencoded"}


def by_form(client: TestClient, region: Region, origin: str | None = ORIGIN):
    headers = FORM | ({"Origin": origin} if origin else {})
    body = f"member={MEI}&password={region.password(MEI).replace(' ', '+')}"
    return client.post("/sign-in", content=body, headers=headers, follow_redirects=False)


def test_the_page_signs_in_by_a_cookie_that_scripts_and_other_sites_cannot_use(
    region: Region, client: TestClient
) -> None:
    answer = by_form(client, region)
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie
    assert "You are signed in as" in client.get("/").text
    assert client.post("/sign-out", headers={"Origin": ORIGIN}, follow_redirects=False).status_code == 303
    assert "You are signed in as" not in client.get("/").text


def test_the_page_says_roles_and_actions_in_both_languages(region: Region, client: TestClient) -> None:
    by_form(client, region)
    text = client.get("/").text
    for word in (Role.RESEARCHER.word, Action.APPLY.word, Action.SUBMIT_JOB.word):
        assert word.english in text and word.chinese in text
    assert Action.DECLINE.word.english not in text and Role.APPROVER.word.chinese not in text


def test_over_tls_the_cookie_is_bound_to_this_host() -> None:
    site = Site("https://darkroom.example")
    assert site.secure and site.cookie == "__Host-darkroom"
    with pytest.raises(SettingsWrong):
        Site("https://darkroom.example/path")


def test_a_wrong_password_is_told_on_the_page_and_input_is_never_markup(client: TestClient) -> None:
    body = "member=%3Cscript%3Ealert(1)%3C/script%3E&password=x"
    answer = client.post("/sign-in", content=body, headers=FORM | {"Origin": ORIGIN})
    assert answer.status_code == 401 and "Not signed in" in answer.text and "<script" not in answer.text


def test_signing_in_gives_a_fresh_session_and_ends_the_one_that_was_planted(
    region: Region, client: TestClient
) -> None:
    """Session fixation (ATTACKS 63)."""
    planted = sign_in(client, "lin@nm/centre", region.password("lin@nm/centre")).json()["token"]
    client.cookies.set("darkroom", planted)
    answer = by_form(client, region)
    assert planted not in answer.headers["set-cookie"]
    client.cookies.clear()
    assert client.get("/api/v1/me", headers={"Authorization": f"Bearer {planted}"}).status_code == 401


def test_every_sign_in_is_in_the_log(region: Region, signed_in: SignedIn) -> None:
    signed_in(MEI, "catalog").post("/api/v1/sign-out")
    assert actions(region.log) == ["session.begun", "token.made", "session.ended"]


def test_the_address_that_people_type_leads_to_the_form(client: TestClient) -> None:
    answer = client.get("/sign-in")
    assert answer.status_code == 200
    assert 'action="/sign-in"' in answer.text and "用户" in answer.text


def test_a_changed_password_is_the_only_one_and_ends_all_other_sessions(
    region: Region, client: TestClient
) -> None:
    first, second = (sign_in(client, MEI, region.password(MEI)).json()["token"] for _ in range(2))
    here, elsewhere = ({"Authorization": f"Bearer {token}"} for token in (first, second))
    body = {"old": region.password(MEI), "new": "another horse, another battery"}
    assert client.post("/api/v1/me/password", json=body, headers=here).status_code == 200
    assert client.get("/api/v1/me", headers=here).status_code == 200
    assert client.get("/api/v1/me", headers=elsewhere).status_code == 401
    assert sign_in(client, MEI, body["old"]).status_code == 401
    assert sign_in(client, MEI, body["new"]).status_code == 200


@pytest.mark.parametrize(
    ("old", "new", "status"), [("wrong horse battery", "another horse", 401), (None, "short", 422)]
)
def test_without_the_old_password_or_with_a_short_new_one_nothing_changes(
    region: Region, client: TestClient, old: str | None, new: str, status: int
) -> None:
    token = sign_in(client, MEI, region.password(MEI)).json()["token"]
    body = {"old": old or region.password(MEI), "new": new}
    answer = client.post("/api/v1/me/password", json=body, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == status
    assert sign_in(client, MEI, region.password(MEI)).status_code == 200


def test_a_scoped_token_changes_no_password(region: Region, signed_in: SignedIn) -> None:
    body = {"old": region.password(MEI), "new": "another horse, another battery"}
    assert signed_in(MEI, "jobs", "catalog").post("/api/v1/me/password", json=body).status_code == 403

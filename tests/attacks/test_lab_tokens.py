"""ATTACKS 88: the token inside a lab, and what JupyterHub holds, tried on every endpoint of the portal.

The endpoints are those of the application itself. One that is not in the tables below fails the first test, so whoever
adds an endpoint says here what a lab may do with it. The control of every refusal is the same call by the same member
with a session.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from keys import api as keys
from plans.statements import Type
from portal import api as portal
from store import api as store
from tests.attacks.test_control_plane import BO, CHEN, MEI
from tests.portal import test_joint
from tests.portal.audit_log import actions, open_log
from tests.portal.fixtures import entering
from tests.portal.region import (
    DATASET,
    ORIGIN,
    OWNER,
    Region,
    build,
    grant_of,
    let_wait,
    release,
    request_of,
    signed_by,
    submission,
    wish,
)
from tests.portal.visitor import FORM, Way, basic, bearer, entrance, lab_token, signed_in_browser

pytest_plugins = ["tests.portal.fixtures"]
SignedIn = Callable[..., TestClient]

READS = {
    ("GET", "/api/v1/me"), ("GET", "/api/v1/budgets"), ("GET", "/api/v1/datasets"),
    ("GET", "/api/v1/datasets/{dataset:path}"), ("GET", "/api/v1/datasets/{dataset:path}/twin"),
    ("GET", "/api/v1/domains/{domain:path}"), ("GET", "/api/v1/images"), ("GET", "/api/v1/models"),
    ("GET", "/api/v1/components"), ("POST", "/api/v1/components/{name}"), ("GET", "/api/v1/jobs"),
    ("GET", "/api/v1/jobs/{number}"), ("GET", "/api/v1/jobs/{number}/plan"), ("GET", "/api/v1/joint"),
    ("GET", "/api/v1/joint/{number}"), ("GET", "/api/v1/joint/{number}/plan"), ("GET", "/jobs"),
    ("GET", "/jobs/{number}"), ("GET", "/joint"), ("GET", "/joint/{number}"), ("GET", "/rules"),
    ("GET", "/rules/{dataset:path}"), ("GET", "/"), ("GET", "/sign-in"),
}  # fmt: skip
"""What a lab reads: the catalog, twins, rules, and its member's own jobs."""

RUNS = {
    ("POST", "/api/v1/jobs"), ("POST", "/api/v1/jobs/python"), ("POST", "/api/v1/dry-runs"), ("POST", "/api/v1/trials"),
    ("POST", "/api/v1/jobs/{number}/cancel"), ("POST", "/api/v1/jobs/{number}/retry"), ("POST", "/api/v1/joint"),
    ("POST", "/api/v1/joint-plans"), ("POST", "/api/v1/joint/{number}/cancel"),
    ("GET", "/api/v1/jobs/{number}/result"), ("GET", "/api/v1/joint/{number}/results"),
    ("POST", "/api/v1/sign-out"), ("POST", "/sign-out"),
}  # fmt: skip
"""What a lab does: its member's jobs, which need the member's signature besides; it takes results, sealed; it ends."""

OPEN = {
    ("GET", "/health"), ("GET", "/api/v1/version"), ("GET", "/style.css"), ("GET", "/openapi.json"),
    ("HEAD", "/openapi.json"), ("POST", "/api/v1/sign-in"), ("POST", "/sign-in"),
}  # fmt: skip
"""What nobody needs to be signed in for; a token changes nothing there."""

HUBS = {("POST", "/oauth/token"), ("POST", "/oauth/standing")}
"""What asks for JupyterHub's own secret."""

OF_ENTRANCE = {("GET", "/api/v1/labs/me"), ("POST", "/api/v1/labs/tokens")}
"""What JupyterHub asks with what it holds for a member."""

REFUSED = OF_ENTRANCE | {
    ("POST", "/api/v1/me/keys"), ("POST", "/api/v1/me/password"), ("POST", "/api/v1/me/tokens"),
    ("POST", "/api/v1/applications"), ("GET", "/api/v1/applications"), ("GET", "/api/v1/applications/{number}"),
    ("POST", "/api/v1/applications/{number}/decline"), ("POST", "/api/v1/statements"), ("GET", "/api/v1/grants"),
    ("GET", "/api/v1/approvals"), ("GET", "/api/v1/approvals/{number}/code"), ("GET", "/api/v1/joint-approvals"),
    ("GET", "/approvals"), ("GET", "/approvals/{number}"), ("GET", "/labs"), ("GET", "/keys"), ("POST", "/keys"),
    ("GET", "/apply"), ("POST", "/apply"), ("GET", "/apply/{number}"), ("GET", "/oauth/authorize"),
}  # fmt: skip
"""What a lab must not: apply, approve, decline, revoke, enrol, make tokens, change the account, open further labs."""


def endpoints(routes: Any) -> Iterator[tuple[str, str]]:
    """Yield method and path of every endpoint; a kind of route that this does not know fails."""
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from endpoints(inner.routes)
        else:
            for method in sorted(route.methods):
                yield method, route.path


class House:
    """A region in which CHEN, researcher and approver, has something of every kind, and a lab."""

    def __init__(self, region: Region, signed_in: SignedIn) -> None:
        self.region, self.signed_in = region, signed_in
        self.app: FastAPI = portal.create_app(region.services)
        self.nobody = TestClient(self.app, base_url=ORIGIN, raise_server_exceptions=False)
        browser = TestClient(self.app, base_url=ORIGIN, raise_server_exceptions=False)
        self.entrance = entrance(self.nobody, signed_in_browser(browser, region, CHEN))
        self.lab = lab_token(self.nobody, self.entrance)["token"]
        self.session = browser.cookies["darkroom"]
        self.application = signed_in(MEI).post("/api/v1/applications", json=wish()).json()
        self.own = signed_in(CHEN).post("/api/v1/applications", json=wish()).json()
        self.waiting = self._job(MEI)
        let_wait(region, self.waiting)

    def _job(self, member: str) -> str:
        body = submission(self.region, request_of(self.region, member))
        return str(self.signed_in(member).post("/api/v1/jobs", json=body).json()["id"])

    def call(self, method: str, path: str, token: str) -> httpx.Response:
        """Make the call that a member with every right would make there."""
        number = self.waiting if "approvals" in path else self.application["id"]
        number = self.own["id"] if path.startswith("/apply/") else number
        filled = path.format(number=number)
        if path == "/oauth/authorize":
            return self.nobody.get(Way().address(), headers=bearer(token), follow_redirects=False)
        body = self._body(path)
        if method == "POST" and not path.startswith("/api/"):
            headers = bearer(token) | FORM | {"Origin": ORIGIN}
            return self.nobody.post(
                filled, content=urlencode(body, doseq=True), headers=headers, follow_redirects=False
            )
        sent = {"json": body} if method == "POST" else {}
        return self.nobody.request(method, filled, headers=bearer(token), follow_redirects=False, **sent)

    def _body(self, path: str) -> dict[str, Any]:
        fresh = keys.MemberKeys.fresh(CHEN)
        public = {"signing_key": fresh.signing.public, "opening_key": fresh.opening.public}
        grant = signed_by(self.region, CHEN, Type.GRANT, grant_of(self.region, self.application))
        password = {"old": self.region.password(CHEN), "new": self.region.password(CHEN)}
        return {
            "/api/v1/me/keys": public, "/keys": public, "/api/v1/me/password": password,
            "/api/v1/me/tokens": {"scopes": ["approve"], "label": "more", "lasts": 3600},
            "/api/v1/applications": wish(), "/api/v1/labs/tokens": {"project": "housing"},
            "/api/v1/applications/{number}/decline": {"reason": "no"},
            "/api/v1/statements": {"signed": grant.plain(), "application": self.application["id"]},
            "/apply": {"dataset": DATASET, "columns": ["region"], "project": "housing", "purpose": "Study of rents",
                       "until": "2099-01-01", "uses": "1"},
        }.get(path, {})  # fmt: skip


@pytest.fixture
def house(region: Region, signed_in: SignedIn) -> House:
    return House(region, signed_in)


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house for many tests: for calls that only read, or that must be refused and change nothing."""
    folder = tmp_path_factory.mktemp("standing")
    region = build(folder, open_log(folder))
    yield House(region, entering(region))
    region.database.close()
    region.log.close()


def test_88_every_endpoint_is_classified(house: House) -> None:
    known = (READS, RUNS, OPEN, HUBS, REFUSED)
    assert set(endpoints(house.app.routes)) == set().union(*known), "say here what a lab may do with it"
    assert all(not one & other for one, other in itertools.combinations(known, 2))


def test_88_control_a_new_endpoint_would_not_go_unnoticed(house: House) -> None:
    def new() -> dict[str, str]:
        return {}

    house.app.post("/api/v1/new")(new)
    assert ("POST", "/api/v1/new") in set(endpoints(house.app.routes)) - READS - RUNS - OPEN - HUBS - REFUSED


@pytest.mark.parametrize(("method", "path"), sorted(REFUSED))
def test_88_a_labs_token_is_refused_and_the_same_call_with_a_session_is_not(
    request: pytest.FixtureRequest, method: str, path: str
) -> None:
    house: House = request.getfixturevalue("standing" if method == "GET" else "house")
    before, heard = snapshot(house.region), len(house.region.owners.heard)
    answer = house.call(method, path, house.lab)
    assert (answer.status_code, denied(answer)) == (403, True), answer.text
    assert (snapshot(house.region), len(house.region.owners.heard)) == (before, heard), "nothing has changed"
    if path != "/oauth/authorize":  # which takes a cookie only; its own tests have the control
        assert house.call(method, path, house.session).status_code not in (401, 403)


@pytest.mark.parametrize(("method", "path"), sorted(REFUSED - OF_ENTRANCE))
def test_88_nor_may_what_jupyterhub_holds(standing: House, method: str, path: str) -> None:
    if path == "/labs":
        return  # a page that shows what it may ask anyway
    before = snapshot(standing.region)
    answer = standing.call(method, path, standing.entrance)
    assert (answer.status_code, denied(answer)) == (403, True), answer.text
    assert snapshot(standing.region) == before


@pytest.mark.parametrize(("method", "path"), sorted(READS | RUNS))
def test_88_what_jupyterhub_holds_reads_no_job_and_no_catalog(
    standing: House, method: str, path: str
) -> None:
    if path in ("/api/v1/me", "/", "/sign-in", "/api/v1/sign-out", "/sign-out"):
        return
    filled = path.replace("{dataset:path}", DATASET).replace("{domain:path}", OWNER)
    filled = filled.format(number="x", name="describe")
    sent = {"json": body_for(standing, path)} if method == "POST" else {}
    answer = standing.nobody.request(method, filled, headers=bearer(standing.entrance), **sent)
    assert answer.status_code == 403, answer.text


def body_for(house: House, path: str) -> dict[str, Any]:
    job = submission(house.region, request_of(house.region, CHEN))
    plain = {
        "/api/v1/jobs/python": job | {"folder": {}}, "/api/v1/trials": {"task": {}, "folder": {}},
        "/api/v1/components/{name}": {"parameters": {}, "relations": []},
    }  # fmt: skip
    if path.endswith(("/cancel", "/retry")):
        return {}
    return plain.get(path, job)


@pytest.mark.parametrize("path", [path for _, path in sorted(HUBS)])
def test_88_no_token_stands_in_for_the_hubs_secret(house: House, path: str) -> None:
    body = urlencode({"grant_type": "authorization_code", "member": CHEN})
    for token, made in itertools.product((house.lab, house.entrance, house.session), (bearer, basic)):
        answer = house.nobody.post(path, content=body, headers=FORM | made(token))
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_88_a_lab_reads_the_catalog_and_runs_its_members_jobs(house: House) -> None:
    """The control of all the refusals above: the token is good for what it is for."""
    lab = bearer(house.lab)
    for path in ("/api/v1/me", "/api/v1/budgets", "/api/v1/datasets", f"/api/v1/datasets/{DATASET}", "/api/v1/jobs",
                 f"/api/v1/domains/{OWNER}", "/api/v1/images", "/api/v1/models", "/api/v1/components", "/api/v1/joint",
                 "/jobs", "/joint", "/rules", f"/rules/{DATASET}"):  # fmt: skip
        assert house.nobody.get(path, headers=lab).status_code == 200, path
    body = submission(house.region, request_of(house.region, CHEN))
    job = house.nobody.post("/api/v1/jobs", json=body, headers=lab)
    assert job.status_code == 202
    release(house.region, job.json()["id"])
    assert house.nobody.get(f"/api/v1/jobs/{job.json()['id']}/result", headers=lab).status_code == 200
    assert house.nobody.post("/api/v1/sign-out", headers=lab).status_code == 200
    assert house.nobody.get("/api/v1/me", headers=lab).status_code == 401


def test_88_a_stolen_token_runs_nothing_without_the_members_signature(house: House) -> None:
    body = submission(house.region, request_of(house.region, CHEN), signer=MEI)
    answer = house.nobody.post("/api/v1/jobs", json=body, headers=bearer(house.lab))
    assert (answer.status_code, answer.json()["code"]) == (409, "evidence.signature")


def test_88_an_approvers_lab_does_not_read_what_waits_for_the_approver(house: House) -> None:
    path = f"/api/v1/jobs/{house.waiting}/plan"
    answers = [
        house.nobody.get(path, headers=bearer(token)).status_code for token in (house.lab, house.session)
    ]
    assert answers == [404, 200]


def test_88_nor_what_others_compute_jointly_with_the_approvers_domain(house: House) -> None:
    number, _ = test_joint.waiting(house.region, house.signed_in)
    for path in (f"/api/v1/joint/{number}", f"/api/v1/joint/{number}/plan", f"/joint/{number}"):
        answers = [
            house.nobody.get(path, headers=bearer(token)).status_code for token in (house.lab, house.session)
        ]
        assert answers == [404, 200], path


def test_88_another_members_lab_sees_nothing_of_ones_own(house: House, signed_in: SignedIn) -> None:
    browser = TestClient(house.app, base_url=ORIGIN)
    lab = lab_token(house.nobody, entrance(house.nobody, signed_in_browser(browser, house.region, MEI)))[
        "token"
    ]
    job = house._job(CHEN)
    for token, expected in ((lab, 404), (house.lab, 200)):
        assert house.nobody.get(f"/api/v1/jobs/{job}", headers=bearer(token)).status_code == expected
        listed = house.nobody.get("/api/v1/jobs", headers=bearer(token)).text
        assert (job in listed) is (expected == 200)


def denied(answer: httpx.Response) -> bool:
    """Whether an answer is our refusal, as a problem or as a page."""
    return "access.not-allowed" in answer.text or "opened in a browser" in answer.text


def snapshot(region: Region) -> tuple[Any, ...]:
    """Return everything that a call could have changed at the centre."""
    with region.database.reading() as session:
        members = store.members.all(session)
        tokens = tuple(
            sorted(row.token_hash for m in members for row in store.sessions.of_member(session, m.name))
        )
        asked = tuple(store.applications.of_member(session, m.name) for m in members)
        statements = store.statements.of_type(session, OWNER, Type.GRANT.value)
    return members, tokens, asked, statements, actions(region.log)


def test_control_the_approver_of_these_tests_may_do_all_of_it(house: House) -> None:
    assert set(house.region.member(CHEN).roles) == {"approver", "researcher"}
    assert house.region.member(BO).roles == ("approver",)

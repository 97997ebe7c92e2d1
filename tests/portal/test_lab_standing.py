"""How long a member's way into labs and a lab's token are worth something, and what ends them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pytest
from starlette.testclient import TestClient

from portal import api as portal
from portal.lab_tokens import MOST_AT_ONCE
from store import api as store
from tests.portal.audit_log import open_log
from tests.portal.region import HUB_SECRET, ORIGIN, Region, build
from tests.portal.visitor import (
    BROWSER,
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

MEI, LIN, CHEN, ADA = "mei@nm/centre", "lin@nm/centre", "chen@nm/tax", "ada@nm/centre"


def test_the_entrance_ends_with_the_session_and_a_lab_goes_on(hub: TestClient, mei: TestClient) -> None:
    token = entrance(hub, mei)
    lab = lab_token(hub, token)["token"]
    mei.post("/sign-out", headers={"Origin": ORIGIN})
    assert hub.get("/api/v1/labs/me", headers=bearer(token)).status_code == 401
    assert hub.get("/api/v1/datasets", headers=bearer(lab)).status_code == 200


def test_the_entrance_of_another_session_stays(
    region: Region, hub: TestClient, mei: TestClient, browser: Callable[[], TestClient]
) -> None:
    other = signed_in_browser(browser(), region, MEI)
    first, second = entrance(hub, mei), entrance(hub, other)
    mei.post("/sign-out", headers={"Origin": ORIGIN})
    statuses = [hub.get("/api/v1/labs/me", headers=bearer(each)).status_code for each in (first, second)]
    assert statuses == [401, 200]


def test_a_newer_entrance_of_a_session_takes_the_place_of_the_older(hub: TestClient, mei: TestClient) -> None:
    first, second = entrance(hub, mei), entrance(hub, mei)
    statuses = [hub.get("/api/v1/labs/me", headers=bearer(each)).status_code for each in (first, second)]
    assert statuses == [401, 200]


def test_an_entrance_without_its_session_is_worth_nothing_even_if_it_was_left_behind(
    region: Region, hub: TestClient, mei: TestClient
) -> None:
    token = entrance(hub, mei)
    with region.database.session() as session:
        for row in store.sessions.of_member(session, MEI):
            if row.kind == "session":
                store.sessions.end(session, row.token_hash)
        assert [row.kind for row in store.sessions.of_member(session, MEI)] == ["entrance"]
    assert hub.get("/api/v1/labs/me", headers=bearer(token)).status_code == 401


def test_whoever_signs_out_on_the_way_does_not_arrive(hub: TestClient, mei: TestClient) -> None:
    way = Way()
    code = code_of(mei, way)
    mei.post("/sign-out", headers={"Origin": ORIGIN})
    answer = changed(hub, way, code)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def test_a_new_password_ends_entrance_and_labs(region: Region, hub: TestClient, mei: TestClient) -> None:
    token = entrance(hub, mei)
    lab = lab_token(hub, token)["token"]
    body = {"old": region.password(MEI), "new": "another correct horse"}
    assert mei.post("/api/v1/me/password", json=body, headers={"Origin": ORIGIN}).status_code == 200
    for each, path in ((token, "/api/v1/labs/me"), (lab, "/api/v1/datasets")):
        assert hub.get(path, headers=bearer(each)).status_code == 401
    assert mei.get("/api/v1/me").status_code == 200


def test_a_lab_ends_with_its_own_sign_out_and_nothing_else_does(hub: TestClient, mei: TestClient) -> None:
    token = entrance(hub, mei)
    first, second = (lab_token(hub, token)["token"] for _ in range(2))
    assert hub.post("/api/v1/sign-out", headers=bearer(first)).status_code == 200
    statuses = [hub.get("/api/v1/me", headers=bearer(each)).status_code for each in (first, second, token)]
    assert statuses == [401, 200, 200]


def test_labs_left_over_are_few(region: Region, hub: TestClient, mei: TestClient) -> None:
    token = entrance(hub, mei)
    labs = [lab_token(hub, token)["token"] for _ in range(MOST_AT_ONCE + 2)]
    living = [hub.get("/api/v1/me", headers=bearer(each)).status_code == 200 for each in labs]
    assert sum(living) == MOST_AT_ONCE and living[-1]


def changed_project(region: Region, **changes: object) -> None:
    with region.database.session() as session:
        store.projects.change(session, replace(store.projects.get(session, "housing"), **changes))


@pytest.mark.parametrize("changes", [{"members": (CHEN,)}, {"until": 2}])
def test_who_leaves_a_project_loses_its_lab_at_the_next_call(
    region: Region, hub: TestClient, mei: TestClient, changes: dict[str, object]
) -> None:
    token = entrance(hub, mei)
    lab = lab_token(hub, token)["token"]
    changed_project(region, **changes)
    answer = hub.get("/api/v1/datasets", headers=bearer(lab))
    assert answer.status_code == 401 and "project" in answer.json()["title"]
    assert hub.get("/api/v1/labs/me", headers=bearer(token)).json()["projects"] == []
    refusal = hub.post("/api/v1/labs/tokens", json={"project": "housing"}, headers=bearer(token))
    assert refusal.status_code == 403
    assert standing(hub, MEI) == []
    changed_project(region, members=(MEI,), until=0)
    assert hub.get("/api/v1/datasets", headers=bearer(lab)).status_code == 200


def test_a_lab_follows_its_members_roles_at_every_call(
    region: Region, hub: TestClient, mei: TestClient
) -> None:
    token = entrance(hub, mei)
    lab = lab_token(hub, token)["token"]
    assert hub.get("/api/v1/jobs", headers=bearer(lab)).status_code == 200
    roles(region, MEI, ("auditor",))
    assert hub.get("/api/v1/jobs", headers=bearer(lab)).status_code == 401
    assert hub.get("/api/v1/labs/me", headers=bearer(token)).status_code == 403
    assert standing(hub, MEI) == []


def roles(region: Region, member: str, wanted: tuple[str, ...]) -> None:
    from store import tables

    with region.database.session() as session:
        session.execute(tables.members.update().where(tables.members.c.name == member).values(roles=wanted))


@pytest.mark.parametrize("project", ["fares", "over", "nothing", "../housing", "", "HOUSING"])
def test_a_lab_is_in_a_project_of_ones_own_that_still_runs(
    hub: TestClient, mei: TestClient, project: str
) -> None:
    answers = hub.post("/api/v1/labs/tokens", json={"project": project}, headers=bearer(entrance(hub, mei)))
    assert answers.status_code in (403, 422)


def test_anothers_project_is_as_unknown_as_none(hub: TestClient, mei: TestClient) -> None:
    token = entrance(hub, mei)
    told = [
        hub.post("/api/v1/labs/tokens", json={"project": name}, headers=bearer(token)).text
        for name in ("fares", "nothing")
    ]
    assert told[0] == told[1]


def test_a_labs_token_lasts_no_longer_than_its_project(
    region: Region, hub: TestClient, mei: TestClient
) -> None:
    until = int(time.time()) + 600
    token = entrance(hub, mei)
    assert lab_token(hub, token)["expires_at"] > until
    changed_project(region, until=until)
    assert lab_token(hub, token)["expires_at"] == until


def standing(hub: TestClient, member: str, secret: str = HUB_SECRET) -> list[str]:
    answer = hub.post("/oauth/standing", content=urlencode({"member": member}), headers=FORM | basic(secret))
    assert answer.status_code == 200, answer.text
    return list(answer.json()["projects"])


def test_the_hub_learns_whose_lab_has_to_end_also_while_they_are_away(hub: TestClient) -> None:
    assert standing(hub, MEI) == ["housing"] and standing(hub, LIN) == ["fares"]
    assert standing(hub, ADA) == standing(hub, "nobody@nm") == standing(hub, "") == []
    refused = hub.post("/oauth/standing", content=f"member={MEI}", headers=FORM | basic("wrong"))
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")


def test_only_hashes_are_kept(region: Region, hub: TestClient, mei: TestClient) -> None:
    token = entrance(hub, mei)
    lab = lab_token(hub, token)["token"]
    files = b"".join(path.read_bytes() for path in region.folder.rglob("*") if path.is_file())
    assert not [each for each in (token, lab, HUB_SECRET) if each.encode() in files]


def test_no_token_but_a_session_goes_into_the_cookie(
    hub: TestClient, mei: TestClient, browser: Callable[[], TestClient]
) -> None:
    token = entrance(hub, mei)
    for planted in (token, lab_token(hub, token)["token"]):
        visitor = browser()
        visitor.cookies.set("darkroom", planted)
        assert visitor.get("/jobs", headers=BROWSER, follow_redirects=False).status_code == 303
        assert led_to(visitor.get(Way().address(), headers=BROWSER)).endswith("&again=1")


def test_a_moved_clock_ends_what_should_have_ended(tmp_path: Path) -> None:
    now = [float(int(time.time()))]
    made = build(tmp_path, open_log(tmp_path), lambda: now[0])
    app = portal.create_app(made.services)
    hub = TestClient(app, base_url=ORIGIN)
    browser = signed_in_browser(TestClient(app, base_url=ORIGIN), made, MEI)
    token = entrance(hub, browser)
    lab = lab_token(hub, token)
    now[0] += 12 * 3600
    assert hub.get("/api/v1/labs/me", headers=bearer(token)).status_code == 401
    assert hub.get("/api/v1/me", headers=bearer(lab["token"])).status_code == 200
    now[0] = lab["expires_at"]
    assert hub.get("/api/v1/me", headers=bearer(lab["token"])).status_code == 401
    made.database.close()
    made.log.close()

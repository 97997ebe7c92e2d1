"""Who opens a page without being signed in is led to the form and back, and to no place of somebody else's."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from portal.guards import HEADERS
from portal.way_back import way_back
from tests.portal.region import DATASET, ORIGIN, Region

MEI = "mei@nm/centre"
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Origin": ORIGIN} | BROWSER
PAGES = ("/jobs", "/jobs/j-0123abcd", "/approvals", "/approvals/x", "/rules", f"/rules/{DATASET}")


def opened(client: TestClient, path: str, **headers: str):
    return client.get(path, headers=BROWSER | headers, follow_redirects=False)


def by_form(client: TestClient, region: Region, back: str | None, password: str = ""):
    body = f"member={quote(MEI)}&password={quote(password or region.password(MEI))}"
    body += "" if back is None else f"&next={quote(back, safe='')}"
    return client.post("/sign-in", content=body, headers=FORM, follow_redirects=False)


@pytest.mark.parametrize("path", PAGES)
def test_a_browser_is_led_to_the_form_and_then_to_the_page(
    region: Region, client: TestClient, path: str
) -> None:
    answer = opened(client, path)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/sign-in?next={path}")
    assert all(answer.headers[name] == value for name, value in HEADERS.items())
    form = opened(client, answer.headers["location"])
    assert form.status_code == 200 and f'name="next" value="{path}"' in form.text
    entered = by_form(client, region, path)
    assert (entered.status_code, entered.headers["location"]) == (303, path)


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(
    "headers",
    [
        {"Accept": "*/*"}, {"Accept": "application/json"}, {"Accept": ""}, {"Accept": "text/html;q=0"},
        {"Accept": "text/html; q=0.0, */*"}, {"Authorization": "Bearer nobody"}, {"Authorization": "Bearer"},
    ],
)  # fmt: skip
def test_a_program_is_answered_a_problem(client: TestClient, path: str, headers: dict[str, str]) -> None:
    answer = opened(client, path, **headers)
    assert answer.status_code == 401 and answer.json()["code"] == "access.not-signed-in"


@pytest.mark.parametrize("path", ["/api/v1/me", "/api/v1/jobs", "/api/v1/jobs/x"])
def test_the_api_never_leads_anybody_away(client: TestClient, path: str) -> None:
    assert opened(client, path).status_code == 401


def test_a_session_that_has_ended_leads_to_the_form_and_not_in_a_circle(
    region: Region, client: TestClient
) -> None:
    client.cookies.set("darkroom", "long-gone")
    answer = client.get("/jobs", headers=BROWSER)
    assert answer.status_code == 200 and 'action="/sign-in"' in answer.text
    assert [step.headers["location"] for step in answer.history] == ["/sign-in?next=/jobs"]
    left = client.post("/sign-out", headers={"Origin": ORIGIN} | BROWSER, follow_redirects=False)
    assert (left.status_code, left.headers["location"]) == (303, "/sign-in")


def test_who_is_signed_in_already_is_led_on_at_once(region: Region, client: TestClient) -> None:
    by_form(client, region, None)
    assert opened(client, "/sign-in?next=/jobs").headers["location"] == "/jobs"
    assert opened(client, "/sign-in?next=//evil.example").headers["location"] == "/"
    assert opened(client, "/jobs").status_code == 200


def test_a_wrong_password_does_not_lose_the_way(region: Region, client: TestClient) -> None:
    answer = by_form(client, region, "/rules", "wrong horse battery")
    assert answer.status_code == 401 and 'value="/rules"' in answer.text


ELSEWHERE = [
    "//evil.example", "https://evil.example", "http:evil.example", "/\\evil.example", "\\\\evil.example", "///evil",
    "/jobs//evil.example", "/jobs/../..//evil.example", "/jobs/..", "/jobs/.", "/jobs/%2e%2e", "/jobs?x=//evil",
    "/jobs#x", "/jobs@evil.example", "/jobs.evil.example", "jobs", " /jobs", "/jobs ", "/jobs\n", "/jobs\r\nX: y",
    "/jobs\t", "/jobs\0", "javascript:alert(1)", "data:text/html,x", "/api/v1/me", "/sign-out", "/sign-in", "/",
    "／／evil.example", "/jobs/／evil", "/jobsx", "/Jobs", "/jobs/", "/jobs/" + "x" * 101, "/jobs" + "/x" * 10,
    '/jobs/"><script>', "",
]  # fmt: skip


@pytest.mark.parametrize("back", ELSEWHERE)
def test_the_way_leads_to_no_other_place(region: Region, client: TestClient, back: str) -> None:
    form = opened(client, f"/sign-in?next={quote(back, safe='')}")
    assert form.status_code == 200 and 'name="next"' not in form.text and "evil" not in form.text
    entered = by_form(client, region, back)
    assert (entered.status_code, entered.headers["location"]) == (303, "/")


def test_control_a_form_that_believed_every_way_would_lead_there(
    region: Region, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.pages.way_back", lambda path: path)
    assert by_form(client, region, "//evil.example").headers["location"] == "//evil.example"


def test_of_two_ways_none_is_believed(region: Region, client: TestClient) -> None:
    body = f"member={quote(MEI)}&password={quote(region.password(MEI))}&next=/&next=/evil.example"
    entered = client.post("/sign-in", content=body, headers=FORM, follow_redirects=False)
    assert entered.headers["location"] == "/"


@given(st.text(alphabet=st.sampled_from("/\\jobs.:@?#%25 \n\r\t\0evilＪ／"), max_size=20))
def test_whatever_is_believed_stays_here(tail: str) -> None:
    for text in (tail, "/jobs" + tail, "/rules/" + tail):
        found = way_back(text)
        assert found in ("", text)
        assert not found or (found.split("/")[1] in ("jobs", "rules", "approvals") and "//" not in found)
        assert not set(found) & set("\\:@?#%. \n\r\t\0")


@pytest.mark.parametrize("path", ["/rules/<script>", "/rules/a//b", "/jobs/x.y"])
def test_a_page_with_an_odd_name_leads_to_the_form_alone(client: TestClient, path: str) -> None:
    answer = opened(client, path)
    assert (answer.status_code, answer.headers.get("location")) in ((303, "/sign-in"), (404, None))

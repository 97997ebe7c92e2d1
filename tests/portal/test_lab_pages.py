"""The pages for what a lab cannot do: keys, applications, and the door; without a script, in both languages."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlencode

import httpx
import pytest
from starlette.testclient import TestClient

from keys import api as keys
from portal import api as portal
from portal.guards import HEADERS
from store import api as store
from tests.portal.region import DATASET, HUB, ORIGIN, Region
from tests.portal.visitor import BROWSER, FORM, signed_in_browser

MEI, LIN, BO, CHEN, ADA = "mei@nm/centre", "lin@nm/centre", "bo@nm/tax", "chen@nm/tax", "ada@nm/centre"
CHINESE = re.compile(r"[\u4e00-\u9fff]")
APPLICATION = {
    "dataset": DATASET, "columns": ["region", "income"], "project": "housing", "purpose": "Study of rents",
    "until": "2099-01-01", "uses": "5",
}  # fmt: skip


@pytest.fixture
def enter(region: Region) -> Callable[[str], TestClient]:
    app = portal.create_app(region.services)
    return lambda name: signed_in_browser(
        TestClient(app, base_url=ORIGIN, raise_server_exceptions=False), region, name
    )


def soon(region: Region) -> str:
    import datetime

    return (datetime.datetime.fromtimestamp(region.services.clock(), datetime.UTC).date()).isoformat()


def sent(
    browser: TestClient, path: str, form: dict[str, object], origin: str | None = ORIGIN
) -> httpx.Response:
    headers = FORM | BROWSER | ({"Origin": origin} if origin else {})
    return browser.post(path, content=urlencode(form, doseq=True), headers=headers, follow_redirects=False)


def without_keys(region: Region, name: str) -> dict[str, str]:
    with region.database.session() as session:
        store.members.set_keys(session, name, "", "")
    fresh = keys.MemberKeys.fresh(name)
    return {"signing_key": fresh.signing.public, "opening_key": fresh.opening.public}


@pytest.mark.parametrize("path", ["/labs", "/keys", "/apply", f"/apply?dataset={DATASET}&columns=region"])
def test_every_page_has_no_script_both_languages_and_the_bounds_of_all_pages(
    enter: Callable[[str], TestClient], path: str
) -> None:
    answer = enter(MEI).get(path, headers=BROWSER)
    assert answer.status_code == 200 and all(answer.headers[name] == value for name, value in HEADERS.items())
    assert not re.search(r"<script|\son\w+=|javascript:|style=", answer.text)
    (heading,) = re.findall(r"<h1>(.*?)</h1>", answer.text)
    assert CHINESE.search(heading) and re.search(r"[A-Za-z]", heading)


@pytest.mark.parametrize("path", ["/labs", "/keys", "/apply"])
def test_whoever_is_not_signed_in_is_led_to_the_form_and_back(client: TestClient, path: str) -> None:
    answer = client.get(path, headers=BROWSER, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/sign-in?next={path}")


def test_what_a_link_of_a_lab_says_is_still_there_after_signing_in(
    region: Region, client: TestClient
) -> None:
    link = f"/apply?dataset={DATASET}&columns=region,income&project=housing"
    led = client.get(link, headers=BROWSER, follow_redirects=False)
    form = client.get(led.headers["location"], headers=BROWSER)
    (back,) = re.findall(r'name="next" value="([^"]*)"', form.text)
    body = urlencode({"member": MEI, "password": region.password(MEI), "next": back.replace("&amp;", "&")})
    entered = client.post("/sign-in", content=body, headers=FORM | {"Origin": ORIGIN})
    assert entered.status_code == 200 and entered.text.count("checked") == 2


# --- labs ---------------------------------------------------------------------------------------------------


def test_the_door_leads_to_the_hub_and_tells_project_purpose_and_profiles(
    enter: Callable[[str], TestClient],
) -> None:
    text = enter(MEI).get("/labs", headers=BROWSER).text
    assert f'href="{HUB}/"' in text
    assert all(word in text for word in ("Rents", "租金", "Study of rents", "Small", "T2", "2,048 MB"))
    assert "Fares" not in text and "Over" not in text and LIN not in text


def test_whoever_is_in_no_project_is_told_whom_to_ask(
    region: Region, enter: Callable[[str], TestClient]
) -> None:
    text = enter("olga@nm/centre").get("/labs", headers=BROWSER).text
    assert "darkroom-server project change" in text and HUB not in text


@pytest.mark.parametrize("member", [BO, ADA])
def test_the_door_is_shown_to_those_only_who_may_open_it(
    enter: Callable[[str], TestClient], member: str
) -> None:
    browser = enter(member)
    assert browser.get("/labs", headers=BROWSER).status_code == 403
    home = browser.get("/", headers=BROWSER).text
    assert 'href="/labs"' not in home and 'href="/apply"' not in home and 'href="/keys"' in home


# --- keys ---------------------------------------------------------------------------------------------------


def test_keys_are_enrolled_once_on_the_page(region: Region, enter: Callable[[str], TestClient]) -> None:
    wanted = without_keys(region, MEI)
    browser = enter(MEI)
    assert 'name="signing_key"' in browser.get("/keys", headers=BROWSER).text
    answer = sent(browser, "/keys", {name: f" {key}\n" for name, key in wanted.items()})
    assert (answer.status_code, answer.headers["location"]) == (303, "/keys")
    shown = browser.get("/keys", headers=BROWSER).text
    assert all(key in shown for key in wanted.values()) and "<form" not in shown
    assert region.member(MEI).signing_key == wanted["signing_key"]
    without = {name: key[:-1] + ("1" if key.endswith("0") else "0") for name, key in wanted.items()}
    again = sent(browser, "/keys", without)
    assert (
        again.status_code == 409
        and region.member(MEI).opening_key == wanted["opening_key"] != without["opening_key"]
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"signing_key": "ed25519:short"}, {"signing_key": ""}, {"opening_key": "<script>alert(1)</script>"},
        {"opening_key": "x25519:" + "g" * 64},
    ],
)  # fmt: skip
def test_what_is_no_key_is_shown_with_the_reason_and_enrols_nothing(
    region: Region, enter: Callable[[str], TestClient], changes: dict[str, str]
) -> None:
    answer = sent(enter(MEI), "/keys", without_keys(region, MEI) | changes)
    assert answer.status_code == 422 and 'role="alert"' in answer.text and "<script" not in answer.text
    assert region.member(MEI).signing_key == ""


def test_why_something_did_not_happen_is_said_in_both_languages(
    enter: Callable[[str], TestClient],
) -> None:
    browser = enter(MEI)
    refused = sent(browser, "/apply", APPLICATION | {"until": "2000-01-01"}).text
    assert "the end lies in the past, or more than a year ahead" in refused
    assert '<span lang="zh">截止日期已过，或在一年以后</span>' in refused
    foreign = sent(browser, "/keys", {}, "http://evil.example").json()
    assert "page of the portal" in foreign["title"] and not CHINESE.search(str(foreign)), (
        "programs read English"
    )


def test_a_link_never_fills_in_keys(region: Region, enter: Callable[[str], TestClient]) -> None:
    """Whoever made the link would read what is released to the member."""
    evil = without_keys(region, MEI)
    text = enter(MEI).get(f"/keys?{urlencode(evil)}", headers=BROWSER).text
    assert not any(key in text for key in evil.values())


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", HUB, "http://mei.labs.test:8471"])
@pytest.mark.parametrize("path", ["/keys", "/apply"])
def test_no_other_site_and_no_lab_sends_these_forms(
    region: Region, enter: Callable[[str], TestClient], path: str, origin: str | None
) -> None:
    form: dict[str, object] = dict(without_keys(region, MEI)) if path == "/keys" else dict(APPLICATION)
    browser = enter(MEI)
    assert sent(browser, path, form, origin).status_code == 403
    assert region.member(MEI).signing_key == ("" if path == "/keys" else region.keys[MEI].signing.public)
    with region.database.reading() as session:
        assert store.applications.of_member(session, MEI) == ()


@pytest.mark.parametrize("path", ["/keys", "/apply"])
def test_a_session_that_is_over_leads_to_the_form_when_something_is_sent(
    client: TestClient, path: str
) -> None:
    answer = sent(client, path, {"x": "1"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/sign-in?next={path}")


@pytest.mark.parametrize(
    ("body", "type"),
    [
        ("signing_key=a&signing_key=b", FORM["Content-Type"]), ("{}", "application/json"),
        ("%ff=%fe", FORM["Content-Type"]),
        ("&".join(f"x{n}=1" for n in range(600)), FORM["Content-Type"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/keys", "/apply"])
def test_what_is_no_form_of_ours_is_refused(
    enter: Callable[[str], TestClient], path: str, body: str, type: str
) -> None:
    answer = enter(MEI).post(
        path, content=body.replace("signing_key", "project"), headers={"Content-Type": type, "Origin": ORIGIN}
    )
    assert answer.status_code == 422


# --- applications -------------------------------------------------------------------------------------------


def test_a_link_fills_the_form_in_and_the_member_sends_it(
    region: Region, enter: Callable[[str], TestClient]
) -> None:
    browser = enter(MEI)
    text = browser.get(
        f"/apply?dataset={DATASET}&columns=income,region,gone&purpose=Study+of+rents", headers=BROWSER
    ).text
    assert (
        text.count("checked") == 2
        and 'value="Study of rents"' in text
        and "no column <code>gone</code>" in text
    )
    assert 'value="id_number"' not in text, "identifiers are never granted, so they are not offered"
    with region.database.reading() as session:
        assert store.applications.of_member(session, MEI) == (), "a look applies for nothing"
    answer = sent(browser, "/apply", APPLICATION | {"until": soon(region)})
    assert answer.status_code == 303 and re.fullmatch(r"/apply/a-[0-9a-f]{16}", answer.headers["location"])
    shown = browser.get(answer.headers["location"], headers=BROWSER).text
    assert "An approver of nm/tax decides" in shown and "region, income" in shown
    with region.database.reading() as session:
        (row,) = store.applications.of_member(session, MEI)
    assert (row.columns, row.uses, row.role, row.project) == (
        ("region", "income"),
        5,
        "researcher",
        "housing",
    )


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"purpose": ""}, 422), ({"columns": []}, 422), ({"columns": ["id_number"]}, 403),
        ({"columns": ["nothing"]}, 422),
        ({"until": "soon"}, 422), ({"until": "9999-12-31"}, 422), ({"until": "2001-01-01"}, 422),
        ({"uses": "many"}, 422),
        ({"uses": "0"}, 422), ({"uses": "9" * 30}, 422), ({"project": "Not A Name"}, 422),
        ({"dataset": "nm/tax/none"}, 404),
        ({"dataset": "../x"}, 422), ({"role": "operator"}, 403), ({"role": "administrator"}, 422),
        ({"purpose": "<b>bold</b>\u202e"}, 422),
    ],
)  # fmt: skip
def test_a_wrong_application_comes_back_with_the_reason_and_what_was_typed(
    region: Region, enter: Callable[[str], TestClient], changes: dict[str, object], status: int
) -> None:
    form = APPLICATION | {"until": soon(region)} | changes
    answer = sent(enter(MEI), "/apply", form)
    assert answer.status_code == status and 'role="alert"' in answer.text and "<b>" not in answer.text
    if "dataset" not in changes and "project" not in changes:
        assert 'value="housing"' in answer.text
    with region.database.reading() as session:
        assert store.applications.of_member(session, MEI) == ()


def test_without_keys_the_form_says_what_comes_first(
    region: Region, enter: Callable[[str], TestClient]
) -> None:
    without_keys(region, MEI)
    browser = enter(MEI)
    assert 'href="/keys"' in browser.get(f"/apply?dataset={DATASET}", headers=BROWSER).text
    assert sent(browser, "/apply", APPLICATION | {"until": soon(region)}).status_code == 409


def test_anothers_application_is_as_unknown_as_none(
    region: Region, enter: Callable[[str], TestClient]
) -> None:
    made = sent(enter(MEI), "/apply", APPLICATION | {"until": soon(region)}).headers["location"]
    answers = [enter(LIN).get(path, headers=BROWSER) for path in (made, "/apply/a-0000000000000000")]
    assert {answer.status_code for answer in answers} == {404} and answers[0].text == answers[1].text


@pytest.mark.parametrize(
    "query",
    [
        "dataset=<script>",
        "dataset=" + "x" * 3000,
        "columns=" + ",".join("abcdef" * 50),
        "dataset=a&dataset=b",
        "%ff",
    ],
)
def test_no_link_breaks_the_form(enter: Callable[[str], TestClient], query: str) -> None:
    answer = enter(MEI).get(f"/apply?{query}", headers=BROWSER)
    assert answer.status_code in (200, 422) and "<script" not in answer.text


def test_without_a_dataset_one_is_chosen(enter: Callable[[str], TestClient]) -> None:
    assert f'href="/apply?dataset={DATASET}"' in enter(MEI).get("/apply", headers=BROWSER).text

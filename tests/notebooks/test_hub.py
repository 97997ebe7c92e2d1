"""The Hub, the proxy and the porter as they really run, with members who look for a way to each other."""

from __future__ import annotations

import datetime
import json
import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from notebooks.names import host_of
from plans.errors import BoxFailed, HashMismatch, NotAllowed, NotFound, TierMissing
from plans.labs import notice_key
from tests.notebooks.fakes import PROFILE, PROJECT
from tests.notebooks.house import ROOT, Browser, House
from tests.sandbox.small_image import lay_image

REFRESH = '<meta http-equiv="refresh" content="1">'


@pytest.fixture(autouse=True)
def neighbours_are_as_they_were(house: House) -> Iterator[None]:
    """What a test had a neighbour refuse or hold ends with it, so that one that fails has no others fail."""
    yield
    house.launcher.refuse = house.launcher.refuse_run = None
    house.launcher.held = house.portal.down = False


def until(what: Callable[[], Any], patience_s: float = 120) -> Any:
    end = time.monotonic() + patience_s
    while not (found := what()):
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.2)
    return found


def lab_of(browser: Browser, path: str = "lab") -> httpx.Response:
    return browser.get(f"{browser.house.settings.address}/user/{browser.username}/{path}")


def plans_of(house: House, member: str) -> list[str]:
    return [plan for plan, lab in list(house.launcher.labs.items()) if f'"{member}"' in lab.plan.material]


def plan_of(house: House, member: str) -> str:
    (found,) = plans_of(house, member)
    return found


def stop(browser: Browser) -> None:
    assert browser.api("DELETE", f"users/{browser.username}/server").status_code in (202, 204)
    until(lambda: not browser.model()["servers"])


# ------------------------------------------------------------------------------------------- a lab's way


def test_a_member_signs_in_by_the_portal_gets_a_lab_and_hears_how_it_comes(house: House) -> None:
    """Its box is up when the page has said that it comes."""
    li = house.member("li@nm/tax")
    house.launcher.held = True

    def hear(sentence: str) -> None:
        if "box is being started" in sentence:
            house.launcher.held = False

    try:
        events = li.spawn(hear)
    finally:
        house.launcher.held = False
    told = [event["message"] for event in events]
    assert events[-1]["ready"]
    assert any("box is being started" in line and "暗盒" in line for line in told)
    assert lab_of(li).json()["lab_of"] == "li@nm/tax"


def test_the_lab_is_told_what_it_needs_and_its_tokens_are_its_own(house: House) -> None:
    li = house.member("li@nm/tax")
    li.spawn()
    told = house.launcher.labs[plan_of(house, "li@nm/tax")].environment
    assert told["JUPYTERHUB_API_URL"] == "http://127.0.0.1:8081/hub/api"
    assert told["JUPYTERHUB_SERVICE_URL"] == "http://127.0.0.1:8888/user/li@nm.tax/"
    assert told["JUPYTERHUB_DISABLE_USER_CONFIG"] == "1"
    assert told["DARKROOM_MEMBER"] == "li@nm/tax" and told["DARKROOM_PROJECT"] == "income"
    assert house.portal.lab_tokens[told["DARKROOM_TOKEN"]] == "li@nm/tax"
    assert not {name for name in told if not name.startswith(("JUPYTERHUB_", "DARKROOM_", "JPY_"))}
    assert told["DARKROOM_TOKEN"] not in house.portal.tokens, "the Hub's own token does not go in"


def test_no_token_lies_in_clear_in_the_hubs_database(house: House) -> None:
    li = house.member("li@nm/tax")
    li.spawn()
    lab = house.launcher.labs[plan_of(house, "li@nm/tax")]
    content = b"".join(path.read_bytes() for path in (house.folder / "hub").glob("hub.db*"))
    assert lab.plan.digest.encode() in content, "control: this is where it is written"
    assert lab.environment["DARKROOM_TOKEN"].encode() not in content
    assert not any(token.encode() in content for token in house.portal.tokens)


def test_stopping_ends_the_box_the_port_and_the_token(house: House) -> None:
    wang = house.member("wang@nm/tax")
    wang.spawn()
    plan = plan_of(house, "wang@nm/tax")
    token = house.launcher.labs[plan].environment["DARKROOM_TOKEN"]
    assert token in house.portal.lab_tokens
    stop(wang)
    assert plan not in house.launcher.labs and token not in house.portal.lab_tokens
    assert plan not in json.loads((house.folder / "porter" / "ports.json").read_text())


def test_a_choice_is_asked_for_where_there_is_one_and_nothing_else_counts(house: House) -> None:
    second = {**PROJECT, "project": "housing", "title": "Housing", "title_zh": "住房"}
    zhou = house.member("zhou@nm/tax", PROJECT, second)
    page = zhou.get(zhou.hub("spawn"))
    assert "income:small" in page.text and "housing:small" in page.text and "住房" in page.text
    forged = zhou.get(zhou.hub("spawn?opt-choice=secret:small"))
    assert "portal does not allow" in forged.text
    zhou.get(zhou.hub("spawn?opt-choice=housing:small"))
    zhou.progress()
    told = house.launcher.labs[plan_of(house, "zhou@nm/tax")].environment
    assert told["DARKROOM_PROJECT"] == "housing"


def form_that_says(browser: Browser, sentence: str) -> str:
    """Return the form after a start that failed before its page was left; nothing if it was left."""
    text = browser.get(browser.hub("spawn?opt-choice=housing:small")).text
    return text if sentence in text and "<select" in text else ""


def test_a_choice_that_cannot_be_had_is_said_on_the_form_in_sentences_alone(house: House) -> None:
    second = {**PROJECT, "project": "housing", "title": "Housing", "title_zh": "住房"}
    sun = house.member("sun@nm/tax", PROJECT, second)
    house.launcher.refuse = TierMissing("this node does not offer T2", "T2")
    told = until(lambda: form_that_says(sun, "cannot offer the isolation"))
    house.launcher.refuse = None
    assert "隔离等级" in told
    assert "NoLab" not in told and "reason=" not in told


def test_a_profile_that_the_node_cannot_give_is_marked_and_the_last_choice_is_kept(house: House) -> None:
    house.portal.profiles["card"] = {**PROFILE, "title": "With a GPU", "gpus": 1}
    house.portal.profiles["strong"] = {**PROFILE, "title": "Strong", "tier": "T2"}
    every = {**PROJECT, "profiles": ["card", "strong", "small"]}
    second = {**PROJECT, "project": "housing", "title": "Housing"}
    qian = house.member("qian@nm/tax", every, second)
    lines = dict(re.findall(r'<option value="([^"]+)"(.*)</option>', qian.get(qian.hub("spawn")).text))
    assert "disabled" in lines["income:card"] and "0 GPUs" in lines["income:card"]
    assert "disabled" in lines["income:strong"] and "节点不支持 T2" in lines["income:strong"]
    assert "selected" in lines["income:small"] and "disabled" not in lines["income:small"]
    assert "selected" not in lines["housing:small"], "the control: nothing was chosen yet"
    house.launcher.refuse = NotFound("there is no image", "image")
    told = until(lambda: form_that_says(qian, "image of this profile"))
    house.launcher.refuse = None
    lines = dict(re.findall(r'<option value="([^"]+)"(.*)</option>', told))
    assert "selected" in lines["housing:small"] and "selected" not in lines["income:small"]


# ------------------------------------------------------------------------------------- why there is none


def refused(browser: Browser) -> str:
    page = browser.get(browser.hub("spawn"))
    if "spawn-pending" in str(page.url) and page.status_code == 200:
        return str(browser.progress()[-1]["message"])
    return page.text


def test_every_reason_is_a_sentence_in_both_languages(house: House) -> None:
    nobody = house.member("nobody@nm/tax")
    house.portal.projects["nobody@nm/tax"] = []
    assert "in no project" in (told := refused(nobody)) and "不属于" in told
    house.launcher.refuse = TierMissing("this node does not offer T2", "T2")
    assert (
        "cannot offer the isolation" in (told := refused(house.member("tier@nm/tax"))) and "隔离等级" in told
    )
    house.launcher.refuse = TierMissing("this node has 0 GPUs for boxes, and the plan asks for 1", "box.gpus")
    told = refused(house.member("card@nm/tax"))
    assert "has a GPU" in told and "0 GPUs" in told and "该规格带 GPU" in told and "isolation" not in told
    house.launcher.refuse = None
    gone = {**PROFILE, "image": "sha256:" + "f" * 64}
    house.portal.profiles["gone"] = gone
    told = refused(house.member("image@nm/tax", {**PROJECT, "profiles": ["gone"]}))
    assert "image of this profile is not on the node" in told and "镜像" in told


# ------------------------------------------------------------------------------- an image that disappeared


def told_of(house: House, name: str, image: str) -> str:
    """Return what a member is told who starts a lab in a profile with this image."""
    house.portal.profiles[name] = {**PROFILE, "image": image}
    return refused(house.member(f"{name}@nm/tax", {**PROJECT, "profiles": [name]}))


def test_an_image_whose_name_or_folder_is_gone_is_said_with_the_command_that_makes_it(house: House) -> None:
    kept = house.folder / "images"
    told = told_of(house, "never", "stats")
    assert "image of this profile is not on the node" in told and "sandbox.images build images/stats" in told
    assert "镜像不在节点上" in told
    image = lay_image(kept)
    (kept / "stats.json").write_text(json.dumps({"digest": image.digest}))
    assert house.member("control@nm/tax", {**PROJECT, "profiles": ["never"]}).spawn()[-1]["ready"], "control"
    image.root.parent.rename(kept / "elsewhere")
    told = told_of(house, "gone", "stats")
    assert "image of this profile is not on the node" in told and "镜像不在节点上" in told
    (kept / "stats.json").write_text("{")
    assert "is not on the node" in told_of(house, "torn", "stats"), "a record that cannot be read is none"


def test_an_image_that_goes_between_the_form_and_the_start_is_the_same_sentence(house: House) -> None:
    for number, problem in enumerate(
        (
            NotFound("the image that the plan names is not on this machine", "sha256:aa", "Build it."),
            NotFound("the image was removed, or is being removed", "sha256:aa", "Build it."),
            NotAllowed("a box runs in an image that the owner trusts or that has a name here", "lab"),
        )
    ):
        house.launcher.refuse_run = problem
        told = refused(house.member(f"between{number}@nm/tax"))
        house.launcher.refuse_run = None
        assert "image of this profile is not on the node" in told and "镜像不在节点上" in told, told
    house.launcher.refuse_run = HashMismatch("the image was changed after it was built", "sha256:aa")
    told = refused(house.member("changed@nm/tax"))
    house.launcher.refuse_run = None
    assert "is damaged on the node" in told and "已损坏" in told and "--anew" in told


def test_a_box_that_does_not_come_up_in_a_half_removed_image_has_that_reason(house: House) -> None:
    image = lay_image(house.folder / "images")
    house.launcher.refuse_run = BoxFailed("the box ended without a result", "protocol")
    whole = told_of(house, "half", image.digest)
    (image.root / "box" / "more.py").unlink()
    torn = told_of(house, "half", image.digest)
    house.launcher.refuse_run = None
    assert "ended before it was ready" in whole and "damaged" not in whole, "the control"
    assert "image of this profile is damaged" in torn and "已损坏" in torn


def test_a_home_that_was_used_with_an_image_that_is_gone_is_there_in_the_next_one(house: House) -> None:
    kept = house.folder / "images"
    old, new = lay_image(kept), lay_image(kept)
    house.portal.profiles["moves"] = {**PROFILE, "image": "moving"}
    record = kept / "moving.json"
    shi = house.member("shi@nm/tax", {**PROJECT, "profiles": ["moves"]})
    specs = []
    for image in (old, new):
        record.write_text(json.dumps({"digest": image.digest}))
        assert shi.spawn()[-1]["ready"]
        specs.append(house.launcher.labs[plan_of(house, "shi@nm/tax")].plan.stages[0])
        stop(shi)
        shutil.rmtree(old.root.parent, ignore_errors=True)
    assert [each.image for each in specs] == [old.digest, new.digest]
    assert specs[0].home == specs[1].home, "the same folder, whatever image was there before"


def test_the_form_marks_a_profile_whose_image_is_not_there(house: House) -> None:
    house.portal.profiles["bare"] = {**PROFILE, "title": "Bare", "image": "nowhere"}
    zhao = house.member("zhao@nm/tax", {**PROJECT, "profiles": ["bare", "small"]})
    lines = dict(re.findall(r'<option value="([^"]+)"(.*)</option>', zhao.get(zhao.hub("spawn")).text))
    assert "disabled" in lines["income:bare"] and "its image is not on this node" in lines["income:bare"]
    assert "节点上没有其镜像" in lines["income:bare"]
    assert "selected" in lines["income:small"] and "disabled" not in lines["income:small"]


def test_while_the_portal_is_down_no_lab_begins_and_a_running_one_goes_on(house: House) -> None:
    li, chen = house.member("li@nm/tax"), house.member("chen@nm/tax")
    li.spawn()
    chen.get(chen.hub("home"))
    house.portal.down = True
    try:
        assert "portal does not answer" in refused(chen)
        assert lab_of(li).json()["lab_of"] == "li@nm/tax"
    finally:
        house.portal.down = False


def test_a_start_that_waits_for_the_portal_is_waited_for_by_its_page(house: House) -> None:
    """JupyterHub sends the browser to the page of starts after a second, whether one has begun or not."""
    yu = house.member("yu@nm/tax")
    yu.get(yu.hub("home"))
    with house.portal.held(
        after=1
    ):  # whether there is a choice; then, at the start, whether this is a member
        page = yu.get(yu.hub("spawn"))
    assert "spawn-pending" in str(page.url) and REFRESH in page.text and "goes on by itself" in page.text
    assert 'id="start"' not in page.text
    until(lambda: lab_of(yu).headers["content-type"] == "application/json")
    stop(yu)
    page = yu.get(page.url)
    assert 'id="start"' in page.text and REFRESH not in page.text, "the control: nobody asked for a lab"


def test_a_lab_that_ends_says_why_on_the_next_page(house: House) -> None:
    from plans.errors import BoxLimit

    sun = house.member("sun@nm/tax")
    sun.spawn()
    advice = "Delete what you do not need after the next start."
    house.launcher.end(plan_of(house, "sun@nm/tax"), BoxLimit("the home folder is full", "home", advice))
    until(lambda: not sun.model()["servers"])
    page = sun.get(sun.hub("home")).text
    assert "the home folder is full" in page and advice in page and "文件仍在原处" in page


def why_of(browser: Browser, key: str) -> httpx.Response:
    """Ask as a page of the member's lab does, from the lab's own host and without the Hub's cookie."""
    host = f"{host_of(browser.username, 'labs.localhost', 'user')}:{browser.house.settings.listen_port}"
    place = f"http://127.0.0.1:{browser.house.settings.listen_port}/hub/lab-ended"
    asked = {"user": browser.username, "key": key}
    return httpx.get(place, params=asked, headers={"Host": host, "Accept": "application/json"}, timeout=120)


def lab_that_ends(house: House, member: Browser, projects: list[dict[str, Any]]) -> Any:
    """Change the projects of a member with a running lab; return the lab once it was told that it ends."""
    lab = house.launcher.labs[plan_of(house, member.member)]
    assert lab.environment["DARKROOM_TOKEN"] in house.portal.lab_tokens and not lab.notices, "control"
    house.portal.projects[member.member] = projects
    until(lambda: lab.notices)
    return lab


def test_whoever_is_in_no_project_any_more_loses_the_lab(house: House) -> None:
    """Its rights end first; its pages are told why, have time to save, and can ask why later."""
    ruan, wei = house.member("ruan@nm/tax"), house.member("wei@nm/tax")
    for each in (ruan, wei):
        each.spawn()
    assert str(lab_of(ruan).url.host) == host_of(ruan.username, "labs.localhost", "user"), "control"
    lab = lab_that_ends(house, ruan, [])
    assert lab.environment["DARKROOM_TOKEN"] not in house.portal.lab_tokens, "before anything is said"
    (said,) = lab.notices
    assert said["kind"] == "ending" and said["reason"] == "membership-ended" and said["left_s"] == 2
    assert "no longer a member" in said["en"] and "成员资格已结束" in said["zh"]
    until(lambda: not plans_of(house, ruan.member))
    until(lambda: "no longer a member" in ruan.get(ruan.hub("home")).text)
    told = why_of(ruan, notice_key(lab.environment["DARKROOM_TOKEN"])).json()
    assert "no longer a member" in told["en"] and "成员资格已结束" in told["zh"] and told["again"] is False
    for key in ("", "0" * 64, notice_key("another")):
        assert why_of(ruan, key).status_code == 404
    assert plans_of(house, wei.member), "the control"
    assert not house.launcher.labs[plan_of(house, wei.member)].notices


def test_a_lab_whose_project_ended_is_alive_while_its_pages_save(house: House) -> None:
    """What they ask in that time is answered: the member still comes in, with no right to anything of the platform."""
    shen = house.member("shen@nm/tax")
    shen.spawn()
    lab = lab_that_ends(house, shen, [{**PROJECT, "project": "other"}])
    assert lab_of(shen).json()["lab_of"] == "shen@nm/tax"
    assert lab.notices[0]["reason"] == "project-ended" and "项目已结束" in lab.notices[0]["zh"]
    until(lambda: not plans_of(house, shen.member))
    assert why_of(shen, notice_key(lab.environment["DARKROOM_TOKEN"])).json()["again"] is True


def test_a_lab_that_does_not_hear_is_ended_all_the_same(house: House) -> None:
    tao = house.member("tao@nm/tax")
    tao.spawn()
    lab = house.launcher.labs[plan_of(house, tao.member)]
    lab.deaf = True
    house.portal.projects[tao.member] = []
    until(lambda: not plans_of(house, tao.member))
    assert not lab.notices and "no longer a member" in tao.get(tao.hub("home")).text


# ---------------------------------------------------------------------------------- two members, attacks


def test_two_members_cannot_reach_each_other(house: House) -> None:
    li, mei = house.member("li@nm/tax"), house.member("mei@nm/health")
    li.spawn()
    mei.spawn()
    theirs = f"users/{li.username}"
    for method, path in (
        ("GET", theirs), ("DELETE", f"{theirs}/server"), ("POST", f"{theirs}/server"), ("POST", f"{theirs}/tokens"),
        ("GET", f"{theirs}/tokens"), ("GET", f"{theirs}/server/progress"), ("POST", f"{theirs}/activity"),
        ("GET", "users"), ("GET", "proxy"), ("GET", "services"), ("POST", "shutdown"), ("GET", "groups"),
        ("POST", f"shares/{li.username}/"), ("POST", f"users/{mei.username}/tokens"),
        ("GET", f"users/{mei.username}/tokens"), ("PATCH", f"users/{mei.username}"),
    ):  # fmt: skip
        answer = mei.api(method, path, json={} if method != "GET" else None)
        assert answer.status_code in (403, 404, 405), (method, path, answer.status_code)
    assert mei.api("GET", f"users/{mei.username}").status_code == 200, "control: the own is seen"
    assert mei.get(mei.hub(f"spawn/{li.username}")).status_code in (403, 404)
    assert mei.get(mei.hub("admin")).status_code == 403
    assert mei.get(mei.hub("token")).status_code == 404
    assert li.model()["servers"], "and nothing happened to it"


def test_each_lab_has_a_host_of_its_own_and_is_sent_no_cookie_of_the_hub(house: House) -> None:
    li, mei = house.member("li@nm/tax"), house.member("mei@nm/health")
    for each in (li, mei):
        each.spawn()
    mine, theirs = lab_of(li), lab_of(mei)
    assert mine.url.host != theirs.url.host
    assert mine.url.host.endswith(".labs.localhost") and theirs.url.host.endswith(".labs.localhost")
    cookies = [line for line in mine.json()["head"].splitlines() if line.lower().startswith("cookie")]
    assert "jupyterhub-hub-login" not in "".join(cookies)
    assert any("jupyterhub-hub-login" in cookie.name for cookie in li.client.cookies.jar), (
        "control: there is one"
    )


def test_a_labs_own_token_can_say_that_it_is_used_and_nothing_else(house: House) -> None:
    li = house.member("li@nm/tax")
    li.spawn()
    token = house.launcher.labs[plan_of(house, "li@nm/tax")].environment["JUPYTERHUB_API_TOKEN"]
    api = f"http://127.0.0.1:{house.settings.hub_port}/hub/api"
    ask = httpx.Client(headers={"Authorization": f"token {token}"})
    now = {"last_activity": datetime.datetime.now(datetime.UTC).isoformat()}
    assert ask.post(f"{api}/users/{li.username}/activity", json=now).status_code == 200, "control"
    for method, path in (
        ("GET", "users"), ("POST", f"users/{li.username}/tokens"), ("DELETE", f"users/{li.username}/server"),
        ("POST", f"users/{li.username}/server"), ("GET", "proxy"), ("POST", "users/mei@nm.health/activity"),
        ("GET", "users/mei@nm.health"),
    ):  # fmt: skip
        assert ask.request(method, f"{api}/{path}", json=now if method == "POST" else None).status_code in (
            403,
            404,
        )


def test_a_post_without_the_pages_token_is_refused(house: House) -> None:
    li = house.member("li@nm/tax")
    li.spawn()
    lab = lab_of(li).url
    answer = li.client.delete(
        li.hub(f"api/users/{li.username}/server"),
        headers={
            "Origin": f"http://{lab.netloc.decode()}",
            "Sec-Fetch-Site": "same-site",
            "Sec-Fetch-Mode": "cors",
        },
    )
    assert answer.status_code == 403 and li.model()["servers"]


def test_signing_out_ends_the_lab_and_the_hubs_token(house: House) -> None:
    wu = house.member("wu@nm/tax")
    wu.spawn()
    assert "wu@nm/tax" in house.portal.tokens.values()
    wu.get(wu.hub("logout"))
    until(lambda: not plans_of(house, "wu@nm/tax"))
    assert "wu@nm/tax" not in house.portal.tokens.values()
    house.portal.who = ""
    answer = wu.client.get(wu.hub("home"))
    assert "/oauth/authorize" in str(answer.url), "who comes again is led to the portal"


@pytest.mark.parametrize("site", ["same-site", "cross-site"])
def test_no_page_but_the_hubs_own_signs_anybody_out(house: House, site: str) -> None:
    """Labs are one site with the Hub, so their pages' requests have its cookie; signing out stops a lab."""
    zheng = house.member("zheng@nm/tax")
    zheng.spawn()
    asked = zheng.client.get(
        zheng.hub("logout"), headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
    )
    assert asked.status_code == 200 and 'id="leave"' in asked.text
    assert zheng.model()["servers"] and "zheng@nm/tax" in house.portal.tokens.values()
    zheng.client.get(
        zheng.hub("logout"), headers={"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"}
    )
    assert "zheng@nm/tax" not in house.portal.tokens.values(), "control: the Hub's own link does"


def test_the_hub_sees_nothing_of_the_rest_of_the_machine(house: House) -> None:
    """What the walls show is looked at from inside, with the same command line as the Hub's."""
    import os
    import subprocess

    from notebooks import hub, walls

    secret = house.folder / "keys" / "oauth"
    words = walls.command(hub.room(house.settings))
    at = words.index("--")
    without = list(words[:at])
    while "--ro-bind-data" in without:
        i = without.index("--ro-bind-data")
        del without[i - 2 : i + 3]
    python = next(
        i for i, word in enumerate(words) if word.endswith("python") or "python3" in word.split("/")[-1]
    )
    look = (
        "import os,json,sys;print(json.dumps({p: os.access(p, os.R_OK) for p in sys.argv[1:]} | "
        "{'uid': os.getuid(), 'store': __import__('importlib.util').util.find_spec('store') is None}))"
    )
    places = [
        str(secret),
        str(house.file),
        str(ROOT / "server" / "site.py"),
        "/etc/shadow",
        str(house.folder / "hub"),
    ]
    answer = subprocess.run(
        [*without, *words[at:python], words[python], "-P", "-c", look, *places],
        capture_output=True,
        text=True,
        check=True,
    )
    seen = json.loads(answer.stdout)
    assert not any(seen[place] for place in places[:-1]) and seen[places[-1]], seen
    assert os.access(secret, os.R_OK), "control: it is there"
    if os.geteuid() == 0:
        assert seen["uid"] == house.settings.user_hub


# ------------------------------------------------------------------------------------ when something dies


@pytest.mark.parametrize("who", ["hub", "proxy", "porter"])
def test_a_lab_goes_on_when_one_of_them_is_killed_and_started_again(house: House, who: str) -> None:
    li = house.member("li@nm/tax")
    li.spawn()
    plan = plan_of(house, "li@nm/tax")
    house.kill(who)
    house.start(who)
    house.wait()
    until(lambda: lab_of(li).headers.get("content-type") == "application/json")
    assert lab_of(li).json()["lab_of"] == "li@nm/tax"
    assert plan in house.launcher.labs, "and it is the same lab"


def test_a_hub_killed_while_a_lab_begins_leaves_no_home_in_use(house: House) -> None:
    he = house.member("he@nm/tax")
    house.launcher.held = True
    try:
        he.get(he.hub("spawn"))
        until(lambda: plans_of(house, he.member))
        house.kill("hub")
    finally:
        house.launcher.held = False
    house.start("hub")
    house.wait()
    until(lambda: he.model()["servers"] or not plans_of(house, he.member))
    he.get(he.hub("spawn"))
    until(lambda: (he.model()["servers"].get("") or {}).get("ready"))
    assert lab_of(he).json()["lab_of"] == "he@nm/tax"


def test_when_the_launcher_died_the_end_is_said_and_the_next_start_works(house: House) -> None:
    li = house.member("feng@nm/tax")
    li.spawn()
    house.launcher.close()
    house.launcher = house.new_launcher()
    until(lambda: not li.model()["servers"])
    page = li.get(li.hub("home")).text
    assert "node of labs was restarted" in page and "Your files are where they were" in page
    assert li.spawn()[-1]["ready"]


def test_an_idle_lab_is_stopped_by_the_culler_and_its_token_ended() -> None:
    """With no idle hours at all; the control is every other test here, whose labs may lie idle for four."""
    with House(idle_hours=0, membership_s=1, grace_s=1) as own:
        li = own.member("li@nm/tax")
        li.get(li.hub("spawn"))
        lab = until(lambda: next(iter(own.launcher.labs.values()), None))
        until(lambda: own.launcher.kept)
        until(lambda: not own.portal.lab_tokens and not own.launcher.labs)
        assert own.portal.given, "it had one"
        until(lambda: not li.model()["servers"])
        assert [said["reason"] for said in lab.notices] == ["idle"]
        assert (
            "nothing happened in it for 0 hours" in lab.notices[0]["en"] and "无活动" in lab.notices[0]["zh"]
        )
        for page in (li.get(li.hub("home")), lab_of(li)):
            assert "stopped because nothing happened in it for 0 hours" in page.text and "无活动" in page.text
        told = why_of(li, notice_key(lab.environment["DARKROOM_TOKEN"])).json()
        assert "nothing happened" in told["en"] and told["again"] is True


def test_who_waits_in_vain_is_told_so_in_both_languages() -> None:
    with House(places=0, wait_s=1) as own:
        told = refused(own.member("li@nm/tax"))
        assert "No place came free within 1 min" in told and "空位" in told


def test_twenty_at_once_all_end_ready_or_with_a_reason_and_the_hub_is_never_held_up() -> None:
    """Five of them wait until the Hub has answered others; were it held up by one that waits, it never would."""
    with House(places=15) as own:
        members = [own.member(f"m{number}@nm/tax") for number in range(20)]
        for each in members:
            each.get(each.hub("home"))
        heard: dict[str, list[str]] = {each.member: [] for each in members}

        def told(each: Browser) -> dict[str, Any]:
            page = each.client.get(each.hub("spawn"))
            events = each.progress(heard[each.member].append)
            assert events, (page.status_code, str(page.url), page.text[-1500:], own.log("hub")[-3000:])
            return events[-1]

        def waiting() -> list[str]:
            lines = [[line for line in each if "Waiting for a place" in line] for each in heard.values()]
            return [each[-1] for each in lines if each]

        with ThreadPoolExecutor(20) as pool:
            ends = [pool.submit(told, each) for each in members]
            try:
                until(
                    lambda: healthy(own) and sum(each.done() for each in ends) == 15 and len(waiting()) >= 5
                )
                assert all(healthy(own) for _ in range(10))
            finally:
                own.launcher.places = 20
        assert all(each.result().get("ready") for each in ends)
        reasons = waiting()
        assert all("no place is free" in reason and "空位" in reason for reason in reasons), reasons


def healthy(house: House) -> bool:
    """Return whether the Hub answers, however long it takes."""
    url = f"http://127.0.0.1:{house.settings.hub_port}/hub/health"
    return httpx.get(url, timeout=120).status_code == 200


def test_the_database_of_the_hub_is_the_hubs_alone(house: House) -> None:
    file = house.folder / "hub" / "hub.db"
    assert file.stat().st_mode & 0o077 == 0
    with sqlite3.connect(file) as database:
        assert database.execute("select count(*) from users where admin").fetchone() == (0,)

"""The panel's pages, asked as a browser asks them: to whom they answer, that foreign text stays text, and that whatever
fails is one sentence.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.drawn import without_drawn
from tests.notebooks.panel_lab import LAB, MEI, PanelLab, Platform, a_lab
from tests.portal import region as regions

PATHS = ("catalog", "catalog/nm/tax/income", "jobs", "jobs/none", "budget", "home", "help", "home.json")
HOSTILE = "<script>window.hit=1</script><img src=x onerror=hit=1>\"'&\u202e"


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The panel's modules that need no server."""
    monkeypatch.syspath_prepend(str(LAB))
    from darkroom_lab import panel_queries, panel_reading, panel_words

    yield {"queries": panel_queries, "reading": panel_reading, "words": panel_words}
    for name in [each for each in sys.modules if each.partition(".")[0] == "darkroom_lab"]:
        del sys.modules[name]


def submitted(platform: Platform) -> str:
    body = regions.submission(platform.region, regions.request_of(platform.region, MEI))
    return str(platform.connection()._wire.post("/api/v1/jobs", body)["id"])


# --- what is shown -----------------------------------------------------


def test_the_catalog_is_searched_and_a_dataset_is_described(lab: PanelLab) -> None:
    assert "tax.income" in lab.page("catalog") and "tax.income" in lab.page("catalog", q="INCOME nm/")
    assert "No dataset fits" in lab.page("catalog", q="nothing of that name")
    shown = lab.page("catalog/nm/tax/income", lang="zh")
    assert "直接标识符" in shown and "插入查询" in shown and "不可使用" in shown and 'lang="zh-CN"' in shown
    for number in ("800123", "800019", "4217"):
        assert number not in without_drawn(shown), (
            "how many rows and persons there are is the owner's to tell"
        )


def test_jobs_say_where_they_stand_and_why(lab: PanelLab, platform: Platform) -> None:
    going, ended = submitted(platform), submitted(platform)
    regions.refuse(platform.region, ended)
    shown = lab.page("jobs")
    assert going in shown and 'data-refresh="4"' in shown, "while one goes on the page is shown anew"
    assert "No grant on nm/tax/income fits." in shown
    one = lab.page(f"jobs/{ended}", lang="zh")
    assert "已拒绝" in one and "请以 researcher 身份申请" in one and "data-refresh" not in one
    assert "待" not in lab.page("budget", lang="en") and "No grant of yours" in lab.page("budget")


@pytest.mark.parametrize("name", ["", "<b>x</b>", "the box was cancelled"])
def test_sentences_of_the_platform_are_told_in_the_language_of_the_page(parts: Any, name: str) -> None:
    told = parts["queries"].told
    assert told("the box reached its limit of memory.", "zh") == "暗盒达到内存限额。"
    assert told("the box reached its limit of memory.", "en") == "the box reached its limit of memory."
    assert told(f"there is no column {name}", "zh") == f"没有列 {name}", "and what people wrote is theirs"


def test_what_a_budget_page_shows_is_what_the_member_may_know(parts: Any) -> None:
    said = {
        "dataset": "nm/tax/income",
        "project": "housing",
        "purpose": "p",
        "uses": 3,
        "uses_left": 2,
        "until": 0,
    }
    shown = parts["queries"].grant(said)
    assert shown["left"] == 2 and shown["until"] == ""
    assert parts["queries"].grant({k: v for k, v in said.items() if k != "uses_left"})["left"] is None


# --- to whom -----------------------------------------------------


@pytest.mark.parametrize("path", [*PATHS, "static/panel.js"])
def test_a_stranger_is_shown_nothing(lab: PanelLab, path: str) -> None:
    answer = lab.stranger.get(f"/darkroom/{path}")
    assert answer.status_code == 403 and "session" in answer.text
    assert "tax.income" not in answer.text and "postMessage" not in answer.text
    own = lab.client.get(f"/darkroom/{path}")
    assert own.status_code == 200, "the member is"


def test_every_answer_forbids_what_is_not_ours(lab: PanelLab) -> None:
    seen = set()
    for path in PATHS:
        headers = lab.client.get(f"/darkroom/{path}").headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'nonce-") and "unsafe" not in policy
        assert "frame-ancestors 'self'" in policy and headers["cache-control"] == "no-store"
        seen.add(policy)
    assert len(seen) == len(PATHS), "the word that marks our own script is drawn anew"
    for page in PATHS[:-1]:
        text = lab.page(page)
        assert not re.search(r"(?:src|href)=\"(?!/darkroom/|http://127|\")", text), "nothing remote"
        assert "style=" not in text and len(re.findall("<script", text)) == 1


@pytest.mark.parametrize(
    "path", ["catalog/../../etc/passwd", "static/../panel.py", "static/none.js", "catalog/A", "none"]
)
def test_there_are_no_other_paths(lab: PanelLab, path: str) -> None:
    assert lab.client.get(f"/darkroom/{path}").status_code in (302, 404)
    assert lab.stranger.get(f"/darkroom/{path}").status_code in (302, 403, 404)


def test_only_a_page_of_the_lab_may_change_something(lab: PanelLab) -> None:
    (lab.home / "n.ipynb").write_text(notebook("x = 1"))
    without = lab.client.post("/darkroom/make-job", json={"path": "n.ipynb"})
    assert without.status_code == 403 and not (lab.home / "n-job").exists()
    elsewhere = lab.post({"path": "n.ipynb"}, Origin="https://elsewhere.example")
    assert elsewhere.status_code in (403, 404) and not (lab.home / "n-job").exists()
    stranger = lab.stranger.post("/darkroom/make-job", json={"path": "n.ipynb"})
    assert stranger.status_code == 403 and not (lab.home / "n-job").exists()
    assert lab.post({"path": "n.ipynb"}).json()["folder"] == "n-job"


def test_why_no_job_is_made_is_said_in_the_language_of_the_browser(lab: PanelLab) -> None:
    chinese = {"Accept-Language": "zh-CN"}
    for headers, what, step in (
        ({}, "there is no such notebook.", "Save it first, and name it."),
        (chinese, "没有这个笔记本。", "请先保存并命名。"),
    ):
        told = lab.post({"path": "gone.ipynb"}, **headers).json()
        assert (told["sentence"], told["next_step"]) == (what, step)


# --- from a notebook to a job -----------------------------------------------------


def notebook(*sources: str) -> str:
    cells = [
        {
            "cell_type": "code",
            "source": each,
            "metadata": {"tags": ["job"]},
            "outputs": [],
            "execution_count": None,
        }
        for each in sources
    ]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells})


def test_a_notebook_that_cannot_become_a_job_is_one_sentence(lab: PanelLab) -> None:
    (lab.home / "bad.ipynb").write_text(notebook("x = 1", "%matplotlib inline"))
    told = lab.post({"path": "bad.ipynb"}).json()
    assert "magics" in told["sentence"] and told["where"] == "bad.ipynb, cell 2, line 1" and told["next_step"]
    assert lab.post({"path": "bad.ipynb", "cells": [1]}).json()["cells"] == [1]
    (lab.home / "damaged.ipynb").write_text("{")
    assert "damaged" in lab.post({"path": "damaged.ipynb"}).json()["sentence"]
    missing = lab.post({"path": "none.ipynb"}).json()
    assert "no such notebook" in missing["sentence"] and missing["where"] == "none.ipynb"


def test_only_notebooks_that_the_lab_shows_are_read(lab: PanelLab, tmp_path: Path) -> None:
    outside = tmp_path / "outside.ipynb"
    outside.write_text(notebook("x = 1"))
    (lab.home / "way.ipynb").symlink_to(outside)
    (lab.home / "text.txt").write_text("x")
    for path in (
        f"../{tmp_path.name}/outside.ipynb",
        f"/../{outside}",
        "way.ipynb",
        "text.txt",
        "",
        "a\0.ipynb",
        3,
        None,
    ):
        answer = lab.post({"path": path})
        assert answer.status_code == 400 and "folder" not in answer.json(), path
    for body in (
        [],
        {"path": "n.ipynb", "cells": "1"},
        {"path": "n.ipynb", "cells": [True]},
        {"path": "x" * 300_000},
    ):
        assert lab.post(body).status_code == 400
    assert not (tmp_path / "outside-job").exists()


# --- what fails -----------------------------------------------------


def test_a_platform_that_is_down_is_said_and_comes_back(lab: PanelLab, platform: Platform) -> None:
    platform.stop()
    try:
        began = time.monotonic()
        assert "does not answer" in lab.page("catalog") and "没有应答" in lab.page("jobs", lang="zh")
        assert "Home" in lab.page("home")
        assert time.monotonic() - began < 60, (
            "the client's own patience with three pages is two minutes for each"
        )
    finally:
        platform.start()
    assert "tax.income" in lab.page("catalog")


def test_a_token_that_has_ended_is_said(platform: Platform, tmp_path: Path) -> None:
    token = platform.session()
    told = {
        "DARKROOM_LAB": "1",
        "DARKROOM_MEMBER": MEI,
        "DARKROOM_URL": platform.url,
        "DARKROOM_TOKEN": token,
    }
    with a_lab(tmp_path / "home", **told) as other:
        assert "tax.income" in other.page("catalog")
        from darkroom.connection import connect

        connect(platform.url, token=token).sign_out()
        for path in ("catalog", "jobs", "budget"):
            shown = other.page(path)
            assert "membership has ended" in shown and "tax.income" not in shown
        assert "令牌" in other.page("catalog", lang="zh")


def test_a_page_does_not_wait_for_ever(parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    reading = parts["reading"]
    monkeypatch.setattr(reading, "LONGEST_S", 0.1)

    answered, over = threading.Event(), threading.Event()

    def never() -> None:
        if over.wait(60):
            answered.set()

    async def ask() -> None:
        with pytest.raises(reading.NotReadError) as caught:
            await reading.Reading().run(never)
        assert caught.value.failure.key == "slow"
        assert not answered.is_set(), "who asked went on before there was an answer"

    try:
        asyncio.run(ask())
    finally:
        over.set()
    assert answered.wait(60), "the control: there would have been one"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        '{"used_mb": "x"}',
        '{"used_mb": 1, "limit_mb": 1e999, "files": 1, "files_limit": 1}',
        "[" * 9000,
    ],
)
def test_a_home_of_which_nothing_readable_is_said_is_not_known(
    parts: Any, tmp_path: Path, content: str
) -> None:
    facts = tmp_path / "home.json"
    facts.write_text(content)
    assert parts["reading"].home_facts(facts) is None


def test_how_full_the_home_is_is_read_from_a_plain_file_only(parts: Any, tmp_path: Path) -> None:
    good = {"used_mb": 5, "limit_mb": 10, "files": 1, "files_limit": 100, "full": True, "other": HOSTILE}
    (tmp_path / "home.json").write_text(json.dumps(good))
    found = parts["reading"].home_facts(tmp_path / "home.json")
    assert found == {name: value for name, value in good.items() if name != "other"}
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "home.json")
    for name in ("pipe", "link", "none"):
        assert parts["reading"].home_facts(tmp_path / name) is None


# --- text of others -----------------------------------------------------

_STUB = """
HOSTILE = {hostile!r}
class Job:
    id, kind, state, sentence, waits_for, finished = "j-1", HOSTILE, HOSTILE, HOSTILE, HOSTILE, False
    problem = dict(title=HOSTILE, next_step=HOSTILE)
    view = dict(project=HOSTILE, verdict=dict(finding=HOSTILE), position=2, problem=problem)
    def explain(self): return [dict(sentence=HOSTILE, help=HOSTILE)]
    def remedies(self): return [HOSTILE]
class Room:
    def datasets(self): return [dict.fromkeys(("dataset", "relation", "title", "grade", "domain"), HOSTILE)]
    def describe(self, name):
        column = dict(name=HOSTILE, type=HOSTILE, unit=HOSTILE, kind=HOSTILE, uses=[HOSTILE], rules=[HOSTILE])
        return self.datasets()[0] | dict(version=HOSTILE, about_persons=True, columns=[column])
    def jobs(self): return [Job()]
    def job(self, number): return Job()
    def budget(self):
        return [dict(dataset=HOSTILE, project=HOSTILE, purpose=HOSTILE, columns=[HOSTILE], uses=1, uses_left=HOSTILE)]
def connect(): return Room()
"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PanelLab]:
    """A lab whose platform says hostile things in every place that holds text."""
    stub = tmp_path_factory.mktemp("stub")
    (stub / "darkroom").mkdir()
    (stub / "darkroom" / "__init__.py").write_text(_STUB.format(hostile=HOSTILE))
    (stub / "darkroom" / "display_terms.py").write_text("TERMS = {}\n")
    path = os.pathsep.join(map(str, (stub, LAB, LAB.parents[2])))
    with a_lab(tmp_path_factory.mktemp("home"), PYTHONPATH=path) as found:
        yield found


@pytest.mark.parametrize("path", ["catalog", "catalog/nm/tax/income", "jobs", "jobs/j-1", "budget"])
def test_text_of_others_stays_text(hostile: PanelLab, path: str) -> None:
    shown = hostile.page(path)
    assert "&lt;script&gt;" in shown, "it is shown"
    assert "<img" not in shown and "window.hit=1</script>" not in shown and "\u202e" not in shown
    assert hostile.page("catalog", q=HOSTILE).count("<script") == 1


def test_what_is_inserted_holds_no_text_of_others(parts: Any) -> None:
    queries = parts["queries"]
    plain = {"relation": "tax.income", "dataset": "nm/tax/income", "columns": []}
    assert "from tax.income" in queries.query(plain) and "nm/tax/income" in queries.sample(plain)
    bad = plain | {"relation": 'tax.income\n""")\nimport os#', "dataset": 'x")\nimport os#'}
    assert (queries.query(bad), queries.sample(bad), queries.apply(bad)) == ("", "", "")
    column = {"name": 'a"""', "type": "t", "kind": "plain", "uses": ["group"]}
    assert '"""' not in queries.query(plain | {"columns": [column]}).replace('("""\n', "").replace(
        '\n""",', ""
    )
    good = queries.query(plain | {"columns": [column | {"name": "league"}]})
    assert "group by league" in good
    compile(good, "cell", "exec")


def test_every_word_is_there_in_both_languages(parts: Any) -> None:
    words = parts["words"].WORDS
    assert all(len(pair) == 2 and all(pair) for pair in words.values())
    used: set[str] = set()
    for page in (LAB / "darkroom_lab" / "pages").iterdir():
        used |= set(re.findall(r"\bt\(['\"]([a-z.-]+)['\"]", page.read_text()))
    assert not {each for each in used if not each.endswith(".")} - set(words)
    for english, chinese in words.values():
        assert set(re.findall(r"{\w+}", english)) == set(re.findall(r"{\w+}", chinese))
    assert {f"nav.{page}" for page in ("catalog", "jobs", "budget", "home", "help")} <= set(words)
    assert {step[0] for step in parts["queries"].STEPS} <= set(words)

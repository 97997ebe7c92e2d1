"""The panel in a real JupyterLab and a real Chromium: what is inserted is not run, and only our own frame is heard."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator

import pytest

pytest.importorskip("playwright.sync_api")

from playwright.sync_api import BrowserContext, FrameLocator, Page, Route, expect

from notebooks import parting
from tests.e2e.jupyterlab import a_person, chromium, look_again_until, press, write
from tests.notebooks.panel_lab import PanelLab, Platform
from tests.notebooks.test_panel import submitted
from tests.portal import region as regions

pytestmark = pytest.mark.skipif(
    shutil.which("chromium") is None, reason="there is no chromium on this machine"
)

CELLS = ".jp-NotebookPanel:visible .jp-Notebook .jp-Cell"
SETTINGS = ".config/lab/user-settings/@jupyterlab"


@pytest.fixture(scope="module")
def person() -> Iterator[BrowserContext]:
    """A browser that has JupyterLab's files after the first page."""
    with chromium() as browser:
        yield a_person(browser)


@pytest.fixture
def page(person: BrowserContext, lab: PanelLab) -> Iterator[Page]:
    """JupyterLab with a notebook of two cells open."""
    cells = [
        {
            "cell_type": "code",
            "id": name,
            "source": source,
            "metadata": {"tags": tags},
            "outputs": [],
            "execution_count": None,
        }
        for name, source, tags in (
            ("a", "year = 2023", ["parameters"]),
            ("b", "import darkroom\nt = darkroom.table('tax.income', on='twin')", ["job"]),
        )
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    content = {"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": cells}
    (lab.home / "study.ipynb").write_text(json.dumps(content))
    shutil.rmtree(lab.home / "study-job", ignore_errors=True)
    found = person.new_page()
    wrong: list[str] = []
    found.on("pageerror", lambda problem: wrong.append(str(problem)))
    yield found
    found.close()
    assert not wrong


def opened(page: Page, lab: PanelLab, path: str = "lab/tree/study.ipynb") -> FrameLocator:
    page.goto(f"{lab.url}{path}?reset&token={lab.token}")
    page.locator(".jp-NotebookPanel:visible").wait_for()
    page.locator('.jp-SideBar [data-id="darkroom-panel"]').click()
    frame = page.frame_locator("#darkroom-panel iframe")
    frame.locator(".card").first.wait_for()
    return frame


def test_a_query_is_inserted_below_the_active_cell_and_is_not_run(page: Page, lab: PanelLab) -> None:
    frame = opened(page, lab)
    frame.locator(".card").first.click()
    press(frame.get_by_role("button", name="Insert query"))
    expect(page.locator(CELLS)).to_have_count(3)
    expect(page.locator(CELLS).nth(1)).to_contain_text("from tax.income")
    page.wait_for_timeout(500)
    expect(page.locator(CELLS).nth(1).locator(".jp-InputPrompt")).to_have_text("[ ]:")


def test_only_the_panels_own_frame_is_heard(page: Page, lab: PanelLab) -> None:
    """Outputs of a notebook, and pages that it opens or frames, may post messages too."""
    opened(page, lab)
    said = "{darkroom: 1, kind: 'insert', text: 'evil()'}"
    page.evaluate(f"window.postMessage({said}, '*')")
    page.evaluate(
        """(said) => new Promise((done) => {
            const other = document.createElement("iframe");
            other.srcdoc = `<script>parent.postMessage(${said}, "*")</script>`;
            other.onload = done;
            document.body.appendChild(other);
        })""",
        said,
    )
    own = next(each for each in page.frames if "/darkroom/" in each.url)
    for wrong in (
        "{darkroom: 1, kind: 'insert', text: 3}",
        "{kind: 'insert', text: 'evil()'}",
        "'evil()'",
        "null",
    ):
        own.evaluate(f"window.parent.postMessage({wrong}, '*')")
    own.evaluate(
        "window.parent.postMessage({darkroom: 1, kind: 'command', name: 'notebook:run-all-cells'}, '*')"
    )
    own.evaluate(f"window.parent.postMessage({said.replace('evil', 'good')}, '*')")
    expect(page.locator(CELLS).filter(has_text="good()")).to_have_count(1)  # the control, and the last word
    page.wait_for_timeout(300)
    expect(page.locator(CELLS)).to_have_count(3)
    expect(page.locator(CELLS).filter(has_text="evil()")).to_have_count(0)
    assert page.locator(".jp-InputPrompt").first.inner_text() == "[ ]:"


def test_a_job_that_moves_is_seen_without_doing_anything(
    page: Page, lab: PanelLab, platform: Platform
) -> None:
    number = submitted(platform)
    frame = opened(page, lab)
    frame.get_by_role("link", name="My jobs").click()
    card = frame.locator(".card", has_text=number)
    expect(card).to_contain_text("submitted")
    regions.refuse(platform.region, number)
    expect(card).to_contain_text("No grant on nm/tax/income fits")


def test_chosen_cells_become_a_folder_by_a_command(page: Page, lab: PanelLab) -> None:
    frame = opened(page, lab)
    frame.get_by_role("link", name="First steps").click()
    press(frame.get_by_role("button", name="make a job"))
    dialog = page.locator(".jp-Dialog")
    expect(dialog).to_contain_text("study-job")
    dialog.get_by_role("button", name="Open the files").click()
    expect(page.locator(".lm-TabBar-tabLabel", has_text="main.py").first).to_be_visible()
    text = (lab.home / "study-job" / "main.py").read_text()
    assert "darkroom.table('tax.income')" in text and "on=" not in text
    assert 'project = "housing"' in (lab.home / "study-job" / "darkroom.toml").read_text()


def test_a_full_home_is_said_in_the_status_bar(page: Page, lab: PanelLab) -> None:
    facts = {"used_mb": 9, "limit_mb": 10, "files": 1, "files_limit": 2, "full": False}
    page.route(re.compile(r"/darkroom/home\.json"), lambda route: route.fulfill(json=facts))
    opened(page, lab)
    expect(page.get_by_text("Home full")).to_be_hidden()
    facts["full"] = True
    page.reload()
    page.get_by_text("Home full").click()
    expect(page.frame_locator("#darkroom-panel iframe").locator("nav")).to_contain_text("Home")


def test_what_became_of_the_lab_is_said_above_everything_and_taken_back(page: Page, lab: PanelLab) -> None:
    """Nothing while the lab answers; what ended where it does not; nothing again once it is back."""
    opened(page, lab)
    notice = page.locator("#darkroom-notice")
    expect(notice).to_have_attribute("data-state", "")
    answer: dict[str, int] = {}

    def played(route: Route) -> None:
        if answer["status"]:
            route.fulfill(status=answer["status"], json={})
        else:
            route.abort()

    page.route(re.compile(r"/darkroom/home\.json"), played)
    for status, said in (
        (424, "Your lab has ended"),
        (403, "Your session has ended"),
        (0, "does not answer"),
    ):
        answer["status"] = status
        look_again_until(page, notice.filter(has_text=said))
    answer["status"] = 200
    look_again_until(page, page.locator("#darkroom-notice[data-state='']"))
    expect(notice).to_be_hidden()


def test_a_lab_that_ends_has_what_is_open_saved_and_says_why_before_and_after(
    page: Page, lab: PanelLab
) -> None:
    """JupyterLab itself would save after two minutes here."""
    diary = lab.home / "diary.txt"
    diary.write_text("before\n")
    why, over = parting.MEMBERSHIP_ENDED.told(), parting.MEMBERSHIP_ENDED.over.said
    facts: dict[str, object] = {"key": "k"}
    answer = {"status": 200}

    def of_a_hub(route: Route) -> None:
        text = route.fetch().text().replace('{"', '{"hubPrefix": "/hub/", "hubUser": "mei", "', 1)
        route.fulfill(body=text, content_type="text/html")

    page.route(re.compile(r"/lab/tree/"), of_a_hub)
    page.route(re.compile(r"/darkroom/home\.json"), lambda route: route.fulfill(json=facts, **answer))
    told = {"en": over.english, "zh": over.chinese, "again": False}
    page.route(re.compile(r"/hub/lab-ended\?user=mei&key=k$"), lambda route: route.fulfill(json=told))
    page.goto(f"{lab.url}lab/tree/diary.txt?reset&token={lab.token}")
    write(page.locator(".jp-FileEditor .cm-content"), "unsaved words")
    notice = page.locator("#darkroom-notice")
    expect(notice).to_be_hidden()
    assert "unsaved words" not in diary.read_text(), "the control"
    facts["notice"] = {"kind": parting.ENDING, "until": 0, **why}
    look_again_until(page, notice.filter(has_text="Everything that is open here is saved"))
    expect(notice).to_contain_text("no longer a member")
    assert "unsaved words" in diary.read_text()
    ends = facts.pop("notice")  # the Hub forgot it, and the lab lives on
    look_again_until(page, page.locator("#darkroom-notice[data-state='']"))
    expect(notice).to_be_hidden()
    facts["notice"] = ends
    look_again_until(page, notice.filter(has_text="Everything that is open here is saved"))
    answer["status"] = 424
    look_again_until(page, notice.filter(has_text="The lab was stopped because you are no longer a member"))
    expect(notice).to_contain_text("until you close it")
    expect(notice).not_to_contain_text("pen it again")


def test_the_panel_speaks_chinese_and_is_dark_where_the_lab_is(page: Page, lab: PanelLab) -> None:
    chosen = {
        "translation-extension/plugin": {"locale": "zh_CN"},
        "apputils-extension/themes": {"theme": "JupyterLab Dark"},
    }
    files = [lab.home / SETTINGS / f"{name}.jupyterlab-settings" for name in chosen]
    try:
        for file, settings in zip(files, chosen.values(), strict=True):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(settings))
        frame = opened(page, lab)
        expect(frame.locator("nav")).to_contain_text("数据目录")
        expect(frame.locator("html")).to_have_attribute("data-theme", "dark")
    finally:
        for file in files:
            file.unlink(missing_ok=True)

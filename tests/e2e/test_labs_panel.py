"""The panel in a real lab: behind its walls, before a real portal, through Hub and proxy, in a real browser.

`tests/notebooks/test_panel_browser.py` has the panel's own promises; here is what only a lab's box can break.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import FrameLocator, expect

from tests.e2e import jupyterlab
from tests.e2e.jupyterlab import Notebook
from tests.e2e.labs_town import Guest, LabsTown

pytestmark = [pytest.mark.box, pytest.mark.ray]

TWIN = "select league, count(*) as n from tax.income group by league"


@pytest.fixture(scope="module")
def pan(labs_town: LabsTown) -> Iterator[Guest]:
    """A member with a lab."""
    guest = labs_town.member("pan")
    labs_town.open_lab(guest)
    yield guest
    labs_town.stop_lab(guest)


@pytest.fixture(scope="module")
def notebook(pan: Guest) -> Notebook:
    """A notebook in it."""
    return pan.lab.new_notebook()


@pytest.fixture
def panel(pan: Guest, notebook: Notebook) -> FrameLocator:
    """The panel, opened beside the notebook."""
    if not pan.page.locator("#darkroom-panel:visible").count():
        pan.page.locator('.jp-SideBar [data-id="darkroom-panel"]').click()
    return pan.page.frame_locator("#darkroom-panel iframe")


def test_the_catalog_is_searched_and_a_query_is_inserted_and_answers(
    panel: FrameLocator, notebook: Notebook
) -> None:
    card = panel.locator("a.card", has_text="tax.income")
    expect(card).to_have_count(1)
    panel.get_by_role("searchbox").fill("nothing like it")
    panel.get_by_role("button", name="Search").click()
    expect(panel.locator("a.card")).to_have_count(0)
    panel.get_by_role("searchbox").fill("tax income")
    panel.get_by_role("button", name="Search").click()
    card.click()
    jupyterlab.press(panel.get_by_role("button", name="Insert query"))
    filled = notebook.cells.filter(has_text="from tax.income")
    expect(filled).to_have_count(1)
    notebook.send(filled)
    expect(filled.locator(".jp-Cell-outputArea")).to_contain_text("LOOK-ALIKE")


@pytest.mark.parametrize(
    ("page", "holds"),
    [
        ("My jobs", "You have no jobs yet."),
        ("Budget left", "No grant of yours is in force."),
        ("Home", "of 256 MiB"),
        ("First steps", "twin"),
    ],
)
def test_every_page_answers_with_what_the_portal_says(panel: FrameLocator, page: str, holds: str) -> None:
    panel.get_by_role("link", name=page).click()
    expect(panel.locator("nav a[aria-current]")).to_have_text(page)
    expect(panel.locator("main")).to_contain_text(holds)


def test_chosen_cells_become_a_job_that_runs_on_look_alike_data(
    pan: Guest, panel: FrameLocator, notebook: Notebook
) -> None:
    notebook.run(f"import darkroom\nanswer = darkroom.sql('{TWIN}', on='twin')")
    panel.get_by_role("link", name="First steps").click()
    jupyterlab.press(panel.get_by_role("button", name="make a job"))
    said = pan.page.locator(".jp-Dialog")
    expect(said).to_contain_text("darkroom.submit(")
    said.get_by_role("button", name="Close").click()


def test_jupyterlab_speaks_the_browser_s_language_until_its_member_chooses_another(
    labs_town: LabsTown, pan: Guest, notebook: Notebook
) -> None:
    menus = "#jp-MainMenu .lm-MenuBar-item"
    expect(pan.page.locator(menus).first).to_have_text("File")
    context = jupyterlab.a_person(labs_town.browser, "zh-CN")
    guest = Guest(pan.name, pan.password, context, context.new_page())
    labs_town.sign_in(guest)
    guest.page.goto(pan.page.url.partition("/lab")[0] + "/lab/workspaces/zh")
    menu = guest.page.locator(menus).first
    expect(menu).to_have_text("文件")
    setting = "lab/api/settings/@jupyterlab/translation-extension:plugin"
    pan.visitor().ask("PUT", setting, {"raw": '{"locale": "en"}'})
    guest.page.reload()
    expect(menu).to_have_text("File")
    pan.visitor().ask("PUT", setting, {"raw": "{}"})
    context.close()


def test_a_page_whose_lab_has_ended_says_what_to_do_and_saves_once_it_is_back(
    labs_town: LabsTown, pan: Guest, notebook: Notebook
) -> None:
    notebook.save()
    notebook.note("# typed before the end")
    notice = pan.page.locator("#darkroom-notice")
    expect(notice).to_have_attribute("data-state", "")  # the control: while the lab lives it says nothing
    other = pan.context.new_page()
    jupyterlab.stop_at_home(other, labs_town.hub + "/hub/home")
    jupyterlab.look_again_until(pan.page, notice.filter(has_text="Your lab has ended."))
    with pan.context.expect_page() as opened:
        notice.get_by_role("link", name="Open the lab").click()
    opened.value.wait_for_url(labs_town.hub + "/hub/home")
    opened.value.locator("#start").click(no_wait_after=True)
    jupyterlab.wait_until_usable(opened.value)
    opened.value.close()
    other.close()
    jupyterlab.look_again_until(pan.page, pan.page.locator("#darkroom-notice[data-state='']"))
    expect(notice).to_be_hidden()
    pan.lab.dismiss()
    notebook.save()
    assert "typed before the end" in pan.visitor().ask("GET", "api/contents/Untitled.ipynb").text

"""What happens to an open notebook: processes die, homes are full, sessions and memberships end, places are taken.

Unsaved work is never lost: it stays in the page, and is saved when there is somebody to save it again.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, TimeoutError

from sandbox import api as sandbox
from server import projects
from tests.e2e import jupyterlab
from tests.e2e import labs_town as labs_towns
from tests.e2e.jupyterlab import Notebook
from tests.e2e.labs_town import BARE, LARGE, STUDY, TIGHT, Guest, LabsTown, until

pytestmark = [pytest.mark.box, pytest.mark.ray]


@pytest.fixture(scope="module")
def hai(labs_town: LabsTown) -> Guest:
    """A member with a running lab."""
    guest = labs_town.member("hai")
    labs_town.open_lab(guest)
    return guest


@pytest.fixture(scope="module")
def notebook(hai: Guest) -> Iterator[Notebook]:
    """A notebook with something in its kernel's memory."""
    found = hai.lab.new_notebook()
    # They come when they come, and lie over everything.
    hai.page.add_locator_handler(save_errors(hai), close, no_wait_after=True)
    assert found.run("kept = 41; kept").text.strip() == "41"
    yield found


def save_errors(guest: Guest) -> Locator:
    """Return the dialogs with which JupyterLab says that it could not save, and will try again."""
    return guest.page.locator(".jp-Dialog", has_text="Save Error")


def close(dialog: Locator) -> None:
    """Close all dialogs of a kind at once: they lie on each other, so no pointer would come to each of them. Their one
    button says Dismiss and rejects; a dialog that goes by itself in this moment has none any more.
    """
    button = "button.jp-mod-reject, button.jp-mod-accept"
    dialog.evaluate_all(f"all => all.forEach(each => each.querySelector('{button}')?.click())")


def saved(guest: Guest) -> str:
    """Return the notebook as it lies in the home."""
    return guest.visitor().ask("GET", "api/contents/Untitled.ipynb").text


@pytest.mark.parametrize(
    "roles",
    [
        *(pytest.param((role,), marks=pytest.mark.long) for role in ("hub", "proxy", "porter", "api")),
        ("hub", "proxy", "porter", "api"),
    ],
)
def test_a_notebook_outlives_the_death_of_everything_around_its_lab(
    labs_town: LabsTown, hai: Guest, notebook: Notebook, roles: tuple[str, ...]
) -> None:
    before, mark = labs_town.town.supervisor.pids(), "unsaved beside the end of " + " and ".join(roles)
    notebook.note(f"# {mark}")
    for role in roles:
        labs_town.kill(role)
    until(lambda: all(labs_town.town.supervisor.pids()[role] != before[role] for role in roles))
    assert until(lambda: hai.visitor().ask("GET", "api/status").status_code == 200)
    assert notebook.run("kept + 1").text.strip() == "42", "the kernel has lived on"
    notebook.save()
    assert mark in saved(hai)
    assert until(lambda: "tax.income" in notebook.run("import darkroom; darkroom.datasets()").text)


@pytest.mark.long
def test_when_the_launcher_dies_labs_end_with_it_and_files_stay(
    labs_town: LabsTown, hai: Guest, notebook: Notebook
) -> None:
    notebook.note("# saved before the launcher's end")
    notebook.save()
    notebook.note("# only in the page")
    labs_town.kill("launcher:labs")
    page = hai.context.new_page()
    page.goto(labs_town.hub + "/hub/home")
    until(lambda: "was restarted" in (page.reload() and page.inner_text("body")), 200)
    assert "start yours again" in page.inner_text("body")
    page.locator("#start").click(no_wait_after=True)
    jupyterlab.wait_until_usable(page)
    assert "saved before the launcher's end" in saved(hai)
    notebook.save()
    assert "only in the page" in saved(hai), "the page that was open all the time saves what it has"
    page.close()


def test_a_portal_that_is_down_is_a_sentence_in_the_lab(labs_town: LabsTown, hai: Guest) -> None:
    kernel = hai.visitor().kernel()
    assert kernel.run("import darkroom; darkroom.datasets()").status == "ok", "the control"
    with labs_town.stopped("api"):
        said = kernel.run("darkroom.datasets()")
    assert said.status == "error" and "Unreachable" in said.error, said
    assert "does not answer" in said.error or "cannot be reached" in said.error, said.error
    assert until(lambda: kernel.run("darkroom.datasets()").status == "ok")


FILLS = """
import os, time
def write(name, size):
    with open(name, 'wb') as file:
        file.write(os.urandom(size))
        file.flush()
        os.fsync(file.fileno())
for number in range(4):
    write(f'part-{number}', 8 << 20)
for number in range(1500):
    write(f'more-{number}', 20 << 10)
    time.sleep(0.1)
"""
"""More than the home may have, and then little by little until that is noticed: never as much as ends the lab."""
EMPTIES = "import glob, os\nfor name in glob.glob('part-*') + glob.glob('more-*'): os.remove(name)"


def test_a_full_home_is_said_and_what_is_open_can_still_be_saved(labs_town: LabsTown) -> None:
    wu = labs_town.member("wu", TIGHT)
    labs_town.open_lab(wu)
    notebook = wu.lab.new_notebook()
    filled = notebook.run(FILLS, 240).text
    assert "full" in filled.lower() or "满" in filled, filled
    assert "Error" in filled
    notebook.note("# written although the home is full")
    notebook.save()
    assert "although the home is full" in saved(wu)
    assert labs_town.living(), "the lab lives on"
    until(lambda: notebook.run(EMPTIES).text.strip() == "")
    until(lambda: "Error" not in notebook.run("open('room', 'wb').write(bytes(1 << 20))").text)
    labs_town.stop_lab(wu)


def test_whoever_finds_no_place_is_told_how_many_are_before_and_why(labs_town: LabsTown, hai: Guest) -> None:
    fan, sun = labs_town.member("fan", STUDY), labs_town.member("sun", LARGE)
    labs_town.open_lab(fan)
    assert len(labs_town.living()) >= 2, "two small labs, beside which a large one has no room"
    labs_town.sign_in(sun)
    labs_town.start_lab(sun)
    told = sun.page.locator(".progress-log-event", has_text="Waiting for a place").first
    told.wait_for(state="attached")
    text = told.text_content() or ""
    assert "you are next" in text and "memory for labs is taken" in text and "排队中" in text, text
    labs_town.stop_lab(fan)
    sun.page.wait_for_url(lambda url: "/hub/" not in url, wait_until="commit")  # it starts by itself
    labs_town.stop_lab(sun)


def test_an_image_that_disappeared_is_a_sentence_on_the_page_in_both_languages(labs_town: LabsTown) -> None:
    gao = labs_town.member("gao", BARE)
    labs_town.sign_in(gao)
    image = sandbox.find(labs_towns.IMAGE)
    gone = ("The image of this profile is not on the node", "镜像不在节点上")
    for remove, said in (
        ((image.root / "box" / "more.py").unlink, ("The image of this profile is damaged", "已损坏")),
        (lambda: shutil.rmtree(image.root.parent), gone),
        ((sandbox.images_folder() / f"{labs_towns.IMAGE}.json").unlink, gone),
    ):
        remove()
        gao.page.goto(labs_town.hub + "/hub/spawn")
        for text in said:
            gao.page.get_by_text(text).first.wait_for(state="attached")
        assert labs_towns.IMAGE in (gao.page.text_content("body") or ""), (
            "and with which command it is made again"
        )


@pytest.mark.long
def test_a_session_that_ended_loses_no_work(labs_town: LabsTown, hai: Guest, notebook: Notebook) -> None:
    notebook.save()  # the first time JupyterLab asks for a name
    notebook.note("# typed before the sign-out in another tab")
    other = hai.context.new_page()
    other.goto(labs_town.hub + "/hub/home")
    other.get_by_role("button", name="Sign out").click()
    other.wait_for_url(labs_town.portal + "/**")
    hai.page.remove_locator_handler(save_errors(hai))
    hai.page.keyboard.press("Control+s")
    assert "Save Error" in hai.lab.dialog(), "the page says that it could not save"
    hai.page.add_locator_handler(save_errors(hai), close)
    other.goto(labs_town.portal + "/labs")
    other.get_by_role("link", name="Open my lab").click()
    other.locator("#start, .jp-LabShell, #progress-bar").first.wait_for()
    if other.locator("#start").count():
        other.locator("#start").click(no_wait_after=True)
    jupyterlab.wait_until_usable(other)
    notebook.save()
    assert "typed before the sign-out" in saved(hai)
    other.close()


@pytest.mark.long
def test_a_membership_that_ended_ends_the_lab_and_says_so(labs_town: LabsTown) -> None:
    bo = labs_town.member("bo")
    labs_town.open_lab(bo)
    notebook = bo.lab.new_notebook()
    notebook.note("# mine")
    notebook.save()
    projects.change(labs_town.site.home, STUDY, projects.Changes(remove=(bo.name,)))
    notice = bo.page.locator("#darkroom-notice")
    until(lambda: "ends in a moment, because you are no longer" in (notice.text_content() or ""), 200)
    until(lambda: "Everything that is open here is saved" in (notice.text_content() or ""), 60)
    page = bo.context.new_page()
    page.goto(labs_town.hub + "/hub/home")
    until(lambda: "no longer" in (page.reload() and page.inner_text("body")), 200)
    assert "Your files stay" in page.inner_text("body")
    bo.page.bring_to_front()
    until(lambda: "The lab was stopped because you are no longer" in (notice.text_content() or ""), 60)
    projects.change(labs_town.site.home, STUDY, projects.Changes(add=(bo.name,)))
    labs_town.open_lab(bo)
    assert "# mine" in saved(bo)
    labs_town.stop_lab(bo)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_twenty_who_come_at_once_get_a_lab_or_a_reason(labs_town: LabsTown) -> None:
    """Twenty on two cores: each ends ready, or with a sentence that says why not. With stand-ins for portal and node
    it is in `tests/notebooks/test_hub.py`.
    """
    for guest in list(labs_town.guests.values()):
        guest.page.goto("about:blank")
    crowd = [labs_town.member(f"crowd{number}") for number in range(20)]
    for guest in crowd:
        labs_town.sign_in(guest)
        guest.page.goto(labs_town.hub + "/hub/home")
    for guest in crowd:
        guest.page.locator("#start").click(no_wait_after=True)
    ends, ready, reasons = time.monotonic() + 900, 0, []
    for guest in crowd:
        story = guest.page.locator(
            ".jp-LabShell, .alert, .progress-log-event:has-text('Waiting for a place')"
        ).first
        try:
            story.wait_for(state="attached", timeout=max(1.0, ends - time.monotonic()) * 1000)
        except TimeoutError:
            seen = f"{guest.page.url}: {guest.page.inner_text('body')[:1000]}"
            raise AssertionError(f"{guest.name} sees nothing but {seen}") from None
        if guest.page.locator(".jp-LabShell").count():
            ready += 1
        else:
            reasons.append(guest.page.locator(".alert, .progress-log-event").last.text_content())
    assert ready + len(reasons) == len(crowd) and all(reasons), reasons
    running = [lab for lab in labs_town.living() if lab["state"] != "created"]
    assert ready >= 1 and len(running) <= labs_towns.MEMORY_MB // 1024, "those that wait have no memory"

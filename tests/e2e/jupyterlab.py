"""What a person does in JupyterLab: a real Chromium, pages found by what they say, waits and no sleeps.

Nothing here knows Darkroom: the same hands drive a lab and a bare JupyterHub (`benchmarks/notebook_peer.py`).

*Usable* means, in both: JupyterLab has drawn its launcher with the card of a kernel, or a notebook with its kernel's
name, and the cover that it shows while it loads is gone; a click on the card then gives a kernel.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from playwright.sync_api import (
    Browser,
    BrowserContext,
    Error,
    Locator,
    Page,
    Response,
    TimeoutError,
    expect,
    sync_playwright,
)

CHROMIUM = "/usr/bin/chromium"
CARD = ".jp-LauncherCard[data-category=Notebook]:visible"
NOTEBOOK = ".jp-NotebookPanel:visible"
EDITOR = ".cm-content"
DONE, SENT = re.compile(r"\[\d+\]"), re.compile(r"\[(\*|\d+)\]")
TRIES = 8
PATIENCE_S = 120.0
"""How long anything on a page is waited for, which comes in one second where nothing else runs."""

COMES_TRUE = """(place, wanted) => new Promise((done) => {
    let turns = 60;
    const look = () => {
        if (WHAT) done(true);
        else if (turns-- === 0) done(false);
        else setTimeout(look, 50);
    };
    look();
})"""
"""Whether something comes true within sixty turns of the page. They take three seconds, and as much longer as the page
stands still, so that a slow one is not taken for one to which the keyboard does not belong.
"""

LINES = "[...place.querySelectorAll('.cm-line')].map((line) => line.textContent)"
HOLDS = rf"!!place.querySelector('.cm-gap') || {LINES}.join('\n') === wanted"
MORE_CELLS = "place.closest('.jp-Notebook').querySelectorAll('.jp-Cell').length > wanted"
TAKEN = r"!place.isConnected || /\[(\*|\d+)\]/.test(place.querySelector('.jp-InputArea-prompt').textContent)"
"""JupyterLab makes a cell below also where it has no kernel yet, and executes nothing. A star comes at once or never.
"""

LOADED = "() => new Promise((done) => document.readyState === 'complete' ? done() : addEventListener('load', done))"
HOME_NEEDS = ["home", "jquery", "moment", "jhapi", "utils"]
"""Scripts of the Hub's page, whose buttons do nothing before."""

expect.set_options(timeout=PATIENCE_S * 1000)


@contextmanager
def chromium(*more: str) -> Iterator[Browser]:
    """Start Debian's Chromium, without a window, with more switches; as root it has no sandbox of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or CHROMIUM,
            args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", *more],
        )
        try:
            yield browser
        finally:
            browser.close()


def a_person(browser: Browser, language: str = "en-US") -> BrowserContext:
    """Return a fresh browser of one person: no cookie, nothing cached."""
    context = browser.new_context(locale=language, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_S * 1000)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    return context


def wait_until_usable(page: Page, patience_s: float = PATIENCE_S) -> None:
    """Wait until JupyterLab in this page is usable, as the module's text defines it."""
    ready = page.locator(f"{CARD}, {NOTEBOOK} .jp-Toolbar-kernelName")
    ready.first.wait_for(timeout=patience_s * 1000)
    expect(page.locator("#jupyterlab-splash")).to_have_count(0, timeout=patience_s * 1000)


def stop_at_home(page: Page, home: str) -> None:
    """Stop a lab by the button of the Hub's page, once its script listens, and wait until it has stopped."""
    page.goto(home)
    page.wait_for_function(f"() => window.requirejs && {HOME_NEEDS}.every((each) => requirejs.defined(each))")
    page.locator("#stop").click()
    page.locator("#stop").wait_for(state="hidden")


def press(button: Locator) -> None:
    """Press a button to which a script listens, once its page has loaded its scripts."""
    for _ in range(TRIES):
        with suppress(Error):  # the page that was left just now had such a button, too
            button.evaluate(LOADED)
            break
    button.click()


def write(editor: Locator, text: str) -> None:
    """Put a text in place of what an editor holds, and see that it is there: while tabs are restored another one may
    take the keyboard.
    """
    for _ in range(TRIES):
        editor.click()
        editor.press("Control+a")
        editor.page.keyboard.insert_text(text)
        if editor.evaluate(COMES_TRUE.replace("WHAT", HOLDS), text):
            return
    raise AssertionError(f"the editor did not take the text: {text[:80]}")


def look_again_until(page: Page, there: Locator) -> None:
    """Turn to a page again and again, so that what it looks after now and then is looked after at once, until it shows
    something.
    """
    for _ in range(300):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.wait_for_timeout(400)
        if there.count():
            return
    expect(there).to_have_count(1)


@dataclass(slots=True)
class Cell:
    """One code cell that was sent to the kernel."""

    place: Locator

    @property
    def output(self) -> Locator:
        """The part of the cell below its code."""
        return self.place.locator(".jp-Cell-outputArea")

    @property
    def text(self) -> str:
        """What a person reads below the code now, without prompts."""
        return "\n".join(self.output.locator(".jp-OutputArea-output").all_inner_texts())

    @property
    def html(self) -> str:
        """The markup of the output."""
        return "\n".join(part.inner_html() for part in self.output.locator(".jp-OutputArea-output").all())

    @property
    def pictures(self) -> int:
        """How many drawings are below the code."""
        return self.output.locator("img, svg").count()

    def wait(self, patience_s: float = PATIENCE_S) -> Cell:
        """Wait until the kernel is done with it."""
        self.place.locator(".jp-InputArea-prompt").filter(has_text=DONE).wait_for(timeout=patience_s * 1000)
        return self

    def wait_for_text(self, text: str | re.Pattern[str], patience_s: float = PATIENCE_S) -> Cell:
        """Wait until the output says something; the cell may still run."""
        expect(self.output).to_contain_text(text, timeout=patience_s * 1000)
        return self

    def answer(self, question: str, text: str, patience_s: float = PATIENCE_S) -> Cell:
        """Answer a question that the cell asks (`input`, `getpass`)."""
        asked = self.output.locator("pre.jp-Stdin-prompt", has_text=question)
        field = asked.locator("input.jp-Stdin-input")
        field.wait_for(timeout=patience_s * 1000)
        field.fill(text)
        field.press("Enter")
        return self


@dataclass(slots=True)
class Notebook:
    """A notebook in a tab of its own, by the name that the page has for its panel."""

    page: Page
    name: str

    @property
    def panel(self) -> Locator:
        """Toolbar and cells."""
        return self.page.locator(f'[id="{self.name}"]')

    @property
    def cells(self) -> Locator:
        """All its cells."""
        return self.panel.locator(".jp-Cell")

    def wait_for_kernel(self, patience_s: float = PATIENCE_S) -> Notebook:
        """Wait until its kernel has started and has nothing to do."""
        idle = self.panel.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]")
        idle.wait_for(timeout=patience_s * 1000)
        return self

    def start(self, code: str) -> Cell:
        """Write code into the last cell and send it; do not wait for its end."""
        cell = self._last()
        for _ in range(TRIES):
            write(cell.locator(EDITOR), code)
            if self._sends(cell):
                return Cell(cell)
        raise AssertionError(f"the notebook did not take the cell: {code[:80]}")

    def send(self, cell: Locator) -> Cell:
        """Send a cell as it is; do not wait for its end."""
        for _ in range(TRIES):
            cell.locator(EDITOR).click()
            if self._sends(cell):
                return Cell(cell)
        raise AssertionError("the notebook did not take the cell")

    def _last(self) -> Locator:
        place = self.cells.nth(self.cells.count() - 1).get_attribute("data-windowed-list-index")
        return self.panel.locator(f'.jp-Cell[data-windowed-list-index="{place}"]')

    def _sends(self, cell: Locator) -> bool:
        """Whether a cell is sent by the keyboard: it has a star or a number."""
        cell.locator(EDITOR).press("Shift+Enter")
        if not cell.evaluate(COMES_TRUE.replace("WHAT", TAKEN), None):
            return False
        try:
            cell.locator(".jp-InputArea-prompt").filter(has_text=SENT).wait_for(timeout=20_000)
        except TimeoutError:  # it was drawn anew, and not sent
            return False
        return True

    def run(self, code: str, patience_s: float = PATIENCE_S) -> Cell:
        """Type code into the last cell, send it, and wait until the kernel is done with it."""
        return self.start(code).wait(patience_s)

    def note(self, text: str) -> None:
        """Write into the last cell without sending it, and go on in a new one below: work that is not saved yet."""
        cell, count = self._last(), self.cells.count()
        for _ in range(TRIES):
            write(cell.locator(EDITOR), text)
            cell.locator(EDITOR).press("Escape")
            self.page.keyboard.press("b")
            if cell.evaluate(COMES_TRUE.replace("WHAT", MORE_CELLS), count):
                expect(self.cells).to_have_count(count + 1)
                return
        raise AssertionError(f"the notebook made no cell below: {text[:80]}")

    def save(self) -> None:
        """Save by the keyboard, keep the name that is offered, and wait until nothing is left to save."""
        self.page.keyboard.press("Control+s")
        named = self.page.locator(".jp-Dialog button.jp-mod-accept")
        saved = self.page.locator(".lm-TabBar-tab.lm-mod-current:not(.jp-mod-dirty)")
        named.or_(saved).first.wait_for()
        if named.count():
            named.click()
        self.wait_until_saved()

    def wait_until_saved(self, patience_s: float = PATIENCE_S) -> None:
        """Wait until JupyterLab has saved the notebook, by itself or because it was asked."""
        unsaved = self.page.locator(".lm-TabBar-tab.lm-mod-current.jp-mod-dirty")
        expect(unsaved).to_have_count(0, timeout=patience_s * 1000)


def _makes_a_file(response: Response) -> bool:
    return response.request.method == "POST" and "/api/contents" in response.url


@dataclass(slots=True)
class JupyterLab:
    """JupyterLab in one page of one person."""

    page: Page

    def new_notebook(self, patience_s: float = PATIENCE_S) -> Notebook:
        """Open the launcher, choose Python, and wait for the kernel."""
        if not self.page.locator(CARD).count():
            self.page.locator('[data-command="launcher:create"]').first.click()
        with self.page.expect_response(_makes_a_file, timeout=patience_s * 1000) as made:
            self.page.locator(CARD).first.click()
        return self._in_tab(str(made.value.json()["name"]), patience_s)

    def open(self, file: str, patience_s: float = PATIENCE_S) -> Notebook:
        """Open a notebook from the list of files; one that is open already comes to the front."""
        self.page.locator(".jp-DirListing-item", has_text=file).first.dblclick()
        return self._in_tab(file, patience_s)

    def in_front(self, patience_s: float = PATIENCE_S) -> Notebook:
        """Return the notebook that is seen."""
        return self._seen(patience_s)

    def _in_tab(self, file: str, patience_s: float) -> Notebook:
        name = re.compile(rf"^{re.escape(file)}$")
        tab = self.page.locator(".lm-DockPanel-tabBar .lm-TabBar-tab.lm-mod-current").filter(has_text=name)
        tab.wait_for(timeout=patience_s * 1000)
        return self._seen(patience_s)

    def _seen(self, patience_s: float) -> Notebook:
        panel = self.page.locator(NOTEBOOK).first
        panel.wait_for(timeout=patience_s * 1000)
        found = Notebook(self.page, str(panel.get_attribute("id")))
        return found.wait_for_kernel(patience_s)

    def dialog(self, patience_s: float = PATIENCE_S) -> str:
        """Wait for a dialog or a notice and return what it says."""
        said = self.page.locator(".jp-Dialog-content, .Toastify__toast").first
        said.wait_for(timeout=patience_s * 1000)
        return said.inner_text()

    def dismiss(self) -> None:
        """Close every dialog, one after the other as they come, and every notice."""
        dialog = self.page.locator(".jp-Dialog button.jp-mod-accept")
        while dialog.count():
            dialog.first.click()
            self.page.wait_for_timeout(200)  # the next one, if it waits, is drawn now
        for button in self.page.locator(".jp-toastContainer button").all():
            button.click()

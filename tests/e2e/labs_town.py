"""A town whose members have labs: real JupyterHub, proxy, porter, launcher and boxes, and a real browser.

People come with a password, since a browser signs in at the portal's own form; what they do in JupyterLab is in
`tests/e2e/jupyterlab.py`. Hosts below `localhost` are resolved by the browser itself; what asks without one connects to
loopback and says the host (`tests/e2e/jupyter_wire.py`).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from playwright.sync_api import Browser, BrowserContext, Page, expect
from playwright.sync_api import Error as PlaywrightError

from notebooks.names import username_of
from plans.box import Entry
from plans.errors import DarkroomError, NotFound
from plans.statements import Duty
from sandbox import api as sandbox
from server import labs, projects
from server.enrolment import add_member, current_roster
from server.running import started
from server.site import Site
from server.twins import ordered
from tests.e2e import jupyterlab
from tests.e2e import town as towns
from tests.e2e.jupyter_wire import Visitor, visitor_of
from tests.sandbox.small_image import lay_image

STUDY, TIGHT, LARGE, BARE = "study", "tight", "large", "bare"
"""Projects: `study` for everybody, with the profile `small`; one with a small home; one with more than there may be;
one with an image of the town's own, in which nothing starts and which a test may take away.
"""
IMAGE = f"labs-town-{os.getpid()}"
"""The name of that image, among those of this machine."""

PROFILES = """
memory_mb = {memory_mb}
idle_hours = 4

[labs.profiles.small]
title = "Small"
title_zh = "标准"
memory_mb = 1024
home_mb = 256
home_files = 20000

[labs.profiles.tight]
title = "Small home"
title_zh = "小主目录"
memory_mb = 1024
home_mb = 24
home_files = 4000

[labs.profiles.large]
title = "Large"
title_zh = "大"
memory_mb = {large_mb}
home_mb = 256

[labs.profiles.bare]
title = "Bare"
title_zh = "空"
image = "{image}"
memory_mb = 256
home_mb = 64
"""
SAID = ".progress-log-event, .alert"
"""What a page of the Hub says while a lab starts, or of why there is none."""

LISTENS = """(() => {
  if (!location.hostname.startsWith("labs.") || !location.pathname.startsWith("/hub/")) return;
  const tell = (place) => place.textContent.trim() && window.labsTownHears(place.textContent.trim());
  const look = (node) => {
    const around = (node.nodeType === Node.ELEMENT_NODE ? node : node.parentElement)?.closest("SAID");
    if (around) tell(around);
    if (node.nodeType === Node.ELEMENT_NODE) node.querySelectorAll("SAID").forEach(tell);
  };
  new MutationObserver((changes) => changes.forEach((each) => each.addedNodes.forEach(look)))
    .observe(document, {childList: true, subtree: true});
})();""".replace("SAID", SAID)
"""Runs in pages of the Hub alone, before anything of theirs: hands on each text as it is added. A page goes on to the
lab as soon as it has said the last of it, so whoever looks from time to time would miss some.
"""
HEARD_S = 25.0
"""How long a page may take until it says the first of it; the Hub waits longer for a node that does not answer."""
PATIENCE_S = jupyterlab.PATIENCE_S

PASSPHRASE, KEY_KINDS = "correct horse battery", ("ed25519", "x25519", "sha256")
MEMORY_MB, LARGE_MB = 6 * 1024, 5 * 1024
"""What all labs may have together, and a profile that fits only beside one small lab."""


@dataclass(slots=True)
class Guest:
    """A member at a browser."""

    name: str
    password: str
    context: BrowserContext
    page: Page
    told: list[str] = field(default_factory=list)
    """What pages of the Hub said since a lab was asked for last."""

    @property
    def username(self) -> str:
        """The member's name at the Hub."""
        return username_of(self.name)

    @property
    def lab(self) -> jupyterlab.JupyterLab:
        """JupyterLab in the member's page."""
        return jupyterlab.JupyterLab(self.page)

    def visitor(self) -> Visitor:
        """Return who sends requests to the member's lab with the cookies of the member's browser."""
        return visitor_of(self.context, self.page.url)


@dataclass(slots=True)
class LabsTown:
    """A running site with labs, people who came to it, and one browser for all of them."""

    town: towns.Town
    browser: Browser
    guests: dict[str, Guest] = field(default_factory=dict)

    @property
    def site(self) -> Site:
        """Where everything lies."""
        return self.town.site

    @property
    def portal(self) -> str:
        """The portal's address, for browsers."""
        return self.town.url

    @property
    def hub(self) -> str:
        """The Hub's address, for browsers."""
        return labs.address(self.site)

    def member(self, name: str, project: str = STUDY, roles: tuple[str, ...] = ("researcher",)) -> Guest:
        """Make an account in a project, and a fresh browser in front of it; nobody is signed in yet."""
        full, password = f"{name}@{towns.DOMAIN}", secrets.token_urlsafe(12)
        add_member(self.site, full, roles, password)
        projects.change(self.site.home, project, projects.Changes(add=(full,)))
        context = jupyterlab.a_person(self.browser)
        told: list[str] = []
        context.expose_binding("labsTownHears", lambda _, text: told.append(str(text)))
        context.add_init_script(LISTENS)
        self.guests[name] = Guest(full, password, context, context.new_page(), told)
        return self.guests[name]

    def sign_in(self, guest: Guest) -> None:
        """Sign in by the portal's form, as a person does."""
        guest.page.goto(self.portal + "/sign-in")
        fill_sign_in(guest)
        expect(guest.page.get_by_text("You are signed in as")).to_be_visible()

    def start_lab(self, guest: Guest) -> None:
        """Go from the portal's page of labs to the lab; return while it starts."""
        guest.told.clear()
        guest.page.goto(self.portal + "/labs")
        guest.page.get_by_role("link", name="Open my lab").click()
        guest.page.wait_for_url(f"{self.hub.split('://')[0]}://*labs.localhost*/**")
        self.click_start(guest)

    def click_start(self, guest: Guest) -> None:
        """Press the Hub's button that starts a lab, where it shows one."""
        ready = guest.page.locator("#start, .jp-LabShell, #progress-message, #spawn_form").first
        ready.wait_for()
        if guest.page.locator("#start").count():
            guest.page.locator("#start").click(no_wait_after=True)

    def stages(self, guest: Guest, patience_s: float = PATIENCE_S) -> list[str]:
        """Start a lab and return what the page said meanwhile, until it is another page or says what went wrong.

        A lab that is up before the page of the Hub listens is told in one word, so its node waits for the page.
        """
        with self.halted("launcher:labs"):
            self.start_lab(guest)
            heard = time.monotonic() + HEARD_S
            while not guest.told and time.monotonic() < heard:
                guest.page.wait_for_timeout(50)
        ends, failed = time.monotonic() + patience_s, False
        while "/hub/" in guest.page.url and not failed and time.monotonic() < ends:
            guest.page.wait_for_timeout(50)
            with contextlib.suppress(PlaywrightError):  # the page has just gone on
                failed = guest.page.locator(".alert").count() > 0
        return list(dict.fromkeys(guest.told))

    def open_lab(self, guest: Guest, patience_s: float = PATIENCE_S) -> jupyterlab.JupyterLab:
        """Sign in if need be, start the lab, and wait until JupyterLab is usable."""
        if not guest.context.cookies(self.portal):
            self.sign_in(guest)
        self.start_lab(guest)
        jupyterlab.wait_until_usable(guest.page, patience_s)
        return guest.lab

    def stop_lab(self, guest: Guest) -> None:
        """Stop the lab on the Hub's page, and wait until it has stopped."""
        jupyterlab.stop_at_home(guest.page, self.hub + "/hub/home")

    def make_keys(self, guest: Guest, notebook: jupyterlab.Notebook) -> str:
        """Have the lab make the member's keys, enrol them on the portal's page, and return their fingerprint."""
        cell = notebook.start("import darkroom\ndarkroom.unlock()")
        cell.answer("A new passphrase", PASSPHRASE)
        cell.answer("The same again", PASSPHRASE)
        cell.wait_for_text("x25519:")
        shown = {kind: re.search(rf"{kind}:[0-9a-f]{{64}}", cell.text) for kind in KEY_KINDS}
        page = guest.context.new_page()
        page.goto(self.portal + "/keys")
        for label, kind in (("Signing key", "ed25519"), ("Opening key", "x25519")):
            page.get_by_label(label).fill(shown[kind][0])
        page.get_by_role("button", name="Enrol these keys").click()
        page.get_by_text("They can only be replaced").wait_for()
        page.close()
        cell.wait()
        return str(shown["sha256"][0])

    def apply(self, guest: Guest, address: str) -> None:
        """Send the portal's form of an application as it is filled in by the address that the lab gave."""
        page = guest.context.new_page()
        page.goto(address)
        until = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%d")
        page.get_by_label("Last day").fill(until)
        page.get_by_role("button", name="Apply").click()
        page.get_by_text("An approver of").wait_for()
        page.close()

    def grant(self, guest: Guest, fingerprint: str, dataset: str = towns.DATASET) -> None:
        """Let the owner's approver grant what the member applied for."""
        li = self.town.people["li"].connection
        (wish,) = [
            each
            for each in li.applications()
            if (each["member"], each["dataset"], each["state"]) == (guest.name, dataset, "open")
        ]
        li.trust_member(guest.name, fingerprint)
        statement = li.grant(str(wish["id"]))
        li.hand_in(statement, str(wish["id"]))

    def trust_keeper(self, guest: Guest) -> str:
        """Trust the owner's keeper in the lab's terminal, by the key that the owner told; return what was said."""
        entries = current_roster(self.town.owner).entries
        key = next(entry.key for entry in entries if entry.duty is Duty.KEEPER)
        return guest.visitor().terminal(f"darkroom trust {towns.DOMAIN} --keeper-key {key}")

    def end_labs(self) -> None:
        """End every lab at the launcher, those that wait for a place too, and wait until none is left."""
        launcher = sandbox.LauncherClient(self.site.labs.launcher_socket)

        def ended() -> bool:
            left = self.living()
            for lab in left:
                with contextlib.suppress(NotFound):  # it has ended meanwhile
                    launcher.cancel(str(lab["plan"]), Entry.LAB, int(str(lab["attempt"])))
            return not left

        until(ended)

    def living(self) -> list[dict[str, object]]:
        """Return the labs that the launcher says are alive."""
        return list(sandbox.LauncherClient(self.site.labs.launcher_socket).status()["boxes"])

    def kill(self, role: str) -> None:
        """End a process of the site at once; the supervisor starts it anew."""
        os.kill(self.town.supervisor.pid(role), signal.SIGKILL)

    @contextmanager
    def halted(self, role: str) -> Iterator[None]:
        """Have a process of the site stand still for the time of a block; it lives, and answers nobody."""
        pid = self.town.supervisor.pid(role)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    @contextmanager
    def stopped(self, role: str) -> Iterator[None]:
        """Hold a process of the site down for the time of a block: whenever it is started anew it ends at once."""
        over = threading.Event()

        def hold() -> None:
            while not over.is_set():
                with contextlib.suppress(ProcessLookupError):
                    self.kill(role)
                over.wait(0.05)

        holding = threading.Thread(target=hold)
        holding.start()
        try:
            yield
        finally:
            over.set()
            holding.join()


def fill_sign_in(guest: Guest) -> None:
    """Fill the portal's form that the guest's page shows, and send it."""
    guest.page.get_by_label("Member").fill(guest.name)
    guest.page.get_by_label("Password").fill(guest.password)
    guest.page.get_by_role("button", name="Sign in").click()


def found_town(home: Path, port: int, memory_mb: int = MEMORY_MB) -> Site:
    """Make the site, its owner's side, and the side of labs; start nothing."""
    site = towns.found_town(home, port)
    with site.settings.open("a") as file:
        file.write(PROFILES.format(memory_mb=memory_mb, large_mb=LARGE_MB, image=IMAGE))
    labs.found(site)
    return site


@contextmanager
def an_image() -> Iterator[sandbox.Image]:
    """Lay a small image under `IMAGE` among those of this machine, as a builder does; at the end nothing is left."""
    kept = sandbox.images_folder()
    image, record = lay_image(kept), kept / f"{IMAGE}.json"
    record.write_text(json.dumps({"digest": image.digest}))
    try:
        yield image
    finally:
        record.unlink(missing_ok=True)
        shutil.rmtree(image.root.parent, ignore_errors=True)


def found_projects(site: Site) -> None:
    """Make the projects."""
    for name, profile in ((STUDY, "small"), (TIGHT, "tight"), (LARGE, "large"), (BARE, "bare")):
        title = projects.Changes(name.capitalize(), "研究", towns.PURPOSE, (profile,), None, ())
        projects.add(site.home, name, title)


@contextmanager
def a_town(folder: Path, port: int) -> Iterator[towns.Town]:
    """Start a town with labs, settled: people, data, policies and grants beside them."""
    with an_image():
        site = found_town(folder / "site", port)
        found_projects(site)
        with started(site) as supervisor:
            labs.wait_until_up(site)
            town = towns.Town(site, supervisor, folder, f"http://127.0.0.1:{port}")
            towns.settle(town)
            for dataset in (towns.DATASET, "nm/tax/register"):
                ordered(site.home, dataset, order=False)
            yield town


def until(what: Callable[[], object], patience_s: float = PATIENCE_S, pause_s: float = 0.1) -> object:
    """Wait until something is true, and return it; what cannot be asked yet is not true yet."""
    ends = time.monotonic() + patience_s
    while time.monotonic() < ends:
        try:
            if found := what():
                return found
        except (DarkroomError, OSError, httpx.HTTPError):
            pass
        time.sleep(pause_s)
    raise AssertionError(f"it did not come within {patience_s} s")

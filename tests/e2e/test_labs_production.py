"""Labs as in production: portal, Hub and labs under public names, behind TLS, by nginx with the configuration that
operators are given. One member's way in and out in a real Chromium, to which these names are this machine.

The tests follow each other. What needs no browser is in `tests/portal/test_behind_nginx.py` and `test_public_name.py`.
"""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from notebooks.names import host_of, username_of
from sandbox import api as sandbox
from server import labs, projects
from server.enrolment import add_member, found_site
from server.running import address, reached, started
from server.site import Site
from tests.e2e import jupyterlab
from tests.e2e.jupyterlab import Notebook
from tests.e2e.labs_town import until
from tests.portal import tls_proxy
from tests.portal.tls_proxy import Door
from tests.ports import free_ports

pytestmark = [pytest.mark.long, pytest.mark.box, pytest.mark.ray]

MEMBER, ATTACKER = "chen@nm/tax", "mallory@nm/tax"
PROFILE = """
origin = "{labs}"

[labs.profiles.small]
memory_mb = 1024
home_mb = 256
"""


@dataclass(frozen=True)
class Production:
    """A running site behind its proxy, one browser, and what it asked for."""

    site: Site
    door: Door
    browser: Browser
    password: str
    context: BrowserContext
    page: Page
    asked: list[str] = field(default_factory=list)

    def cookies(self, origin: str) -> dict[str, dict[str, object]]:
        """Return the cookies that the member's browser sends to an origin, by name."""
        return {str(each["name"]): dict(each) for each in self.context.cookies(origin)}

    def sign_in(self, page: Page, member: str = MEMBER) -> None:
        """Fill the form of the portal that the page shows."""
        page.get_by_label("Member").fill(member)
        page.get_by_label("Password").fill(self.password)
        page.get_by_role("button", name="Sign in").click()


def found(folder: Path, door: Door) -> Site:
    """Make a site with public names, and one project; start nothing."""
    site = found_site(folder / "site", free_ports(2))
    text = site.settings.read_text() + PROFILE.format(labs=door.labs)
    site.settings.write_text(f'origin = "{door.portal}"\n{text}')
    assert labs.found(site) is not None
    wanted = projects.Changes("Study", "研究", "A study of incomes", ("small",), None, ())
    projects.add(site.home, "study", wanted)
    return site


@pytest.fixture(scope="module")
def front() -> Iterator[tuple[Site, Door]]:
    """A running site, and nginx before it."""
    folder = Path(tempfile.mkdtemp(prefix="dr-prod-"))
    folder.chmod(0o711)
    (folder / "front").mkdir(mode=0o700)
    door = tls_proxy.door(folder / "front")
    try:
        site = found(folder, door)
        port, labs_port = (int(urlsplit(address(site)).port or 0) + more for more in (0, 1))
        with started(site), tls_proxy.nginx(folder / "front", door, port, labs_port):
            labs.wait_until_up(site)
            yield site, door
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def town(front: tuple[Site, Door]) -> Iterator[Production]:
    """A member in front of a browser to which the public names are this machine."""
    site, door = front
    password = secrets.token_urlsafe(12)
    for name in (MEMBER, ATTACKER):
        add_member(site, name, ("researcher",), password)
        projects.change(site.home, "study", projects.Changes(add=(name,)))
    with jupyterlab.chromium("--host-resolver-rules=MAP *.example.test 127.0.0.1") as browser:
        context = browser.new_context(ignore_https_errors=True, locale="en-US")
        context.set_default_timeout(jupyterlab.PATIENCE_S * 1000)
        made = Production(site, door, browser, password, context, context.new_page())
        context.on("request", lambda request: made.asked.append(request.url))
        yield made


@pytest.fixture(scope="module")
def notebook(town: Production) -> Notebook:
    """One sign-in, at the portal's public name, and a notebook in the lab to which it leads."""
    page = town.page
    page.goto(town.door.portal + "/sign-in")
    town.sign_in(page)
    expect(page.get_by_text("You are signed in as")).to_be_visible()
    page.goto(town.door.portal + "/labs")
    page.get_by_role("link", name="Open my lab").click()
    page.wait_for_url(re.compile(re.escape(tls_proxy.LABS)))
    page.locator("#start, .jp-LabShell, #progress-message, #spawn_form").first.wait_for()
    if page.locator("#start").count():
        page.locator("#start").click(no_wait_after=True)
    jupyterlab.wait_until_usable(page)
    return jupyterlab.JupyterLab(page).new_notebook()


def test_one_sign_in_leads_to_a_lab_and_every_call_goes_by_tls_to_a_public_name(
    town: Production, notebook: Notebook
) -> None:
    assert notebook.run("6 * 7").text.strip() == "42", "by a websocket"
    host = host_of(username_of(MEMBER), tls_proxy.LABS, "user")
    assert urlsplit(town.page.url).netloc == f"{host}:{town.door.tls}"
    hosts = {urlsplit(url).netloc for url in town.asked if not url.startswith(("data:", "blob:"))}
    assert hosts == {f"{name}:{town.door.tls}" for name in (tls_proxy.PORTAL, tls_proxy.LABS, host)}
    assert {urlsplit(url).scheme for url in town.asked} <= {"https", "data", "blob"}
    assert town.door.portal in reached(town.site)


def test_what_a_lab_tells_its_member_leads_to_the_public_name(town: Production, notebook: Notebook) -> None:
    told = notebook.run(
        "import darkroom\nprint(darkroom.connect().me()['name'], darkroom.local.portal_page('/keys'))"
    )
    assert told.text.split() == [MEMBER, f"{town.door.portal}/keys"]
    shown = notebook.run(
        "import os\nprint(*(value for value in os.environ.values() if value.startswith('http')))"
    )
    inner = urlsplit(address(town.site)).netloc
    assert town.door.portal in shown.text and inner not in shown.text


def test_every_cookie_is_secure_and_those_that_sign_in_are_bound_to_their_host(
    town: Production, notebook: Notebook
) -> None:
    lab = "https://" + urlsplit(town.page.url).netloc
    everywhere = {place: town.cookies(place + "/") for place in (town.door.portal, town.door.labs, lab)}
    held = [each for each in town.context.cookies() if "example.test" in str(each["domain"])]
    assert len(held) >= 5 and all(
        each["secure"] and each["sameSite"] in ("Lax", "Strict") for each in held
    ), held
    for place, wanted, rule in (
        (town.door.portal, r"__Host-darkroom", "Strict"),
        (town.door.labs, r"__Host-jupyterhub-hub-login", "Lax"),
        (lab, r"__Host-jupyterhub-user-.*", "Lax"),
    ):
        (found,) = (each for name, each in everywhere[place].items() if re.fullmatch(wanted, name))
        assert found["httpOnly"] and found["path"] == "/" and found["sameSite"] == rule
        assert found["domain"] == urlsplit(place).hostname, "and no host below"
        others = [name for other, names in everywhere.items() if other != place for name in names]
        assert found["name"] not in others
    assert not set(everywhere[town.door.portal]) & set(everywhere[lab])


TOSS = """([value, domain]) => {
    const names = ["__Host-darkroom", "__host-darkroom", "darkroom", "__Host-jupyterhub-hub-login", "tossed"];
    for (const name of names)
        for (const rest of [`Domain=${domain}; Path=/; Secure`, `Domain=${domain}; Path=/labs`, "Path=/"])
            document.cookie = `${name}=${value}; ${rest}`;
    document.cookie = `=__Host-darkroom=${value}; Domain=${domain}; Path=/; Secure`;
    document.cookie = `__Host-darkroom=${value}`;
}"""


def test_a_labs_page_puts_nobody_into_its_own_session(town: Production, notebook: Notebook) -> None:
    """Login by a tossed cookie: the lab's page sets the attacker's session for the domain above all of ours."""
    body = {"member": ATTACKER, "password": town.password}
    answer = _through(town, "POST", "/api/v1/sign-in", json=body)
    token = answer.json()["token"]
    attacker = _through(town, "GET", "/", headers={"Cookie": f"__Host-darkroom={token}"}).text
    assert ATTACKER in attacker, "the control: this value is a session"
    before = {place: town.cookies(place + "/") for place in (town.door.portal, town.door.labs)}
    for domain in ("example.test", tls_proxy.LABS, tls_proxy.PORTAL):
        town.page.evaluate(TOSS, [token, domain])
    after = {place: town.cookies(place + "/") for place in (town.door.portal, town.door.labs)}
    assert "tossed" in after[town.door.portal] and "tossed" in after[town.door.labs], (
        "the control: cookies can be tossed"
    )
    for place, names in before.items():
        for name, each in names.items():
            if name.startswith("__Host-"):
                assert after[place][name]["value"] == each["value"]
    page = town.context.new_page()
    for path in ("/", "/labs", "/keys"):
        page.goto(town.door.portal + path)
        shown = page.content()
        assert MEMBER in shown and ATTACKER not in shown, path
    page.goto(town.door.labs + "/hub/home")
    assert username_of(ATTACKER) not in page.content()
    page.close()


def _through(town: Production, method: str, path: str, **given: object) -> httpx.Response:
    """Send a call to the portal through nginx, from no browser."""
    headers = {"Host": f"{tls_proxy.PORTAL}:{town.door.tls}", **given.pop("headers", {})}  # type: ignore[dict-item]
    with httpx.Client(verify=False, trust_env=False, timeout=120) as client:
        url = f"https://127.0.0.1:{town.door.tls}{path}"
        extensions = {"sni_hostname": tls_proxy.PORTAL}
        return client.request(method, url, headers=headers, extensions=extensions, **given)  # type: ignore[arg-type]


def test_past_the_proxy_a_session_is_worth_nothing(town: Production, notebook: Notebook) -> None:
    inner = address(town.site)
    token = str(town.cookies(town.door.portal)["__Host-darkroom"]["value"])
    for name in ("__Host-darkroom", "darkroom"):
        for path in ("/", "/labs", "/api/v1/me", "/oauth/authorize"):
            answer = httpx.get(inner + path, headers={"Cookie": f"{name}={token}"}, trust_env=False)
            assert answer.status_code == 421, (name, path)
    assert httpx.get(inner + "/health", trust_env=False).status_code == 200
    through = _through(town, "GET", "/", headers={"Cookie": f"__Host-darkroom={token}"})
    assert MEMBER in through.text, "the control"
    page = town.context.new_page()
    assert page.goto(inner + "/sign-in").status == 421  # type: ignore[union-attr]
    page.close()


def test_signing_out_ends_lab_and_sessions(town: Production, notebook: Notebook) -> None:
    launcher = sandbox.LauncherClient(town.site.labs.launcher_socket)
    assert launcher.status()["boxes"], "the control"
    lab, page = town.page.url, town.context.new_page()
    old = str(town.cookies(town.door.portal)["__Host-darkroom"]["value"])
    page.goto(town.door.labs + "/hub/home")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(town.door.portal + "/**")
    page.goto(town.door.portal + "/")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign in").wait_for()
    assert "__Host-darkroom" not in town.cookies(town.door.portal)
    cookie = {"Cookie": f"__Host-darkroom={old}"}
    assert _through(town, "GET", "/api/v1/me", headers=cookie).status_code == 401
    page.goto(lab)
    page.get_by_label("Password").wait_for()
    assert page.url.startswith(town.door.portal), "who has gone is asked at the portal again"
    until(lambda: not launcher.status()["boxes"])

"""Two members' labs side by side: neither reaches the other, and in none is what its member may not have.

ATTACKS C from a notebook, H 88, and cross-user proxy, tokens, websockets, cookies, homes, links and ports, from inside
a lab and from outside; every refusal beside the same thing that is allowed.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import websocket

from plans.labs import home_of
from sandbox.attacks import assembly
from sandbox.attacks.canaries import Planted, planted
from tests.e2e import hunt as patterns
from tests.e2e import jupyterlab, labs_hunt
from tests.e2e import town as towns
from tests.e2e.jupyter_wire import Kernel, Visitor
from tests.e2e.labs_town import Guest, LabsTown

pytestmark = [pytest.mark.box, pytest.mark.ray]

BY_DESIGN = {
    "socket-inet", "socket-inet6", "socket-udp", "socket-unix",  # its own loopback, and nothing on it but its own
    "lock-of-image", "lock-of-device", "ask-for-locks",  # notebooks lock; no box with data locks or hears of a lock
    "other-processes", "listed-processes",  # its own: a server, kernels, terminals
    "launchers-session", "working-folder",  # of its own server, in its own home
    "devices", "shells", "terminal",  # a terminal is allowed: the box is the wall
    "symbolic-link", "fifo",  # in its own home, where nobody else follows one
    "paths-of-host", "user-on-host",  # known of every box (docs/security.md)
    "limit-of-processor",  # a lab lasts for days
}  # fmt: skip
"""What a lab gains by what it is for."""

HUB_CALLS = [
    ("GET", "/users"), ("GET", "/users/{other}"), ("GET", "/users/{own}/tokens"), ("POST", "/users/{own}/tokens"),
    ("POST", "/users/{other}/tokens"), ("POST", "/users/{other}/server"), ("DELETE", "/users/{other}/server"),
    ("POST", "/users/{own}/shares"), ("POST", "/users/{other}/activity"), ("GET", "/proxy"), ("POST", "/proxy"),
    ("GET", "/services"), ("GET", "/groups"), ("GET", "/info"), ("POST", "/shutdown"), ("GET", "/shares"),
]  # fmt: skip
HUB = """
import json, os, urllib.request, urllib.error
token = stolen()
def hub(method, path):
    headers = {"Authorization": "token " + token, "Content-Type": "application/json"}
    data = b"{}" if method == "POST" else None
    asked = urllib.request.Request(os.environ["JUPYTERHUB_API_URL"] + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=120) as answer:
            return answer.status
    except urllib.error.HTTPError as refused:
        return refused.code
print(json.dumps([hub(*call) for call in CALLS]))
"""
PORTAL = """
import http.client, json, os, socket
class Link(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.environ["DARKROOM_API_SOCKET"])
def ask(method, path, body):
    link = Link("portal", timeout=120)
    headers = {"Authorization": "Bearer " + os.environ["DARKROOM_TOKEN"], "Host": HOST}
    headers["Content-Type"] = "application/json"
    link.request(method, path, None if body is None else json.dumps(body), headers)
    return link.getresponse().status
print(json.dumps([ask(*call) for call in CALLS]))
"""
PORTAL_CALLS = [
    ("POST", "/api/v1/applications", {}), ("POST", "/api/v1/statements", {}), ("POST", "/api/v1/keys", {}),
    ("POST", "/api/v1/tokens", {}), ("POST", "/api/v1/labs/tokens", {"project": "study"}),
    ("GET", "/api/v1/labs/me", None), ("GET", "/api/v1/applications", None),
    ("GET", "/api/v1/approvals", None), ("POST", "/api/v1/members", {}),
]  # fmt: skip


@pytest.fixture(scope="module")
def pair(labs_town: LabsTown) -> tuple[Guest, Guest]:
    """Two members, each with a running lab; both labs start at once."""
    found = tuple(labs_town.member(name) for name in ("ning", "qiao"))
    for guest in found:
        labs_town.sign_in(guest)
    for guest in found:
        labs_town.start_lab(guest)
    for guest in found:
        jupyterlab.wait_until_usable(guest.page)
    return found[0], found[1]


@pytest.fixture(scope="module")
def mine(pair: tuple[Guest, Guest]) -> Visitor:
    """The first member's way into the own lab."""
    return pair[0].visitor()


@pytest.fixture(scope="module")
def theirs(pair: tuple[Guest, Guest]) -> Visitor:
    """The second member's way into the own lab."""
    return pair[1].visitor()


@pytest.fixture(scope="module")
def kernel(mine: Visitor) -> Kernel:
    """A kernel of the first member's."""
    return mine.kernel()


def test_cookies_of_one_open_no_door_of_the_other(mine: Visitor, theirs: Visitor) -> None:
    assert mine.ask("GET", "api/contents").status_code == 200, "the control"
    intruders = {
        "other cookies at this host": replace(theirs, origin=mine.origin, base=mine.base),
        "this path at the other host": replace(theirs, base=mine.base),
        "the other path at this host": replace(theirs, origin=mine.origin),
        "own cookies at the other host": replace(mine, origin=theirs.origin, base=theirs.base),
        "both members' cookies": replace(theirs, origin=mine.origin, base=mine.base, cookies={
            **{name: value for name, value in mine.cookies.items() if "user" not in name}, **theirs.cookies,
        }),
        "nobody": replace(mine, cookies={}),
        "a token from nowhere": replace(mine, cookies={}, headers={"Authorization": "token " + "0" * 32}),
    }  # fmt: skip
    for name, who in intruders.items():
        for path in ("api/contents", "api/kernels", "lab", "files/Untitled.ipynb", "api/status", "metrics"):
            status = who.ask("GET", path).status_code
            assert status in (302, 403, 404), (name, path, status)
        assert mine.ask("GET", "api/contents").status_code == 200, "the control: the lab refuses, and lives"


def test_websockets_open_for_their_member_from_their_page_alone(
    mine: Visitor, theirs: Visitor, kernel: Kernel
) -> None:
    path = f"api/kernels/{kernel.id}/channels"
    mine.connect(path).close()
    hub = mine.origin.replace(mine.host, "labs.localhost:" + str(mine.port))
    refused = {
        "another member": (replace(theirs, origin=mine.origin, base=mine.base), mine.origin),
        "the own cookies, from the other's page": (mine, theirs.origin),
        "the own cookies, from the Hub's page": (mine, hub),
        "the own cookies, from anywhere": (mine, "https://example.org"),
        "nobody": (replace(mine, cookies={}), mine.origin),
    }
    for name, (who, origin) in refused.items():
        with pytest.raises(websocket.WebSocketBadStatusException) as no:
            who.connect(path, origin=origin)
        assert no.value.status_code in (302, 403), name


def test_nothing_is_changed_without_the_page_s_own_word(mine: Visitor) -> None:
    assert mine.ask("POST", "api/contents", {"type": "file"}).status_code == 201, "the control"
    for headers in ({}, {"Origin": "http://labs.localhost"}, {"Content-Type": "text/plain"}):
        sent = {name: value for name, value in mine.sent().items() if name != "X-XSRFToken"}
        where = f"http://127.0.0.1:{mine.port}{mine.base}api/contents"
        answer = httpx.post(
            where, content='{"type": "file"}', headers=sent | headers, trust_env=False, timeout=120
        )
        assert answer.status_code == 403, headers


def test_no_cookie_goes_where_it_could_be_misused(labs_town: LabsTown, pair: tuple[Guest, Guest]) -> None:
    mine, theirs = pair
    own = {each["name"] for each in mine.context.cookies(mine.page.url)}
    assert any("jupyterhub-user" in name for name in own), "the control"
    portal = {each["name"] for each in mine.context.cookies(labs_town.portal)}
    assert "darkroom" in portal and not portal & own, (
        "a lab is not sent the portal's cookie, nor the other way round"
    )
    at_the_other = {each["name"] for each in mine.context.cookies(theirs.page.url)}
    assert not any("user" in name or "login" in name for name in at_the_other), at_the_other
    at_the_hub = {each["name"]: each for each in mine.context.cookies(labs_town.hub + "/hub/")}
    assert not any("hub-login" in name for name in own), "the Hub's cookie stays at the Hub"
    assert all(each["httpOnly"] for name, each in at_the_hub.items() if "login" in name)


def test_a_lab_s_token_at_the_hub_is_good_for_itself_alone(pair: tuple[Guest, Guest], kernel: Kernel) -> None:
    names = {"own": pair[0].username, "other": pair[1].username}
    calls = [("GET", "/user"), *((method, path.format(**names)) for method, path in HUB_CALLS)]
    control, *refused = json.loads(kernel.run(f"{labs_hunt.STOLEN}\nCALLS = {calls!r}\n" + HUB).text)
    assert control == 200, "the control: it is the token of this lab"
    answers = dict(zip(HUB_CALLS, refused, strict=True))
    assert all(status in (403, 404, 405) for status in answers.values()), answers


def test_a_lab_s_token_can_neither_apply_nor_approve_nor_enrol_nor_make_tokens(
    labs_town: LabsTown, kernel: Kernel
) -> None:
    """ATTACKS H 88."""
    host = labs_town.portal.partition("://")[2]
    calls = [("GET", "/api/v1/datasets", None), ("GET", "/api/v1/jobs", None), *PORTAL_CALLS]
    catalog, jobs, *refused = json.loads(kernel.run(f"CALLS, HOST = {calls!r}, {host!r}\n" + PORTAL).text)
    assert (catalog, jobs) == (200, 200), "the control: it is good for what a lab does"
    answers = dict(zip([path for _, path, _ in PORTAL_CALLS], refused, strict=True))
    assert all(status in (401, 403, 404, 405) for status in answers.values()), answers


def test_from_inside_there_is_no_way_out_but_the_two_links(
    labs_town: LabsTown, pair: tuple[Guest, Guest], kernel: Kernel
) -> None:
    ports = json.loads(next(labs_town.site.labs.porter.glob("*.json")).read_text())
    outside = sorted({int(each["port"]) for each in ports.values()})
    assert len(outside) >= 2, "the control: both labs have a port outside"
    mine = labs_town.portal.rpartition(":")[2]
    reached = kernel.run(
        "import socket\n"
        "def open_(port):\n"
        "    with socket.socket() as peer:\n"
        "        peer.settimeout(3)\n"
        "        return peer.connect_ex(('127.0.0.1', port)) == 0\n"
        f"print([port for port in {[8888, 8081, *outside, int(mine), int(mine) + 1, 8001]!r} if open_(port)])"
    )
    assert json.loads(reached.text) == [8888, 8081], "its own server and its own relay"
    homes = kernel.run(
        "import os\n"
        f"print(os.path.isdir('/home/{home_of(pair[0].name)}'), os.path.exists('/home/{home_of(pair[1].name)}'))"
    )
    assert homes.text.split() == ["True", "False"]
    links = kernel.run("import os; print(sorted(os.listdir('/links')))")
    assert links.text.strip() == "['api', 'hub']"


def test_the_settings_of_a_lab_are_told_once(kernel: Kernel) -> None:
    """Whoever gets at the link later, a package say, does not hear the lab's tokens from it."""
    asked = kernel.run(
        "import socket\n"
        "with socket.socket(socket.AF_UNIX) as link:\n"
        "    link.settimeout(10); link.connect('/links/hub'); link.sendall(b'S')\n"
        "    print(len(link.recv(4096)))"
    )
    assert asked.text.strip() == "0" or "Error" in asked.error, asked


def test_whoever_is_on_the_host_finds_a_lab_s_door_closed(labs_town: LabsTown, mine: Visitor) -> None:
    """Another user of the host comes to a lab's port, past the proxy: no cookie, no token, no entrance."""
    ports = json.loads(next(labs_town.site.labs.porter.glob("*.json")).read_text())
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    wanted = {f"{int(each['port']):04X}" for each in ports.values()}
    doors = {
        tuple(row[1].split(":")) for row in listening if row[3] == "0A" and row[1].split(":")[1] in wanted
    }
    assert doors, "the control: there are ports"
    for address, port in doors:
        host = ".".join(str(int(address[at : at + 2], 16)) for at in (6, 4, 2, 0))
        for path in ("api/contents", "api/kernels", "api/terminals"):
            url = f"http://{host}:{int(port, 16)}{mine.base}{path}"
            assert httpx.get(url, trust_env=False, timeout=120).status_code in (302, 403, 404), url


@contextmanager
def canaries_on_the_host() -> Iterator[Planted]:
    """Plant canaries where attackers look, for as long as the block lasts."""
    box: list[Planted] = []
    ready, over = threading.Event(), threading.Event()
    with tempfile.TemporaryDirectory(prefix="dr-canaries-") as name:
        home = Path(name)
        home.chmod(0o711)

        async def plant() -> None:
            async with planted(home) as found:
                box.append(found)
                ready.set()
                while not over.is_set():
                    await asyncio.sleep(0.05)

        thread = threading.Thread(target=lambda: asyncio.run(plant()))
        thread.start()
        assert ready.wait(120)
        try:
            yield box[0]
        finally:
            over.set()
            thread.join()


def test_attacks_on_boxes_gain_nothing_from_a_notebook(
    labs_town: LabsTown, pair: tuple[Guest, Guest], kernel: Kernel
) -> None:
    """ATTACKS C and F 67, by the texts of `make attack`; their controls are there (`tests/attacks/test_boxes.py`)."""
    side = labs_town.site.labs
    with canaries_on_the_host() as canaries:
        where = {
            **canaries.where, "home": str(side.launcher_home), "images": "/nowhere", "hostname": os.uname().nodename,
            "pids": 400, "platform": [str(labs_town.site.home), str(Path(towns.__file__).parents[2] / "plans")],
            "neighbour": [f"{side.launcher_home}/homes", f"/home/{home_of(pair[1].name)}"],
            "limits": {"RLIMIT_NPROC": 1024, "RLIMIT_NOFILE": 4096, "RLIMIT_FSIZE": 2**31, "RLIMIT_CPU": 2_592_000},
        }  # fmt: skip
        told = {}
        for module in ("calls", "surroundings", "checklist"):
            program = ["-I", "-S", "-c", assembly.text(module), json.dumps(where)]
            answered = kernel.run(
                "import subprocess, sys\n"
                f"ran = subprocess.run([sys.executable, *{program!r}], capture_output=True, text=True)\n"
                "print(ran.stdout)"
            )
            told |= json.loads(answered.text)
    assert len(told) > 120 and not [name for name, each in told.items() if each["defect"]]
    loot = {name: each["loot"] for name, each in told.items() if each["loot"]}
    assert not loot, "no canary of the host was found"
    gained = {name for name, each in told.items() if each["gained"]}
    assert gained <= BY_DESIGN, gained - BY_DESIGN
    assert {"socket-inet", "listed-processes", "fifo"} <= gained, "the control: an attack can gain something"


def test_nothing_unreleased_and_no_secret_of_the_house_is_in_a_lab(
    labs_town: LabsTown, theirs: Visitor, kernel: Kernel
) -> None:
    """A canary hunt through files, processes, memory, and all that the API gives for the lab's token."""
    numbers = patterns.patterns_of_number(towns.CANARY)
    wanted = {
        f"income, {name}": numbers[name] for name in ("decimal text", "double")
    }  # others are mostly zeros
    for path in sorted(labs_town.site.labs.keys.iterdir()):
        wanted[f"secret {path.name}"] = path.read_bytes().strip()
    wanted["launcher's key"] = (labs_town.site.labs.node / "key").read_bytes().strip()
    wanted |= {
        f"log key, {name}": what
        for name, what in patterns.patterns_of_key(labs_town.site.log_key.read_bytes()).items()
    }
    ask = labs_hunt.STOLEN + "\nprint(os.environ['DARKROOM_TOKEN'], stolen())"
    for name, token in zip(("portal", "hub"), theirs.kernel().run(ask).text.split(), strict=True):
        wanted[f"the other's token, {name}"] = token.encode()
    paths = [
        f"/api/v1/{path}"
        for path in (
            "datasets", "datasets/nm/tax/income", "datasets/nm/tax/income/twin", "datasets/nm/tax/register", "me",
            "jobs", "budgets", "components", "images", "models", "joint", "domains/nm/tax", "version", "grants",
        )
    ]  # fmt: skip
    host = labs_town.portal.partition("://")[2]
    found = labs_hunt.hunt(kernel, wanted, paths, host)
    assert not found.places, found.places
    seen = found.seen
    assert (
        seen["answers"] >= 7 and seen["processes"] >= 4 and seen["memory"] > 2**24 and seen["files"] >= 5
    ), seen

    plant = (
        "import os\n"
        f"half, rest = {str(towns.CANARY)[:4]!r}, {str(towns.CANARY)[4:]!r}\n"
        "os.environ['PLANTED'] = half + rest\n"
        "open(os.path.expanduser('~/planted'), 'w').write(half + rest)\n"
        "held = [half + rest] * 3\n"
    )
    assert kernel.run(plant).status == "ok"
    control = labs_hunt.hunt(kernel, wanted, paths, host)
    assert {"variable", "home", "memory"} <= control.kinds(), control.places
    kernel.run("os.remove(os.path.expanduser('~/planted')); del os.environ['PLANTED'], held")

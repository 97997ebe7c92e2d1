"""The lab in its box: JupyterLab behind walls, reached over one link, in a home that survives."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from plans.box import Entry, Home
from plans.decision import Tier
from plans.labs import home_of
from plans.plan import Plan
from sandbox import images, processes, recipes
from sandbox.images import Image
from tests.e2e.jupyter_wire import Kernel, Visitor
from tests.inside import lab_world
from tests.sandbox.conftest import open_home, opened_home
from tests.sandbox.few_images import only
from tests.sandbox.labs_side import CEILING, MEMBER, Beside, lab_plan, owned
from tests.sandbox.side import COUNT, FIRST, Side, a_side, eventually, launched, side

__all__ = ["open_home", "side"]
pytestmark = [pytest.mark.box, pytest.mark.timeout(600)]

ROOM = {
    "memory_mb": 2048,
    "temp_mb": 256,
    "processes": 256,
    "files": 2048,
    "cpus": 2,
    "cpu_s": 10**6,
    "wall_s": 10**6,
}
NOTEBOOK = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


@pytest.fixture(scope="module")
def notebook() -> Image:
    return images.build(recipes.CHECKOUT / "images" / "notebook")


@pytest.fixture
def probe_images(notebook: Image) -> Path:
    """What the launcher looks for images in; here that of the lab is enough."""
    return only(notebook.digest)


@dataclass
class Lab:
    """A lab that runs, and a person who comes to it."""

    side: Side
    plan: Plan
    porter: lab_world.Porter
    hub: lab_world.Hub
    beside: Beside

    @property
    def visitor(self) -> Visitor:
        """Li, with a token that the Hub knows."""
        headers = {"Authorization": f"token {lab_world.TOKEN}"}
        return Visitor(f"http://127.0.0.1:{self.porter.port}", lab_world.PREFIX, {}, headers)

    @property
    def home(self) -> Path:
        (found,) = (self.side.config.home / "homes").glob(f"*/{home_of(MEMBER)}")
        return found

    def server(self) -> int:
        """The process of the Jupyter server; another site's labs on this machine have others."""
        config = self.side.config
        ours = (
            {os.geteuid()}
            if os.geteuid()
            else set(range(config.first_uid, config.first_uid + config.uid_count))
        )
        servers = [pid for pid in processes.living() if b"darkroom_lab/serve.py" in command(pid)]
        (found,) = [pid for pid in servers if ours & processes.users(pid)]
        return found

    def answers(self) -> bool:
        with contextlib.suppress(Exception):
            return self.visitor.ask("GET", "api/status", patience_s=30).status_code == 200
        return False


def command(pid: int) -> bytes:
    try:
        return Path("/proc", str(pid), "cmdline").read_bytes()
    except OSError:
        return b""


@pytest.fixture(scope="module")
def lab(notebook: Image) -> Iterator[Lab]:
    """A lab with a home of 64 MB, up and answering. A module's tests share it, and leave it usable."""
    with (
        opened_home() as home,
        a_side(home, only(notebook.digest)) as made,
        a_lab(made, notebook) as found,
    ):
        yield found


@pytest.fixture
def strong(side: Side, notebook: Image) -> Iterator[Lab]:
    """The same in a strong box, by a launcher whose boxes have other user ids: each ends what runs under its own."""
    if shutil.which("runsc") is None:
        pytest.skip("this machine has no T2")
    beside = replace(side.config, first_uid=FIRST + COUNT, uid_count=6)
    with a_lab(replace(side, config=beside), notebook, Tier.T2) as found:
        yield found


@contextlib.contextmanager
def a_lab(side: Side, notebook: Image, tier: Tier = Tier.T1) -> Iterator[Lab]:
    folder = owned(side.config.home.parent / "p", 0o750, -1, side.config.user or -1)
    services = {"hub": folder / "hub", "api": folder / "api"}
    config = replace(
        side.config, domain="labs", owner_socket=None, keeper_socket=None, ceilings={Entry.LAB: CEILING},
        services=services, askers=(0,),
    )  # fmt: skip
    labs = replace(side, config=config)
    with lab_world.world(folder) as (porter, hub), launched(labs):
        plan = lab_plan(notebook.digest, tier=tier, home=Home(home_of(MEMBER), 64, 2000), **ROOM)
        labs.client.put(plan)
        beside = Beside(labs.client, plan)
        try:
            eventually(lambda: porter.parked.qsize() >= 8, 240)
            yield Lab(labs, plan, porter, hub, beside)
        finally:
            with contextlib.suppress(Exception):
                labs.client.cancel(plan.digest, Entry.LAB, 1)
            beside.thread.join(120)


def test_a_member_works_in_a_lab_and_a_stranger_does_not_get_in(lab: Lab) -> None:
    """Pages, documents, kernels over `ipc`, terminals, the client: what a person does on the first day."""
    stranger = Visitor(lab.visitor.origin, lab_world.PREFIX)
    for path in ("api/contents", "api/kernels", "api/terminals"):
        assert stranger.ask("GET", path).status_code == 403
    assert "li.nm" in lab.visitor.ask("GET", "api/me").text
    page = lab.visitor.ask("GET", "lab")
    assert page.status_code == 200 and "JupyterLab" in page.text
    languages = lab.visitor.ask("GET", "lab/api/translations").json()["data"]
    assert {"en", "zh_CN"} <= set(languages)
    kernel = lab.visitor.kernel()
    told = kernel.run(
        "import os, darkroom, plans, keys, numpy, json\n"
        "print(json.dumps([os.getcwd(), os.environ['HOME'], darkroom.__file__, os.environ['OMP_NUM_THREADS'],"
        " sorted(os.environ)]))"
    )
    assert told.status == "ok", told
    cwd, home, client, threads, names = json.loads(told.text)
    assert cwd == home == f"/home/{home_of(MEMBER)}" and threads == "2"
    assert client.startswith("/box/client/darkroom") and "PIP_NO_INDEX" in names
    connection = kernel.run("import ipykernel; print(open(ipykernel.get_connection_file()).read())").text
    assert json.loads(connection)["transport"] == "ipc"
    assert kernel.run("!echo $((6 * 7)) | tr 4 5").text.strip() == "52"
    assert "shell-works" in lab.visitor.terminal("cd; printf shell-; echo works | cat")
    assert "installed" in kernel.run("%pip install nothing").text
    assert "mirror" in kernel.run("%pip install nothing").text
    saved = lab.visitor.ask("PUT", "api/contents/first.ipynb", {"type": "notebook", "content": NOTEBOOK})
    assert saved.status_code == 201 and (lab.home / "first.ipynb").is_file()
    panel = lab.visitor.ask("GET", "darkroom/catalog").text
    assert "lab does not know" not in panel and "cannot be imported" not in panel, (
        "it has the client of kernels"
    )
    eventually(
        lambda: any(each.startswith("POST") for each, _ in lab.hub.asked)
    )  # it tells the Hub of activity
    assert lab.porter.asked == 1


def ended(server: int) -> None:
    """Kill a server, and wait until it is gone: until then it is still the one that answers."""
    os.kill(server, signal.SIGKILL)
    eventually(lambda: server not in processes.living())


def test_a_server_that_crashes_comes_back_and_the_home_is_untouched(lab: Lab) -> None:
    lab.visitor.ask("PUT", "api/contents/kept.ipynb", {"type": "notebook", "content": NOTEBOOK})
    before = lab.server()
    ended(before)
    eventually(lab.answers, 180)
    assert lab.server() != before
    assert lab.visitor.ask("GET", "api/contents/kept.ipynb").status_code == 200
    assert lab.visitor.kernel().run("print(6 * 7)").text.strip() == "42"
    assert lab.porter.asked == 1, "the settings are asked for once"
    assert (lab.home / ".lab-server.log").is_file()


def test_a_porter_that_was_away_finds_the_lab_again(lab: Lab) -> None:
    lab.porter.close()
    time.sleep(3)
    assert lab.beside.thread.is_alive()
    lab.porter.open()
    eventually(lambda: lab.porter.parked.qsize() >= 8)
    assert lab.answers() and lab.porter.asked == 1


def test_a_full_home_stops_kernels_and_not_documents(lab: Lab) -> None:
    kernel = lab.visitor.kernel()
    first = kernel.run("open('a', 'wb').write(b'x' * 70_000_000)")
    assert first.status == "ok"
    state = "import json; print(open('/tmp/darkroom/home.json').read())"
    eventually(lambda: json.loads(kernel.run(state).text)["full"])
    second = kernel.run("open('b', 'wb').write(b'x' * 10_000_000)")
    assert "File too large" in second.error and "Your home is full" in second.text
    assert "Your home is full" in lab.visitor.terminal("head -c 1000000 /dev/zero > c; true")
    content = {
        **NOTEBOOK,
        "cells": [{"id": "a", "cell_type": "raw", "metadata": {}, "source": "x" * 500_000}],
    }
    saved = lab.visitor.ask("PUT", "api/contents/full.ipynb", {"type": "notebook", "content": content})
    assert saved.status_code == 201, saved.text
    large = {"type": "file", "format": "text", "content": "x" * 60_000_000}
    refused = lab.visitor.ask("PUT", "api/contents/large.txt", large)
    assert refused.status_code == 507 and "no room left" in refused.json()["message"]
    kernel.run("import os; os.remove('a')")
    eventually(lambda: not json.loads(kernel.run(state).text)["full"])
    assert kernel.run("open('b', 'wb').write(b'x' * 1_000_000)").status == "ok"
    kernel.run("for name in ('b', 'c'): os.remove(name)")


def test_a_document_that_no_browser_could_hold_is_refused_in_a_sentence(lab: Lab) -> None:
    lab.visitor.ask("PUT", "api/contents/large.ipynb", {"type": "notebook", "content": NOTEBOOK})
    os.truncate(
        lab.home / "large.ipynb", 2 * 10**9
    )  # a hole: 2 GB to whoever reads it, and nothing on the disk
    refused = lab.visitor.ask("GET", "api/contents/large.ipynb?content=1")
    assert refused.status_code == 413 and "more than 64 MB are not opened" in refused.json()["message"]
    assert lab.visitor.ask("GET", "api/contents/large.ipynb?content=0").json()["size"] == 2 * 10**9
    assert lab.answers()


def test_what_a_member_wrote_as_settings_does_not_weaken_the_server(lab: Lab) -> None:
    """The control is the file itself: a server that read it would let everybody in after its next start."""
    weak = "c.ServerApp.allow_unauthenticated_access = True\nc.ConnectionFileMixin.transport = 'tcp'\n"
    kernel = lab.visitor.kernel()
    for place in (".jupyter", ".local/etc/jupyter", "."):
        kernel.run(
            f"import os; os.makedirs({place!r}, exist_ok=True)\n"
            f"open({place!r} + '/jupyter_server_config.py', 'w').write({weak!r})\n"
            f"open({place!r} + '/jupyter_config.py', 'w').write({weak!r})"
        )
    ended(lab.server())
    eventually(lab.answers, 180)
    assert Visitor(lab.visitor.origin, lab_world.PREFIX).ask("GET", "api/kernels").status_code == 403
    told = lab.visitor.kernel().run("import ipykernel; print(open(ipykernel.get_connection_file()).read())")
    assert json.loads(told.text)["transport"] == "ipc"


LISTED = """
mkdir -p d/e; printf 12345 > d/five; ln -s five d/link; touch d/.hidden; chmod 640 d/five
ls d; ls -la --color=never d; ls -R d | head -n 2; ls -d d/*; ls -1 d | wc -l
stat -c 'stat says %s %a %F' d/five; find d -name five -size -2
ls none; echo "ended with $?"
""".strip().replace("\n", "; ")


@pytest.mark.parametrize("tier", ["lab", "strong"])
def test_files_are_listed_in_a_terminal_at_every_tier(tier: str, request: pytest.FixtureRequest) -> None:
    """In gVisor's release in Debian, Debian's own `ls -l` and `stat` end with "Invalid argument"."""
    lab: Lab = request.getfixturevalue(tier)
    kernel = lab.visitor.kernel()
    said = kernel.run(f"!{LISTED}").text
    assert "stat says 5 640 regular file" in said and "ended with 2" in said, said
    assert "Invalid argument" not in said and "??????" not in said
    line = next(each for each in said.splitlines() if each.startswith("-rw-r-----"))
    assert line.split()[4] == "5" and line.endswith("five"), said
    assert "link -> five" in said and ".hidden" in said and "d/e" in said
    assert "d/five" in lab.visitor.terminal("cd; alias | grep ls; ls -d d/*")
    assert ("/box/strong" in kernel.run("!type ls").text) is (tier == "strong" and not _lists(kernel))


def _lists(kernel: Kernel) -> bool:
    return "Invalid" not in kernel.run("!/usr/bin/ls -d /").text

"""A lab that ends: its own pages say why in both languages, and what was open is saved before.

The Hub's part is in `test_hub.py`. Here are a lab's server, which is told, and a browser with a document that nobody
saved.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from notebooks import parting
from tests.notebooks.panel_lab import MEI, PanelLab, a_lab

TOKEN = "the-token-of-this-lab"


@pytest.fixture(scope="module")
def ending(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PanelLab]:
    """A lab to which the Hub speaks."""
    told = {
        "DARKROOM_LAB": "1",
        "DARKROOM_MEMBER": MEI,
        "DARKROOM_URL": "http://127.0.0.1:9",
        "DARKROOM_TOKEN": TOKEN,
    }
    with a_lab(tmp_path_factory.mktemp("ending"), **told) as found:
        yield found


def say(lab: PanelLab, said: Any, key: str) -> httpx.Response:
    """Say something to the lab's server as the Hub does: without a cookie, with the key."""
    return httpx.post(f"{lab.url}darkroom/notice", json=said, headers={parting.HEADER: key}, timeout=120)


def key_of(lab: PanelLab) -> str:
    return str(lab.client.get("/darkroom/home.json").json()["key"])


NOTICE = {"kind": parting.ENDING, "left_s": 20, **parting.MEMBERSHIP_ENDED.told()}


def test_only_who_has_the_labs_key_says_something_and_only_what_is_known(ending: PanelLab) -> None:
    key = key_of(ending)
    for wrong in ("", "0" * 64, TOKEN, key[:-1]):
        assert say(ending, NOTICE, wrong).status_code == 403
    for said in (
        [], "ending", {}, {**NOTICE, "kind": "other"}, {**NOTICE, "en": 3}, {**NOTICE, "zh": ""},
        {**NOTICE, "en": "x" * 1001}, {**NOTICE, "left_s": -1}, {**NOTICE, "left_s": 2**40}, {**NOTICE, "left_s": "1"},
    ):  # fmt: skip
        assert say(ending, said, key).status_code == 400, said
    assert "notice" not in ending.client.get("/darkroom/home.json").json(), "nothing of that was kept"
    assert say(ending, {**NOTICE, "more": "x"}, key).status_code == 204, "the control"
    told = ending.client.get("/darkroom/home.json").json()["notice"]
    assert told["en"] == NOTICE["en"] and told["zh"] == NOTICE["zh"] and "more" not in told
    assert ending.stranger.get("/darkroom/home.json").status_code == 403


def test_the_hub_is_heard_by_the_labs_server(ending: PanelLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ends of the way together: what the Hub sends is what the server takes."""
    import asyncio

    monkeypatch.setattr(parting, "loopback_of", lambda port: "127.0.0.1")
    port = int(ending.url.rstrip("/").rpartition(":")[2])
    for said in (NOTICE, {"kind": parting.WARNING, "left_s": 3600.5, **parting.warning(7)}):
        assert asyncio.run(parting.tell(port, "/", key_of(ending), said))
        assert ending.client.get("/darkroom/home.json").json()["notice"]["kind"] == said["kind"]
    assert not asyncio.run(parting.tell(port, "/", "0" * 64, NOTICE)), "the control"
    assert not asyncio.run(parting.tell(1, "/", key_of(ending), NOTICE)), "nobody listens there"


@pytest.mark.long
@pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no chromium on this machine")
def test_a_page_is_woken_and_saves_at_once(ending: PanelLab) -> None:
    """At its next look it would hear of it too (`test_panel_browser.py`); JupyterLab would save after two minutes."""
    pytest.importorskip("playwright.sync_api")
    from playwright.sync_api import expect

    from tests.e2e.jupyterlab import a_person, chromium, write

    (ending.home / "diary.txt").write_text("before\n")
    say(ending, {"kind": parting.WARNING, "left_s": 3600, **parting.warning(7)}, key_of(ending))
    with chromium() as browser:
        page = a_person(browser).new_page()
        page.goto(f"{ending.url}lab/tree/diary.txt?reset&token={ending.token}")
        write(page.locator(".jp-FileEditor .cm-content"), "unsaved words")
        expect(
            page.get_by_text(re.compile(r"This lab ends at .*\d.*, 7 days after its start"))
        ).to_be_visible()
        notice = page.locator("#darkroom-notice")
        expect(notice).to_be_hidden()
        assert "unsaved words" not in (ending.home / "diary.txt").read_text(), "the control"
        looks: list[str] = []
        page.on("request", lambda request: looks.append(request.url) if "home.json" in request.url else None)
        assert say(ending, NOTICE, key_of(ending)).status_code == 204
        expect(notice).to_contain_text("Everything that is open here is saved")
        assert "unsaved words" in (ending.home / "diary.txt").read_text() and looks


# --- what counts as use -----------------------------------------------------


class Kernels:
    """Kernels with these states."""

    def __init__(self, *states: str) -> None:
        self.states = dict(enumerate(states))

    def list_kernel_ids(self) -> list[int]:
        return list(self.states)

    def get_kernel(self, name: int) -> Any:
        return type("Kernel", (), {"execution_state": self.states[name]})()


def test_a_cell_that_says_nothing_is_use_as_long_as_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """By Jupyter's own reckoning, which the Hub is told."""
    from datetime import UTC, datetime, timedelta

    from jupyter_server.serverapp import ServerWebApplication

    from tests.notebooks.panel_lab import LAB

    monkeypatch.syspath_prepend(str(LAB))
    from darkroom_lab import activity

    past = datetime.now(UTC) - timedelta(hours=5)
    for states, used in ((("idle", "busy"), True), (("idle", "starting"), False), ((), False)):
        kernels = Kernels(*states)
        kernels.last_kernel_activity = past  # type: ignore[attr-defined]
        settings = {"started": past, "kernel_manager": kernels, "last_activity_times": {}}
        activity.note(settings)
        server = type("Server", (), {"settings": settings})()
        assert (ServerWebApplication.last_activity(server) > past) is used, states

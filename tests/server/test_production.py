"""A site with public names: who is told which, and what the doctor finds past the proxy."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from plans.errors import SettingsWrong
from sandbox import api as sandbox
from server import doctor, labs
from server.enrolment import found_site
from server.running import address, reached
from server.settings import portal_site
from server.site import Site
from store import api as store

PUBLIC, LABS, INNER = "https://darkroom.example.org", "https://labs.example.org", "http://127.0.0.1:9470"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(
        sandbox, "find", lambda name, folder=None: sandbox.Image("sha256:" + "a" * 64, tmp_path)
    )
    return found_site(tmp_path / "home", 9470)


def in_production(site: Site) -> Site:
    text = site.settings.read_text().replace("[labs]\n", f'[labs]\norigin = "{LABS}"\n')
    site.settings.write_text(f'origin = "{PUBLIC}"\n{text}')
    return site


def test_browsers_are_told_the_public_names_and_this_machine_the_inner_one(site: Site) -> None:
    side = labs.found(in_production(site))
    assert side is not None
    told = json.loads(side.settings.read_text())
    assert (told["portal_page"], told["portal"], told["address"]) == (PUBLIC, INNER, LABS)
    found = portal_site(store.load_settings(site.settings))
    assert (found.origin, found.inner, found.secure) == (PUBLIC, INNER, True)
    assert address(site) == INNER and PUBLIC in reached(site) and INNER in reached(site)


def test_control_without_public_names_there_is_one(site: Site) -> None:
    found = portal_site(store.load_settings(site.settings))
    assert (found.origin, found.inner, found.secure) == (INNER, "", False)
    assert address(site) == INNER and reached(site) == f"{INNER} (only this machine can reach it)"


def test_a_site_with_half_of_the_names_does_not_start(site: Site) -> None:
    text = site.settings.read_text()
    site.settings.write_text(text.replace("[labs]\n", f'[labs]\norigin = "{LABS}"\n'))
    with pytest.raises(SettingsWrong, match="their own"):
        labs.found(site)


@contextmanager
def answering(status: int) -> Iterator[str]:
    """Have something answer every call with a status."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(("status", "good"), [(421, True), (200, False), (401, False)])
def test_the_doctor_tries_to_get_a_page_past_the_proxy(status: int, good: bool) -> None:
    with answering(status) as inner:
        found = doctor._inner_name(inner)
    assert found.good is good and inner in found.how
    assert not doctor._inner_name(inner).good, "nothing answers there any more"


def test_a_public_name_that_this_machine_does_not_reach_is_said_and_no_fault() -> None:
    with answering(200) as origin:
        assert not doctor._public_name(origin).weaker
    found = doctor._public_name(origin)
    assert found.good and found.weaker and "is not reached from here" in found.how

"""A real Jupyter server with the panel in it, as in a lab, before a real portal on a loopback port."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import uvicorn

from darkroom.connection import Connection, connect, sign_in
from darkroom.profile import Home
from portal import api as portal
from tests.client.conftest import PASSPHRASE, key_file
from tests.portal.audit_log import open_log
from tests.portal.region import Region, build

CHECKOUT = Path(__file__).parents[2]
LAB = CHECKOUT / "images" / "notebook" / "lab"
MEI = "mei@nm/centre"
PATIENCE_S = 120
ENDING_S = 5


@dataclass
class Platform:
    """A portal that listens, and can go away and come back."""

    region: Region
    url: str
    folder: Path
    _address: tuple[str, int]
    _running: tuple[uvicorn.Server, threading.Thread] | None = None

    def start(self) -> None:
        listener = socket.create_server(self._address)
        config = uvicorn.Config(portal.create_app(self.region.services), log_config=None, lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        self._running = (server, thread)

    def stop(self) -> None:
        if self._running is not None:
            server, thread = self._running
            server.should_exit = server.force_exit = True
            thread.join()
            self._running = None

    def session(self, name: str = MEI) -> str:
        return sign_in(self.url, name, self.region.password(name))

    def connection(self, name: str = MEI) -> Connection:
        home = Home(self.folder / name.partition("@")[0])
        home.prepare()
        if not home.keys_file.exists():
            home.keys_file.write_bytes(key_file(name))
            home.keys_file.chmod(0o600)
        return connect(self.url, token=self.session(name), folder=home, passphrase=lambda: PASSPHRASE)


@contextlib.contextmanager
def a_platform(folder: Path) -> Iterator[Platform]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = free.getsockname()
    url = f"http://127.0.0.1:{address[1]}"
    region = build(folder, open_log(folder), origin=url)
    platform = Platform(region, url, folder / "homes", address)
    platform.start()
    yield platform
    platform.stop()
    region.database.close()
    region.log.close()


@dataclass
class PanelLab:
    """A member's Jupyter server. `client` is signed in by cookie, as a browser is; `stranger` is not."""

    url: str
    home: Path
    token: str
    client: httpx.Client = field(repr=False)
    stranger: httpx.Client = field(repr=False)

    def page(self, path: str, **query: str) -> str:
        answer = self.client.get(f"/darkroom/{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.text

    def post(self, body: object, **headers: str) -> httpx.Response:
        sent = {"X-XSRFToken": self.client.cookies["_xsrf"], "Origin": self.url.rstrip("/")} | headers
        return self.client.post("/darkroom/make-job", json=body, headers=sent)


def environment(home: Path, **darkroom: str) -> dict[str, str]:
    """What a lab's server finds around it; nothing of the person who runs the tests."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    folders = {
        f"JUPYTER_{each}_DIR": str(home / f".{each.lower()}") for each in ("CONFIG", "DATA", "RUNTIME")
    }
    paths = {
        "HOME": str(home),
        "JUPYTER_PATH": str(LAB / "share" / "jupyter"),
        "PYTHONPATH": os.pathsep.join(map(str, (LAB, CHECKOUT / "client", CHECKOUT))),
    }
    return kept | folders | paths | darkroom


@contextlib.contextmanager
def a_lab(home: Path, **darkroom: str) -> Iterator[PanelLab]:
    """Start one; it is told where the portal is as a lab is, by its environment."""
    home.mkdir(exist_ok=True)
    line = [
        sys.executable, "-m", "jupyterlab", "--allow-root", "--no-browser", "--ip=127.0.0.1", "--port=0",
        "--IdentityProvider.token=opensesame", "--ServerApp.jpserver_extensions={'darkroom_lab': True}",
        f"--ServerApp.root_dir={home}", "--LabApp.news_url=", "--LabApp.extension_manager=readonly",
    ]  # fmt: skip
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(line, env=environment(home, **darkroom), stdout=log, stderr=log, cwd=home)
        try:
            url = _address(process, log)
            with (
                httpx.Client(base_url=url, timeout=120) as client,
                httpx.Client(base_url=url, timeout=120) as stranger,
            ):
                client.get("/lab?token=opensesame")
                yield PanelLab(url, home, "opensesame", client, stranger)
        finally:
            process.terminate()
            try:
                process.wait(ENDING_S)  # it ends its kernels first, and waits for pages that are still open
            except subprocess.TimeoutExpired:
                process.kill()  # its kernels notice, and end
                process.wait()


def _address(process: subprocess.Popen[bytes], log: object) -> str:
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends and process.poll() is None:
        log.seek(0)  # type: ignore[attr-defined]
        if found := re.search(r"(http://127\.0\.0\.1:\d+/)lab", text := log.read()):  # type: ignore[attr-defined]
            return found[1]
        time.sleep(0.1)
    raise AssertionError(f"the Jupyter server did not start:\n{text}")

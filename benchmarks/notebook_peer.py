"""The peer of `benchmarks/notebook.py`: JupyterHub as its own guide begins, with JupyterLab as a bare local process.

The same version of JupyterHub, JupyterLab and the proxy as a lab's, the same machine, the same browser; no box, no
links, no home with a quota, no sign-in but a name and a word. Nothing of it is kept.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page

from notebooks.proxy import program
from tests.e2e import jupyterlab

PASSWORD = "only a benchmark"
CONFIG = """
c = get_config()
c.JupyterHub.bind_url = "http://127.0.0.1:{ports[0]}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{ports[1]}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{ports[2]}"
c.ConfigurableHTTPProxy.command = {proxy!r}
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = {password!r}
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = {homes!r}
c.Spawner.cmd = [{python!r}, "-m", "jupyterhub.singleuser"]
c.Spawner.args = {args!r}
"""


@dataclass(frozen=True, slots=True)
class BareHub:
    """A running JupyterHub."""

    url: str
    process: subprocess.Popen[bytes]

    def sign_in(self, page: Page, name: str) -> None:
        """Sign in, up to the page with the button that starts a server."""
        page.goto(f"{self.url}/hub/login?next=%2Fhub%2Fhome")
        page.get_by_label("Username").fill(name)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.locator("#start").wait_for()

    def start(self, page: Page) -> None:
        """Click on the button that starts a server, and return at once."""
        page.locator("#start").click(no_wait_after=True)

    def stop(self, page: Page) -> None:
        """Stop the server and wait until it has stopped."""
        jupyterlab.stop_at_home(page, f"{self.url}/hub/home")


@contextmanager
def bare_hub(folder: Path) -> Iterator[BareHub]:
    """Start JupyterHub in a folder, and end it with all its servers."""
    ports = _free_ports(3)
    config = folder / "config.py"
    node, script = program()
    config.write_text(
        CONFIG.format(
            ports=ports,
            proxy=[str(node), str(script)],
            password=PASSWORD,
            homes=str(folder / "homes" / "{username}"),
            python=sys.executable,
            args=["--allow-root"] if os.geteuid() == 0 else [],
        )
    )
    (folder / "homes").mkdir()
    with (folder / "hub.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", str(config)],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{ports[0]}"
        _wait_for(f"{url}/hub/health", folder / "hub.log")
        yield BareHub(url, process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _wait_for(url: str, log: Path, patience_s: float = 60) -> None:
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise TimeoutError(f"the bare JupyterHub does not answer:\n{log.read_text()[-2000:]}")


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()

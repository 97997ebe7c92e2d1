"""A real portal on a loopback port, members with folders of their own, and the command line as they type it."""

from __future__ import annotations

import functools
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import typer.testing
import uvicorn
from click.testing import Result
from typer.testing import CliRunner

from darkroom import cli
from darkroom.connection import Connection, connect, sign_in
from darkroom.profile import Home, Profile
from keys import api as keys
from keys import keyfile
from portal import api as portal
from tests.portal.audit_log import open_log
from tests.portal.region import Region, build, members_keys

PASSPHRASE = "open sesame please"

ONCE = {
    "keys.keyfile._stretch": functools.cache(keyfile._stretch),
    "typer.testing._get_command": functools.cache(typer.testing._get_command),
    "httpx._transports.default.create_ssl_context": functools.cache(httpx.create_ssl_context),
}
"""What a member's process does once, and a test would do at each call: stretch one passphrase with one salt, build the
command line, read the machine's certificates."""


@pytest.fixture(scope="module", autouse=True)
def done_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for place, cached in ONCE.items():
            patch.setattr(place, cached)
        yield


@functools.cache
def key_file(name: str) -> bytes:
    """Return a member's key file; its passphrase is stretched once for all tests."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "keys.json")
        keys.save_member_keys(path, members_keys()[name], PASSPHRASE)
        return path.read_bytes()


@dataclass(frozen=True)
class Town:
    """A region whose portal listens."""

    region: Region
    url: str
    folder: Path

    def home(self, name: str) -> Home:
        """Return a member's folder, with a session and key file in it."""
        home = Home(self.folder / name.partition("@")[0])
        home.prepare()
        if not home.keys_file.exists():
            home.keys_file.write_bytes(key_file(name))
            home.keys_file.chmod(0o600)
            home.save(Profile(self.url, name, sign_in(self.url, name, self.region.password(name))))
        return home

    def connection(self, name: str) -> Connection:
        return connect(folder=self.home(name), passphrase=lambda: PASSPHRASE)


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    for variable in ("DARKROOM_TOKEN", "DARKROOM_PASSWORD", "DARKROOM_PASSPHRASE", "DARKROOM_HOME"):
        monkeypatch.delenv(variable, raising=False)
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    region = build(tmp_path, open_log(tmp_path), origin=url)
    config = uvicorn.Config(portal.create_app(region.services), log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield Town(region, url, tmp_path / "homes")
    server.should_exit = True
    thread.join()
    listener.close()
    region.database.close()
    region.log.close()


Typed = Callable[..., Result]


@pytest.fixture
def typed(town: Town) -> Typed:
    """Type a command as a member: `typed("mei@nm/centre", "datasets")`."""

    def type_(name: str, *arguments: str, **environment: str) -> Result:
        variables = {"DARKROOM_HOME": str(town.home(name).folder), "DARKROOM_PASSPHRASE": PASSPHRASE}
        return CliRunner().invoke(cli.app, list(arguments), env=variables | environment)

    return type_

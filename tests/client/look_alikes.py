"""Twins that the region's owner has released, and labs whose members ask for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingUnixStreamServer

import pytest

from keys import api as keys
from plans.statements import Duty, Signed, Type
from plans.twins import Twin, declared_recipe
from plans.verdict import Finding
from store import api as store
from tests.client.conftest import Town
from tests.portal.region import OWNER, manifest

SEED = "ab" * 16
MANIFEST = manifest()
TWIN = Twin(1, MANIFEST.digest, declared_recipe(MANIFEST, SEED, repeats=True), Finding.PASS, "")
LAB = {
    "DARKROOM_LAB": "1",
    "DARKROOM_MEMBER": "mei@nm/centre",
    "DARKROOM_PROJECT": "housing",
    "DARKROOM_PURPOSE": "Study of rents",
    "DARKROOM_PORTAL_PAGE": "https://portal.example",
}


def signed(
    town: Town, twin: Twin = TWIN, signer: keys.SigningKey | None = None, duty: Duty = Duty.KEEPER
) -> Signed:
    """Return a twin's release, by the region's keeper unless said otherwise."""
    return keys.sign(keys.Draft(Type.TWIN, OWNER, duty, twin), signer or town.region.keeper)


def lay(town: Town, statement: Signed | None = None) -> None:
    """Let the owner's keeper release a twin of the incomes."""
    found = statement or signed(town)
    said = found.statement
    row = store.StatementRow(
        said.digest, "twin", OWNER, said.signer, MANIFEST.digest, found.canonical().decode(), 1
    )
    with town.region.database.session() as session:
        store.statements.add(session, row)


def enter(town: Town, monkeypatch: pytest.MonkeyPatch, token: str, socket: Path | None = None) -> None:
    """Have this process be a lab of mei's."""
    home = town.home(LAB["DARKROOM_MEMBER"])
    for name, value in LAB.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DARKROOM_URL", town.url)
    monkeypatch.setenv("DARKROOM_TOKEN", token)
    monkeypatch.setenv("DARKROOM_HOME", str(home.folder))
    monkeypatch.setenv("DARKROOM_PASSPHRASE", "open sesame please")
    if socket is not None:
        monkeypatch.setenv("DARKROOM_API_SOCKET", str(socket))


def lab_token(town: Town, *scopes: str) -> str:
    """Return a token of mei's with a lab's scopes."""
    room = town.connection(LAB["DARKROOM_MEMBER"])
    body = {"scopes": list(scopes or ("catalog", "jobs", "results")), "label": "lab", "lasts": 3600}
    return str(room._wire.post("/api/v1/me/tokens", body)["token"])


class _Carrier(BaseRequestHandler):
    """Carries bytes between a socket file and the portal, as the launcher and the porter of a lab do."""

    port = 0

    def handle(self) -> None:
        import socket

        with socket.create_connection(("127.0.0.1", self.port)) as far:
            there = threading.Thread(target=_copy, args=(self.request, far), daemon=True)
            there.start()
            _copy(far, self.request)


def _copy(source: object, target: object) -> None:
    import socket

    assert isinstance(source, socket.socket) and isinstance(target, socket.socket)
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


@contextmanager
def link(town: Town, place: Path) -> Iterator[Path]:
    """Have a socket file that leads to the portal."""
    handler = type("Carrier", (_Carrier,), {"port": int(town.url.rpartition(":")[2])})
    with ThreadingUnixStreamServer(str(place), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield place
        finally:
            server.shutdown()
            thread.join()
    place.unlink(missing_ok=True)


def other_twin() -> Twin:
    """Return a twin of another seed, so of other rows."""
    return replace(TWIN, recipe=declared_recipe(MANIFEST, "cd" * 16, repeats=True))

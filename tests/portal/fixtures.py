"""A portal over a real database, called without a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from portal import api as portal
from tests.portal.audit_log import open_log
from tests.portal.region import ORIGIN, Region, build
from tests.portal.visitor import signed_in_browser


@pytest.fixture
def region(tmp_path: Path) -> Iterator[Region]:
    made = build(tmp_path, open_log(tmp_path))
    yield made
    made.database.close()
    made.log.close()


@pytest.fixture
def client(region: Region) -> TestClient:
    """Nobody: no cookie, no token."""
    return TestClient(portal.create_app(region.services), base_url=ORIGIN, raise_server_exceptions=False)


@pytest.fixture
def signed_in(region: Region) -> Callable[..., TestClient]:
    """A member with a bearer token: of a fresh session, or scoped when scopes are named."""
    return entering(region)


def entering(region: Region) -> Callable[..., TestClient]:
    """How members of this region sign in, see `signed_in`."""
    app = portal.create_app(region.services)

    def enter(name: str, *scopes: str) -> TestClient:
        client = TestClient(app, base_url=ORIGIN, raise_server_exceptions=False)
        body = {"member": name, "password": region.password(name)}
        token = client.post("/api/v1/sign-in", json=body).json()["token"]
        if scopes:
            made = {"scopes": list(scopes), "label": "notebook", "lasts": 3600}
            answer = client.post("/api/v1/me/tokens", json=made, headers={"Authorization": f"Bearer {token}"})
            token = answer.json()["token"]
        client.headers["Authorization"] = f"Bearer {token}"
        return client

    return enter


@pytest.fixture
def hub(region: Region) -> TestClient:
    """The Hub, as it calls the portal."""
    return TestClient(portal.create_app(region.services), base_url=ORIGIN, raise_server_exceptions=False)


@pytest.fixture
def browser(hub: TestClient) -> Callable[[], TestClient]:
    """A browser of its own, at the same portal as the Hub's calls."""
    return lambda: TestClient(hub.app, base_url=ORIGIN, raise_server_exceptions=False)


@pytest.fixture
def mei(region: Region, browser: Callable[[], TestClient]) -> TestClient:
    """A browser in which mei is signed in."""
    return signed_in_browser(browser(), region, "mei@nm/centre")

"""A member's browser on the way to JupyterHub, and JupyterHub itself, as far as the portal meets them."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import httpx
from starlette.testclient import TestClient

from tests.portal.region import HUB, HUB_SECRET, ORIGIN, Region

CALLBACK = f"{HUB}/hub/oauth_callback"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@dataclass
class Way:
    """One try to come to the Hub: its state, and the verifier that only the Hub knows."""

    state: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    @property
    def challenge(self) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def said(self, **changes: str | None) -> dict[str, str]:
        said: dict[str, str | None] = {
            "response_type": "code", "client_id": "labs", "redirect_uri": CALLBACK, "scope": "labs",
            "state": self.state, "code_challenge": self.challenge, "code_challenge_method": "S256",
        } | changes  # fmt: skip
        return {name: value for name, value in said.items() if value is not None}

    def address(self, **changes: str | None) -> str:
        return f"/oauth/authorize?{urlencode(self.said(**changes))}"


def signed_in_browser(client: TestClient, region: Region, member: str) -> TestClient:
    """Sign a browser in by the form; the cookie stays with it."""
    body = f"member={quote(member)}&password={quote(region.password(member))}"
    answer = client.post(
        "/sign-in", content=body, headers=FORM | {"Origin": ORIGIN} | BROWSER, follow_redirects=False
    )
    assert answer.status_code == 303
    return client


def led_to(answer: httpx.Response) -> str:
    """Return where a page leads by itself, and check that its link says the same."""
    assert answer.status_code == 200, answer.text
    (told,) = re.findall(r'http-equiv="refresh" content="0; url=([^"]*)"', answer.text)
    assert f'href="{told}"' in answer.text
    return html.unescape(told)


def code_of(browser: TestClient, way: Way) -> str:
    """Return the code that the browser is led to the Hub with."""
    there = urlsplit(led_to(browser.get(way.address(), headers=BROWSER)))
    assert f"{there.scheme}://{there.netloc}{there.path}" == CALLBACK
    said = parse_qs(there.query)
    assert said["state"] == [way.state] and set(said) == {"code", "state"}
    return said["code"][0]


def changed(
    client: TestClient, way: Way, code: str, /, secret: str = HUB_SECRET, **changes: str | None
) -> httpx.Response:
    """Have the Hub change a code for a token."""
    said: dict[str, str | None] = {
        "grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": way.verifier,
    } | changes  # fmt: skip
    body = urlencode({name: value for name, value in said.items() if value is not None})
    return client.post("/oauth/token", content=body, headers=FORM | basic(secret))


def basic(secret: str, name: str = "labs") -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def entrance(client: TestClient, browser: TestClient) -> str:
    """Return the token that the Hub gets for who is signed in in this browser."""
    way = Way()
    answer = changed(client, way, code_of(browser, way))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def lab_token(client: TestClient, entrance: str, project: str = "housing") -> dict[str, Any]:
    """Return what the Hub gets for a lab."""
    answer = client.post("/api/v1/labs/tokens", json={"project": project}, headers=bearer(entrance))
    assert answer.status_code == 201, answer.text
    return dict(answer.json())

"""The wire to the portal: JSON over HTTP, and the house's errors from its problem documents (RFC 9457).

What cannot be done twice is sent once. Reading, and handing in what carries its own nonce (a signed request
or statement, which the portal recognises), is tried again while the portal cannot be reached or says that it
is busy.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from plans.errors import Malformed, Unreachable, from_problem

LOOPBACK = ("127.0.0.1", "localhost", "::1")
PAUSES_S = (0.2, 0.5, 1.5)
TIMEOUT_S = 30.0
KEPT_S = 3.0


def _fresh_client() -> httpx.Client:
    """Return a client that keeps its connection between calls, but not for as long as a server does."""
    return httpx.Client(timeout=TIMEOUT_S, limits=httpx.Limits(keepalive_expiry=KEPT_S))


@dataclass(frozen=True, slots=True)
class Wire:
    """A portal's address and the token that goes with every call."""

    url: str
    token: str = field(default="", repr=False)
    _client: httpx.Client = field(default_factory=_fresh_client, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Malformed("a portal's address begins with https://", self.url, "Give it as https://host.")
        plain_is_meant = os.environ.get("DARKROOM_UNSAFE_PLAIN_HTTP") == "1"
        if parts.scheme == "http" and parts.hostname not in LOOPBACK and not plain_is_meant:
            raise Malformed(
                "passwords do not travel over plain http to another machine",
                self.url,
                "Use https://; on a network of your own you may set DARKROOM_UNSAFE_PLAIN_HTTP=1.",
            )

    def get(self, path: str) -> dict[str, Any]:
        """Read something."""
        return self._call("GET", path, None, again=True)

    def post(self, path: str, body: dict[str, Any] | None = None, *, again: bool = False) -> dict[str, Any]:
        """Change something; `again` says that the portal recognises the same call when it comes twice.

        Raises:
            Unreachable: there is no answer, or not the portal's.
            DarkroomError: what the portal says.
        """
        return self._call("POST", path, body or {}, again=again)

    def _call(self, method: str, path: str, body: Any, *, again: bool) -> dict[str, Any]:
        for pause in (*PAUSES_S, None) if again else (None,):
            try:
                return self._once(method, path, body)
            except Unreachable:
                if pause is None:
                    raise
                time.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def _once(self, method: str, path: str, body: Any) -> dict[str, Any]:
        headers = {"Accept": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        try:
            # Redirects are not followed: they would carry the token, or the statement, somewhere else.
            answer = self._client.request(method, self.url.rstrip("/") + path, json=body, headers=headers)
        except httpx.HTTPError:
            raise Unreachable(
                "the portal does not answer", self.url, "Check the address and the network."
            ) from None
        return _content(answer, self.url)


def _content(answer: httpx.Response, url: str) -> dict[str, Any]:
    kind = answer.headers.get("content-type", "").partition(";")[0]
    try:
        content = answer.json() if kind in ("application/json", "application/problem+json") else None
    except ValueError:
        content = None
    if isinstance(content, dict) and kind == "application/problem+json":
        raise from_problem(content)
    if isinstance(content, dict) and answer.is_success:
        return content
    raise Unreachable("what answers at this address is not a Darkroom portal", url, "Check the address.")


def listed(content: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the list of objects under a name of an answer.

    Raises:
        Malformed: there is none; the portal is of another version.
    """
    found = content.get(name)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise Malformed(f"the portal's answer holds no list of {name}", "answer", "Is it of another version?")
    return found


def segment(number: str) -> str:
    """Return an id as one path segment; what is no id would otherwise reach another page."""
    if not number or not all(c.isalnum() or c in "-_:" for c in number):
        raise Malformed("an id has letters, digits, - and _ only", "id")
    return number

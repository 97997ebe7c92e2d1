"""The wire to the portal: JSON over HTTP, and the house's errors from its problem documents (RFC 9457).

What cannot be done twice is sent once. Reading, and handing in what carries its own nonce (a signed request
or statement, which the portal recognises), is tried again while the portal cannot be reached or says that it
is busy. In a lab HTTP goes over a socket that the lab has in place of a network.

Before its first call a wire asks which API the portal speaks, once, so that a client and a portal that have grown apart
say so, and do not fail somewhere in the middle.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from darkroom.local import in_lab, portal_page
from plans.errors import (
    Malformed,
    NotAllowed,
    NotFound,
    NotSignedIn,
    StateConflict,
    Unreachable,
    from_problem,
)

API = 1
"""The version of the API that this client speaks."""

VERSION = "0.1.0"
"""This client's own version, as in `client/pyproject.toml`."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")
PAUSES_S = (0.2, 0.5, 1.5)
TIMEOUT_S = 30.0
KEPT_S = 3.0

_SAVE = "Your notebooks stay: save them, stop the lab (File > Hub Control Panel), sign in and start it again."


@dataclass(frozen=True, slots=True)
class Wire:
    """A portal's address and the token that goes with every call; `socket` is the file of a lab's link to it."""

    url: str
    token: str = field(default="", repr=False)
    socket: str = ""
    _clients: dict[int, httpx.Client] = field(default_factory=dict, repr=False, compare=False)
    _met: list[bool] = field(default_factory=list, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Malformed("a portal's address begins with https://", self.url, "Give it as https://host.")
        plain_is_meant = os.environ.get("DARKROOM_UNSAFE_PLAIN_HTTP") == "1"
        local = self.socket or parts.hostname in LOOPBACK
        if parts.scheme == "http" and not local and not plain_is_meant:
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
            StateConflict: client and portal are of versions that do not fit.
            DarkroomError: what the portal says.
        """
        return self._call("POST", path, body or {}, again=again)

    def _call(self, method: str, path: str, body: Any, *, again: bool) -> dict[str, Any]:
        if not self._met:
            self._meet()
        try:
            return self._tried(method, path, body, again=again)
        except NotSignedIn as problem:
            if in_lab() and type(problem) is NotSignedIn:
                raise NotSignedIn(
                    "this lab is not signed in any more: its time is over, you have signed out, or your membership has "
                    "ended",
                    self.url,
                    _SAVE,
                ) from None
            raise
        except NotAllowed as problem:
            page = portal_page("/")
            if in_lab() and page:
                raise NotAllowed(
                    problem.what, problem.where, f"A lab may not do this; the portal: {page}"
                ) from None
            raise

    def _meet(self) -> None:
        """Ask which API the portal speaks; a portal that cannot say it is of the first version."""
        try:
            told = self._tried("GET", "/api/v1/version", None, again=True)
        except (NotFound, NotSignedIn, NotAllowed):
            told = {}
        require_fit(told, self.url)
        self._met.append(True)

    def _tried(self, method: str, path: str, body: Any, *, again: bool) -> dict[str, Any]:
        for pause in (*PAUSES_S, None) if again else (None,):
            try:
                return self._once(method, path, body)
            except Unreachable:
                if pause is None:
                    raise
                time.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def _once(self, method: str, path: str, body: Any) -> dict[str, Any]:
        headers = {"Accept": "application/json", "User-Agent": f"darkroom-client/{VERSION}"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        try:
            # Redirects are not followed: they would carry the token, or the statement, somewhere else.
            answer = self._opened().request(method, self._origin() + path, json=body, headers=headers)
        except httpx.HTTPError as problem:
            raise self._away(problem) from None
        return _content(answer, self.url)

    def _origin(self) -> str:
        """Return where requests go: over a lab's socket without TLS, which ends at the portal's own door."""
        if not self.socket:
            return self.url.rstrip("/")
        parts = urlsplit(self.url)
        return f"http://{parts.netloc}{parts.path.rstrip('/')}"

    def _opened(self) -> httpx.Client:
        """Return a client that keeps its connection between calls, but not for as long as a server does.

        Each process has its own: after a fork two would read each other's answers.
        """
        if os.getpid() not in self._clients:
            limits = httpx.Limits(keepalive_expiry=KEPT_S)
            # Over a socket nothing of the environment holds: a proxy named there would be given the token.
            transport = httpx.HTTPTransport(uds=self.socket, limits=limits) if self.socket else None
            self._clients[os.getpid()] = httpx.Client(
                timeout=TIMEOUT_S, limits=limits, transport=transport, trust_env=transport is None
            )
        return self._clients[os.getpid()]

    def _away(self, problem: httpx.HTTPError) -> Unreachable:
        """Return the sentence for a portal that gives no answer."""
        if not self.socket:
            return Unreachable("the portal does not answer", self.url, "Check the address and the network.")
        if isinstance(problem, httpx.ConnectError):
            return Unreachable(
                "this lab's link to the platform is not there",
                self.socket,
                "Work on twins that are here goes on; try again in a minute. If it stays away: " + _SAVE,
            )
        return Unreachable(
            "the platform does not answer over this lab's link",
            self.url,
            "Nothing is lost: jobs go on without you, and what is in your home stays. Try again in a minute.",
        )


def require_fit(told: dict[str, Any], url: str) -> None:
    """Check that the portal's API and this client fit, by what the portal says of itself.

    Raises:
        StateConflict: one of them is too old; it says which.
    """
    api, least = told.get("api", API), str(told.get("client_at_least", "0"))
    if not isinstance(api, int) or api < API:
        raise StateConflict(
            f"this portal speaks the API {api}, and your client {VERSION} the API {API}",
            url,
            "Ask its operators to update it, or install the client that came with it.",
        )
    if api > API or _parts(VERSION) < _parts(least):
        raise StateConflict(
            f"this portal needs a newer client than {VERSION}" + (f": {least}" if least != "0" else ""),
            url,
            "Update the package darkroom-client; in a lab: stop it and start it again.",
        )


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


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

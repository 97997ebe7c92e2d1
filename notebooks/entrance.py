"""What the Hub asks the portal, as the member who signed in: who this is, which projects, and a lab's token.

The Hub holds, for each member who signed in, an *entrance token*. It can ask these two things and nothing else, and
ends with the member's session at the portal. A lab may outlive that session; whether its member still is one is asked
with the Hub's own secret.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest

from plans.errors import DarkroomError, Malformed, NotAllowed, NotSignedIn, Unreachable

ASK_S = 15.0


class Portal:
    """The portal's API at an origin; `secret` is the Hub's own."""

    def __init__(self, origin: str, secret: str) -> None:
        self._origin = origin.rstrip("/")
        self._basic = "Basic " + base64.b64encode(f"labs:{secret}".encode()).decode()

    async def me(self, token: str) -> dict[str, Any]:
        """Return the member with projects and profiles; raises as `_ask`."""
        return await self._ask("GET", "/api/v1/labs/me", _bearer(token))

    async def lab_token(self, token: str, project: str) -> dict[str, Any]:
        """Return a token for a lab, its end and the project's purpose; raises as `_ask`."""
        headers = {**_bearer(token), **_JSON}
        return await self._ask("POST", "/api/v1/labs/tokens", headers, json.dumps({"project": project}))

    async def end(self, token: str) -> None:
        """End a token; raises as `_ask`."""
        await self._ask("POST", "/api/v1/sign-out", {**_bearer(token), **_JSON}, "{}")

    async def projects(self, member: str) -> list[str]:
        """Return the projects in which a member may have a lab now, signed in or not; raises as `_ask`."""
        headers = {"Authorization": self._basic, "Content-Type": "application/x-www-form-urlencoded"}
        told = await self._ask("POST", "/oauth/standing", headers, urlencode({"member": member}))
        return [str(name) for name in told.get("projects") or ()]

    async def _ask(
        self, method: str, path: str, headers: Mapping[str, str], body: str | None = None
    ) -> dict[str, Any]:
        """Ask, and return the answer.

        Raises:
            NotSignedIn: the token has ended: sign-out, or the member is none any more.
            NotAllowed: it may not be; with the portal's own words.
            Unreachable: the portal is down.
        """
        request = HTTPRequest(
            self._origin + path,
            method=method,
            headers={**headers, "Accept": "application/json"},
            body=body,
            connect_timeout=ASK_S,
            request_timeout=ASK_S,
            follow_redirects=False,
        )
        try:
            answer = await AsyncHTTPClient().fetch(request)
        except HTTPClientError as problem:
            raise _said(problem) from None
        except OSError as problem:
            raise Unreachable(f"the portal does not answer ({problem.strerror})", "portal") from None
        try:
            content = json.loads(answer.body) if answer.body else {}
        except ValueError:
            raise Malformed("the portal's answer is no JSON", "portal") from None
        return content if isinstance(content, dict) else {}


_JSON = {"Content-Type": "application/json"}


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _said(problem: HTTPClientError) -> DarkroomError:
    """Return the error that an answer means."""
    title = ""
    if problem.response is not None and problem.response.body:
        try:
            content = json.loads(problem.response.body)
            title = str(content.get("title", ""))[:300] if isinstance(content, dict) else ""
        except ValueError:
            title = ""
    if problem.code == 401:
        return NotSignedIn(title or "the sign-in has ended", "portal")
    if 400 <= problem.code < 500 and problem.code != 429:
        return NotAllowed(title or f"the portal refused ({problem.code})", "portal")
    return Unreachable(f"the portal does not answer ({problem.code})", "portal")

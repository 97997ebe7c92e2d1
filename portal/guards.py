"""What every call passes before anything reads it: the right host, a bounded body, and headers that bind
browsers.

Members come under the public host. Behind a proxy with TLS the portal also answers under the host at which it listens,
to programs of its own machine: JupyterHub, and whoever has a token. A page that knows the port can have a browser send
calls there. So nothing there depends on what browsers send by themselves, and what looks like a browser's call, or was
passed on by the proxy, is refused.

One pure ASGI layer around the application. It takes the whole body first, so that nothing behind it ever sees
part of a body that turns out to be too large.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plans import labs
from plans.errors import DarkroomError, Malformed, NotAllowed, TooLarge, Unreachable
from portal import problems
from portal.limits import Limits, Site

POLICY = (
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
"""The content security policy: pages have text, one stylesheet and forms. No script, from anywhere."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not "no-referrer": under it browsers send `Origin: null` with our own forms (Fetch, section 3.2).
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
FOLDERS = ("/api/v1/jobs/python", "/api/v1/trials")
"""Calls that may bring a member's folder."""

WITHOUT_TOKEN = ("/api/v1/sign-in",)
"""Calls to the API that come out of no lab: its code has its member's token, and would only try others' passwords, as
long as the portal has memory for them and until an account is locked. Pages and OAuth are for browsers and the Hub.
Under the inner host nobody signs in either, since tries are counted by addresses that the proxy says."""

FROM_HUB = ("/oauth/token", "/oauth/standing")
"""What JupyterHub asks with its own secret."""

NOT_FOR_PROGRAMS = (
    "cookie", "origin", "referer", "sec-fetch-site", "sec-fetch-mode",
    "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip",
)  # fmt: skip
"""Headers that no program of this machine sends to the inner host: those of browsers, and those of proxies."""

ANY_HOST = ("/health",)
"""What a supervisor asks on the loopback address, whatever the portal's public name."""


class Guards:
    """The layer."""

    def __init__(self, app: ASGIApp, site: Site, limits: Limits) -> None:
        self._app, self._site, self._limits = app, site, limits
        self._folders: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a call on, or answer it with a problem. Websockets are not taken: nothing here uses them."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._http(scope, receive, self._sealed(send))

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["path"].isprintable():
            wrong = Malformed("a path holds printable characters alone", "path")
            await problems.answer(wrong)(scope, receive, send)
            return
        astray = self._astray(scope)
        if astray is not None:
            await problems.answer(astray, status=421)(scope, receive, send)
            return
        if _leads_nowhere(scope):
            elsewhere = NotAllowed("nobody signs in from a lab", "lab", "Use the portal in your browser.")
            await problems.answer(elsewhere)(scope, receive, send)
            return
        scope = self._as_members_came(scope)
        most = self._most(scope)
        if most <= self._limits.largest_body:
            await self._passed(scope, receive, send, most)
            return
        whose = _lab(scope)
        if self._has_no_place(whose):
            full = Unreachable(
                "the portal reads as many folders as it can", "request body", "Try again shortly."
            )
            await problems.answer(full)(scope, receive, send)
            return
        self._folders[whose] += 1
        try:
            await self._passed(scope, receive, send, most)
        finally:
            self._folders[whose] -= 1
            self._folders += Counter()  # forgets who has none

    async def _passed(self, scope: Scope, receive: Receive, send: Send, most: int) -> None:
        try:
            async with asyncio.timeout(self._limits.body_lasts):
                body = await self._body(scope, receive, most)
        except TimeoutError:
            slow = Unreachable("the request did not come whole in time", "request body", "Send it again.")
            await problems.answer(slow)(scope, receive, send)
            return
        if body is None:
            large = TooLarge(f"the request is larger than {most:,} bytes", "request body")
            await problems.answer(large)(scope, receive, send)
            return
        await self._app(scope, _once(body, receive), send)

    def _as_members_came(self, scope: Scope) -> Scope:
        """Return the scope with the scheme of the public origin, where a call came by it.

        The proxy passes on plain HTTP. Redirects are whole addresses, and after one of `http` a program would send its
        token or password once more, in clear.
        """
        if Headers(scope=scope).get("host", "") != self._site.host:
            return scope
        return {**scope, "scheme": "https" if self._site.secure else "http"}

    def _has_no_place(self, lab: str) -> bool:
        """Whether no further folder is read now; `lab` is whose it is, if it comes out of one. A lab sends past the
        proxy, as slowly as it likes, and must not take the places of all.
        """
        full = self._folders.total() >= self._limits.folders_at_once
        return full or bool(lab and self._folders[lab] >= self._limits.folders_of_lab)

    def _astray(self, scope: Scope) -> DarkroomError | None:
        """Return why a call came under the wrong host, or nothing."""
        headers = Headers(scope=scope)
        host, path = headers.get("host", ""), scope["path"]
        if host == self._site.host or path in ANY_HOST:
            return None
        advice = f"Use {self._site.origin}."
        if not self._site.inner or host != self._site.inner_host:
            return Malformed("the portal is not reached under this name", "Host", advice)
        with_token = _is_of_api(path) and "authorization" in headers
        if not (with_token or path in FROM_HUB) or any(name in headers for name in NOT_FOR_PROGRAMS):
            return Malformed(
                "under this name the portal takes calls of its own machine with a token alone", "Host", advice
            )
        return None

    def _most(self, scope: Scope) -> int:
        """Return how large a call may be: one that says beforehand that it brings a folder may be larger."""
        headers = Headers(scope=scope)
        said = headers.get("content-length", "")
        brings = scope["method"] == "POST" and scope["path"] in FOLDERS
        signed_in = "authorization" in headers or "cookie" in headers  # who it is, is found out later
        large = said.isdigit() and int(said) > self._limits.largest_body
        return self._limits.largest_folder if brings and signed_in and large else self._limits.largest_body

    async def _body(self, scope: Scope, receive: Receive, most: int) -> bytes | None:
        """Return the whole body, or none when it is larger than `most`; what is said to be larger is not read at
        all.
        """
        said = Headers(scope=scope).get("content-length", "0")
        if not said.isdigit() or int(said) > most:
            return None
        parts, size = [], 0
        while True:
            message = await receive()
            part = message.get("body", b"")
            size += len(part)
            if size > most:
                return None
            parts.append(part)
            if message["type"] != "http.request" or not message.get("more_body", False):
                return b"".join(parts)

    def _sealed(self, send: Send) -> Send:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                if self._site.secure:
                    headers["Strict-Transport-Security"] = "max-age=31536000"
            await send(message)

        return with_headers


def _leads_nowhere(scope: Scope) -> bool:
    """Whether a call comes out of a lab and is not one to the API by the lab's token."""
    return bool(_lab(scope)) and not _is_of_api(scope["path"])


def _lab(scope: Scope) -> str:
    """Return the address of the lab that a call comes out of; nothing if it comes out of none."""
    peer = str((scope.get("client") or ("",))[0])
    return peer if labs.is_lab(peer) else ""


def _is_of_api(path: str) -> bool:
    """Whether a path is one of the API's to which a caller brings a token."""
    return path.startswith("/api/v1/") and path.rstrip("/") not in WITHOUT_TOKEN


def _once(body: bytes, receive: Receive) -> Receive:
    """Return a channel that gives the whole body once, and then what the client does (it can only leave)."""
    given = False

    async def channel() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return channel

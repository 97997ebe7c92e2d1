"""The way into a Jupyter server without its pages: HTTP, kernels and terminals, with the cookies of a person's browser.

For what would be slow or impossible by typing: hundreds of attacks in one kernel, requests that no page would send. A
visitor is an origin, a path and cookies, so that a test can send one person's cookies to another person's lab.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
import websocket
from playwright.sync_api import BrowserContext

_END = "darkroom-test-end"
PATIENCE_S = 240.0
"""How long an answer is waited for; all come in seconds where nothing else runs."""


@dataclass(slots=True)
class Answered:
    """What running code in a kernel gave."""

    status: str
    text: str
    error: str = ""


@dataclass(slots=True)
class Visitor:
    """Whoever sends requests to one origin: cookies, headers, and the path under which a server lies."""

    origin: str
    base: str
    cookies: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """Name and port, as in the header."""
        return urlsplit(self.origin).netloc

    @property
    def port(self) -> int:
        """The port of loopback that is asked, whatever the name."""
        return urlsplit(self.origin).port or 80

    def sent(self) -> dict[str, str]:
        """Return the headers of every request."""
        found = {"Host": self.host, **self.headers}
        if self.cookies:
            found["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if "_xsrf" in self.cookies:
            found["X-XSRFToken"] = self.cookies["_xsrf"]
        return found

    def ask(self, method: str, path: str, body: Any = None, patience_s: float = PATIENCE_S) -> httpx.Response:
        """Send one request; a path without a leading slash lies below the base."""
        where = path if path.startswith("/") else self.base + path
        with httpx.Client(trust_env=False, timeout=patience_s) as client:
            url = f"http://127.0.0.1:{self.port}{where}"
            return client.request(method, url, json=body, headers=self.sent())

    def connect(self, path: str, patience_s: float = PATIENCE_S, origin: str = "") -> websocket.WebSocket:
        """Open a websocket; raises websocket.WebSocketBadStatusException where it is refused."""
        where = path if path.startswith("/") else self.base + path
        headers = {name: value for name, value in self.sent().items() if name not in ("Host", "Cookie")}
        return websocket.create_connection(
            f"ws://127.0.0.1:{self.port}{where}",
            timeout=patience_s,
            host=self.host,
            origin=origin or self.origin,
            cookie=self.sent().get("Cookie"),
            header=headers,
            http_no_proxy=["*"],
        )

    def kernel(self) -> Kernel:
        """Start a kernel."""
        return Kernel(self, str(self.ask("POST", "api/kernels", {}).raise_for_status().json()["id"]))

    def terminal(self, command: str, patience_s: float = PATIENCE_S) -> str:
        """Run one line in a fresh terminal and return what it wrote."""
        name = self.ask("POST", "api/terminals", {}).raise_for_status().json()["name"]
        wire = self.connect(f"terminals/websocket/{name}", patience_s)
        try:
            # the marker is put together by the shell, so that its echo is not taken for the end
            wire.send(json.dumps(["stdin", f"{command}; printf '%s-%s\\n' darkroom-test end\r"]))
            return _until_end(wire, patience_s)
        finally:
            wire.close()
            self.ask("DELETE", f"api/terminals/{name}")


def _until_end(wire: websocket.WebSocket, patience_s: float) -> str:
    said, until = "", time.monotonic() + patience_s
    while _END not in said and time.monotonic() < until:
        kind, *rest = json.loads(wire.recv())
        said += rest[0] if kind == "stdout" else ""
    return said.partition(_END)[0]


@dataclass(slots=True)
class Kernel:
    """A running kernel of a server."""

    visitor: Visitor
    id: str

    def run(self, code: str, patience_s: float = PATIENCE_S) -> Answered:
        """Run code and return what it printed, and its last value."""
        wire = self.visitor.connect(f"api/kernels/{self.id}/channels", patience_s)
        try:
            return _executed(wire, code, patience_s)
        finally:
            wire.close()

    def end(self) -> None:
        """Shut it down."""
        self.visitor.ask("DELETE", f"api/kernels/{self.id}")


def _executed(wire: websocket.WebSocket, code: str, patience_s: float) -> Answered:
    asked = uuid.uuid4().hex
    wire.send(json.dumps(_execute(asked, code)))
    answered, idle, replied = Answered("", ""), False, False
    until = time.monotonic() + patience_s
    while not (idle and replied):
        if time.monotonic() > until:
            raise TimeoutError(f"the kernel is not done after {patience_s} s; it said: {answered.text}")
        said = json.loads(wire.recv())
        if said.get("parent_header", {}).get("msg_id") != asked:
            continue
        kind, content = said["msg_type"], said["content"]
        idle = idle or (kind == "status" and content["execution_state"] == "idle")
        if kind == "stream":
            answered.text += content["text"]
        elif kind in ("execute_result", "display_data"):
            answered.text += content["data"].get("text/plain", "")
        elif kind == "error":
            answered.error = f"{content['ename']}: {content['evalue']}"
        elif kind == "execute_reply":
            answered.status, replied = content["status"], True
    return answered


def _execute(asked: str, code: str) -> dict[str, Any]:
    header = {
        "msg_id": asked,
        "msg_type": "execute_request",
        "username": "",
        "session": asked,
        "version": "5.4",
    }
    content = {
        "code": code,
        "silent": False,
        "store_history": False,
        "allow_stdin": False,
        "stop_on_error": True,
    }
    return {
        "header": header | {"date": "2026-01-01T00:00:00Z"},
        "parent_header": {},
        "metadata": {},
        "content": content,
        "channel": "shell",
        "buffers": [],
    }


def visitor_of(context: BrowserContext, url: str) -> Visitor:
    """Return a visitor with the cookies that this browser would send to this address."""
    parts = urlsplit(url)
    base = parts.path.partition("/lab")[0].rstrip("/") + "/"
    cookies = {each["name"]: each["value"] for each in context.cookies(url)}
    return Visitor(f"{parts.scheme}://{parts.netloc}", base, cookies)

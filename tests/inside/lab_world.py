"""What is around a lab, for tests: a porter at a socket, a Hub that knows one person, and visitors at a port."""

from __future__ import annotations

import contextlib
import http.server
import json
import queue
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plans import frames

USER, PREFIX, TOKEN = "li.nm", "/user/li.nm/", "token-of-li"
SCOPE = f"access:servers!server={USER}/"


def environment(**more: str) -> dict[str, str]:
    """What the Hub makes for a server."""
    return {
        "JUPYTERHUB_API_URL": "http://127.0.0.1:8081/hub/api",
        "JUPYTERHUB_ACTIVITY_URL": f"http://127.0.0.1:8081/hub/api/users/{USER}/activity",
        "JUPYTERHUB_ACTIVITY_INTERVAL": "2",
        "JUPYTERHUB_API_TOKEN": "token-of-the-server",
        "JUPYTERHUB_BASE_URL": "/",
        "JUPYTERHUB_CLIENT_ID": f"jupyterhub-user-{USER}",
        "JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:8888{PREFIX}",
        "JUPYTERHUB_SERVICE_PREFIX": PREFIX,
        "JUPYTERHUB_USER": USER,
        "JUPYTERHUB_OAUTH_ACCESS_SCOPES": json.dumps([SCOPE]),
        "DARKROOM_LAB": "1",
        **more,
    }


class Hub:
    """JupyterHub's API, as far as a server asks it: who comes with a token, and that somebody is active."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                token = self.headers.get("Authorization", "").rpartition(" ")[2]
                hub.asked.append((f"{self.command} {self.path}", token))
                self.rfile.read(int(self.headers.get("Content-Length", "0")))
                known = self.path.rstrip("/") == "/hub/api" or token in (TOKEN, "token-of-the-server")
                user = {"name": USER, "kind": "user", "admin": False, "groups": [], "scopes": [SCOPE]}
                body = json.dumps(user if known else {"message": "who?"}).encode()
                self.send_response(200 if known else 403)
                self.send_header("X-JupyterHub-Version", "6.1.1")
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@dataclass
class Porter:
    """The other end of a lab's link `hub`; visitors come to `port`. It can be closed and opened again."""

    path: Path
    environment: dict[str, str]
    hub_port: int
    headed: bool = True
    """Whether the launcher says first whose connection it is."""
    asked: int = 0
    parked: queue.Queue[socket.socket] = field(default_factory=queue.Queue)
    living: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.desk = socket.create_server(("127.0.0.1", 0))
        self.port = self.desk.getsockname()[1]
        threading.Thread(target=self._serve, args=(self.desk, self._visited), daemon=True).start()
        self.open()

    def open(self) -> None:
        self.door = socket.socket(socket.AF_UNIX)
        self.path.unlink(missing_ok=True)
        self.door.bind(str(self.path))
        self.path.chmod(0o666)
        self.door.listen(128)
        threading.Thread(target=self._serve, args=(self.door, self._opened), daemon=True).start()

    def close(self) -> None:
        """Be gone, as a porter that was killed: with everything that it held."""
        self.path.unlink(missing_ok=True)
        for each in (self.door, *self.living):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self.living.clear()
        self.parked = queue.Queue()

    def end(self) -> None:
        self.close()
        self.desk.close()

    def _serve(self, door: socket.socket, answer: Any) -> None:
        with contextlib.suppress(OSError):
            while True:
                stream, _ = door.accept()
                threading.Thread(target=answer, args=(stream,), daemon=True).start()

    def _opened(self, stream: socket.socket) -> None:
        self.living.append(stream)
        with contextlib.suppress(OSError):
            if self.headed:
                head = stream.recv(4, socket.MSG_WAITALL)
                stream.recv(frames.length_of(head), socket.MSG_WAITALL)
            first = stream.recv(1)
            if first == b"S":
                self.asked += 1
                stream.sendall(frames.pack({"environment": self.environment}))
                stream.close()
            elif first == b"C":
                join(stream, socket.create_connection(("127.0.0.1", self.hub_port)))
            elif first == b"W":
                self.parked.put(stream)

    def _visited(self, visitor: socket.socket) -> None:
        with contextlib.suppress(OSError, queue.Empty):
            stream = self.parked.get(timeout=30)
            stream.sendall(b"!")
            join(visitor, stream)
            return
        visitor.close()


def join(one: socket.socket, two: socket.socket) -> None:
    """Copy both ways until both have ended."""

    def copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(65536):
                target.sendall(block)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    back = threading.Thread(target=copy, args=(two, one), daemon=True)
    back.start()
    copy(one, two)
    back.join()
    one.close()
    two.close()


@contextlib.contextmanager
def world(folder: Path, **more: Any) -> Iterator[tuple[Porter, Hub]]:
    hub = Hub()
    porter = Porter(folder / "hub", environment(), hub.port, **more)
    try:
        yield porter, hub
    finally:
        porter.end()
        hub.close()

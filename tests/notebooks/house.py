"""A Hub, a proxy and a porter as they really run, among neighbours that are fakes."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from notebooks.settings import SECRETS, LabsSettings
from plans.box import Limits
from tests.notebooks.fakes import PROFILE, PROJECT, FakeLauncher, FakePortal
from tests.ports import free_ports

ROOT = Path(__file__).resolve().parents[2]
USERS = {"launcher": 60_710, "porter": 60_967, "proxy": 60_968, "hub": 60_969}
CEILING = Limits(65_536, 8192, 0, 16, 2_592_000, 2_592_000, 1024, 4096, 64)


class House:
    """Everything of the side of labs but launcher and portal; `with` starts and ends it."""

    def __init__(self, places: int = 100, **changes: Any) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="dr-nb-"))
        self.folder.chmod(0o711)
        users = USERS if os.geteuid() == 0 else dict.fromkeys(USERS)
        for name, user in (
            ("hub", "hub"),
            ("porter", "porter"),
            ("desk", "porter"),
            ("service", "porter"),
            ("keys", None),
        ):
            (self.folder / name).mkdir(mode=0o700)
            if user and users[user] is not None:
                os.chown(self.folder / name, users[user], users["hub" if name == "desk" else user])
                (self.folder / name).chmod(0o2710 if name in ("desk", "service") else 0o700)
        (self.folder / "node").mkdir(mode=0o711)
        (self.folder / "images" / PROFILE["image"].removeprefix("sha256:") / "root").mkdir(parents=True)
        (self.folder / "images").chmod(0o755)
        for name in SECRETS:
            (self.folder / "keys" / name).write_text(secrets.token_hex(32))
        self.portal = FakePortal((self.folder / "keys" / "oauth").read_text())
        port = free_ports(3)
        values = {
            "portal": self.portal.origin, "portal_page": self.portal.origin,
            "address": f"http://labs.localhost:{port}", "listen_host": "127.0.0.1", "listen_port": port,
            "hub_port": port + 1, "proxy_port": port + 2, "first_port": 20_000 + secrets.randbelow(5_000),
            "launcher_socket": str(self.folder / "node" / "open"),
            "porter_hub": str(self.folder / "service" / "hub"), "porter_api": str(self.folder / "service" / "api"),
            "porter_desk": str(self.folder / "desk" / "desk"), "porter_state": str(self.folder / "porter"),
            "hub_state": str(self.folder / "hub"), "keys": str(self.folder / "keys"),
            "images": str(self.folder / "images"), **{f"user_{name}": user for name, user in users.items()},
            "idle_hours": 4, "age_days": 7, "limits": CEILING.plain(), "wait_s": 900, "answer_s": 180,
            "membership_s": 60, "grace_s": 20, "administrator": "",
            **changes,
        }  # fmt: skip
        self.settings = LabsSettings.read(values)
        self.file = self.folder / "labs.json"
        self.file.write_text(json.dumps(self.settings.plain()))
        self.launcher = self.new_launcher(places)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def new_launcher(self, places: int = 100) -> FakeLauncher:
        return FakeLauncher(Path(self.settings.launcher_socket), Path(self.settings.porter_hub), places)

    def __enter__(self) -> House:
        for name in ("porter", "proxy", "hub"):
            self.start(name)
        self.wait()
        return self

    def __exit__(self, *_: object) -> None:
        for name in reversed(list(self.processes)):
            self.kill(name)
        self.launcher.close()
        self.portal.close()
        subprocess.run(["rm", "-rf", str(self.folder)], check=True)

    def start(self, name: str) -> None:
        log = (self.folder / f"{name}.log").open("ab")
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-P", "-m", f"notebooks.{name}", str(self.file)],
            cwd=self.folder, env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def wait(self, patience_s: float = 120) -> None:
        """Wait until the Hub answers through the proxy, and the porter at its desk."""
        until = time.monotonic() + patience_s
        while time.monotonic() < until:
            if self._answers():
                return
            time.sleep(0.1)
        raise AssertionError(
            "".join(f"--- {name}\n{self.log(name)[-3000:]}" for name in ("porter", "proxy", "hub"))
        )

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as desk:
                desk.connect(self.settings.porter_desk)
            health = f"http://127.0.0.1:{self.settings.listen_port}/hub/health"
            return httpx.get(health, timeout=30).status_code == 200
        except (OSError, httpx.HTTPError):
            return False

    def member(self, name: str, *projects: dict[str, Any]) -> Browser:
        """Return a browser in which this member is signed in at the portal."""
        self.portal.projects[name] = list(projects or (PROJECT,))
        return Browser(self, name)


class Loopback(httpx.HTTPTransport):
    """Every host of *.localhost is this machine and is trusted with `Secure` cookies, as browsers have it.

    Python's jar gives a cookie without a domain to hosts below, too; browsers do not (RFC 6265 section 5.4).
    """

    def __init__(self) -> None:
        super().__init__()
        self.hosts: dict[str, str] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        if not host.endswith(".localhost"):
            return super().handle_request(request)
        pairs = [pair for pair in request.headers.get("cookie", "").split("; ") if pair]
        fitting = [pair for pair in pairs if self.hosts.get(pair, host) == host]
        headers = [pair for pair in request.headers.multi_items() if pair[0] != "cookie"]
        headers += [("cookie", "; ".join(fitting))] if fitting else []
        here = request.url.copy_with(host="127.0.0.1")
        answer = super().handle_request(
            httpx.Request(
                request.method, here, headers=headers, stream=request.stream, extensions=request.extensions
            )
        )
        said = []
        for name, value in answer.headers.multi_items():
            if name == "set-cookie" and "domain=" not in value.lower():
                self.hosts[value.partition(";")[0]] = host
            said.append((name, value.replace("; Secure", "") if name == "set-cookie" else value))
        answer.headers = httpx.Headers(said)
        return answer


class Browser:
    """What a member's browser does: cookies by host, redirects, forms with their XSRF token."""

    def __init__(self, house: House, member: str) -> None:
        self.house, self.member = house, member
        self.client = httpx.Client(transport=Loopback(), follow_redirects=True, timeout=120)
        self.username = member.replace("/", ".")

    def hub(self, path: str) -> str:
        return f"{self.house.settings.address}/hub/{path}"

    def get(self, url: str, **given: Any) -> httpx.Response:
        self.house.portal.who = self.member
        return self.client.get(url, headers={"Sec-Fetch-Mode": "navigate", "Accept": "text/html"}, **given)

    def xsrf(self) -> str:
        self.get(self.hub("home"))
        found = [
            cookie.value
            for cookie in self.client.cookies.jar
            if cookie.name == "_xsrf" and "hub" in cookie.path
        ]
        return str(found[0])

    def api(self, method: str, path: str, **given: Any) -> httpx.Response:
        headers = {"Sec-Fetch-Mode": "cors", "X-XSRFToken": self.xsrf(), "Referer": self.hub("home")}
        return self.client.request(method, self.hub(f"api/{path}"), headers=headers, **given)

    def model(self) -> dict[str, Any]:
        return dict(self.api("GET", f"users/{self.username}").json())

    def progress(self, hear: Callable[[str], None] = lambda told: None) -> list[dict[str, Any]]:
        """Return what the page that waits hears, until the end; a page between two states is loaded again.

        `hear` is given each sentence as it comes.
        """
        url, headers = self.hub(f"api/users/{self.username}/server/progress"), {"Referer": self.hub("home")}
        ends, events = time.monotonic() + 120, []
        while True:
            with self.client.stream("GET", url, headers=headers) as answer:
                for line in answer.iter_lines():
                    if line.startswith("data: "):
                        events.append(json.loads(line.removeprefix("data: ")))
                        hear(str(events[-1]["message"]))
            if answer.status_code != 400 or time.monotonic() > ends:
                return events
            time.sleep(0.5)

    def spawn(self, hear: Callable[[str], None] = lambda told: None) -> list[dict[str, Any]]:
        """Ask for a lab as somebody who opens the page, and return what was told."""
        answer = self.get(self.hub("spawn"))
        assert answer.status_code == 200, (answer.status_code, answer.text[-2000:])
        return self.progress(hear)

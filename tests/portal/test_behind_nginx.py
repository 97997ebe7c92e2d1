"""The portal behind a real nginx, with the configuration that operators are given; and what stands in for labs, which
says what reached it.

Visitors come from addresses of loopback of their own, so that nginx tells them apart.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import uvicorn

from portal import api as portal
from portal.limits import Site
from tests.portal import tls_proxy
from tests.portal.audit_log import open_log
from tests.portal.region import Region, build
from tests.portal.tls_proxy import LABS, PORTAL, Door

MEI = "mei@nm/centre"
LAB = f"u-mei-{'0' * 26}.{LABS}"
LARGE = 64 * 2**20
FORGED = {
    "X-Forwarded-For": "198.51.100.1", "X-Real-IP": "198.51.100.2", "X-Forwarded-Proto": "http", "X-Scheme": "http",
    "X-Forwarded-Host": "evil.example", "X-Forwarded-Port": "1", "Forwarded": "for=198.51.100.3;proto=http",
}  # fmt: skip

ORDERS = {
    "X-Accel-Redirect": "/hub/home", "X-Accel-Limit-Rate": "1", "X-Accel-Buffering": "no", "X-Harmless": "yes",
    "Clear-Site-Data": '"cookies"', "Alt-Svc": 'h2="evil.example:443"', "Strict-Transport-Security": "max-age=0",
}  # fmt: skip


@dataclass
class Heard:
    """What reached the stand-in of labs, and when it began to hear a request."""

    requests: list[dict[str, str]] = field(default_factory=list)
    connections: int = 0
    given: int = 0
    hold: threading.Event = field(default_factory=threading.Event)


class _Labs(BaseHTTPRequestHandler):
    """Stands in for the proxy of labs: says what it was sent, sets cookies, and takes websockets."""

    heard = Heard()
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.heard.connections += 1

    def do_GET(self) -> None:
        if self.headers.get("Upgrade") == "websocket":
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.end_headers()
            self.wfile.write(self.rfile.read(4)[::-1])
            self.close_connection = True
            return
        if self.path.endswith("/large"):
            self.send_response(200)
            self.send_header("Content-Length", str(LARGE))
            self.end_headers()
            self.wfile.write(bytes(LARGE))
            self.heard.given += 1
            return
        if self.path == "/hold":
            self.heard.hold.wait(180)
        self._told(0)

    def do_PUT(self) -> None:
        self._told(len(self.rfile.read(int(self.headers["Content-Length"]))))

    def _told(self, size: int) -> None:
        self.heard.requests.append({name.lower(): value for name, value in self.headers.items()})
        body = json.dumps({"size": size, "headers": self.heard.requests[-1]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "text/html")
        for cookie in ("_xsrf=1; Path=/user/mei", "other=2; Path=/; HttpOnly"):
            self.send_header("Set-Cookie", cookie)
        if self.path.startswith("/toss/"):
            token = self.path.removeprefix("/toss/")
            self.send_header(
                "Set-Cookie", f"\xa0__Host-darkroom={token}; Domain=example.test; Path=/; Secure"
            )
        for name, value in ORDERS.items() if self.path.endswith("/orders") else ():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _LabsServer(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


@dataclass(frozen=True)
class Front:
    """The running whole."""

    door: Door
    region: Region
    portal_port: int
    labs_port: int
    heard: Heard


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("front")
    door, heard = tls_proxy.door(folder), Heard()
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    region = build(folder, open_log(folder))
    services = replace(region.services, site=Site(door.portal, f"http://127.0.0.1:{port}"))
    config = uvicorn.Config(portal.create_app(services), log_config=None, lifespan="off", proxy_headers=False)
    server = uvicorn.Server(config)
    labs = _LabsServer(("127.0.0.1", 0), type("Labs", (_Labs,), {"heard": heard}))
    threads = [
        threading.Thread(target=server.run, kwargs={"sockets": [listener]}),
        threading.Thread(target=labs.serve_forever, kwargs={"poll_interval": 0.05}),
    ]
    for thread in threads:
        thread.start()
    with tls_proxy.nginx(folder, door, port, labs.server_address[1]):
        yield Front(door, region, port, labs.server_address[1], heard)
    server.should_exit = True
    labs.shutdown()
    for thread in threads:
        thread.join()
    labs.server_close()
    listener.close()
    region.database.close()
    region.log.close()


@dataclass(frozen=True)
class Answer:
    """An answer as it came: status, header lines in small letters, body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]


def connected(front: Front, name: str, visitor: str = "127.0.0.1") -> ssl.SSLSocket:
    """Return a connection by TLS under a name, whose certificate is checked."""
    trusting = ssl.create_default_context(cafile=str(front.door.certificate))
    plain = socket.create_connection(("127.0.0.1", front.door.tls), 90, source_address=(visitor, 0))
    return trusting.wrap_socket(plain, server_hostname=name)


def spoken(front: Front, name: str, raw: bytes, visitor: str = "127.0.0.1") -> Answer:
    """Say bytes to nginx and return the answer."""
    with connected(front, name, visitor) as wire:
        wire.sendall(raw)
        return _read(wire)


def asked(front: Front, name: str, request: str, headers: dict[str, str], body: bytes = b"", visitor: str = "127.0.0.1"
          ) -> Answer:  # fmt: skip
    """Send one request."""
    sent = {
        "Host": f"{name}:{front.door.tls}",
        "Connection": "close",
        "Content-Length": str(len(body)),
        **headers,
    }
    lines = [f"{request} HTTP/1.1", *(f"{key}: {value}" for key, value in sent.items()), "", ""]
    return spoken(front, name, "\r\n".join(lines).encode() + body, visitor)


def _read(wire: socket.socket) -> Answer:
    """Read one answer. nginx keeps a connection open for a while on which a visitor goes on to send."""
    said = b""
    while b"\r\n\r\n" not in said and (chunk := wire.recv(65536)):
        said += chunk
    head, _, body = said.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    pairs = (line.partition(": ") for line in lines)
    headers = tuple((key.lower(), value) for key, _, value in pairs)
    size = int(dict(headers).get("content-length", 0))
    while len(body) < size and (chunk := wire.recv(65536)):
        body += chunk
    return Answer(int((first.split() + ["0", "0"])[1]), headers, body)


def sign_in(front: Front, password: str, visitor: str, **headers: str) -> Answer:
    body = json.dumps({"member": MEI, "password": password}).encode()
    sent = {"Content-Type": "application/json", **headers}
    return asked(front, PORTAL, "POST /api/v1/sign-in", sent, body, visitor)


# --- the portal ---------------------------------------------------------------------------------------------


def test_a_member_signs_in_by_the_form_through_tls(front: Front) -> None:
    form = f"member={MEI}&password={front.region.password(MEI).replace(' ', '+')}".encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": front.door.portal}
    answer = asked(front, PORTAL, "POST /sign-in", headers, form)
    (cookie,) = answer.all("set-cookie")
    assert answer.status == 303 and cookie.startswith("__Host-darkroom=") and "secure" in cookie.lower()
    assert len(answer.all("strict-transport-security")) == 1
    shown = asked(front, PORTAL, "GET /", {"Cookie": cookie.partition(";")[0]})
    assert shown.status == 200 and b"You are signed in as" in shown.body


def test_under_plain_http_there_is_only_the_way_to_tls(front: Front) -> None:
    for name in (PORTAL, LABS, LAB):
        with socket.create_connection(("127.0.0.1", front.door.plain), 90) as wire:
            wire.sendall(f"GET /jobs?x=1 HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
            answer = _read(wire)
        assert answer.status == 301 and answer.all("location") == [f"https://{name}/jobs?x=1"]


@pytest.mark.parametrize(
    "line, host",
    [
        ("GET /sign-in", "127.0.0.1:{inner}"),
        ("GET /sign-in", "evil.example"),
        ("GET /sign-in", "darkroom.example.test.evil.example"),
        ("GET /api/v1/me", "127.0.0.1:{inner}"),
        ("GET https://darkroom.example.test/api/v1/me", "127.0.0.1:{inner}"),  # nginx goes by the line
        ("GET https://darkroom.example.test/sign-in", "evil.example"),
    ],
)
def test_no_visitor_comes_in_under_another_name(front: Front, line: str, host: str) -> None:
    token = json.loads(sign_in(front, front.region.password(MEI), "127.0.0.9").body)["token"]
    headers = {"Host": host.format(inner=front.portal_port), "Authorization": f"Bearer {token}"}
    assert asked(front, PORTAL, line, headers).status == 421
    good = asked(front, PORTAL, "GET /api/v1/me", {"Authorization": f"Bearer {token}"})
    assert good.status == 200, "the control"


def test_a_cookie_with_blanks_around_its_name_is_another_one(front: Front) -> None:
    """A lab can set such ones for the domain above itself and the portal, and Chromium brings them here: to a browser
    they have no prefix `__Host-`. Python takes these bytes away as blanks.
    """
    token = json.loads(sign_in(front, front.region.password(MEI), "127.0.0.10").body)["token"]

    def shown(cookie: str) -> int:
        head = f"GET /api/v1/me HTTP/1.1\r\nHost: {PORTAL}:{front.door.tls}\r\nConnection: close\r\n"
        return spoken(front, PORTAL, f"{head}Cookie: {cookie}\r\n\r\n".encode("latin-1")).status

    name = "__Host-darkroom"
    for tossed in ("\xa0{}", "\x85{}", "{}\xa0", "{}\x85", "\xa0 {}", "\x85\xa0{}\xa0"):
        assert shown(f"{tossed.format(name)}={token}") == 401
        assert shown(f"{name}={token}; {tossed.format(name)}=another") == 200, (
            "nor do they push the right one out"
        )
    assert shown(f"{name}={token}; {name}=another") == 401, "no browser has two"
    assert shown(f"a=b; {name}={token}") == 200, "the control"


@pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no chromium on this machine")
def test_63_a_lab_signs_nobody_in_at_the_portal_by_a_tossed_cookie(front: Front) -> None:
    pytest.importorskip("playwright.sync_api")
    from tests.e2e import jupyterlab

    token = json.loads(sign_in(front, front.region.password(MEI), "127.0.0.11").body)["token"]
    with jupyterlab.chromium("--host-resolver-rules=MAP *.example.test 127.0.0.1") as browser:
        context = browser.new_context(ignore_https_errors=True)
        page = context.new_page()
        page.goto(front.door.labs.replace(LABS, LAB) + f"/toss/{token}")
        with page.expect_request(front.door.portal + "/") as brought:
            page.goto(front.door.portal + "/")
        assert token in brought.value.all_headers()["cookie"], "the control: Chromium brings it"
        assert MEI not in page.content() and page.get_by_label("Password").count()


def test_no_redirect_leaves_tls(front: Front) -> None:
    """A program that follows it would say its password once more, in clear."""
    answer = asked(front, PORTAL, "POST /api/v1/sign-in/", {"Content-Type": "application/json"}, b"{}")
    assert answer.status == 307 and answer.all("location") == [f"{front.door.portal}/api/v1/sign-in"]


def test_pages_are_not_packed(front: Front) -> None:
    """Debian's nginx packs pages; their length would then tell what in them is alike."""
    for name, request in ((PORTAL, "GET /sign-in"), (LAB, "GET /user/mei/lab")):
        answer = asked(front, name, request, {"Accept-Encoding": "gzip"})
        assert answer.status == 200 and not answer.all("content-encoding")


def test_a_name_that_is_not_ours_gets_no_certificate(front: Front) -> None:
    with pytest.raises(ssl.SSLError):
        connected(front, "evil.example.test")
    connected(front, LAB).close()


def test_visitors_are_told_apart_by_the_address_that_nginx_saw(front: Front) -> None:
    """What a visitor writes into the headers makes nobody another, and locks nobody else out."""
    seen = {
        sign_in(front, "guessed, guessed", "127.0.0.2", **{"X-Forwarded-For": f"203.0.113.{number}"}).status
        for number in range(7)
    }
    assert seen == {401, 429}
    password = front.region.password(MEI)
    assert sign_in(front, password, "127.0.0.2", **{"X-Forwarded-For": "127.0.0.3"}).status == 429
    assert sign_in(front, password, "127.0.0.3", **{"X-Forwarded-For": "127.0.0.2"}).status == 200


def test_a_body_above_the_portals_limit_is_refused_unread(front: Front) -> None:
    head = (
        f"POST /api/v1/jobs/python HTTP/1.1\r\nHost: {PORTAL}:{front.door.tls}\r\nConnection: close\r\n"
        "Content-Length: {}\r\n\r\n"
    )
    assert spoken(front, PORTAL, head.format(13_000_000).encode()).status == 413
    body = b"x" * 11_900_000  # nginx lets it pass; the portal takes so much from members alone
    answer = asked(front, PORTAL, "POST /api/v1/jobs/python", {"Authorization": "Bearer x"}, body)
    assert answer.status == 401, answer.body[:200]


# --- labs ---------------------------------------------------------------------------------------------------


def test_labs_get_their_host_and_headers_that_no_visitor_wrote(front: Front) -> None:
    answer = asked(front, LAB, "GET /user/mei/lab", FORGED, visitor="127.0.0.7")
    told = json.loads(answer.body)["headers"]
    assert told["host"] == f"{LAB}:{front.door.tls}"
    said = {name.lower(): told[name.lower()] for name in FORGED if name.lower() in told}
    assert said == {"x-forwarded-for": "127.0.0.7", "x-forwarded-proto": "https"}


def test_every_cookie_of_labs_stays_on_tls(front: Front) -> None:
    answer = asked(front, LAB, "GET /user/mei/lab", {})
    xsrf, other = (cookie.lower() for cookie in answer.all("set-cookie"))
    assert "; secure" in xsrf and "samesite=lax" in xsrf
    assert "; secure" in other and "httponly" in other
    assert len(answer.all("strict-transport-security")) == 1


def test_a_lab_gives_orders_neither_to_the_proxy_nor_to_a_browser_beyond_its_host(front: Front) -> None:
    answer = asked(front, LAB, "GET /user/mei/orders", {}, visitor="127.0.0.8")
    assert answer.status == 200 and answer.all("x-harmless") == ["yes"], "the control"
    assert not [name for name, _ in answer.headers if name in ("clear-site-data", "alt-svc")]
    assert answer.all("strict-transport-security") == ["max-age=31536000"]


@pytest.mark.parametrize("line", ["GET https://x.labs.example.test/hold HTTP/1.1\r\nHost: {lab}",
                                  "GET https://{lab}/hold HTTP/1.1\r\nHost: x.labs.example.test",
                                  "GET /hold HTTP/1.0", "GET /hold HTTP/1.1\r\nHost: x@{lab}",
                                  "GET /hold HTTP/1.0\r\nHost: {lab}."])  # fmt: skip
def test_nobody_is_counted_under_one_host_and_led_to_another(front: Front, line: str) -> None:
    before = front.heard.connections
    raw = f"{line.format(lab=LAB)}\r\nConnection: close\r\n\r\n".encode()
    assert spoken(front, LAB, raw).status == 421 and front.heard.connections == before
    same = f"GET https://{LAB}/x HTTP/1.1\r\nHost: {LAB}:{front.door.tls}\r\nConnection: close\r\n\r\n"
    assert spoken(front, LAB, same.encode()).status == 200, "the control"


def test_websockets_pass(front: Front) -> None:
    upgrade = (
        f"GET /user/mei/api HTTP/1.1\r\nHost: {LAB}:{front.door.tls}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "\r\n"
    )
    with connected(front, LAB) as wire:
        wire.sendall(upgrade.encode())
        assert b"101" in wire.recv(4096)
        wire.sendall(b"abcd")
        assert wire.recv(4) == b"dcba"


def test_nothing_but_a_websocket_takes_a_connection_over(front: Front) -> None:
    for wanted in ("h2c", "websocket, h2c", "TLS/1.2"):
        answer = asked(
            front, LAB, "GET /user/mei/lab", {"Upgrade": wanted, "Connection": "Upgrade, HTTP2-Settings"}
        )
        told = json.loads(answer.body)["headers"]
        assert "upgrade" not in told and told["connection"] == "close"


def test_a_slow_body_holds_no_place_of_a_lab(front: Front) -> None:
    """nginx reads a body whole first: until it is there nobody behind it hears of the request."""
    head = f"PUT /user/mei/api/contents/a.ipynb HTTP/1.1\r\nHost: {LAB}:{front.door.tls}\r\nConnection: close\r\n"
    before = front.heard.connections
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(connected(front, LAB)) for _ in range(20)]
        for wire in wires:
            wire.sendall(f"{head}Content-Length: 9\r\n\r\nslow".encode())
        time.sleep(0.3)
        assert front.heard.connections == before
        wires[0].sendall(b" body")
        assert json.loads(_read(wires[0]).body)["size"] == 9
    assert front.heard.connections == before + 1, "the control"


def test_a_visitor_who_reads_slowly_holds_no_place_of_a_lab(front: Front) -> None:
    request = (
        f"GET /user/mei/files/large HTTP/1.1\r\nHost: {LAB}:{front.door.tls}\r\nConnection: close\r\n\r\n"
    )
    with connected(front, LAB) as wire:
        wire.sendall(request.encode())
        until = time.monotonic() + 90
        while not front.heard.given and time.monotonic() < until:
            time.sleep(0.05)
        assert front.heard.given == 1, "nginx took all of it, of which nothing was read yet"


def test_a_document_that_a_lab_may_hold_passes_and_a_larger_one_does_not(front: Front) -> None:
    size = 90 * 2**20
    answer = asked(front, LAB, "PUT /user/mei/api/contents/a.ipynb", {}, b"x" * size)
    assert json.loads(answer.body)["size"] == size
    head = f"PUT /user/mei/a HTTP/1.1\r\nHost: {LAB}:{front.door.tls}\r\nContent-Length: {2**31}\r\n\r\n"
    assert spoken(front, LAB, head.encode() + b"x").status == 413


def test_one_visitor_never_holds_all_places_of_a_lab(front: Front) -> None:
    """A lab takes 64 connections. Whoever comes from another address, or to another lab, finds a place."""
    request = f"GET /hold HTTP/1.1\r\nHost: {LAB}:{front.door.tls}\r\nConnection: close\r\n\r\n".encode()
    before = front.heard.connections
    front.heard.hold.clear()
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(connected(front, LAB, "127.0.0.21")) for _ in range(64)]
        for wire in wires:
            wire.sendall(request)
        until = time.monotonic() + 60
        while front.heard.connections < before + 48 and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(0.2)
        assert front.heard.connections == before + 48
        refused = asked(front, LAB, "GET /user/mei/lab", {}, visitor="127.0.0.21")
        assert refused.status == 429
        assert asked(front, LAB, "GET /user/mei/lab", {}, visitor="127.0.0.22").status == 200
        other = LAB.replace("mei", "lin")
        assert asked(front, other, "GET /user/lin/lab", {}, visitor="127.0.0.21").status == 200
        front.heard.hold.set()
        assert {_read(wire).status for wire in wires} == {200, 429}


def test_the_example_says_all_that_the_settings_leave_open(front: Front, tmp_path: Path) -> None:
    """What a test replaces is all that an operator has to: names, ports, certificates, and nothing of ours is left."""
    text = tls_proxy.configuration(tmp_path, front.door, 1, 2)
    assert "example.org" not in "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    assert text.count("proxy_set_header X-Forwarded-For $remote_addr;") == 2
    assert "$proxy_add_x_forwarded_for" not in text
    servers = text.count("\nserver {")
    assert text.count("access_log off;") == text.count("/darkroom.log alert;") == servers == 4, (
        "no lines of requests"
    )


def test_over_ipv6_a_visitor_is_a_network(front: Front, tmp_path: Path) -> None:
    """Whoever has a network of 64 bits holds no more places than whoever has one address. nginx is told addresses by a
    header here, which it believes in this test alone.
    """
    door, told = tls_proxy.door(tmp_path), "set_real_ip_from 127.0.0.0/8; real_ip_header X-Test-From;"
    labs_port = front.labs_port
    head = f"GET /hold HTTP/1.1\r\nHost: {LAB}\r\nConnection: close\r\nX-Test-From: {{}}\r\n\r\n"
    front.heard.hold.clear()
    with tls_proxy.nginx(tmp_path, door, front.portal_port, labs_port, told), contextlib.ExitStack() as stack:
        other = replace(front, door=door)

        def held(address: str) -> ssl.SSLSocket:
            wire = stack.enter_context(connected(other, LAB))
            wire.sendall(head.format(address).encode())
            return wire

        before = front.heard.connections
        wires = [held(f"2001:db8:1:2::{number}") for number in range(1, 65)]
        wires += [held("2001:db8:1:3::1"), held("192.0.2.7")]
        until = time.monotonic() + 60
        while front.heard.connections < before + 50 and time.monotonic() < until:
            time.sleep(0.05)
        front.heard.hold.set()
        seen = [_read(wire).status for wire in wires]
        assert Counter(seen[:64]) == {200: 48, 429: 16}
        assert seen[64:] == [200, 200], "the control"

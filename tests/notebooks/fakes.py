"""Faithful stand-ins for the neighbours of the Hub: a portal and a launcher that speak as the real ones do.

The portal is an HTTP server with the pages and calls that the Hub uses. The launcher speaks `plans.frames` at a socket;
its labs are threads of this process that do what a lab's box does: ask for settings, park connections, and serve.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from plans import frames, frames_async
from plans.errors import BoxFailed, DarkroomError, NotFound, StateConflict
from plans.labs import notice_key
from plans.plan import Plan

PROFILE = {
    "title": "Small", "title_zh": "标准", "cpus": 1, "memory_mb": 1024, "home_mb": 64, "home_files": 1000, "gpus": 0,
    "image": "sha256:" + "a" * 64, "tier": "T1",
}  # fmt: skip
PROJECT = {
    "project": "income", "title": "Income", "title_zh": "收入", "purpose": "a study of income", "profiles": ["small"],
}  # fmt: skip


class FakePortal:
    """A portal at a free port. `who` is the member whose browser asks; nobody is signed in while it is empty.
    `lab_tokens` are good now, and all that were ever `given` to labs are kept.
    """

    def __init__(self, secret: str) -> None:
        self.secret, self.who = secret, ""
        self.projects: dict[str, list[dict[str, Any]]] = {}
        self.profiles = {"small": PROFILE}
        self.codes: dict[str, tuple[str, str]] = {}
        self.tokens: dict[str, str] = {}
        self.lab_tokens: dict[str, str] = {}
        self.given: list[str] = []
        self.down = False
        self._free, self._passing = threading.Event(), threading.Semaphore(0)
        self._free.set()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                fake.answer(self, urlsplit(self.path))

            def do_POST(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                fake.answer(self, urlsplit(self.path), self.rfile.read(length).decode())

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.origin = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._free.set()
        self.server.shutdown()
        self.server.server_close()

    @contextlib.contextmanager
    def held(self, after: int) -> Iterator[None]:
        """Answer `after` more questions about who somebody is; the next ones wait until the block ends."""
        self._passing = threading.Semaphore(after)
        self._free.clear()
        try:
            yield
        finally:
            self._free.set()

    def answer(self, call: BaseHTTPRequestHandler, where: Any, body: str = "") -> None:
        if self.down:
            return self.say(call, 503, {"title": "down"})
        bearer = call.headers.get("authorization", "").removeprefix("Bearer ")
        match where.path:
            case "/oauth/authorize":
                return self.authorize(call, {name: value[0] for name, value in parse_qs(where.query).items()})
            case "/oauth/token":
                return self.token(call, {name: value[0] for name, value in parse_qs(body).items()})
            case "/oauth/standing":
                member = parse_qs(body)["member"][0]
                listed = [each["project"] for each in self.projects.get(member, [])]
                return self.say(call, 200, {"member": member, "projects": listed})
            case "/api/v1/labs/me" if bearer in self.tokens:
                if not self._passing.acquire(blocking=False):
                    self._free.wait(60)
                member = self.tokens[bearer]
                told = {"name": member, "domain": member.partition("@")[2], "roles": ["researcher"]}
                told |= {"projects": self.projects.get(member, []), "profiles": self.profiles}
                return self.say(call, 200, told)
            case "/api/v1/labs/tokens" if bearer in self.tokens:
                token = secrets.token_hex(16)
                self.lab_tokens[token] = self.tokens[bearer]
                self.given.append(token)
                return self.say(call, 201, {"token": token, "expires_at": 2**31, "purpose": "x"})
            case "/api/v1/sign-out":
                self.tokens.pop(bearer, None)
                self.lab_tokens.pop(bearer, None)
                return self.say(call, 200, {"signed_out": True})
            case "/api/v1/whoami":
                return self.say(call, 200, {"token_of": self.lab_tokens.get(bearer, "")})
        return self.say(call, 401, {"title": "no session, or it has ended"})

    def authorize(self, call: BaseHTTPRequestHandler, asked: dict[str, str]) -> None:
        if not self.who:
            return self.say(call, 200, {"page": "sign in"})
        assert asked["client_id"] == "labs" and asked["code_challenge_method"] == "S256"
        code = secrets.token_hex(8)
        self.codes[code] = (self.who, asked["redirect_uri"])
        call.send_response(303)
        call.send_header(
            "location", asked["redirect_uri"] + "?" + urlencode({"code": code, "state": asked["state"]})
        )
        call.end_headers()
        return None

    def token(self, call: BaseHTTPRequestHandler, asked: dict[str, str]) -> None:
        basic = base64.b64decode(call.headers["authorization"].removeprefix("Basic ")).decode()
        assert basic == f"labs:{self.secret}" and asked["code_verifier"]
        who, uri = self.codes.pop(asked["code"])
        assert uri == asked["redirect_uri"]
        token = secrets.token_hex(16)
        self.tokens[token] = who
        self.say(
            call, 200, {"access_token": token, "token_type": "Bearer", "expires_in": 60, "scope": "labs"}
        )

    def say(self, call: BaseHTTPRequestHandler, status: int, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        call.send_response(status)
        call.send_header("content-type", "application/json")
        call.send_header("content-length", str(len(data)))
        call.end_headers()
        call.wfile.write(data)


@dataclass
class FakeLab:
    """A lab that lives: its plan, what it was told, and the task that serves."""

    plan: Plan
    environment: dict[str, str] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    why: DarkroomError | None = None
    state: str = "created"
    notices: list[dict[str, Any]] = field(default_factory=list)
    deaf: bool = False


class FakeLauncher:
    """A launcher at a socket, in a thread of its own; `places` labs live at a time, the others wait. While it is
    `held` no box gets beyond its start.
    """

    def __init__(self, socket: Path, hub_service: Path, places: int = 100) -> None:
        self.socket, self.service, self.places, self.held = socket, hub_service, places, False
        self.labs: dict[str, FakeLab] = {}
        self.shelf: dict[str, Plan] = {}
        self.kept: dict[str, DarkroomError | None] = {}
        self.refuse: DarkroomError | None = None
        self.refuse_run: DarkroomError | None = None
        self.loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        assert self._ready.wait(60)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self.loop).result(60)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(60)

    def end(self, plan: str, why: DarkroomError | None = None) -> None:
        """End a lab as if its box had ended."""
        self.loop.call_soon_threadsafe(self._end, plan, why)

    def _work(self) -> None:
        asyncio.set_event_loop(self.loop)
        self._server = self.loop.run_until_complete(asyncio.start_unix_server(self._answer, self.socket))
        self.socket.chmod(0o666)
        self._ready.set()
        self.loop.run_forever()

    async def _close(self) -> None:
        self._server.close()
        self.socket.unlink(missing_ok=True)
        for plan in list(self.labs):
            self._end(plan, None)
        self.kept.clear()
        await asyncio.sleep(0.05)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            question = await frames_async.read_async(reader)
            assert question is not None
            if question["op"] == "run":
                await self._run(question["plan"], writer)
            else:
                writer.write(frames.pack({"ok": self._decide(question)}))
            await writer.drain()
        except DarkroomError as problem:
            writer.write(frames.pack(frames.refusal(problem)))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def _decide(self, question: dict[str, Any]) -> dict[str, Any]:
        plan = str(question.get("plan"))
        match question["op"]:
            case "put":
                if self.refuse:
                    raise self.refuse
                read = Plan.read(question["plan"])
                self.shelf[read.digest] = read
                return {"plan": read.digest}
            case "status":
                boxes = [
                    {"plan": name, "stage": "lab", "attempt": 1, "state": lab.state}
                    for name, lab in self.labs.items()
                ]
                return {"boxes": boxes, "tiers": [{"tier": "T1", "protections": []}]}
            case "cancel":
                if plan not in self.labs:
                    raise NotFound("no such stage is running", "lab")
                self._end(plan, BoxFailed("the box was cancelled", "cancelled"))
                return {}
            case "kept":
                if plan not in self.kept:
                    raise NotFound("nothing is kept", "lab")
                if (why := self.kept[plan]) is not None:
                    raise why
                return {"record": {}, "timings": {}}
        raise AssertionError(question)

    async def _run(self, plan: str, writer: asyncio.StreamWriter) -> None:
        lab = self.labs.get(plan) or self._begin(plan)
        told: list[dict[str, Any]] = []
        while not lab.ended.is_set():
            ahead = [name for name, other in self.labs.items() if other.state == "created"]
            frame = (
                {"waiting": {"before": ahead.index(plan), "why": "places"}}
                if lab.state == "created"
                else {"state": lab.state}
            )
            if frame not in told[-1:]:
                told.append(frame)
                writer.write(frames.pack(frame))
                await writer.drain()
            await asyncio.sleep(0.02)
        writer.write(
            frames.pack(frames.refusal(lab.why) if lab.why else {"ok": {"record": {}, "timings": {}}})
        )

    def _begin(self, plan: str) -> FakeLab:
        if self.refuse_run:
            raise self.refuse_run
        read = self.shelf[plan]
        home = read.stages[0].home
        if any(lab.plan.stages[0].home == home for lab in self.labs.values()):
            raise StateConflict("this home is in use", "home")
        lab = self.labs[plan] = FakeLab(read)
        lab.task = asyncio.create_task(self._live(plan, lab))
        return lab

    def _end(self, plan: str, why: DarkroomError | None) -> None:
        lab = self.labs.pop(plan, None)
        if lab is not None:
            lab.why, self.kept[plan] = why, why
            lab.ended.set()
            if lab.task:
                lab.task.cancel()

    async def _live(self, plan: str, lab: FakeLab) -> None:
        while sum(other.state != "created" for other in self.labs.values()) >= self.places:
            await asyncio.sleep(0.02)
        lab.state = "starting"
        while self.held:
            await asyncio.sleep(0.02)
        lab.state = "running"
        while not lab.environment:
            with contextlib.suppress(OSError, EOFError):
                reader, writer = await self._link(plan, b"S")
                frame = await frames_async.read_async(reader)
                lab.environment = dict((frame or {}).get("environment") or {})
                writer.close()
            await asyncio.sleep(0.05)
        await asyncio.gather(*(self._park(plan, lab) for _ in range(8)))

    async def _link(self, plan: str, letter: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_unix_connection(self.service)
        writer.write(frames.pack({"plan": plan, "link": "hub"}) + letter)
        await writer.drain()
        return reader, writer

    async def _park(self, plan: str, lab: FakeLab) -> None:
        while True:
            try:
                reader, writer = await self._link(plan, b"W")
                if await reader.read(1) == b"!":
                    await self._serve(lab, reader, writer)
                writer.close()
            except OSError:
                pass
            await asyncio.sleep(0.05)

    async def _serve(self, lab: FakeLab, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one HTTP request as the server of a lab would, and say whose lab it is."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ")[1]
        if (
            head.startswith("POST ")
            and path == lab.environment["JUPYTERHUB_SERVICE_PREFIX"] + "darkroom/notice"
        ):
            return await self._hear(lab, head, reader, writer)
        body = json.dumps({"lab_of": lab.environment["DARKROOM_MEMBER"], "path": path, "head": head}).encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\nX-JupyterHub-Version: 6.1.1\r\nContent-Type: application/json\r\n"
            + f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
            + body
        )
        await writer.drain()
        writer.write_eof()
        await reader.read()
        return None

    async def _hear(
        self, lab: FakeLab, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Take what the Hub says, as `darkroom_lab.notices` does; nobody without the lab's key is heard."""
        told = dict(line.lower().split(": ", 1) for line in head.splitlines() if ": " in line)
        said = json.loads(await reader.readexactly(int(told["content-length"])))
        if told.get("x-darkroom-key") == notice_key(lab.environment["DARKROOM_TOKEN"]) and not lab.deaf:
            lab.notices.append(said)
            writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n")
        await writer.drain()

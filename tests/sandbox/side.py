"""An owner's side for tests: a launcher as a process of its own, and a keeper that lives only in the test."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from keys import sealing
from keys.signing import SigningKey, fresh_nonce, verify
from plans import frames, frames_async
from plans.box import BoxSpec, Entry, Input, Limits, Outputs
from plans.decision import Decision, Obligations, Outcome, Tier
from plans.errors import Unreachable
from plans.key import BoxKeys, SealedKeys
from plans.plan import Plan, PlanKind, Program
from plans.reading import Cells, Level, Output, Role
from plans.release import KEYS_INFO
from plans.request import Request
from plans.statements import BoxStatement, Signed, StageRecord
from sandbox import api, processes
from sandbox.client import LauncherClient
from sandbox.config import LauncherConfig
from sandbox.lease import LeaseTimes

ROOT = Path(__file__).resolve().parents[2]
QUICK = LeaseTimes(renew_s=0.1, freeze_s=0.4, kill_s=1.6)


@dataclass
class FakeKeeper:
    """A keeper on a real socket that seals one key for every name; `mood` is ok, kill or silent."""

    socket: Path
    mood: str = "ok"
    asked: list[str] = field(default_factory=list)
    statements: list[Signed] = field(default_factory=list)
    keys: Callable[[BoxStatement], BoxKeys] | None = None
    """What it gives to a box, where a test says so."""

    def serve(self, ready: threading.Event, stop: threading.Event) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            question = await frames_async.read_async(reader)
            if (
                question is not None
                and (found := await asyncio.to_thread(self._answer, question)) is not None
            ):
                writer.write(frames.pack(found))
                with contextlib.suppress(ConnectionError):
                    await writer.drain()
            writer.close()

        async def run() -> None:
            async with await asyncio.start_unix_server(answer, self.socket):
                self.socket.chmod(0o666)
                ready.set()
                while not stop.is_set():
                    await asyncio.sleep(0.02)

        asyncio.run(run())

    def _answer(self, question: dict) -> dict | None:
        self.asked.append(question["op"])
        match question["op"]:
            case "challenge":
                return {"ok": {"nonce": fresh_nonce()}}
            case "unwrap":
                return {"ok": self._unwrap(Signed.read(question["statement"])).plain()}
            case "renew" if self.mood != "silent":
                return {"ok": {"answer": self.mood}}
            case "finish":
                return {"ok": {}}
        return None

    def _unwrap(self, signed: Signed) -> SealedKeys:
        self.statements.append(signed)
        statement = BoxStatement.read(verify(signed).body)
        keys = BoxKeys({"rows": "11" * 32}, {"rows": "11" * 32, "table": "22" * 32}, "")
        if self.keys is not None:
            keys = self.keys(statement)
        sealed = sealing.seal(statement.box_key, keys.canonical(), KEYS_INFO, statement.canonical())
        return SealedKeys(sealed.hex(), "lease-1", int(time.time()) + 600)


COUNT = 8
USER = 62_000 + 16 * (os.getpid() % 100)
FIRST = USER + 1
"""User ids of the launcher that tests start, and of its boxes; others where tests run beside each other."""

CEILING = Limits(4096, 1024, 8192, 1024, 3600, 3600, 256, 1024, 2)


@dataclass(frozen=True)
class Side:
    """An owner's side for tests: settings, a client at each door, the keeper."""

    config: LauncherConfig
    client: LauncherClient
    keeper: FakeKeeper

    @property
    def owner(self) -> LauncherClient:
        """What the owner's keeper asks at."""
        return LauncherClient(self.config.owner_socket or self.config.socket)

    @property
    def boxes(self) -> list[Path]:
        """The folders of boxes that are there."""
        return list((self.config.home / "boxes").iterdir())


def owned(folder: Path, mode: int, user: int = -1, group: int = -1) -> Path:
    """Make a folder as the composition of a site makes it, where the tests run as root."""
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, user, group)
    folder.chmod(mode)
    return folder


@pytest.fixture
def side(open_home: Path, probe_images: Path) -> Iterator[Side]:
    """A side for one test."""
    with a_side(open_home, probe_images) as made:
        yield made


@contextlib.contextmanager
def a_side(open_home: Path, probe_images: Path) -> Iterator[Side]:
    """A keeper that answers; the launcher is started by whoever needs it."""
    key = open_home / "launcher.key"
    key.touch(0o600)
    key.write_text(SigningKey.fresh().unsafe_secret().hex())
    sockets, run = owned(open_home / "s", 0o700, USER, USER), owned(open_home / "k", 0o710, -1, USER)
    config = LauncherConfig(
        domain="nm/tax", node="node1", home=owned(open_home / "home", 0o711, USER, USER), socket=sockets / "open",
        owner_socket=sockets / "owner", key_file=key, keeper_socket=run / "keeper",
        data_folder=owned(open_home / "data", 0o710, -1, USER), images_folder=probe_images,
        user=USER if os.geteuid() == 0 else None, first_uid=FIRST, uid_count=COUNT, warm_kinds=0, askers=(),
        ceilings=dict.fromkeys(Entry, CEILING),
        images=(),
    )  # fmt: skip
    keeper = FakeKeeper(run / "keeper")
    ready, stop = threading.Event(), threading.Event()
    thread = threading.Thread(target=keeper.serve, args=(ready, stop))
    thread.start()
    assert ready.wait(60)
    yield Side(config, LauncherClient(config.socket), keeper)
    stop.set()
    thread.join()
    api.forget_groups(config.home)


@contextlib.contextmanager
def launched(
    side: Side, times: LeaseTimes | None = None, first: str = ""
) -> Iterator[subprocess.Popen[bytes]]:
    """A launcher process of its own; by a small program with short lease times, where a test waits for them, or that
    does something `first`, for a control.
    """
    settings = side.config.home.parent / "launcher.json"
    side.config.save(settings)
    command = ["-P", "-m", "sandbox.launcher", str(settings)]
    if times is not None or first:
        command = ["-P", "-c", _PROGRAM.format(times=times or LeaseTimes(), first=first), str(settings)]
    process = subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    )
    try:
        eventually(lambda: answers(side))
        yield process
    finally:
        process.terminate()
        assert process.wait(60) in (0, -signal.SIGKILL)


def answers(side: Side) -> bool:
    with contextlib.suppress(Unreachable):
        return side.client.status()["node"] == "node1"
    return False


_PROGRAM = """
import os, sys
from pathlib import Path
from sandbox.lease import LeaseTimes
from sandbox import launcher
{first}
os.umask(0o077)
launcher.begin(Path(sys.argv[1]), {times})
"""


def eventually(holds: Callable[[], bool], within_s: float = 60.0) -> None:
    """Wait until something holds. The limit measures nothing: it ends what waits for ever, on a slow machine too."""
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, "did not come true in time"
        time.sleep(0.02)


WRITES = {Entry.QUERY: "rows", Entry.PARSE: "table", Entry.JUDGE: "release.bin"}
"""What each stage may leave, as `policies.derive` says it too."""


def sql_plan(image: str, code: str, **changes: object) -> Plan:
    """A plan whose three boxes run `code`; data and handed-over rows as inputs."""
    limits = Limits(256, 8, 0, 4, 20, 120, 32, 64, 1)
    key = "ed25519:" + "0" * 64
    request = Request("li@nm", key, "x25519:" + "0" * 64, "p", "test", code, fresh_nonce(), 0)
    stages = tuple(
        BoxSpec(
            entry, image, inputs, limits, Tier.T1, outputs=Outputs(1, (WRITES[entry],)),
            links=changes.get("links", {}).get(entry, ()),
        )
        for entry, inputs in (
            (Entry.QUERY, changes.get("query_inputs", ())),
            (Entry.PARSE, changes.get("parse_inputs", (Input("rows", ""),))),
            (Entry.JUDGE, (Input("table", ""),)),
        )
    )  # fmt: skip
    decision = Decision(Outcome.ALLOW, (), 1, 1, (), (), Obligations(1, 1, 1, Tier.T1))
    outputs = (Output("n", "BIGINT", Role.FIGURE, "count", 0),)
    program = Program((), Level.CELLS, (Cells("select 1", outputs, 1),), "", outputs, (), None)
    return Plan(
        kind=PlanKind.SQL, domain="nm/tax", request=request, request_signature="", decision=decision, program=program,
        material="", stages=stages, nonce=fresh_nonce(), made_at=0,
    )  # fmt: skip


HAND_OVER = """
def run(session):
    if session.stage == "query":
        session.write("rows", b"secret rows")
        return {}
    assert session.read("rows") == b"secret rows"
    session.write("table", b"table")
    return {}
"""
SLEEP = "import time\ndef run(session):\n    time.sleep(600)\n"
WAITS = """
import os, time
def run(session):
    while not os.path.exists(session.out / "go"):
        time.sleep(0.02)
    os.unlink(session.out / "go")
    return {"went": 1}
"""
"""Goes on when the test says so (`go_on`), however long that takes."""


def begun(side: Side, plan: Plan, entry: Entry = Entry.CHECK) -> None:
    """Ask for a stage, hang up, and wait until its box runs."""

    def running() -> bool:
        return [box["state"] for box in side.client.status()["boxes"] if box["plan"] == plan.digest] == [
            "running"
        ]

    with contextlib.suppress(Unreachable):
        side.client.run(plan.digest, entry, 1, timeout_s=0.2)
    eventually(running)


def go_on(side: Side) -> None:
    """Let the one box go on that runs `WAITS`."""
    eventually(lambda: any((box / "out").is_dir() for box in side.boxes))
    (box,) = side.boxes
    (box / "out" / "go").touch()


def of_boxes() -> list[int]:
    """Processes of any box of the launcher under test."""
    uids = set(range(FIRST, FIRST + COUNT))
    return [pid for pid in processes.living() if processes.users(pid) & uids]


def run_query(side: Side, plan: Plan) -> StageRecord:
    return StageRecord.read(side.client.run(plan.digest, Entry.QUERY, 1).record.statement.body)

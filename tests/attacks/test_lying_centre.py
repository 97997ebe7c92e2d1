"""A centre that was taken over entirely plays against a real keeper process (ATTACKS 78, 81, 82, 84; promise 4).

The keeper runs as it does in production, behind its sockets. The owner's launcher is honest: it builds boxes
for whatever plan it is handed and vouches for them, and its checker box reads statements with both real
readers. The centre holds every message, invents plans, withholds statements, and even has a member at its
side who signs whatever it likes. `Centre.unwrap` of the honest plan is the control of every attack.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from inside.check import check
from keeper.api import KeeperClient, KeeperConfig
from keys import api as keys
from plans import canonical, frames
from plans.box import Entry
from plans.decision import Obligations, Tier
from plans.errors import (
    DarkroomError,
    Malformed,
    Outdated,
    PolicyDenied,
    RederivationMismatch,
    SignatureWrong,
    StateConflict,
    Unreachable,
)
from plans.key import BoxKeys
from plans.manifest import Manifest
from plans.plan import Plan
from plans.reading import Reading, Shadow
from plans.release import KEYS_INFO
from plans.request import Request
from plans.statements import BoxStatement, Duty, Signed, StageRecord, Type
from tests.keeper import house

ROOT = Path(__file__).parents[2]
NOW = int(time.time())
MONTH = NOW + 30 * house.DAY
SHADOWS = (house.manifest().shadow(), house.manifest(house.PROPERTY).shadow())


def in_time() -> house.Vouch:
    """A statement that holds long enough from now on, however long the tests before took."""
    return house.Vouch(not_after=int(time.time()) + 120)


# --- the owner's launcher -----------------------------------------------------


class _Launcher(socketserver.ThreadingUnixStreamServer):
    """Answers `put` and `run` of check plans, with what both readers find."""

    daemon_threads = True
    plans: dict[str, Plan]
    signer = "launcher"


class _Asked(socketserver.StreamRequestHandler):
    server: _Launcher

    def handle(self) -> None:
        while (question := frames.read(self.rfile)) is not None:  # type: ignore[arg-type]
            if question["op"] == "put":
                plan = Plan.read(question["plan"])
                self.server.plans[plan.digest] = plan
                self.wfile.write(frames.pack({"ok": {}}))
                continue
            record = _checked(self.server.plans[question["plan"]], self.server.signer)
            self.wfile.write(frames.pack({"ok": {"record": record.plain(), "timings": {}}}))


def _checked(plan: Plan, signer: str) -> Signed:
    material: Any = canonical.decode(plan.material.encode())
    try:
        shadows = tuple(Shadow.read(shadow) for shadow in material["shadows"])
        report = {"reading": read(material["statement"], shadows).plain()}
    except Malformed as problem:
        report = {"refused": problem.problem()}
    body = StageRecord(plan.digest, Entry.CHECK, 1, (), (), report)
    return house.signed(Type.STAGE, Duty.LAUNCHER, body, signer)


def read(statement: str, shadows: tuple[Shadow, ...] = SHADOWS) -> Reading:
    """Read a statement as the checker box does."""
    return check(statement, shadows, 512)


# --- the centre -----------------------------------------------------


@dataclass
class Centre:
    """All that the centre can do: know what was published, make plans, ask the launcher and the keeper."""

    keeper: KeeperClient
    published: list[Signed] = field(default_factory=list)
    heard: list[bytes] = field(default_factory=list)

    def publish(self, *statements: Signed) -> None:
        """Statements that reached the keeper as well."""
        for statement in statements:
            self.keeper.submit(statement)
            self.published.append(statement)

    def plan(self, statement: str = house.SQL, number: int = 1) -> Plan:
        """The plan that an honest centre would make for a statement that the member signed."""
        believed = house.trusted(*self.published, now=NOW)
        return house.plan(believed, request(statement, number), read(statement), made_at=NOW)

    def unwrap(self, plan: Plan, **changes: Any) -> BoxKeys:
        """Have the owner's launcher start the query box of a plan; return what that box would hold."""
        challenge = self.keeper.challenge(plan.digest)
        statement = house.box(plan, challenge, **{"vouch": in_time(), **changes})
        sealed = self.keeper.unwrap(statement, plan)
        self.heard.append(sealed.canonical())
        body = BoxStatement.read(statement.statement.body)
        return BoxKeys.decode(
            house.opening("box").open(bytes.fromhex(sealed.sealed), KEYS_INFO, body.canonical())
        )


def request(statement: str = house.SQL, number: int = 1) -> Request:
    """What the member asks."""
    return replace(house.REQUEST, statement=statement, nonce=f"{number:032x}", asked_at=NOW)


def asked(plan: Plan, changed: Request, signer: str = "member") -> Plan:
    """A plan with another request in it, properly signed by whoever helps the centre."""
    signature = keys.sign_bytes("request", changed.canonical(), house.key(signer))
    return replace(plan, request=changed, request_signature=signature)


# --- the processes -----------------------------------------------------


@dataclass
class Process:
    """A keeper's process."""

    settings: KeeperConfig
    running: subprocess.Popen[bytes]

    def kill(self) -> None:
        """`kill -9`."""
        self.running.send_signal(signal.SIGKILL)
        self.running.wait(60)

    def said(self) -> str:
        """What it wrote to its terminal."""
        return (self.settings.home.parent / "said").read_text()


def begin(settings: KeeperConfig) -> Process:
    """Start a keeper and wait until it answers."""
    path = settings.home.parent / "keeper.json"
    settings.save(path)
    settings.socket.unlink(missing_ok=True)
    with (settings.home.parent / "said").open("ab") as said:
        running = subprocess.Popen(
            [sys.executable, "-P", "-m", "keeper", str(path)],
            stdout=said, stderr=said, env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}, cwd="/",
        )  # fmt: skip
    for _ in range(2000):
        with contextlib.suppress(Unreachable):
            KeeperClient(settings.socket).status()
            return Process(settings, running)
        assert running.poll() is None, (settings.home.parent / "said").read_text()
        time.sleep(0.05)
    raise AssertionError("the keeper does not answer")


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[KeeperConfig]:
    """An owner's side with an honest launcher."""
    made = house.config(tmp_path)
    house.build(made)
    with answering(made.launcher_socket):
        yield made


@contextlib.contextmanager
def answering(path: Path, signer: str = "launcher") -> Iterator[None]:
    """A launcher at this socket, whose records are signed by `signer`."""
    launcher = _Launcher(str(path), _Asked)
    launcher.plans, launcher.signer = {}, signer
    threading.Thread(target=launcher.serve_forever, daemon=True).start()
    yield
    launcher.shutdown()
    launcher.server_close()


@pytest.fixture
def process(settings: KeeperConfig) -> Iterator[Process]:
    started = begin(settings)
    yield started
    started.kill()
    assert "Traceback" not in started.said()


@pytest.fixture
def granted() -> Signed:
    return house.grant(not_after=MONTH)


@pytest.fixture
def centre(process: Process, granted: Signed) -> Centre:
    """A centre that knows all that was published: roster, bundle, manifests, one grant of two uses."""
    seat = Centre(KeeperClient(process.settings.socket))
    seat.publish(*house.house_statements(granted))
    return seat


# --- attacks -----------------------------------------------------

HARMFUL = [
    "select id_number, count(*) from tax.income group by id_number",
    "select region, count(*) from tax.income where id_number = '1' group by region",
    "select income, count(*) from tax.income group by income",
    "select region, avg(income) from tax.income where income > 1000000 group by region",
    "select person, count(*) from tax.income group by person",
    "select region, sum(person) from tax.income group by region",
    "select region, max(income) from tax.income group by region",
    "select region, stddev(income) from tax.income group by region",
    "select * from tax.income",
    "select region, income from tax.income",
    "select sum(houses) from tax.property",
    "select avg(income) from tax.income join tax.property using (person)",
    "select avg(income) from tax.income; select 1",
    "select region, to_json(i) from tax.income i group by all",
]

WEAK = Obligations(minimum_group=1, rounding=1, largest_result=1_000_000, tier=Tier.T1)


def test_promise_4_a_centre_gets_no_key_for_what_the_owner_did_not_allow(
    centre: Centre, process: Process
) -> None:
    """One keeper, many lies; the honest plan gets its key before and after them all."""
    honest = centre.plan()
    given = centre.unwrap(honest)
    attributes = house.manifest().attributes.name
    assert set(given.inputs) == {attributes}
    for statement in HARMFUL:
        with pytest.raises((PolicyDenied, RederivationMismatch, Malformed)):
            centre.unwrap(asked(honest, request(statement)))
    for lie in _lies(honest):
        with pytest.raises(RederivationMismatch):
            centre.unwrap(lie)
    with pytest.raises(PolicyDenied):
        centre.unwrap(asked(honest, replace(request(), signer=house.key("centre").public), "centre"))
    with pytest.raises(SignatureWrong):
        centre.unwrap(replace(honest, request=replace(request(), recipient=house.opening("centre").public)))
    with pytest.raises(SignatureWrong):
        centre.unwrap(honest, vouch=replace(in_time(), signer="centre"))
    assert centre.unwrap(honest, attempt=2).inputs == given.inputs
    heard = b"".join(centre.heard)
    for key in (*given.inputs.values(), *given.outputs.values()):
        assert key.encode() not in heard and key not in process.said()


def _lies(honest: Plan) -> list[Plan]:
    assert honest.decision and honest.program
    bare = replace(honest.program.relations[0], row_filter="")
    rows = house.with_table(honest.program, counted="SELECT region, 99, income, 99 FROM tax.income")
    wide = tuple(replace(box, limits=replace(box.limits, memory_mb=10_000)) for box in honest.stages)
    other = tuple(replace(box, image=house.digest("image of the centre")) for box in honest.stages)
    return [
        replace(honest, decision=replace(honest.decision, obligations=WEAK)),
        replace(honest, program=rows),
        replace(honest, program=replace(honest.program, relations=(bare,))),
        replace(honest, stages=wide),
        replace(honest, stages=other),
        replace(honest, domain=house.OTHER_DOMAIN),
    ]


def test_uses_are_counted_by_the_owner_and_survive_kill_9(centre: Centre, process: Process) -> None:
    """The centre repeats, kills and repeats; the grant says two."""
    plans = [centre.plan(number=number) for number in (1, 2, 3)]
    centre.unwrap(plans[0])
    process.kill()
    process.running = begin(process.settings).running
    centre.unwrap(plans[1])
    process.kill()
    process.running = begin(process.settings).running
    with pytest.raises(PolicyDenied):
        centre.unwrap(plans[2])


def test_84_what_a_member_had_tried_gets_no_key_and_spends_no_use(centre: Centre) -> None:
    """The portal submits what was signed as a dry run. The grant says two uses, and both are still there."""
    plans = [centre.plan(number=number) for number in (1, 2)]
    for honest in plans:
        assert honest.request
        tried = keys.sign_bytes("dry-run", honest.request.canonical(), house.key("member"))
        with pytest.raises(SignatureWrong):
            centre.unwrap(replace(honest, request_signature=tried))
    for honest in plans:
        assert centre.unwrap(honest).inputs


def test_a_revocation_that_the_centre_withholds_reaches_the_keeper_by_itself(
    centre: Centre, granted: Signed, process: Process
) -> None:
    plan = centre.plan()
    challenge = centre.keeper.challenge(plan.digest)
    lease = centre.keeper.unwrap(house.box(plan, challenge, vouch=in_time()), plan).lease
    assert centre.keeper.renew(lease)
    KeeperClient(process.settings.socket).submit(house.revocation(granted))
    assert not centre.keeper.renew(lease)
    with pytest.raises(PolicyDenied):
        centre.unwrap(plan)
    with pytest.raises(PolicyDenied):
        centre.keeper.release(plan, house.chain(house.records(plan)))


def test_the_centre_cannot_speak_for_the_owner(centre: Centre) -> None:
    """It holds no key of the owner's, and older statements of the owner's do not count again."""
    relabelled: Manifest = house.manifest(version=2, persons=10**6)
    for forged in (
        house.roster(2, signer="centre"),
        house.bundle(2, (replace(house.INCOME_POLICY, minimum_group=1),), signer="centre"),
        house.signed_manifest(relabelled, signer="centre"),
        house.grant(replace(house.GRANT, uses=1_000), signer="centre", not_after=MONTH),
        house.approval(house.digest("plan"), signer="centre"),
    ):
        with pytest.raises(SignatureWrong):
            centre.keeper.submit(forged)
    centre.publish(house.roster(2), house.bundle(2))
    for older in (house.roster(1), house.bundle(1)):
        with pytest.raises(Outdated):
            centre.keeper.submit(older)


def test_the_desk_is_not_behind_the_open_door(centre: Centre, process: Process) -> None:
    for operation in ("ingest", "erase", "sign", "note", "believe", "__init__", "data_key", ""):
        with pytest.raises(Malformed):
            frames.ask(process.settings.socket, {"op": operation, "dataset": house.INCOME, "version": 1})
    assert process.settings.desk.stat().st_mode & 0o777 == 0o600
    assert centre.keeper.status()["datasets"] == [house.INCOME, house.PROPERTY]


NOISE: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "half a frame": lambda: b"\x00\x00\x01\x00{",
    "a frame of 4 GB": lambda: b"\xff\xff\xff\xff",
    "no JSON": lambda: b"\x00\x00\x00\x04oops",
    "a list": lambda: b"\x00\x00\x00\x02[]",
    "no operation": lambda: frames.pack({}),
    "an operation of another type": lambda: frames.pack({"op": ["unwrap"]}),
    "no arguments": lambda: frames.pack({"op": "unwrap"}),
    "arguments of other types": lambda: frames.pack({"op": "unwrap", "statement": 7, "plan": [1]}),
    "a lease that is a list": lambda: frames.pack({"op": "renew", "lease": []}),
    "records that are none": lambda: frames.pack({"op": "release", "plan": {}, "records": "abc"}),
    "a challenge for a novel": lambda: frames.pack({"op": "challenge", "plan": "x" * 1_000_000}),
}


@pytest.mark.timeout(300)
def test_noise_is_answered_with_a_code_and_the_next_question_is_answered(
    centre: Centre, process: Process
) -> None:
    for name, noise in NOISE.items():
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            connection.connect(str(process.settings.socket))
            connection.sendall(noise())
            connection.shutdown(socket.SHUT_WR)
            with connection.makefile("rb") as stream:
                answer = frames.read(stream)
        if name == "nothing":
            assert answer is None
        else:
            assert answer and answer["error"]["code"].startswith("value."), name
    assert centre.unwrap(centre.plan())


def test_a_restored_keeper_is_locked_for_the_centre_too(
    centre: Centre, process: Process, granted: Signed
) -> None:
    """ATTACKS 82: the centre's administrator also restores the owner's data folder from last night."""
    home = process.settings.home
    plan = centre.plan()
    shutil.copytree(home, home.parent / "last night")
    centre.keeper.submit(house.revocation(granted))
    process.kill()
    shutil.rmtree(home)
    shutil.copytree(home.parent / "last night", home)
    process.running = begin(process.settings).running
    assert centre.keeper.status()["locked"]
    for attempt in (lambda: centre.unwrap(plan), lambda: centre.keeper.submit(house.bundle(2))):
        with pytest.raises(StateConflict):
            attempt()
    with pytest.raises(Outdated):
        centre.keeper.submit(house.roster(1))


def test_a_keeper_that_cannot_reach_its_own_checker_says_no(centre: Centre, process: Process) -> None:
    """Nobody's reading but the owner's counts: a launcher that is cut off means no key."""
    plan = centre.plan()
    process.settings.launcher_socket.unlink()
    with pytest.raises(Unreachable):
        centre.unwrap(plan)
    with pytest.raises(DarkroomError):
        centre.keeper.release(plan, house.chain(house.records(plan)))


def test_whoever_answers_at_the_launchers_socket_is_not_believed_for_that(
    centre: Centre, process: Process
) -> None:
    """The centre puts its own program where the launcher's socket was; it would read whatever suits it."""
    plan = centre.plan()
    process.settings.launcher_socket.unlink()
    with answering(process.settings.launcher_socket, signer="centre"), pytest.raises(SignatureWrong):
        centre.unwrap(plan)
    process.settings.launcher_socket.unlink()
    with answering(process.settings.launcher_socket):
        centre.unwrap(plan)

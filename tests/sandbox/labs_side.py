"""A side with labs, for tests: a launcher with services, and a porter that lives only in the test."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from keys.signing import fresh_nonce
from plans import frames
from plans.box import BoxSpec, Entry, Home, Limits, Link, Outputs
from plans.decision import Tier
from plans.errors import DarkroomError
from plans.labs import Lab, home_of
from plans.plan import Plan, PlanKind
from sandbox.client import LauncherClient, StageResult
from sandbox.config import LauncherConfig
from tests.sandbox.side import Side, owned

LIMITS = Limits(256, 16, 0, 1, 1, 600, 64, 128, 1)
CEILING = Limits(8192, 2048, 1, 16, 10**6, 10**6, 512, 4096, 4)
HUB, API = Link("hub", "service:hub"), Link("api", "service:api")
MEMBER, OTHER = "li@nm/uni", "wang@nm/uni"


@dataclass
class Porter:
    """Answers at the socket of a service: gives labs their program, and keeps what they tell.

    `held` are connections that said `H`, and that stay open until the test has done with them.
    """

    path: Path
    code: dict[str, str] = field(default_factory=dict)
    """The Python that a plan's lab runs."""
    heard: list[tuple[dict[str, Any], bytes]] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)
    held: list[socket.socket] = field(default_factory=list)
    now: int = 0
    most: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self.open()

    def open(self) -> None:
        """Listen."""
        self._door = socket.socket(socket.AF_UNIX)
        self.path.unlink(missing_ok=True)
        self._door.bind(str(self.path))
        self.path.chmod(0o666)
        self._door.listen(128)
        threading.Thread(target=self._serve, args=(self._door,), daemon=True).start()

    def close(self) -> None:
        """Be gone, as a porter that was killed."""
        with contextlib.suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        self.path.unlink(missing_ok=True)

    def _serve(self, door: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = door.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            self._converse(connection)
        except (OSError, DarkroomError):
            pass
        finally:
            with self._lock:
                self.now -= 1

    def _converse(self, connection: socket.socket) -> None:
        stream = connection.makefile("rwb")
        head = frames.read(stream)
        assert head is not None
        first = stream.read(1)
        if first == b"H":
            self.held.append(connection)
            stream.read()
            return
        rest = first + stream.read()
        self.heard.append((head, rest))
        if first == b"P":
            stream.write(self.code[head["plan"]].encode())
        elif first == b"R":
            self.told[head["plan"]] = json.loads(rest[1:])
        else:
            stream.write(rest[::-1])
        stream.close()
        connection.close()


@dataclass(frozen=True)
class LabSide:
    """A launcher's settings with services, a client, and the porter behind both links."""

    side: Side
    hub: Porter
    api: Porter

    @property
    def config(self) -> LauncherConfig:
        return self.side.config

    @property
    def client(self) -> LauncherClient:
        return self.side.client

    def put(self, plan: Plan, code: str) -> Plan:
        """Give the launcher a plan, and its lab something to do."""
        self.hub.code[plan.digest] = code
        self.client.put(plan)
        return plan

    def run(self, plan: Plan, code: str) -> Any:
        """Run a lab to its end; return what its program told."""
        self.put(plan, code)
        run(self.client, plan)
        return self.hub.told[plan.digest]

    def home(self, member: str = MEMBER) -> Path:
        """Return where a member's home is."""
        (found,) = (self.config.home / "homes").glob(f"*/{home_of(member)}")
        return found


def run(client: LauncherClient, plan: Plan, **more: Any) -> StageResult:
    return client.run(plan.digest, Entry.LAB, 1, **more)


@dataclass
class Beside:
    """A lab that runs in a thread; `end` gives its result or raises what it ended with."""

    client: LauncherClient
    plan: Plan
    states: list[str] = field(default_factory=list)
    waited: list[tuple[int, str]] = field(default_factory=list)
    found: Any = None

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._work)
        self.thread.start()

    def _work(self) -> None:
        try:
            self.found = run(
                self.client,
                self.plan,
                on_state=lambda state: self.states.append(state.value),
                on_waiting=lambda place: self.waited.append((place.before, place.why)),
            )
        except DarkroomError as problem:
            self.found = problem

    def end(self) -> Any:
        self.thread.join(240)
        assert not self.thread.is_alive(), "the lab has not ended"
        if isinstance(self.found, DarkroomError):
            raise self.found
        return self.found


def lab_plan(image: str, member: str = MEMBER, tier: Tier = Tier.T1, **changes: Any) -> Plan:
    """The plan of a member's lab; limits, home and links can be changed by name."""
    home = changes.pop("home", Home(home_of(member), 32, 2000))
    links, gpus = changes.pop("links", (HUB, API)), changes.pop("gpus", 0)
    limits = replace(LIMITS, **changes)
    box = BoxSpec(Entry.LAB, image, (), limits, tier, outputs=Outputs(0), links=links, home=home, gpus=gpus)
    material = Lab(member, "income", "teaching", "small").canonical().decode()
    return Plan(PlanKind.LAB, "labs", None, "", None, None, material, (box,), fresh_nonce(), 0)


@pytest.fixture
def labs(side: Side) -> Iterator[LabSide]:
    """The settings of a launcher for labs; started by each test as it needs it."""
    config = side.config
    user = config.user if config.user is not None else -1
    folder = owned(config.home.parent / "p", 0o750, -1, user)
    changed = replace(
        config,
        domain="labs",
        owner_socket=None,
        keeper_socket=None,
        ceilings={Entry.LAB: CEILING},
        services={"hub": folder / "hub", "api": folder / "api"},
        askers=(os.geteuid(),),
    )
    found = LabSide(replace(side, config=changed), Porter(folder / "hub"), Porter(folder / "api"))
    yield found
    found.hub.close()
    found.api.close()

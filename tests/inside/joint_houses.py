"""Launchers of several domains, each a process of its own with real boxes, and a carrier between them in the place of
their agents. Keepers live only in the test: they vouch for the boxes that the others' launchers have stated.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inside.party_links import PartyLinks, link_keys
from keys import sealing
from keys.signing import SigningKey
from plans import frames
from plans.box import Entry
from plans.errors import DarkroomError
from plans.handover import OWN_ROWS
from plans.joint import JointPlan
from plans.key import BoxKeys
from plans.plan import Plan
from plans.statements import BoxStatement
from sandbox.client import LauncherClient
from sandbox.config import LauncherConfig
from tests.inside.joint_cases import Files
from tests.sandbox.few_images import only
from tests.sandbox.side import CEILING, FakeKeeper, Side, owned

FIRST_USER = 71_000 + 64 * (os.getpid() % 100)
EACH = 8
"""User ids of a launcher and its boxes; others where tests run beside each other."""

LINK_KEY = "7c" * 32
_LENGTH = struct.Struct(">I")


@dataclass
class Vouching:
    """What all keepers of a test know together: the keys of the boxes that asked for theirs."""

    joint: JointPlan
    boxes: dict[str, str] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def keys(self, domain: str, plan: Plan, files: Files | None, statement: BoxStatement) -> BoxKeys:
        """What a domain's keeper gives to a box: to a party's, once the others' are there."""
        links = {OWN_ROWS: LINK_KEY} if files else {}
        if statement.stage is Entry.EXTRACT:
            return BoxKeys(files.keys if files else {}, {}, "", links=links)
        domains = [party.domain for party in self.joint.parties]
        with self.changed:
            self.boxes[domain] = statement.box_key
            self.changed.notify_all()
            assert self.changed.wait_for(lambda: len(self.boxes) == len(domains), 90)
        peers = {
            link.name: self.boxes[link.peer.removeprefix("party:")]
            for link in plan.stage(Entry.PARTY).links
            if link.peer.startswith("party:")
        }
        return BoxKeys({}, {}, "", links=links, peers=peers)


@dataclass
class Carrier:
    """Joins the ends of links between parties, and keeps what passes; what is `held` waits until it is let go."""

    held: frozenset[tuple[str, str]] = frozenset()
    let_go: threading.Event = field(default_factory=threading.Event)
    wire: dict[tuple[str, str], bytearray] = field(default_factory=dict)
    _waiting: dict[frozenset[str], tuple[str, socket.socket]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def listen(self, domain: str, path: Path) -> socket.socket:
        """Begin to take links of a domain's launcher."""
        door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        door.bind(str(path))
        path.chmod(0o666)
        door.listen(16)
        threading.Thread(target=self._take, args=(domain, door), daemon=True).start()
        return door

    def _take(self, domain: str, door: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                end, _ = door.accept()
                peer = self._head(end)["peer"]
                with self._lock:
                    both = frozenset((domain, peer))
                    other = self._waiting.pop(both, None)
                    if other is None:
                        self._waiting[both] = (domain, end)
                        continue
                for ends, names in (((end, other[1]), (domain, peer)), ((other[1], end), (peer, domain))):
                    threading.Thread(target=self._copy, args=(*ends, *names), daemon=True).start()

    @staticmethod
    def _head(end: socket.socket) -> dict[str, Any]:
        with end.dup().makefile("rb", buffering=0) as file:
            found = frames.read(file)
        assert found is not None
        return found

    def _copy(self, source: socket.socket, sink: socket.socket, sender: str, receiver: str) -> None:
        kept = self.wire.setdefault((sender, receiver), bytearray())
        with contextlib.suppress(OSError):
            while content := source.recv(2**18):
                kept += content
                if (sender, receiver) in self.held:
                    self.let_go.wait(300)
                sink.sendall(content)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


@dataclass(frozen=True)
class House:
    """One domain's side, and the plan of its boxes."""

    side: Side
    plan: Plan

    def run(self, ends: dict[str, str], attempt: int = 1) -> None:
        """Run all stages of the plan side by side, and write down how each ended: empty is well."""
        self.side.client.put(self.plan)
        threads = [
            threading.Thread(target=self._stage, args=(spec.entry, ends, attempt))
            for spec in self.plan.stages
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _stage(self, stage: Entry, ends: dict[str, str], attempt: int) -> None:
        name = f"{self.plan.domain}/{stage}"
        try:
            self.side.client.run(self.plan.digest, stage, attempt)
            ends[name] = ""
        except DarkroomError as problem:
            ends[name] = problem.where or problem.code


@contextlib.contextmanager
def foreign_links(
    domain: str, vouching: Vouching, carrier: Carrier, door: Path, attempt: int = 1
) -> Iterator[PartyLinks]:
    """The links of a domain that runs a program of its own in place of its box, for whose key its keeper vouches."""
    joint, secret = vouching.joint, sealing.OpeningKey.fresh()
    others = [each.domain for each in joint.parties if each.domain != domain]
    with vouching.changed:
        vouching.boxes[domain] = secret.public
        vouching.changed.notify_all()
        assert vouching.changed.wait_for(lambda: len(vouching.boxes) == len(joint.parties), 300)
    ends = {}
    with carrier.listen(domain, door):
        for peer in others:
            end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            end.connect(str(door))
            end.sendall(frames.pack({"peer": peer}))
            ends[peer] = (
                end, link_keys(secret, vouching.boxes[peer], (domain, peer), joint.digest, attempt)
            )  # fmt: skip
        links = PartyLinks(ends, 120.0)
        yield links
        links.close()


@contextlib.contextmanager
def houses(
    folder: Path,
    vouching: Vouching,
    plans: Mapping[str, Plan],
    files: Mapping[str, Files],
    carrier: Carrier,
) -> Iterator[dict[str, House]]:
    """Sides of these parties, their keepers running; launchers are started by the test."""
    found, stops = {}, []
    held = only(*sorted({spec.image for plan in plans.values() for spec in plan.stages}))
    for place, (domain, plan) in enumerate(plans.items()):
        home = owned(folder / str(place), 0o711)
        user = FIRST_USER + EACH * place
        key = home / "launcher.key"
        key.touch(0o600)
        key.write_text(SigningKey.fresh().unsafe_secret().hex())
        sockets, run = owned(home / "s", 0o700, user, user), owned(home / "k", 0o711, -1, user)
        config = LauncherConfig(
            domain=domain, node="node1", home=owned(home / "home", 0o711, user, user), socket=sockets / "open",
            owner_socket=sockets / "owner", key_file=key, keeper_socket=run / "keeper",
            data_folder=owned(home / "data", 0o710, -1, user), images_folder=held,
            user=user if os.geteuid() == 0 else None, first_uid=user + 1, uid_count=EACH - 1, warm_kinds=0, askers=(),
            ceilings=dict.fromkeys(Entry, CEILING), images=(), agent_socket=run / "agent",
        )  # fmt: skip
        for path in (files[domain].paths if domain in files else {}).values():
            (config.data_folder / path.name).write_bytes(path.read_bytes())
            (config.data_folder / path.name).chmod(0o444)
        mine = files.get(domain)
        keeper = FakeKeeper(
            run / "keeper",
            keys=lambda statement, domain=domain, plan=plan, mine=mine: vouching.keys(
                domain, plan, mine, statement
            ),
        )
        ready, stop = threading.Event(), threading.Event()
        threading.Thread(target=keeper.serve, args=(ready, stop), daemon=True).start()
        assert ready.wait(60)
        stops.append((stop, carrier.listen(domain, run / "agent")))
        found[domain] = House(Side(config, LauncherClient(config.socket), keeper), plan)
    try:
        yield found
    finally:
        for stop, door in stops:
            stop.set()
            door.close()

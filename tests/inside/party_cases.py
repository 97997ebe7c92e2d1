"""All boxes of a joint computation in this process: sessions as their launchers and keepers would make them, and
whoever carries the bytes between them writes everything down.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inside import extract, party
from inside.session import BoxFailure, Link, Session
from keys import sealing
from plans.box import Entry
from plans.errors import DarkroomError
from plans.handover import OPENED, OWN_ROWS, unpadded
from plans.joint import JointPlan, Opened
from plans.joint_answer import (
    JUDGED_INFO,
    OPENED_INFO,
    JointAnswer,
    answer_of,
    judged_bound,
    opened_bound,
)
from plans.key import BoxKeys
from plans.plan import Plan
from plans.released import Released
from tests.inside.joint_cases import Files, party_plan

Carry = Callable[[str, str, bytes], bytes]
"""What a carrier makes of bytes from one party to another."""


@dataclass
class Boxes:
    """The boxes of one attempt. `wire` has what went from one party to another, `failed` why a box gave up."""

    joint: JointPlan
    folder: Path
    files: Mapping[str, Files]
    recipient: sealing.OpeningKey
    attempt: int = 1
    carry: Carry = lambda _from, _to, content: content
    vouched: Mapping[tuple[str, str], str] = field(default_factory=dict)
    wire: dict[tuple[str, str], bytearray] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        domains = [each.domain for each in self.joint.parties]
        self.plans = {domain: party_plan(self.joint, domain) for domain in domains}
        self.secrets = {domain: sealing.OpeningKey.fresh() for domain in domains}
        self._links = self._carried(domains)

    def go(self) -> None:
        """Run all boxes to their ends."""
        threads = []
        for domain, plan in self.plans.items():
            rows: dict[str, Link] = {}
            if domain in self.files:
                ours, theirs = socket.socketpair()
                rows = {OWN_ROWS: Link(theirs.detach())}
                extracting = self._session(domain, plan, Entry.EXTRACT, {OWN_ROWS: Link(ours.detach())})
                threads.append(threading.Thread(target=self._box, args=(domain, extract, extracting, ours)))
            session = self._session(domain, plan, Entry.PARTY, rows | self._links[domain])
            threads.append(threading.Thread(target=self._box, args=(domain, party, session)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=300)
            assert not thread.is_alive(), "nothing may hang"

    def opened(self) -> list[Opened]:
        """What the recipient finds in the three servers' files."""
        found = []
        for place, domain in enumerate(self.joint.task.servers):
            sealed = (self._out(domain) / OPENED).read_bytes()
            bound = opened_bound(self.joint.digest, self.attempt, place)
            found.append(Opened.decode(unpadded(self.recipient.open(sealed, OPENED_INFO, bound))))
        return found

    def answer(self) -> JointAnswer:
        assert self.failed == {}
        return answer_of(self.joint, self.attempt, self.opened())

    def sealed(self) -> bytes:
        """What an inspector or a finder leaves."""
        (opener,) = self.joint.handing
        return (self._out(opener) / OPENED).read_bytes()

    def judged(self) -> Released:
        """The table that the recipient finds in it."""
        assert self.failed == {}
        (opener,) = self.joint.handing
        bound = judged_bound(self.joint.digest, self.attempt, opener)
        return Released.decode(unpadded(self.recipient.open(self.sealed(), JUDGED_INFO, bound)))

    def left(self) -> set[str]:
        """The domains whose box left something."""
        return {domain for domain in self.plans if list(self._out(domain).iterdir())}

    def _out(self, domain: str) -> Path:
        path = self.folder / domain.replace("/", "-")
        path.mkdir(exist_ok=True)
        return path

    def _session(self, domain: str, plan: Plan, stage: Entry, links: Mapping[str, Link]) -> Session:
        files, key = self.files.get(domain), {OWN_ROWS: "7c" * 32}
        inputs, paths = {}, {}
        if stage is Entry.EXTRACT and files is not None:
            inputs, paths = files.keys, files.paths
        peers = {
            link.name: self.vouched.get((domain, link.peer[6:])) or self.secrets[link.peer[6:]].public
            for link in plan.stage(stage).links
            if link.peer.startswith("party:")
        }
        keys = BoxKeys(inputs, {}, "", links=key if OWN_ROWS in links else {}, peers=peers)
        out = self._out(domain)
        temp = self.folder / "temp"
        temp.mkdir(exist_ok=True)
        return Session(
            plan, stage, self.attempt, paths, keys, out, temp, temp, links=links, secret=self.secrets[domain]
        )

    def _box(self, domain: str, program: Any, session: Session, *ends: Any) -> None:
        try:
            self.reports[f"{domain}/{session.stage}"] = program.run(session)
        except BoxFailure as failure:
            self.failed[f"{domain}/{session.stage}"] = failure.code
        except DarkroomError as problem:
            self.failed[f"{domain}/{session.stage}"] = problem.code
        for link in session.links.values():  # a process that ends closes what it never opened
            with contextlib.suppress(OSError):
                link.open().close()

    def _carried(self, domains: list[str]) -> dict[str, dict[str, Link]]:
        """Join every two parties by carriers that see all bytes."""
        links: dict[str, dict[str, Link]] = {domain: {} for domain in domains}
        for place, one in enumerate(domains):
            for number, other in enumerate(domains[:place]):
                (here, near), (far, there) = socket.socketpair(), socket.socketpair()
                links[one][f"peer-{number}"] = Link(here.detach())
                links[other][f"peer-{place}"] = Link(there.detach())
                for ends, names in (((near, far), (one, other)), ((far, near), (other, one))):
                    self.wire[names] = bytearray()
                    threading.Thread(target=self._copy, args=(*ends, *names), daemon=True).start()
        return links

    def _copy(self, source: socket.socket, sink: socket.socket, sender: str, receiver: str) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(2**16):
                self.wire[sender, receiver] += content
                sink.sendall(self.carry(sender, receiver, content))
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

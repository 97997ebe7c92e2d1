"""Parties as processes in network namespaces of their own, on lines of 100 Mbit/s: well, one killed, one cut off.

The rate is the kernel's token bucket. A delay needs netem, which not every kernel has: where it is missing, the line is
slow and not far (`test_agent` has a proxy that is both).
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from keys import tls
from plans.errors import PeerLost
from tests.mpc.agents import DOMAINS, TAX
from tests.mpc.party_process import own_folder
from tests.plans.examples import DECISION, REQUEST
from tests.plans.joint_examples import joint_plan

RATE = 100_000_000
"""Bits a second of each line, in each direction."""

BURST = 64_000
"""Bytes that pass at once."""

STREAM = 2_500_000
HEAR = """
import socket, time
with socket.create_server(("", 6999)) as door:
    print("ready", flush=True)
    end, _ = door.accept()
    end.recv(1)
    began = time.monotonic()
    while end.recv(2**18):
        pass
    print(time.monotonic() - began)
"""
TELL = """
import socket, sys
with socket.create_connection((sys.argv[1], 6999), 30) as end:
    end.sendall(bytes(int(sys.argv[2])))
"""

ROOT = Path(__file__).resolve().parents[2]
OTHERS = tuple(domain for domain in DOMAINS if domain != TAX)

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root makes network namespaces"),
]


def system(*command: str, well: bool = True) -> int:
    return subprocess.run(command, check=well, capture_output=True).returncode


@dataclass(slots=True)
class Network:
    """A switch in a namespace of its own, and a line from it to each party."""

    name: str
    slow: bool = True
    delay: bool = False
    made: list[str] = field(default_factory=list)

    def space(self, place: int) -> str:
        return f"{self.name}-{place}"

    def build(self) -> None:
        hub = f"{self.name}-hub"
        for space in (hub, *(self.space(place) for place in range(len(DOMAINS)))):
            system("ip", "netns", "add", space)
            self.made.append(space)
            system("ip", "-n", space, "link", "set", "lo", "up")
        system("ip", "-n", hub, "link", "add", "hub", "type", "bridge")
        system("ip", "-n", hub, "link", "set", "hub", "up")
        for place in range(len(DOMAINS)):
            own, far = self.space(place), f"to{place}"
            system("ip", "-n", own, "link", "add", "line", "type", "veth", "peer", "name", far, "netns", hub)
            system("ip", "-n", hub, "link", "set", far, "master", "hub", "up")
            system("ip", "-n", own, "addr", "add", f"10.77.0.{place + 1}/24", "dev", "line")
            system("ip", "-n", own, "link", "set", "line", "up")
            for space, device in ((own, "line"), (hub, far)):
                self._shape(space, device)

    def _shape(self, space: str, device: str) -> None:
        line = ("tc", "-n", space, "qdisc", "add", "dev", device, "root")
        if not self.slow:
            return
        far = ("netem", "delay", "5ms", "rate", f"{RATE}bit")
        self.delay = system(*line, *far, well=False) == 0
        if not self.delay:
            system(*line, "tbf", "rate", f"{RATE}bit", "burst", f"{BURST}", "latency", "50ms")

    def require_slow(self) -> None:
        """Send a stream over every line, and see that it takes the time that it should."""
        for place in range(len(DOMAINS)):
            other = (place + 1) % len(DOMAINS)
            took = self._streamed(place, other)
            assert took >= 0.8 * STREAM * 8 / RATE, (
                f"the line of party {place} is not as slow as it is said to be"
            )

    def _streamed(self, place: int, other: int) -> float:
        """Return the seconds from the first byte of a stream to its end, by whoever receives it."""
        inside = ["ip", "netns", "exec"]
        hearing = subprocess.Popen(
            [*inside, self.space(other), sys.executable, "-c", HEAR], stdout=subprocess.PIPE, text=True
        )
        with hearing:
            assert hearing.stdout and hearing.stdout.readline() == "ready\n"
            address, size = f"10.77.0.{other + 1}", str(STREAM)
            system(*inside, self.space(place), sys.executable, "-c", TELL, address, size)
            return float(hearing.stdout.readline())

    def sent(self, place: int) -> int:
        """Bytes that a party's line has carried away from it."""
        told = ["ip", "-n", self.space(place), "-s", "-j", "link", "show", "line"]
        found = json.loads(subprocess.run(told, check=True, capture_output=True).stdout)
        return int(found[0]["stats64"]["tx"]["bytes"])

    def cut(self, place: int) -> None:
        """Take a party's line away."""
        system("ip", "-n", f"{self.name}-hub", "link", "set", f"to{place}", "down")

    def close(self) -> None:
        for space in self.made:
            system("ip", "netns", "del", space, well=False)


@dataclass(slots=True)
class Running:
    """A party's process, and what it has said."""

    process: subprocess.Popen[str]
    said: list[dict[str, Any]] = field(default_factory=list)

    def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Read what it says until something holds; the process bounds every state in time."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.said.append(json.loads(line))
            if holds(self.said[-1]):
                return self.said[-1]
        raise AssertionError(f"the process ended before that: {self.said}")

    def ended(self) -> dict[str, Any]:
        return self.until(lambda line: "well" in line)


@contextlib.contextmanager
def parties(block: int) -> Iterator[tuple[Network, dict[str, Running]]]:
    """Four parties in a network, that begin an attempt."""
    network = Network(f"dr{os.getpid()}")
    running: dict[str, Running] = {}
    with tempfile.TemporaryDirectory(prefix="dr-", dir="/tmp") as made:
        folder = Path(made)
        _write(folder)
        try:
            network.build()
            network.require_slow()
            for place, domain in enumerate(DOMAINS):
                command = ["ip", "netns", "exec", network.space(place), sys.executable, "-m"]
                arguments = ["tests.mpc.party_process", str(folder), domain, str(block)]
                running[domain] = Running(
                    subprocess.Popen([*command, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)
                )
            yield network, running
        finally:
            for each in running.values():
                each.process.kill()
                each.process.wait(10)
                if each.process.stdout:
                    each.process.stdout.close()
            network.close()


def _write(folder: Path) -> None:
    example = joint_plan(DECISION, REQUEST)
    described = []
    for place, party in enumerate(example.parties):
        own = own_folder(folder, party.domain)
        own.mkdir()
        identity = tls.make_identity(own / "tls.pem", party.domain)
        address = f"10.77.0.{place + 1}:7000"
        described.append(replace(party, agent=identity.fingerprint, address=address))
    (folder / "joint.json").write_bytes(replace(example, parties=tuple(described)).canonical())


def test_an_attempt_ends_well_over_slow_lines() -> None:
    """It takes the time that its bytes take on such lines, at least."""
    block = 2_000_000
    with parties(block) as (network, running):
        computing = [
            each.until(lambda line: line.get("state") == "computing")["at"] for each in running.values()
        ]
        ended = [each.ended() for each in running.values()]
        assert [each["well"] for each in ended] == [True] * 4
        sent = 3 * block  # to all others
        assert all(network.sent(place) > sent + STREAM for place in range(len(DOMAINS)))
        assert max(each["at"] for each in ended) - min(computing) >= (sent - BURST) * 8 / RATE


def test_control_a_line_that_nothing_slows_down_is_found_out() -> None:
    network = Network(f"dr{os.getpid()}", slow=False)
    try:
        network.build()
        with pytest.raises(AssertionError, match="not as slow"):
            network.require_slow()
    finally:
        network.close()


def test_71_a_process_that_is_killed_is_named_by_all_others() -> None:
    with parties(block=20_000_000) as (_, running):
        running[TAX].until(lambda line: line.get("state") == "computing")
        time.sleep(0.3)
        running[TAX].process.kill()
        ended = [running[domain].ended()["failure"] for domain in OTHERS]
        assert ended[0] == ended[1] == ended[2]
        assert (ended[0]["code"], ended[0]["party"]) == (PeerLost.code, TAX)


def test_71_a_line_that_is_taken_away_loses_its_party() -> None:
    with parties(block=20_000_000) as (network, running):
        running[TAX].until(lambda line: line.get("state") == "computing")
        time.sleep(0.3)
        network.cut(DOMAINS.index(TAX))
        ended = [running[domain].ended()["failure"] for domain in OTHERS]
        assert ended[0] == ended[1] == ended[2]
        assert (ended[0]["code"], ended[0]["party"]) == (PeerLost.code, TAX)
        alone = running[TAX].ended()
        assert not alone["well"] and alone["failure"]["code"] == PeerLost.code

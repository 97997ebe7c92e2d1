"""The agent as a process: it starts from its settings, answers at its door, and stops when told."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from keys import tls
from mpc.agent.config import AgentConfig
from plans import frames
from plans.box import Entry
from plans.errors import NotFound, Unreachable
from tests.plans.examples import LIMITS

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def config(tmp_path: Path) -> AgentConfig:
    tls.make_identity(tmp_path / "tls", "nm/tax")
    return AgentConfig(
        "nm/tax", tmp_path / "tls", f"127.0.0.1:{free_port()}", tmp_path / "door", tmp_path / "links",
        tmp_path / "keeper", tmp_path / "launcher", tmp_path / "home", (), (),
        {Entry.PARTY: LIMITS, Entry.EXTRACT: LIMITS},
    )  # fmt: skip


@pytest.fixture
def process(config: AgentConfig, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    config.save(tmp_path / "agent.json")
    command = [sys.executable, "-P", "-m", "mpc.agent", str(tmp_path / "agent.json")]
    started = subprocess.Popen(
        command, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}, stderr=subprocess.PIPE
    )
    yield started
    started.kill()
    started.wait(10)
    if started.stderr:
        started.stderr.close()


def answer(config: AgentConfig, question: dict[str, object], within_s: float = 20.0) -> dict[str, object]:
    end = time.monotonic() + within_s
    while True:
        try:
            return frames.ask(config.door, question, 5.0)
        except Unreachable:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def test_an_agent_says_who_it_is_and_stops_when_told(
    config: AgentConfig, process: subprocess.Popen[bytes]
) -> None:
    status = answer(config, {"op": "status"})
    assert status["agent"] == tls.load_identity(config.identity).fingerprint
    assert (status["domain"], status["plans"], status["attempts"]) == ("nm/tax", [], [])
    with pytest.raises(NotFound):
        answer(config, {"op": "run", "joint": "sha256:" + "0" * 64, "attempt": 1})
    second = subprocess.run(
        process.args, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}, capture_output=True
    )
    assert second.returncode != 0 and b"listen" in second.stderr
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert not config.door.exists()


def test_an_agent_without_a_key_does_not_start(config: AgentConfig, process: subprocess.Popen[bytes]) -> None:
    answer(config, {"op": "status"})
    config.identity.chmod(0o644)
    second = subprocess.run(
        process.args, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}, capture_output=True
    )
    assert second.returncode == 2 and b"mode to 0600" in second.stderr

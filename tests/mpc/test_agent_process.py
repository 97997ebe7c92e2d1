"""The agent as a process: it starts from its settings, answers at its door, and stops when told."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from keys import tls
from mpc.agent.config import AgentConfig
from plans import frames
from plans.box import Entry
from plans.errors import NotFound, Unreachable
from tests.plans.examples import LIMITS

ROOT = Path(__file__).resolve().parents[2]
USER = 64_963
"""The user of an agent that root starts."""


def free_port() -> int:
    """A port that nobody has, below those that the kernel gives to whoever asks for any."""
    while True:
        with (
            contextlib.suppress(OSError),
            socket.create_server(("127.0.0.1", random.randrange(18_000, 32_000))) as it,
        ):
            return int(it.getsockname()[1])


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that an agent's user can reach, which those of the test runner are not."""
    made = Path(tempfile.mkdtemp(prefix="dr-agent-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def config(folder: Path) -> AgentConfig:
    identity, sockets = folder / "tls", folder / "sockets"
    tls.make_identity(identity, "nm/tax")
    sockets.mkdir(mode=0o711)
    user = USER if os.geteuid() == 0 else None
    if user is not None:
        for each in (identity, sockets):
            os.chown(each, user, user)
    return AgentConfig(
        "nm/tax", identity, f"127.0.0.1:{free_port()}", sockets / "door", sockets / "links",
        folder / "keeper", folder / "launcher", user, (), (),
        {Entry.PARTY: LIMITS, Entry.EXTRACT: LIMITS},
    )  # fmt: skip


@pytest.fixture
def process(config: AgentConfig, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    config.save(folder / "agent.json")
    command = [sys.executable, "-P", "-m", "mpc.agent", str(folder / "agent.json")]
    started = subprocess.Popen(
        command, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}, stderr=subprocess.PIPE
    )
    yield started
    started.kill()
    started.wait(60)
    if started.stderr:
        started.stderr.close()


def answer(config: AgentConfig, question: dict[str, object], within_s: float = 90.0) -> dict[str, object]:
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
    assert process.wait(60) == 0
    assert not config.door.exists()


def test_an_agent_without_a_key_does_not_start(config: AgentConfig, process: subprocess.Popen[bytes]) -> None:
    answer(config, {"op": "status"})
    config.identity.chmod(0o644)
    second = subprocess.run(
        process.args, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}, capture_output=True
    )
    assert second.returncode == 2 and b"mode to 0600" in second.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start an agent that has a user of its own")
def test_an_agent_that_root_starts_is_root_no_more(
    config: AgentConfig, process: subprocess.Popen[bytes], folder: Path
) -> None:
    answer(config, {"op": "status"})
    status = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines()
        if ":\t" in line
    )
    assert set(status["Uid"].split()) == set(status["Gid"].split()) == {str(USER)}
    assert status["Groups"].split() == [] and status["NoNewPrivs"] == "1"
    assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapAmb", "CapInh")} == {0}
    opened = [os.readlink(each) for each in Path(f"/proc/{process.pid}/fd").iterdir()]
    assert not [each for each in opened if each.startswith(str(folder))], "no file that root had opened"
    replace(config, user=None).save(folder / "other.json")
    control = [sys.executable, "-P", "-m", "mpc.agent", str(folder / "other.json")]
    done = subprocess.run(
        control,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2 and b"does not run as root" in done.stderr

"""Whoever waits for an agent that ends in the middle of its answer hears that it is lost, and may try again."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mpc.agent.client import AgentClient
from plans import frames
from plans.errors import Malformed, Unreachable

JOINT = "sha256:" + "a" * 64


@pytest.fixture
def ending(tmp_path: Path) -> Iterator[Callable[..., AgentClient]]:
    """An agent that says some frames to whoever asks first, and is killed then."""
    threads: list[threading.Thread] = []

    def made(*said: dict[str, Any]) -> AgentClient:
        door = tmp_path / f"door-{len(threads)}"
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(str(door))
        listening.listen(1)

        def answer() -> None:
            with listening, listening.accept()[0] as connection:
                connection.recv(2**16)
                for frame in said:
                    connection.sendall(frames.pack(frame))

        threads.append(threading.Thread(target=answer))
        threads[-1].start()
        return AgentClient(door)

    yield made
    for thread in threads:
        thread.join(10)


@pytest.mark.parametrize(
    "said", [(), ({"state": "connecting"}, {"state": "computing"})], ids=["nothing", "states"]
)
def test_an_agent_that_is_killed_while_an_attempt_runs_is_a_lost_party(
    ending: Callable[..., AgentClient], said: tuple[dict[str, Any], ...]
) -> None:
    with pytest.raises(Unreachable, match="ended without an answer"):
        ending(*said).run(JOINT, 1)


def test_an_agent_that_is_killed_while_it_hands_over_is_asked_again(
    ending: Callable[..., AgentClient],
) -> None:
    with pytest.raises(Unreachable, match="ended without an answer"):
        ending({"sealed": "00" * 16}).result(JOINT, 1)


def test_the_control_an_answer_to_its_end_is_taken(ending: Callable[..., AgentClient]) -> None:
    good: dict[str, Any] = {"ok": {"receipts": [], "failure": None}}
    heard: list[str] = []
    assert ending({"state": "closed"}, good).run(JOINT, 1, heard.append).failure is None
    assert heard == ["closed"]
    with pytest.raises(Malformed):
        ending({"ok": "yes"}).run(JOINT, 1)


@pytest.mark.parametrize("failure", ["x", 1, ["code"], True], ids=repr)
def test_an_agent_that_gives_no_reason_in_a_known_form_is_refused(
    ending: Callable[..., AgentClient], failure: object
) -> None:
    with pytest.raises(Malformed, match="in no known way"):
        ending({"ok": {"receipts": [], "failure": failure}}).run(JOINT, 1)
    problem = {"code": "box.failed", "title": "it ended", "where": "box", "next_step": "Again."}
    told = ending({"ok": {"receipts": [], "failure": problem}}).run(JOINT, 1).failure
    assert told is not None and told.what == "it ended", "the control"

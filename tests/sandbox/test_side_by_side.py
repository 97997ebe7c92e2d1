"""Stages that a plan links run side by side at a launcher: both or none, and the end of one is the end of the other."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from plans.box import Entry, Link
from plans.decision import Tier
from plans.errors import BoxFailed, DarkroomError
from plans.plan import Plan
from sandbox.client import LauncherClient
from sandbox.contract import Ends
from sandbox.gvisor import GvisorBoxes
from sandbox.links import Exchange
from sandbox.shelf import Shelf, StageName
from tests.sandbox.side import SLEEP, Side, eventually, launched, side, sql_plan

__all__ = ["side"]
pytestmark = pytest.mark.box
LINKS = {Entry.QUERY: (Link("rows", "stage:parse"),), Entry.PARSE: (Link("rows", "stage:query"),)}

STREAM = """
def run(session):
    stream = session.links["rows"].open()
    if session.stage == "query":
        stream.sendall(b"x" * 10)
        assert stream.recv(1) == b""
    else:
        assert stream.recv(10) == b"x" * 10
        time.sleep(1)
    return {}
"""
FAIL = "\nfrom inside.session import BoxFailure\nimport time\n"
QUERY_FAILS = FAIL + (
    "def run(session):\n    if session.stage == 'query': raise BoxFailure('query.failed')\n    time.sleep(600)\n"
)

CLOSED = "from sandbox import doors\ndoors._FOLDER_MODE = 0o700"


def linked(image: str, code: str) -> Plan:
    return sql_plan(image, "import time\n" + code, links=LINKS, parse_inputs=())


def both(client: LauncherClient, plans: list[Plan]) -> dict[tuple[int, Entry], Any]:
    """Ask for both stages of every plan at once, and return how each ended."""
    ends: dict[tuple[int, Entry], Any] = {}

    def ask(number: int, plan: Plan, stage: Entry) -> None:
        try:
            ends[number, stage] = client.run(plan.digest, stage, 1)
        except DarkroomError as problem:
            ends[number, stage] = problem.where

    threads = []
    for plan in plans:
        client.put(plan)
    for (
        stage
    ) in LINKS:  # the first stages of all, then the second ones: the order in which half-taken places lock
        for number, plan in enumerate(plans):
            threads.append(threading.Thread(target=ask, args=(number, plan, stage)))
            threads[-1].start()
    for thread in threads:
        thread.join()
    return ends


def test_more_batches_than_there_are_places_for_all_come_to_their_end(side: Side, probe_image: Any) -> None:
    """Four places for boxes with keys (of eight), and three batches of two."""
    plans = [linked(probe_image.digest, STREAM) for _ in range(3)]
    with launched(side):
        ends = both(side.client, plans)
    assert len(ends) == 6 and not [end for end in ends.values() if isinstance(end, str)]


@pytest.mark.parametrize("first", ["", CLOSED], ids=["open", "closed"])
def test_links_of_boxes_with_a_kernel_of_their_own_open_under_the_launchers_umask(
    side: Side, probe_image: Any, gvisor_boxes: GvisorBoxes, first: str
) -> None:
    """The control: with the folder of doors as the umask leaves it, no box reaches its link."""
    plan = linked(probe_image.digest, STREAM)
    plan = replace(plan, stages=tuple(replace(spec, tier=Tier.T2) for spec in plan.stages))
    with launched(side, first=first):
        ends = both(side.client, [plan])
        assert side.boxes == []
    wrong = [end for end in ends.values() if isinstance(end, str)]
    assert len(wrong) == (2 if first else 0), ends


def test_a_stage_that_ends_without_a_result_ends_the_one_beside_it(side: Side, probe_image: Any) -> None:
    """Also where that would wait for ever; and whoever asks for it later is told at once."""
    plan, later = linked(probe_image.digest, QUERY_FAILS), linked(probe_image.digest, QUERY_FAILS)
    with launched(side):
        assert both(side.client, [plan]) == {
            (0, Entry.QUERY): "query.failed",
            (0, Entry.PARSE): "box.peer-ended",
        }, "it did not wait until its own time was over"
        side.client.put(later)
        for stage, where in ((Entry.QUERY, "query.failed"), (Entry.PARSE, "box.peer-ended")):
            with pytest.raises(BoxFailed) as failed:
                side.client.run(later.digest, stage, 1)
            assert failed.value.where == where
        assert side.boxes == []


def test_who_cancels_one_cancels_both(side: Side, probe_image: Any) -> None:
    plan = linked(probe_image.digest, SLEEP)
    with launched(side):
        cancel = threading.Thread(
            target=lambda: (
                eventually(lambda: len(side.client.status()["boxes"]) == 2),
                time.sleep(0.3),
                side.client.cancel(plan.digest, Entry.QUERY, 1),
            )
        )
        cancel.start()
        ends = both(side.client, [plan])
        cancel.join()
    assert set(ends.values()) == {"box.cancelled"}


def test_who_comes_after_its_peer_has_left_sees_the_end_of_the_stream() -> None:
    """A box that ends without a look at its link leaves no peer waiting. The control: before, it waits."""
    plan = linked("sha256:" + "a" * 64, "")
    query, parse = (StageName(plan.digest, stage, 1) for stage in LINKS)

    async def run() -> None:
        exchange = Exchange()
        for first, second, ends in ((query, parse, True), (parse, query, False)):
            pairs = [socket.socketpair() for _ in range(2)]
            for pair in pairs:
                pair[1].setblocking(False)
            async with contextlib.AsyncExitStack() as held:
                if ends:
                    early = {"rows": Ends(pairs[0][0], 0)}
                    async with exchange.joined(first, plan.stage(first.stage), early):
                        pass
                late = exchange.joined(second, plan.stage(second.stage), {"rows": Ends(pairs[1][0], 0)})
                await held.enter_async_context(late)
                reading = asyncio.get_running_loop().sock_recv(pairs[1][1], 1)
                if ends:
                    assert await asyncio.wait_for(reading, 60) == b""
                else:
                    with pytest.raises(TimeoutError):
                        await asyncio.wait_for(reading, 0.1)
            for pair in pairs:
                for end in pair:
                    end.close()

    asyncio.run(run())


def test_what_a_failed_job_said_is_the_owners_and_no_caller_hears_it(side: Side, tmp_path: Any) -> None:
    """The private note lies beside the result, which is what is told."""
    shelf = Shelf(tmp_path)
    shelf.prepare()
    name = StageName("sha256:" + "a" * 64, Entry.PYTHON, 1)
    shelf.keep_private(name, {"code": "python.failed", "facts": {"line": 3}})
    shelf.keep_result(name, {"error": {}})
    assert shelf.result(name) == {"error": {}}
    assert len(list(tmp_path.rglob("*.private"))) == 1
    assert shelf.result(replace(name, attempt=2)) is None

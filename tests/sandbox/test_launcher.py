"""The launcher as a process, with a keeper that lives only here: idempotence, leases, crashes, crafted outputs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from keys.signing import fresh_nonce, verify
from plans.box import BoxState, Entry, Input, Link
from plans.errors import (
    BoxFailed,
    BoxLimit,
    DarkroomError,
    NotAllowed,
    NotFound,
    OutputRefused,
    StateConflict,
    TierMissing,
    Unreachable,
)
from plans.plan import Plan, PlanKind
from plans.statements import Duty, Signed, StageRecord, Type
from sandbox import api, launcher
from sandbox.client import LauncherClient, facts_of
from sandbox.lease import LeaseTimes
from tests.sandbox.conftest import opened_home
from tests.sandbox.side import (
    HAND_OVER,
    QUICK,
    SLEEP,
    WAITS,
    Side,
    a_side,
    begun,
    eventually,
    go_on,
    launched,
    side,
    sql_plan,
)

__all__ = ["HAND_OVER", "QUICK", "SLEEP", "Side", "eventually", "launched", "side", "sql_plan"]
pytestmark = pytest.mark.box


@pytest.fixture(scope="module")
def standing(probe_images: Path) -> Iterator[Side]:
    """A side whose launcher runs, for tests that each have their own plans there and leave no box."""
    with opened_home() as home, a_side(home, probe_images) as made, launched(made):
        yield made


def test_a_stage_hands_encrypted_rows_to_the_next_and_the_record_is_signed(side: Side, probe_image) -> None:
    plan = sql_plan(probe_image.digest, HAND_OVER)
    with launched(side):
        side.client.put(plan)
        states: list[BoxState] = []
        first = side.client.run(plan.digest, Entry.QUERY, 1, states.append)
        second = side.client.run(plan.digest, Entry.PARSE, 1)
        timed = side.owner.run(plan.digest, Entry.QUERY, 1)
    statement = verify(first.record)
    assert (statement.type, statement.duty) == (Type.STAGE, Duty.LAUNCHER)
    record, parsed = StageRecord.read(statement.body), StageRecord.read(second.record.statement.body)
    assert parsed.inputs[0].sha256 == record.outputs[0].sha256 and parsed.report == {}
    with api.open_output(side.config.home, api.StageName(plan.digest, Entry.QUERY, 1), "rows") as file:
        kept = file.read()
    assert b"secret" not in kept and len(kept) > len(b"secret rows")
    assert states[-1] is BoxState.COLLECTED and BoxState.RUNNING in states
    steps = ["created", "started", "hello", "keys", "done", "collected"]
    assert timed.record == first.record and sorted(timed.timings) == sorted(steps)
    assert [timed.timings[step] for step in steps] == sorted(timed.timings.values())
    assert first.timings == {} and first.took.startswith("under "), "milliseconds are the owner's to know"
    assert side.keeper.asked.count("finish") == 2
    assert [verify(signed).type for signed in side.keeper.statements] == [Type.BOX, Type.BOX]


STREAM = """
def run(session):
    stream = session.links["rows"].open()
    if session.stage == "query":
        for _ in range(200):
            stream.sendall(b"x" * 10000)
        return {}
    total = 0
    while block := stream.recv(65536):
        total += len(block)
    assert total == 2000000, total
    return {}
"""


def test_a_link_joins_two_boxes_of_one_plan(standing: Side, probe_image) -> None:
    """One box streams to the other, which sees the end when the first has ended; none has another way to it."""
    links = {
        Entry.QUERY: (Link("rows", "stage:parse"),),
        Entry.PARSE: (Link("rows", "stage:query"),),
    }
    plan = sql_plan(probe_image.digest, STREAM, links=links, parse_inputs=())
    standing.client.put(plan)
    found: dict[Entry, StageRecord] = {}

    def ask(stage: Entry) -> None:
        found[stage] = StageRecord.read(standing.client.run(plan.digest, stage, 1).record.statement.body)

    threads = [threading.Thread(target=ask, args=(stage,)) for stage in links]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(links)


@pytest.mark.parametrize("back", [(), (Link("other", "stage:query"),), (Link("rows", "stage:judge"),)])
def test_a_link_that_does_not_lead_back_is_refused(
    standing: Side, probe_image, back: tuple[Link, ...]
) -> None:
    links = {Entry.QUERY: (Link("rows", "stage:parse"),), Entry.PARSE: back}
    plan = sql_plan(probe_image.digest, STREAM, links=links, parse_inputs=())
    standing.client.put(plan)
    with pytest.raises(TierMissing):
        standing.client.run(plan.digest, Entry.QUERY, 1)


def test_a_link_to_another_party_is_refused(standing: Side, probe_image) -> None:
    plan = sql_plan(probe_image.digest, STREAM, links={Entry.QUERY: (Link("rows", "party:nm/health"),)})
    standing.client.put(plan)
    with pytest.raises(TierMissing):
        standing.client.run(plan.digest, Entry.QUERY, 1)


def test_the_same_stage_is_run_once_whoever_asks_and_even_after_a_restart(side: Side, check) -> None:
    plan = check(
        "import time\ndef run(session):\n    time.sleep(0.3)\n    return {'pid': time.time_ns() % 10**9}\n"
    )
    with launched(side):
        side.client.put(plan)
        records: list[Signed] = []
        ask = lambda: records.append(side.client.run(plan.digest, Entry.CHECK, 1).record)  # noqa: E731
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(records) == 4 and len({record.signature for record in records}) == 1
        other = side.client.run(plan.digest, Entry.CHECK, 2)
        assert other.record.signature != records[0].signature, "another attempt is another box"
    with launched(side):
        assert side.client.run(plan.digest, Entry.CHECK, 1).record == records[0]


def test_a_caller_that_hangs_up_does_not_stop_the_box(standing: Side, check) -> None:
    plan = check("import time\ndef run(session):\n    time.sleep(0.5)\n    return {'done': 1}\n")
    standing.client.put(plan)
    with pytest.raises(Unreachable):
        standing.client.run(plan.digest, Entry.CHECK, 1, timeout_s=0.2)
    record = StageRecord.read(standing.client.run(plan.digest, Entry.CHECK, 1).record.statement.body)
    assert record.report == {"done": 1}


def cancelled(client: LauncherClient, plan: Plan) -> bool:
    with contextlib.suppress(NotFound):
        client.cancel(plan.digest, Entry.CHECK, 1)
        return True
    return False


def test_a_cancelled_stage_ends_at_once_and_says_so(standing: Side, check) -> None:
    plan = check(SLEEP)
    standing.client.put(plan)
    cancel = threading.Thread(
        target=lambda: eventually(lambda: cancelled(standing.client, plan)), daemon=True
    )
    cancel.start()
    with pytest.raises(BoxFailed) as failed:
        standing.client.run(plan.digest, Entry.CHECK, 1)
    assert failed.value.where == "box.cancelled"
    with pytest.raises(NotFound):
        standing.client.cancel(plan.digest, Entry.CHECK, 1)
    assert standing.client.status()["boxes"] == []


def test_a_box_without_its_keeper_is_frozen_and_thawed_when_it_is_back(side: Side, probe_image) -> None:
    plan = sql_plan(probe_image.digest, WAITS.replace('{"went": 1}', "{}"))
    with launched(side, LeaseTimes(renew_s=0.3, freeze_s=0.9, kill_s=600)):
        side.client.put(plan)
        done = threading.Thread(target=lambda: side.client.run(plan.digest, Entry.QUERY, 1))
        done.start()

        def state() -> str:
            return next((box["state"] for box in side.client.status()["boxes"]), "none")

        eventually(lambda: "renew" in side.keeper.asked)
        eventually(lambda: state() == "running")
        side.keeper.mood = "silent"
        eventually(lambda: state() == "frozen")
        side.keeper.mood = "ok"
        eventually(lambda: state() == "running")
        go_on(side)
        done.join()
        assert side.client.run(plan.digest, Entry.QUERY, 1).record


def test_a_box_whose_keeper_stays_away_is_killed(side: Side, probe_image) -> None:
    plan = sql_plan(probe_image.digest, SLEEP)
    side.keeper.mood = "silent"
    with launched(side, QUICK):
        side.client.put(plan)
        with pytest.raises(BoxFailed) as failed:
            side.client.run(plan.digest, Entry.QUERY, 1)
        assert failed.value.where == "box.lease-lost"
        assert not list((side.config.home / "boxes").iterdir())


def test_a_revoked_box_is_killed(side: Side, probe_image) -> None:
    plan = sql_plan(probe_image.digest, SLEEP)
    with launched(side, QUICK):
        side.client.put(plan)
        side.keeper.mood = "kill"
        with pytest.raises(BoxFailed) as failed:
            side.client.run(plan.digest, Entry.QUERY, 1)
        assert failed.value.where == "box.revoked"


def children_of(pid: int) -> list[int]:
    from sandbox import processes

    return processes.tree(pid)[1:]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


def test_a_killed_launcher_leaves_no_orphan_and_the_next_one_runs_the_stage_again(side: Side, check) -> None:
    plan = check(
        "import os, time\ndef run(session):\n    if os.fork() == 0: os.setsid()\n    time.sleep(600)\n"
    )
    with launched(side) as process:
        side.client.put(plan)
        begun(side, plan)
        eventually(lambda: len(children_of(process.pid)) >= 3)  # the control: monitor, box and its fork
        boxes = children_of(process.pid)
        process.kill()
        process.wait()
        eventually(lambda: not any(alive(pid) for pid in boxes))
    left = list((side.config.home / "boxes").iterdir())
    assert left, "the control: a killed launcher could not clean"
    with launched(side):
        assert list((side.config.home / "boxes").iterdir()) == []
        with pytest.raises(StateConflict):
            launcher._free_socket(side.config.socket)


LEAVES = {
    "a hard link": "(out / 'a').write_text('x'); os.link(out / 'a', out / 'b')",
    "a folder": "(out / 'a').mkdir()",
    "a deep folder": "os.chdir(out)\n    for n in range(3000): os.mkdir('d'); os.chdir('d')",
    "a name with a newline": "(out / 'a\\nb').write_text('x')",
    "a name from right to left": "(out / 'a\\u202eb').write_text('x')",
    "a name that is no text": "open(os.fsencode(out) + b'/\\xff', 'w')",
    "a name that goes up": "(out / '..a').write_text('x')",
    "a hidden name": "(out / '.a').write_text('x')",
    "a long name": "(out / ('a' * 200)).write_text('x')",
    "a sparse file": "open(out / 'a', 'wb').close(); os.truncate(out / 'a', 5 * 2**20)",
}
"""A symbolic link or FIFO cannot be made in a box (Landlock); tests/sandbox/test_walls.py plants them."""


@pytest.mark.parametrize("what", LEAVES)
def test_crafted_outputs_are_refused_without_following(standing: Side, check, what: str) -> None:
    plan = check(f"import os\ndef run(session):\n    out = session.out\n    {LEAVES[what]}\n", output_mb=4)
    standing.client.put(plan)
    with pytest.raises((OutputRefused, BoxLimit)) as refused:
        standing.client.run(plan.digest, Entry.CHECK, 1)
    assert "passwd" not in str(refused.value) and "\n" not in str(refused.value)
    assert not list((standing.config.home / "boxes").iterdir())


def test_plain_outputs_are_collected(standing: Side, check) -> None:
    """The control of the crafted ones."""
    plan = check("def run(session):\n    (session.out / 'a').write_text('x')\n")
    standing.client.put(plan)
    record = StageRecord.read(standing.client.run(plan.digest, Entry.CHECK, 1).record.statement.body)
    assert [output.name for output in record.outputs] == ["a"]


SAYS = "from inside.session import BoxFailure\ndef run(session):\n    raise BoxFailure({!r}, column='x\\n', row=7)\n"


def failed(side: Side, plan: Plan, entry: Entry) -> tuple[str, dict]:
    side.client.put(plan)
    with pytest.raises(BoxFailed) as refused:
        side.client.run(plan.digest, entry, 1)
    return refused.value.where, dict(facts_of(refused.value))


def test_a_check_that_fails_may_say_why(standing: Side, check) -> None:
    assert failed(standing, check(SAYS.format("some.code")), Entry.CHECK) == (
        "some.code",
        {"column": "x", "row": 7},
    )


@pytest.mark.parametrize(
    ("code", "heard"), [("query.failed", "query.failed"), ("salary.is-48211", "box.failed")]
)
def test_a_box_that_has_seen_data_says_one_of_few_codes_only(
    standing: Side, probe_image, code: str, heard: str
) -> None:
    """20, 90: whoever takes over the engine must not speak through codes."""
    plan = sql_plan(probe_image.digest, SAYS.format(code))
    assert failed(standing, plan, Entry.QUERY) == (heard, {})


def test_whoever_asked_for_too_much_is_told_what_to_do(standing: Side, probe_image) -> None:
    plan = sql_plan(probe_image.digest, SAYS.format("result.too-large"))
    standing.client.put(plan)
    with pytest.raises(BoxFailed, match="more cells than the airlock reads") as refused:
        standing.client.run(plan.digest, Entry.QUERY, 1)
    assert refused.value.next_step.startswith("Group by fewer or coarser columns")


def test_a_query_box_cannot_speak_through_its_report(standing: Side, probe_image) -> None:
    """The control: an empty report passes, in the test of handing over."""
    code = HAND_OVER.replace("return {}", 'return {"rows": "secret rows"}')
    assert failed(standing, sql_plan(probe_image.digest, code), Entry.QUERY) == ("box.protocol", {})


def test_an_input_is_linked_from_the_owners_folder_and_a_wrong_one_is_refused_inside(
    side: Side, probe_image
) -> None:
    import hashlib

    data = side.config.data_folder / "income.parquet"
    data.write_bytes(b"encrypted")
    data.chmod(0o444)
    code = "def run(session):\n    assert session.inputs['income.parquet'].read_bytes() == b'encrypted'\n"
    right = "sha256:" + hashlib.sha256(b"encrypted").hexdigest()
    with launched(side):
        plan = sql_plan(probe_image.digest, code, query_inputs=(Input("income.parquet", right),))
        side.client.put(plan)
        record = StageRecord.read(side.client.run(plan.digest, Entry.QUERY, 1).record.statement.body)
        assert record.inputs[0].sha256 == right
        wrong = sql_plan(
            probe_image.digest, code, query_inputs=(Input("income.parquet", "sha256:" + "0" * 64),)
        )
        side.client.put(wrong)
        with pytest.raises(BoxFailed) as failed:
            side.client.run(wrong.digest, Entry.QUERY, 1)
        assert failed.value.where == "evidence.hash"
        missing = sql_plan(probe_image.digest, code, query_inputs=(Input("other.parquet", right),))
        side.client.put(missing)
        with pytest.raises(NotFound):
            side.client.run(missing.digest, Entry.QUERY, 1)


def test_a_stage_before_its_time_is_refused(standing: Side, probe_image) -> None:
    plan = sql_plan(probe_image.digest, HAND_OVER)
    standing.client.put(plan)
    with pytest.raises(NotFound):
        standing.client.run(plan.digest, Entry.PARSE, 1)


def test_a_plan_that_was_changed_on_the_shelf_is_refused(side: Side, check) -> None:
    plan = check(SLEEP)
    from plans.errors import HashMismatch

    with launched(side):
        side.client.put(plan)
        (path,) = (side.config.home / "plans").iterdir()
        path.write_bytes(check("def run(session):\n    return {}\n").canonical())
        with pytest.raises(HashMismatch):
            side.client.run(plan.digest, Entry.CHECK, 1)


# --- doors, lines, the shelf --------------------------------------


def ingest_plan(image: str, code: str) -> Plan:
    spec = replace(sql_plan(image, code).stages[0], entry=Entry.INGEST)
    return Plan(PlanKind.INGEST, "nm/tax", None, "", None, None, code, (spec,), fresh_nonce(), 0)


def test_what_an_ingest_says_is_heard_at_the_owners_door_alone(standing: Side, probe_image) -> None:
    """Its report counts rows and missing values; a centre that asks for the same stage must not hear them."""
    plan = ingest_plan(probe_image.digest, "def run(session):\n    return {'rows': 4711}\n")
    with pytest.raises(NotAllowed):
        standing.client.put(plan)
    standing.owner.put(plan)
    with pytest.raises(NotAllowed):
        standing.client.run(plan.digest, Entry.INGEST, 1)
    record = StageRecord.read(standing.owner.run(plan.digest, Entry.INGEST, 1).record.statement.body)
    assert record.report == {"rows": 4711}, "the control: the owner hears it"
    with pytest.raises(NotAllowed):
        standing.client.run(plan.digest, Entry.INGEST, 1)
    with pytest.raises(NotAllowed):
        standing.client.cancel(plan.digest, Entry.INGEST, 1)


def test_what_no_keeper_ever_sees_runs_within_ceilings_only(standing: Side, check) -> None:
    greedy = check("def run(session):\n    return {}\n", memory_mb=8192)
    with pytest.raises(NotAllowed, match="higher limits"):
        standing.client.put(greedy)
    plan = check("def run(session):\n    return {}\n")
    standing.client.put(plan)
    assert standing.client.run(plan.digest, Entry.CHECK, 1).record, "the control"


def test_the_owners_own_check_does_not_wait_behind_everybodys(side: Side, check) -> None:
    """A keeper has a statement read while a box waits for its keys; a full line at the open door must not stop it."""
    slow = [check(SLEEP, wall_s=600) for _ in range(6)]
    quick = check("def run(session):\n    return {'mine': 1}\n")

    def ask(plan: Plan) -> None:
        with contextlib.suppress(DarkroomError):
            side.client.run(plan.digest, Entry.CHECK, 1)

    with launched(side):
        threads = [threading.Thread(target=ask, args=(plan,)) for plan in slow]
        for plan, thread in zip(slow, threads, strict=True):
            side.client.put(plan)
            thread.start()
        eventually(lambda: len(side.client.status()["boxes"]) == 6)
        side.owner.put(quick)
        side.owner.run(quick.digest, Entry.CHECK, 1, timeout_s=120)
        left = side.client.status()["boxes"]
        for plan in slow:
            with contextlib.suppress(NotFound):
                side.client.cancel(plan.digest, Entry.CHECK, 1)
        for thread in threads:
            thread.join()
    alive = [box for box in left if box["state"] == "running"]
    assert len(alive) <= 2, "the control: everybody's line is full, two of eight user ids wide"
    assert {box["plan"] for box in left} == {plan.digest for plan in slow}, "and nobody in it was waited for"


def test_a_stage_that_is_cancelled_while_it_waits_says_so_and_no_box_is_made(side: Side, check) -> None:
    slow = [check(SLEEP, wall_s=600) for _ in range(3)]
    with launched(side):
        ends: dict[str, DarkroomError] = {}

        def ask(plan: Plan) -> None:
            try:
                side.client.run(plan.digest, Entry.CHECK, 1)
            except DarkroomError as problem:
                ends[plan.digest] = problem

        threads = [threading.Thread(target=ask, args=(plan,)) for plan in slow]
        for plan, thread in zip(slow, threads, strict=True):
            side.client.put(plan)
            thread.start()
            eventually(
                lambda plan=plan: plan.digest in [box["plan"] for box in side.client.status()["boxes"]]
            )
        eventually(lambda: len(side.boxes) == 2)
        side.client.cancel(slow[2].digest, Entry.CHECK, 1)
        threads[2].join(60)
        assert ends[slow[2].digest].where == "box.cancelled" and len(side.boxes) == 2
        for plan in slow[:2]:
            side.client.cancel(plan.digest, Entry.CHECK, 1)
        for thread in threads:
            thread.join()

"""What a launcher hands over at its open door: the sealed part of a server that ended well, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keys.signing import Draft, SigningKey, sign
from mpc.api import party_plan
from plans.box import Entry
from plans.errors import DarkroomError, Malformed, NotFound
from plans.handover import OPENED
from plans.plan import Plan
from plans.statements import Duty, StageOutput, StageRecord, Type
from sandbox import opening
from sandbox.shelf import Shelf, StageName
from tests.plans.examples import DECISION, LIMITS, PLAN, REQUEST
from tests.plans.joint_examples import joint_plan

SEALED = bytes(range(256)) * 5_000
JOINT = joint_plan(DECISION, REQUEST)
OWN = party_plan(JOINT, JOINT.task.servers[0], {Entry.EXTRACT: LIMITS, Entry.PARTY: LIMITS})


def kept(folder: Path, plan: Plan, stage: Entry, output: str) -> Shelf:
    """A shelf with a plan, of which one stage ended well and left one output."""
    shelf = Shelf(folder)
    shelf.prepare()
    shelf.put(plan)
    name = StageName(plan.digest, stage, 1)
    (shelf.fresh_collection(name) / output).write_bytes(SEALED)
    left = (StageOutput(output, "sha256:" + "2" * 64, len(SEALED)),)
    record = StageRecord(plan.digest, stage, 1, (), left, {})
    signed = sign(Draft(Type.STAGE, plan.domain, Duty.LAUNCHER, record, not_before=1), SigningKey.fresh())
    shelf.keep_result(name, {"ok": {"record": signed.plain(), "timings": {}}})
    return shelf


def answered(shelf: Shelf, **question: Any) -> bytes:
    frames = list(opening.frames_of(shelf, question))
    assert frames[-1] == {"ok": {}}
    assert all(len(frame["sealed"]) <= 2 * opening.BLOCK for frame in frames[:-1])
    return b"".join(bytes.fromhex(frame["sealed"]) for frame in frames[:-1])


def test_a_servers_part_is_handed_over_as_it_lies_there(tmp_path: Path) -> None:
    shelf = kept(tmp_path, OWN, Entry.PARTY, OPENED)
    assert answered(shelf, plan=OWN.digest, attempt=1) == SEALED


@pytest.mark.parametrize(
    ("changes", "error"),
    [({"attempt": 2}, NotFound), ({"plan": "sha256:" + "0" * 64}, NotFound), ({"attempt": "1"}, Malformed)],
)
def test_what_has_not_ended_well_is_not(
    tmp_path: Path, changes: dict[str, Any], error: type[DarkroomError]
) -> None:
    shelf = kept(tmp_path, OWN, Entry.PARTY, OPENED)
    with pytest.raises(error):
        answered(shelf, **({"plan": OWN.digest, "attempt": 1} | changes))


def test_no_other_stage_and_no_other_file_is_handed_over(tmp_path: Path) -> None:
    extract = kept(tmp_path / "a", OWN, Entry.EXTRACT, OPENED)
    with pytest.raises(NotFound):
        answered(extract, plan=OWN.digest, attempt=1, stage=Entry.EXTRACT.value)
    other = kept(tmp_path / "b", OWN, Entry.PARTY, "report.bin")
    with pytest.raises(NotFound, match="leaves nothing"):
        answered(other, plan=OWN.digest, attempt=1)


def test_plans_of_one_owner_have_no_such_part(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.prepare()
    shelf.put(PLAN)
    with pytest.raises(Malformed):
        answered(shelf, plan=PLAN.digest, attempt=1)

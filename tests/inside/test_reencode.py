"""The re-encoding box: what was left becomes values, or a rule that says why not; nothing is passed on as it came."""

from __future__ import annotations

from pathlib import Path

import pytest

from airlock.outputs import values
from airlock.outputs.rules import OutputRule
from inside import leavings, reencode
from keys import sealing
from plans.artifacts import Artifact, Form
from plans.box import Entry
from plans.errors import Malformed, OutputRefused
from tests.inside import output_cases as cases
from tests.plans import examples

TABLE = Artifact("t.csv", Form.TABLE, persons="persons")
METRICS = Artifact("m.json", Form.METRICS)
CSV = b"region,persons\nHohhot,500\n"


def handed(folder: Path, packed: bytes, *artifacts: Artifact, component: bool = False) -> values.Handed:
    task = cases.component_task(*artifacts) if component else cases.python_task(*artifacts)
    plan = cases.plan_of(task, sealing.OpeningKey.fresh())
    box = cases.boxed(folder, plan, Entry.REENCODE, {"output.bin": cases.seal(plan, "output.bin", packed)})
    assert reencode.run(box) == {}, "the report says nothing"
    assert [path.name for path in box.out.iterdir()] == ["artifacts.bin"]
    return values.read(
        cases.opened(plan, "artifacts.bin", (box.out / "artifacts.bin").read_bytes()), task.artifacts
    )


def test_outputs_become_values_and_the_log_stays(tmp_path: Path) -> None:
    files = {"files/t.csv": CSV, "files/m.json": b'{"auc": 0.5}', "log.txt": b"CANARY-7"}
    found = handed(tmp_path, leavings.pack(files), TABLE, METRICS)
    assert [each.name for each in found.values] == ["t.csv", "m.json"] and not found.refused
    assert b"CANARY" not in values.write(found)


@pytest.mark.parametrize(
    ("files", "rule"),
    [
        ({"files/t.csv": CSV}, OutputRule.ABSENT),
        ({"files/t.csv": CSV, "files/m.json": b'{"a": 1}', "files/more.csv": CSV}, OutputRule.UNDECLARED),
        (
            {"files/t.csv": CSV, "files/m.json": b'{"a": 1}', "files/model.pkl": b"\x80\x04."},
            OutputRule.EXECUTABLE,
        ),
        ({"files/t.csv": CSV, "files/m.json": b'{"a": NaN}'}, OutputRule.NO_NUMBER),
        ({"files/t.csv": b"\x80\x04.", "files/m.json": b'{"a": 1}'}, OutputRule.EXECUTABLE),
    ],
)
def test_what_cannot_leave_is_handed_on_as_a_rule_and_nothing_beside_it(
    tmp_path: Path, files: dict[str, bytes], rule: OutputRule
) -> None:
    found = handed(tmp_path, leavings.pack(files), TABLE, METRICS)
    assert rule in {each for each, _ in found.refused}
    assert found.values == () and rule.sentence and rule.help


def test_two_runs_over_the_same_bytes_differ_so_that_nobody_can_guess_what_was_judged(tmp_path: Path) -> None:
    packed = leavings.pack({"files/t.csv": CSV})
    assert handed(tmp_path / "a", packed, TABLE).salt != handed(tmp_path / "b", packed, TABLE).salt


def test_evidence_of_a_members_program_counts_for_nothing(tmp_path: Path) -> None:
    files = {"files/t.csv": CSV, "evidence/t.csv.json": b'{"figures":{},"keys":["region"],"persons":[500]}'}
    assert handed(tmp_path / "a", leavings.pack(files), TABLE).evidence == {}
    assert handed(tmp_path / "b", leavings.pack(files), TABLE, component=True).evidence["t.csv"].persons == (
        500,
    )


@pytest.mark.parametrize("said", [None, b"{}", b'{"figures":{},"keys":[],"persons":[-1]}', b"[1]"])
def test_a_component_without_sound_evidence_hands_nothing_on(tmp_path: Path, said: bytes | None) -> None:
    files = {"files/t.csv": CSV} | ({"evidence/t.csv.json": said} if said else {})
    with pytest.raises(Malformed):
        handed(tmp_path, leavings.pack(files), TABLE, component=True)


@pytest.mark.parametrize("packed", [b"", b"\0\0\0\2[]trailing", b"\xff" * 100])
def test_bytes_that_no_job_box_writes_are_refused(tmp_path: Path, packed: bytes) -> None:
    with pytest.raises(OutputRefused):
        handed(tmp_path, packed, TABLE)


def test_a_plan_of_a_statement_has_no_outputs(tmp_path: Path) -> None:
    plan = examples.PLAN
    box = cases.boxed(
        tmp_path, plan, Entry.REENCODE, {"output.bin": cases.seal(plan, "output.bin", leavings.pack({}))}
    )
    with pytest.raises(Malformed):
        reencode.run(box)

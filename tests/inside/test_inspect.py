"""The inspecting box: it seals what it vouches for; what is held or refused stays; the owner reads every rule."""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inside import inspect
from keys import sealing
from plans import canonical
from plans.artifacts import Artifact, Form
from plans.box import Entry
from plans.checks import Checks
from plans.errors import EvidenceBroken, Malformed, OutputRefused
from plans.inspection import Effect
from plans.key import BoxKeys
from plans.verdict import Finding
from tests.inside import output_cases as cases
from tests.inside.output_cases import inspected

TABLE = Artifact("t.csv", Form.TABLE, persons="persons")
REPORT = Artifact("r.txt", Form.REPORT)
CSV = b"region,mean_income,persons\nHohhot,41233.7182,1237\nAlxa,912345.5,3\n"
FILES = {"files/t.csv": CSV, "log.txt": b""}


def test_what_is_sealed_is_what_the_verdict_vouches_for(tmp_path: Path) -> None:
    left = inspected(tmp_path, FILES, cases.python_task(TABLE))
    assert left.verdict is not None and left.released is not None and left.record is not None
    assert left.verdict.finding is Finding.REPAIRED and sorted(left.files) == ["record.bin", "release.bin"]
    assert left.verdict.content == left.released.digest
    assert left.verdict.sealed == "sha256:" + hashlib.sha256(left.files["release.bin"]).hexdigest()
    assert json.loads(left.content("t.csv"))["rows"] == [["Hohhot", "41200", "1235"]]
    assert left.released.plan == left.verdict.plan == left.record.plan


def test_the_verdict_and_the_notes_say_nothing_about_the_data(tmp_path: Path) -> None:
    """Reasons and notes are the same whether a group was left out or not (ATTACKS 90)."""
    clean = {"files/t.csv": b"region,mean_income,persons\nHohhot,41200,1235\nBaotou,38900,900\n"}
    struck, free = (
        inspected(tmp_path / name, files, cases.python_task(TABLE))
        for name, files in (("a", FILES), ("b", clean))
    )
    assert struck.verdict is not None and free.verdict is not None
    assert (struck.verdict.finding, struck.verdict.reasons) == (free.verdict.finding, free.verdict.reasons)
    assert struck.released is not None and free.released is not None
    assert struck.released.notes == free.released.notes


def test_the_record_holds_every_rule_with_its_numbers_and_only_the_owner_reads_it(tmp_path: Path) -> None:
    left = inspected(tmp_path, FILES, cases.python_task(TABLE))
    assert left.record is not None and left.record.preset == "region"
    small = [each for each in left.record.applied if each.rule == "small-group"]
    assert [(each.effect, each.cells, each.numbers["minimum"]) for each in small if each.cells] == [
        (Effect.WITHHELD, 1, 10)
    ]
    bits = next(each for each in left.record.applied if each.rule == "bit-budget")
    assert bits.numbers["bits"] == 8 * len(left.content("t.csv"))
    assert b"small-group" not in left.files["record.bin"]


def test_a_held_output_is_for_reviewers_and_not_yet_for_its_recipient(tmp_path: Path) -> None:
    files = {"files/r.txt": b"In Hohhot 1,237 persons are insured.\n"}
    left = inspected(tmp_path, files, cases.python_task(REPORT))
    assert left.verdict is not None and left.verdict.finding is Finding.HELD
    assert left.released is None and sorted(left.files) == ["held.bin", "record.bin", "shown.bin"]
    assert left.held is not None and left.shown == left.held.canonical()
    assert canonical.digest_bytes("released-set", left.shown) == left.verdict.content
    (report,) = left.held.artifacts
    said = report.content.encode()
    assert said in left.shown and b"1,237 persons" in b64decode(said), "the control"
    assert not any(each in content for each in (said, b"1,237 persons") for content in left.files.values())


def test_a_refused_output_leaves_the_owners_record_alone(tmp_path: Path) -> None:
    left = inspected(tmp_path, {"files/t.csv": b"region,persons\nAlxa,3\n"}, cases.python_task(TABLE))
    assert left.verdict is not None and left.verdict.finding is Finding.REFUSED
    assert list(left.files) == ["record.bin"] and (left.verdict.content, left.verdict.sealed) == ("", "")


def test_an_owner_who_has_people_look_at_everything_gets_everything(tmp_path: Path) -> None:
    left = inspected(tmp_path, FILES, cases.python_task(TABLE), Checks(automatic=False))
    assert left.verdict is not None
    assert (left.verdict.finding, left.verdict.reasons) == (Finding.HELD, ("by-people",))


def test_rows_that_the_ledger_keeps_back_do_not_leave(tmp_path: Path) -> None:
    files = {"files/t.csv": b"region,persons\nHohhot,500\nBaotou,900\n"}
    left = inspected(tmp_path, files, cases.python_task(TABLE), withheld=[(0,)])
    assert json.loads(left.content("t.csv"))["rows"] == [["Baotou", "900"]]
    wrong = inspected(tmp_path / "wrong", files, cases.python_task(TABLE), withheld=[(0,), (0,)])
    assert wrong.verdict is None, "the ledger names a table that is not there: nothing leaves"


def fallen(folder: Path, data: bytes) -> Any:
    """Run the box on bytes that a fallen re-encoding box wrote."""
    plan = cases.plan_of(cases.python_task(TABLE), sealing.OpeningKey.fresh())
    return inspect.run(
        cases.boxed(folder, plan, Entry.INSPECT, {"artifacts.bin": cases.seal(plan, "artifacts.bin", data)})
    )


def content(*columns: dict[str, Any], **changes: Any) -> bytes:
    whole: dict[str, Any] = {
        "artifacts": [{"name": "t.csv", "form": "table", "content": {"columns": list(columns)}}],
        "evidence": {},
        "refused": [],
        "salt": "c" * 32,
    }
    return canonical.encode({**whole, **changes})


KEY = {"name": "region", "type": "VARCHAR", "values": ["Hohhot"]}
PERSONS = {"name": "persons", "type": "BIGINT", "values": ["500"]}


def test_the_control_sound_bytes_are_judged(tmp_path: Path) -> None:
    assert fallen(tmp_path, content(KEY, PERSONS))["verdict"]["finding"] == "repaired"


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b"",
        content(KEY, PERSONS).replace(b'"salt":"cc', b'"salt":"zz'),
        content(KEY, {**PERSONS, "values": ["0500"]}),
        content(KEY, {**PERSONS, "values": ["5e2"]}),
        content(KEY, {**PERSONS, "values": [500]}),
        content(KEY, {**PERSONS, "type": "HUGEINT"}),
        content(KEY, {**PERSONS, "values": ["500", "600"]}),
        content({**KEY, "values": ["=1+1"]}, PERSONS),
        content({**KEY, "values": ["Hoh\u202ehot"]}, PERSONS),
        content({**KEY, "values": ["x" * 300]}, PERSONS),
        content({**KEY, "name": "a\nb"}, PERSONS),
        content(KEY, KEY, PERSONS),
        content(KEY, {"name": "mean", "type": "DOUBLE", "values": ["1.50"]}, PERSONS),
        content(KEY, {"name": "mean", "type": "DOUBLE", "values": ["nan"]}, PERSONS),
        content(KEY, PERSONS, artifacts=[]),
        content(KEY, PERSONS, more=1),
        content(KEY, PERSONS, refused=[{"rule": "no-such-rule", "subject": ""}]),
        content(KEY, PERSONS, evidence={"t.csv": {"keys": [], "persons": [True], "figures": {}}}),
    ],
)  # fmt: skip
def test_bytes_that_no_first_box_writes_are_refused(tmp_path: Path, data: bytes) -> None:
    """ATTACKS 94: should the box that parses fall, the one that judges reads with the same distrust."""
    with pytest.raises((OutputRefused, Malformed)) as told:
        fallen(tmp_path, data)
    assert "Hohhot" not in str(told.value) and not list((tmp_path / "inspect").iterdir())


def test_outputs_of_another_plan_or_attempt_do_not_open(tmp_path: Path) -> None:
    plan = cases.plan_of(cases.python_task(TABLE), sealing.OpeningKey.fresh())
    box = cases.boxed(
        tmp_path,
        plan,
        Entry.INSPECT,
        {"artifacts.bin": cases.seal(plan, "artifacts.bin", content(KEY, PERSONS))},
    )
    with pytest.raises(EvidenceBroken):
        inspect.run(replace(box, attempt=2))
    with pytest.raises(EvidenceBroken):
        inspect.run(replace(box, keys=BoxKeys({"artifacts.bin": "09" * 32}, cases.KEYS, "")))


def test_a_model_without_rows_to_check_it_by_is_held(tmp_path: Path) -> None:
    model = {"kind": "linear", "family": "gaussian", "features": ["age"], "intercept": 1, "coefficients": [2],
             "persons": 500}  # fmt: skip
    task = cases.python_task(Artifact("m.json", Form.MODEL))
    left = inspected(tmp_path, {"files/m.json": json.dumps(model).encode()}, task)
    assert left.verdict is not None and left.verdict.finding is Finding.HELD
    assert "model" in left.verdict.reasons

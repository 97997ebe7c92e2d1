"""The judge box: what it seals is what it vouches for, and what it reports is no value of the data."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inside import judge, table
from inside.session import Session, handover, padded, unpadded
from keys import sealing
from plans import canonical
from plans.box import Entry
from plans.decision import Decision, Outcome
from plans.errors import EvidenceBroken, Malformed, OutputRefused
from plans.inspection import Inspection
from plans.key import BoxKeys
from plans.plan import Plan
from plans.release import RELEASE_INFO
from plans.released import Released
from plans.verdict import Finding, Verdict
from tests.drawn import without_drawn
from tests.plans import examples

KEY, FOR_OWNER = "aa" * 32, "bb" * 32
SALT = "cd" * 16
EAST, WEST = ["east", 1_234, "52349.123", 1_000, 400], ["west", 777, "48000.5", 700, 3]
RARE = ["CANARY-7", 1, "987654.321", 1, 1]


@pytest.fixture
def recipient() -> sealing.OpeningKey:
    return sealing.OpeningKey.fresh()


def planned(recipient: sealing.OpeningKey, **changes: Any) -> Plan:
    assert examples.PLAN.request is not None
    request = replace(examples.PLAN.request, recipient=recipient.public)
    return replace(examples.PLAN, request=request, **changes)


def bytes_of(*rows: list[Any]) -> bytes:
    content = {"columns": table.columns(examples.CELLS), "rows": list(rows)}
    return canonical.encode({"tables": [content], "salt": SALT})


def session(folder: Path, plan: Plan, judged: bytes) -> Session:
    path = folder / "table.bin"
    path.write_bytes(sealing.encrypt(bytes.fromhex(KEY), padded(judged), handover(plan, 1, "table.bin")))
    out = folder / "out"
    out.mkdir()
    keys = BoxKeys({"table.bin": KEY}, {"record.bin": FOR_OWNER}, "")
    return Session(plan, Entry.JUDGE, 1, {"table.bin": path}, keys, out, folder)


def left(box: Session) -> list[str]:
    return sorted(path.name for path in box.out.iterdir())


def test_what_is_sealed_is_what_the_verdict_vouches_for(
    tmp_path: Path, recipient: sealing.OpeningKey
) -> None:
    plan = planned(recipient)
    judged = bytes_of(EAST, RARE, WEST)
    box = session(tmp_path, plan, judged)
    verdict = Verdict.read(judge.run(box)["verdict"])
    sealed = (box.out / "release.bin").read_bytes()
    released = Released.decode(recipient.open(sealed, RELEASE_INFO, plan.digest.encode()))
    assert verdict == Verdict(
        plan.digest,
        Finding.REPAIRED,
        ("small-group", "rounding", "ledger"),
        canonical.digest_bytes("table", judged),
        released.digest,
        "sha256:" + hashlib.sha256(sealed).hexdigest(),
    )
    assert released.plan == plan.digest
    assert [[cell.v for cell in row] for row in released.rows] == [
        ["east", "1235", "52000"],
        ["west", "775", None],
    ]
    assert released.rows[1][2].suppressed and released.salt != SALT


def test_what_leaves_can_be_read_by_the_recipient_only_and_the_record_by_the_owner_only(
    tmp_path: Path, recipient: sealing.OpeningKey
) -> None:
    box = session(tmp_path, planned(recipient), bytes_of(EAST, RARE))
    report = judge.run(box)
    assert left(box) == ["record.bin", "release.bin"]
    record, sealed = ((box.out / name).read_bytes() for name in left(box))
    told = without_drawn(str(report))
    # In sealed bytes none is so short that they could spell it
    for canary in ("CANARY-7", "987654", '"52000"', '"east"', "small-group"):
        assert canary.encode() not in record + sealed
        assert canary == "small-group" or canary.strip('"') not in told
    assert "small-group" in told, "rule classes are for whoever asked; numbers are not"
    opened = sealing.decrypt(bytes.fromhex(FOR_OWNER), record, handover(box.plan, 1, "record.bin"))
    assert Inspection.decode(unpadded(opened)).finding is Finding.REPAIRED
    with pytest.raises(EvidenceBroken):
        sealing.OpeningKey.fresh().open(sealed, RELEASE_INFO, box.plan.digest.encode())
    with pytest.raises(EvidenceBroken):
        recipient.open(sealed, RELEASE_INFO, examples.digest("9").encode())


def test_what_is_left_out_is_not_even_in_the_sealed_bytes(
    tmp_path: Path, recipient: sealing.OpeningKey
) -> None:
    box = session(tmp_path, planned(recipient), bytes_of(EAST, RARE))
    judge.run(box)
    plain = recipient.open((box.out / "release.bin").read_bytes(), RELEASE_INFO, box.plan.digest.encode())
    table = without_drawn(plain.decode())
    assert '"east"' in table and '"52000"' in table and "1235" in table
    for canary in ("CANARY-7", "987654", "1234", "52349", "1000", "400"):
        assert canary not in table
    assert SALT.encode() not in plain


@pytest.mark.parametrize("rows", [[], [RARE], [["", 0, None, 0, 0]]])
def test_a_refused_output_leaves_the_record_alone_and_the_same_words(
    tmp_path: Path, recipient: sealing.OpeningKey, rows: list[list[Any]]
) -> None:
    box = session(tmp_path, planned(recipient), bytes_of(*rows))
    verdict = Verdict.read(judge.run(box)["verdict"])
    assert (verdict.finding, verdict.reasons) == (Finding.REFUSED, ("small-group",))
    assert (verdict.content, verdict.sealed) == ("", "")
    assert left(box) == ["record.bin"]


def test_the_same_table_twice_gives_commitments_that_nobody_can_match(
    tmp_path: Path, recipient: sealing.OpeningKey
) -> None:
    contents = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        contents.add(
            judge.run(session(tmp_path / name, planned(recipient), bytes_of(EAST)))["verdict"]["content"]
        )
    assert len(contents) == 2


def test_a_plan_without_obligations_lets_nothing_leave(tmp_path: Path, recipient: sealing.OpeningKey) -> None:
    denied = Decision(Outcome.DENY, (examples.REASON,), 3, 1, (), (), None)
    box = session(tmp_path, planned(recipient, decision=denied), bytes_of(EAST))
    with pytest.raises(Malformed):
        judge.run(box)
    assert left(box) == []


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        bytes_of(EAST).replace(SALT.encode(), b"no salt"),
        canonical.encode({"tables": [{"columns": table.columns(examples.CELLS), "rows": []}]}),
        bytes_of(EAST[:4]),
    ],
)
def test_a_table_that_no_parse_box_writes_is_refused(
    tmp_path: Path, recipient: sealing.OpeningKey, data: bytes
) -> None:
    """ATTACKS 94: should the parse box fall, the judge reads with the same distrust."""
    box = session(tmp_path, planned(recipient), data)
    with pytest.raises((OutputRefused, Malformed)):
        judge.run(box)
    assert left(box) == []


def test_a_table_of_another_plan_or_attempt_does_not_open(
    tmp_path: Path, recipient: sealing.OpeningKey
) -> None:
    box = session(tmp_path, planned(recipient), bytes_of(EAST))
    with pytest.raises(EvidenceBroken):
        judge.run(replace(box, attempt=2))
    with pytest.raises(EvidenceBroken):
        judge.run(replace(box, plan=planned(recipient, made_at=1)))

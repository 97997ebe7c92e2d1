"""Boxes that score an owner's rows by small trees of another: from the statement on encrypted files to the table."""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest

from darkroom.joint_judged import judged
from keys import sealing
from mpc.encrypted import crypto_box
from mpc.protocols import planning
from plans.joint import JointPlan
from plans.joint_rules import Opening
from plans.manifest import Declared
from policies.reading.joint import read_joint
from tests.inside import party_persons as persons
from tests.inside.joint_cases import Files, Table
from tests.inside.party_forms import CANARY, TAX
from tests.inside.party_persons import APPLICANTS, BANK
from tests.inside.test_party_boxes import judged as judged_of_boxes
from tests.inside.test_party_forms import go, texts
from tests.policies.joint_cases import between, joint_shadow
from tests.sandbox.conftest import open_home

__all__ = ["open_home"]

AGE, INCOME, BASE, OLD, RICH, YOUNG = 40, Decimal("50000.5"), "-1.25", "3.141", "-20.009", "7.5"
LEAF = ("DECIMAL(9,3)", between("-99", "99"))
COLUMNS = {
    "base": ("DECIMAL(9,2)", between("-9.9", "9.9")),
    "age": ("INTEGER", Declared(values=("25", "40", "60"))),
    "income": ("DECIMAL(9,1)", Declared(values=("9999.9", "50000.5"))),
    "old": LEAF, "rich": LEAF, "young": LEAF,
}  # fmt: skip
SHADOWS = (
    joint_shadow(
        "bank.applicants", BANK, 50,
        income=("DECIMAL(12,2)", between("0", "100000")), age=("INTEGER", between("0", "150")),
    ),
    joint_shadow("tax.trees", TAX, 1, "", **COLUMNS),
)  # fmt: skip
STATEMENT = (
    "select a.person, round(m.base + case when a.age >= m.age then m.old else case when a.income >= m.income"
    " then m.rich else m.young end end, 2) as score from bank.applicants a cross join tax.trees m where a.age >= 30"
)


def model(age: int = AGE) -> Table:
    row = (None, Decimal(BASE), age, INCOME, Decimal(OLD), Decimal(RICH), Decimal(YOUNG))
    return Table("tax.trees", {name: kind for name, (kind, _) in COLUMNS.items()}, [row], key="")


def asked(
    folder: Path, own: Table, key: sealing.OpeningKey = persons.KEY
) -> tuple[JointPlan, dict[str, Files]]:
    """The statement's plan, and every owner's files."""
    files = persons.score_files(folder, own)
    read = read_joint(STATEMENT, SHADOWS)
    joint = persons.told(read, Opening.SCORES, files, key, read.portions[0].bound)
    return replace(joint, shadows=SHADOWS), files


def in_clear() -> list[tuple[str, str]]:
    step = Decimal("0.01")
    return sorted(
        (key, str((Decimal(BASE) + Decimal(_leaf(income, age))).quantize(step, ROUND_HALF_UP)))
        for key, income, age in APPLICANTS
        if age >= 30
    )


def _leaf(income: Decimal, age: int) -> str:
    return OLD if age >= AGE else RICH if income >= INCOME else YOUNG


@pytest.fixture
def in_a_box(monkeypatch: pytest.MonkeyPatch) -> None:
    """All boxes are threads of this process, which says that it is one."""
    monkeypatch.setattr(crypto_box, "_entered", [crypto_box.CryptoBox("a test")])
    monkeypatch.setattr(crypto_box, "enter", lambda _job: None)


def test_every_row_has_the_score_that_the_statement_means(tmp_path: Path, in_a_box: None) -> None:
    joint, files = asked(tmp_path / "files", model())
    done = go(joint, tmp_path / "went", files, persons.KEY)
    assert texts(done.judged()) == in_clear()
    assert len({score for _, score in in_clear()}) == 3, "every leaf is somebody's"
    assert judged(done.joint, done.judged()), "the recipient's client takes it"
    assert done.left() == {BANK}
    carried = b"".join(bytes(content) for content in done.wire.values())
    assert CANARY.encode() not in carried and len(carried) > 10_000


def test_a_threshold_that_its_owner_did_not_declare_ends_its_box_before_anything_is_sent(
    tmp_path: Path, in_a_box: None
) -> None:
    joint, files = asked(tmp_path / "files", model(41))
    done = go(joint, tmp_path / "went", files, persons.KEY)
    assert done.left() == set()
    assert "extract.codes" in f"{done.failed}"


def test_the_plan_says_how_many_scores_tell_the_model_and_what_is_encrypted(tmp_path: Path) -> None:
    joint, _ = asked(tmp_path, model())
    assert planning.unknowns(joint.reading) == 3 and planning.encrypted_columns(joint.reading) == 5
    assert any("1 trees of up to two levels" in reason for reason in joint.scheme.reasons)


@pytest.mark.box
@pytest.mark.timeout(600)
def test_rows_are_scored_by_trees_in_real_boxes(tmp_path: Path, open_home: Path) -> None:
    key = sealing.OpeningKey.fresh()
    joint, files = asked(tmp_path, model(), key)
    table, carried = judged_of_boxes(joint, files, key, open_home)
    assert texts(table) == in_clear()
    assert CANARY.encode() in table.canonical() and CANARY.encode() not in carried

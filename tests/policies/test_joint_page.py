"""The page of joint statements shows statements that are read, and names every shape and term."""

from __future__ import annotations

import re
from pathlib import Path

from inside.check_joint import check_joint
from plans.joint import Shape
from plans.joint_rules import JointRules, Matching, Opening
from plans.manifest import Declared
from tests.policies.joint_cases import LOOKED_UP, REGIONS, SCORED, between, joint_shadow

PAGE = (Path(__file__).parents[2] / "docs" / "joint-sql.md").read_text("utf-8")
MONEY = ("DECIMAL(12,2)", between("0", "9000"))
REGION = ("VARCHAR", Declared(values=REGIONS))
YEAR = ("INTEGER", between("2000", "2100"))
SHADOWS = (
    joint_shadow("health.visits", "nm/health", region=REGION, icd=("VARCHAR", None)),
    joint_shadow("tax.income", "nm/tax", income=MONEY),
    joint_shadow("east.income", "nm/east", region=REGION, income=MONEY),
    joint_shadow("west.pay", "nm/west", area=REGION, wage=MONEY, year=YEAR),
    joint_shadow("residents.register", "nm/residents", district=("VARCHAR", None)),
    joint_shadow("pension.members", "nm/pension"),
    joint_shadow(
        "tax.risk_trees",
        "nm/tax",
        1,
        key="",
        t0=("INTEGER", Declared(values=("18", "30"))),
        t1=("DECIMAL(9,1)", Declared(values=("999.5", "5000"))),
        **dict.fromkeys(("base", "v1", "v01", "v00"), ("DECIMAL(6,2)", between("-9", "9"))),
    ),  # fmt: skip
    *SCORED,
    *LOOKED_UP,
)


def test_every_statement_on_the_page_is_read_by_both_readers_and_shows_a_shape_or_score_of_its_own() -> None:
    blocks = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    found = [check_joint(statement, SHADOWS, 256) for statement in blocks]
    assert sorted(each.shape for each in found) == sorted([*Shape, Shape.SCORED])
    assert sorted(bool(each.score.trees) for each in found if each.score) == [False, True]


def test_the_page_names_every_shape_and_what_terms_are_asked() -> None:
    named = set(re.findall(r"[`*]([a-z]+)[`*]", PAGE))
    assert {shape.value for shape in Shape} <= named
    assert {Opening.INSPECTED.value, Opening.OBLIVIOUS.value, Matching.NONE.value} <= named
    fields = set(JointRules.__dataclass_fields__)
    assert {Opening.SCORES.value, Opening.RECORDS.value} <= set(re.findall("[a-z]+", PAGE))
    assert {"sizes", "exact", "ciphertexts", "members", "given_away"} <= fields & set(
        re.findall(r"`([a-z_]+)`", PAGE)
    )

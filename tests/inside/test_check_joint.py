"""The two readers agree about every joint statement of the subset, and a portion that says something else is caught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from inside import check, check_joint
from inside.session import Session
from plans import canonical, errors
from plans.box import BoxSpec, Entry
from plans.decision import Tier
from plans.errors import Malformed, SqlSyntax, SqlUnsupported
from plans.joint import Grouping, JointReading, Shape
from plans.key import BoxKeys
from plans.plan import Plan
from policies.reading import read_joint
from sandbox import api as sandbox
from tests.inside.sql_cases import LIMITS
from tests.policies.joint_cases import FROM, PARTS, REGIONS, SHADOWS, TABLE
from tests.policies.test_joint_reading import STATEMENTS

STATEMENT = (
    f"select h.region, avg(t.income) as mean, count(*) as n {FROM} "
    "where h.icd like 'E11%' and t.tax > 3 group by h.region"
)

PARTED = (
    f"select t.region, avg(income) as mean, count(*) as n {TABLE} where days < 9 and formal group by region"
)
COMMON = f"select person {FROM} where t.tax > 3"


def session(plan: Plan) -> Session:
    return Session(plan, Entry.CHECK, 1, {}, BoxKeys({}, {}, ""))


@pytest.mark.parametrize("statement", [STATEMENT, PARTED, COMMON])
def test_the_checker_box_reads_joint_statements_to_the_same_bytes_each_time(statement: str) -> None:
    shadows = (*SHADOWS, *PARTS)
    plan = sandbox.check_joint_plan("nm/tax", "sha256:" + "d" * 64, LIMITS, statement, shadows)
    turned = sandbox.check_joint_plan("nm/tax", "sha256:" + "d" * 64, LIMITS, statement, shadows[::-1])
    assert plan == turned
    assert plan.stages == (
        BoxSpec(Entry.CHECK, "sha256:" + "d" * 64, (), LIMITS, Tier.T1, outputs=plan.stages[0].outputs),
    )
    first, second = (canonical.encode(check.run(session(plan))) for _ in range(2))
    assert first == second
    report = canonical.decode(first)
    assert isinstance(report, dict)
    assert JointReading.read(report["reading"]) == read_joint(statement, shadows)


def test_the_checker_box_says_why_it_refuses() -> None:
    plan = sandbox.check_joint_plan("nm/tax", "sha256:" + "d" * 64, LIMITS, STATEMENT + " limit 3", SHADOWS)
    refused = errors.from_problem(check.run(session(plan))["refused"])
    assert isinstance(refused, SqlUnsupported)
    assert refused.what == "LIMIT is not in the subset of joint statements"


@settings(max_examples=60, deadline=None)
@given(STATEMENTS)
def test_both_readers_agree_about_whatever_the_guard_reads(
    asked: tuple[list[str], list[str], list[str]],
) -> None:
    figures, conditions, keys = asked
    listed = ", ".join([*keys, *(f"{figure} as f{n}" for n, figure in enumerate(figures))])
    where = f" where {' and '.join(conditions)}" if conditions else ""
    statement = f"select {listed} {FROM}{where}" + (f" group by {', '.join(keys)}" if keys else "")
    assert check_joint.check_joint(statement, SHADOWS, 256) == read_joint(statement, SHADOWS)


def _portion(place: int, **changes: Any) -> Callable[[JointReading], JointReading]:
    def change(reading: JointReading) -> JointReading:
        portions = list(reading.portions)
        portions[place] = replace(portions[place], **changes)
        return replace(reading, portions=tuple(portions))

    return change


def _operand(**changes: Any) -> Callable[[JointReading], JointReading]:
    def change(reading: JointReading) -> JointReading:
        operands = tuple(replace(operand, **changes) for operand in reading.portions[1].operands)
        return _portion(1, operands=operands)(reading)

    return change


WRONG: list[tuple[Callable[[JointReading], JointReading], str]] = [
    (_portion(0, where=""), "conditions"),
    (_portion(0, where="(\"icd\" LIKE 'E1%')"), "conditions"),
    (_portion(1, where='("tax" > 3) OR true'), "conditions"),
    (_portion(0, where="(\"icd\" LIKE 'E11%') AND \"urgent\""), "conditions"),
    (lambda reading: replace(reading, portions=reading.portions[::-1], sums=reading.sums[-1:], figures=(
        replace(reading.figures[1], sums=(0,), persons=0),), outputs=("region", "n")), "relations"),
    (_operand(expression='"income" + 0.001'), "decimals"),
    (_operand(decimals=1), "decimals"),
    (_operand(expression='"band" + 0.00'), "columns"),
    (_portion(0, stand_in='SELECT count(*) FROM "health"."visits" WHERE "urgent"'), "columns"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "what"), WRONG)
def test_a_guard_that_errs_is_caught_by_the_binder(
    change: Callable[[JointReading], JointReading], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_joint.check_joint(STATEMENT, SHADOWS, 256)
    monkeypatch.setattr(check_joint, "read_joint", lambda text, shadows: change(read_joint(text, shadows)))
    with pytest.raises(SqlUnsupported, match=f"disagree about the {what}"):
        check_joint.check_joint(STATEMENT, SHADOWS, 256)


def _everywhere(**changes: Any) -> Callable[[JointReading], JointReading]:
    def change(reading: JointReading) -> JointReading:
        operands = [[replace(each, **changes) for each in portion.operands] for portion in reading.portions]
        pairs = zip(reading.portions, operands, strict=True)
        return replace(reading, portions=tuple(replace(one, operands=tuple(own)) for one, own in pairs))

    return change


WRONG_PARTS: list[tuple[Callable[[JointReading], JointReading], str]] = [
    (_portion(0, where='("days" < 9) AND "formal"'), "conditions"),
    (_portion(1, where='("days" < 9)'), "conditions"),
    (_portion(1, where='("days" < 9) AND "formal" AND ("year" = 2025)'), "conditions"),
    (lambda reading: replace(reading, portions=reading.portions[::-1]), "relations"),
    (_portion(1, groups=(Grouping("region", "band", REGIONS),)), "groups"),
    (_portion(1, stand_in='SELECT avg("hidden") FROM "west"."pay" WHERE "formal" AND "days" < 9'), "columns"),
    (_everywhere(decimals=1), "decimals"),
    (_operand(expression='"hidden"'), "columns"),
    (lambda found: replace(found, portions=(*found.portions, replace(found.portions[0], domain="nm/x"))), "parts"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "what"), WRONG_PARTS)
def test_a_guard_that_errs_about_a_part_of_a_table_is_caught(
    change: Callable[[JointReading], JointReading], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_joint.check_joint(PARTED, PARTS, 256)
    monkeypatch.setattr(check_joint, "read_joint", lambda text, shadows: change(read_joint(text, shadows)))
    with pytest.raises(SqlUnsupported, match=f"disagree about the {what}"):
        check_joint.check_joint(PARTED, PARTS, 256)


def _shape(shape: Shape) -> Callable[[JointReading], JointReading]:
    def change(reading: JointReading) -> JointReading:
        portions = tuple(replace(portion, groups=(), operands=()) for portion in reading.portions)
        return JointReading(reading.statement, portions, (), (), reading.outputs[:1], shape)

    return change


@pytest.mark.parametrize(
    ("statement", "change", "what"),
    [
        (COMMON, _portion(1, where=""), "conditions"),
        (COMMON, _portion(0, where='"urgent"'), "conditions"),
        (COMMON, _portion(1, stand_in='SELECT count(*) FROM "tax"."income"'), "columns"),
        (COMMON.replace("person", "h.icd", 1), _shape(Shape.COMMON), "output"),
        (COMMON.replace("person", "person, h.icd", 1), _shape(Shape.COMMON), "output"),
    ],
)
def test_a_guard_that_errs_about_persons_in_common_is_caught(
    statement: str, change: Callable[[JointReading], JointReading], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_joint.check_joint(COMMON, SHADOWS, 256)
    read = read_joint(COMMON, SHADOWS)
    monkeypatch.setattr(check_joint, "read_joint", lambda text, shadows: change(read))
    with pytest.raises(SqlUnsupported, match=f"disagree about the {what}"):
        check_joint.check_joint(statement, SHADOWS, 256)


def test_what_the_engine_does_not_bind_is_refused() -> None:
    statement = f"select count(*) as n {FROM} where date_trunc('year', h.icd) = '2020'"
    assert read_joint(statement, SHADOWS)
    with pytest.raises(SqlSyntax, match="the engine cannot bind"):
        check_joint.check_joint(statement, SHADOWS, 256)


def test_material_that_is_neither_form_is_refused() -> None:
    plan = sandbox.check_joint_plan("nm/tax", "sha256:" + "d" * 64, LIMITS, STATEMENT, SHADOWS)
    material = canonical.encode({"joint": STATEMENT, "statement": STATEMENT, "shadows": []}).decode()
    with pytest.raises(Malformed):
        check.run(session(replace(plan, material=material)))

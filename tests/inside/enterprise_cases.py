"""Statements over relations whose owners ask for a number of enterprises behind every figure, through all boxes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from inside import judge
from inside.session import Session
from plans.checks import Checks
from plans.decision import Obligations, Tier
from plans.key import BoxKeys
from plans.plan import Program
from plans.reading import Reading, Shadow
from policies import api as policies
from tests.inside.sql_cases import INCOME, VISIT, Job, read
from tests.inside.whole_way import Way, Went, relation
from tests.plans.examples import NO_DOMINANCE

SHADOWS = (replace(INCOME, enterprise="age"), replace(VISIT, enterprise="kind"))
"""In `tax.income` a number stands for the employer, in `med.visit` a name that may be missing."""


def rules(enterprises: int, checks: Checks = NO_DOMINANCE, least: int = 3) -> Obligations:
    """Obligations with a number of enterprises and no rounding of counts."""
    return Obligations(least, 1, 100_000, Tier.T1, replace(checks, enterprises=enterprises))


def program(job: Job, reading: Reading, shadows: tuple[Shadow, ...] = SHADOWS) -> Program:
    """The program of a reading, with the columns that are used and those that are counted."""
    counted = {shadow.relation: {shadow.enterprise or "person"} for shadow in shadows}
    relations = []
    for name in reading.relations:
        used = {use.column for use in reading.uses if use.relation == name} | counted.get(name, set())
        relations.append(relation(job, name, *(used - {"person"})))
    return Program(
        tuple(relations), reading.level, reading.tables, reading.finish, reading.outputs, reading.order,
        reading.limit,
    )  # fmt: skip


def judged(way: Way) -> dict[str, Any]:
    """The verdict of a judge box that has the keys for an answer that is held."""
    *before, last = way.program.stages
    for entry in before:
        way.stage(entry)
    (name,) = (item.name for item in way.plan.stage(last).inputs)
    out = way.folder / last
    out.mkdir()
    writes = dict.fromkeys((policies.RECORD, policies.HELD, policies.SHOWN), "7c" * 32)
    keys = BoxKeys({name: way.keys[name]}, writes, "")
    session = Session(way.plan, last, 1, {name: way.folder / before[-1] / name}, keys, out, out, out)
    found: dict[str, Any] = judge.run(session)["verdict"]
    return found


def went(
    folder: Path,
    rows: dict[str, list[tuple[Any, ...]]],
    statement: str,
    obligations: Obligations,
    shadows: tuple[Shadow, ...] = SHADOWS,
) -> Went:
    """What came of a statement."""
    folder.mkdir(exist_ok=True)
    job = Job(folder, rows)
    return Way(job, program(job, read(statement, *shadows), shadows), obligations).go()

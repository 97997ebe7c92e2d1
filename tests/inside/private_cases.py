"""Private answers in this process: a lineage with declared columns, its statements read by both readers, and its boxes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from plans.box import Input
from plans.checks import Mode, Privacy
from plans.decision import Obligations, Tier
from plans.manifest import Column, DataFile, Declared, FileRole, Grade, Kind, Manifest
from plans.plan import Program, Relation
from plans.reading import Reading
from policies.private import Asked, private_reasons, privately
from tests.inside.sql_cases import Job, read
from tests.inside.whole_way import Went, Way, relation
from tests.plans import examples

PRIVACY = Privacy(rho_micro=1_000_000, period_days=30, delta_exponent=9, most_groups=2, most_rows=3)
REGIONS = ("east", "north", "south", "west")

DECLARED = {
    "region": Declared(values=REGIONS),
    "age": Declared("0", "120"),
    "income": Declared("0", "100000"),
    "paid": Declared("-50", "1000.5"),
    "urban": Declared(values=("true", "false")),
}
TYPES = {"region": "VARCHAR", "age": "INTEGER", "income": "DOUBLE", "paid": "DECIMAL(12,2)", "urban": "BOOLEAN"}


def manifest(persons: int = 1_000, dataset: str = "nm/tax/income", **declared: Declared) -> Manifest:
    """The manifest of a version whose columns are declared."""
    known = {**DECLARED, **declared}
    return Manifest(
        dataset=dataset,
        version=1,
        grade=Grade.GENERAL_2,
        title="income",
        person="id",
        columns=tuple(
            Column(name, kind, "", Kind.QUASI, 0, known.get(name, Declared())) for name, kind in TYPES.items()
        ),
        files=(DataFile(FileRole.ATTRIBUTES, "file", examples.digest("a"), 1),),
        rows=persons,
        persons=persons,
        source_sha256=examples.digest("c"),
        created=0,
    )


def obligations(privacy: Privacy = PRIVACY, **changes: Any) -> Obligations:
    """The obligations of such a lineage; its minimum group and rounding mean nothing in this mode."""
    own = Obligations(10, 5, 5_000, Tier.T1, mode=Mode.PRIVATE, privacy=privacy)
    return replace(own, **changes)


def asked(statement: str, spend_micro: int = 0, **changes: Any) -> Asked:
    """What is asked by a statement, as both readers find it."""
    own = Asked(read(statement), spend_micro, (manifest(),), frozenset())
    return replace(own, **changes)


def program(job: Job, question: Asked, privacy: Privacy = PRIVACY) -> Program:
    """The program of a question over a job's files."""
    reading: Reading = question.reading
    assert not private_reasons(question, obligations(privacy, largest_result=60_000))
    own = Program(
        tuple(_relation(job, reading, name) for name in reading.relations),
        reading.level,
        reading.tables,
        reading.finish,
        reading.outputs,
        reading.order,
        reading.limit,
    )
    return replace(own, private=privately(own, question, privacy))


def _relation(job: Job, reading: Reading, name: str) -> Relation:
    used = {use.column for use in reading.uses if use.relation == name} - {"person"}
    return relation(job, name, *used)


def go(folder: Path, rows: Iterable[tuple[Any, ...]], statement: str, **changes: Any) -> Went:
    """Run a statement over rows of `tax.income` through all boxes."""
    job = Job(folder, {"tax.income": list(rows)})
    privacy = changes.pop("privacy", PRIVACY)
    made = program(job, asked(statement, **changes), privacy)
    return Way(job, made, obligations(privacy)).go()


def row(person: int, region: str = "north", income: float | None = 1000.0, **others: Any) -> tuple[Any, ...]:
    """A row of `tax.income`."""
    known = {"age": 40, "paid": 10, "born": "1980-01-01", "urban": True, **others}
    return (person, region, known["age"], income, known["paid"], known["born"], known["urban"])


__all__ = ["Input", "asked", "go", "manifest", "obligations", "program", "row"]

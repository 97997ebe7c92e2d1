"""Private answers in this process: a lineage with declared columns, its statements, and its boxes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb

from airlock.private import keys_of
from inside import private, query
from inside.engine import Connection
from plans.checks import Mode, Privacy
from plans.decision import Obligations, Tier
from plans.manifest import Column, DataFile, Declared, FileRole, Grade, Kind, Manifest
from plans.plan import Program, Relation
from plans.reading import Reading
from policies.private import Asked, private_reasons, privately
from tests.inside.sql_cases import INCOME, VISIT, Job, create, read
from tests.inside.whole_way import Way, Went, relation
from tests.plans import examples

SECRET = "7e" * 32
PRIVACY = Privacy(rho_micro=1_000_000, period_days=30, delta_exponent=9, most_groups=2, most_rows=3)
REGIONS = ("east", "north", "south", "west")

DECLARED = {
    "region": Declared(values=REGIONS),
    "age": Declared("0", "120"),
    "income": Declared("0", "100000"),
    "paid": Declared("-50", "1000.5"),
    "urban": Declared(values=("true", "false")),
}
TYPES = {
    "region": "VARCHAR",
    "age": "INTEGER",
    "income": "DOUBLE",
    "paid": "DECIMAL(12,2)",
    "urban": "BOOLEAN",
}


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


def program(job: Job | None, question: Asked, privacy: Privacy = PRIVACY) -> Program:
    """The program of a question over a job's files, or over none."""
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


def _relation(job: Job | None, reading: Reading, name: str) -> Relation:
    used = {use.column for use in reading.uses if use.relation == name} - {"person"}
    if job is None:
        return Relation(name, examples.digest("b"), examples.digest("c"), tuple(sorted(used)), "")
    return relation(job, name, *used)


def go(folder: Path, rows: Iterable[tuple[Any, ...]], statement: str, **changes: Any) -> Went:
    """Run a statement over rows of `tax.income` through all boxes."""
    job = Job(folder, {"tax.income": list(rows)})
    privacy = changes.pop("privacy", PRIVACY)
    made = program(job, asked(statement, **changes), privacy)
    return Way(job, made, obligations(privacy)).go()


def sums(connection: Connection, made: Program) -> dict[tuple[Any, ...], tuple[int, ...]]:
    """The bounded sums of a program, by the keys of the cell, over the relations of a connection."""
    keys = len(keys_of(made))
    found = connection.execute(private.statement(made, SECRET)).fetchall()
    cells = {each[:keys]: tuple(int(number) for number in each[keys:]) for each in found}
    assert len(cells) == len(found)
    return cells


def filled(incomes: Iterable[tuple[Any, ...]] | str, visits: Iterable[tuple[Any, ...]] = ()) -> Connection:
    """A connection that has `tax.income` and `med.visit` with these rows; many are given as a SELECT."""
    connection = duckdb.connect(":memory:")
    connection.execute(query.NO_INFINITIES)
    connection.execute(query.NO_SHARING)
    create(connection, INCOME, [] if isinstance(incomes, str) else list(incomes))
    if isinstance(incomes, str):
        connection.execute(f"INSERT INTO tax.income BY NAME {incomes}")
    create(connection, VISIT, list(visits))
    return connection


def row(person: int, region: str = "north", income: float | None = 1000.0, **others: Any) -> tuple[Any, ...]:
    """A row of `tax.income`."""
    known = {"age": 40, "paid": 10, "born": "1980-01-01", "urban": True, **others}
    return (person, region, known["age"], income, known["paid"], known["born"], known["urban"])


def many(count: int, **others: str) -> str:
    """Rows of `tax.income` as a SELECT of the numbers n; what is not said is the same in all."""
    known = {
        "person": "n", "region": "'north'", "age": "40", "income": "1000", "paid": "10", "born": "'1980-01-01'",
        "urban": "true", **others,
    }  # fmt: skip
    return f"SELECT {', '.join(f'{value} AS {name}' for name, value in known.items())} FROM range({count}) AS r(n)"


def visit(person: int, region: str = "north", cost: float = 1.0) -> tuple[Any, ...]:
    """A row of `med.visit`."""
    return (person, region, cost, "2024-01-01 00:00:00", "E11")

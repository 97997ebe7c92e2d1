"""What `benchmarks/joint.py` computes on: two owners' encrypted files, the joint plan over them, and the same rows in
clear for the peer.
"""

from __future__ import annotations

import json
import secrets
import sys
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from inside import engine  # noqa: E402
from keys import sealing  # noqa: E402
from mpc.api import party_plan  # noqa: E402
from plans.box import Entry, Limits  # noqa: E402
from plans.joint import (  # noqa: E402
    Grouping,
    JointFigure,
    JointPlan,
    JointReading,
    Measure,
    Operand,
    Portion,
    Scheme,
    Sum,
)
from plans.joint_rules import Matching  # noqa: E402
from tests.inside import joint_cases  # noqa: E402

LIMITS = Limits(
    memory_mb=8192, temp_mb=64, spill_mb=1024, output_mb=64, cpu_s=3600, wall_s=3600, processes=64, files=64, cpus=2
)  # fmt: skip
HIGHEST = 200_000
SMALLEST_GROUP = 10


@dataclass(frozen=True)
class Size:
    """How many rows each owner has, how many persons stand in both, and how many groups there are."""

    grouped: int
    valued: int
    common: int
    groups: int = 50


@dataclass
class Written:
    """An owner's two encrypted files and their keys, as `tests.inside.joint_cases.Files` has them."""

    folder: Path
    relation: str
    columns: tuple[str, ...]
    keys: dict[str, str]

    @property
    def paths(self) -> dict[str, Path]:
        """Where they lie, by name."""
        return {name: self.folder / name for name in self.keys}


@dataclass
class World:
    """Files, plan and peer's database of one size. It makes the keys of boxes itself."""

    folder: Path
    size: Size
    joint: JointPlan
    files: dict[str, Written]
    recipient: sealing.OpeningKey

    def save(self) -> None:
        """Write down what the processes of boxes read."""
        both = {Entry.EXTRACT: LIMITS, Entry.PARTY: LIMITS}
        boxes = {party.domain: secrets.token_hex(32) for party in self.joint.parties}
        plans = {
            party.domain: party_plan(self.joint, party.domain, both).plain()  # type: ignore[arg-type]
            for party in self.joint.parties
        }
        told = {
            "boxes": boxes,
            "plans": plans,
            "keys": {domain: files.keys for domain, files in self.files.items()},
            "paths": {
                domain: {name: str(path) for name, path in files.paths.items()}
                for domain, files in self.files.items()
            },
        }
        (self.folder / "world.json").write_text(json.dumps(told))


NUMBER = "'1501022' || lpad(({} * 7919 % 10000019)::VARCHAR, 11, '0')"
"""An identifier of 18 digits for each whole number below ten million."""


def make(folder: Path, size: Size, ring_bits: int = 64, matching: Matching = Matching.HELPER) -> World:
    """Write the files of one size: persons `0 …` of the one owner, and `grouped − common …` of the other."""
    start = size.grouped - size.common
    tables = {
        "visits": f"SELECT {NUMBER.format('range')} AS id,"
        f" 'g' || (random() * {size.groups})::INTEGER % {size.groups} AS region FROM range({size.grouped})",
        "income": f"SELECT {NUMBER.format('range')} AS id, (random() * {HIGHEST})::BIGINT AS income"
        f" FROM range({start}, {start + size.valued})",
    }
    codes = tuple(f"g{place}" for place in range(size.groups))
    portions = (
        _portion("nm/health", "health.visits", (Grouping("region", "region", codes),), (), size.grouped),
        _portion("nm/tax", "tax.income", (), (Operand('"income"', 0, HIGHEST, 0, False),), size.valued),
    )
    sums = (Sum(Measure.ROWS, ()), Sum(Measure.PRESENT, ((1, 0),)), Sum(Measure.TOTAL, ((1, 0),)))
    figures = (
        JointFigure("total", "sum", (2,), 1),
        JointFigure("mean", "avg", (2, 1), 1),
        JointFigure("n", "count", (0,), 0),
    )
    scheme = Scheme(ring_bits, min(size.grouped, size.valued), SMALLEST_GROUP, 90)
    reading = joint_cases.reading(portions, sums, figures)
    return _world(folder, size, tables, (reading, scheme, matching))


def make_study(folder: Path, size: Size) -> World:
    """Write the files of *Students and Taxes*: taxes of a year by person, and students with the year in which they
    enrolled, their field, and whether they graduated in time; the statement asks what they earned meanwhile.
    """
    tables = {
        "income": f"SELECT {NUMBER.format('range')} AS id, (random() * {HIGHEST})::BIGINT AS income,"
        f" (random() * 12)::BIGINT AS months FROM range({size.valued})",
        "students": f"SELECT {NUMBER.format('range * 7')} AS id, 'y' || (2003 + range % 10) AS enrolled,"
        f" CASE WHEN random() < 0.3 THEN 'it' ELSE 'other' END AS field, (random() < 0.4)::VARCHAR AS in_time"
        f" FROM range({size.grouped})",
    }
    years = tuple(f"y{year}" for year in range(2003, 2013))
    groups = (
        Grouping("enrolled", "enrolled", years),
        Grouping("field", "field", ("it", "other")),
        Grouping("in_time", "in_time", ("false", "true")),
    )
    operands = (Operand('"income"', 0, HIGHEST, 0, False), Operand('"months"', 0, 12, 0, False))
    portions = (
        _portion("nm/health", "education.students", groups, (), size.grouped),
        _portion("nm/tax", "tax.income", (), operands, size.valued),
    )
    sums = (
        Sum(Measure.ROWS, ()),
        Sum(Measure.PRESENT, ((1, 0),)),
        Sum(Measure.TOTAL, ((1, 0),)),
        Sum(Measure.SQUARE, ((1, 0),)),
        Sum(Measure.PRESENT, ((1, 1),)),
        Sum(Measure.TOTAL, ((1, 1),)),
    )
    figures = (
        JointFigure("n", "count", (0,), 0),
        JointFigure("mean", "avg", (2, 1), 1),
        JointFigure("deviation", "stddev_samp", (3, 2, 1), 1),
        JointFigure("months", "sum", (5,), 4),
    )
    scheme = Scheme(128, size.grouped, SMALLEST_GROUP, 90)
    reading = joint_cases.reading(portions, sums, figures)
    return _world(folder, size, tables, (reading, scheme, Matching.HELPER))


def _portion(
    domain: str, relation: str, groups: tuple[Grouping, ...], operands: tuple[Operand, ...], rows: int
) -> Portion:
    return Portion(domain, relation, "id_number", "", groups, operands, "SELECT 1", rows)


def _world(
    folder: Path, size: Size, tables: dict[str, str], made: tuple[JointReading, Scheme, Matching]
) -> World:
    """Write tables in clear and encrypted, and the plan over them; each portion reads the table of its relation."""
    reading, scheme, matching = made
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spill").mkdir(exist_ok=True)
    with engine.open_engine(folder / "spill", LIMITS) as connection:
        connection.execute("SELECT setseed(0.25)")
        for name, select in tables.items():
            connection.execute(f"CREATE TABLE {name} AS {select}")
            connection.execute(f"COPY {name} TO '{folder / name}.parquet' (FORMAT parquet)")
        files = {}
        for portion in reading.portions:
            table = portion.relation.rpartition(".")[2]
            columns = [group.column for group in portion.groups]
            columns += [operand.expression.strip('"') for operand in portion.operands]
            files[portion.domain] = _written(connection, folder, portion.relation, table, tuple(columns))
    recipient = sealing.OpeningKey.fresh()
    joint = joint_cases.joint_plan(reading, _parts(files), scheme, matching)
    joint = replace(joint, request=replace(joint.request, recipient=recipient.public))
    world = World(folder, size, joint, files, recipient)
    world.save()
    return world


def _written(
    connection: engine.Connection, folder: Path, relation: str, table: str, columns: tuple[str, ...]
) -> Written:
    keys = {}
    listed = ", ".join(columns)
    selects = {
        "attributes": f"SELECT md5_number_lower('key' || id) AS person, {listed} FROM {table}",
        "identifiers": f"SELECT md5_number_lower('key' || id) AS person, id AS id_number FROM {table}",
    }
    for role, select in selects.items():
        name = f"{relation}.{role}"
        keys[name] = secrets.token_hex(32)
        engine.add_key(connection, name, keys[name])
        connection.execute(
            f"COPY ({select}) TO '{folder / name}' (FORMAT parquet, COMPRESSION zstd,"
            f" ENCRYPTION_CONFIG {engine.encryption(name)})"
        )
    return Written(folder, relation, columns, keys)


def _parts(files: dict[str, Written]) -> list[joint_cases.Files]:
    """Return the files as the makers of test plans take them."""
    found = []
    for each in files.values():
        part = object.__new__(joint_cases.Files)
        part.folder, part.keys = each.folder, each.keys
        part.table = joint_cases.Table(each.relation, dict.fromkeys(each.columns, ""), ())
        found.append(part)
    return found

"""SQL jobs in this process: small relations, encrypted as by an ingest, and the session of a query box."""

from __future__ import annotations

import hashlib
import itertools
import secrets
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from inside import engine, query
from inside.check import check
from inside.session import Session
from plans import canonical
from plans.box import BoxSpec, Entry, Input, Limits
from plans.decision import Decision, Obligations, Outcome, Tier
from plans.key import BoxKeys
from plans.plan import Plan, PlanKind, Program, Relation
from plans.reading import Reading, Shadow, ShadowColumn
from tests.plans import examples

LIMITS = Limits(1024, 64, 1024, 64, 60, 60, 64, 64, 2)
AT_ONCE, MOST_KEPT = 500, 32


def shadow(relation: str, **columns: str) -> Shadow:
    """A shadow; a type that ends in `?` is of a column that may be null."""
    listed = tuple(ShadowColumn(name, kind.rstrip("?"), kind.endswith("?")) for name, kind in columns.items())
    return Shadow(relation, (ShadowColumn("person", "UBIGINT", False), *listed))


INCOME = shadow(
    "tax.income",
    region="VARCHAR",
    age="INTEGER",
    income="DOUBLE?",
    paid="DECIMAL(12,2)",
    born="DATE",
    urban="BOOLEAN",
)
VISIT = shadow("med.visit", region="VARCHAR", cost="DOUBLE", day="TIMESTAMP", kind="VARCHAR?")
SHADOWS = (INCOME, VISIT)


def read(statement: str, *shadows: Shadow) -> Reading:
    """The reading on which both readers agree."""
    return check(statement, shadows or SHADOWS, 512)


def create(connection: duckdb.DuckDBPyConnection, likeness: Shadow, rows: list[tuple[Any, ...]]) -> None:
    """Create a relation like a shadow, and fill it: many rows by a statement, since each statement takes its time."""
    schema = likeness.relation.partition(".")[0]
    columns = ", ".join(f"{column.name} {column.type}" for column in likeness.columns)
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}; CREATE TABLE {likeness.relation} ({columns})")
    marks = f"({', '.join('?' for _ in likeness.columns)})"
    for start in range(0, len(rows), AT_ONCE):
        part = rows[start : start + AT_ONCE]
        values = ", ".join([marks] * len(part))
        connection.execute(f"INSERT INTO {likeness.relation} VALUES {values}", list(itertools.chain(*part)))


_WRITTEN: dict[tuple[Shadow, str], tuple[str, bytes]] = {}
"""Key and content of the files written last: most jobs of a test, and many of a module, are over the same rows."""


def encrypted(likeness: Shadow, rows: list[tuple[Any, ...]]) -> tuple[str, bytes]:
    """The key and the content of a relation's file, as an ingest leaves it."""
    what = (likeness, repr(rows))
    if what not in _WRITTEN:
        while len(_WRITTEN) >= MOST_KEPT:
            del _WRITTEN[next(iter(_WRITTEN))]
        _WRITTEN[what] = _write(likeness, rows)
    return _WRITTEN[what]


def _write(likeness: Shadow, rows: list[tuple[Any, ...]]) -> tuple[str, bytes]:
    key = secrets.token_hex(32)
    with tempfile.TemporaryDirectory() as name:
        folder, file = Path(name, "temp"), Path(name, "file")
        folder.mkdir()
        with engine.open_engine(folder, LIMITS) as connection:
            create(connection, likeness, rows)
            engine.add_key(connection, "file", key)
            connection.execute(
                f"COPY {likeness.relation} TO {engine.literal(str(file))}"
                f" (FORMAT parquet, ENCRYPTION_CONFIG {engine.encryption('file')})"
            )
        return key, file.read_bytes()


@dataclass
class Job:
    """A query box's work over some relations, in a folder of its own."""

    folder: Path
    rows: dict[str, list[tuple[Any, ...]]]
    filters: dict[str, str] = field(default_factory=dict)
    largest_result: int = 1_000
    minimum_group: int = 10
    keys: dict[str, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("in", "out", "temp"):
            (self.folder / name).mkdir(exist_ok=True)
        for likeness in SHADOWS:
            if likeness.relation in self.rows:
                name = likeness.relation + ".attributes"
                self.keys[name], content = encrypted(likeness, self.rows[likeness.relation])
                (self.folder / "in" / name).write_bytes(content)

    def session(self, reading: Reading) -> Session:
        """The session of a query box that was given this reading's program."""
        names = {relation: relation + ".attributes" for relation in self.rows}
        paths = {name: self.folder / "in" / name for name in names.values()}
        hashes = {
            name: "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest() for name, path in paths.items()
        }
        relations = tuple(
            Relation(
                name,
                examples.digest("b"),
                hashes[names[name]],
                tuple(sorted({use.column for use in reading.uses if use.relation == name} - {"person"})),
                self.filters.get(name, ""),
            )
            for name in reading.relations
        )
        program = Program(
            relations,
            reading.level,
            reading.tables,
            reading.finish,
            reading.outputs,
            reading.order,
            reading.limit,
        )
        inputs = tuple(Input(name, digest) for name, digest in sorted(hashes.items()))
        stages = (
            BoxSpec(Entry.QUERY, examples.digest("d"), inputs, LIMITS, Tier.T1),
            *examples.PLAN.stages[1:],
        )
        obligations = Obligations(self.minimum_group, 5, self.largest_result, Tier.T1)
        decision = Decision(Outcome.ALLOW, (), 1, 1, (), (), obligations)
        plan = Plan(
            PlanKind.SQL,
            "nm/tax",
            examples.REQUEST,
            "4" * 128,
            decision,
            program,
            "",
            stages,
            examples.NONCE,
            0,
        )
        keys = BoxKeys(self.keys, {"result.bin": "ab" * 32}, "")
        return Session(plan, Entry.QUERY, 1, paths, keys, self.folder / "out", self.folder / "temp")

    def run(self, reading: Reading) -> dict[str, Any]:
        """The one table that the query box hands over."""
        (content,) = self.run_all(reading)
        return content

    def run_all(self, reading: Reading) -> list[dict[str, Any]]:
        """The tables that the query box hands over."""
        session = self.session(reading)
        assert query.run(session) == {}
        handed = Session(
            session.plan,
            Entry.PARSE,
            1,
            {"result.bin": self.folder / "out" / "result.bin"},
            BoxKeys({"result.bin": "ab" * 32}, {}, ""),
        )
        content = canonical.decode(handed.read("result.bin"))
        assert isinstance(content, dict) and set(content) == {"tables"}
        return list(content["tables"])

"""Joint plans over small encrypted relations: files as an ingest leaves them, and the plan of each party's boxes."""

from __future__ import annotations

import hashlib
import secrets
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from inside import engine, extract, streams
from inside.party_rows import read_rows
from inside.session import BoxFailure, Session
from inside.session import Link as SessionLink
from mpc import api
from mpc.protocols.joint_rows import OwnRows
from plans.box import Entry
from plans.errors import DarkroomError
from plans.handover import OWN_ROWS
from plans.joint import JointPlan, JointReading, JointTask, Operand, Portion, PortionDecision, Scheme
from plans.joint_rules import Matching, Opening
from plans.key import BoxKeys
from plans.plan import Plan, Relation
from plans.request import statement_digest
from tests.inside.sql_cases import LIMITS
from tests.plans import examples, joint_examples

SQL = (
    "select h.region, avg(t.income) as mean from health.visits h join tax.income t using (person) group by 1"
)
OWNERS = ("nm/health", "nm/tax", "nm/school")
SERVERS = ("nm/civil", "nm/health", "nm/tax")
HELPER = "nm/office"
LINK_KEY = "7c" * 32


@dataclass(frozen=True)
class Table:
    """An owner's relation: attributes with their types, and rows whose first value is the identifier; of one about
    nobody `key` is empty, and there is none.
    """

    relation: str
    columns: dict[str, str]
    rows: Sequence[tuple[Any, ...]]
    row_filter: str = ""
    key: str = "id_number"
    also: str = ""
    """A column that stands among the identifiers too."""


@dataclass
class Files:
    """A relation's two encrypted files, with the token of each identifier as an ingest would make it."""

    folder: Path
    table: Table
    keys: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "temp").mkdir(exist_ok=True)
        listed = ", ".join(f"{name} {kind}" for name, kind in self.table.columns.items())
        with engine.open_engine(self.folder / "temp", LIMITS) as connection:
            connection.execute(f"CREATE TABLE t (id VARCHAR, {listed})")
            marks = ", ".join("?" for _ in range(len(self.table.columns) + 1))
            for start in range(0, len(self.table.rows), 100):  # row by row takes a millisecond each
                some = self.table.rows[start : start + 100]
                values = ", ".join(f"({marks})" for _ in some)
                connection.execute(f"INSERT INTO t VALUES {values}", [each for row in some for each in row])
            if not self.table.key:  # about nobody
                self._write(connection, "attributes", "SELECT * EXCLUDE (id) FROM t")
                return
            token = "md5_number_lower('key' || id)"
            self._write(connection, "attributes", f"SELECT {token} AS person, * EXCLUDE (id) FROM t")
            listed = ", ".join(filter(None, (f"id AS {self.table.key}", self.table.also)))
            ids = f"SELECT DISTINCT {token} AS person, {listed} FROM t"
            self._write(connection, "identifiers", ids)

    def _write(self, connection: engine.Connection, role: str, select: str) -> None:
        name = f"{self.table.relation}.{role}"
        self.keys[name] = secrets.token_hex(32)
        engine.add_key(connection, role, self.keys[name])
        connection.execute(
            f"COPY ({select}) TO {engine.literal(str(self.folder / name))}"
            f" (FORMAT parquet, ENCRYPTION_CONFIG {engine.encryption(role)})"
        )

    def digest(self, role: str) -> str:
        content = (self.folder / f"{self.table.relation}.{role}").read_bytes()
        return "sha256:" + hashlib.sha256(content).hexdigest()

    @property
    def paths(self) -> dict[str, Path]:
        return {name: self.folder / name for name in self.keys}

    @property
    def part(self) -> Relation:
        columns = tuple(sorted(self.table.columns))
        return Relation(
            self.table.relation,
            examples.digest("1"),
            self.digest("attributes"),
            columns,
            self.table.row_filter,
            about_persons=bool(self.table.key),
        )

    @property
    def identifiers(self) -> str:
        """The digest of the file of identifiers, if there is one."""
        return self.digest("identifiers") if self.table.key else ""


def joint_plan(
    reading: JointReading,
    files: Sequence[Files] = (),
    scheme: Scheme | None = None,
    matching: Matching = Matching.HELPER,
    servers: tuple[str, ...] = SERVERS,
) -> JointPlan:
    """A joint plan with this reading; with `files` it names them, one for each portion."""
    helper = HELPER if matching is Matching.HELPER else ""
    task = JointTask(SQL, matching, Opening.OBLIVIOUS, servers, helper=helper)
    example = joint_examples.joint_plan(examples.PLAN.decision, examples.REQUEST)  # type: ignore[arg-type]
    owners = [portion.domain for portion in reading.portions]
    domains = sorted({*owners, *servers, *filter(None, (helper,))})
    parts = [
        PortionDecision(
            portion.domain,
            example.decisions[0].decision,
            files[place].part if files else example.decisions[0].relation,
            files[place].digest("identifiers") if files else examples.digest("5"),
            tuple(files[place].keys) if files else (),
        )
        for place, portion in enumerate(reading.portions)
    ]
    bound = min(portion.bound for portion in reading.portions)
    return replace(
        example,
        request=replace(example.request, statement=task.canonical().decode()),
        task=task,
        parties=tuple(joint_examples.party(domain, place) for place, domain in enumerate(domains)),
        reading=reading,
        decisions=tuple(parts),
        scheme=scheme or Scheme(ring_bits=64, matched=bound, minimum_group=10, dominance=90),
    )


def reading(portions: Sequence[Portion], sums: Any, figures: Any) -> JointReading:
    """A reading whose outputs are all keys and all figures, in their order."""
    named = [group.name for portion in portions for group in portion.groups]
    outputs = (*named, *(figure.name for figure in figures))
    return JointReading(statement_digest(SQL), tuple(portions), tuple(sums), tuple(figures), outputs)


def operand(expression: str, low: int, high: int, decimals: int = 0, nullable: bool = False) -> Operand:
    return Operand(expression, low, high, decimals, nullable)


def party_plan(joint: JointPlan, domain: str) -> Plan:
    """The plan of one party's boxes, as its keeper derives it."""
    return api.party_plan(joint, domain, {Entry.EXTRACT: LIMITS, Entry.PARTY: LIMITS})


def extract_session(joint: JointPlan, domain: str, files: Files, links: Any, key: str) -> Session:
    """The session of an extracting box whose one link has this key."""
    keys = BoxKeys(files.keys, {}, "", {files.table.relation: "5a" * 32}, {OWN_ROWS: key})
    return Session(
        party_plan(joint, domain), Entry.EXTRACT, 1, files.paths, keys, files.folder / "out",
        files.folder / "temp", files.folder / "temp", links=links,
    )  # fmt: skip


def extracted(joint: JointPlan, domain: str, files: Files) -> OwnRows:
    """What the party's box has of an owner's rows; raises what the extracting box or the reading one raised."""
    place = joint.owns(domain)
    assert place is not None
    ours, theirs = socket.socketpair()
    session = extract_session(joint, domain, files, {OWN_ROWS: SessionLink(ours.detach())}, LINK_KEY)
    failures: list[Exception] = []

    def work() -> None:
        try:
            assert extract.run(session) == {}
        except (BoxFailure, DarkroomError) as problem:
            failures.append(problem)
            session.links[OWN_ROWS].open().close()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        with theirs, streams.receive(theirs, LINK_KEY, OWN_ROWS) as source:
            return read_rows(source, joint.reading.portions[place])
    except DarkroomError:
        worker.join()
        if failures:
            raise failures[0] from None
        raise
    finally:
        worker.join()

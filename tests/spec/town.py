"""An owner's side in this process: drawn tables under encryption, a policy file, and the whole way of a statement.

Nothing here stands in for a part of the platform but the walls of boxes: both readers, the views, the decision,
the program, every stage's program over encrypted files, the rules, and the sealed release are the real ones.
"""

from __future__ import annotations

import functools
import hashlib
import secrets
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inside import engine, finish, judge, parse, protect, query
from inside.check import check
from inside.session import BoxFailure, Session
from keys import sealing
from plans.box import Entry, Limits
from plans.decision import Decision, Outcome, Tier
from plans.key import BoxKeys
from plans.manifest import Column, DataFile, FileRole, Grade, Kind, Manifest
from plans.plan import Plan, PlanKind
from plans.reading import Reading
from plans.release import RELEASE_INFO
from plans.released import Released
from plans.request import Request
from plans.statements import Bundle, Grant
from plans.verdict import Finding, Verdict
from policies import api as policies
from policies.api import Case, Granted, Grants
from server.policy_files import read_policies
from tests.spec.drawn import HEADS, Drawn, drawn

DOMAIN, MEMBER = "nm/tax", "lin@nm/uni"
PROJECT, PURPOSE = "poverty", "research on poverty"
NOW = int(time.time())
LIMITS = Limits(1024, 64, 1024, 64, 60, 60, 64, 64, 2)
RUNS = {
    Entry.QUERY: query.run,
    Entry.PARSE: parse.run,
    Entry.PROTECT: protect.run,
    Entry.FINISH: finish.run,
    Entry.JUDGE: judge.run,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a statement: a release, or the decision, verdict or failure that says why there is none."""

    case: Case
    decision: Decision
    released: Released | None = None
    verdict: Verdict | None = None
    failure: str = ""


SIGNS = "51" * 32


@dataclass
class Town:
    """Tables by their names in SQL, and the owner's policy file. `grants` are all plain columns unless said."""

    folder: Path
    tables: Mapping[str, str]
    policy: str
    columns: tuple[str, ...] = ()
    member: str = MEMBER
    role: str = "researcher"
    purpose: str = PURPOSE
    recipient: sealing.OpeningKey = field(default_factory=sealing.OpeningKey.fresh)
    files: dict[str, tuple[Path, str]] = field(default_factory=dict)
    manifests: tuple[Manifest, ...] = ()
    bundle: Bundle | None = None

    def __post_init__(self) -> None:
        file = self.folder / "policies.toml"
        file.write_text(self.policy, encoding="utf-8")
        self.bundle = read_policies(file).bundle(DOMAIN, 1)
        self.manifests = tuple(self._ingest(name, drawn(text)) for name, text in self.tables.items())

    # --- asking -----------------------------------------------------

    def ask(self, statement: str) -> Answer:
        """Carry a statement from its text to its release, as far as it comes.

        Raises:
            Malformed: the readers refuse it.
        """
        case = self.case(statement)
        decision = policies.decide(case)
        if decision.outcome is not Outcome.ALLOW:
            return Answer(case, decision)
        return self._run(case, decision)

    def case(self, statement: str) -> Case:
        """Return a statement's case, read on the asker's view of the datasets."""
        assert self.bundle is not None
        request = Request(
            self.member,
            "ed25519:" + "1" * 64,
            self.recipient.public,
            PROJECT,
            self.purpose,
            statement,
            secrets.token_hex(16),
            NOW,
        )
        grants = Grants(self._grants())
        shadows = policies.shadows(request, self.bundle, self.manifests, grants, NOW)
        reading = check(statement, shadows, LIMITS.memory_mb)
        return Case(request, reading, self.bundle, self.manifests, grants, ("bao@nm/tax",), NOW, 1)

    def read(self, statement: str) -> Reading:
        """Return what both readers find."""
        return self.case(statement).reading

    def _grants(self) -> list[Granted]:
        found = []
        for manifest in self.manifests:
            granted = tuple(column.name for column in manifest.columns if column.kind is not Kind.IDENTIFIER)
            body = Grant(
                self.member,
                "ed25519:" + "1" * 64,
                self.recipient.public,
                PROJECT,
                PURPOSE,
                manifest.dataset,
                self.columns or granted,
                9,
                role=self.role,
            )
            found.append(
                Granted(_digest(manifest.dataset), body, NOW - 1, NOW + 86_400, revoked=False, uses_left=9)
            )
        return found

    # --- running -----------------------------------------------------

    def plan(self, case: Case, decision: Decision) -> Plan:
        """Return the plan of an allowed case."""
        program = policies.program_of(case)
        limits = dict.fromkeys(Entry, LIMITS)
        stages = policies.sql_boxes(program, self.manifests, _digest("image"), Tier.T1, limits)
        return Plan(
            PlanKind.SQL, DOMAIN, case.request, "4" * 128, decision, program, "", stages, secrets.token_hex(16), NOW
        )  # fmt: skip

    def _run(self, case: Case, decision: Decision) -> Answer:
        plan = self.plan(case, decision)
        keys = {name: key for name, (_, key) in self.files.items()}
        paths = {name: path for name, (path, _) in self.files.items()}
        report: dict[str, Any] = {}
        try:
            for number, stage in enumerate(plan.stages):
                out = self.folder / f"{secrets.token_hex(4)}-{number}"
                out.mkdir()
                made = {written: secrets.token_hex(32) for written in stage.outputs.names}
                keys |= made
                paths |= {written: out / written for written in made}
                inputs = {item.name: paths[item.name] for item in stage.inputs}
                held = BoxKeys(
                    {name: keys[name] for name in inputs},
                    made,
                    "",
                    self._pseudonyms(stage.entry),
                    signs=SIGNS if stage.entry is Entry.QUERY else "",
                )
                report = RUNS[stage.entry](Session(plan, stage.entry, 1, inputs, held, out, out, out))
        except BoxFailure as failure:
            return Answer(case, decision, failure=failure.code)
        verdict = Verdict.read(report["verdict"])
        if verdict.finding is Finding.REFUSED:
            return Answer(case, decision, verdict=verdict)
        opened = self.recipient.open(paths[policies.SEALED].read_bytes(), RELEASE_INFO, plan.digest.encode())
        return Answer(case, decision, Released.decode(opened), verdict)

    def _pseudonyms(self, entry: Entry) -> dict[str, str]:
        if entry is not Entry.QUERY:
            return {}
        return {
            manifest.relation: hashlib.sha256(manifest.dataset.encode()).hexdigest()
            for manifest in self.manifests
        }

    # --- data -----------------------------------------------------

    def _ingest(self, relation: str, table: Drawn) -> Manifest:
        leaf = relation.partition(".")[2]
        name = f"{leaf}-1.attributes"
        key, data = encrypted(table)
        path = self.folder / name
        path.write_bytes(data)
        self.files[name] = (path, key)
        file = DataFile(FileRole.ATTRIBUTES, name, "sha256:" + hashlib.sha256(data).hexdigest(), len(data))
        return Manifest(
            dataset=f"{DOMAIN}/{leaf}",
            version=1,
            grade=Grade.GENERAL_3,
            title=leaf,
            person="id_number" if table.about_persons else "",
            columns=tuple(_described(table)),
            files=(file,),
            rows=len(table.rows),
            persons=len({row[0] for row in table.rows}) if table.about_persons else 0,
            source_sha256=_digest(leaf),
            created=NOW,
        )


def _described(table: Drawn) -> Iterator[Column]:
    for n, name in enumerate(table.columns, 1):
        yield Column(name, HEADS[name][0], "", HEADS[name][1], sum(row[n] is None for row in table.rows))


@functools.cache
def encrypted(table: Drawn) -> tuple[str, bytes]:
    """Return a key and a table's file of attributes under it, as an ingest writes it."""
    key = secrets.token_hex(32)
    kept = [n for n, name in enumerate(table.columns) if HEADS[name][1] is not Kind.IDENTIFIER]
    typed = [f"{table.columns[n]} {HEADS[table.columns[n]][0]}" for n in kept]
    if table.about_persons:
        typed.insert(0, "person UBIGINT")
    marks = ", ".join("?" for _ in typed)
    with (
        tempfile.TemporaryDirectory() as folder,
        engine.open_engine(Path(folder), LIMITS) as connection,
    ):
        path = Path(folder, "file")
        connection.execute(f"CREATE TABLE t ({', '.join(typed)})")
        rows = [
            (*((row[0],) if table.about_persons else ()), *(row[n + 1] for n in kept)) for row in table.rows
        ]
        connection.executemany(f"INSERT INTO t VALUES ({marks})", rows)
        engine.add_key(connection, "file", key)
        options = f"FORMAT parquet, ENCRYPTION_CONFIG {engine.encryption('file')}"
        connection.execute(f"COPY t TO {engine.literal(str(path))} ({options})")
        return key, path.read_bytes()


def _digest(name: str) -> str:
    return "sha256:" + hashlib.sha256(name.encode()).hexdigest()

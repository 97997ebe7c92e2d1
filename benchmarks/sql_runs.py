"""The measured runs of `benchmarks/sql_overhead.py`, each in a fresh process: a box's program, and bare DuckDB."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
import secrets
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import duckdb  # noqa: E402

from benchmarks.sql_queries import PEOPLE, QUERIES  # noqa: E402
from inside import engine, query  # noqa: E402
from inside.check import check  # noqa: E402
from inside.session import Session  # noqa: E402
from plans.box import BoxSpec, Entry, Input, Limits  # noqa: E402
from plans.decision import Decision, Obligations, Outcome, Tier  # noqa: E402
from plans.key import BoxKeys  # noqa: E402
from plans.plan import Plan, PlanKind, Program, Relation  # noqa: E402
from plans.reading import Reading, Shadow, ShadowColumn  # noqa: E402
from plans.request import Request  # noqa: E402

LIMITS = Limits(
    memory_mb=4096,
    temp_mb=64,
    spill_mb=4096,
    output_mb=1024,
    cpu_s=600,
    wall_s=600,
    processes=64,
    files=64,
    cpus=2,
)
"""Memory and processors of a query box here; bare DuckDB gets as many processors."""

ANYONE = "sha256:" + "0" * 64


def write_relations(folder: Path, scale: float) -> None:
    """Write every relation twice, plain and encrypted under one key, with the compression that ingest uses."""
    package = importlib.util.find_spec("duckdb_extension_tpch")
    (home,) = package.submodule_search_locations if package and package.submodule_search_locations else ("",)
    extension = Path(home) / "extensions" / f"v{duckdb.__version__}" / "tpch.duckdb_extension"
    key = secrets.token_hex(32)
    (folder / "key").write_text(key)
    with engine.open_engine(folder, LIMITS) as connection:
        connection.execute(f"LOAD {engine.literal(str(extension))}")
        connection.execute(f"CALL dbgen(sf = {scale})")
        engine.add_key(connection, "file", key)
        for table, column in PEOPLE.items():
            rows = f"COPY (SELECT hash({column}) AS person, * FROM {table}) TO"
            plain, secret = (engine.literal(str(folder / f"{table}.{kind}")) for kind in ("plain", "secret"))
            connection.execute(f"{rows} {plain} (FORMAT parquet, COMPRESSION zstd)")
            encrypted = f"ENCRYPTION_CONFIG {engine.encryption('file')}"
            connection.execute(f"{rows} {secret} (FORMAT parquet, COMPRESSION zstd, {encrypted})")


def main(kind: str, folder: str, number: str) -> None:
    """Run one query once and print how long it took, on the clock and on the processors."""
    run = {"box": box, "counted": counted, "figures": figures, "asked": asked}[kind]
    print(json.dumps(run(Path(folder), int(number))))


def box(folder: Path, number: int) -> dict[str, float]:
    """The query box's program, from the keys to the written result."""
    session = _session(folder, _reading(folder, number))
    session = dataclasses.replace(session, warmed=query.warm(LIMITS, session.spill))
    began, before = time.perf_counter(), time.process_time()
    query.run(session)
    return {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - before}


def counted(folder: Path, number: int) -> dict[str, float]:
    """The same counted statement, and what each person adds, on plain files, without the attempts (`TRY`) that keep a
    row from failing them.
    """
    reading = _reading(folder, number)
    (cells,) = reading.tables
    assert cells.contributions is not None
    shares = (cells.contributions.statement, *cells.contributions.further)
    kept = [f"CREATE TEMP TABLE shares_{n} AS {text}" for n, text in enumerate(shares)]
    return _bare(folder, *(text.replace("TRY(", "(") for text in (*kept, cells.counted)))


def figures(folder: Path, number: int) -> dict[str, float]:
    """The counted statement alone, the same way."""
    return _bare(folder, _reading(folder, number).counted.replace("TRY(", "("))


def asked(folder: Path, number: int) -> dict[str, float]:
    """The member's own statement on plain files, without any person counted."""
    return _bare(folder, QUERIES[number])


def _bare(folder: Path, *statements: str) -> dict[str, float]:
    began, before = time.perf_counter(), time.process_time()
    with duckdb.connect(":memory:", config={"threads": LIMITS.cpus}) as connection:
        connection.execute("CREATE SCHEMA tpch")
        for table in PEOPLE:
            path = engine.literal(str(folder / f"{table}.plain"))
            connection.execute(f"CREATE VIEW tpch.{table} AS SELECT * FROM read_parquet({path})")
        for statement in statements:
            assert connection.execute(statement).fetchall()
    return {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - before}


def _reading(folder: Path, number: int) -> Reading:
    return check(QUERIES[number], _shadows(folder), 512)


def _shadows(folder: Path) -> tuple[Shadow, ...]:
    found = []
    with duckdb.connect(":memory:") as connection:
        for table in PEOPLE:
            path = engine.literal(str(folder / f"{table}.plain"))
            described = connection.execute(f"DESCRIBE SELECT * FROM read_parquet({path})").fetchall()
            columns = tuple(ShadowColumn(name, kind, False) for name, kind, *_ in described)
            found.append(Shadow(f"tpch.{table}", columns))
    return tuple(found)


def small_plan(folder: Path, image: str) -> tuple[Plan, dict[str, Path]]:
    """Return a plan that a real box of `image` begins with, and its files, written to `folder`."""
    write_relations(folder, 0.01)
    reading = _reading(folder, 6)
    files = {file: folder / file for file in _files(reading).values()}
    hashes = {name: "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    return _plan(reading, hashes, image), files


def _session(folder: Path, reading: Reading) -> Session:
    """The session that a query box has for a reading once its keys have come."""
    files = _files(reading).values()
    hashes = {file: "sha256:" + hashlib.sha256(file.encode()).hexdigest() for file in files}
    plan = _plan(reading, hashes, ANYONE)
    out, temp = folder / "out", folder / "temp"
    out.mkdir(exist_ok=True)
    temp.mkdir(exist_ok=True)
    secret = (folder / "key").read_text()
    box_keys = BoxKeys(
        dict.fromkeys(files, secret), {"result.bin": "00" * 32, "sets.bin": "00" * 32}, "", signs="5e" * 32
    )
    return Session(plan, Entry.QUERY, 1, {file: folder / file for file in files}, box_keys, out, temp, temp)


def _files(reading: Reading) -> dict[str, str]:
    """Return the file of each relation that a reading names."""
    return {name: f"{name.partition('.')[2]}.secret" for name in reading.relations}


def _plan(reading: Reading, hashes: dict[str, str], image: str) -> Plan:
    """The plan of a reading whose files have these hashes."""
    files = _files(reading)
    relations = tuple(
        Relation(name, ANYONE, hashes[files[name]], _columns(reading, name), "") for name in reading.relations
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
    obligations = Obligations(10, 5, 1_000_000, Tier.T1)
    inputs = tuple(Input(file, hashes[file]) for file in sorted(hashes))
    stages = tuple(
        BoxSpec(entry, image, found, LIMITS, Tier.T1)
        for entry, found in (
            (Entry.QUERY, inputs),
            (Entry.PARSE, (Input("result.bin", ""),)),
            (Entry.JUDGE, (Input("table.bin", ""),)),
        )
    )
    keys = ("ed25519:" + "0" * 64, "x25519:" + "0" * 64)
    request = Request("bench@nm/uni", *keys, "bench", "benchmark", "select 1", "0" * 32, 0)
    decision = Decision(Outcome.ALLOW, (), 1, 1, (), (), obligations)
    return Plan(PlanKind.SQL, "nm/tpch", request, "", decision, program, "", stages, "0" * 32, 0)


def _columns(reading: Reading, relation: str) -> tuple[str, ...]:
    return tuple(sorted({use.column for use in reading.uses if use.relation == relation} - {"person"}))


if __name__ == "__main__":
    main(*sys.argv[1:])

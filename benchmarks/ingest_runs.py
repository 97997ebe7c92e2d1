"""The measured runs of `benchmarks/ingest.py`, each in a fresh process: the box's program, and DuckDB alone."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from catalog.api import Description, read_file  # noqa: E402
from plans import canonical  # noqa: E402
from plans.box import BoxSpec, Entry, Input, Limits  # noqa: E402
from plans.decision import Tier  # noqa: E402
from plans.key import BoxKeys  # noqa: E402
from plans.plan import Plan, PlanKind  # noqa: E402

LIMITS = Limits(
    memory_mb=2048,
    temp_mb=64,
    spill_mb=4096,
    output_mb=8192,
    cpu_s=3600,
    wall_s=3600,
    processes=64,
    files=256,
    cpus=2,
)
"""Memory and processors of an ingest box by default; bare DuckDB gets as many processors."""

VISITS = ROOT / "examples" / "region" / "visits.toml"


def write_visits(folder: Path, scale: float, pieces: int) -> None:
    """Write `visits.csv`: `pieces` times as many visits, each piece of other people."""
    import pyarrow.csv

    from examples.region import generate
    from examples.region.people import make_people
    from examples.region.visits import make_visits

    with (folder / "visits.csv").open("wb") as file:
        for piece in range(pieces):
            people = make_people(int(generate.PERSONS * scale), 7 + piece)
            table = make_visits(people, int(generate.VISITS * scale), 7 + piece)
            options = pyarrow.csv.WriteOptions(
                include_header=piece == 0, quoting_style="none", quoting_header="none"
            )
            pyarrow.csv.write_csv(table, file, options)


def main(kind: str, folder: str) -> None:
    """Run one measurement and print it as JSON."""
    run = {"box": box, "bare": bare}[kind]
    print(json.dumps({**run(Path(folder)), "peak_mb": _peak_mb()}))


def box(folder: Path) -> dict[str, float]:
    """Hash and ingest, as a box does once it has its keys."""
    from inside import ingest
    from inside.session import Session

    source, out, temp = folder / "visits.csv", folder / "out", folder / "temp"
    for each in (out, temp):
        each.mkdir(exist_ok=True)
    plan = _plan(read_file(VISITS), _sha256(source))
    keys = BoxKeys(
        {}, {name: secrets.token_hex(32) for name in (ingest.ATTRIBUTES, ingest.IDENTIFIERS)}, "ab" * 32
    )
    session = Session(plan, Entry.INGEST, 1, {"source": source}, keys, out, temp)
    watch = _Watch()
    _sha256(source)
    report = ingest.run(session)
    return {**watch.read(), "rows": report["rows"]}


def bare(folder: Path) -> dict[str, float]:
    """What anybody would type: read with known types, write Parquet."""
    import duckdb

    described = read_file(VISITS)
    types = {column.name: column.engine_type for column in described.columns}
    watch = _Watch()
    with duckdb.connect(config={"threads": LIMITS.cpus, "preserve_insertion_order": False}) as connection:
        connection.execute(
            f"COPY (FROM read_csv('{folder}/visits.csv', header = true, columns = {types}))"
            f" TO '{folder}/bare.parquet' (FORMAT parquet, COMPRESSION zstd)"
        )
    return watch.read()


class _Watch:
    """Time on the clock and on the processors since it was made."""

    def __init__(self) -> None:
        self._clock, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        """Return both, in seconds."""
        return {"seconds": time.perf_counter() - self._clock, "cpu_seconds": time.process_time() - self._cpu}


def _plan(described: Description, digest: str) -> Plan:
    spec = BoxSpec(Entry.INGEST, "sha256:" + "0" * 64, (Input("source", digest),), LIMITS, Tier.T1)
    material = canonical.encode({"description": described.plain(), "version": 1}).decode()
    return Plan(PlanKind.INGEST, described.domain, None, "", None, None, material, (spec,), "0" * 32, 0)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _peak_mb() -> float:
    """The largest resident size of this process so far (proc(5), VmHWM)."""
    status = Path(f"/proc/{os.getpid()}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])

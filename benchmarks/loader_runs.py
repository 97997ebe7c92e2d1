"""The processes of `benchmarks/loader.py`: the loader's program, the runner that feeds a job, the job, a plain read.

Each is given open sockets or pipes by number, does its imports, says `ready`, and begins when it is told to.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import pyarrow as pa  # noqa: E402

from inside import engine, load  # noqa: E402
from inside.feeding import Feeding  # noqa: E402
from inside.session import Link, Session  # noqa: E402
from plans.artifacts import Artifact, Form  # noqa: E402
from plans.box import BoxSpec, Entry, Input, Limits  # noqa: E402
from plans.box import Link as PlannedLink  # noqa: E402
from plans.decision import Decision, Obligations, Outcome, Tier  # noqa: E402
from plans.key import BoxKeys  # noqa: E402
from plans.plan import Plan, PlanKind, Program, Relation, work_stages  # noqa: E402
from plans.reading import Level  # noqa: E402
from plans.request import Request, RequestKind  # noqa: E402
from plans.tasks import Need, PythonTask  # noqa: E402
from plans.trial import Folder  # noqa: E402

LIMITS = Limits(
    memory_mb=2048, temp_mb=64, spill_mb=0, output_mb=64, cpu_s=600, wall_s=600, processes=64, files=64, cpus=2
)  # fmt: skip
ROWS, COLUMNS = 1_000_000, 20
NAME, LINK, KEY, LINK_KEY = "tax.wide", "rows-0", "ab" * 32, "cd" * 32
ANYONE = "sha256:" + "0" * 64
FIELDS = tuple(f"c{number:02}" for number in range(COLUMNS))


def write(folder: Path) -> None:
    """Write a table of whole and real numbers twice: encrypted as an ingest does, and plain."""
    listed = ", ".join(
        f"random() * 1000 AS {name}" if number % 2 else f"CAST(random() * 100000 AS BIGINT) AS {name}"
        for number, name in enumerate(FIELDS)
    )
    with engine.open_engine(folder, LIMITS) as connection:
        engine.add_key(connection, "file", KEY)
        connection.execute("SELECT setseed(0.5)")
        connection.execute(f"CREATE TABLE wide AS SELECT hash(range) AS person, {listed} FROM range({ROWS})")
        connection.execute(
            f"COPY wide TO '{folder / 'secret'}' (FORMAT parquet, COMPRESSION zstd,"
            f" ENCRYPTION_CONFIG {engine.encryption('file')})"
        )
        connection.execute(f"COPY wide TO '{folder / 'plain.parquet'}' (FORMAT parquet, COMPRESSION zstd)")


def plan(folder: Path, image: str = ANYONE, what: Folder | None = None) -> Plan:
    """Return the plan of a job over that table."""
    what = what or Folder({"main.py": "cGFzcw=="}, "main.py", ())
    artifacts = (Artifact("score.json", Form.METRICS),)
    task = PythonTask(image, what.digest, what.main, (), (Need(NAME, FIELDS),), artifacts)
    request = Request(
        "li@nm", "ed25519:" + "0" * 64, "x25519:" + "0" * 64, "p", "test", task.canonical().decode(), "0" * 32, 0,
        kind=RequestKind.PYTHON,
    )  # fmt: skip
    file = "sha256:" + hashlib.sha256((folder / "secret").read_bytes()).hexdigest()
    program = Program((Relation(NAME, ANYONE, file, FIELDS, ""),), Level.WORK, (), "", (), (), None)
    peers = {Entry.LOAD: Entry.PYTHON, Entry.PYTHON: Entry.LOAD}
    boxes = tuple(
        BoxSpec(
            entry, image, (Input("secret", file),) if entry is Entry.LOAD else (), LIMITS, Tier.T1,
            links=(PlannedLink(LINK, f"stage:{peers[entry]}"),) if entry in peers else (),
        )
        for entry in work_stages(task)
    )  # fmt: skip
    decision = Decision(Outcome.ALLOW, (), 1, 1, (), (), Obligations(1, 1, 1, Tier.T1))
    return Plan(
        PlanKind.PYTHON,
        "nm/tax",
        request,
        "",
        decision,
        program,
        what.canonical().decode(),
        boxes,
        "0" * 32,
        0,
    )


def loader(folder: Path, number: int) -> None:
    """The loader box's program, over an open socket."""
    links, keys = {LINK: Link(number)}, BoxKeys({"secret": KEY}, {}, "", links={LINK: LINK_KEY})
    session = Session(plan(folder), Entry.LOAD, 1, {"secret": folder / "secret"}, keys, links=links)
    warmed = engine.open_engine(folder, LIMITS)
    began()
    load.run(Session(session.plan, Entry.LOAD, 1, session.inputs, keys, links=links, warmed=warmed))


def feeder(folder: Path, number: int) -> None:
    """The runner of a Python box, and under it the job, which reads the whole table."""
    keys = BoxKeys({}, {}, "", links={LINK: LINK_KEY})
    session = Session(plan(folder), Entry.PYTHON, 1, {}, keys, links={LINK: Link(number)})
    began()
    start = time.perf_counter()
    feeding = Feeding.of_links(session)
    said("first", time.perf_counter() - start)
    (end,) = feeding.ends.values()
    os.set_inheritable(end, True)
    child = os.spawnv(
        os.P_NOWAIT, sys.executable, [sys.executable, "-P", __file__, "job", str(folder), str(end)]
    )
    feeding.begin()
    os.waitpid(child, 0)


def job(_: Path, number: int) -> None:
    """Read a table as the module `darkroom` does."""
    start = time.perf_counter()
    with os.fdopen(number, "rb") as file, pa.ipc.open_stream(file) as reader:
        table = reader.read_all()
        file.read()
    assert table.num_rows == ROWS and table.num_columns == COLUMNS + 1
    said("job", time.perf_counter() - start)


def plain(folder: Path, _: int) -> None:
    """Read the same table from plain Parquet with pyarrow."""
    import pyarrow.dataset
    import pyarrow.parquet

    pyarrow.parquet.read_table(
        folder / "plain.parquet", columns=["person"]
    )  # what it imports, and its threads
    began()
    start = time.perf_counter()
    table = pyarrow.parquet.read_table(folder / "plain.parquet")
    assert table.num_rows == ROWS
    said("plain", time.perf_counter() - start)


def began() -> None:
    """Say that all is imported, and wait for the word to begin."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()


def said(what: str, seconds: float) -> None:
    """Report a time."""
    sys.stdout.write(json.dumps({"what": what, "seconds": seconds}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    {"loader": loader, "feeder": feeder, "job": job, "plain": plain}[sys.argv[1]](
        Path(sys.argv[2]), int(sys.argv[3])
    )
    os._exit(0)  # as boxes end

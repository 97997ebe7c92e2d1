"""The loader streams what the asker may see of a table, and nothing else of the owner's files crosses the link."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import socket
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from inside import load, streams
from inside.session import BoxFailure, Link, Session
from plans.artifacts import Artifact, Form
from plans.box import Entry
from plans.constraints import Mask, MaskKind
from plans.errors import HashMismatch, Malformed
from plans.key import BoxKeys
from plans.tasks import ComponentTask, Need, PythonTask
from tests.inside.load_cases import SIGNS, Loading, link_key, sha256, work_plan
from tests.inside.sql_cases import Job
from tests.inside.whole_way import relation
from tests.plans import examples

BORN = datetime.date(1980, 2, 29)
CANARY = "canary-of-loading-5512"
PEOPLE: list[tuple[Any, ...]] = [
    (person, "东" if person % 2 else "西", 20 + person % 3, None if person == 7 else 1000.5 * person,
     Decimal("12.30"), BORN, person % 3 == 0)
    for person in range(1, 301)
]  # fmt: skip
VISITS: list[tuple[Any, ...]] = [
    (1 + number % 100, "东", 10.0, "2024-01-01 08:00:00", CANARY if number % 2 else None)
    for number in range(400)
]
METRICS = Artifact("score.json", Form.METRICS)
MODEL = Artifact("fit.json", Form.MODEL)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    return Job(tmp_path_factory.mktemp("loading"), {"tax.income": PEOPLE, "med.visit": VISITS})


def python_task(
    *artifacts: Artifact, needs: tuple[Need, ...] = (Need("tax.income", ("income",)),)
) -> PythonTask:
    return PythonTask(
        examples.digest("a"), examples.FOLDER.digest, "main.py", (), needs, artifacts or (METRICS,)
    )


def component_task(*artifacts: Artifact) -> ComponentTask:
    need = Need("tax.income", ("income", "region"), ("region",))
    return ComponentTask(examples.digest("a"), "describe", {}, (need,), artifacts or (METRICS,))


def loading(job: Job, task: PythonTask | ComponentTask, *relations: Any, **changes: Any) -> Loading:
    files = {name: job.folder / "in" / name for name in job.keys}
    return Loading(job, work_plan(task, relations, files), **changes)


def income(job: Job, *columns: str, **changes: Any) -> Any:
    return relation(job, "tax.income", *(columns or ("age", "income")), **changes)


def test_a_job_gets_the_token_and_the_named_columns_in_their_types(job: Job) -> None:
    columns = ("age", "born", "income", "paid", "region", "urban")
    (table,) = loading(job, python_task(), income(job, *columns)).go()
    assert table.column_names == ["person", *columns]
    assert [str(kind) for kind in table.schema.types] == [
        "uint64", "int32", "date32[day]", "double", "decimal128(12, 2)", "string", "bool",
    ]  # fmt: skip
    assert table.schema.metadata is None and all(field.metadata is None for field in table.schema)
    rows = sorted(tuple(row.values()) for row in table.to_pylist())
    assert rows == [
        (p, age, born, pay, paid, region, urban) for p, region, age, pay, paid, born, urban in PEOPLE
    ]


def test_each_relation_has_its_link_and_they_may_be_read_in_any_order(job: Job) -> None:
    """The first is read while the other is not, whichever it is: the loader serves all at once."""
    both = loading(job, python_task(), relation(job, "med.visit", "cost"), income(job))
    visits, incomes = both.go()
    assert visits.column_names == ["person", "cost"] and visits.num_rows == 400 and incomes.num_rows == 300
    assert sorted(both.wire) == ["rows-0", "rows-1"]
    turned = loading(job, python_task(), income(job), relation(job, "med.visit", "cost")).go()
    assert [table.num_rows for table in turned] == [300, 400]


def test_hidden_rows_and_masked_values_do_not_cross_the_link(job: Job) -> None:
    """The control: without filter and masks both come."""
    filtered = income(
        job, "income", "region", row_filter="region = '东'", masks=(Mask("income", MaskKind.BUCKET, "50000"),)
    )
    (table,) = loading(job, python_task(), filtered).go()
    assert set(table["region"].to_pylist()) == {"东"} and table.num_rows == 150
    assert set(table["income"].to_pylist()) <= {
        None,
        0.0,
        50000.0,
        100000.0,
        150000.0,
        200000.0,
        250000.0,
        300000.0,
    }
    (plain,) = loading(job, python_task(), income(job, "income", "region")).go()
    assert plain.num_rows == 300 and 1000.5 in plain["income"].to_pylist()


def test_pseudonyms_stand_for_values_and_the_values_stay(job: Job) -> None:
    masked = income(job, "region", masks=(Mask("region", MaskKind.PSEUDONYM, ""),))
    (table,) = loading(job, python_task(), masked).go()
    assert {len(value) for value in table["region"].to_pylist()} == {32}


def test_what_crosses_the_link_is_noise(job: Job) -> None:
    """The launcher reads nothing: what it carries holds no value, though the rows are full of them (the control)."""
    work = loading(job, python_task(), relation(job, "med.visit", "kind"))
    (table,) = work.go()
    assert table["kind"].to_pylist().count(CANARY) == 200
    wire = bytes(work.wire["rows-0"])
    assert len(wire) % streams.RECORD == 0 and CANARY.encode() not in wire and b"person" not in wire


# ------------------------------------------------------------------------------------- persons that are held out


def held_persons() -> set[int]:
    """Who is held out, said once more in the words of the contract."""
    persons = [row[0] for row in PEOPLE]
    found = duckdb.execute(
        f"SELECT p FROM (SELECT unnest({persons}) AS p) WHERE md5_number_lower('{SIGNS}:held:' || p) % 100 < 10"
    ).fetchall()
    return {person for (person,) in found}


@pytest.mark.parametrize("kind", [python_task, component_task])
def test_a_job_that_leaves_a_model_never_sees_the_persons_that_are_held_back(job: Job, kind: Any) -> None:
    """With all their rows, in every table. The control: a job without a model sees everybody."""
    tables = loading(
        job, kind(MODEL), income(job, "income", "region"), relation(job, "med.visit", "cost")
    ).go()
    seen = [set(table["person"].to_pylist()) for table in tables]
    held = held_persons()
    assert 10 < len(held) < 60 and seen[0] == {row[0] for row in PEOPLE} - held
    assert seen[1] == {row[0] for row in VISITS} - held
    (everybody,) = loading(job, kind(METRICS), income(job, "income", "region")).go()
    assert set(everybody["person"].to_pylist()) == {row[0] for row in PEOPLE}


def test_the_box_that_checks_the_model_sees_everybody_and_who_was_held_back(job: Job) -> None:
    (table,) = loading(job, python_task(MODEL), income(job), stage=Entry.RELOAD).go()
    assert (
        table.column_names == ["person", "age", "income", "_held_out"]
        and str(table.schema.field("_held_out").type) == "bool"
    )
    rows = table.to_pylist()
    assert {row["person"] for row in rows if row["_held_out"]} == held_persons() and len(rows) == 300


def test_without_the_key_of_signs_nobody_is_held_back_and_so_nothing_is_loaded(job: Job) -> None:
    """Failing closed. With another key it is others: nobody without it can say who."""
    with pytest.raises(Malformed):
        loading(job, python_task(MODEL), income(job), signs="").go()
    (other,) = loading(job, python_task(MODEL), income(job), signs="7f" * 32).go()
    assert {row[0] for row in PEOPLE} - set(other["person"].to_pylist()) != held_persons()


def test_a_component_gets_the_signs_of_persons_and_a_members_program_does_not(job: Job) -> None:
    (table,) = loading(job, component_task(), income(job, "income", "region")).go()
    assert table.column_names == ["person", "income", "region", "_signs"]
    expected = dict(
        duckdb.execute(
            f"SELECT p, md5_number_lower('{SIGNS}:' || p) FROM (SELECT unnest({[row[0] for row in PEOPLE]}) AS p)"
        ).fetchall()
    )
    assert {row["person"]: row["_signs"] for row in table.to_pylist()} == expected
    (plain,) = loading(job, python_task(), income(job)).go()
    assert "_signs" not in plain.column_names and "_held_out" not in plain.column_names


# ----------------------------------------------------------------------------------------------------- when it fails


def test_another_file_or_a_wrong_key_stops_the_loader_and_says_a_code(job: Job) -> None:
    with pytest.raises(HashMismatch):
        loading(job, python_task(), income(job, file=examples.digest("9"))).go()
    broken = copy.copy(job)
    broken.keys = {**job.keys, "tax.income.attributes": "00" * 32}
    with pytest.raises(BoxFailure) as failure:
        loading(broken, python_task(), income(job)).go()
    assert (failure.value.code, failure.value.facts) == ("load.failed", {})


def test_a_peer_that_wants_no_more_is_no_failure(job: Job) -> None:
    work = loading(job, python_task(), income(job))
    ours, theirs = socket.socketpair()
    theirs.close()
    files = {name: job.folder / "in" / name for name in job.keys}
    keys = BoxKeys(job.keys, {}, "", links={"rows-0": link_key("rows-0")})
    session = Session(work.plan, Entry.LOAD, 1, files, keys, links={"rows-0": Link(ours.detach())})
    assert load.run(dataclasses.replace(session, spill=job.folder / "temp")) == {}


@pytest.mark.long
def test_a_table_larger_than_the_engines_memory_passes_and_is_not_kept(tmp_path: Path) -> None:
    """600 MB of rows through an engine of 128 MB, at a reader that takes its time; the peak of memory stays small."""
    stream_large(tmp_path, rows=3_000_000)


def test_a_table_streams_as_it_is_read(tmp_path: Path) -> None:
    """The short form: the loader stands still with most of its rows, until whoever reads wants more of them."""
    with_first = stream_large(tmp_path, rows=200_000)
    assert with_first, "the loader had sent everything before the first rows were taken"


def stream_large(folder: Path, rows: int) -> bool:
    """Return whether the loader still had rows to send a while after the first were taken, and nothing more was."""
    from inside import engine
    from tests.inside.sql_cases import LIMITS

    small = dataclasses.replace(LIMITS, memory_mb=512, cpus=2)
    (folder / "spill").mkdir()
    path = folder / "wide"
    with engine.open_engine(folder / "spill", LIMITS) as connection:
        engine.add_key(connection, "file", "ab" * 32)
        listed = ", ".join(f"random() AS c{number}" for number in range(25))
        connection.execute(
            f"COPY (SELECT range::UBIGINT AS person, {listed} FROM range({rows})) TO '{path}'"
            f" (FORMAT parquet, ENCRYPTION_CONFIG {engine.encryption('file')})"
        )
    made = dataclasses.replace(relation_of(path), columns=tuple(sorted(f"c{number}" for number in range(25))))
    plan = work_plan(python_task(), (made,), {"wide": path})
    stages = tuple(dataclasses.replace(spec, limits=small) for spec in plan.stages)
    ours, theirs = socket.socketpair()
    keys = BoxKeys({"wide": "ab" * 32}, {}, "", links={"rows-0": link_key("rows-0")})
    session = Session(
        dataclasses.replace(plan, stages=stages), Entry.LOAD, 1, {"wide": path}, keys, spill=folder / "spill",
        links={"rows-0": Link(ours.detach())},
    )  # fmt: skip
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten (proc_pid_clear_refs(5))
    before = peak_mb()
    loader = threading.Thread(target=load.run, args=(session,))
    loader.start()
    count, total, waits = 0, 0.0, False
    with theirs, streams.receive(theirs, link_key("rows-0"), "rows-0") as reader:
        for batch in pa.ipc.open_stream(reader):
            if not count:
                loader.join(1)
                waits = loader.is_alive()
            count += batch.num_rows
            total += batch.nbytes
    loader.join()
    grown = peak_mb() - before
    assert count == rows and not list((folder / "spill").iterdir())
    assert grown < 350, f"{total / 2**20:.0f} MiB passed, and memory grew by {grown:.0f}"
    return waits


def peak_mb() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) // 1024


def relation_of(path: Path) -> Any:
    from plans.plan import Relation

    return Relation("tax.wide", examples.digest("b"), sha256(path), (), "")

"""The same call on look-alike and on real data: the same interface, the same types, and nobody who mistakes one for
the other.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import darkroom
from darkroom import local, session, twin_memory
from darkroom.job import Job
from darkroom.twin_engine import TwinEngine, text_of
from darkroom.twin_result import WARNING, TwinJob
from inside import twin as box
from keys import api as keys
from plans.errors import (
    DarkroomError,
    HashMismatch,
    Malformed,
    NotFound,
    SignatureWrong,
    SqlSyntax,
    SqlUnsupported,
    StateConflict,
    TooLarge,
    Unreachable,
)
from plans.statements import Duty
from plans.trial import TwinTable
from plans.twins import declared_recipe
from tests.client.conftest import Town
from tests.client.look_alikes import MANIFEST, TWIN, lay, other_twin, signed
from tests.portal.region import DATASET, OWNER, release

MEI = "mei@nm/centre"
SQL = "select region, count(*) as n from tax.income group by region order by region"
ABOUT = {"project": "housing", "purpose": "Study of rents"}


@pytest.fixture(autouse=True)
def nothing_chosen() -> Any:
    """No choice of one test is another's."""
    local.choose("", "", "")
    session.forget()
    yield
    local.choose("", "", "")
    session.forget()


@pytest.fixture
def room(town: Town) -> darkroom.Connection:
    lay(town)
    return town.connection(MEI)


# ------------------------------------------------------------------------------------ one word between the two


def test_one_word_changes_and_everything_else_stays(town: Town, room: darkroom.Connection) -> None:
    room.trust_keeper(OWNER, town.region.keeper.public)
    real = room.sql(SQL, on="real", **ABOUT)
    release(town.region, real.id)
    tried = room.sql(SQL, on="twin", **ABOUT)
    shapes: list[list[list[tuple[Any, Any]]]] = []
    for job in (tried, real):
        assert (
            job.wait().finished and job.problem() is None and job.logs() and job.progress() and job.view["id"]
        )
        result: Any = job.result()
        assert result.columns == ("region", "n") and result.types == ("VARCHAR", "BIGINT")
        assert result.to_arrow().schema.field("n").type == pa.int64()
        frames = result.to_pandas(), result.to_pandas(suppressed=True)
        shapes.append([list(frame.dtypes.items()) for frame in frames])
        assert len(result.rows) == len(result.suppressed) == len(result.texts()) == len(result)
        assert result.plot().spec["layer"]
    assert shapes[0] == shapes[1] and [name for name, _ in shapes[0][0]] == ["region", "n"]
    assert any(map(any, real.result().suppressed)), "the control: a figure was withheld of one of them"
    public = {name for name in dir(Job) if not name.startswith("_")} - {
        "connection",
        "remedies",
        "alternatives",
        "retry",
    }
    assert public <= set(dir(tried)), "a job on twins lacks a part of a job's interface"


def test_what_is_made_up_says_so_wherever_it_is_shown(room: darkroom.Connection) -> None:
    job = room.sql(SQL, on="twin")
    result = job.result()
    assert result.look_alike and job.look_alike and result.notes[0] == WARNING
    for shown in (repr(job), repr(result), repr(result.plot()), repr(room.sample(DATASET))):
        assert "LOOK-ALIKE" in shown
    assert "LOOK-ALIKE" in str(result.plot().spec["title"])
    bundle = result._repr_mimebundle_()
    assert "look-alike" in bundle["text/html"].lower() and "look-alike" in bundle["text/plain"].lower()


def test_a_released_result_never_does(town: Town, room: darkroom.Connection) -> None:
    """The control."""
    room.trust_keeper(OWNER, town.region.keeper.public)
    real = room.sql(SQL, on="real", **ABOUT)
    release(town.region, real.id)
    result: Any = real.result()
    assert not result.look_alike and "LOOK-ALIKE" not in repr(result) + repr(result.plot())


def test_a_statement_on_twins_asks_nobody_and_needs_no_keys(town: Town, room: darkroom.Connection) -> None:
    town.home(MEI).keys_file.unlink()
    assert room.sql(SQL, on="twin").result().rows
    assert room.jobs() == []


def test_displaying_a_job_on_twins_asks_nobody(
    room: darkroom.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = room.sql(SQL, on="twin", **ABOUT)

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a display reached for the network")

    monkeypatch.setattr("darkroom.wire.httpx.Client.request", fail)
    assert (
        repr(job)
        and repr(job.result())
        and job.result()._repr_html_()
        and job.result().plot()._repr_mimebundle_()
    )
    with pytest.raises(AssertionError):
        job.explain()


def test_explaining_asks_for_the_owners_rules_by_a_dry_run(
    room: darkroom.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasons = [{"rule": "no-grant", "subject": DATASET, "sentence": "No grant.", "help": "Apply."}]
    asked: list[tuple[str, str, str]] = []

    def dry_run(statement: str, *, project: str, purpose: str, spend_micro: int = 0) -> dict[str, Any]:
        asked.append((statement, project, purpose))
        return {"outcome": "deny", "reasons": reasons, "noise": None}

    monkeypatch.setattr(room, "dry_run", dry_run)
    job = room.sql(SQL, on="twin", **ABOUT)
    assert asked == []
    assert job.explain() == reasons and asked == [(SQL, "housing", "Study of rents")]


# ------------------------------------------------------------------------------------ on which data


def test_outside_a_lab_what_does_not_say_it_is_about_the_real_data(room: darkroom.Connection) -> None:
    assert isinstance(room.sql(SQL, **ABOUT), Job)


def test_in_a_lab_it_must_be_said_and_once_is_enough(
    room: darkroom.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKROOM_LAB", "1")
    with pytest.raises(Malformed) as told:
        room.sql(SQL, **ABOUT)
    assert 'on="twin"' in str(told.value) and 'on="real"' in str(told.value)
    assert room.jobs() == []
    darkroom.use(on="twin")
    assert isinstance(room.sql(SQL), TwinJob)
    assert isinstance(room.sql(SQL, on="real", **ABOUT), Job), "the call's own word goes before"


@pytest.mark.parametrize("on", ["twins", "REAL", "1", " twin"])
def test_no_other_word_is_taken(room: darkroom.Connection, on: str) -> None:
    with pytest.raises(Malformed):
        room.sql(SQL, on=on, **ABOUT)
    with pytest.raises(Malformed):
        darkroom.use(on=on)
    assert room.jobs() == []


def test_project_and_purpose_are_those_of_the_call_the_session_or_the_lab(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(Malformed) as told:
        local.project_and_purpose()
    assert "darkroom.use(project=" in str(told.value)
    monkeypatch.setenv("DARKROOM_PROJECT", "lab")
    monkeypatch.setenv("DARKROOM_PURPOSE", "Of the lab")
    assert local.project_and_purpose() == ("lab", "Of the lab")
    darkroom.use(project="chosen")
    assert local.project_and_purpose() == ("chosen", "Of the lab")
    assert local.project_and_purpose("said", "Said") == ("said", "Said")
    darkroom.use(project="")
    assert local.project_and_purpose()[0] == "lab"


# ------------------------------------------------------------------------------------ whose rows


def in_a_box(table: TwinTable, folder: Path) -> pa.Table:
    box.write(table, 7, folder / "made.arrows")
    return pa.ipc.open_stream((folder / "made.arrows").read_bytes()).read_all()


def test_rows_here_are_the_rows_of_a_trial(room: darkroom.Connection, tmp_path: Path) -> None:
    there = in_a_box(TWIN.recipe.table, tmp_path)
    assert room.twin_table("tax.income").equals(there)
    found = room.sql("select * from tax.income", on="twin").result()
    texts = [tuple(map(text_of, row.values())) for row in there.to_pylist()]
    assert [tuple(cell.v for cell in row) for row in found.sheet.rows] == texts


def test_control_rows_of_another_seed_are_others(room: darkroom.Connection, tmp_path: Path) -> None:
    assert not room.twin_table("tax.income").equals(in_a_box(other_twin().recipe.table, tmp_path))


def test_twins_join_by_person(room: darkroom.Connection) -> None:
    both = "select count(*) as n from tax.income a join tax.income b using (person)"
    (row,) = room.joint_sql(both, on="twin").result().rows
    assert row[0] >= 1000


def test_a_twin_that_the_pinned_keeper_did_not_sign_is_refused(town: Town, room: darkroom.Connection) -> None:
    room.trust_keeper(OWNER, keys.SigningKey.fresh().public)
    with pytest.raises(SignatureWrong):
        room.sql(SQL, on="twin")


def test_a_key_that_is_pinned_later_counts_for_what_was_fetched_before(
    town: Town, room: darkroom.Connection
) -> None:
    assert any("only the portal vouches" in note for note in room.sql(SQL, on="twin").result().notes)
    room.trust_keeper(OWNER, keys.SigningKey.fresh().public)
    with pytest.raises(SignatureWrong):
        room.sql(SQL, on="twin")


def test_with_the_keepers_key_pinned_nothing_has_to_be_said(town: Town, room: darkroom.Connection) -> None:
    """The control."""
    room.trust_keeper(OWNER, town.region.keeper.public)
    assert not any("only the portal vouches" in note for note in room.sql(SQL, on="twin").result().notes)


def test_what_is_no_twin_of_this_dataset_makes_no_rows(
    town: Town, room: darkroom.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = room._wire.get
    moved = replace(MANIFEST, dataset="nm/tax/other")
    other = replace(TWIN, recipe=declared_recipe(moved, "ab" * 16, repeats=True), manifest=moved.digest)
    lies = {
        "of another dataset": (signed(town, other), HashMismatch),
        "of another version": (signed(town, replace(TWIN, version=7)), HashMismatch),
        "of no keeper": (signed(town, duty=Duty.STEWARD), SignatureWrong),
        "changed": (replace(signed(town), signature="0" * 128), SignatureWrong),
    }
    for lie, expected in lies.values():
        answer = {"dataset": DATASET, "version": 1, "signed": lie.plain()}
        monkeypatch.setattr(
            type(room._wire), "get", lambda _, path, a=answer: a if path.endswith("/twin") else honest(path)
        )
        with pytest.raises(expected):
            town.connection(MEI).sql(SQL, on="twin")


def test_what_was_met_goes_on_while_the_portal_is_away(
    room: darkroom.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = room.sql(SQL, on="twin").result().rows

    def away(*_: object, **__: object) -> None:
        raise Unreachable("the portal does not answer")

    monkeypatch.setattr("darkroom.twin_recipes.CATALOG_KEPT_S", -1.0)
    monkeypatch.setattr(type(room._wire), "get", away)
    assert room.sql(SQL, on="twin").result().rows == first
    monkeypatch.setattr(room, "_recipes", None)
    with pytest.raises(Unreachable):
        room.sql(SQL, on="twin")


def test_a_dataset_without_a_twin_says_whom_to_ask(town: Town) -> None:
    with pytest.raises(NotFound) as told:
        town.connection(MEI).sql(SQL, on="twin")
    assert "nm/tax" in str(told.value)


LINE = {"dataset": DATASET, "relation": "tax.income", "version": 1}


@pytest.mark.parametrize("lacks", LINE)
def test_a_line_of_the_catalog_that_lacks_something_is_one_sentence(
    room: darkroom.Connection, monkeypatch: pytest.MonkeyPatch, lacks: str
) -> None:
    line = {name: value for name, value in LINE.items() if name != lacks}
    monkeypatch.setattr(type(room._wire), "get", lambda *_: {"datasets": [line]})
    with pytest.raises(Malformed) as told:
        room.sql(SQL, on="twin")
    assert f"no {lacks}" in told.value.what


def test_two_datasets_of_one_name_are_both_named(
    room: darkroom.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [LINE, LINE | {"dataset": "nm/tax/other"}]
    honest = type(room._wire).get
    monkeypatch.setattr(
        type(room._wire),
        "get",
        lambda wire, path: {"datasets": lines} if path == "/api/v1/datasets" else honest(wire, path),
    )
    with pytest.raises(StateConflict) as told:
        room.sql(SQL, on="twin")
    assert DATASET in told.value.what and "nm/tax/other" in told.value.what
    assert len(room.sample(DATASET, 2)) == 2, "a dataset is one of them"


# ------------------------------------------------------------------------------------ the engine


@pytest.fixture(scope="module")
def engine() -> TwinEngine:
    return TwinEngine()


def table_only(relation: str) -> TwinTable:
    if relation != "tax.income":
        raise NotFound(f"there is no relation {relation}", "relation")
    return TWIN.recipe.table


@pytest.mark.parametrize(
    "statement",
    [
        "select * from read_csv('/etc/passwd')",
        "select * from '/etc/passwd'",
        "copy (select 1) to '/tmp/leak.csv'",
        "create table x as select 1",
        "install httpfs",
        "attach '/tmp/other.db'",
        "set memory_limit = '64GB'",
        "set enable_external_access = true",
        "select 1; select 2",
        "drop table tax.income",
        "secret",
        "select * from secret",
        "select * from getenv('HOME')",
        "",
        "select",
        "pivot tax.income on region using count(*)",
        "select 1\0",
    ],
)
def test_the_engine_reads_no_file_no_variable_and_runs_one_select(engine: TwinEngine, statement: str) -> None:
    secret = pa.table({"a": [1]})
    assert secret.num_rows == 1
    with pytest.raises((SqlSyntax, SqlUnsupported, NotFound)):
        engine.run(statement, table_only)
    assert not Path("/tmp/leak.csv").exists()


@pytest.mark.parametrize(
    "statement",
    [
        "select count(*) from tax.income",
        'select count(*) from "tax"."INCOME"',
        "with a as (select * from Tax.Income) select count(*) from a",
        "select count(*) from (from tax.income) where exists (select 1 from tax.income)",
        "select count(*) from tax.income union all select 1000",
    ],
)
def test_control_what_selects_from_twins_runs(engine: TwinEngine, statement: str) -> None:
    found = engine.run(statement, table_only)
    assert found.rows[0][0].v == "1000" and found.relations == ("tax.income",)


@pytest.mark.parametrize("text", ["it''s", '"', "\\", "；", "--x"])
def test_control_text_in_a_statement_is_text(engine: TwinEngine, text: str) -> None:
    assert engine.run(f"select '{text}' as a", table_only).rows[0][0].v == text.replace("''", "'")


def test_an_error_of_the_engine_is_one_sentence(engine: TwinEngine) -> None:
    with pytest.raises(SqlSyntax) as told:
        engine.run("select regio from tax.income", table_only)
    assert "\n" not in told.value.what and "regio" in told.value.what and "LINE" not in told.value.what


def test_an_answer_larger_than_may_leave_a_box_is_refused(
    engine: TwinEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("darkroom.twin_engine.MOST_CELLS", 100)
    with pytest.raises(TooLarge):
        engine.run("select * from tax.income", table_only)


def test_in_a_lab_the_engine_has_no_more_memory_than_the_lab_has_left(
    room: darkroom.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = "select length(string_agg(range::varchar, ',')) as n from range(10000000)"
    assert int(str(room.sql(long, on="twin").result().rows[0][0])) > 2**26, (
        "the control: elsewhere it has more"
    )
    monkeypatch.setattr(twin_memory, "here", lambda: twin_memory.Room(500 * 2**20, lambda: 360 * 2**20))
    room._engine = None
    with pytest.raises(TooLarge) as told:
        room.sql(long, on="twin")
    assert told.value.what == "the statement needs more memory than it may have here, 76 MiB"
    assert room.sql(SQL, on="twin").result().rows, "what needs less runs on"


def test_without_the_engine_it_is_said_how_to_install_it(
    room: darkroom.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(StateConflict) as told:
        room.sql(SQL, on="twin")
    assert "pip install" in str(told.value)


# ------------------------------------------------------------------------------------ samples, programs, components


def test_a_sample_is_a_few_rows_and_has_bounds(room: darkroom.Connection) -> None:
    assert (
        len(room.sample(DATASET, 3)) == 3
        and room.sample("tax.income", 3).rows == room.sample(DATASET, 3).rows
    )
    for rows in (0, -1, 10**9):
        with pytest.raises(Malformed):
            room.sample(DATASET, rows)
    with pytest.raises(DarkroomError):
        room.sample("nm/tax/incom")


def test_a_programs_tables_are_twins_in_a_lab_and_nowhere_else(
    town: Town, room: darkroom.Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(session, "_open", {"default": room})
    with pytest.raises(NotFound, match="neither a job nor a lab"):
        darkroom.table("tax.income")
    monkeypatch.setenv("DARKROOM_LAB", "1")
    assert darkroom.tables() == ["tax.income"]
    assert darkroom.table("tax.income").equals(room.twin_table("tax.income"))
    assert sum(batch.num_rows for batch in darkroom.batches("tax.income")) == 1000
    with pytest.raises(RuntimeError):
        darkroom.batches("tax.income")
    assert darkroom.out("t.csv") == Path("outputs/t.csv") and Path("outputs").is_dir()


def test_a_folder_of_tables_goes_before_twins(
    room: darkroom.Connection, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from darkroom import program

    own = pa.table({"a": [1]})
    with pa.ipc.new_stream(tmp_path / "tax.income.arrows", own.schema) as writer:
        writer.write_table(own)
    monkeypatch.setattr(program, "_FOLDER", tmp_path)
    monkeypatch.setenv("DARKROOM_LAB", "1")
    assert darkroom.table("tax.income").equals(own)
    program._read.clear(), program._passed.clear()


def test_what_is_left_of_grants_is_told_with_the_places_for_jobs(
    town: Town, room: darkroom.Connection
) -> None:
    assert room.budget() == [] and room.budget().jobs["active"] == 0
    room.sql(SQL, on="real", **ABOUT)
    assert room.budget().jobs["active"] == 1

"""The finish box computes from protected tables, has nothing else, and whatever it says was in them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from inside import finish, judge, table
from inside.session import BoxFailure, Session, handover, padded, unpadded
from keys import sealing
from plans import canonical
from plans.box import Entry
from plans.decision import Obligations, Tier
from plans.errors import EvidenceBroken, Malformed, OutputRefused
from plans.handover import FINISHED, PROTECTED, RECORD
from plans.key import BoxKeys
from plans.plan import Plan
from plans.reading import Cells, Output, Role
from plans.release import RELEASE_INFO
from plans.released import Released
from plans.verdict import Finding, Verdict
from tests.inside.finished import AVERAGE, COUNT, REGION, finished

KEY, NEXT = "aa" * 32, "bb" * 32
BY_REGION = Cells("SELECT 1", (REGION, COUNT, AVERAGE), 2)
TOTAL = Cells("SELECT 2", (COUNT,), 1)
ROWS: list[list[Any]] = [["east", 1_235, "52000.0"], ["north", 20, None], ["west", 775, "48000.0"]]


def planned(
    statement: str, *outputs: Output | tuple[str, str], tables: tuple[Cells, ...] = (BY_REGION, TOTAL)
) -> Plan:
    return finished(tables, statement, outputs)


def protected(plan: Plan, *tables: list[list[Any]]) -> bytes:
    """What a protect box hands over."""
    assert plan.program is not None
    content = [
        {"columns": table.columns(table.Bare(cells.outputs)), "rows": rows}
        for cells, rows in zip(plan.program.tables, tables, strict=True)
    ]
    return canonical.encode({"tables": content, "salt": "cd" * 16})


def session(folder: Path, plan: Plan, content: bytes) -> Session:
    folder.mkdir(exist_ok=True)
    path = folder / PROTECTED
    path.write_bytes(sealing.encrypt(bytes.fromhex(KEY), padded(content), handover(plan, 1, PROTECTED)))
    for name in ("out", "spill"):
        (folder / name).mkdir()
    keys = BoxKeys({PROTECTED: KEY}, {FINISHED: NEXT}, "")
    return Session(plan, Entry.FINISH, 1, {PROTECTED: path}, keys, folder / "out", folder, folder / "spill")


def handed(box: Session) -> bytes:
    sealed = (box.out / FINISHED).read_bytes()
    return unpadded(sealing.decrypt(bytes.fromhex(NEXT), sealed, handover(box.plan, 1, FINISHED)))


def computed(folder: Path, plan: Plan, *tables: list[list[Any]]) -> list[list[Any]]:
    """The rows that a finish makes."""
    box = session(folder, plan, protected(plan, *tables))
    assert finish.run(box) == {}
    content = canonical.decode(handed(box))
    assert isinstance(content, dict) and set(content) == {"tables", "salt"}
    (found,) = content["tables"]
    return list(found["rows"])


# --- computing ------------------------------------------------------------------------------------------------


def test_the_statement_sees_the_protected_tables_by_their_numbers(tmp_path: Path) -> None:
    statement = (
        "SELECT c.region, c.n * 100 / t.n AS share, rank() OVER (ORDER BY c.n DESC) AS place"
        " FROM cells_0 AS c, cells_1 AS t WHERE c.n > 100 ORDER BY place"
    )
    plan = planned(statement, REGION, ("share", "DOUBLE"), ("place", "BIGINT"))
    assert computed(tmp_path, plan, ROWS, [[2_030]]) == [
        ["east", repr(123_500 / 2_030), 1], ["west", repr(77_500 / 2_030), 2],
    ]  # fmt: skip


def test_a_suppressed_figure_has_no_value(tmp_path: Path) -> None:
    plan = planned("SELECT sum(income) AS s, count(income) AS k, count(*) AS r FROM cells_0",
                   ("s", "DOUBLE"), ("k", "BIGINT"), ("r", "BIGINT"))  # fmt: skip
    assert computed(tmp_path, plan, ROWS, []) == [["100000.0", 2, 3]]


def test_every_type_of_key_and_figure_comes_back_as_itself(tmp_path: Path) -> None:
    kinds = ("VARCHAR", "BOOLEAN", "DATE", "TIMESTAMP", "TINYINT", "UBIGINT", "HUGEINT", "DECIMAL(12,2)", "DOUBLE",
             "FLOAT")  # fmt: skip
    keys = tuple(Output(f"k{n}", kind, Role.KEY, "", 0) for n, kind in enumerate(kinds))
    values = ["it's \\ \"x\" 东", True, "2024-02-29", "2024-02-29 08:00:00.500000", -7, str(2**53), "9" * 37, "1.5",
              "0.1", "2.5"]  # fmt: skip
    empty = [None] * len(kinds)
    plan = planned("SELECT * FROM cells_0", *keys, tables=(Cells("SELECT 1", keys, 1),))
    first, second = computed(tmp_path, plan, [values, empty])
    assert second == empty
    assert first == [*values[:5], str(2**53), "9" * 37, "1.50", "0.1", "2.5"]


def test_not_a_number_is_one_and_a_figure_beyond_its_type_has_no_value(tmp_path: Path) -> None:
    outputs = (Output("k", "DOUBLE", Role.KEY, "", 0), Output("f", "TINYINT", Role.FIGURE, "max", 0))
    plan = planned("SELECT k, f FROM cells_0", *outputs, tables=(Cells("SELECT 1", outputs, 1),))
    assert computed(tmp_path, plan, [["nan", 130], ["1.0", 100]]) == [["nan", None], ["1.0", 100]]


def test_a_division_by_zero_has_no_value_as_in_the_query_box(tmp_path: Path) -> None:
    plan = planned("SELECT 1 / (n - n) AS x FROM cells_1", ("x", "DOUBLE"))
    assert computed(tmp_path, plan, [], [[5]]) == [[None]]


def test_many_rows_are_taken_at_once(tmp_path: Path) -> None:
    plan = planned("SELECT count(*) AS r, sum(n) AS s FROM cells_0", ("r", "BIGINT"), ("s", "HUGEINT"))
    rows: list[list[Any]] = [[f"r{n}", n, "1.0"] for n in range(100_000)]
    assert computed(tmp_path, plan, rows, []) == [[100_000, sum(range(100_000))]]


# --- nothing else ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM tax.income",
        "SELECT * FROM '{folder}/protected.bin'",
        "SELECT content FROM read_text('{folder}/protected.bin')",
        "SELECT content FROM read_blob('/etc/hostname')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "COPY cells_0 TO '{folder}/out/copy.csv'",
        "ATTACH '{folder}/out/new.db'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "SELECT error(region) FROM cells_0",
        "SELECT CAST(region AS INTEGER) FROM cells_0",
        "SELECT n * 9223372036854775807 FROM cells_0",
        "SELECT region FROM",
    ],
)
def test_whatever_fails_in_it_fails_with_one_code_and_leaves_nothing(tmp_path: Path, statement: str) -> None:
    """The guard lets few of these through; the box does not rely on it."""
    plan = planned(statement.format(folder=tmp_path), ("x", "VARCHAR"))
    box = session(tmp_path, plan, protected(plan, ROWS, []))
    with pytest.raises(BoxFailure) as failure:
        finish.run(box)
    assert (failure.value.code, failure.value.facts) == ("finish.failed", {})
    assert failure.value.__cause__ is None and failure.value.__suppress_context__
    assert list(box.out.iterdir()) == []


def test_the_box_has_no_key_and_no_file_but_its_own(tmp_path: Path) -> None:
    plan = planned("SELECT * FROM duckdb_secrets()", ("x", "VARCHAR"))
    box = session(tmp_path, plan, protected(plan, ROWS, []))
    assert set(box.keys.inputs) == {PROTECTED} and box.keys.pseudonyms == {}
    names = planned("SELECT table_name AS x FROM duckdb_tables() ORDER BY 1", ("x", "VARCHAR"))
    assert computed(tmp_path / "names", names, ROWS, []) == [["cells_0"], ["cells_1"]]


def test_more_rows_than_the_judge_reads_end_in_one_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finish, "MOST_CELLS", 2)
    plan = planned("SELECT n FROM cells_0", ("n", "BIGINT"))
    with pytest.raises(BoxFailure, match=r"result\.too-large"):
        computed(tmp_path, plan, ROWS, [])


@pytest.mark.parametrize("data", [b"", b"{}", b"CANARY"])
def test_what_no_protect_box_writes_is_refused(tmp_path: Path, data: bytes) -> None:
    plan = planned("SELECT n FROM cells_0", ("n", "BIGINT"))
    box = session(tmp_path, plan, data)
    with pytest.raises(OutputRefused):
        finish.run(box)


def test_what_the_parse_box_wrote_does_not_open_here(tmp_path: Path) -> None:
    """A carrier that hands the unprotected tables to this box: they lie under another key and another name."""
    plan = planned("SELECT n FROM cells_0", ("n", "BIGINT"))
    box = session(tmp_path, plan, protected(plan, ROWS, []))
    sealed = sealing.encrypt(bytes.fromhex(KEY), padded(b"x"), handover(plan, 1, "table.bin"))
    box.inputs[PROTECTED].write_bytes(sealed)
    with pytest.raises(EvidenceBroken):
        finish.run(box)


# --- judged once more -----------------------------------------------------------------------------------------


def judged(folder: Path, plan: Plan, content: bytes) -> tuple[Verdict, Session]:
    folder.mkdir(exist_ok=True)
    path = folder / FINISHED
    path.write_bytes(sealing.encrypt(bytes.fromhex(NEXT), padded(content), handover(plan, 1, FINISHED)))
    (folder / "sealed").mkdir()
    keys = BoxKeys({FINISHED: NEXT}, {RECORD: NEXT}, "")
    box = Session(plan, Entry.JUDGE, 1, {FINISHED: path}, keys, folder / "sealed", folder)
    return Verdict.read(judge.run(box)["verdict"]), box


def result_of(plan: Plan, *rows: list[Any], **changes: Any) -> bytes:
    assert plan.program is not None
    content = {"columns": table.columns(table.Bare(plan.program.outputs)), "rows": list(rows)}
    return canonical.encode({"tables": [content], "salt": "cd" * 16, **changes})


WITH_SHARE = ("SELECT 1", REGION, ("share", "DOUBLE"))


def test_what_was_computed_leaves_as_it_is_and_the_notes_say_so(tmp_path: Path) -> None:
    recipient = sealing.OpeningKey.fresh()
    plan = for_recipient(planned(*WITH_SHARE), recipient)
    content = result_of(plan, ["west", "0.30000000000000004"], ["east", None], ["east", "nan"])
    verdict, box = judged(tmp_path, plan, content)
    assert verdict.finding is Finding.REPAIRED
    assert verdict.reasons == ("small-group", "rounding", "ledger", "finished")
    assert verdict.judged == canonical.digest_bytes("table", content)
    released = opened(recipient, box)
    assert [[cell.v for cell in row] for row in released.rows] == [
        ["west", "0.30000000000000004"], ["east", None], ["east", "nan"],
    ]  # fmt: skip


def test_nothing_left_and_too_much_are_refused(tmp_path: Path) -> None:
    plan = planned(*WITH_SHARE)
    verdict, box = judged(tmp_path / "a", plan, result_of(plan))
    assert (verdict.finding, verdict.reasons) == (Finding.REFUSED, ("nothing-left",))
    assert [path.name for path in box.out.iterdir()] == [RECORD]
    small = Obligations(10, 5, 3, Tier.T1)
    plan = finished((BY_REGION, TOTAL), "SELECT 1", WITH_SHARE[1:], small)
    verdict, box = judged(tmp_path / "b", plan, result_of(plan, ["a", "1.0"], ["b", "1.0"]))
    assert (verdict.finding, verdict.reasons) == (Finding.REFUSED, ("too-many-rows",))
    assert [path.name for path in box.out.iterdir()] == [RECORD]


@pytest.mark.parametrize(
    "hostile",
    [
        lambda plan: b"PAR1",
        lambda plan: result_of(plan, ["east", "1.0", 5]),
        lambda plan: result_of(plan, ["east", "one"]),
        lambda plan: result_of(plan, ["east", "1.0"], salt="no salt"),
        lambda plan: result_of(plan, ["east", "1.0"], tables=[]),
        lambda plan: result_of(plan, ["east", "1.0"], note="CANARY"),
    ],
)
def test_94_a_broken_engine_gets_nothing_but_a_table_past_the_judge(tmp_path: Path, hostile: Any) -> None:
    plan = planned(*WITH_SHARE)
    with pytest.raises((OutputRefused, Malformed)) as refused:
        judged(tmp_path, plan, hostile(plan))
    assert "CANARY" not in str(refused.value)


def for_recipient(plan: Plan, recipient: sealing.OpeningKey) -> Plan:
    assert plan.request is not None
    return dataclasses.replace(plan, request=dataclasses.replace(plan.request, recipient=recipient.public))


def opened(recipient: sealing.OpeningKey, box: Session) -> Released:
    sealed = (box.out / "release.bin").read_bytes()
    return Released.decode(recipient.open(sealed, RELEASE_INFO, box.plan.digest.encode()))

"""A statement through all of its boxes in one process: what leaves of figures, of what is computed from them, of rows.

The same boxes run for real in `tests/e2e`; here each has the keys that a keeper would give it.
"""

from __future__ import annotations

import datetime
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from inside.session import BoxFailure
from plans.constraints import Mask, MaskKind
from plans.decision import Obligations, Tier
from plans.errors import DarkroomError, Malformed, SqlUnsupported
from plans.plan import Program
from plans.reading import Level, Reading, Role, Shadow
from plans.verdict import Finding
from tests.drawn import without_drawn
from tests.inside.sql_cases import INCOME, Job, read
from tests.inside.whole_way import OPEN, Way, Went, relation

CANARY = "CANARY-OF-THE-WAY"
BORN = datetime.date(1980, 2, 29)
TEN = Obligations(minimum_group=10, rounding=5, largest_result=1_000, tier=Tier.T1)
PEOPLE: list[tuple[Any, ...]] = [
    (person, ("东", "西", "北")[person % 3], 20 + person % 3, 1000.0 * person, Decimal("12.30"), BORN, person % 2 == 0)
    for person in range(1, 91)
]  # fmt: skip
RARE = [(91, CANARY, 99, 987_654_321.0, Decimal("1.00"), BORN, True)]


def shown(*columns: str) -> Shadow:
    """Incomes as somebody sees them to whom the owner shows these columns."""
    listed = tuple(replace(column, shown=column.name in columns) for column in INCOME.columns)
    return replace(INCOME, columns=listed)


def went(
    folder: Path,
    statement: str,
    rows: list[tuple[Any, ...]],
    obligations: Obligations = TEN,
    view: Shadow = INCOME,
    **changes: Any,
) -> Went:
    """What leaves for a statement over some people."""
    folder.mkdir(exist_ok=True)
    job = Job(folder, {"tax.income": rows})
    return Way(job, program(job, read(statement, view), **changes), obligations).go()


def program(job: Job, reading: Reading, **changes: Any) -> Program:
    used = {use.column for use in reading.uses} - {"person"}
    relations = (relation(job, "tax.income", *used, **changes),)
    return Program(
        relations,
        reading.level,
        reading.tables,
        reading.finish,
        reading.outputs,
        reading.order,
        reading.limit,
    )


# --- figures, and what is computed from them ------------------------------------------------------------------

SHARES = (
    "with r as (select region, count(*) as n, sum(income) as s from tax.income group by region)"
    " select region, s / n as mean, n * 100 / sum(n) over () as share, rank() over (order by s desc) as place"
    " from r where n >= 1 order by place"
)
HAVING = (
    "select region, avg(income) as m from tax.income group by region having count(*) >= 1 order by m desc"
)
UNION = (
    "select region as k, count(*) as n from tax.income group by region"
    " union all select cast(age as varchar), count(*) from tax.income group by age order by k"
)
MARGINS = "select region, urban, count(*) as n from tax.income group by cube(region, urban)"
OUTER = (SHARES, HAVING, UNION, MARGINS)


def test_what_is_outside_computes_from_rounded_figures_of_large_groups(tmp_path: Path) -> None:
    found = went(tmp_path, SHARES, PEOPLE + RARE)
    assert {row[0] for row in found.rows} == {"东", "西", "北"}
    assert {row[1] for row in found.rows} == {repr(1_000_000 / 30)}, (
        "thirty persons support one digit of a sum"
    )
    assert {row[2] for row in found.rows} == {repr(3_000 / 90)}, "the total is that of what is shown"
    assert found.notes == ("small-group", "rounding", "dominance", "ledger", "finished")
    assert found.verdict.finding is Finding.REPAIRED


@pytest.mark.parametrize("statement", OUTER)
def test_24_no_statement_finds_a_small_group_in_what_it_computes(tmp_path: Path, statement: str) -> None:
    found = went(tmp_path, statement, PEOPLE + RARE)
    everything = without_drawn(f"{found.released} {found.verdict}")
    assert (
        found.rows
        and CANARY not in everything
        and "987654" not in everything
        and "'99'" not in str(found.rows)
    )


@pytest.mark.parametrize("statement", OUTER[:3])
def test_the_control_without_a_minimum_group_it_does(tmp_path: Path, statement: str) -> None:
    assert CANARY in str(went(tmp_path, statement, PEOPLE + RARE, OPEN).released)


@pytest.mark.parametrize("statement", OUTER)
def test_27_90_whether_there_is_a_small_group_shows_in_no_figure_and_no_margin(
    tmp_path: Path, statement: str
) -> None:
    """Totals are recomputed from what is shown, so a difference between a total and its parts is always nought."""
    with_it, without = (
        went(tmp_path / str(n), statement, rows) for n, rows in enumerate((PEOPLE + RARE, PEOPLE))
    )
    assert with_it.rows == without.rows and with_it.notes == without.notes
    assert (with_it.verdict.finding, with_it.verdict.reasons) == (
        without.verdict.finding,
        without.verdict.reasons,
    )


def test_21_90_an_outer_condition_cannot_fail_on_what_is_hidden(tmp_path: Path) -> None:
    """A cast or division outside works on released values: it fails for all data with these, or for none."""
    statement = (
        "select region, 100000 / (91 - max_n) as x"
        " from (select region, count(*) as max_n from tax.income group by region) as t"
    )
    ends = []
    for name, rows in (("with", PEOPLE + RARE), ("without", PEOPLE)):
        try:
            ends.append(went(tmp_path / name, statement, rows).rows)
        except BoxFailure as failure:
            ends.append(failure.code)
    assert ends[0] == ends[1]


def test_nothing_that_fits_an_outer_condition_is_a_refusal(tmp_path: Path) -> None:
    found = went(
        tmp_path,
        "select region, count(*) as n from tax.income group by region having count(*) > 1000",
        PEOPLE,
    )
    assert (found.verdict.finding, found.verdict.reasons, found.released) == (
        Finding.REFUSED, ("nothing-left",), None,
    )  # fmt: skip


def test_a_statement_with_too_large_an_inner_table_stops_whatever_it_keeps(tmp_path: Path) -> None:
    small = replace(TEN, largest_result=8)
    statement = (
        "select region, n from (select region, count(*) as n from tax.income group by region) as t"
        " order by n limit 1"
    )
    assert went(tmp_path / "fits", statement, PEOPLE, small).rows
    with pytest.raises(BoxFailure, match=r"protect\.too-large"):
        went(tmp_path / "not", statement, PEOPLE, replace(TEN, largest_result=5))


def test_neither_report_nor_files_of_a_stage_say_anything(tmp_path: Path) -> None:
    found = went(tmp_path, SHARES, PEOPLE + RARE)
    for stage, session in found.sessions.items():
        for file in session.out.iterdir():
            assert CANARY.encode() not in file.read_bytes(), stage
            assert file.stat().st_size & 0xFFFF < 4096, "padded: a size tells no row"


# --- rows -----------------------------------------------------------------------------------------------------

LIST = "select region, age, income from tax.income where age > 20 order by income desc limit 3"


def test_rows_leave_as_they_are_in_the_order_of_the_statement(tmp_path: Path) -> None:
    found = went(tmp_path, LIST, PEOPLE, view=shown("region", "age", "income"))
    assert found.rows == [["西", "21", "88000"], ["北", "22", "89000"]][::-1] + [["北", "22", "86000"]]
    assert (found.notes, found.verdict.finding) == (("row-level",), Finding.PASS)
    assert found.released is not None and "rows" in found.released.notes[0].sentence


def test_no_row_at_all_is_an_answer_where_rows_are_shown(tmp_path: Path) -> None:
    found = went(
        tmp_path, "select region from tax.income where age > 1000", PEOPLE, view=shown("region", "age")
    )
    assert found.rows == [] and found.verdict.finding is Finding.PASS


def test_rows_are_bounded_as_any_output(tmp_path: Path) -> None:
    few = replace(TEN, largest_result=89)
    view = shown("region", "age", "income")
    found = went(tmp_path / "all", "select region from tax.income", PEOPLE, few, view=view)
    assert (found.verdict.finding, found.verdict.reasons) == (Finding.REFUSED, ("too-many-rows",))
    assert (
        len(went(tmp_path / "some", "select region from tax.income limit 89", PEOPLE, few, view=view).rows)
        == 89
    )


def test_19_without_one_column_shown_no_row_leaves(tmp_path: Path) -> None:
    with pytest.raises(SqlUnsupported):
        went(tmp_path, LIST, PEOPLE, view=shown("region", "age"))


def test_a_program_cannot_call_figures_rows_nor_rows_figures(tmp_path: Path) -> None:
    """The level stands in the plan, which the owner derives; what belongs to it is checked wherever a plan is read."""
    job = Job(tmp_path, {"tax.income": PEOPLE})
    rows = program(job, read(LIST, shown("region", "age", "income")))
    cells = program(job, read("select region, count(*) as n from tax.income group by region"))
    assert rows.level is Level.ROWS and {output.role for output in rows.outputs} == {Role.VALUE}
    for made, level in ((rows, Level.CELLS), (cells, Level.ROWS)):
        with pytest.raises(Malformed):
            replace(made, level=level)
    with pytest.raises(Malformed):
        Program.read({**rows.plain(), "level": "cells"})


def test_masked_columns_leave_masked_and_the_notes_name_them(tmp_path: Path) -> None:
    masks = (Mask("born", MaskKind.DATE, "year"), Mask("income", MaskKind.BUCKET, "10000"))
    statement = "select born, income from tax.income where income >= 80000 order by income, born limit 100"
    found = went(
        tmp_path, statement, PEOPLE, view=shown("born", "income"), masks=masks, row_filter="region <> '东'"
    )
    assert set(map(tuple, found.rows)) == {("1980-01-01", "80000"), }  # fmt: skip
    assert found.notes == ("row-level", "masked") and found.released is not None
    assert "tax.income.born (date year), tax.income.income (bucket 10000)" in found.released.notes[1].sentence


def test_pseudonyms_join_and_name_nobody(tmp_path: Path) -> None:
    masks = (Mask("region", MaskKind.PSEUDONYM, ""),)
    first, second = (
        went(tmp_path / name, "select region from tax.income order by age, income", PEOPLE,
             view=shown("region", "age", "income"), masks=masks)
        for name in ("a", "b")
    )  # fmt: skip
    assert first.rows == second.rows and len(set(map(tuple, first.rows))) == 3
    assert not {row[0] for row in first.rows} & {"东", "西", "北"}


def test_an_error_of_a_members_rows_says_nothing(tmp_path: Path) -> None:
    with pytest.raises((BoxFailure, DarkroomError)) as failure:
        went(tmp_path, "select cast(region as integer) as x from tax.income", RARE, view=shown("region"))
    assert CANARY not in str(failure.value) and CANARY not in repr(failure.value.args)

"""The level of rows: what the engine's binder does not confirm is refused, whatever the first reader says.

Forged readings stand for a first reader that is wrong; each attack has the honest reading as its control.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from inside.rows import check_rows, finish_outputs
from plans.errors import Malformed, SqlSyntax, SqlUnsupported
from plans.reading import Cells, Clause, ColumnUse, Output, Reading, Role, Shadow, ShadowColumn
from policies.reading.bounds import parse
from policies.reading.rows import read_rows


def shadow(relation: str, hidden: str = "", linked: bool = True, **columns: str) -> Shadow:
    """A relation with a person token that may link rows; columns are shown but those in `hidden`."""
    listed = (ShadowColumn(name, kind, True, name not in hidden.split()) for name, kind in columns.items())
    return Shadow(relation, (ShadowColumn("person", "UBIGINT", False, linked), *listed))


INCOME = shadow("tax.income", hidden="debt", region="VARCHAR", income="DOUBLE", born="DATE", debt="DOUBLE")
VISIT = shadow("med.visit", region="VARCHAR", cost="DECIMAL(9,2)", day="TIMESTAMP")
SHADOWS = (INCOME, VISIT)
PLAIN = "select region, income * 2 as twice from tax.income where born > date '2000-01-01'"


def first(statement: str) -> Reading:
    """What the first reader says."""
    reading = read_rows(parse(statement), statement, SHADOWS)
    assert reading is not None
    return reading


def check(statement: str) -> Reading:
    """What both say."""
    return check_rows(first(statement), statement, SHADOWS, 512)


def test_types_and_sources_are_the_binders_and_uses_are_those_of_both() -> None:
    reading = check(PLAIN)
    assert [(output.name, output.type, output.role) for output in reading.outputs] == [
        ("region", "VARCHAR", Role.VALUE),
        ("twice", "DOUBLE", Role.VALUE),
    ]
    assert [output.sources for output in reading.outputs] == [("tax.income.region",), ("tax.income.income",)]
    assert set(first(PLAIN).uses) <= set(reading.uses)
    assert ColumnUse("tax.income", "born", Clause.COMPARE, "") in reading.uses
    assert reading.tables[0].outputs == reading.outputs


def test_equal_statements_have_equal_readings() -> None:
    assert check(PLAIN).canonical() == check(PLAIN).canonical()


# --- a first reader that is wrong -----------------------------------------------------


def text(reading: Reading, statement: str) -> Reading:
    """A reading whose text that runs is another one."""
    (table,) = reading.tables
    return replace(reading, tables=(replace(table, counted=statement),))


FORGED: dict[str, tuple[Callable[[Reading], Reading], str | None]] = {
    "a column is missing": (lambda r: replace(r, uses=r.uses[1:]), "columns"),
    "no column at all": (lambda r: replace(r, uses=()), "columns"),
    "another text runs": (lambda r: text(r, "select born, income from tax.income"), None),
    "a hidden column runs": (lambda r: text(r, "select region, debt from tax.income"), "columns"),
    "a hidden column runs, and is admitted": (
        lambda r: replace(
            text(r, "select region, debt from tax.income"),
            uses=(*r.uses, ColumnUse("tax.income", "debt", Clause.SELECT, "")),
        ),
        "shown",
    ),
    "the token runs": (lambda r: text(r, "select region, person from tax.income"), "columns"),
    "a file runs": (lambda r: text(r, "select 1, 2 from '/etc/passwd'"), None),
    "another relation runs": (lambda r: text(r, "select region, cost from med.visit"), None),
    "the clock runs": (lambda r: text(r, "select region, epoch(now()) * income from tax.income"), "now"),
    "a text for SQL runs": (lambda r: text(r, "select region, 1 from query('from tax.income')"), None),
    "two statements run": (lambda r: text(r, f"{PLAIN}; select 1, 2"), None),
    "one output more": (lambda r: text(r, PLAIN.replace("select", "select 1,")), "outputs"),
    "another statement was asked": (lambda r: replace(r, statement="sha256:" + "0" * 64), "statement"),
}


@pytest.mark.parametrize(("forge", "word"), FORGED.values(), ids=FORGED)
def test_what_the_binder_does_not_confirm_is_refused(
    forge: Callable[[Reading], Reading], word: str | None
) -> None:
    with pytest.raises((SqlUnsupported, SqlSyntax), match=word):
        check_rows(forge(first(PLAIN)), PLAIN, SHADOWS, 512)


def test_control_the_honest_reading_passes() -> None:
    assert check_rows(first(PLAIN), PLAIN, SHADOWS, 512).outputs


# --- the person token -----------------------------------------------------

LINKS = [
    "select i.income, v.cost from tax.income i join med.visit v on i.person = v.person",
    "select income, cost from tax.income join med.visit using (person)",
    "select i.income from tax.income i, med.visit v where i.person = v.person and v.cost > 3",
    "select income from tax.income where person in (select person from med.visit)",
    "select income from tax.income i where exists (select * from med.visit v where v.person = i.person)",
    "select income, (select max(cost) from med.visit v where v.person = i.person) as most from tax.income i",
    "with v as (select person, cost from med.visit) select income, cost from tax.income join v using (person)",
    "select region, count(distinct person) as persons from tax.income group by region",
]


@pytest.mark.parametrize("statement", LINKS)
def test_a_token_links_and_is_counted(statement: str) -> None:
    uses = {(use.clause, use.function) for use in check(statement).uses if use.column == "person"}
    assert uses <= {(Clause.JOIN, ""), (Clause.AGGREGATE, "count_distinct")}


@pytest.mark.parametrize("statement", LINKS)
def test_without_the_owners_consent_rows_are_not_linked_by_the_token(statement: str) -> None:
    apart = tuple(
        replace(each, columns=(replace(each.columns[0], shown=False), *each.columns[1:])) for each in SHADOWS
    )
    assert read_rows(parse(statement), statement, apart) is None
    with pytest.raises(SqlUnsupported, match="may be shown"):
        check_rows(first(statement), statement, apart, 512)


@pytest.mark.parametrize("statement", [
    "select count(*) from med.visit", "select i.region from tax.income i, med.visit v", "select 1 from med.visit",
    "select region from tax.income where exists (select 1 from med.visit)",
    "select region, (select count(*) from med.visit) from tax.income",
])  # fmt: skip
def test_not_even_the_number_of_rows_is_told_of_a_relation_that_shows_no_column(statement: str) -> None:
    assert read_rows(parse(statement), statement, SHADOWS) is not None, (
        "control: it is read where a column is shown"
    )
    dark = tuple(replace(column, shown=False) for column in VISIT.columns)
    assert read_rows(parse(statement), statement, (INCOME, replace(VISIT, columns=dark))) is None


@pytest.mark.parametrize("statement", LINKS)
def test_a_token_that_its_owner_keeps_links_nothing(statement: str) -> None:
    kept = tuple(
        replace(each, columns=(replace(each.columns[0], shown=False), *each.columns[1:])) for each in SHADOWS
    )
    with pytest.raises(SqlUnsupported, match="may be shown"):
        check_rows(first(statement), statement, kept, 512)


def test_the_rows_of_a_relation_that_shows_nothing_are_not_even_counted() -> None:
    statement = "select income, count(*) as n from tax.income, med.visit group by income"
    dark = replace(VISIT, columns=tuple(replace(column, shown=False) for column in VISIT.columns))
    assert check(statement).outputs
    with pytest.raises(SqlUnsupported, match="may be shown"):
        check_rows(first(statement), statement, (INCOME, dark), 512)


SEEN = [
    "select person, income from tax.income",
    "select hash(person), income from tax.income",
    "select count(person), income from tax.income group by income",
    "select 1, income from tax.income order by person",
    "select 1, income from tax.income where person > 5",
    "select 1, income from tax.income where person is not null",
    "select 1, income from tax.income where person in (1, 2)",
    "select 1, income from tax.income where person % 2 = 0",
    "select count(*), max(income) from tax.income group by person",
    "select row_number() over (partition by person), income from tax.income",
    "select 1, i.income from tax.income i, med.visit v where i.person < v.person",
    "select 1, i.income from tax.income i, med.visit v where i.person = v.cost",
    "select 1, i.income from tax.income i, med.visit v where i.person % 9 = v.person % 9",
    "select distinct person is null, income from tax.income",
    "select (select person from med.visit limit 1), income from tax.income",
    "select 1, income from tax.income i where exists (select i.person // 0)",
]


@pytest.mark.parametrize("statement", SEEN)
def test_nothing_else_is_done_with_a_token_even_if_the_first_reader_saw_a_link(statement: str) -> None:
    uses = [
        ColumnUse(each.relation, column.name, Clause.JOIN, "")
        for each in SHADOWS
        for column in each.columns
        if column.name == "person" or column.shown
    ]
    honest = first("select region, income from tax.income")
    forged = replace(text(honest, statement), uses=tuple(uses), relations=("med.visit", "tax.income"))
    with pytest.raises(SqlUnsupported, match="may be shown"):
        check_rows(forged, "select region, income from tax.income", SHADOWS, 512)


# --- what runs is what was read -----------------------------------------------------

SHIFTING = [
    "select r from med.visit as v(p, q, r)",
    "select columns('region|cost') from med.visit natural join tax.income",
    "select * exclude (person, region, day) from med.visit",
]


@pytest.mark.parametrize("statement", SHIFTING)
def test_what_depends_on_unused_columns_is_refused_since_they_are_not_there_when_it_runs(
    statement: str,
) -> None:
    honest = first("select cost from med.visit")
    assert len(honest.uses) == 1
    with pytest.raises((SqlUnsupported, SqlSyntax)):
        check_rows(text(honest, statement), "select cost from med.visit", SHADOWS, 512)


def test_control_the_same_column_by_its_name_is_not_refused() -> None:
    assert check("select cost from med.visit").outputs[0].type == "DECIMAL(9,2)"


CODE = Shadow("tax.code", tuple(ShadowColumn(name, "VARCHAR", True, True) for name in ("code", "name")))


def about_nobody(statement: str) -> Reading:
    """What both readers say where one relation is about nobody."""
    shadows = (*SHADOWS, CODE)
    reading = read_rows(parse(statement), statement, shadows)
    assert reading is not None
    return check_rows(reading, statement, shadows, 512)


@pytest.mark.parametrize(
    "statement",
    [
        "select count(*) as n from tax.code",
        "select 1 as one from tax.code, tax.code as c",
        "select * from tax.code",
        "select c.name, sum(i.income) as x from tax.income i left join tax.code c on i.region = c.code group by all",
        "select name from tax.code where code in (select region from tax.income)",
    ],
)
def test_a_relation_about_nobody_is_read_without_a_token(statement: str) -> None:
    reading = about_nobody(statement)
    assert "tax.code" in reading.relations and not any(use.column == "person" for use in reading.uses)


@pytest.mark.parametrize(
    "statement",
    [
        "select person from tax.code",
        "select i.income from tax.income i join tax.code c using (person)",
        "select _rows from tax.code",
        "select count(_rows) as n from tax.code",
        "select count(*) as _rows from tax.code group by _rows",
        "select c from tax.code as c",
    ],
)
def test_nor_has_it_one_nor_what_stands_in_for_its_columns(statement: str) -> None:
    with pytest.raises((SqlUnsupported, SqlSyntax)):
        about_nobody(statement)


CANNOT_LEAVE = [
    ("select day - day as gap from med.visit", "INTERVAL"),
    ("select list(cost) as costs from med.visit", "LIST"),
    ("select day::time as t from med.visit", "TIME"),
]


@pytest.mark.parametrize(("statement", "kind"), CANNOT_LEAVE)
def test_a_type_that_no_table_can_hold_is_refused_with_advice(statement: str, kind: str) -> None:
    with pytest.raises(SqlUnsupported, match=kind) as refused:
        check(statement)
    assert "text" in refused.value.problem()["next_step"]


# --- a finish -----------------------------------------------------

CELLS = (
    Cells(
        "SELECT …",
        (
            Output("region", "VARCHAR", Role.KEY, "", 0, ("tax.income.region",)),
            Output("total", "DOUBLE", Role.FIGURE, "sum", 0, ("tax.income.income",)),
        ),
        1,
    ),
    Cells("SELECT …", (Output("n", "BIGINT", Role.FIGURE, "count", 0),), 1),
)


def test_a_finish_yields_typed_outputs_with_the_sources_of_what_it_reads() -> None:
    finish = """WITH t AS (SELECT region, total / 2 AS half FROM cells_0 WHERE total > 5)
        SELECT region, half AS h, rank() OVER (ORDER BY half) AS place, (SELECT n FROM cells_1) AS n
        FROM t ORDER BY h"""
    assert finish_outputs(finish, CELLS, 512) == (
        Output("region", "VARCHAR", Role.DERIVED, "", 0, ("tax.income.region",)),
        Output("h", "DOUBLE", Role.DERIVED, "", 0, ("tax.income.income",)),
        Output("place", "BIGINT", Role.DERIVED, "", 0, ("tax.income.income",)),
        Output("n", "BIGINT", Role.DERIVED, "", 0),
    )


@pytest.mark.parametrize(
    "finish",
    [
        "SELECT region FROM tax.income",
        "SELECT region FROM cells_0 JOIN tax.income USING (region)",
        "SELECT total FROM cells_2",
        "SELECT _persons_0 AS n FROM cells_0",
        "SELECT content FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT database_name AS d FROM duckdb_databases()",
        "SELECT table_name AS t FROM information_schema.tables",
        "SELECT range AS r FROM range(10)",
        "SELECT random() AS r FROM cells_0",
        "SELECT getenv('HOME') AS r FROM cells_0",
        "SELECT list(total) AS r FROM cells_0",
        "SELECT error('x') AS r FROM cells_0",
        "SELECT rowid AS r FROM cells_0",
        "SELECT total AS a, region AS a FROM cells_0",
        'SELECT total AS "<b>" FROM cells_0',
        "SELECT total + 1 FROM cells_0",
        "SELECT total AS a FROM cells_0; SELECT 1 AS b",
        "DROP TABLE cells_0",
        "COPY cells_0 TO '/tmp/x'",
    ],
)
def test_a_finish_reads_nothing_but_its_tables_and_calls_listed_functions_only(finish: str) -> None:
    with pytest.raises(Malformed):
        finish_outputs(finish, CELLS, 512)

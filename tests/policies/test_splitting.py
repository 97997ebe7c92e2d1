"""A statement of several SELECTs is split: what touches rows is counted, and the rest reads protected tables only."""

from __future__ import annotations

import re
import time

import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from plans.errors import Malformed, SqlSyntax, SqlUnsupported
from plans.reading import Level, Reading, Role
from policies.reading import cells, finish, grammar, read, read_forms, scopes, splitting
from tests.inside.sql_cases import SHADOWS

BY_REGION = "select region, count(*) n from tax.income group by region"


def split(statement: str) -> Reading:
    reading = read(statement, SHADOWS)
    assert reading.finish, "the statement was not split"
    return reading


def uses(statement: str) -> set[tuple[str, str, str, str]]:
    found = read(statement, SHADOWS).uses
    return {(use.relation, use.column, use.clause.value, use.function) for use in found}


# --------------------------------------------------------------------------- what runs over rows, and what does not


def test_a_plain_statement_is_no_split_one() -> None:
    for statement in (
        BY_REGION,
        "select region, avg(income) m from tax.income where age > 3 group by 1 order by m desc limit 3",
        "select 100 * sum(paid) / count(*) from tax.income",
        "with x as (select * from tax.income where age > 3) select region, count(*) from x group by 1",
    ):
        reading = read(statement, SHADOWS)
        assert reading.finish == "" and len(reading.tables) == 1
        assert {output.role for output in reading.outputs} <= {Role.KEY, Role.FIGURE}


def test_having_is_applied_to_what_is_protected() -> None:
    reading = split(BY_REGION + " having sum(paid) > 1000")
    (table,) = reading.tables
    assert "1000" not in table.counted and "HAVING" not in table.counted
    assert reading.finish == (
        'SELECT "cells_0"."key_0" AS "region", "cells_0"."figure_0" AS "n" FROM "cells_0"'
        ' WHERE "cells_0"."figure_1" > 1000'
    )
    assert [output.function for output in table.outputs] == ["", "count", "sum"]


def test_every_figure_and_key_is_computed_once() -> None:
    (table,) = split(
        "select region, (sum(paid)) / count(*) + sum(paid) as x from tax.income i group by i.region"
        " having sum(i.paid) > 3 order by count(*)"
    ).tables
    assert [output.name for output in table.outputs] == ["key_0", "figure_0", "figure_1"]


def test_equal_tables_are_one() -> None:
    other = "select region, count(*) m from tax.income group by 1"
    assert len(split(f"select a.n from ({BY_REGION}) a join ({other}) b using (region)").tables) == 1


def test_margins_are_added_up_from_the_finest_cells() -> None:
    reading = split(
        "select region, urban, count(*) n, sum(paid) s from tax.income group by cube (region, urban)"
    )
    (table,) = reading.tables
    assert 'GROUP BY "income"."region", "income"."urban"' in table.counted and "CUBE" not in table.counted
    assert 'SUM("cells_0"."figure_1")' in reading.finish and "CUBE" in reading.finish


def test_a_filter_of_an_aggregate_is_counted_like_the_case_that_it_is() -> None:
    written = split("select count(*) filter (where age = 97) + 0 as f from tax.income").tables[0]
    plain = read("select count(case when age = 97 then 1 end) as f from tax.income", SHADOWS).tables[0]
    assert written.counted.replace('"figure_0"', '"f"') == plain.counted
    assert written.outputs[0].persons == plain.outputs[0].persons == 1


def test_a_name_that_nobody_reads_costs_nothing() -> None:
    reading = split(
        "with unread as (select kind, count(*) k from med.visit group by 1),"
        f" c as ({BY_REGION}) select n + 1 as m from c"
    )
    assert reading.relations == ("tax.income",) and "unread" not in reading.finish


def test_uses_are_those_of_all_tables() -> None:
    assert uses(
        "with c as (select region, avg(income) m from tax.income where age > 3 group by 1),"
        " d as (select region, median(cost) k from med.visit group by 1)"
        " select m - k as gap from c join d using (region)"
    ) == {
        ("tax.income", "region", "group", ""),
        ("tax.income", "income", "aggregate", "avg"),
        ("tax.income", "age", "compare", ""),
        ("med.visit", "region", "group", ""),
        ("med.visit", "cost", "aggregate", "median"),
    }  # fmt: skip


def test_a_step_function_is_found_through_any_number_of_names() -> None:
    """A definition cannot hide what an aggregate looks through."""
    for statement in (
        "with x as (select person, floor(income / 1000000) as m from tax.income) select sum(m) from x",
        "with x as (select person, age - 97 as d from tax.income), y as (select paid / d as q"
        " from x join tax.income using (person)) select sum(q) from y",
        "select sum(q) from (select age * age as q from tax.income)",
        "with x as (select age as a, age as b from tax.income) select sum(a * b) from x",
    ):
        with pytest.raises(SqlUnsupported, match=r"in disguise|divisor|itself"):
            read(statement, SHADOWS)


def test_the_parts_of_a_case_are_counted_through_a_name() -> None:
    inside = read(
        "with x as (select case when age = 97 then income else 0 end as v from tax.income) select sum(v) as f from x",
        SHADOWS,
    )
    plain = read("select sum(case when age = 97 then income else 0 end) as f from tax.income", SHADOWS)
    assert inside.counted == plain.counted and inside.hidden == 2


# ------------------------------------------------------------------------------------------------------ refusals

REFUSED = f"""
select income from tax.income where age > 3                                                   | row-level
select * from (select region, age from tax.income) t                                          | row-level
select region from tax.income union select kind from med.visit                                | set operation of rows
select count(*) from (select person from tax.income union select person from med.visit)       | set operation of rows
select count(*) from tax.income where income > (select avg(income) from tax.income)           | subquery stands in an expression over rows
with c as ({BY_REGION}) select count(*) from tax.income join c using (region)                 | side by side in one FROM
with c as ({BY_REGION}) select c.n, i.income from c, tax.income i                             | side by side in one FROM
with recursive r as (select 1) select * from r                                                | RECURSIVE
select avg(n) from (select person, count(*) n from med.visit group by person)                 | person token
select region, sum(paid) over () from tax.income                                              | row-level
select region, rank() over (order by income) from tax.income group by region                  | row-level output: income
select count(*) from (select distinct region from tax.income)                                 | DISTINCT over single rows
select count(*) from (select region from tax.income limit 5)                                  | LIMIT over single rows
select count(*) from (select person, row_number() over () r from tax.income)                  | window over single rows
select region, avg(paid) from tax.income group by rollup (region)                             | sums and counts only
select region, count(distinct age) from tax.income group by cube (region)                     | sums and counts only
select region, max(age) from tax.income group by grouping sets ((region), ())                 | sums and counts only
select count(*) from tax.income i, med.visit v                                                | side by side without
select count(*) from tax.income i cross join med.visit v where i.age > v.cost                 | side by side without
select avg(d) from tax.income left join (select person, age + 1 as d from tax.income) x using (person) | computed on the right side
select count(*) from tax.income left join (select * from med.visit where cost > 3) v using (person) | LEFT JOIN of a subquery
select count(*) n from nothing                                                                | no name of WITH
with cells_0 as ({BY_REGION}) select n + 1 as m from cells_0                                  | cells_0
with c as ({BY_REGION}), c as ({BY_REGION}) select n + 1 as m from c                          | two names in WITH
select count(*), age join med.visit v on v.person = 1                                         | needs a relation
select n from cells_0                                                                         | row-level
with c as ({BY_REGION}) select c.n, (select max(age) from tax.income i where i.age > c.n) from c | alias 'c'
select region, count(*) n from tax.income group by region having median(n) > 3                | no column 'n'
with x(a, a) as (select age, paid from tax.income) select sum(a) from x                       | same name
select random() + count(*) as r from tax.income                                               | not in the subset over figures
select region, count(*) n from tax.income group by region limit n                             | takes a whole number
select region, count(*) n from tax.income group by region having count(*) > $1                | not in the subset
select n::json from ({BY_REGION})                                                             | cast to this type
"""  # noqa: E501


@pytest.mark.parametrize(
    "line",
    REFUSED.strip().splitlines(),
    ids=lambda line: line.split("|")[0].strip(),
)
def test_what_cannot_be_split_is_refused_with_a_reason(line: str) -> None:
    statement, _, reason = line.rpartition("|")
    with pytest.raises(Malformed) as refused:
        read(statement, SHADOWS)
    assert reason.strip() in str(refused.value)
    assert refused.value.where


def test_a_refusal_of_rows_names_the_columns_that_are_hidden() -> None:
    with pytest.raises(SqlUnsupported) as refused:
        read("select income, region from tax.income where age > 3", SHADOWS)
    assert "these may not: tax.income.age, tax.income.income, tax.income.region" in refused.value.next_step


def test_a_refusal_repeats_no_constant() -> None:
    for statement in (
        f"select n, 'CANARY'::json from ({BY_REGION})",
        f"select n from ({BY_REGION}) where query('CANARY')",
        f"select n from ({BY_REGION}), 'CANARY'",
        "with x as (select 'CANARY' from tax.income) select * from x",
    ):
        with pytest.raises(Malformed) as refused:
            read(statement, SHADOWS)
        assert "CANARY" not in str(refused.value)


# ---------------------------------------------------------------------------------- a finish that looks elsewhere

ELSEWHERE = [
    "tax.income", "read_csv('/etc/passwd')", "'/in/tax.income.attributes'", '"/in/x.parquet"', "glob('/in/*')",
    "query('select 1')", "query_table('tax.income')", "duckdb_settings()", "information_schema.tables",
    "pragma_database_list", "range(1000000000)", "unnest([1, 2])", "(values (1))", "sqlite_master", "cells_0",
    "cells_7", "main.cells_0", "memory.main.cells_0", "tax.income using sample 1", "read_text('/proc/1/environ')",
]  # fmt: skip
PLACES = [
    "select * from {where}",
    "select c.n from c join {where} z on true",
    "select c.n from c, {where}",
    "select (select count(*) from {where}) + n as m from c",
    "select n from c where n in (select 1 from {where})",
    "select n from c where exists (select 1 from {where})",
    "select n from c union all select 1 from {where}",
    "select n from c order by (select count(*) from {where})",
    "select n, sum(n) over (order by (select 1 from {where})) from c",
    "select region, count(*) k from tax.income group by region having count(*) > (select 1 from {where})",
    "select region, count(*) k from tax.income group by region order by (select 1 from {where}), 1",
    "select n from (select n from c where n > (select max(1) from {where}))",
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("where", ELSEWHERE)
def test_no_finish_reads_a_relation_a_file_or_a_table_function(place: str, where: str) -> None:
    """Wherever it stands, what is no figure is read by a counted table, or not at all."""
    statement = f"with c as ({BY_REGION}) " + place.format(where=where)
    try:
        reading = read(statement, SHADOWS)
    except Malformed:
        return
    assert where.startswith("tax.income"), statement
    for table in sqlglot.parse_one(reading.finish, read="duckdb").find_all(exp.Table):
        assert not table.db and re.fullmatch(r"c|cells_\d", table.name)
    assert all(table.hidden for table in reading.tables)


@pytest.mark.parametrize("place", PLACES)
def test_control_a_finish_may_read_figures_in_all_these_places(place: str) -> None:
    reading = read(f"with c as ({BY_REGION}) " + place.format(where=f"({BY_REGION.replace('region', 'urban')}) z"
                   if "z on" not in place else f"({BY_REGION})"), SHADOWS)  # fmt: skip
    assert reading.level is Level.CELLS and reading.finish


CALLS = [
    "getenv('HOME')", "current_setting('threads')", "version()", "random()", "now()", "uuid()", "nextval('s')",
    "error('x')", "read_text('/etc/passwd')", "list(n)", "to_json(c)", "unnest([n])", "columns('.*')", "range(n)",
    "repeat('x', n)", "txid_current()", "current_date", "query('x')", "struct_pack(a := n)", "{'a': n}", "[n]",
    "(n, n)", "list_transform([n], x -> x)", "getvariable('x')", "n.a", "c", "$1", "?", "histogram(n)",
]  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_a_finish_calls_listed_functions_only(call: str) -> None:
    from tests.inside.sql_cases import read as both

    with pytest.raises(Malformed):
        both(f"with c as ({BY_REGION}) select {call} as x from c")


def test_control_a_finish_calls_what_is_listed() -> None:
    for call in (
        "round(n * 1.5, 1)",
        "greatest(n, 3)",
        "upper(region)",
        "n // 3",
        "stddev(n) over ()",
        "if(n > 3, 1, 2)",
    ):
        assert split(f"with c as ({BY_REGION}) select {call} as x from c").finish


def test_the_writer_of_finishes_has_a_list_of_its_own() -> None:
    """Were the splitting wrong, a finish that names a relation would still not be written."""
    for text in (
        "SELECT * FROM tax.income", "SELECT * FROM cells_1", "SELECT getenv('HOME')",
        "SELECT * FROM read_csv('x')", "SELECT * FROM cells_0 USING SAMPLE 1", "SELECT * FROM main.cells_0",
        "SELECT $1",
        "SELECT * FROM cells_0 LIMIT (SELECT 1)", "PIVOT cells_0 ON a USING sum(b)", "SELECT a.b.c.d FROM cells_0 AS a",
    ):  # fmt: skip
        with pytest.raises(Malformed):
            finish.write(sqlglot.parse_one(text, read="duckdb"), 1)
    assert (
        finish.write(sqlglot.parse_one("SELECT a -- who\nFROM cells_0", read="duckdb"), 1)
        == 'SELECT "a" FROM "cells_0"'
    )


# ----------------------------------------------------------------------------------------------------- bounds


def test_definitions_that_double_each_other_are_refused_quickly() -> None:
    chain = ", ".join(
        f"x{n} as (select a.person, a.v + b.v as v from x{n - 1} a join x{n - 1} b using (person))"
        for n in range(1, 25)
    )
    wide = ", ".join(f"y{n} as (select v + v as v from y{n - 1})" for n in range(1, 25))
    aliases = ", ".join(f"a{n} + a{n} as a{n + 1}" for n in range(25))
    begin = time.monotonic()
    for statement in (
        f"with x0 as (select person, age as v from tax.income), {chain} select sum(v) from x24",
        f"with y0 as (select age as v from tax.income), {wide} select sum(v) from y24",
        f"with y as (select age as a0, {aliases} from tax.income) select sum(a25) from y",
        " union all ".join([BY_REGION] * 60),
    ):
        with pytest.raises(SqlUnsupported):
            read(statement, SHADOWS)
    assert time.monotonic() - begin < 60, "sixteen million of each would take hours"


def test_a_statement_has_so_many_tables_and_no_more() -> None:
    parts = [
        f"select count(*) as n from tax.income where age = {n}" for n in range(splitting.MOST_TABLES + 1)
    ]
    assert len(split(" union all ".join(parts[:-1])).tables) == splitting.MOST_TABLES
    with pytest.raises(SqlUnsupported, match="tables of figures"):
        read(" union all ".join(parts), SHADOWS)
    assert scopes.MOST_QUERIES > splitting.MOST_TABLES


WORDS = """
select from where group by having qualify order limit ( ) * , . 1 'a' age region n person tax.income med.visit c x
join left on using = < and not case when then else end sum avg count(*) in is null as with ( ) select union all
except rollup over partition exists distinct filter by group by region from tax.income select
"""


@given(st.lists(st.sampled_from(WORDS.split()), max_size=40))
def test_words_in_any_order_are_read_or_refused(words: list[str]) -> None:
    try:
        found = read_forms(f"with c as ({BY_REGION}) " + " ".join(words), SHADOWS)
    except Malformed:
        return
    assert len(found.plain) == len(found.reading.tables)


def test_additive_aggregates_are_aggregates() -> None:
    assert set(grammar.ADDITIVE_AGGREGATES) < set(grammar.AGGREGATES)
    assert cells.output_names(sqlglot.parse_one("select count(*), count(*), sum(a)", read="duckdb")) == [
        "count", "column_2", "sum_a",
    ]  # fmt: skip


def test_names_of_outputs_are_harmless() -> None:
    for statement in (
        f'with c as ({BY_REGION}) select n as "Li 110101" from c',
        'select count(*) + 1 as "CANARY-OF-SQL" from tax.income',
        f'with "Li 110101" as ({BY_REGION}) select n + 1 as m from "Li 110101"',
        'with x as (select age as "Li 110101" from tax.income) select count(*) from x',
        "select count(*) + 1 as _persons_0 from tax.income",
    ):
        with pytest.raises((SqlUnsupported, SqlSyntax)):
            read(statement, SHADOWS)

"""Rows are chosen by other rows of the same person, and by nothing else; both readers see it alike."""

from __future__ import annotations

import pytest

from plans.errors import Malformed, SqlUnsupported
from plans.reading import Reading, Shadow, ShadowColumn
from tests.inside.sql_cases import SHADOWS, read

COHORT = "person in (select person from med.visit where kind = 'x')"
OTHERS = Shadow(
    "med.ward", (ShadowColumn("person", "UBIGINT", False), ShadowColumn("region", "VARCHAR", False))
)
WARDS = Shadow("ref.ward", (ShadowColumn("region", "VARCHAR", False), ShadowColumn("beds", "INTEGER", False)))


def uses(reading: Reading) -> set[tuple[str, str, str]]:
    return {(use.relation, use.column, use.clause.value) for use in reading.uses}


# ------------------------------------------------------------------------------------------------- one form

SAME = [
    "select count(*) n from tax.income where person in (select person from med.visit where kind = 'x')",
    "select count(*) n from tax.income i where i.person in (select v.person from med.visit v where v.kind = 'x')",
    "select count(*) n from tax.income where (person) in ((select distinct person from med.visit where kind = 'x'))",
    "select count(*) n from tax.income i where exists"
    " (select 1 from med.visit v where v.person = i.person and v.kind = 'x')",
    "select count(*) n from tax.income i where exists (from med.visit where kind = 'x' and i.person = (person))",
    "select count(*) n from tax.income i where exists (from med.visit i2 where i.person = i2.person and i2.kind = 'x')",
    "with x as (select person p, kind from med.visit), y as (select p from x where kind = 'x')"
    " select count(*) n from tax.income where person in (from y)",
    "with y(q) as (select person from tax.income) select count(*) n from y"
    " where q in (with z as (select * from med.visit) select person from z where kind = 'x')",
    "with x as (select * from tax.income i where exists (select cost from med.visit v where v.person = i.person and"
    " v.kind = 'x')) select count(*) n from x",
    "select count(*) n from (select person as v from tax.income) i where exists"
    " (select 1 from (select * from med.visit where kind = 'x') v where v.person = i.v)",
]  # fmt: skip


@pytest.mark.parametrize("statement", SAME)
def test_whatever_it_is_written_like_it_is_counted_in_one_form(statement: str) -> None:
    reading = read(statement)
    assert not reading.finish and reading.relations == ("med.visit", "tax.income")
    plain = reading.counted
    for source in reading.counted.split(" AS ")[1:]:
        alias = source.split('"')[1]
        plain = plain.replace(f'"{alias}".', "").replace(f'" AS "{alias}"', '"')
    assert plain.endswith(
        'FROM "tax"."income" WHERE ("person" IN (SELECT "person" FROM "med"."visit" WHERE ("kind" = \'x\')))'
    ), reading.counted
    assert uses(reading) == {
        ("med.visit", "kind", "compare"), ("med.visit", "person", "join"), ("tax.income", "person", "join"),
    }  # fmt: skip


def test_what_is_asked_inside_is_used_like_outside() -> None:
    reading = read(
        "select region, count(*) n from tax.income where person in (select v.person from med.visit v join tax.income i"
        " on v.person = i.person and v.region = i.region where v.kind is null and lower(i.region) = 'a' and i.urban)"
        " group by region"
    )
    assert uses(reading) == {
        ("med.visit", "kind", "filter"), ("med.visit", "person", "join"), ("med.visit", "region", "join"),
        ("tax.income", "person", "join"), ("tax.income", "region", "join"), ("tax.income", "region", "compare"),
        ("tax.income", "region", "group"), ("tax.income", "urban", "filter"),
    }  # fmt: skip
    assert reading.functions == ("count", "lower")


def test_a_cohort_may_be_a_key_a_branch_or_a_filter_and_then_its_parts_are_counted() -> None:
    for statement, hidden in (
        (f"select case when {COHORT} then 1 else 0 end k, count(*) n from tax.income group by 1", 1),
        (f"select {COHORT} k, count(*) n from tax.income group by k", 1),
        (f"select {COHORT} k, count(*) n from tax.income group by all having n > 3", 1),
        (f"select sum(case when {COHORT} then paid else 0 end) s from tax.income", 2),
        (f"select sum(paid) filter (where {COHORT}) s from tax.income", 2),
        (
            "select count(*) filter (where exists (from med.visit v where v.person = i.person)) s from tax.income i",
            2,
        ),
    ):
        reading = read(statement)
        assert [table.hidden for table in reading.tables] == [hidden], statement
        assert ("tax.income", "person", "group") not in uses(reading)


def test_the_least_of_all_persons_stands_behind_a_cell_whoever_is_chosen() -> None:
    for token in "iv":
        reading = read(
            "select count(*) n from tax.income i join med.visit v on i.region = v.region"
            f" where {token}.person in (select person from med.visit where cost > 1)"
        )
        assert 'least(count(DISTINCT "i"."person"), count(DISTINCT "v"."person"))' in reading.counted


def test_reference_data_may_be_joined_inside_since_they_are_about_nobody() -> None:
    reading = read(
        "select count(*) n from tax.income where person in (select person from med.visit v join ref.ward w"
        " on v.region = w.region where w.beds > 3)",
        *SHADOWS, WARDS,
    )  # fmt: skip
    assert ("ref.ward", "beds", "compare") in uses(reading)


def test_what_fails_at_a_row_inside_is_attempted_there() -> None:
    reading = read(
        "select count(*) n from tax.income where 1 / age > 1 or not (age > 2 or 1 / age > 3 and"
        " person in (select person from med.visit where 1 / cost > 2))"
    )
    for fails in ('(1 / "income"."age") > 1', '(1 / "income"."age") > 3', '(1 / "visit"."cost") > 2'):
        assert f"TRY(({fails}))" in reading.counted
    with pytest.raises(SqlUnsupported, match="can fail at a row"):
        read(f"select sum(case when {COHORT} then 1 / age else 0 end) s from tax.income")


def test_two_relations_of_one_alias_are_told_apart_in_what_runs() -> None:
    """Approvers read by alias what is compared in it."""
    reading = read(
        "select count(*) n from tax.income v where person in (select v.person from med.visit v where v.cost > 3)"
    )
    assert '"tax"."income" AS "v"' in reading.counted and '"med"."visit" AS "v_2"' in reading.counted


# ------------------------------------------------------------------------------------------------- refusals

REFUSED = """
select count(*) from tax.income where region in (select region from med.visit)                     | something else than the person
select count(*) from tax.income where age in (select person from med.visit)                        | something else than the person
select count(*) from tax.income where person in (select cost from med.visit)                       | something else than the person
select count(*) from tax.income where person + 0 in (select person from med.visit)                 | something that is computed
select count(*) from tax.income where person in (select person + 1 from med.visit)                 | person token
select count(*) from tax.income where person in (select case when cost > 1 then person end from med.visit) | person token
select count(*) from tax.income where person in (select 5)                                         | subquery stands in an expression over rows
select count(*) from tax.income where (person, region) in (select person, region from med.visit)   | yields one column
select count(*) from tax.income where (select person from med.visit) in (select person from med.visit) | subquery stands in an expression over rows
select count(*) from tax.income where person = any (select person from med.visit)                  | subquery stands in an expression over rows
select count(*) from tax.income i where i.person = (select max(person) from med.visit)             | subquery stands in an expression over rows
select count(*) from tax.income i where exists (select 1 from med.visit v where v.region = i.region) | something else than the person
select count(*) from tax.income i where exists (select 1 from med.visit v where v.person = i.person and v.region = i.region) | something else than one equality
select count(*) from tax.income i where exists (select 1 from med.visit v where v.person = i.person and v.cost > i.age) | something else than one equality
select count(*) from tax.income i where exists (select 1 from med.visit v where v.person = i.person or v.cost > 3) | something else than one equality
select count(*) from tax.income i where exists (select 1 from med.visit v where v.person <> i.person) | something else than one equality
select count(*) from tax.income i where exists (select 1 from med.visit v where v.cost > 3)        | something else than one equality
select count(*) from tax.income i where exists (select i.age from med.visit v where v.person = i.person) | 'i'
select count(*) from tax.income i where person in (select person from med.visit where age = 97)    | 'age'
select count(*) from tax.income i where person in (select i.person from med.visit)                 | 'i'
select count(*) from tax.income i where exists (select count(*) from med.visit v where v.person = i.person) | subquery stands in an expression over rows
select count(*) from tax.income i where exists (select unnest([1]) from med.visit v where v.person = i.person) | not in the subset
select count(*) from tax.income where person in (select person from med.visit group by person having count(*) > 2) | subquery stands in an expression over rows
select count(*) from tax.income where person in (select person from med.visit limit 1)             | LIMIT over single rows
select count(*) from tax.income where person in (select person from med.visit order by cost limit 1) | over single rows
select count(*) from tax.income where person in (select distinct on (region) person from med.visit) | not in the subset
select count(*) from tax.income where person in (select person from med.visit union select person from tax.income) | set operation of rows
select count(*) from tax.income where person in (select v.person from med.visit v join tax.income i on v.region = i.region) | about different persons
select count(*) from tax.income where person in (select v.person from med.visit v, tax.income i where v.region = i.region) | about different persons
select count(*) from tax.income i left join med.visit v using (person) where v.person in (select person from med.visit) | right side of a LEFT JOIN
select count(*) from tax.income where person in (select v.person from tax.income i left join med.visit v using (person)) | right side of a LEFT JOIN
select count(*) from tax.income where case when person in (select person from med.visit) then 1 else 0 end = 1 | is compared
select count(*) from tax.income where (person in (select person from med.visit)) is null           | is compared
select count(person in (select person from med.visit)) from tax.income                             | truth value
select sum(person in (select person from med.visit)) from tax.income                               | truth value
select person in (select person from med.visit) p from tax.income                                  | row-level
select count(*) n, person in (select person from med.visit) p from tax.income                      | row-level
select count(*) from tax.income where person in (select nobody from med.visit)                     | 'nobody'
select count(*) from tax.income where nobody in (select person from med.visit)                     | 'nobody'
select count(*) from tax.income where person in (select person from med.nothing)                   | 'med.nothing'
select count(*) from tax.income where person in (select person from read_csv('/etc/passwd'))       | table function
select region, count(*) n from tax.income group by region having max(person) in (select person from med.visit) | over single rows
"""  # noqa: E501


@pytest.mark.parametrize("line", REFUSED.strip().splitlines(), ids=lambda line: line.split("|")[0].strip())
def test_what_would_choose_otherwise_is_refused_with_a_reason(line: str) -> None:
    statement, _, reason = line.rpartition("|")
    with pytest.raises(Malformed) as refused:
        read(statement)
    assert reason.strip() in str(refused.value) and refused.value.where


def test_a_statement_reads_at_most_eight_relations_those_inside_included() -> None:
    inner = " and person in (select person from med.visit where cost > {})"
    read("select count(*) from tax.income where age > 0" + "".join(map(inner.format, range(7))))
    with pytest.raises(SqlUnsupported, match="at most 8"):
        read("select count(*) from tax.income where age > 0" + "".join(map(inner.format, range(8))))


def test_a_cohort_in_a_cohort_is_about_the_same_person() -> None:
    read(
        "select count(*) from tax.income where person in (select person from med.visit v where exists"
        " (select 1 from tax.income j where j.person = v.person and j.age > 3))"
    )
    with pytest.raises(SqlUnsupported, match="different persons"):
        read(
            "select count(*) from tax.income where person in (select person from med.visit v where person in"
            " (select i.person from tax.income i join med.ward w on i.region = w.region))",
            *SHADOWS, OTHERS,
        )  # fmt: skip


def test_a_cohort_may_choose_whose_amounts_are_added() -> None:
    """What each adds is looked at besides, and that is no more than what was asked: nothing that could fail."""
    reading = read(
        f"select sum(case when {COHORT} then paid else 1 end), avg(case when {COHORT} then age end) from tax.income"
    )
    (table,) = reading.tables
    assert table.contributions is not None and {0, 1} <= set(table.contributions.totals)


def test_a_cohort_in_very_many_figures_is_refused_and_as_a_key_it_need_not_be() -> None:
    figures = ", ".join(f"min(case when {COHORT} then paid else {n} end) s{n}" for n in range(46))
    read(f"select {figures} from tax.income")
    with pytest.raises(SqlUnsupported, match="read more than 48 times"):
        read(f"select {figures}, min(case when {COHORT} then paid else 46 end) from tax.income")
    sums = ", ".join(f"sum(paid) s{n}" for n in range(60))
    read(f"select {COHORT} k, {sums} from tax.income group by 1")

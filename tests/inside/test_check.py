"""The two readers agree about every statement of the subset, and the counted statement is the member's own.

The properties compare three independent sources: the guard, the engine's binder, and what the engine computes;
the persons behind a figure are counted once more in Python, row by row.
"""

from __future__ import annotations

import datetime
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inside import bound, check, query
from inside.session import Session
from plans import canonical
from plans.box import BoxSpec, Entry
from plans.decision import Tier
from plans.errors import Malformed, SqlSyntax, SqlUnsupported
from plans.key import BoxKeys
from plans.plan import Plan, PlanKind
from plans.reading import Reading, Shadow, ShadowColumn
from policies import reading as guard
from tests.inside.sql_cases import INCOME, LIMITS, SHADOWS, VISIT, create, read
from tests.plans import examples

# ------------------------------------------------------------------------------------------------- the box


def session(statement: str, shadows: tuple[Shadow, ...] = SHADOWS) -> Session:
    material = canonical.encode(
        {"statement": statement, "shadows": [each.plain() for each in shadows]}
    ).decode()
    spec = BoxSpec(Entry.CHECK, examples.digest("d"), (), LIMITS, Tier.T1)
    plan = Plan(PlanKind.CHECK, "nm/tax", None, "", None, None, material, (spec,), examples.NONCE, 0)
    return Session(plan, Entry.CHECK, 1, {}, BoxKeys({}, {}, ""))


def test_a_reading_is_the_same_bytes_each_time() -> None:
    statement = (
        "select region, avg(income) as mean, count(*) from tax.income where age > 3 group by 1 order by 2"
    )
    first, second = (canonical.encode(check.run(session(statement))) for _ in range(2))
    assert first == second
    report = canonical.decode(first)
    assert isinstance(report, dict)
    found = Reading.read(report["reading"])
    assert [(output.name, output.type) for output in found.outputs] == [
        ("region", "VARCHAR"), ("mean", "DOUBLE"), ("count", "BIGINT"),
    ]  # fmt: skip


def test_a_refusal_is_a_problem_document_and_no_failure() -> None:
    report = check.run(session("select * from tax.income"))
    assert set(report) == {"refused"} and report["refused"]["code"] == "sql.unsupported"
    canonical.encode(report)


def test_material_that_is_no_statement_with_shadows_is_no_answer() -> None:
    for material in (
        '{"statement":"select 1"}',
        '{"shadows":[],"statement":1}',
        "[]",
        '{"shadows":[{}],"statement":"x"}',
    ):
        asked = session("select 1")
        plan = Plan(
            PlanKind.CHECK, "nm/tax", None, "", None, None, material, asked.plan.stages, examples.NONCE, 0
        )
        with pytest.raises(Malformed):
            check.run(Session(plan, Entry.CHECK, 1, {}, asked.keys))


def test_the_engines_words_stay_in_the_box() -> None:
    for statement in (
        "select count(*) from tax.income where age = [1]",
        "select avg(region) from tax.income",
        "select sum(born) from tax.income",
        "select count(*) from tax.income where born + age * interval 1 day > born",
        "select count(*) from tax.income where born > 'CANARY' and region > 5 + born",
    ):
        with pytest.raises((SqlSyntax, SqlUnsupported)) as refused:
            read(statement)
        assert "CANARY" not in str(refused.value) and "Error" not in str(refused.value)


def test_types_that_cannot_leave_are_refused_before_they_are_computed() -> None:
    with pytest.raises(SqlUnsupported, match="type TIMESTAMP"):
        read("select median(born) from tax.income")
    assert (
        read("select date_trunc('month', born) m, count(*) from tax.income group by 1").outputs[0].type
        == "TIMESTAMP"
    )


def test_text_is_not_compared_with_numbers_behind_the_readers_back() -> None:
    for statement in (
        "select count(*) from tax.income where region = 5",
        "select count(*) from tax.income where region in (1, 2)",
        "select count(*) from tax.income i join med.visit v on i.region = v.cost",
        "select sum(case when age > 1 then region else 5 end) from tax.income",
    ):
        with pytest.raises(SqlUnsupported):
            read(statement)
    read("select count(*) from tax.income where region = '5' and born = '2000-01-01'")


# ------------------------------------------------------------------- a guard that errs is caught by the binder


@pytest.mark.parametrize(
    ("asked", "claimed"),
    [
        ("select avg(income) from tax.income", "select avg(paid) from tax.income"),
        ("select avg(income) from tax.income", "select sum(income) from tax.income"),
        ("select avg(paid) from tax.income where age > 3", "select avg(paid) from tax.income"),
        ("select avg(paid) from tax.income where age > 3", "select avg(paid) from tax.income where age > 4"),
        ("select avg(paid) from tax.income where age > 3", "select avg(paid) from tax.income where not age > 3"),
        ("select avg(paid) from tax.income group by age", "select avg(paid) from tax.income where age > 3"),
        ("select sum(age / 2) from tax.income", "select sum(age * 2) from tax.income"),
        ("select sum(age - paid) from tax.income", "select sum(paid - age) from tax.income"),
        ("select year(born) y, count(*) from tax.income group by 1",
         "select month(born) y, count(*) from tax.income group by 1"),
        ("select date_trunc('year', born) y, count(*) from tax.income group by 1",
         "select date_trunc('month', born) y, count(*) from tax.income group by 1"),
        ("select count(*) from tax.income where region like 'a'",
         "select count(*) from tax.income where region not like 'a'"),
        ("select count(*) from tax.income where age in (1, 2)", "select count(*) from tax.income where age in (1, 3)"),
        ("select count(*) from tax.income where born > date '2000-01-01' - interval 3 month",
         "select count(*) from tax.income where born > date '2000-01-01' - interval 3 day"),
        ("select sum(case when age > 1 then paid else 0 end) from tax.income",
         "select sum(case when age > 1 then 0 else paid end) from tax.income"),
        ("select count(*) from tax.income i join med.visit v using (person)",
         "select count(*) from tax.income i left join med.visit v using (person)"),
        ("select count(*) from tax.income i join med.visit v using (person)",
         "select count(*) from tax.income i join med.visit v using (person, region)"),
        ("select count(*) from tax.income", "select count(*) from med.visit"),
        *((f"select count(*) from tax.income where person in (select person from {asked})",
           f"select count(*) from tax.income where person {claimed})")
          for asked, claimed in (
              ("med.visit where cost > 1", "in (select person from med.visit where cost > 2"),
              ("med.visit where cost > 1", "in (select person from med.visit where cost < 1"),
              ("med.visit where cost > 1", "not in (select person from med.visit where cost > 1"),
              ("med.visit", "in (select person from tax.income"),
              ("med.visit", "in (select person from med.visit join tax.income using (person)"),
              ("tax.income where person in (select person from med.visit)", "in (select person from tax.income"),
          )),
    ],
)  # fmt: skip
def test_a_reading_of_another_statement_is_noticed(
    monkeypatch: pytest.MonkeyPatch, asked: str, claimed: str
) -> None:
    """Were the guard's parser wrong about a statement, the engine's binder would not confirm it."""
    read(asked), read(claimed)
    honest = guard.read_forms
    monkeypatch.setattr(
        check, "read_forms", lambda _, shadows: replace(honest(claimed, shadows), plain=(asked,))
    )
    with pytest.raises((SqlUnsupported, SqlSyntax)) as refused:
        read(asked)
    assert refused.value.code == "sql.unsupported" or "names something" in refused.value.what


EVASIVE = """
select person from tax.income person
select to_json(p) from tax.income p
select first(p) from tax.income p
select unnest(p) from tax.income p
select columns('s.*') from tax.income s
select count(columns('in.*')) from tax.income
from query('select person from tax.income')
from query_table('tax.income')
summarize tax.income
select count(i) from tax.income i
select count(struct_pack(a := age)) from tax.income
select count(*) from tax.income positional join med.visit
select count(*) from tax.income asof join med.visit on born >= day
select count(*) from tax.income where exists (select 1 from med.visit v where v.region = income.region)
select count(*) from (select person, unnest([income]) from tax.income)
select sum(income) over () from tax.income
select count(*) from tax.income tablesample 10 percent
select list(income) from tax.income
select arg_max(region, income) from tax.income
select count(*) from (select person, unnest([income]) from tax.income)
select region, max(age) over () from tax.income
select avg(n) from (select person, sum(income) n from tax.income group by person)
select region from tax.income union select kind from med.visit
select count(*) from tax.income where income > (select avg(income) from tax.income)
select count(*) from tax.income where region in (select region from med.visit)
select count(*) from tax.income where age + 0 in (select person from med.visit)
select count(*) from tax.income i where exists (select 1 from med.visit v where v.person = i.person and v.cost > i.age)
select count(*) from tax.income where person in (select person from med.visit limit 3)
select count(*) from tax.income where person in (select person from med.visit where cost > (select avg(cost) from med.visit))
with c as (select region, avg(income) m from tax.income group by 1) select count(*) from tax.income i join c using (region) where i.income > c.m
select c.n, (select max(income) from tax.income i where i.age > c.n) from (select count(*) n from tax.income) c
select try_cast(region as integer) r, count(*) from tax.income group by 1
select rowid, count(*) from tax.income group by 1
select sum(income order by age) from tax.income
select regexp_extract(region, 'a') r, count(*) from tax.income group by 1
select income::boolean b, count(*) from tax.income group by 1
select sum(urban::integer) from tax.income
select count(try(age)) from tax.income
""".strip().splitlines()  # noqa: E501


@pytest.mark.parametrize("statement", EVASIVE)
def test_the_binder_alone_confirms_no_evasive_statement(statement: str) -> None:
    """Even without the guard: the second reader has its own list, or finds the columns that a guard would miss."""
    connection = bound.shadow_engine(SHADOWS, 512)
    try:
        found = bound.bind(connection, statement)
    except (SqlUnsupported, SqlSyntax):
        return
    used = {(use.relation, use.column) for use in found.uses}
    assert used & {("tax.income", "person"), ("tax.income", "income"), ("tax.income", "age")}, statement


@pytest.mark.parametrize("statement", EVASIVE)
def test_an_evasive_statement_is_refused(statement: str) -> None:
    with pytest.raises(Malformed):
        read(statement)


def test_the_checkers_engine_has_no_files_and_no_settings_to_change() -> None:
    connection = bound.shadow_engine(SHADOWS, 512)
    assert connection.execute("SELECT count(*) FROM tax.income").fetchone() == (0,)
    for statement in ("SELECT * FROM read_text('/etc/hostname')", "SET threads = 4", "ATTACH '/tmp/x.db'",
                      "COPY tax.income TO '/tmp/x.csv'", "INSTALL json", "SET enable_external_access = 1"):  # fmt: skip
        with pytest.raises(duckdb.Error):
            connection.execute(statement)


def test_a_shadows_type_cannot_carry_sql() -> None:
    hostile = Shadow("tax.income", (ShadowColumn("age", "INTEGER); ATTACH 'x", False),))
    with pytest.raises(Malformed):
        bound.shadow_engine((hostile,), 512)


# ---------------------------------------------------------------------------------------------------- TPC-H

TPCH = tuple(
    Shadow(f"tpch.{table}", tuple(ShadowColumn(*column.rsplit(" ", 1), False) for column in columns.split(", ")))
    for table, columns in {
        "lineitem": "person UBIGINT, l_orderkey BIGINT, l_partkey BIGINT, l_quantity DECIMAL(15,2),"
        " l_extendedprice DECIMAL(15,2), l_discount DECIMAL(15,2), l_tax DECIMAL(15,2), l_returnflag VARCHAR,"
        " l_linestatus VARCHAR, l_shipdate DATE, l_commitdate DATE, l_receiptdate DATE, l_shipinstruct VARCHAR,"
        " l_shipmode VARCHAR, l_suppkey BIGINT",
        "orders": "person UBIGINT, o_orderkey BIGINT, o_orderdate DATE, o_orderpriority VARCHAR,"
        " o_shippriority INTEGER",
        "customer": "person UBIGINT, c_custkey BIGINT, c_mktsegment VARCHAR, c_nationkey INTEGER,"
        " c_acctbal DECIMAL(15,2)",
        "part": "person UBIGINT, p_partkey BIGINT, p_type VARCHAR, p_brand VARCHAR, p_size INTEGER,"
        " p_container VARCHAR",
        "supplier": "person UBIGINT, s_suppkey BIGINT, s_nationkey INTEGER",
        "nation": "n_nationkey INTEGER, n_name VARCHAR, n_regionkey INTEGER",
        "region": "r_regionkey INTEGER, r_name VARCHAR",
    }.items()
)  # fmt: skip

QUERIES = {
    1: """select l_returnflag, l_linestatus, sum(l_quantity) as sum_qty, sum(l_extendedprice) as sum_base_price,
        sum(l_extendedprice * (1 - l_discount)) as sum_disc_price,
        sum(l_extendedprice * (1 - l_discount) * (1 + l_tax)) as sum_charge, avg(l_quantity) as avg_qty,
        avg(l_extendedprice) as avg_price, avg(l_discount) as avg_disc, count(*) as count_order
        from tpch.lineitem where l_shipdate <= date '1998-12-01' - interval '90' day
        group by l_returnflag, l_linestatus order by l_returnflag, l_linestatus""",
    3: """select l_orderkey, sum(l_extendedprice * (1 - l_discount)) as revenue, o_orderdate, o_shippriority
        from tpch.customer c join tpch.orders o on c.person = o.person join tpch.lineitem on l_orderkey = o_orderkey
        where c_mktsegment = 'BUILDING' and o_orderdate < date '1995-03-15' and l_shipdate > date '1995-03-15'
        group by l_orderkey, o_orderdate, o_shippriority order by revenue desc, o_orderdate limit 10""",
    5: """select n_name, sum(l_extendedprice * (1 - l_discount)) as revenue
        from tpch.customer c join tpch.orders o on c.person = o.person join tpch.lineitem on l_orderkey = o_orderkey
        join tpch.supplier on l_suppkey = s_suppkey and c_nationkey = s_nationkey
        join tpch.nation on s_nationkey = n_nationkey join tpch.region on n_regionkey = r_regionkey
        where r_name = 'ASIA' and o_orderdate >= date '1994-01-01'
        and o_orderdate < date '1994-01-01' + interval '1' year group by n_name order by revenue desc""",
    6: """select sum(l_extendedprice * l_discount) as revenue from tpch.lineitem
        where l_shipdate >= date '1994-01-01' and l_shipdate < date '1994-01-01' + interval '1' year
        and l_discount between 0.06 - 0.01 and 0.06 + 0.01 and l_quantity < 24""",
    10: """select c_custkey, n_name, c_acctbal, sum(l_extendedprice * (1 - l_discount)) as revenue
        from tpch.customer c join tpch.orders o on c.person = o.person join tpch.lineitem on l_orderkey = o_orderkey
        join tpch.nation on c_nationkey = n_nationkey
        where o_orderdate >= date '1993-10-01' and o_orderdate < date '1993-10-01' + interval '3' month
        and l_returnflag = 'R' group by c_custkey, c_acctbal, n_name order by revenue desc limit 20""",
    12: """select l_shipmode,
        sum(case when o_orderpriority = '1-URGENT' or o_orderpriority = '2-HIGH' then 1 else 0 end) as high_line_count,
        sum(case when o_orderpriority <> '1-URGENT' and o_orderpriority <> '2-HIGH' then 1 else 0 end) as low_line_count
        from tpch.orders join tpch.lineitem on o_orderkey = l_orderkey
        where l_shipmode in ('MAIL', 'SHIP') and l_commitdate < l_receiptdate and l_shipdate < l_commitdate
        and l_receiptdate >= date '1994-01-01' and l_receiptdate < date '1994-01-01' + interval '1' year
        group by l_shipmode order by l_shipmode""",
    14: """select 100.00 * sum(case when p_type like 'PROMO%' then l_extendedprice * (1 - l_discount) else 0 end)
        / sum(l_extendedprice * (1 - l_discount)) as promo_revenue
        from tpch.lineitem join tpch.part on l_partkey = p_partkey
        where l_shipdate >= date '1995-09-01' and l_shipdate < date '1995-09-01' + interval '1' month""",
    19: """select sum(l_extendedprice * (1 - l_discount)) as revenue
        from tpch.lineitem join tpch.part on p_partkey = l_partkey
        where l_shipmode in ('AIR', 'AIR REG') and l_shipinstruct = 'DELIVER IN PERSON' and (
        (p_brand = 'Brand#12' and p_container in ('SM CASE', 'SM BOX') and l_quantity between 1 and 11
        and p_size between 1 and 5)
        or (p_brand = 'Brand#23' and p_container in ('MED BAG', 'MED BOX') and l_quantity between 10 and 20))""",
}
"""TPC-H 3.0.1, section 2.4, with joins written as JOIN; the other queries need subqueries."""


@pytest.mark.parametrize("number", QUERIES)
def test_tpc_h_queries_of_the_subset_are_read(number: int) -> None:
    reading = check.check(QUERIES[number], TPCH, 512)
    written = {
        name for shadow in TPCH for column in shadow.columns if (name := column.name) in QUERIES[number]
    }
    assert {use.column for use in reading.uses} - {"person"} == written - {"person"}
    assert (reading.limit is not None) == (" limit " in QUERIES[number])


# ----------------------------------------------------------------------------------------------- properties
#
# The generator writes SQL and, beside it, what it means in Python: a condition as a function of a row that is true or
# not, a figure as the sets of rows that it tells apart.

Row = dict[str, Any]
Test = Callable[[Row], bool]


@dataclass(frozen=True)
class Written:
    """A piece of SQL and its meaning: a condition's one test, or the tests of a figure's parts."""

    sql: str
    tests: tuple[Test, ...]


def condition(sql: str, test: Test) -> Written:
    return Written(sql, (test,))


def given_and(test: Callable[[Any], bool], *columns: str) -> Test:
    return lambda row: all(row[column] is not None for column in columns) and test(row)


ATOMS = [
    condition("i.age > 1", lambda row: row["age"] > 1),
    condition("i.age between 1 and 2", lambda row: 1 <= row["age"] <= 2),
    condition("i.age in (0, 3)", lambda row: row["age"] in (0, 3)),
    condition("i.age not in (0, 3)", lambda row: row["age"] not in (0, 3)),
    condition("i.region = 'b'", lambda row: row["region"] == "b"),
    condition("i.region like 'a%'", lambda row: row["region"].startswith("a")),
    condition("lower(i.region) not like 'a%'", lambda row: not row["region"].startswith("a")),
    condition("i.income is null", lambda row: row["income"] is None),
    condition("i.income is not null", lambda row: row["income"] is not None),
    condition("i.income > 4", given_and(lambda row: row["income"] > 4, "income")),
    condition("not i.income > 4", given_and(lambda row: row["income"] <= 4, "income")),
    condition("i.urban", lambda row: row["urban"]),
    condition("not i.urban", lambda row: not row["urban"]),
    condition("year(i.born) = 2000", lambda row: row["born"].year == 2000),
    condition(
        "i.born >= date '2001-02-01' - interval 1 month", lambda row: row["born"] >= datetime.date(2001, 1, 1)
    ),
    condition("extract(month from i.born) <> 6", lambda row: row["born"].month != 6),
    condition("i.age % 2 = 0", lambda row: row["age"] % 2 == 0),
    condition("floor(i.paid) = 1", lambda row: math.floor(row["paid"]) == 1),
]


@st.composite
def conditions(draw: st.DrawFn) -> Written:
    """One atom, or two of them joined: both known for each row, so AND and OR need no third value."""
    left, right = draw(st.sampled_from(ATOMS)), draw(st.sampled_from(ATOMS))
    shape = draw(st.sampled_from(["one", "and", "or"]))
    if shape == "one":
        return left
    a, b = left.tests[0], right.tests[0]
    if shape == "and":
        return condition(f"({left.sql} and {right.sql})", lambda row: a(row) and b(row))
    return condition(f"({left.sql} or {right.sql})", lambda row: a(row) or b(row))


VALUES = [
    Written("i.paid", (lambda row: True,)),
    Written("i.income", (lambda row: row["income"] is not None,)),
    Written("i.age", (lambda row: row["age"] != 0,)),
    Written("cast(i.age as double)", (lambda row: row["age"] != 0,)),
    Written(
        "i.paid * (1 - i.age)",
        (lambda row: row["paid"] != 0 and row["age"] != 1, lambda row: row["age"] != 0),
    ),
    Written("i.income * i.age", (given_and(lambda row: row["income"] * row["age"] != 0, "income"),)),
    Written("i.income / i.age", (given_and(lambda row: row["age"] != 0 and row["income"] != 0, "income"),)),
    Written("i.income - i.paid", (lambda row: row["income"] is not None,)),
    Written("2024 - year(i.born)", (lambda row: True,)),
    Written(
        "coalesce(i.income, 7)", (lambda row: row["income"] is not None, lambda row: row["income"] is None)
    ),
    Written("0", (lambda row: True,)),
]


def both(first: Test, second: Test) -> Test:
    return lambda row: first(row) and second(row)


def none_of(tests: list[Test]) -> Test:
    taken = tuple(tests)
    return lambda row: not any(test(row) for test in taken)


@st.composite
def cases(draw: st.DrawFn) -> Written:
    """A CASE of one or two branches, with or without ELSE; each branch's rows are a part, refined by its value."""
    tests: list[Test] = []
    sql, before = "case", []
    for _ in range(draw(st.integers(1, 2))):
        when, then = draw(conditions()), draw(st.sampled_from(VALUES))
        chosen = when.tests[0]
        tests += [both(both(none_of(before), chosen), part) for part in then.tests]
        before.append(chosen)
        sql += f" when {when.sql} then {then.sql}"
    rest = none_of(before)
    otherwise = draw(st.sampled_from([None, *VALUES]))
    tests += [rest] if otherwise is None else [both(rest, part) for part in otherwise.tests]
    return Written(f"{sql} {f'else {otherwise.sql} ' if otherwise else ''}end", tuple(tests))


@st.composite
def figures(draw: st.DrawFn) -> Written:
    if draw(st.integers(0, 3)) == 0:
        return draw(
            st.sampled_from(
                [
                    Written("count(*)", (lambda row: True,)),
                    Written("count(i.income)", (lambda row: row["income"] is not None,)),
                    Written("count(distinct i.age)", (lambda row: True,)),
                    Written("count(distinct i.person)", (lambda row: True,)),
                ]
            )
        )
    function = draw(st.sampled_from(["sum", "avg", "stddev"]))
    argument = draw(st.one_of(st.sampled_from(VALUES[:-1]), cases()))
    return Written(f"{function}({argument.sql})", argument.tests)


KEYS = {
    "i.region": lambda row: row["region"],
    "i.age": lambda row: row["age"],
    "year(i.born)": lambda row: row["born"].year,
    "floor(i.age / 2)": lambda row: math.floor(row["age"] / 2),
    "case when i.urban then 'u' else i.region end": lambda row: "u" if row["urban"] else row["region"],
    "v.kind": lambda row: row["kind"],
}
PEOPLE = st.lists(
    st.tuples(
        st.integers(1, 6), st.sampled_from(["a", "b", "ab"]), st.integers(0, 3),
        st.sampled_from([None, 0.0, 2.0, 8.0]), st.sampled_from([Decimal(0), Decimal(1), Decimal("2.50")]),
        st.sampled_from([datetime.date(2000, 6, 1), datetime.date(2001, 1, 1)]), st.booleans(),
    ),
    max_size=14,
)  # fmt: skip
VISITS = st.lists(
    st.tuples(
        st.integers(1, 6), st.sampled_from(["a", "b"]), st.sampled_from([0.0, 4.0]),
        st.just(datetime.datetime.fromisoformat("2024-01-01")), st.sampled_from([None, "x"]),
    ),
    max_size=8,
)  # fmt: skip
JOINS = ["", " join med.visit v on i.person = v.person", " left join med.visit v using (person)"]


@st.composite
def statements(draw: st.DrawFn) -> tuple[str, str, Written | None, Written]:
    join = draw(st.sampled_from(JOINS))
    key = draw(st.sampled_from([key for key in KEYS if join or not key.startswith("v.")]))
    where, figure = draw(st.none() | conditions()), draw(figures())
    return join, key, where, figure


def joined(people: list[tuple], visits: list[tuple], join: str) -> list[Row]:
    left = [dict(zip((column.name for column in INCOME.columns), row, strict=True)) for row in people]
    right = [dict(zip((column.name for column in VISIT.columns), row, strict=True)) for row in visits]
    if not join:
        return left
    rows = []
    for row in left:
        matches = [other["kind"] for other in right if other["person"] == row["person"]]
        rows += [{**row, "kind": kind} for kind in matches]
        if not matches and "left" in join:
            rows.append({**row, "kind": None})
    return rows


def comparable(rows: list[tuple]) -> list[str]:
    return sorted(
        repr([float(f"{v:.9g}") if isinstance(v, float | Decimal) else v for v in row]) for row in rows
    )


@given(statements(), PEOPLE, VISITS)
def test_counted_statements_give_the_members_figures_and_the_persons_behind_them(
    statement: tuple[str, str, Written | None, Written], people: list[tuple], visits: list[tuple]
) -> None:
    join, key, where, figure = statement
    filtered = f" where {where.sql}" if where else ""
    sql = f"select {key} as k, {figure.sql} as f from tax.income i{join}{filtered} group by {key}"
    reading = read(sql)  # both readers agree, or this raises
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        connection.execute(query.NO_INFINITIES)
        create(connection, INCOME, people)
        create(connection, VISIT, visits)
        asked = connection.execute(sql).fetchall()
        counted = connection.execute(reading.counted).fetchall()
    assert comparable(asked) == comparable([row[:2] for row in counted])
    rows = [row for row in joined(people, visits, join) if where is None or where.tests[0](row)]
    cells = {
        k: list(group)
        for k, group in itertools.groupby(sorted(rows, key=lambda r: str(KEYS[key](r))), KEYS[key])
    }
    position = reading.outputs[1].persons
    for k, _, *persons in counted:
        cell = cells[k]
        assert persons[0] == len({row["person"] for row in cell})
        assert persons[position] == min(
            len({row["person"] for row in cell if test(row)}) for test in figure.tests
        ), sql

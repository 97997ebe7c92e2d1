"""What the second reader finds in the engine's bound plan, at the level of rows: every column, by clause.

The last tests need no expectation written by hand: a column that the reader did not find can be taken away, and
its values can change, without the statement noticing.
"""

from __future__ import annotations

import duckdb
import pytest

from inside.bound import planned, shadow_engine
from inside.plan_columns import PlanColumns, read_plan
from plans.errors import SqlSyntax, SqlUnsupported
from plans.reading import Shadow, ShadowColumn
from tests.inside import statement_grammar
from tests.inside.statement_grammar import Grammar

SHADOWS = statement_grammar.shadows()


@pytest.fixture(scope="module")
def engine() -> duckdb.DuckDBPyConnection:
    """Empty tables s.sale, s.shop and s.good."""
    return shadow_engine(SHADOWS, 512)


def found(engine: duckdb.DuckDBPyConnection, statement: str) -> PlanColumns:
    """What the reader finds in a statement."""
    return read_plan(planned(engine, statement))


def written(uses: PlanColumns) -> set[str]:
    """Uses as words: `sale.price filter`, `sale.price sum` for an aggregate."""
    return {
        f"{use.relation.partition('.')[2]}.{use.column} {use.function or use.clause}" for use in uses.uses
    }


CLAUSES = [
    ("select id from s.sale", "sale.id select"),
    ("select 1 from s.sale", ""),
    ("select count(*) from s.sale", ""),
    ("select id + qty as n from s.sale", "sale.id select, sale.qty select"),
    # conditions
    ("select 1 from s.sale where id = 5", "sale.id compare"),
    ("select 1 from s.sale where 5 < id + qty", "sale.id compare, sale.qty compare"),
    ("select 1 from s.sale where id in (1, 2)", "sale.id compare"),
    ("select 1 from s.sale where id in (1, qty)", "sale.id compare, sale.id filter, sale.qty filter"),
    ("select 1 from s.shop where city like 'a%'", "shop.city compare"),
    ("select 1 from s.shop where regexp_matches(city, 'a')", "shop.city compare"),
    ("select 1 from s.sale where (id between 1 and qty) is null",
        "sale.id compare, sale.id filter, sale.qty compare, sale.qty filter"),
    ("select 1 from s.sale where id = qty + 0", "sale.id compare, sale.qty compare"),
    ("select 1 from s.sale where id = 5 + 0 * qty", "sale.id compare, sale.qty compare"),
    ("select 1 from s.sale where cast(id as bigint) = qty", "sale.id filter, sale.qty filter"),
    ("select 1 from s.sale where nullif(id, 5) is null", "sale.id compare"),
    ("select 1 from s.sale where 1 / (id - 5) is null", "sale.id compare"),
    ("select 1 from s.sale where cast(id - 5 as boolean)", "sale.id compare"),
    ("select 1 from s.sale where id = (select max(qty) from s.sale)",
        "sale.id compare, sale.qty max"),
    ("select 1 from s.sale where id = qty", "sale.id filter, sale.qty filter"),
    ("select 1 from s.sale where id is null", "sale.id filter"),
    ("select 1 from s.shop where open", "shop.open filter"),
    ("select 1 from s.shop where not (open or area > 3)", "shop.open filter, shop.area compare"),
    ("select 1 from s.sale where coalesce(id = 5, false)", "sale.id compare"),
    ("select id = 5 as q from s.sale", "sale.id compare, sale.id select"),
    ("select case when id > 5 then qty end as q from s.sale", "sale.id compare, sale.qty select"),
    ("select 1 from s.sale where id = (select 5)", "sale.id compare"),
    ("select 1 from s.sale, (values (5)) as v(n) where id = n", "sale.id compare"),
    ("select 1 from s.sale join (values (5)) as v(n) on id = n", "sale.id compare, sale.id join"),
    ("with five as (select 5 as n) select 1 from s.sale, five where id = n", "sale.id compare"),
    # joins
    ("select 1 from s.sale join s.good on sale.id = good.id", "sale.id join, good.id join"),
    ("select 1 from s.sale join s.good using (id)", "sale.id join, good.id join"),
    ("select 1 from s.sale, s.good where sale.id = good.id", "sale.id join, good.id join"),
    ("select 1 from s.sale a, s.sale b where a.id < b.qty", "sale.id join, sale.qty join"),
    ("select 1 from s.sale left join s.good on sale.id < good.id or qty > 3",
        "sale.id join, good.id join, sale.qty join, sale.qty compare"),
    ("select 1 from s.sale natural join s.shop",
        "sale.shop join, shop.shop join, sale.day join, shop.day join"),
    ("select 1 from s.sale semi join s.good using (id)",
        "sale.id join, good.id join, sale.id filter, good.id filter"),
    # subqueries
    ("select 1 from s.sale where id in (select id from s.good)",
        "sale.id join, good.id join, sale.id filter, good.id filter"),
    ("select 1 from s.sale where exists (from s.good where good.id = sale.id)",
        "sale.id join, sale.id filter, good.id join, good.kind select, good.city select, good.weight select, "
        "good.fresh select"),
    ("select (select max(weight) from s.good where good.id = sale.id) as m from s.sale",
        "sale.id join, sale.id filter, sale.id group, good.id join, good.weight max"),
    ("select 1 from s.sale limit (select count(kind) from s.good)", "good.kind count"),
    ("select x from s.sale, lateral (select id as x) as l", "sale.id join, sale.id filter, sale.id select"),
    # groups
    ("select shop, sum(price) as p from s.sale group by shop", "sale.shop group, sale.shop select, sale.price sum"),
    ("select count(distinct id) as n from s.sale", "sale.id count_distinct"),
    ("select sum(qty) filter (where id > 1) as n from s.sale", "sale.qty sum, sale.id compare"),
    ("select count(*) from s.sale group by shop having max(qty) > 3", "sale.shop group, sale.qty max"),
    ("select string_agg(city, ',' order by area) as n from s.shop", "shop.city string_agg, shop.area order"),
    ("select count(*) as n from s.sale group by rollup (shop, id)", "sale.shop group, sale.id group"),
    ("select distinct id from s.sale", "sale.id group, sale.id select"),
    ("select distinct on (id) qty from s.sale order by id, price",
        "sale.id group, sale.id order, sale.qty select, sale.price order"),
    # order and windows
    ("select id from s.sale order by qty", "sale.id select, sale.qty order"),
    ("select row_number() over (partition by id order by qty) as n from s.sale",
        "sale.id window, sale.qty window"),
    ("select sum(price) over (order by id) as n from s.sale", "sale.id window, sale.price window, sale.price sum"),
    ("select lag(price) over (order by id) as n from s.sale",
        "sale.id window, sale.price window, sale.price select"),
    ("select 1 from s.sale qualify row_number() over (order by id) = 1", "sale.id window"),
    # set operations
    ("select id from s.sale union all select id from s.good", "sale.id select, good.id select"),
    ("select id from s.sale union select id from s.good",
        "sale.id select, good.id select, sale.id group, good.id group"),
    ("select id from s.sale intersect select 5", "sale.id select, sale.id group, sale.id filter, sale.id compare"),
    # what is not named
    ("select sale from s.sale",
        "sale.id select, sale.shop select, sale.price select, sale.qty select, sale.day select"),
    ("select columns('.*i.*') from s.sale", "sale.id select, sale.price select"),
    ("select * exclude (id, day) from s.sale", "sale.shop select, sale.price select, sale.qty select"),
    ("select count(sale) as n from s.sale",
        "sale.id count, sale.shop count, sale.price count, sale.qty count, sale.day count"),
    ("select 1 from (select id, qty from s.sale) as t", "sale.id select, sale.qty select"),
    ("with sale as (select kind as id from s.good) select id from sale", "good.kind select"),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "uses"), CLAUSES, ids=[statement for statement, _ in CLAUSES])
def test_every_column_is_found_in_its_clauses(
    engine: duckdb.DuckDBPyConnection, statement: str, uses: str
) -> None:
    assert written(found(engine, statement)) == set(filter(None, uses.split(", ")))


REFUSED = [
    ("select rowid from s.sale", "a row number"),
    ("select 1 from s.sale where rowid = 1", "a row number"),
    ("select * from s.sale positional join s.good", "positional_join"),
    ("select * from s.sale asof join s.shop on sale.day >= shop.day", "asof_join"),
    ("select unnest([id]) from s.sale", "unnest"),
    ("select * from s.sale using sample 3", "sample"),
    ("select * from duckdb_tables()", "a scan of something else"),
    ("select * from range(3)", "a scan of something else"),
    (
        "with recursive w as (select 1 as n union select n + 1 from w where n < 9) select n from w",
        "recursive",
    ),
    ("select list_transform([1], lambda x: x + id) from s.sale", "a function of a function"),
    ("select error('x') from s.sale", "an error"),
    ("select id::json from s.sale", "a cast to JSON"),
    ("select cast(row(id) as struct(x integer)) from s.sale", "a cast to STRUCT"),
    ("describe s.sale", "chunk_get"),
]


@pytest.mark.parametrize(("statement", "word"), REFUSED, ids=[statement for statement, _ in REFUSED])
def test_what_is_not_listed_is_refused_by_its_kind(
    engine: duckdb.DuckDBPyConnection, statement: str, word: str
) -> None:
    with pytest.raises(SqlUnsupported, match=word):
        found(engine, statement)


def test_outputs_know_their_types_and_what_they_are_computed_from(engine: duckdb.DuckDBPyConnection) -> None:
    statement = """with w as (select shop, sum(price) as p from s.sale where day is not null group by shop)
        select area * 2, w.p, w.shop || '!', 7, rank() over (order by p) from w join s.shop using (shop)"""
    outputs = found(engine, statement).outputs
    bases = [{f"{relation}.{name}" for _, relation, name in output.sources} for output in outputs]
    assert [output.type for output in outputs] == ["DOUBLE", "DECIMAL(38,2)", "VARCHAR", "INTEGER", "BIGINT"]
    assert bases == [{"s.shop.area"}, {"s.sale.price"}, {"s.sale.shop"}, set(), {"s.sale.price"}]


def test_two_reads_of_one_relation_are_told_apart(engine: duckdb.DuckDBPyConnection) -> None:
    left, right = found(engine, "select a.id, b.id from s.sale a, s.sale b").outputs
    assert left.sources != right.sources


def test_deep_nesting_is_refused_and_does_not_end_the_reader(engine: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises((SqlUnsupported, SqlSyntax)):
        found(engine, "select " + "(" * 400 + "id" + " + 1)" * 400 + " from s.sale")


# --- without expectations written by hand -----------------------------------------------------


def without(columns: frozenset[tuple[str, str]]) -> tuple[Shadow, ...]:
    """The relations with these columns only, and one that no statement names, since a table needs a column."""
    nobody = ShadowColumn("nobody", "INTEGER", True, True)
    return tuple(
        Shadow(
            shadow.relation,
            (*(column for column in shadow.columns if (shadow.relation, column.name) in columns), nobody),
        )
        for shadow in SHADOWS
    )


WRITTEN_OUT = ("exclude", "replace", "columns(", "*", "natural", "from w", "union by name", "(p, q)")
"""Forms whose meaning changes with the columns that a relation has."""


def test_a_column_that_was_not_found_can_be_taken_away(engine: duckdb.DuckDBPyConnection) -> None:
    grammar, tried = Grammar(41), 0
    while tried < 120:
        statement = grammar.statement()
        try:
            columns = found(engine, statement)
        except (SqlSyntax, SqlUnsupported):
            continue
        if any(form in statement.replace("count(*)", "") for form in WRITTEN_OUT) or len(columns.pairs) == 15:
            continue
        with shadow_engine(without(columns.pairs), 512) as smaller:
            try:
                again = found(smaller, statement)
            except SqlSyntax as problem:
                pytest.fail(f"{statement}\n{sorted(columns.pairs)}\n{problem}")
        assert {use for use in again.uses if use.column != "nobody"} == columns.uses
        tried += 1


def test_control_a_column_that_was_found_cannot_be_taken_away(engine: duckdb.DuckDBPyConnection) -> None:
    grammar, failed, tried = Grammar(41), 0, 0
    while tried < 120:
        statement = grammar.statement()
        try:
            columns = found(engine, statement).pairs
        except (SqlSyntax, SqlUnsupported):
            continue
        if not columns:
            continue
        tried += 1
        with shadow_engine(without(columns - {min(columns)}), 512) as smaller:
            try:
                found(smaller, statement)
            except (SqlSyntax, SqlUnsupported):
                failed += 1
    assert failed > 90

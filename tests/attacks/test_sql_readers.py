"""ATTACKS 16, 21: statements that make a reader stumble, and ones whose running time would tell of one row."""

from __future__ import annotations

from dataclasses import replace

import duckdb
import pytest

from plans.errors import Malformed, SqlUnsupported
from policies.reading import attempts, read_forms
from tests.inside.sql_cases import INCOME, SHADOWS, create, read
from tests.inside.test_finish_equals_duckdb import SOME_PEOPLE, SOME_VISITS, require_equal

SHOWN = tuple(
    replace(shadow, columns=tuple(replace(column, shown=True) for column in shadow.columns))
    for shadow in SHADOWS
)

HALF = """
select columns ( '.*' ) , count ( * ) from . . income group by all
select * replace ( 1 as ) from tax.income
select * replace ( age + 1 as age ) rename ( age as ) from tax.income
select count(*) from read_parquet('/in/tax.income.attributes', encryption_config = { : 'k' })
select count(distinct age) from tax.income where person in (select from med.visit)
select count() filter (where age > 1) as n, sum(paid) + 1 as s from tax.income
with b as (select x.age + y.* as s from tax.income x join tax.income y using (person)) select sum(s) from b
select count(distinct) filter (where age > 1) as n, sum(paid) + 1 as s from tax.income
""".strip().splitlines()


@pytest.mark.parametrize("statement", HALF)
def test_16_half_a_construct_is_refused_like_anything_that_does_not_parse(statement: str) -> None:
    with pytest.raises(Malformed):
        read_forms(statement, SHADOWS)
    if "count(" not in statement:  # over rows, count() is what the engine takes it for
        with pytest.raises(Malformed):
            read_forms(statement, SHOWN)


@pytest.mark.parametrize("number", ["9" * 5_000, "²", "٣", "1e999", "0x1", "1_0"])
@pytest.mark.parametrize(
    "statement",
    [
        "select age from tax.income order by {}",
        "select age from tax.income group by {}",
        "select lpad(region, {}, 'x') from tax.income",
        "select age from tax.income limit {}",
        "select age from tax.income where age = {}",
        "select round(income, {}) from tax.income where born + interval {} day > born",
    ],
)
def test_16_no_number_is_too_odd_to_be_read(statement: str, number: str) -> None:
    """As a length or a position: five thousand digits are none, nor is a superscript."""
    figures = statement.replace("select age", "select age, count(*) as n").replace(
        "order", "group by age order", 1
    )
    for text, shadows in ((statement, SHOWN), (statement, SHADOWS), (figures, SHADOWS)):
        try:
            read(text.replace("{}", number), *shadows)
        except Malformed:
            continue


@pytest.mark.parametrize("pattern", ["%_%_%_%_%b", "Li%_%_%_b", "_%%%"])
def test_21_a_pattern_that_takes_time_by_the_length_of_one_text_is_refused(pattern: str) -> None:
    """`%_%_%_%_%_%b` takes the engine seconds on one text of sixty characters, and nothing where there is none."""
    with pytest.raises(SqlUnsupported, match="at most 2 %"):
        read(f"select count(*) from tax.income where region like '{pattern}'")


@pytest.mark.parametrize("pattern", ["%a%b%c%d%", "_a%b%", "%_"])
def test_21_control_patterns_of_one_pass_are_read(pattern: str) -> None:
    assert read(f"select count(*) from tax.income where region like '{pattern}'").outputs


def failing(count: int) -> str:
    """Figures of which each fails at a row of age 97."""
    figures = (f"sum(case when age * 22500000 > {n} then 1 else 0 end) as f{n}" for n in range(count))
    return f"select {', '.join(figures)} from tax.income"


def test_21_failures_of_one_row_are_not_made_to_add_up() -> None:
    """Where an attempt fails, the engine goes row by row: with hundreds of attempts, one row is a second."""
    with pytest.raises(SqlUnsupported, match="may fail at a row"):
        read(failing(24))
    one = (
        "(select sum(case when age * {n} > 0 then 1 else 0 end) / sum(case when age * {n} < 9 then 1 else 0 end)"
        " from tax.income)"
    )
    with pytest.raises(SqlUnsupported, match="may fail at a row"):
        read(
            f"select {' + '.join(one.format(n=20_000_000 + n) for n in range(16))} as f, count(*) as n from tax.income"
        )


def test_21_control_some_attempts_are_read() -> None:
    assert 0 < read(failing(8)).counted.count("TRY(") <= attempts.MOST_ATTEMPTS


@pytest.mark.parametrize(
    "condition", ["age * 2 between 1 and 3", "not age * 2 between 1 and 3", "age between 1 and 3"]
)
def test_21_between_is_read_where_it_may_fail(condition: str) -> None:
    """The two readers took the attempt of one for one condition, and the engine for two."""
    reading = read(f"select count(*) as n from tax.income where {condition}")
    rows = [(n, "a", n, 1.0, 1, "2000-01-01", True) for n in range(4)]
    with duckdb.connect(":memory:") as connection:
        create(connection, INCOME, [*rows, (9, "a", 2_000_000_000, 1.0, 1, "2000-01-01", True)])
        (found,) = connection.execute(reading.counted).fetchall()
    assert found[0] == {"age * 2 between 1 and 3": 1, "age between 1 and 3": 3}.get(condition, 3)


def test_22_no_text_over_figures_is_padded_without_end() -> None:
    over = "select lpad(region, {}, '-') as f from (select region, count(*) as n from tax.income group by region)"
    for length in ("2000000000", "n", "9" * 6_000, "- 5"):
        with pytest.raises(Malformed, match=r"padded|at most 40 digits"):
            read(over.format(length))
    assert read(over.format(12)).finish


def test_an_operator_that_the_parser_takes_for_another_is_refused_over_figures() -> None:
    over = "select region {} as f from (select region, count(*) as n from tax.income group by region)"
    with pytest.raises(SqlUnsupported, match="~"):
        read(over.format("~ 'a.*'"))
    assert read(f"select regexp_full_match({over.format('')[7:]}".replace(" as f", ", 'a.*') as f", 1)).finish


def test_what_the_engine_groups_by_all_beside_the_outputs_is_refused() -> None:
    """It takes the columns of HAVING among the keys of GROUP BY ALL, where they stand in a computed one."""
    text = "select age % 2 as k, count(*) as n from tax.income group by {} having {} >= 0"
    for condition in ("k", "age % 2"):
        with pytest.raises(Malformed, match="GROUP BY ALL"):
            read(text.format("all", condition))
        require_equal(text.format("k", condition), SOME_PEOPLE, SOME_VISITS)
    require_equal(text.format("all", "count(*)"), SOME_PEOPLE, SOME_VISITS)

"""The guard reads the subset, says which columns are used how, and counts the persons behind every figure."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans.errors import Malformed, SqlSyntax, SqlUnsupported, TooLarge
from plans.reading import Clause, ColumnUse, Order, Reading, Role
from policies.reading import grammar, read, read_predicate
from tests.inside.sql_cases import INCOME, SHADOWS, shadow

ROOT = Path(__file__).resolve().parents[2]
PERSON = '"income"."person"'


def uses(statement: str) -> set[tuple[str, str, str]]:
    """Uses of columns of tax.income, as (column, clause, function)."""
    return {(use.column, use.clause.value, use.function) for use in read(statement, SHADOWS).uses}


def hidden(figure: str) -> list[str]:
    """What is counted for one figure, as SQL, each set of persons once."""
    reading = read(f"select {figure} as f from tax.income", SHADOWS)
    items = re.split(r' AS "_persons_\d+"(?:, )?', reading.counted.partition(' AS "f", ')[2])
    text = items[reading.outputs[0].persons]
    return re.findall(
        r"count\(DISTINCT (.*?)\)(?=, count|\)?$)", text.removeprefix("least(").removesuffix(")") + ")"
    )


def among(argument: str, part: str) -> str:
    """A part, as it is written among the rows where an argument that may fail did not."""
    return f"CASE WHEN (NOT (TRY({argument}) IS NULL)) THEN {part} ELSE NULL END"


# ------------------------------------------------------------------------------------------ uses by clause


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("select count(*) from tax.income", set()),
        ("select count(*) from tax.income where age > 3", {("age", "compare", "")}),
        ("select count(*) from tax.income where age > paid", {("age", "filter", ""), ("paid", "filter", "")}),
        ("select count(*) from tax.income where region in ('a', 'b')", {("region", "compare", "")}),
        ("select count(*) from tax.income where region not like 'a%'", {("region", "compare", "")}),
        (
            "select count(*) from tax.income where income is null or urban",
            {("income", "filter", ""), ("urban", "filter", "")},
        ),
        ("select count(*) from tax.income where year(born) = 2000", {("born", "compare", "")}),
        (
            "select count(*) from tax.income where age between paid and 7",
            {("age", "filter", ""), ("age", "compare", ""), ("paid", "filter", "")},
        ),
        (
            "select count(*) from tax.income where case when age > paid then 1 else 2 end = 2",
            {("age", "compare", ""), ("paid", "compare", "")},
        ),
        (
            "select count(*) from tax.income where age = 5 + 0 * paid",
            {("age", "compare", ""), ("paid", "compare", "")},
        ),
        (
            "select count(*) from tax.income where 1 / (age - 5) is null and income is null",
            {("age", "compare", ""), ("income", "filter", "")},
        ),
        (
            "select count(*) from tax.income where cast(age as bigint) <> paid and urban",
            {("age", "filter", ""), ("paid", "filter", ""), ("urban", "filter", "")},
        ),
        (
            "select case when region = 'abc' then 1 else age end k, count(*) from tax.income group by k",
            {("region", "group", ""), ("region", "compare", ""), ("age", "group", "")},
        ),
        (
            "select region = 'abc' or urban as k, count(*) from tax.income group by 1",
            {("region", "group", ""), ("region", "compare", ""), ("urban", "group", "")},
        ),
        (
            "select coalesce(case when age < paid then age end, 1) as k, count(*) from tax.income group by 1",
            {("age", "group", ""), ("age", "filter", ""), ("paid", "group", ""), ("paid", "filter", "")},
        ),
        ("select median(income) from tax.income", {("income", "aggregate", "median")}),
        ("select quantile_cont(income, 0.9) from tax.income", {("income", "aggregate", "quantile_cont")}),
        ("select quantile_disc(income, 0.05) from tax.income", {("income", "aggregate", "quantile_disc")}),
        ("select avg(income) from tax.income", {("income", "aggregate", "avg")}),
        ("select region, count(*) from tax.income group by region", {("region", "group", "")}),
        ("select year(born) y, count(*) from tax.income group by y", {("born", "group", "")}),
        (
            "select sum(case when age > 3 then paid end) from tax.income",
            {("age", "compare", ""), ("paid", "aggregate", "sum")},
        ),
        ("select count(distinct person) from tax.income", {("person", "aggregate", "count_distinct")}),
        (
            "select 100 * sum(paid) / count(age) from tax.income",
            {("paid", "aggregate", "sum"), ("age", "aggregate", "count")},
        ),
    ],
)
def test_every_column_is_found_in_the_clause_that_uses_it(statement: str, expected: set) -> None:
    assert uses(statement) == expected


def test_a_join_uses_its_columns_on_both_sides() -> None:
    found = read(
        "select count(*) from tax.income i left join med.visit v using (person, region)", SHADOWS
    ).uses
    assert set(found) == {
        ColumnUse(relation, column, Clause.JOIN, "")
        for relation in ("tax.income", "med.visit")
        for column in ("person", "region")
    }


def test_case_and_quotes_of_names_make_no_difference() -> None:
    plain = read("select region, count(*) from tax.income group by region", SHADOWS)
    loud = read('SELECT "Region", COUNT(*) FROM TAX."Income" GROUP BY INCOME.region', SHADOWS)
    assert (plain.counted, plain.uses) == (loud.counted, loud.uses)


def test_comments_are_dropped() -> None:
    reading = read("select /* 身份证 */ count(*) -- of Li\nfrom tax.income; -- end", SHADOWS)
    assert "Li" not in reading.counted and "身份证" not in reading.counted


# --------------------------------------------------------------------------------- outputs, order and limit


def outline(statement: str) -> list[tuple[str, Role, str]]:
    return [(output.name, output.role, output.function) for output in read(statement, SHADOWS).outputs]


def test_outputs_are_named_by_the_member_or_by_what_they_are() -> None:
    assert outline(
        "select region, year(born), count(*), avg(income) as mean, count(distinct person), sum(paid) / count(*)"
        " from tax.income group by 1, 2"
    ) == [
        ("region", Role.KEY, ""),
        ("year_born", Role.KEY, ""),
        ("count", Role.FIGURE, "count"),
        ("mean", Role.FIGURE, "avg"),
        ("count_distinct_person", Role.FIGURE, "count"),
        ("column_6", Role.FIGURE, "ratio"),
    ]


def test_order_and_limit_are_read_and_not_run() -> None:
    reading = read(
        "select region r, age, count(*) n from tax.income group by region, age"
        " order by n desc, 1 nulls first, tax.age limit 7".replace("tax.age", "income.age"),
        SHADOWS,
    )
    assert reading.order == (Order(2, True, False), Order(0, False, True), Order(1, False, False))
    assert reading.limit == 7
    assert "ORDER" not in reading.counted and "LIMIT" not in reading.counted


def test_groups_may_be_named_by_position_alias_or_expression() -> None:
    select = "select floor(age / 10) as decade, count(*) from tax.income group by "
    assert len({read(select + key, SHADOWS).counted for key in ("1", "decade", "floor(age/10)")}) == 1


def test_in_group_by_a_column_goes_before_an_alias() -> None:
    """As in the engine; otherwise the two readers would disagree."""
    with pytest.raises(SqlUnsupported, match="row-level"):
        read("select age as region, count(*) from tax.income group by region", SHADOWS)


# ---------------------------------------------------------------------------- the persons behind a figure


@pytest.mark.parametrize(
    ("figure", "parts"),
    [
        ("count(*)", [PERSON]),
        ("avg(paid)", [PERSON]),
        ("count(age)", [PERSON]),
        ("count(distinct person)", [PERSON]),
        ("avg(income)", [f'CASE WHEN (NOT ("income"."income" IS NULL)) THEN {PERSON} ELSE NULL END']),
        ("sum(age)", [f'CASE WHEN ("income"."age" <> 0) THEN {PERSON} ELSE NULL END']),
        (
            "sum(case when age > 3 then 1 else 0 end)",
            [
                f'CASE WHEN ("income"."age" > 3) THEN {PERSON} ELSE NULL END',
                f'CASE WHEN ("income"."age" > 3) THEN NULL ELSE {PERSON} END',
            ],
        ),
        (
            "sum(paid * (1 - age))",
            [
                f'CASE WHEN (TRY(("income"."paid" * (1 - "income"."age"))) <> 0) THEN {PERSON} ELSE NULL END',
                among(
                    '("income"."paid" * (1 - "income"."age"))',
                    f'CASE WHEN ("income"."age" <> 0) THEN {PERSON} ELSE NULL END',
                ),
            ],
        ),
    ],
)
def test_a_figure_rests_on_the_parts_that_it_tells_apart(figure: str, parts: list[str]) -> None:
    assert hidden(figure) == parts


def test_a_plain_statement_counts_its_cells_and_nothing_else() -> None:
    reading = read(
        "select region, count(*), avg(paid), count(distinct person) from tax.income group by 1", SHADOWS
    )
    assert reading.hidden == 1 and {output.persons for output in reading.outputs} == {0}


def test_every_branch_of_a_case_is_counted_the_unwritten_else_too() -> None:
    assert len(hidden("sum(case when age = 1 then paid when age = 2 then paid end)")) == 3


def test_what_a_case_hides_in_arithmetic_or_a_coalesce_is_counted() -> None:
    branch = f'CASE WHEN ("income"."age" = 97) THEN {PERSON} ELSE NULL END'
    rest = f'CASE WHEN ("income"."age" = 97) THEN NULL ELSE {PERSON} END'
    for figure in (
        "sum(paid + case when age = 97 then 1 else 0 end)",
        "sum(paid * (2 - case when age = 97 then 1 else 2 end))",
        "sum(- cast(case when age = 97 then 1 else 2 end as double))",
        "count(case when age = 97 then 1 else 0 end)",
        "count(distinct case when age = 97 then 1 else 0 end)",
    ):
        counted = hidden(figure)
        assert all(any(part in each for each in counted) for part in (branch, rest)), figure
    assert len(hidden("avg(coalesce(income, 0))")) == 2


def test_a_statement_about_several_peoples_persons_counts_the_fewest() -> None:
    """Visits of patients at one hospital are about one hospital."""
    joined = read("select count(*) from tax.income i join med.visit v on i.region = v.region", SHADOWS)
    assert 'least(count(DISTINCT "i"."person"), count(DISTINCT "v"."person"))' in joined.counted
    same = read("select count(*) from tax.income i join med.visit v using (person)", SHADOWS)
    assert "least" not in same.counted


def test_reference_data_are_about_no_one_and_need_a_relation_that_is_about_persons() -> None:
    codes = shadow("geo.region", code="VARCHAR", name="VARCHAR")
    codes = type(codes)(codes.relation, codes.columns[1:])
    reading = read(
        "select g.name, count(*) from tax.income i join geo.region g on i.region = g.code group by 1",
        (INCOME, codes),
    )
    assert "least" not in reading.counted
    with pytest.raises(SqlUnsupported, match="about persons"):
        read("select name, count(*) from geo.region group by 1", (codes,))


def test_the_right_side_of_a_left_join_may_be_null_everywhere() -> None:
    counted = read(
        "select avg(v.cost) from tax.income i left join med.visit v using (person)", SHADOWS
    ).counted
    assert '"v"."cost" IS NULL' in counted
    counted = read("select avg(v.cost) from tax.income i join med.visit v using (person)", SHADOWS).counted
    assert '"v"."cost" IS NULL' not in counted


def test_too_many_parts_are_refused() -> None:
    branches = " ".join(f"when age = {n} then {n}" for n in range(60))
    cases = ", ".join(f"sum(case {branches} else {n} end) as c{n}" for n in (1, 2))
    read(f"select sum(case {branches} else 1 end) from tax.income", SHADOWS)
    other = cases.replace("age", "paid", 60)
    with pytest.raises(SqlUnsupported, match="sets of persons"):
        read(f"select {other} from tax.income", SHADOWS)


# --------------------------------------------------------------------------------------------- what is refused


REFUSED = """
select region from tax.income                                              | row-level
select region, count(*) from tax.income                                    | row-level
select person, count(*) from tax.income group by 1                         | person token
select count(*) from tax.income where person = 5                           | person token
select count(person) from tax.income                                       | person token
select sum(person) from tax.income                                         | person token
select count(*) from tax.income i join med.visit v on i.person = v.cost    | person token
select count(*) from tax.income where count(*) > 3                         | SELECT list only
select sum(avg(age)) from tax.income                                       | inside an aggregate
select sum(floor(income)) from tax.income                                  | in disguise
select sum(round(income / 1000000)) from tax.income                        | in disguise
select sum(abs(age)) from tax.income                                       | in disguise
select sum(age % 2) from tax.income                                        | in disguise
select sum(cast(income as integer)) from tax.income                        | in disguise
select sum(cast(income as decimal(9,0))) from tax.income                   | in disguise
select sum(paid / (age - 97)) from tax.income                              | divisor
select sum(urban) from tax.income                                          | truth value
select sum(urban + 1) from tax.income                                      | truth value
select sum((age > 3) * 2) from tax.income                                  | truth value
select sum(cast(age > 3 as integer)) from tax.income                       | truth value
select count(*) from tax.income where (age > 3) = (age > 4)                | truth value
select count(*) from tax.income where age                                  | condition is needed
select cast(region as integer), count(*) from tax.income group by 1        | text of the data
select sum(distinct age) from tax.income                                   | distinct
select count(*) from tax.income limit 3 + 1                                | LIMIT
select count(*) from tax.income order by age                               | row-level
select count(*) from tax.income where age in (1, paid)                     | constants
select count(*) from tax.income where region like region                   | constant pattern
select count(*) from tax.income where age > current_date                   | fixed
select sum(1) from tax.income                                              | columns
select count(*) as "Li 110101" from tax.income                             | name of an output
select count(*) as _persons_0 from tax.income                              | name of an output
select count(*) as n, sum(age) as n from tax.income                        | two outputs
select count(*) from tax.income a join tax.income a on a.age = a.age       | called
select count(*) from tax.income a join med.visit b on a.age = a.age        | link
select count(*) from tax.income a join med.visit b on a.age > b.cost       | equal
select region, count(*) from tax.income a join med.visit b using (person) group by 1 | several relations
"""


@pytest.mark.parametrize("line", REFUSED.strip().splitlines(), ids=lambda line: line.split("|")[0].strip())
def test_what_is_not_in_the_subset_is_refused_with_a_reason(line: str) -> None:
    statement, _, reason = line.partition("|")
    with pytest.raises(Malformed) as refused:
        read(statement, SHADOWS)
    assert reason.strip() in str(refused.value)
    assert refused.value.where


def test_unknown_names_come_with_the_nearest_known_one() -> None:
    with pytest.raises(SqlSyntax, match="'regoin'") as refused:
        read("select regoin, count(*) from tax.income group by 1", SHADOWS)
    assert refused.value.next_step == "Did you mean region?" and refused.value.where == "line 1, character 8"
    with pytest.raises(SqlSyntax) as refused:
        read("select count(*) from tax.incomes", SHADOWS)
    assert refused.value.next_step == "Did you mean tax.income?"


def test_an_error_repeats_no_constant_of_the_statement() -> None:
    for statement in ("select 'CANARY' + from", "select min('CANARY') from tax.income", "select count(*) from 'CANARY'",
                      "select count(*) from tax.income where region = 'CANARY", "select 'CANARY'"):  # fmt: skip
        with pytest.raises(Malformed) as refused:
            read(statement, SHADOWS)
        assert "CANARY" not in str(refused.value)


# ------------------------------------------------------------------------------------------------ bounds


def test_a_statement_is_bounded_before_it_is_parsed() -> None:
    wide = "select count(*) from tax.income where age in (" + ", ".join(map(str, range(1000))) + ")"
    read(wide, SHADOWS)
    for statement, error in (
        ("select " + "x" * 100_001, TooLarge),
        ("select 1" + " + 1" * 12_000, TooLarge),
        ("select " + "(" * 3_000 + "1" + ")" * 3_000, SqlUnsupported),
        ("select " + "case when true then " * 3_000 + "1", SqlUnsupported),
        ("select " + "- " * 9_000 + "1", SqlUnsupported),
        ("select count(*) from tax.income where " + "not " * 9_000 + "urban", SqlUnsupported),
        ("select count(*) from tax.income where " + " or ".join(["age = 1"] * 3_000), SqlUnsupported),
        ("select " + "[" * 3_000, SqlUnsupported),
        ("select a" + "::int" * 3_000 + " from tax.income", SqlUnsupported),
        ("select a" + ".b" * 3_000 + " from tax.income", Malformed),
        (wide.replace("(0,", "(0, 1000,"), SqlUnsupported),
        ("select count(*) from tax.income where region = '" + "a" * 257 + "'", SqlUnsupported),
        ("select count(*) from tax.income where region = '\x1b[2J'", SqlUnsupported),
        ("select count(*) from tax.income where region = '\0'", SqlSyntax),
    ):
        with pytest.raises(error):
            read(statement, SHADOWS)


WORDS = """
select from where group by order limit count ( ) * , . 1 'a' age income region person tax.income med.visit i v
join left on using = < and or not case when then else end sum avg in is null like between as ; -- /* */ [ ] { }
$1 ? :: interval with union over partition unnest columns values pivot filter distinct having qualify sample
lambda x -> exists
"""


@given(st.lists(st.sampled_from(WORDS.split()), max_size=30))
def test_words_in_any_order_are_read_or_refused(words: list[str]) -> None:
    try:
        found = read(" ".join(words), SHADOWS)
    except Malformed:
        return
    assert isinstance(found, Reading)


@given(st.text(max_size=60))
def test_any_text_is_refused_and_nothing_else_happens(text: str) -> None:
    with pytest.raises(Malformed):
        read(text, SHADOWS)


# -------------------------------------------------------------------------------------------- row filters


def test_a_row_filter_is_one_condition_over_its_relation() -> None:
    text, used = read_predicate("region <> 'x' and year(born) >= 2000", INCOME)
    assert text == """(("row"."region" <> 'x') AND (year("row"."born") >= 2000))""" and used == (
        "born",
        "region",
    )
    wrong = (
        "true) or (true", "age", "1 = 1 group by age", "nothing = 1", "", "count(*) > 1", "age = 1; drop table x",
        "age = (select 1)", "person = 1",
    )  # fmt: skip
    for text in wrong:
        with pytest.raises(Malformed):
            read_predicate(text, INCOME)


# ----------------------------------------------------------------------------------------- documentation


def test_the_documentation_lists_exactly_what_is_allowed() -> None:
    text = (ROOT / "docs" / "sql.md").read_text()
    listed = set(re.findall(r"^\| `([a-z_]+)\(", text, re.MULTILINE))
    assert listed == set(grammar.FUNCTIONS) | set(grammar.AGGREGATES)
    for name, rules in grammar.FUNCTIONS.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{name}("))
        assert rules.reason in row and (("| yes |" in row) == rules.aggregated), name


@pytest.mark.parametrize(
    "part", ["0", "1", "0.0", "0.0001", "0.0499", "0.9501", ".9999", "1.0", "0.5 + 0.5", "income"]
)
def test_a_quantile_is_no_other_spelling_of_min_and_max(part: str) -> None:
    for name in ("quantile_cont", "quantile_disc"):
        with pytest.raises(SqlUnsupported, match="from 0.05 to 0.95"):
            read(f"select {name}(income, {part}) from tax.income", SHADOWS)

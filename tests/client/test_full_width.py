"""Signs as a Chinese input method types them: an error names them, and a rewrite has plain ones in their place; what is
a member's text stays as it is.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import darkroom
from darkroom import advice
from darkroom.advice import Asked, Lesson
from darkroom.advice_width import narrowed, rewrites, signs
from plans.errors import SqlSyntax
from tests.client.conftest import Town
from tests.client.look_alikes import lay

MEI = "mei@nm/centre"


@pytest.fixture
def room(town: Town) -> darkroom.Connection:
    lay(town)
    return town.connection(MEI)


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("select count（*） n from tax.income", "select count(*) n from tax.income"),
        ("select a，count(*) n from t group by a；", "select a,count(*) n from t group by a;"),
        ("select 1 where region = ‘包头’", "select 1 where region = '包头'"),
        ("select 1 where region = “包头”", "select 1 where region = '包头'"),
        ("select count(*) as “人数” from t", 'select count(*) as "人数" from t'),
        ("select 1 where a = ‘it（s），“x”’", "select 1 where a = 'it（s），“x”'"),
        ("select 1 where a ≥ １０ and b ≠ 2", "select 1 where a >= 10 and b <> 2"),
        ("select　a、b", "select a,b"),
    ],
)  # fmt: skip
def test_plain_signs_take_the_place_of_those_of_full_width(typed: str, plain: str) -> None:
    assert narrowed(typed) == plain
    assert [each.sql for each in rewrites(typed)] == [plain]
    assert list(rewrites(plain)) == [], "a plain statement has no such rewrite"


@pytest.mark.parametrize(
    "kept", ["'a，b（c）'", "'it''s（'", '"人数（人）"', "-- 注释；（\n", "/* ，\n； */", "人数", "ａｂｃ"]
)
def test_what_is_the_members_own_text_stays(kept: str) -> None:
    typed = f"select {kept} ，1"
    assert narrowed(typed) == f"select {kept} ,1" and signs(typed) == ("，",)
    assert signs(f"select {kept} ,1") == ()


@pytest.mark.parametrize(
    "typed",
    [
        "select 1 from t where a > 1 −−0 and region = 'x'",
        "select 1 from t where a > 1 —— b，c",
        "select 1 ／＊ 2，3",
        "select 1 ＊／ 2",
        "select “region”，count(*) n from t group by “region”",
        "select n from t order by “region”，n",
        "select f(a，“b”) from t",
    ],
)
def test_nothing_is_proposed_where_plain_signs_may_mean_something_else(typed: str) -> None:
    assert signs(typed), "the control: there are such signs"
    assert list(rewrites(typed)) == []


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("select 1 where a in（“甲”，“乙”）", "select 1 where a in('甲','乙')"),
        (
            "select case when a like “甲%” then “乙” else “丙” end",
            "select case when a like '甲%' then '乙' else '丙' end",
        ),
        ("select $$北京，上海$$，$x$（$x$", "select $$北京，上海$$,$x$（$x$"),
    ],
)
def test_texts_in_lists_choices_and_dollars_are_texts(typed: str, plain: str) -> None:
    assert [each.sql for each in rewrites(typed)] == [plain]


@given(st.text(st.sampled_from("a1'\"‘’“”（），；＇＂-/*\n 。")))
def test_plain_signs_stay_plain_whatever_was_typed(text: str) -> None:
    assert narrowed(text).count("（") <= text.count("（")
    if not signs(text):
        assert narrowed(text).replace(" ", "") == text.replace("　", "").replace(" ", "")


@pytest.mark.parametrize(
    "statement",
    [
        "select count（*） n from tax.income",
        "select region， count(*) n from tax.income group by region",
        "select count(*) n from tax.income where region = ‘a’",
        "select count(*) n from tax.income；",
    ],
)
def test_on_look_alike_data_the_error_names_them_and_the_rewrite_runs(
    room: darkroom.Connection, statement: str
) -> None:
    with pytest.raises(SqlSyntax) as told:
        room.sql(statement, on="twin")
    assert "full width" in told.value.what and signs(statement)[0] in told.value.what
    (first, *_) = advice.proposals(told.value)
    assert first.sql == narrowed(statement)
    assert room.sql(first.sql, on="twin").result().columns[-1] == "n"


def test_a_refusal_of_the_guard_leads_to_plain_signs_too() -> None:
    problem: Any = advice.teach(
        SqlSyntax("the statement could not be read", "line 1, character 13"),
        Lesson(Asked("select count（*） from tax.income")),
    )
    assert [each.sql for each in advice.proposals(problem)] == ["select count(*) from tax.income"]


def test_a_name_with_such_signs_runs_where_the_engine_takes_it(room: darkroom.Connection) -> None:
    """The control: nothing is refused for its signs alone."""
    result = room.sql("select count(*) as \"人数（人）\", '，' as t from tax.income", on="twin").result()
    assert result.columns == ("人数（人）", "t")


def test_names_in_capitals_are_found_as_sql_finds_them(room: darkroom.Connection) -> None:
    assert room.sample("TAX.INCOME", 3).rows == room.sample("tax.income", 3).rows
    assert room.sample(" NM/Tax/income ", 2).columns
    assert room.describe("TAX.Income") == room.describe("NM/TAX/INCOME") == room.describe("tax.income")

"""Errors that teach: what they propose is what the house's own readers and rules let pass; nothing is asked for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import darkroom
from compute.dispatcher import _denied, _explained
from darkroom import advice, completion
from darkroom.advice import Asked, Lesson
from darkroom.advice_rewrites import Column
from darkroom.completion import Fetched
from darkroom.display import written
from plans.decision import Outcome
from plans.errors import (
    BoxFailed,
    BoxLimit,
    BudgetSpent,
    DarkroomError,
    Malformed,
    NotFound,
    OutputRefused,
    PolicyDenied,
    SqlSyntax,
    by_code,
)
from plans.reading import Shadow, ShadowColumn
from policies.api import decide, explain
from policies.reading import read
from tests.inside.sql_cases import SHADOWS
from tests.keeper import house
from tests.policies.cases import GOOD, ROWS_POLICY, bundle

COLUMNS = {
    "tax.income": tuple(
        Column(name, kind, sort)
        for name, kind, sort in (
            ("region", "VARCHAR", "plain"), ("age", "INTEGER", "plain"), ("income", "DOUBLE", "sensitive"),
            ("born", "DATE", "quasi-identifier"), ("id_number", "VARCHAR", "identifier"),
        )
    )
}  # fmt: skip


@pytest.fixture(autouse=True)
def english() -> Any:
    darkroom.use(lang="en")
    yield
    darkroom.use(lang="")


def refused(statement: str) -> DarkroomError:
    """The guard's refusal of a statement, with its lesson."""
    with pytest.raises(DarkroomError) as caught:
        read(statement, SHADOWS)
    return advice.teach(caught.value, Lesson(Asked(statement, "housing", "Study of rents")))


# --------------------------------------------------------------------------------- by the guard's own word


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            "select * from tax.income limit 10",
            "SELECT region, count(*) AS n, avg(income) from tax.income GROUP BY region",
        ),
        ("select region from tax.income", "SELECT region, count(*) AS n from tax.income GROUP BY region"),
        (
            "select region, count(*) from tax.income",
            "select region, count(*) from tax.income GROUP BY region",
        ),
        (
            "select region, age, count(*) as n from tax.income group by region order by n",
            "select region, age, count(*) as n from tax.income group by region, age order by n",
        ),
        (
            "select regoin, count(*) from tax.income group by all",
            "select region, count(*) from tax.income group by all",
        ),
        ("select count(*) from tax.incme", "select count(*) from tax.income"),
        ("select mean(income) from tax.income", "select avg(income) from tax.income"),
        ("select any_value(income) from tax.income", "select avg(income) from tax.income"),
        ("select approx_count_distinct(age) from tax.income", "select count(distinct age) from tax.income"),
        (
            "select region, count(*) from tax.income group by region limit 2.5",
            "select region, count(*) from tax.income group by region limit 20",
        ),
        (
            "select count(*) from (select region from tax.income order by age limit 9)",
            "select count(*) from (select region from tax.income )",
        ),
    ],
)
def test_a_rewrite_is_proposed_that_the_guard_reads(statement: str, expected: str) -> None:
    found = advice.proposals(refused(statement), COLUMNS)
    assert expected in [" ".join(each.sql.split()) for each in found]
    for each in found:
        read(each.sql, SHADOWS)


def test_where_nothing_follows_nothing_is_proposed() -> None:
    assert advice.proposals(refused("select sum(income) from tax.income where now() > born"), COLUMNS) == ()
    assert advice.proposals(refused("delete from tax.income"), COLUMNS) == ()
    assert advice.proposals(SqlSyntax("there is no column 'a'", "", "Did you mean b?"), COLUMNS) == ()


# --------------------------------------------------------------------------------- by the owner's rules

OF_OWNER = (
    Shadow(
        "tax.income",
        (
            ShadowColumn("person", "UBIGINT", False),
            ShadowColumn("region", "VARCHAR", False),
            ShadowColumn("income", "DOUBLE", True),
            ShadowColumn("id_number", "VARCHAR", False),
        ),
    ),
)


def denied(statement: str, shadows: tuple[Shadow, ...] = OF_OWNER, **changes: Any) -> PolicyDenied:
    """The owner's denial of a statement as its member receives it, with its lesson."""
    case = replace(GOOD, reading=read(statement, shadows), **changes)
    decision, explanation = decide(case), explain(case)
    assert decision.outcome is Outcome.DENY
    problem = _denied(decision)
    view = {
        "domain": house.DOMAIN,
        "decision": decision.plain(),
        "problem": problem.problem() | _explained(explanation),
    }
    taught = advice.teach(problem, Lesson(Asked(statement, "housing", "Study of rents"), view))
    assert isinstance(taught, PolicyDenied)
    return taught


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            "select region, max(income) as m from tax.income group by region",
            "select region, avg(income) as m from tax.income group by region",
        ),
        (
            "select id_number, region, count(*) as n from tax.income group by id_number, region order by id_number",
            "select region, count(*) as n from tax.income group by region",
        ),
        (
            "select region, avg(income) from tax.income where income > 3 and region = 'a' group by region",
            "select region, avg(income) from tax.income where region = 'a' group by region",
        ),
        (
            "select region, min(income), max(income) from tax.income where id_number = 'x' group by region",
            "select region, avg(income), avg(income) from tax.income group by region",
        ),
    ],
)
def test_a_denial_leads_to_a_statement_that_the_owner_allows(statement: str, expected: str) -> None:
    [rewrite] = advice.proposals(denied(statement), COLUMNS)
    assert " ".join(rewrite.sql.split()) == expected
    assert decide(replace(GOOD, reading=read(rewrite.sql, OF_OWNER))).outcome is Outcome.ALLOW


def test_rows_that_may_not_leave_lead_to_figures() -> None:
    shown = tuple(
        replace(
            each, columns=tuple(replace(column, shown=column.name != "person") for column in each.columns)
        )
        for each in OF_OWNER
    )
    statement = "select region, income from tax.income where region = 'a' order by income"
    [rewrite] = advice.proposals(denied(statement, shown), COLUMNS)
    expected = "SELECT region, avg(income) from tax.income where region = 'a' GROUP BY region"
    assert " ".join(rewrite.sql.split()) == expected
    assert decide(replace(GOOD, reading=read(rewrite.sql, OF_OWNER))).outcome is Outcome.ALLOW


def test_a_column_whose_values_are_not_shown_is_left_out_of_rows() -> None:
    seen = tuple(
        replace(
            each, columns=tuple(replace(column, shown=column.name != "person") for column in each.columns)
        )
        for each in OF_OWNER
    )
    by_rows = bundle(ROWS_POLICY, house.PROPERTY_POLICY)
    [rewrite] = advice.proposals(
        denied("select region, income from tax.income", seen, bundle=by_rows), COLUMNS
    )
    assert rewrite.sql == "select region from tax.income"
    reading = read(rewrite.sql, seen)
    assert decide(replace(GOOD, reading=reading, bundle=by_rows)).outcome is Outcome.ALLOW


def test_a_percentile_takes_the_place_of_an_extreme_where_it_is_allowed() -> None:
    allowed = {"tax.income": (Column("income", "DOUBLE", "sensitive", ("quantile_cont",)),)}
    found = advice.proposals(denied("select max(income) from tax.income"), allowed)
    assert any("quantile_cont(income, 0.95)" in each.sql for each in found)
    without = advice.proposals(denied("select max(income) from tax.income"), COLUMNS)
    assert not any("quantile" in each.sql for each in without)


def test_a_missing_grant_leads_to_an_application_that_is_filled_in() -> None:
    problem = denied("select avg(income) from tax.income", grants=())
    plain = written(advice.card(problem))["text/plain"]
    assert "darkroom.apply('nm/tax/income', ['income'], 'Study of rents', project='housing'" in plain
    assert "no-grant (no grant fits)" in plain and "a steward or approver of nm/tax" in plain


def test_in_a_lab_it_leads_to_the_portals_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_LAB", "1")
    monkeypatch.setenv("DARKROOM_PORTAL_PAGE", "https://portal.example")
    problem = denied("select avg(income) from tax.income", grants=())
    plain = written(advice.card(problem))["text/plain"]
    assert "https://portal.example/apply?columns=income&dataset=nm%2Ftax%2Fincome&project=housing" in plain
    assert "purpose=Study+of+rents" in plain and "darkroom.apply(" not in plain


# --------------------------------------------------------------------------------- small groups, cards, trying


@pytest.mark.parametrize("kind", [OutputRefused, BudgetSpent])
def test_too_small_groups_lead_to_larger_ones(kind: type[DarkroomError]) -> None:
    statement = "select region, born, count(*) as n from tax.income group by region, born limit 5"
    view = {"domain": "nm/tax", "verdict": {"finding": "refused", "reasons": ["small-group"]}}
    problem = advice.teach(kind("No group can be shown."), Lesson(Asked(statement), view))
    found = advice.proposals(problem, COLUMNS)
    assert "year(born)" in found[0].sql
    for each in found:
        read(each.sql, SHADOWS)
    plain = written(advice.card(problem, "this cell, line 3"))["text/plain"]
    assert "small-group (small groups)" in plain and "LIMIT does not make" in plain and "line 3" in plain


class Room:
    """A connection that answers dry runs, and counts them."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def dry_run(self, statement: str, **rest: Any) -> dict[str, Any]:
        self.asked.append(statement)
        if "born" in statement:
            raise OutputRefused("Still too small.")
        return {"outcome": "allow", "reasons": [], "noise": None}


def test_rewrites_are_tried_only_if_the_member_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    described = [{"name": "born", "type": "DATE", "kind": "plain"}]
    monkeypatch.setattr(completion, "fetched", Fetched({}, {"tax.income": described}))
    room: Any = Room()
    statement = "select region, born, count(*) as n from tax.income group by region, born"
    asked = Asked(statement, "housing", "Study of rents")
    problem = advice.teach(OutputRefused("No group."), Lesson(asked, connection=room))
    assert "year(born)" in written(advice.card(problem))["text/plain"] and room.asked == []
    tried = problem.try_it()  # type: ignore[attr-defined]
    assert len(room.asked) == 3
    assert tried.passing == ("select region, count(*) as n from tax.income group by region",)
    assert "allowed" in repr(tried) and "Still too small." in repr(tried)


def test_an_error_without_a_statement_has_a_card_all_the_same() -> None:
    for kind in by_code().values():
        for language in ("en", "zh"):
            darkroom.use(lang=language)
            shown = written(advice.card(kind("<b>what</b>", "where", "next")))
            assert kind.code in shown["text/plain"] and "<b>" not in shown["text/html"]


def test_cards_speak_chinese_and_keep_what_scripts_read() -> None:
    darkroom.use(lang="zh")
    problem = denied("select region, max(income) as m from tax.income group by region")
    plain = written(advice.card(problem))["text/plain"]
    assert "数据方的策略不允许" in plain and "可直接复制" in plain and "avg(income)" in plain
    assert str(problem).endswith("[policy.denied]") and "数据方" not in str(problem)


@pytest.mark.parametrize("kind", [BoxLimit, BoxFailed, NotFound])
def test_sentences_of_the_server_are_chinese_in_a_chinese_card(kind: type[DarkroomError]) -> None:
    darkroom.use(lang="zh")
    sentence, step = "the box reached its limit of memory", "Submit it again shortly."
    problem = kind(sentence, "box.memory", step)
    shown = written(advice.card(problem))
    for text in shown.values():
        assert "暗盒达到内存限额" in text and "请稍后重新提交。" in text
        assert sentence not in text and step not in text
    assert str(problem) == f"{sentence} (box.memory). {step} [{kind.code}]", "what programs read is English"
    darkroom.use(lang="en")
    assert sentence in written(advice.card(problem))["text/plain"], "the control"


def test_what_people_wrote_is_escaped_in_a_translated_sentence() -> None:
    darkroom.use(lang="zh")
    value = "<img src=x onerror=alert(1)>\u202e"
    shown = written(advice.card(Malformed(f"there is no column {value}", value, f"There are: {value}")))
    assert "没有列 &lt;img src=x" in shown["text/html"] and "现有：&lt;img" in shown["text/html"]
    assert "<img" not in shown["text/html"] and not any("\u202e" in text for text in shown.values())


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("line 1, character 8", "第 1 行，第 8 个字符"), ("cell 3, line 2", "第 3 个单元格，第 2 行"),
        ("line 4", "第 4 行"), ("cell 5", "第 5 个单元格"), ("line up", "line up"), ("tax.income", "tax.income"),
    ],
)  # fmt: skip
def test_where_it_is_stands_there_in_words_too(where: str, told: str) -> None:
    for language, expected in (("en", where), ("zh", told)):
        darkroom.use(lang=language)
        assert expected in written(advice.card(Malformed("this is no file", where)))["text/plain"]


def test_a_sentence_that_nobody_translated_is_shown_as_it_is() -> None:
    darkroom.use(lang="zh")
    told = "the moon is in the way of the sun"
    assert told in written(advice.card(Malformed(told, "x", "Wait for it.")))["text/plain"]


def test_what_is_remembered_is_bounded() -> None:
    from tests.plans import examples

    for number in range(advice.MOST_REMEMBERED + 50):
        advice.remember(f"job{number}", examples.REQUEST)
    assert len(advice._asked) == advice.MOST_REMEMBERED
    advice._asked.clear()


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("select count(regoin) from tax.income", "select count(region) from tax.income"),
        ("select i.regoin from tax.income i", "select i.region from tax.income i"),
        ("select count(*) from tax.incme", "select count(*) from tax.income"),
        ("select meean(age) from tax.income", "select mean(age) from tax.income"),
        ("select age, count(*) from tax.income", "select age, count(*) from tax.income GROUP BY age"),
    ],
)
def test_what_the_engine_says_of_look_alike_data_leads_on(statement: str, expected: str) -> None:
    import duckdb

    from darkroom.twin_engine import _sentence

    engine = duckdb.connect()
    engine.execute("create schema tax; create table tax.income(region varchar, age integer)")
    with pytest.raises(duckdb.Error) as caught:
        engine.execute(statement)
    problem = advice.teach(SqlSyntax(_sentence(caught.value)), Lesson(Asked(statement)))
    found = advice.proposals(problem, COLUMNS)
    assert [each.sql for each in found][:1] == [expected]
    engine.execute(found[0].sql)


@pytest.mark.parametrize(
    ("said", "statement", "expected"),
    [
        (
            'column "income" must appear in the GROUP BY clause',
            "select income from tax.income",
            "avg(income)",
        ),
        ('column "id_number" must appear in the GROUP BY clause', "select id_number from tax.income", ""),
        ('Scalar Function with name randm does not exist! Did you mean "random"?', "select randm()", ""),
        ('Aggregate Function with name frst does not exist! Did you mean "first"?', "select frst(age)", ""),
        ('Column "x" not found. Candidate bindings: "id_number"', "select x from tax.income", ""),
    ],
)
def test_what_the_engine_proposes_passes_the_sieve_of_all_rewrites(
    said: str, statement: str, expected: str
) -> None:
    problem = advice.teach(SqlSyntax(said), Lesson(Asked(statement)))
    found = [each.sql for each in advice.proposals(problem, COLUMNS)]
    assert bool(found) == bool(expected) and all(
        expected in each and "GROUP BY" not in each for each in found
    )


@pytest.mark.parametrize(
    "remedy",
    [
        {
            "kind": "use-instead",
            "columns": ["income"],
            "function": "max",
            "instead": "avg(1); drop table x --",
        },
        {"kind": "use-instead", "columns": ["income) from secret --"], "function": "max", "instead": "avg"},
        {"kind": "ask-figures", "columns": [], "instead": "(select 'x' from other.table) -- … GROUP BY 1;"},
    ],
)
def test_a_portal_cannot_put_a_text_of_its_own_into_a_statement(remedy: dict[str, Any]) -> None:
    view = {"decision": {"reasons": []}, "problem": {"explanation": {"remedies": [remedy], "complete": True}}}
    statement = "select max(income) from tax.income"
    assert advice.proposals(advice.teach(PolicyDenied("no"), Lesson(Asked(statement), view)), COLUMNS) == ()
    lying = SqlSyntax("there is no column 'income'", "", "Did you mean income) from secret --?")
    assert advice.proposals(advice.teach(lying, Lesson(Asked(statement))), COLUMNS) == ()

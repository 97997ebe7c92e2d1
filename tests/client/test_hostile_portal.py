"""A portal that lies, or one whose catalog somebody else filled: what it sends is shown, and never more than that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom import advice, completion
from darkroom.advice import Asked, Lesson
from darkroom.display import written
from darkroom.job import Job
from darkroom.listing import Budget, Components, Datasets, Description, Grants
from darkroom.tracebacks import card_of
from darkroom.twin_engine import TwinEngine
from plans.errors import PolicyDenied, SqlUnsupported, TooLarge, from_problem
from plans.trial import TwinColumn, TwinTable

HOSTILE = "income FROM tax.income UNION SELECT secret"
TERMINAL = "\x1b]8;;http://evil\x07here\x1b]8;;\x07 \x1b[2J \u202egnp.exe"
ANSWERS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=8), inner, max_size=2),
    max_leaves=5,
)
"""What may stand anywhere in JSON."""


@pytest.fixture
def nothing_fetched() -> Iterator[None]:
    before = vars(completion.fetched).copy()
    yield
    vars(completion.fetched).update(before)


def column(name: object) -> dict[str, Any]:
    return {"name": name, "type": "BIGINT", "kind": "sensitive", "uses": ["avg", "count"]}


# --- what goes into a statement -----------------------------------------------------


@pytest.mark.usefixtures("nothing_fetched")
def test_a_name_that_is_none_goes_neither_into_a_rewrite_nor_into_a_completion() -> None:
    completion.keep_datasets([{"relation": HOSTILE}, {"relation": "tax.income"}, {"relation": 5}, {}])
    completion.keep_description(
        {"relation": "tax.income", "columns": [column(HOSTILE), column(None), column("region"), "region"]}
    )
    assert set(completion.fetched.datasets) == {"tax.income"}
    words = [word.text for word in completion.words_at("select ", " from tax.income")]
    assert "region" in words and HOSTILE not in words
    denied = SqlUnsupported("row-level output: * yields no figure about a group")
    asked = advice.teach(denied, Lesson(Asked("select * from tax.income", "housing", "Study of rents")))
    proposed = [each.sql for each in advice.proposals(asked)]
    assert proposed and not any("UNION" in each for each in proposed)


def test_a_remedy_cannot_read_beside_the_members_statement() -> None:
    def proposed(shown: str) -> list[str]:
        view = {"problem": {"explanation": {"remedies": [{"kind": "ask-figures", "instead": shown}]}}}
        lesson = Lesson(Asked("select income from tax.income"), view)
        return [each.sql for each in advice.proposals(advice.teach(PolicyDenied("no"), lesson))]

    assert proposed("region, count(*) GROUP BY region"), "the control"
    assert not proposed("max(income), (select max(income) from tax.secret) GROUP BY region")


# --- what a terminal gets -----------------------------------------------------


def test_text_of_the_portal_is_never_a_command_to_a_terminal() -> None:
    view = {"id": TERMINAL, "state": TERMINAL, "sentence": TERMINAL, "waits_for": TERMINAL}
    job = Job(None, view | {"timeline": [f"1 {TERMINAL}", TERMINAL]})  # type: ignore[arg-type]
    problem = from_problem(
        {"code": "policy.denied"} | dict.fromkeys(("title", "where", "next_step"), TERMINAL)
    )
    for shown in (
        repr(job),
        job.logs(),
        str(problem),
        problem.what,
        "".join(written(card_of(problem, None)).values()),
    ):
        assert "here" in shown
        assert not any(sign in shown for sign in "\x1b\x07\u202e"), shown


def test_a_chinese_sentence_stays_as_it_is() -> None:
    assert (
        from_problem({"code": "policy.denied", "title": "该列不可用，请申请：\n下一步"}).what
        == "该列不可用，请申请：\n下一步"
    )


# --- what has no form that anybody knows -----------------------------------------------------


@given(ANSWERS, ANSWERS)
def test_no_answer_fails_a_display(one: Any, other: Any) -> None:
    view = {
        "id": "a",
        "state": "refused",
        "sentence": one,
        "waits_for": "",
        "decision": one,
        "problem": other,
    }
    things = [
        Job(None, view),  # type: ignore[arg-type]
        Job(
            None, view | {"timeline": one, "verdict": other, "decision": {"reasons": one, "approvers": other}}
        ),  # type: ignore[arg-type]
        Datasets([{"dataset": one, "relation": other}]),
        Description({"dataset": "nm/tax/income", "columns": one}),
        Description({"columns": [{"name": one, "uses": other}]}),
        Grants([{"until": one, "state": other}]),
        Components([{"name": "x", "parameters": one}]),
        Budget([{"until": one}]),
    ]
    for thing in things:
        assert thing._repr_mimebundle_()["text/plain"]


@given(ANSWERS, ANSWERS)
def test_no_answer_fails_the_card_of_an_error(one: Any, other: Any) -> None:
    """A card that fails would bring back IPython's own traceback, with variables."""
    for view in (
        {"decision": one, "problem": other},
        {"decision": {"reasons": one}, "problem": {"explanation": other}},
        {
            "decision": {"reasons": [{"subject": one}]},
            "problem": {"explanation": {"remedies": [{"kind": other}]}},
        },
        {
            "problem": {
                "explanation": {"remedies": [{"kind": "leave-out", "columns": one}], "alternatives": other}
            }
        },
        {"verdict": one, "domain": other},
    ):
        lesson = Lesson(Asked("select income from tax.income"), view)
        assert written(card_of(advice.teach(PolicyDenied("no"), lesson), None))["text/plain"]


# --- a recipe and a statement that would harm this process -----------------------------------------------------


def recipe(value: str, rows: int = 100_000) -> TwinTable:
    return TwinTable("tax.income", (TwinColumn("a", "VARCHAR", "", "", (value,), False),), rows, "ab" * 16)


def test_a_recipe_of_long_texts_does_not_fill_the_memory() -> None:
    large = recipe("x" * 100_000)
    for ask in (
        lambda: TwinEngine().arrow(large),
        lambda: TwinEngine().run("select count(*) from tax.income", lambda _: large),
    ):
        with pytest.raises(TooLarge, match="MiB"):
            ask()
    assert TwinEngine().arrow(recipe("x" * 1000, rows=100)).num_rows == 100, "the control"


@pytest.mark.parametrize(
    "statement",
    [
        "select * from enable_logging('QueryLog', storage := 'file', storage_path := '{place}')",
        "select * from system.main.enable_logging('QueryLog')",
        "select * from query('select * from enable_logging(''QueryLog'')')",
        "select (select count(*) from checkpoint())",
        "with a as (from duckdb_settings()) select * from a",
        "pivot (select 1 as a) on a using count(*)",
    ],
)
def test_a_statement_cannot_change_the_engine_for_the_next_one(statement: str, tmp_path: Path) -> None:
    engine = TwinEngine()
    with pytest.raises(SqlUnsupported):
        engine.run(statement.format(place=tmp_path / "log"), lambda _: recipe("x", 10))
    found = engine.run("select count(*) from tax.income, range(2), unnest([1])", lambda _: recipe("x", 10))
    assert found.rows[0][0].v == "20"
    assert not list(tmp_path.iterdir())

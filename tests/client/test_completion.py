"""Completion knows tables, columns and functions of the catalog, asks little, and never holds up typing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom import completion
from darkroom.completion import Fetched, Looking, words_at
from darkroom.completion_functions import FUNCTIONS
from plans.errors import Unreachable
from policies.reading import functions
from tests.client.shells import shell

__all__ = ["shell"]

DATASETS = [
    {"dataset": "nm/tax/income", "relation": "tax.income"},
    {"dataset": "nm/med/visit", "relation": "med.visit"},
]
COLUMNS = {
    "nm/tax/income": {"relation": "tax.income", "columns": [{"name": "region"}, {"name": "income"}]},
    "nm/med/visit": {"relation": "med.visit", "columns": [{"name": "cost"}, {"name": "kind"}]},
}


@pytest.fixture(autouse=True)
def nothing_fetched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(completion, "fetched", Fetched())
    yield


def catalog() -> Fetched:
    return Fetched(
        {each["relation"]: each for each in DATASETS},
        {view["relation"]: view["columns"] for view in COLUMNS.values()},  # type: ignore[misc]
    )


def offered(before: str, after: str = "") -> list[str]:
    return [word.text for word in words_at(before, after, catalog())]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("select * from ", "", ["tax.income", "med.visit"]),
        ("select * from ta", "", ["tax.income"]),
        ("select * from tax.", "", ["tax.income"]),
        ("select * from tax.income join m", "", ["med.visit"]),
        ("select * from tax.income, ", "", ["tax.income", "med.visit"]),
        ("select reg", " from tax.income", ["region"]),
        ("select i.", " from tax.income as i", ["i.region", "i.income"]),
        ("select income.in", " from tax.income", ["income.income"]),
        ("select v.k", " from tax.income i join med.visit v using (person)", ["v.kind"]),
        ("select 'from ta", "", []),
        ("select 1 -- from ta", "", []),
    ],
)
def test_what_may_stand_there(before: str, after: str, expected: list[str]) -> None:
    assert offered(before, after)[: len(expected)] == expected
    assert expected or not offered(before, after)


def test_columns_come_before_functions() -> None:
    found = offered("select c", " from med.visit")
    assert found[0] == "cost" and "count" in found


def test_functions_are_those_of_the_platform() -> None:
    listed = {
        name
        for name, function in functions.FUNCTIONS.items()
        if function.kind is not functions.FunctionKind.INTERNAL and name.isidentifier()
    }
    assert set(FUNCTIONS) == listed and len(set(FUNCTIONS)) == len(FUNCTIONS)


@given(st.text(max_size=60), st.text(max_size=30))
def test_no_text_breaks_it(before: str, after: str) -> None:
    assert len(offered(before, after)) <= completion.MOST


class Portal:
    """A catalog that counts how often it is asked, and takes its time."""

    def __init__(self, slow: float = 0.0) -> None:
        self.slow, self.asked = slow, list[str]()

    def datasets(self) -> list[dict[str, Any]]:
        self.asked.append("datasets")
        time.sleep(self.slow)
        return DATASETS

    def describe(self, dataset: str) -> Any:
        self.asked.append(dataset)
        time.sleep(self.slow)
        return COLUMNS[dataset]

    def looking(self) -> Looking:
        return Looking(self.datasets, self.describe)


def test_what_was_fetched_is_not_asked_for_again() -> None:
    portal = Portal()
    looking = portal.looking()
    text = "select  from tax.income"
    for _ in range(5):
        looking.look(text)
    assert portal.asked == ["datasets", "nm/tax/income"]
    assert [word.text for word in words_at("select ", " from tax.income")][:2] == ["region", "income"]


def test_a_slow_portal_never_holds_up_typing() -> None:
    """It answers after a minute, which no look waits for; and after the first look none waits at all."""
    answers, asked = threading.Event(), list[int]()

    def slow() -> list[dict[str, Any]]:
        asked.append(1)
        answers.wait(60)
        return DATASETS

    looking = Looking(slow, lambda _: COLUMNS)
    began = time.monotonic()
    for _ in range(200):
        looking.look("select ")
    took = time.monotonic() - began
    answers.set()
    assert looking._running is not None
    looking._running.join()
    assert took < 100 * completion.PATIENCE_S and asked == [1]


def test_the_control_without_a_limit_it_waits() -> None:
    portal = Portal(slow=0.5)
    began = time.monotonic()
    portal.looking().look("select ", patience=5)
    assert time.monotonic() - began >= 0.5


def test_a_portal_that_is_down_is_left_alone_for_a_while() -> None:
    asked = list[int]()

    def down() -> Any:
        asked.append(1)
        raise Unreachable("the portal does not answer", "https://portal")

    looking = Looking(down, down)
    for _ in range(5):
        looking.look("select ")
    assert asked == [1] and offered_by_words() > 0


def offered_by_words() -> int:
    return len(words_at("sel"))


def complete(shell: Any, text: str, cursor: int) -> list[str]:
    from IPython.core.completer import provisionalcompleter

    with provisionalcompleter():
        found = list(shell.Completer.completions(text, cursor))
    return [text[: each.start] + each.text + text[each.end :] for each in found]


def test_in_a_cell_of_ipython(shell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    portal = Portal()
    monkeypatch.setattr("darkroom.datasets", portal.datasets)
    monkeypatch.setattr("darkroom.describe", portal.describe)
    text = "%%darkroom --on twin\nselect region\nfrom ta"
    assert complete(shell, text, len(text)) == ["%%darkroom --on twin\nselect region\nfrom tax.income"]
    middle = "%%darkroom\nselect inc from tax.income"
    assert (
        complete(shell, middle, len("%%darkroom\nselect inc"))[0]
        == "%%darkroom\nselect income from tax.income"
    )
    dotted = "%%darkroom\nselect i.re from tax.income i"
    assert complete(shell, dotted, len("%%darkroom\nselect i.re")) == [
        "%%darkroom\nselect i.region from tax.income i"
    ]
    assert "%%darkroom --on" in complete(shell, "%%darkroom --o", len("%%darkroom --o"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%%darkroom --on ", ["twin", "real"]),
        ("%%darkroom --on t", ["twin"]),
        ("%%darkroom --as n --on=r", ["--on=real"]),
        ("%%darkroom --on twin --", ["--as", "--project", "--purpose", "--spend", "--dry-run"]),
        ("%darkroom --on ", ["twin", "real"]),
        ("x = 1\nanswer = %darkroom --on t", ["twin"]),
        ("%darkroom --on twin --d", ["--dry-run"]),
        ("%darkroom --on twin select region from ta", ["tax.income"]),
        ("%darkroom --purpose 'Study of rents' --on=twin select * from m", ["med.visit"]),
        ("%darkroom select * from tax.", ["tax.income"]),
    ],
)
def test_options_have_their_values_and_a_line_its_statement(
    shell: Any, monkeypatch: pytest.MonkeyPatch, text: str, expected: list[str]
) -> None:
    monkeypatch.setattr(completion, "fetched", catalog())
    completion.fetched.at = time.monotonic()
    word = text.rpartition(" ")[2]
    head = text.removesuffix(word)
    assert complete(shell, text, len(text)) == [f"{head}{each}" for each in expected]


def test_a_line_that_is_not_ours_is_completed_as_ever(shell: Any) -> None:
    """The control."""
    shell.user_ns["tax_of_mine"] = 1
    assert "%darkroom_or = tax_of_mine" in complete(shell, "%darkroom_or = tax_of", 21)
    assert complete(shell, "%%time\n%darkroom --on t", 23) != ["%%time\n%darkroom --on twin"]


@given(st.text(st.sampled_from("-onas=tw '\"")))
def test_no_line_of_options_breaks_it(line: str) -> None:
    completion.options_at(line)
    assert 0 <= completion.statement_in(line) <= len(line)


def test_other_cells_are_completed_as_ever(shell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    portal = Portal()
    monkeypatch.setattr("darkroom.datasets", portal.datasets)
    shell.user_ns["some_long_name"] = 1
    assert complete(shell, "some_lo", 7) == ["some_long_name"] and portal.asked == []


def test_fetching_keeps_what_came(monkeypatch: pytest.MonkeyPatch) -> None:
    completion.keep_datasets(DATASETS)
    completion.keep_description(COLUMNS["nm/med/visit"])
    assert [each["name"] for each in completion.fetched.columns("MED.visit")] == ["cost", "kind"]
    assert completion.fetched.columns("tax.income") == ()

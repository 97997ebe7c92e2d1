"""Of which cells the rows of a component are a part: the ledger excuses what only missing values tell apart."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pytest

from components import api as components
from components import evidence as made
from keeper.ledger_rules import Apart, Lineage, released_from, withheld_rows
from plans.sets import Sets
from tests.components.cases import RULES, table

WHO = np.arange(400)
BANNER = np.where(WHO % 2 == 0, "a", "b")
INCOME = np.where(np.isin(WHO, [1, 2, 7]), np.nan, 1_000.0 + WHO)
DEBT = np.where(np.isin(WHO, [4, 9]), np.nan, 50.0 + WHO)
DATA = table(WHO, income=INCOME, debt=DEBT, banner=BANNER)
NAME = ("tax.income.income", "tax.income.income <> 0")


def sets(name: str, relation: str = "tax.income", **parameters: Any) -> Sets:
    """The sets that a component leaves of its first table."""
    values = components.checked(components.find(name), parameters)
    work = components.perform(name, [DATA], values, RULES, [relation] if relation else [])
    return next(iter(work.sets.values()))


def persons(found: Sets) -> list[list[int]]:
    return np.asarray(found.persons).reshape(found.rows, found.per_row).tolist()


def test_a_description_says_of_which_groups_its_rows_have_the_values() -> None:
    found = sets("describe", columns=["income"], by="banner")
    assert found.patterns == ((), NAME)
    assert persons(found) == [[200, 199], [200, 198]]


def test_of_several_columns_each_row_has_the_set_of_its_own() -> None:
    found = sets("describe", columns=["income", "debt"])
    assert persons(found) == [[400, 397, 0], [400, 0, 398]]
    assert found.patterns[2] == ("tax.income.debt", "tax.income.debt <> 0")


def test_a_cross_table_is_of_whole_cells_or_says_whose_figure_it_has() -> None:
    bare, figured = (
        sets("cross-tabulate", row="banner"),
        sets("cross-tabulate", row="banner", figure="income"),
    )
    assert (persons(bare), bare.patterns) == ([[200], [200]], ((),))
    assert (persons(figured), figured.patterns) == ([[200, 199], [200, 198]], ((), NAME))


@pytest.mark.parametrize("later", ["describe", "cross-tabulate"])
def test_after_one_answer_about_the_same_groups_another_leaves(later: str) -> None:
    asked = {
        "describe": {"columns": ["debt"], "by": "banner"},
        "cross-tabulate": {"row": "banner", "figure": "debt"},
    }
    first, then = sets("describe", columns=["income"], by="banner"), sets(later, **asked[later])
    lineage = Lineage()
    lineage.take_in(*released_from(first, (), 10), 400)
    assert withheld_rows(then, [lineage], Apart(10), 10, (400,)) == ()
    unknown = sets(later, relation="", **asked[later])
    assert (unknown.per_row, unknown.patterns) == (1, ()), "nobody says whose column it is"
    assert withheld_rows(unknown, [lineage], Apart(10), 10, (400,)) == (0, 1), "the control"


def test_a_table_of_too_many_sets_has_no_patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made, "MOST_SUMS", 100)
    found = sets("describe", columns=["income", "debt"], by="banner")
    assert (persons(found), found.patterns) == ([[199], [198], [199], [199]], ())


def test_persons_with_several_rows_are_told_apart_by_their_rows_as_statements_do_it() -> None:
    """The same signs for so many rows as in DuckDB, so that one visit less of somebody who stays is seen."""
    who = np.concatenate([WHO, [5, 5, 8]])
    data = table(who, income=1_000.0 + who)
    values = components.checked(components.find("describe"), {"columns": ["income"]})

    def left(rows: Any) -> Sets:
        return components.perform("describe", [rows], values, RULES, ["tax.income"]).sets["summary.csv"]

    found = left(data)
    assert (found.per_row, found.weighted) == (4, 2)
    signs = dict(zip(data["person"].to_pylist(), data["_signs"].to_pylist(), strict=True))
    counts = {person: 1 + 2 * (person == 5) + (person == 8) for person in signs}
    drawn = {
        person: duckdb.execute("SELECT md5_number_lower(':rows:' || ?::UBIGINT || ':' || ?)", [own, counts[person]])
        .fetchall()[0][0]
        if counts[person] > 1
        else own
        for person, own in signs.items()
    }  # fmt: skip
    expected = [sum(2 * (own >> bit & 1) - 1 for own in drawn.values()) for bit in range(64)]
    assert list(found.prints[2 * 64 : 3 * 64]) == expected
    lineage = Lineage()
    lineage.take_in(*released_from(found, (), 10), 400)
    assert withheld_rows(left(data), [lineage], Apart(10), 10, (400,)) == ()
    assert withheld_rows(left(data.slice(0, len(who) - 1)), [lineage], Apart(10), 10, (400,)) == (0,)

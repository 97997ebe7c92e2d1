"""Margins asked for by themselves do not give back what a component's table keeps (ATTACKS 27 and 29)."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from airlock.outputs.values import read_evidence
from airlock.secondary import Key, complete
from components import api as components
from components.api import Rules
from plans.checks import Checks
from plans.verdict import Finding
from tests.airlock.outputs.corpus import contents, obligations, through
from tests.airlock.test_secondary import margins, solved
from tests.components.cases import RULES, Left, run, table

LEAST = 10
GUARDED = Rules(LEAST, 10, complete)
COUNTS = st.dictionaries(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["f", "m", None])), st.integers(1, 40), min_size=3
)


def people(counts: dict[Any, int], **more: Any) -> pa.Table:
    """A table of so many persons in each cell of two keys, a row each."""
    cells = [cell for cell, count in counts.items() for _ in range(count)]
    return table(range(len(cells)), region=[a for a, _ in cells], sex=[b for _, b in cells], **more)


def cross(data: pa.Table, rules: Rules = GUARDED, **more: Any) -> Left:
    return run("cross-tabulate", data, rules=rules, row="region", column="sex", **more)


def withheld(counts: dict[Any, int], rules: Rules) -> set[Key]:
    """The cells that have no row; None is written as the last text."""
    try:
        shown = {(row["region"], row["sex"]) for row in cross(people(counts), rules).rows("cells.csv")}
    except components.NoFit:
        shown = set()
    return {(a, b or "~") for a, b in counts} - shown


def judged(left: Left, **checks: Any) -> tuple[Any, list[list[Any]]]:
    """What the airlock makes of a cross-table: the judgement, and the rows that leave."""
    component = components.find("cross-tabulate")
    declared = components.artifacts(component, components.checked(component, {"row": "region"}))
    files = {f"files/{name}": content for name, content in left.work.files.items()}
    files |= {f"evidence/{name}.json": content for name, content in left.work.evidence.items()}
    found = through(files, declared, obligations(**checks), component=True)
    shown = contents(found)
    return found, json.loads(shown["cells.csv"])["rows"] if shown else []


# --- small cells --------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(COUNTS)
def test_27_no_small_cell_is_found_from_all_margins_and_all_rows(counts: dict[Any, int]) -> None:
    """Rows without a value in a key have no row, but are persons of the margin by the other key.

    What the margins tell without the table is no matter of the table: they have rules of their own.
    """
    assume(all(len({key[place] for key in counts}) > 1 for place in (0, 1)))
    cells: dict[Key, int] = {(a, b or "~"): count for (a, b), count in counts.items()}
    gone = withheld(counts, GUARDED)
    told = set(solved(cells, gone, LEAST)) - set(solved(cells, set(cells), LEAST))
    assert [key for key in told if cells[key] < LEAST] == []
    for members in margins(cells).values():
        left = sum(cells[key] for key in members & gone)
        assert left == 0 or left >= LEAST or members <= gone


@pytest.mark.parametrize("small", [("b", "m"), ("b", None)], ids=["cell", "without value"])
def test_27_control_without_it_the_margins_give_the_small_cell_back(small: tuple[str, str | None]) -> None:
    counts = {("a", "f"): 30, ("a", "m"): 25, ("b", "f"): 20, ("b", "m"): 40, ("c", "f"): 50, ("c", "m"): 60}
    counts |= {("c", None): 12, small: 3}
    cells: dict[Key, int] = {(a, b or "~"): count for (a, b), count in counts.items()}
    key = (small[0], small[1] or "~")
    assert solved(cells, withheld(counts, RULES))[key] == 3
    assert key not in solved(cells, withheld(counts, GUARDED))


@given(COUNTS)
@settings(max_examples=30, deadline=None)
def test_a_table_without_small_cells_leaves_whole(counts: dict[Any, int]) -> None:
    large = {key: count for key, count in counts.items() if count >= LEAST}
    assert all(sex == "~" for _, sex in withheld(large, GUARDED))


def test_a_cross_table_whose_margins_were_looked_at_leaves_and_another_waits_for_people() -> None:
    counts = {("a", "f"): 30, ("a", "m"): 25, ("b", "f"): 20, ("b", "m"): 3, ("c", "f"): 50, ("c", "m"): 60}
    found, rows = judged(cross(people(counts)), margins=True)
    assert found.finding is Finding.REPAIRED
    assert [row[:2] for row in rows] == [["c", "f"], ["c", "m"]] or ["b", "m"] not in [
        row[:2] for row in rows
    ]
    assert len(rows) < 5  # more than the small cell stayed
    found, _ = judged(cross(people(counts), RULES), margins=True)
    assert (found.finding, found.reasons) == (Finding.HELD, ("margins",))


def test_where_a_person_stands_in_two_cells_nobody_knows_what_margins_tell_and_people_look() -> None:
    who = [*range(60), 0]
    data = table(who, region=["a", "b"] * 30 + ["b"], sex=["f", "f", "m", "m"] * 15 + ["f"])
    left = cross(data)
    assert left.evidence("cells.csv")["margins"] is False
    found, _ = judged(left, margins=True)
    assert (found.finding, found.reasons) == (Finding.HELD, ("margins",))


def test_a_table_of_one_key_is_as_it_was() -> None:
    """What is missing would tell that there are small cells; the owner asks that of cross-tables."""
    data = people({("a", "f"): 30, ("b", "f"): 20, ("c", "m"): 3})
    guarded = run("cross-tabulate", data, rules=GUARDED, row="region").work.files
    assert guarded == run("cross-tabulate", data, row="region").work.files


# --- dominated cells ----------------------------------------------------------------------------------------


def incomes() -> Left:
    """Six cells of twenty persons; in one of them a single person has nearly everything."""
    counts = {(region, sex): 20 for region in "abc" for sex in "fm"}
    income = 1000.0 + np.arange(120)
    income[0] = 5e6
    return cross(people(counts, income=income), RULES, figure="income")


def test_29_margins_do_not_give_back_the_total_of_one_person() -> None:
    left = incomes()
    exact = {(row["region"], row["sex"]): float(row["income_total"]) for row in left.rows("cells.csv")}
    found, rows = judged(left)
    column = list(left.rows("cells.csv")[0]).index("income_total")
    shown = {(row[0], row[1]): row[column] is not False for row in rows}
    hidden = {key for key, there in shown.items() if not there}
    cells: dict[Key, int] = {key: round(value) for key, value in exact.items()}
    assert ("a", "f") in hidden and ("a", "f") not in solved(cells, hidden)
    struck = [
        each
        for each in found.record.applied
        if each.rule == "margins" and each.subject == "cells.csv/income_total"
    ]
    assert len(struck) == 1 and struck[0].cells == len(hidden) - 1
    # the control: only the dominated cell withheld, its total is a margin less a row
    assert solved(cells, {("a", "f")})[("a", "f")] == round(exact["a", "f"])


def test_29_where_no_rule_about_totals_is_on_nothing_is_withheld() -> None:
    off = Checks(dominance_largest=0, p_percent=0)
    _, rows = judged(
        incomes(), dominance_largest=off.dominance_largest, dominance_percent=100, p_percent=off.p_percent
    )
    assert not any(cell is False for row in rows for cell in row)


def test_figures_of_two_columns_add_up_to_nothing_so_one_does_not_hide_the_other() -> None:
    """Rows of `describe` about two columns are no cells of one margin."""
    giant = np.ones(60)
    giant[3] = 5e5
    left = run("describe", table(range(60), giant=giant, flat=np.ones(60)), columns=["giant", "flat"])
    assert left.evidence("summary.csv")["parts"] == [0, 1]
    component = components.find("describe")
    declared = components.artifacts(component, components.checked(component, {"columns": ["giant", "flat"]}))
    files = {f"files/{name}": content for name, content in left.work.files.items()}
    files |= {f"evidence/{name}.json": content for name, content in left.work.evidence.items()}
    rows = json.loads(contents(through(files, declared, component=True))["summary.csv"])["rows"]
    assert {row[0]: False in row for row in rows} == {"giant": True, "flat": False}


# --- what the airlock reads ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said", [{"margins": 1}, {"margins": None}, {"parts": [0]}, {"parts": [0, "1"]}, {"more": 1}]
)
def test_evidence_of_another_form_is_not_read(said: dict[str, Any]) -> None:
    sound = {"keys": ["k"], "persons": [10, 20], "figures": {}}
    assert read_evidence(sound).margins is False and read_evidence({**sound, "margins": True}).margins is True
    with pytest.raises(ValueError, match="margins|evidence"):
        read_evidence({**sound, **said})

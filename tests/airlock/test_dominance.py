"""Whoever dominates a total does not stand in it; ACRO's published cases, and the arithmetic of exact shares."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock import presets
from airlock.dominance import Shares, dominated, only_zeros, together, withheld_cells
from plans.checks import Checks

ACRO = presets.load("acro").checks
OFF = Checks(dominance_largest=0, p_percent=0)
SIZES = st.lists(st.integers(0, 10**9), min_size=2, max_size=30)


def shares(values: list[float] | list[int]) -> Shares:
    """The numbers of a cell in which each person adds one value."""
    sizes = sorted((Decimal(str(abs(value))) for value in values), reverse=True)
    first, second = (*sizes, Decimal(0), Decimal(0))[:2]
    net = abs(sum((Decimal(str(value)) for value in values), Decimal(0)))
    return Shares(sum(sizes, Decimal(0)), net, first, second)


@pytest.mark.parametrize(
    ("values", "withheld"),
    [
        ([1.0] * 10, False),
        ([100.0, 90.0, *[1.0] * 10], True),  # the (n, k) rule: two hold 95 percent
        ([100.0, 1.0, *[0.5] * 15], True),  # p percent: the others add 7.5 to 100
        ([100.0, 60.0, *[10.0] * 5], False),
        ([0.0] * 12, False),
    ],
)
def test_tables_of_acro_get_the_same_verdicts(values: list[float], withheld: bool) -> None:
    """ACRO 0.4.12, `acro_tables.agg_nk` and `agg_p_percent`: n = 2, k = 0.90, p = 0.10."""
    assert dominated(shares(values), ACRO) is withheld


@given(SIZES)
def test_the_verdict_is_that_of_acros_formulas(values: list[int]) -> None:
    """The two functions of ACRO, written from their description; at exactly k percent this house is the stricter."""
    total, (first, second) = sum(values), sorted(values)[:-3:-1]
    nk = total > 0 and (first + second) * 100 >= total * 90
    p = total > 0 and (total - first - second) * 100 < first * 10
    assert dominated(shares(values), ACRO) is (nk or p)


@given(SIZES)
def test_control_without_the_rules_every_total_leaves(values: list[int]) -> None:
    assert not dominated(shares(values), OFF)


@given(st.lists(SIZES, min_size=1, max_size=5))
def test_cells_of_different_persons_together_have_the_shares_of_all(cells: list[list[int]]) -> None:
    assert together(map(shares, cells)) == shares([value for cell in cells for value in cell])


def test_signs_do_not_hide_who_is_large() -> None:
    """ATTACKS 29: who adds 1,000,000 to what others take away stands in a figure of nearly nothing."""
    found = shares([1_000_000, *[-10_000] * 9])
    assert dominated(found, ACRO) and found.cancelled > 1


@pytest.mark.parametrize(("values", "zeros"), [([0, 0, 0], True), ([0, 1], False), ([1, -1], False)])
def test_a_figure_to_which_nobody_adds_says_so_of_everybody(values: list[int], zeros: bool) -> None:
    assert only_zeros(shares(values)) is zeros


def test_what_a_margin_would_give_back_keeps_the_rule_itself() -> None:
    """ATTACKS 27: the total less the cells that are shown is a total of its own."""
    cells = [shares([9_500, *[50] * 10]), shares([400] * 12), shares([900] * 20)]
    first, besides = withheld_cells([("a",), ("b",), ("c",)], cells, ACRO)
    assert first == {0} and besides
    assert (
        not dominated(together(cells[place] for place in first | besides), ACRO) or len(first | besides) == 3
    )


def test_control_without_a_dominated_cell_nothing_is_withheld() -> None:
    cells = [shares([400] * 12), shares([900] * 20)]
    assert withheld_cells([("a",), ("b",)], cells, ACRO) == (set(), set())

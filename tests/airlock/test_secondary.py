"""Margins do not give back what was withheld, also to an attacker who knows all of them and every shown cell."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from fractions import Fraction
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from airlock.secondary import Key, complete

LEAST = 10


@st.composite
def tables(draw: st.DrawFn) -> dict[Key, int]:
    """Cross-tables of two or three keys with numbers of persons, some cells of them missing."""
    sizes = draw(st.sampled_from([(2, 2), (3, 3), (2, 4), (2, 2, 2), (2, 2, 3)]))
    keys: list[Key] = [()]
    for size in sizes:
        keys = [(*key, value) for key in keys for value in range(size)]
    counts = draw(st.lists(st.integers(0, 40), min_size=len(keys), max_size=len(keys)))
    return {key: count for key, count in zip(keys, counts, strict=True) if count}


def protected(table: dict[Key, int]) -> set[Key]:
    """The keys that do not leave."""
    keys, counts = list(table), list(table.values())
    small = {place for place, count in enumerate(counts) if count < LEAST}

    def safe(places: Collection[int]) -> bool:
        together = sum(counts[place] for place in places)
        return together == 0 or together >= LEAST

    return {keys[place] for place in complete(keys, small, safe, counts.__getitem__)}


def margins(keys: Iterable[Key]) -> dict[tuple[tuple[int, ...], Key], set[Key]]:
    """Every margin of every subset of the keys, with the cells that it adds up."""
    found: dict[tuple[tuple[int, ...], Key], set[Key]] = defaultdict(set)
    for key in keys:
        for size in range(len(key)):
            for subset in combinations(range(len(key)), size):
                found[subset, tuple(key[each] for each in subset)].add(key)
    return found


def solved(table: dict[Key, int], withheld: set[Key], least: int = 0) -> dict[Key, int]:
    """What an attacker finds: Gaussian elimination over the rationals, on all margins less the shown cells.

    Margins of fewer than `least` do not leave either.
    """
    unknown = sorted(withheld)
    rows = []
    for cells in margins(table).values():
        if sum(table[key] for key in cells) < least:
            continue
        hidden = [Fraction(key in cells) for key in unknown]
        rows.append([*hidden, Fraction(sum(table[key] for key in cells & withheld))])
    done: list[tuple[int, list[Fraction]]] = []
    for row in rows:
        for pivot, other in done:
            row = [a - row[pivot] * b for a, b in zip(row, other, strict=True)]
        pivot = next((n for n in range(len(unknown)) if row[n]), None)
        if pivot is None:
            continue
        row = [each / row[pivot] for each in row]
        done = [(p, [a - old[pivot] * b for a, b in zip(old, row, strict=True)]) for p, old in done]
        done.append((pivot, row))
    return {
        unknown[p]: int(row[-1]) for p, row in done if not any(row[n] for n in range(len(unknown)) if n != p)
    }


@settings(max_examples=150, deadline=None)
@given(tables())
def test_27_no_small_cell_is_found_from_all_margins_and_all_shown_cells(table: dict[Key, int]) -> None:
    withheld = protected(table)
    found = solved(table, withheld)
    if withheld != set(
        table
    ):  # of a table that is gone altogether, its margins are tables with rules of their own
        assert {key for key in found if table[key] < LEAST} == set()


@settings(max_examples=150, deadline=None)
@given(tables())
def test_27_what_is_left_of_a_margin_is_nobody_or_a_group(table: dict[Key, int]) -> None:
    withheld = protected(table)
    for cells in margins(table).values():
        left = sum(table[key] for key in cells & withheld)
        assert left == 0 or left >= LEAST or cells <= withheld


@settings(max_examples=100, deadline=None)
@given(tables())
def test_a_table_without_small_cells_leaves_whole(table: dict[Key, int]) -> None:
    large = {key: count for key, count in table.items() if count >= LEAST}
    assert protected(large) == set()


def test_control_the_small_cells_alone_are_given_back_by_the_margins() -> None:
    table: dict[Key, int] = {("m", "x"): 30, ("m", "y"): 3, ("f", "x"): 20, ("f", "y"): 25}
    assert solved(table, {("m", "y")}) == {("m", "y"): 3}
    assert len(protected(table)) == 4 or ("m", "y") not in solved(table, protected(table))


def test_a_chain_of_margins_is_followed() -> None:
    """Each margin has two withheld cells or one large one, and still the small cell could be computed."""
    table: dict[Key, int] = {(1, 1): 3, (1, 2): 12, (1, 3): 50, (2, 1): 14, (2, 2): 40, (2, 3): 60, (3, 1): 70,
                             (3, 2): 80, (3, 3): 90}  # fmt: skip
    chain: set[Key] = {(1, 1), (1, 2), (2, 1)}
    assert solved(table, chain)[1, 1] == 3
    assert (1, 1) not in solved(table, protected(table))


def test_a_large_table_is_done_in_little_time() -> None:
    table: dict[Key, int] = {(a, b): 5 + (a * 7 + b * 3) % 60 for a in range(60) for b in range(40)}
    assert protected(table)

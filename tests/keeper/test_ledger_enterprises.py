"""Vectors of enterprises, against true distances: near are those that differ in some, and in too few."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from keeper.ledger_nearness import KnownEnterprises, Of, Prints, close
from keeper.ledger_rules import Apart, withheld_rows
from plans import sets as plan_sets
from plans.errors import Malformed
from plans.sets import SIGNS, Sets
from tests.keeper.people import People
from tests.keeper.test_ledger import lineage

E = 5


class Firms:
    """Enterprises with secret buckets and odd numbers, as by a keyed hash."""

    def __init__(self, count: int, seed: int = 1) -> None:
        rng = np.random.default_rng(seed)
        self.bucket = rng.integers(0, SIGNS, count)
        self.own = rng.integers(0, 2**31, count) * 2 + 1

    def prints(self, rows: Any) -> Prints:
        """The buckets of one vector, by plain arithmetic."""
        sums = [0] * SIGNS
        for bucket, own, count in zip(self.bucket, self.own, rows, strict=True):
            sums[bucket] = (sums[bucket] + int(own) * int(count)) % 2**32
        signed = [each - 2**32 if each >= 2**31 else each for each in sums]
        return Prints(np.array([int(sum(rows))]), np.array([signed]), Of.ENTERPRISES)


@pytest.mark.parametrize("count", [8, 40, 500])
def test_none_is_missed_that_differs_in_too_few_enterprises(count: int) -> None:
    """Rows are added, taken away, or all of an enterprise's; what is equal is no other, what is far is not near."""
    rng, firms = np.random.default_rng(count), Firms(count)
    far = []
    for _ in range(60):
        rows = rng.integers(0, 90, count)
        known = KnownEnterprises()
        known.add(firms.prints(rows))
        assert not known.near(firms.prints(rows), E).any()
        for differ in (1, 2, E - 1, 4 * E):
            other, chosen = rows.copy(), rng.permutation(count)[:differ]
            taken = rng.integers(1, 50, len(chosen))
            other[chosen] = np.where(other[chosen] >= taken, other[chosen] - taken, other[chosen] + taken)
            near = bool(known.near(firms.prints(other), E)[0])
            assert near == bool(close(firms.prints(other), firms.prints(rows), E)[0])
            if differ < E:
                assert near
            elif count > 4 * E:
                far.append(near)
    assert sum(far) == 0


def test_totals_and_differences_are_those_of_the_rows() -> None:
    firms, rng = Firms(30), np.random.default_rng(2)
    rows = rng.integers(0, 2_000_000, (6, 30))
    each = [firms.prints(row) for row in rows]
    together = Prints(
        np.concatenate([one.persons for one in each]),
        np.concatenate([one.signs for one in each]),
        Of.ENTERPRISES,
    )
    total = together.total()
    assert (total.signs == firms.prints(rows.sum(axis=0)).signs).all()
    without = together.taken_from(total)
    assert (without.signs[2] == firms.prints(rows.sum(axis=0) - rows[2]).signs[0]).all()


def _table(people: People, firms: Firms, cells: list[tuple[range, list[int]]]) -> Sets:
    """Cells of persons, each with its rows of enterprises."""
    persons, prints = [], []
    for group, rows in cells:
        plain = people.cells(group)
        persons += [*plain.persons, sum(1 for each in rows if each)]
        prints += [*plain.prints, *firms.prints(rows).signs[0].tolist()]
    return Sets(len(cells), 2, persons, prints, enterprises=1)


def test_a_total_that_lacks_an_enterprise_takes_its_smallest_row_along() -> None:
    people, firms = People(1_000), Firms(20)
    everything = _table(people, firms, [(range(1_000), [50] * 20)])
    parts = _table(people, firms, [
        (range(300), [50] * 6 + [0] * 14), (range(300, 650), [0] * 6 + [50] * 7 + [0] * 7),
        (range(650, 950), [0] * 13 + [50] * 6 + [0]),
    ])  # fmt: skip
    known = [lineage(everything, persons=1_000)]
    assert withheld_rows(parts, known, Apart(10), 10, (1_000,)) == (), "the control: persons are enough"
    assert len(withheld_rows(parts, known, Apart(10, 3), 10, (1_000,))) > 0


def test_a_figure_of_too_few_enterprises_is_no_set_that_left() -> None:
    """The judging box withholds it, so it is compared with nothing."""
    people, firms = People(1_000), Firms(20)
    few = _table(people, firms, [(range(100), [50, 50] + [0] * 18)])
    assert len(lineage(few)) == 1 + 1, "nobody asks here"
    assert withheld_rows(few, [lineage(few)], Apart(10, 3), 10) == ()


def test_a_page_keeps_sets_of_enterprises_and_impossible_ones_are_refused() -> None:
    table = _table(People(50), Firms(20), [(range(50), [5] * 20)])
    (read,) = plan_sets.unpack(plan_sets.pack([table]))
    assert (read.per_row, read.enterprises, list(read.prints)) == (2, 1, list(table.prints))
    with pytest.raises(Malformed):
        Sets(1, 2, [1, 1], [0] * 2 * SIGNS, weighted=1, enterprises=1)

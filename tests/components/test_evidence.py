"""Persons are counted, never rows; what one contributes is added up; fingerprints are those of the sets."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import NoFit
from components.evidence import COUNT, Cells, Evidence, Figure, plain
from components.rows import Rows
from plans.errors import Malformed
from tests.components.cases import table

ROWS = st.lists(
    st.tuples(st.integers(0, 9), st.integers(-1, 3), st.integers(-50, 50)), min_size=1, max_size=60
)


@given(ROWS)
def test_numbers_of_persons_and_largest_contributions_are_those_that_sql_finds(
    rows: list[tuple[int, int, int]],
) -> None:
    who, cell, amount = (np.array(each) for each in zip(*rows, strict=True))
    made = Cells.of(Rows.of(table(who)), cell, 4)
    largest = made.largest(amount)
    data = pa.table({"who": who, "cell": cell, "amount": amount})
    found = duckdb.sql(
        "SELECT cell, count(*), sum(size), list(size ORDER BY size DESC) FROM"
        " (SELECT cell, who, sum(abs(amount)) AS size FROM data WHERE cell >= 0 GROUP BY ALL) GROUP BY cell"
    ).fetchall()
    assert data.num_rows == len(rows)
    assert {place: count for place, count, *_ in found} == {
        place: count for place, count in enumerate(made.persons) if count
    }
    for place, _, total, sizes in found:
        assert list(largest[:, place]) == [total, *(sizes + [0])[:2]]


@given(ROWS)
def test_a_fingerprint_is_the_sum_of_the_signs_of_the_persons_each_once(
    rows: list[tuple[int, int, int]],
) -> None:
    who, cell, _ = (np.array(each) for each in zip(*rows, strict=True))
    data = table(who)
    made = Cells.of(Rows.of(data), cell, 4)
    signs = dict(zip(data["person"].to_pylist(), data["_signs"].to_pylist(), strict=True))
    for place in range(4):
        persons = {int(person) for person, at in zip(who, cell, strict=True) if at == place}
        expected = [sum(1 if signs[person] >> bit & 1 else -1 for person in persons) for bit in range(64)]
        assert list(made.prints[place]) == expected


def test_fingerprints_of_sets_that_differ_in_one_person_are_at_the_distance_one() -> None:
    """What the owner's ledger sees of a cell that was asked for twice, with one person and without (ATTACKS 24)."""
    rows = Rows.of(table(range(50)))
    everybody = Cells.whole(rows).prints[0]
    but_one = Cells.of(rows, np.where(rows.who == 17, -1, 0), 1).prints[0]
    assert ((everybody - but_one) ** 2).sum() / 64 == 1


def test_a_cell_of_one_person_with_many_rows_does_not_leave_and_nine_persons_do_not_either() -> None:
    who = np.concatenate([np.zeros(500, int), np.arange(1, 10), np.arange(100, 110)])
    cells = Cells.of(Rows.of(table(who)), np.repeat([0, 1, 2], [500, 9, 10]), 3)
    figures = {"rows": Figure(COUNT, cells.items)}
    keys = {"group": ["one person", "nine", "ten"]}
    guarded, open_ = Evidence(10, 10), Evidence(1, 0)
    assert guarded.table("t.csv", keys, cells, figures) == b"group,rows,persons\nten,10,10\n"
    assert list(guarded.sets["t.csv"].persons) == [10]
    # the control: with the protection off the single person's rows are there
    assert b"one person,500,1" in open_.table("t.csv", keys, cells, figures)


def test_a_table_of_which_nothing_is_left_is_no_table() -> None:
    cells = Cells.whole(Rows.of(table(range(9))))
    with pytest.raises(NoFit):
        Evidence(10, 10).table("t.csv", {"group": ["all"]}, cells, {})


def test_rows_without_a_person_are_not_there_and_a_table_about_nobody_is_refused() -> None:
    data = table([1, 2, 2], x=[1.0, 2.0, 3.0])
    lost = data.set_column(0, "person", pa.array([1, None, 2], pa.uint64()))
    assert len(Rows.of(lost)) == 2 and Rows.of(lost).persons == 2
    with pytest.raises(Malformed, match="about persons"):
        Rows.of(data.drop_columns(["person"]))


def test_values_are_numbers_or_words_by_their_type_and_by_nothing_in_them() -> None:
    from decimal import Decimal

    rows = Rows.of(
        table([1, 2], d=[Decimal("1.50"), None], b=[True, False], t=["a", None], f=[float("inf"), 2.0])
    )
    assert rows.numbers("d")[0] == 1.5 and np.isnan(rows.numbers("d")[1])
    assert list(rows.numbers("b")) == [1, 0] and list(rows.words("b")) == ["true", "false"]
    assert np.isnan(rows.numbers("f")[0])
    for refused in (lambda: rows.numbers("t"), lambda: rows.words("f"), lambda: rows.words("missing")):
        with pytest.raises(Malformed):
            refused()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_written_without_an_exponent(value: float) -> None:
    text = plain(value)
    assert "e" not in text.lower() and abs(float(text) - value) <= 1e-15

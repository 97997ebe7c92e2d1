"""Promise: rows of one person become rows of shares, exactly those that plain sets find, and nobody learns whose."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc.protocols.ring import RING64, RING128
from tests.mpc.meeting import Person, Rows, expected, layout, meet

PERSONS = st.integers(0, 14).map(lambda number: f"15010219800101{number:03}X")
VALUES = st.integers(-(2**40), 2**40)


def people(columns: int, codes: tuple[int, ...]) -> st.SearchStrategy[dict[str, Person]]:
    row = st.builds(
        Person,
        st.tuples(*[VALUES] * columns),
        st.tuples(*(st.integers(0, size - 1) for size in codes)),
    )
    return st.dictionaries(PERSONS, row, min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_what_comes_out_is_what_plain_sets_find(data: st.DataObject) -> None:
    owners = ("north", "south") if data.draw(st.booleans()) else ("north", "registry", "south")
    shapes = {"north": (2, (3,)), "south": (1, ()), "registry": (0, (2, 2))}
    tables: dict[str, Rows] = {name: data.draw(people(*shapes[name])) for name in owners}
    spare = {name: len(tables[name]) + data.draw(st.integers(0, 3)) for name in owners}
    codes = {name: shapes[name][1] for name in owners}
    ring = data.draw(st.sampled_from([RING64, RING128]))
    columns = {name: shapes[name][0] for name in owners}
    plan = layout(owners, tables, ring=ring, bounds=spare, codes=codes)
    assert [sent.columns for sent in plan.sent] == [columns[name] for name in owners]
    result = meet(plan, tables, seed=data.draw(st.integers(0, 1000))).result()
    assert len(result) == plan.rows
    assert sorted(row for row in result if row[1] >= 0) == expected(plan, tables)


@pytest.mark.parametrize(
    ("north", "south"),
    [("abc", "xyz"), ("abc", "cde"), ("abc", "bca"), ("a", "a"), ("a", "z"), ("abcdefgh", "h")],
    ids=["none", "one", "all", "one row", "one row, none", "many and one"],
)
def test_edges(north: str, south: str) -> None:
    tables = {
        "north": {name: Person((ord(name),)) for name in north},
        "south": {name: Person((-ord(name),)) for name in south},
    }
    plan = layout(("north", "south"), tables)
    result = meet(plan, tables).result()
    assert sorted(row for row in result if row[1] >= 0) == expected(plan, tables)

"""Promise: rows of one person become rows of shares, exactly those that plain sets find, with and without a helper."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc.protocols.layout import Layout, Sent
from mpc.protocols.ring import RING64, RING128
from plans.errors import KeyRepeated, Malformed, TooLarge
from tests.mpc.meeting import Met, Person, Rows, expected, layout, meet, meet_alone
from tests.mpc.trio import SERVERS

PERSONS = st.integers(0, 14).map(lambda number: f"15010219800101{number:03}X")
VALUES = st.integers(-(2**40), 2**40)
SHAPES: dict[str, tuple[int, tuple[int, ...]]] = {
    "north": (2, (3,)),
    "south": (1, ()),
    "registry": (0, (2, 2)),
}


def people(columns: int, codes: tuple[int, ...]) -> st.SearchStrategy[dict[str, Person]]:
    row = st.builds(
        Person,
        st.tuples(*[VALUES] * columns),
        st.tuples(*(st.integers(0, size - 1) for size in codes)),
    )
    return st.dictionaries(PERSONS, row, min_size=1, max_size=12)


def played(plan: Layout, tables: dict[str, Rows], seed: int = 0) -> Met:
    return (meet if plan.helped else meet_alone)(plan, tables, seed)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_comes_out_is_what_plain_sets_find(data: st.DataObject) -> None:
    owners = data.draw(
        st.sampled_from([("north", "south"), ("registry", "north"), ("north", "registry", "south")])
    )
    tables: dict[str, Rows] = {name: data.draw(people(*SHAPES[name])) for name in owners}
    plan = layout(
        owners,
        tables,
        helped=data.draw(st.booleans()),
        ring=data.draw(st.sampled_from([RING64, RING128])),
        bounds={name: len(tables[name]) + data.draw(st.integers(0, 3)) for name in owners},
        codes={name: SHAPES[name][1] for name in owners},
    )
    result = played(plan, tables, data.draw(st.integers(0, 1000))).result()
    assert len(result) == plan.rows
    assert sorted(row for row in result if row[1] >= 0) == expected(plan, tables)


@pytest.mark.parametrize("helped", [True, False], ids=["helper", "no helper"])
@pytest.mark.parametrize(
    ("north", "south"),
    [("abc", "xyz"), ("abc", "cde"), ("abc", "bca"), ("a", "a"), ("a", "z"), ("abcdefgh", "h")],
    ids=["none", "one", "all", "one row", "one row, none", "many and one"],
)
def test_edges(north: str, south: str, helped: bool) -> None:
    tables: dict[str, Rows] = {
        "north": {name: Person((ord(name),)) for name in north},
        "south": {name: Person((-ord(name),)) for name in south},
    }
    plan = layout(("north", "south"), tables, helped)
    result = played(plan, tables).result()
    assert sorted(row for row in result if row[1] >= 0) == expected(plan, tables)


@pytest.mark.parametrize("helped", [True, False], ids=["helper", "no helper"])
def test_only_the_fact_of_a_match_can_be_used(helped: bool) -> None:
    tables: dict[str, Rows] = {
        "north": {name: Person() for name in "abcd"},
        "south": {name: Person() for name in "cdefg"},
    }
    plan = layout(("north", "south"), tables, helped)
    met = played(plan, tables)
    assert sorted(met.result()) == [((), -1), ((), -1), ((), 0), ((), 0)]
    assert not any("order" in tag or "seed" in tag for came in met.came.values() for _, tag, _ in came)


def test_pieces_of_rows_are_as_good_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "mpc.protocols.layout._PIECE", 3 * 8 * 6
    )  # three rows of three cells and three numbers
    tables: dict[str, Rows] = {
        "north": {str(at): Person((at,), (at % 3,)) for at in range(10)},
        "registry": {str(at): Person() for at in range(5, 13)},
        "south": {str(at): Person((at, -at)) for at in range(4, 12)},
    }
    for helped in (True, False):
        for owners in (("north", "south"), ("north", "registry", "south")):
            plan = layout(owners, tables, helped, codes={"north": (3,)})
            assert len(list(plan.pieces())) == 3
            result = played(plan, tables).result()
            assert sorted(row for row in result if row[1] >= 0) == expected(plan, tables)


@pytest.mark.parametrize("helped", [True, False], ids=["helper", "no helper"])
def test_more_matches_than_the_public_number_end_the_attempt_and_do_not_say_how_many(helped: bool) -> None:
    tables: dict[str, Rows] = {name: {one: Person((1,)) for one in "abc"} for name in ("north", "south")}
    plan = layout(("north", "south"), tables, helped, count=2)
    with pytest.raises(TooLarge, match="public number") as refused:
        played(plan, tables)
    assert "3" not in str(refused.value)


@pytest.mark.parametrize("helped", [True, False], ids=["helper", "no helper"])
def test_more_rows_than_an_owners_public_number_are_refused(helped: bool) -> None:
    tables: dict[str, Rows] = {name: {one: Person((1,)) for one in "abc"} for name in ("north", "south")}
    plan = layout(("north", "south"), tables, helped, bounds={"north": 2}, count=2)
    with pytest.raises(TooLarge, match="rows than the plan's"):
        played(plan, tables)


def test_a_list_that_names_somebody_twice_is_refused_by_the_matcher_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each owner's own box refuses first (`require_keys`); here one does not look."""
    monkeypatch.setattr("tests.mpc.meeting.require_keys", lambda packed, _: packed.blocks)
    monkeypatch.setattr("tests.mpc.meeting.pack_texts", lambda people: _twice(people))
    tables: dict[str, Rows] = {name: {one: Person((1,)) for one in "abc"} for name in ("north", "south")}
    for helped in (True, False):
        with pytest.raises(KeyRepeated):
            played(layout(("north", "south"), tables, helped), tables)


def _twice(people: Rows) -> object:
    from mpc.protocols.identifiers import pack_texts

    return pack_texts(["a", "b", "b"][: len(people)])


class TestLayout:
    def test_a_partner_is_neither_the_owner_nor_the_matcher(self) -> None:
        for partner in ("north", "clearing", "registry"):
            sent = (Sent("north", partner, 3, 1), Sent("registry", "south", 3, 1))
            with pytest.raises(Malformed, match="partner"):
                Layout(sent, SERVERS, "clearing", 3, RING64)

    def test_a_matcher_owns_nothing(self) -> None:
        sent = (Sent("north", "south", 3, 1), Sent("south", "north", 3, 1))
        with pytest.raises(Malformed, match="owns none"):
            Layout(sent, SERVERS, "south", 3, RING64)

    def test_no_more_rows_come_out_than_the_smallest_list_has(self) -> None:
        """More would need places that repeat, and a partner could count those that do not."""
        sent = (Sent("north", "south", 3, 1), Sent("south", "north", 5, 1))
        with pytest.raises(Malformed, match="rows come out"):
            Layout(sent, SERVERS, "clearing", 4, RING64)

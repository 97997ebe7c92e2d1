"""The index of grants: it finds what going through all of them finds, and what somebody holds never changes."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.grants import Granted, Grants
from tests.keeper import house
from tests.policies.cases import granted

MEMBERS = (house.MEMBER, "wu@nm/uni", "li@nm")
DATASETS = (house.INCOME, house.PROPERTY, "nm/tax/income_old")
KEYS = ("key one", "key two")
GRANTED = st.builds(
    lambda member, dataset, name, uses, key: granted(
        replace(house.GRANT, member=member, dataset=dataset), name, uses_left=uses, approver=key
    ),
    st.sampled_from(MEMBERS),
    st.sampled_from(DATASETS),
    st.sampled_from("abcdefgh"),
    st.integers(0, 3),
    st.sampled_from(KEYS),
)


def plainly(found: list[Granted], dataset: str, member: str) -> list[Granted]:
    """What the index finds, by going through everything."""
    return [g for g in found if (g.grant.dataset, g.grant.member) == (dataset, member)]


def same(index: Grants, expected: dict[str, Granted]) -> None:
    """Check an index against a plain dictionary, in every way in which it can be asked."""
    every = sorted(expected.values(), key=lambda g: g.digest)
    assert list(index) == every and len(index) == len(every) and bool(index) == bool(every)
    for dataset in DATASETS:
        for member in MEMBERS:
            assert list(index.about(dataset, member)) == plainly(every, dataset, member)
    for name in "abcdefgh":
        digest = house.digest(name)
        assert index.get(digest) == expected.get(digest) and (digest in index) == (digest in expected)
    assert index == Grants(every[::-1])


@given(
    st.lists(GRANTED), st.lists(st.one_of(GRANTED, st.sampled_from([house.digest(n) for n in "abcdefgh"])))
)
def test_whatever_was_added_and_taken_away_it_holds_what_a_dictionary_would(
    first: list[Granted], changes: list[Granted | str]
) -> None:
    index, plain = Grants(first), {g.digest: g for g in first}
    same(index, plain)
    for change in changes:
        held, was = index, dict(plain)
        if isinstance(change, str):
            index = index.without(change)
            plain.pop(change, None)
        else:
            index = index.with_(change)
            plain[change.digest] = change
        same(index, plain)
        same(held, was)


@given(st.lists(GRANTED), st.sets(st.sampled_from(KEYS)), st.lists(GRANTED, max_size=3))
def test_those_that_some_approvers_signed_are_those_and_what_is_added_to_them_later(
    found: list[Granted], approvers: set[str], more: list[Granted]
) -> None:
    view = Grants(found).signed_by(approvers)
    plain = {g.digest: g for g in found}
    for item in more:
        view, plain = view.with_(item), {**plain, item.digest: item}
    same(view, {digest: g for digest, g in plain.items() if g.approver in approvers})
    assert not view.signed_by(()), "a view of a view is smaller, not another"


@given(st.lists(GRANTED), st.sampled_from([house.digest(name) for name in "abcdefgh"]))
def test_a_revoked_grant_stays_and_stands_no_more(found: list[Granted], digest: str) -> None:
    before = Grants(found)
    after = before.revoke(digest)
    same(after, {g.digest: replace(g, revoked=g.revoked or g.digest == digest) for g in before})
    assert all(not g.revoked for g in before)


@pytest.mark.parametrize(
    "other",
    ["lin@nm/uni2", "lin@nm/un", "lin@nm", "Lin@nm/uni", "lin@nm/uni/", "l%", "lin@nm/%2funi", "lin@nm/*", ".*",
     "lin@nm/uni,wu@nm/uni", "", "lin@nm/unі"],
)  # fmt: skip
def test_a_name_is_found_as_it_is_spelled_and_never_as_a_pattern(other: str) -> None:
    """ATTACKS 60. The last one ends with a Cyrillic letter."""
    index = Grants([granted()])
    assert index.about(house.INCOME, house.MEMBER)
    assert index.about(house.INCOME, other) == () and index.about(other, house.MEMBER) == ()


def test_readers_in_other_threads_see_all_of_a_change_or_nothing_of_it() -> None:
    """Pairs of grants are revoked and come back together; nobody ever sees one without the other."""
    names = [(f"left {n}", f"right {n}") for n in range(20)]
    box = [Grants(granted(name=name) for pair in names for name in pair)]
    stop, torn = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            index = box[0]
            for left, right in names:
                one, other = index.get(house.digest(left)), index.get(house.digest(right))
                if one is None or other is None or one.revoked is not other.revoked:
                    torn.append((left, one, other))

    readers = [threading.Thread(target=read) for _ in range(4)]
    [reader.start() for reader in readers]
    for _ in range(30):
        for left, right in names:
            whole = box[0]
            box[0] = whole.revoke(house.digest(left)).revoke(house.digest(right))
            box[0] = whole
    stop.set()
    [reader.join() for reader in readers]
    assert torn == []

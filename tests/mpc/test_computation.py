"""A joint computation equals DuckDB on the joined data in clear, whoever owns, serves and matches; small cells are not
opened, and a part of an answer never is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plans import joint_guards
from plans.errors import EvidenceBroken, SharesDisagree
from plans.joint import Scheme
from plans.joint_rules import Matching
from tests.inside.joint_cases import operand
from tests.mpc.joint_world import Owner, mismatches, oracle, plan_for, run

HEALTH, TAX, SCHOOL, BANK = "nm/health", "nm/tax", "nm/school", "nm/bank"
NOT_OWNERS = ("nm/civil", "nm/land", "nm/water")


def column(rng: np.random.Generator, count: int, low: int, high: int, missing: float = 0.0) -> Any:
    return np.ma.array(rng.integers(low, high + 1, count), mask=rng.random(count) < missing)


def owner(domain: str, rng: np.random.Generator, count: int, of: int, **made: Any) -> Owner:
    """An owner of some persons out of `of`, with operands (low, high, missing) and sizes of code lists."""
    persons = rng.choice(of, count, replace=False)
    ranges = made.get("ranges", ())
    sizes = made.get("sizes", ())
    skew = made.get("skew", 1.0)
    return Owner(
        domain,
        persons,
        tuple(
            operand(f"v{place}", low, high, nullable=missing > 0)
            for place, (low, high, missing) in enumerate(ranges)
        ),
        tuple(column(rng, count, *each) for each in ranges),
        tuple(sizes),
        tuple((rng.random(count) ** skew * size).astype(np.int64) for size in sizes),
    )


def compare(
    owners: list[Owner], bits: int = 64, minimum: int = 10, patience: float = 120, **changes: Any
) -> None:
    matched = min(len(each.persons) + each.spare for each in owners)
    joint = plan_for(owners, scheme=Scheme(bits, matched, minimum, 90), **changes)
    went = run(joint, owners, patience=patience)
    assert mismatches(went.answer(), oracle(joint, owners), joint.reading.figures) == []


@pytest.mark.parametrize("servers", [NOT_OWNERS, ("nm/civil", HEALTH, TAX)], ids=["apart", "owners serve"])
@pytest.mark.parametrize("bits", [64, 128])
def test_every_function_equals_duckdb(servers: tuple[str, ...], bits: int) -> None:
    rng = np.random.default_rng(6)
    owners = [
        owner(HEALTH, rng, 900, 2000, ranges=((0, 1, 0), (-50, 70, 0.2)), sizes=(5,), skew=3.0),
        owner(TAX, rng, 1500, 2000, ranges=((0, 100_000, 0), (-9, 9, 0))),
    ]
    compare(owners, bits, servers=servers)


@pytest.mark.parametrize("servers", [NOT_OWNERS, (HEALTH, TAX, SCHOOL)], ids=["apart", "all owners serve"])
def test_three_owners_with_groups_of_two(servers: tuple[str, ...]) -> None:
    rng = np.random.default_rng(7)
    owners = [
        owner(HEALTH, rng, 700, 900, ranges=((0, 9, 0),), sizes=(2, 3)),
        owner(SCHOOL, rng, 800, 900, sizes=(4,), skew=2.0),
        owner(TAX, rng, 600, 900, ranges=((0, 1_000, 0.1),)),
    ]
    compare(owners, servers=servers)


@pytest.mark.parametrize(
    "servers", [NOT_OWNERS, (TAX, HEALTH, "nm/civil")], ids=["apart", "two owners serve"]
)
def test_without_a_helper_it_is_the_same_answer(servers: tuple[str, ...]) -> None:
    rng = np.random.default_rng(13)
    owners = [
        owner(HEALTH, rng, 100, 150, ranges=((0, 9, 0),), sizes=(2,)),
        owner(SCHOOL, rng, 120, 150, sizes=(3,)),
        owner(TAX, rng, 110, 150, ranges=((-20, 1_000, 0.1), (0, 1, 0))),
    ]
    compare(owners, minimum=5, servers=servers, matching=Matching.DIFFIE_HELLMAN)


def test_four_owners_of_whom_a_person_must_have_rows_at_all() -> None:
    rng = np.random.default_rng(8)
    compare([owner(domain, rng, 300, 330, ranges=((0, 5, 0),)) for domain in (BANK, HEALTH, SCHOOL, TAX)])


def test_wide_numbers_are_exact_in_the_wide_ring() -> None:
    """Squares of 10^15 do not fit into 64 bits; the sum over 500 rows needs 109."""
    rng = np.random.default_rng(9)
    owners = [
        owner(HEALTH, rng, 500, 600, sizes=(2,)),
        owner(TAX, rng, 500, 600, ranges=((0, 10**15, 0), (-(10**15), 10**15, 0.1))),
    ]
    compare(owners, 128)


@pytest.mark.parametrize(
    ("counts", "of"), [((200, 300), 10**6), ((1, 1), 1), ((50, 50), 50)], ids=["nobody", "one", "all"]
)
def test_who_matches_may_be_nobody_one_or_all(counts: tuple[int, int], of: int) -> None:
    rng = np.random.default_rng(10)
    owners = [
        owner(HEALTH, rng, counts[0], of, sizes=(3,)),
        owner(TAX, rng, counts[1], of, ranges=((0, 99, 0.3),)),
    ]
    compare(owners)
    compare(owners, minimum=1)


@st.composite
def anybody(draw: st.DrawFn) -> list[Owner]:
    """Two to four owners with any ranges, missing values, groups, skew, and any number of persons in common."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    of = draw(st.integers(1, 60))
    found = []
    for domain in draw(
        st.lists(st.sampled_from((BANK, HEALTH, SCHOOL, TAX)), min_size=2, max_size=4, unique=True)
    ):
        ranges = []
        for _ in range(draw(st.integers(0, 2))):
            low = draw(st.sampled_from((0, 0, -7, -1000, 5)))
            ranges.append(
                (low, low + draw(st.sampled_from((0, 1, 50, 10**6))), draw(st.sampled_from((0, 0, 0.4, 1))))
            )
        sizes = draw(st.lists(st.integers(1, 4), max_size=2))
        count = draw(st.integers(0, of))
        found.append(
            owner(domain, rng, count, of, ranges=ranges, sizes=sizes, skew=draw(st.sampled_from((1, 4))))
        )
    return found


@settings(max_examples=40, deadline=None)
@given(anybody(), st.sampled_from((NOT_OWNERS, ("nm/civil", HEALTH, TAX))), st.integers(1, 6))
def test_any_schema_equals_duckdb(owners: list[Owner], servers: tuple[str, ...], minimum: int) -> None:
    compare(owners, 128, minimum, servers=servers)


def test_ten_thousand_rows_of_two_owners_in_fifty_groups() -> None:
    rng = np.random.default_rng(11)
    owners = [
        owner(HEALTH, rng, 10_000, 20_000, sizes=(50,), skew=4.0),
        owner(TAX, rng, 10_000, 20_000, ranges=((0, 10**8, 0.05),)),
    ]
    compare(owners)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("left", "right"), [(10**5, 10**5), (10**6, 10**6), (10**7, 5 * 10**5)])
def test_larger_tables_are_as_exact(left: int, right: int) -> None:
    rng = np.random.default_rng(12)
    owners = [
        owner(HEALTH, rng, left, 2 * max(left, right), sizes=(10,)),
        owner(TAX, rng, right, 2 * max(left, right), ranges=((0, 10**6, 0.05),)),
    ]
    compare(owners, patience=300)


def dominated() -> list[Owner]:
    """Two groups of 30: in the second nearly everything is one person's."""
    persons = np.arange(60)
    values = np.where(persons < 30, 500, 1)
    values[59] = 1000
    return [
        Owner(HEALTH, persons, sizes=(2,), groups=((persons >= 30).astype(np.int64),)),
        Owner(TAX, persons, (operand("v0", 0, 1000),), (np.ma.array(values),)),
    ]


def test_a_total_that_two_persons_could_dominate_is_not_opened_and_its_count_is() -> None:
    owners = dominated()
    joint = plan_for(owners, scheme=Scheme(64, 67, 10, 90))
    answer = run(joint, owners).answer()
    shown = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    assert [row["n"] for row in shown] == [30, 30]
    assert [row["x1_0_sum"] for row in shown] == [15_000, None]
    assert answer.withheld == 3, "total, mean and variance of the second group"


def test_without_the_test_of_dominance_the_total_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: 29 persons who have 1 each can subtract themselves, and know what the thirtieth has."""
    monkeypatch.setattr(joint_guards, "tested", lambda _reading, _figure: ())
    owners = dominated()
    answer = run(plan_for(owners, scheme=Scheme(64, 67, 10, 90)), owners).answer()
    assert [dict(zip(answer.columns, row, strict=True))["x1_0_sum"] for row in answer.rows] == [15_000, 1029]


def test_a_share_that_one_server_changes_opens_nothing() -> None:
    owners = dominated()
    went = run(plan_for(owners, scheme=Scheme(64, 67, 10, 90)), owners)
    honest = went.opened[1]
    other = "00" if honest.first[0][:2] != "00" else "01"
    went.opened[1] = type(honest)(
        honest.plan,
        honest.attempt,
        honest.server,
        (other + honest.first[0][2:], *honest.first[1:]),
        honest.second,
    )
    with pytest.raises(SharesDisagree):
        went.answer()


def test_shares_of_another_attempt_or_of_two_servers_open_nothing() -> None:
    owners = dominated()
    went = run(plan_for(owners, scheme=Scheme(64, 67, 10, 90)), owners)
    went.attempt = 2
    with pytest.raises(EvidenceBroken):
        went.answer()
    went.attempt = 1
    went.opened.pop()
    with pytest.raises(EvidenceBroken):
        went.answer()

"""Promise: two owners, and nobody else, add up what their rows in common have, exactly; neither sees the other's."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc.encrypted import crypto_box, inner
from mpc.encrypted.key_process import KeyProcess
from mpc.protocols import common, comparing, planning, pseudonyms, two_owners
from mpc.protocols.computation import Totals
from plans.errors import EvidenceBroken, LinkBroken, Malformed, RangeTooWide, Refused, TooLarge
from plans.joint import JointFigure, JointPlan, JointReading, Measure, Sum
from tests.inside.joint_cases import operand, reading
from tests.mpc.joint_world import Owner, everything, run, sums_in_clear, two_owners_plan
from tests.mpc.test_computation import owner
from tests.mpc.test_uniform_view import Noting

HEALTH, TAX = "nm/health", "nm/tax"
EITHER = pytest.mark.parametrize("inspector", [HEALTH, TAX])


@pytest.fixture(autouse=True)
def in_a_box(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both parties are threads of this process, which is no box."""
    monkeypatch.setattr(crypto_box, "_entered", [crypto_box.CryptoBox("a test")])


def opened(joint: JointPlan, owners: list[Owner], **how: Any) -> tuple[tuple[int, ...], ...]:
    """The sums that the inspector opens; the collector hands over nothing."""
    went = run(joint, owners, patience=180, **how)
    found = went.handed[joint.task.inspector]
    assert isinstance(found, Totals)
    assert went.handed[joint.task.collector] is None and joint.handing == (joint.task.inspector,)
    return found.sums


def pair(seed: int = 3, count: int = 40, of: int = 60) -> list[Owner]:
    rng = np.random.default_rng(seed)
    return [
        owner(HEALTH, rng, count, of, ranges=((0, 1, 0), (-9, 9, 0.3)), sizes=(2,)),
        owner(TAX, rng, count + 5, of, ranges=((0, 1000, 0),), sizes=(3,)),
    ]


@EITHER
def test_every_measure_equals_duckdb_in_every_cell(inspector: str) -> None:
    owners = pair()
    joint = two_owners_plan(owners, inspector)
    assert {total.measure for total in joint.reading.sums} == set(Measure)
    assert opened(joint, owners) == sums_in_clear(joint, owners)


def of_sums(owners: list[Owner], *sums: Sum) -> JointReading:
    """A reading of these sums, and of how many rows there are."""
    every = [Sum(Measure.ROWS, ()), *sums]
    figures = [JointFigure("n", "count", (0,), 0)]
    figures += [JointFigure(f"s{place}", "sum", (place,), 0) for place in range(1, len(every))]
    return reading([each.portion() for each in owners], every, figures)


@EITHER
def test_a_cross_table_of_both_owners_keys_counts_rows_in_common(inspector: str) -> None:
    rng = np.random.default_rng(5)
    owners = [
        owner(HEALTH, rng, 300, 400, sizes=(2, 3), skew=2.0),
        owner(TAX, rng, 350, 400, sizes=(4,)),
    ]
    joint = two_owners_plan(owners, inspector, of_sums(owners))
    found = opened(joint, owners)
    assert found == sums_in_clear(joint, owners)
    assert sum(found[0]) == len(set(owners[0].persons.tolist()) & set(owners[1].persons.tolist())) > 200


@st.composite
def anybody(draw: st.DrawFn) -> list[Owner]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    of = draw(st.integers(1, 30))
    made = []
    for domain in (HEALTH, TAX):
        lows, highs, missing = (st.sampled_from(each) for each in ([-1000, -1, 0], [0, 1, 10**4], [0, 0.4]))
        ranges = draw(st.lists(st.tuples(lows, highs, missing), max_size=2))
        sizes = draw(st.lists(st.integers(1, 3), max_size=1))
        made.append(owner(domain, rng, draw(st.integers(0, of)), of, ranges=ranges, sizes=sizes))
    return made


@settings(max_examples=10, deadline=None)
@given(anybody(), st.sampled_from([HEALTH, TAX]))
def test_of_any_schema(owners: list[Owner], inspector: str) -> None:
    joint = two_owners_plan(owners, inspector)
    assert opened(joint, owners) == sums_in_clear(joint, owners)


def lists(persons: Any, others: Any, values: tuple[int, int] = (3, 5)) -> list[Owner]:
    """Two owners of one number each, the same for all their rows."""
    return [
        Owner(
            domain, np.array(who, dtype=np.int64), (operand("v0", -(10**5), 10**5),),
            (np.ma.array(np.full(len(who), value)),), spare=3,
        )
        for domain, who, value in ((HEALTH, persons, values[0]), (TAX, others, values[1]))
    ]  # fmt: skip


PRODUCT = Sum(Measure.PRODUCT, ((0, 0), (1, 0)))


@EITHER
@pytest.mark.parametrize(
    ("persons", "others", "both"),
    [
        (range(9), range(9), 9),
        (range(9), range(20, 30), 0),
        ((), range(5), 0),
        (range(5), (), 0),
        ((), (), 0),
    ],
    ids=["all", "nobody", "an empty list", "another", "two"],
)
def test_all_or_nobody_in_common(inspector: str, persons: Any, others: Any, both: int) -> None:
    owners = lists(persons, others)
    joint = two_owners_plan(owners, inspector, of_sums(owners, PRODUCT))
    assert opened(joint, owners) == ((both,), (15 * both,))


def test_sums_at_the_end_of_what_was_declared_are_exact() -> None:
    for values in ((10**5, 10**5), (-(10**5), 10**5)):
        owners = lists(range(40), range(40), values)
        joint = two_owners_plan(owners, TAX, of_sums(owners, PRODUCT))
        assert opened(joint, owners) == ((40,), (40 * values[0] * values[1],))


def test_rows_that_stand_for_nobody_are_in_no_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where both owners draw the same random blocks for them."""
    true = pseudonyms.hide

    def hide(blocks: np.ndarray, rows: int, owner: str, coins: Any) -> Any:
        hidden, order = true(blocks, rows, owner, coins)
        spare = np.flatnonzero(order >= len(blocks))
        hidden = hidden.copy()
        hidden[spare] = 255
        hidden[spare, 8:] = (order[spare] - len(blocks))[:, None]
        return hidden, order

    monkeypatch.setattr(two_owners, "hide", hide)
    owners = lists(range(6), range(4, 12))
    joint = two_owners_plan(owners, TAX, of_sums(owners, PRODUCT))
    assert opened(joint, owners) == ((2,), (30,))


def test_more_rows_than_a_ciphertext_has_places() -> None:
    owners = lists(range(4500), range(100, 4600))
    joint = two_owners_plan(owners, HEALTH, of_sums(owners, PRODUCT))
    assert opened(joint, owners) == ((4400,), (66_000,))


# --------------------------------------------------------------------------------- what does not go together


def test_what_is_not_the_plans_is_refused() -> None:
    owners = lists(range(9), range(9))
    joint = two_owners_plan(owners, TAX, of_sums(owners, PRODUCT))
    for bad, error in (
        (lists(range(13), range(9)), TooLarge),
        (lists(range(9), range(13)), TooLarge),
        (lists(range(9), range(9), (10**5 + 1, 1)), RangeTooWide),
        (lists(range(9), range(9), (1, -(10**5) - 1)), RangeTooWide),
        ([replace(owners[0], sizes=(2,), groups=(np.ones(9, dtype=np.int64),)), owners[1]], Malformed),
    ):
        with pytest.raises(error):
            run(joint, bad, patience=180)
    with pytest.raises(Malformed, match="noise"):
        run(replace(joint, scheme=replace(joint.scheme, noise_micro=1000)), owners)
    twice = of_sums(owners, PRODUCT, Sum(Measure.PRODUCT, ((1, 0), (0, 0))))
    with pytest.raises(Malformed, match="twice"):
        run(two_owners_plan(owners, TAX, twice), owners)


def test_outside_a_box_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crypto_box, "_entered", [])
    owners = lists(range(9), range(9))
    with pytest.raises(Refused):
        run(two_owners_plan(owners, TAX), owners)


# ------------------------------------------------------------------------------------------- what parties see


def heard(owners: list[Owner], asked: JointReading | None = None) -> dict[str, dict[str, list[bytes]]]:
    kept: dict[str, dict[str, list[bytes]]] = defaultdict(lambda: defaultdict(list))
    joint = two_owners_plan(owners, TAX, asked)
    run(joint, owners, wrap=lambda name, end: Noting(end, kept[name]), patience=180)
    return kept


def test_messages_are_those_of_the_plan_and_as_long_whatever_the_rows() -> None:
    seen = []
    for count in (0, 7, 30):
        owners = [replace(each, spare=40 - len(each.persons)) for each in lists(range(count), range(5, 30))]
        kept = heard(owners)
        seen.append({to: {tag: [*map(len, each)] for tag, each in by.items()} for to, by in kept.items()})
    assert seen[0] == seen[1] == seen[2]
    assert {to: set(by) for to, by in seen[0].items()} == {
        HEALTH: {f"{TAX}:{tag}" for tag in (
            common.RAISED_POINTS, common.OTHER_POINTS, "cipher/key", "cipher/columns",
        )},
        TAX: {f"{HEALTH}:{common.OWN_POINTS}", f"{HEALTH}:cipher/answers"},
    }  # fmt: skip


def test_the_inspector_is_sent_one_number_for_each_sum_of_each_cell_and_no_other_pair() -> None:
    """Of factors that two sums use, every pair could be multiplied; what no sum asks for is not."""
    rng = np.random.default_rng(6)
    owners = [
        owner(HEALTH, rng, 20, 30, ranges=((0, 9, 0), (0, 9, 0)), sizes=(2,)),
        owner(TAX, rng, 20, 30, ranges=((0, 9, 0), (0, 9, 0))),
    ]
    crossed = [Sum(Measure.PRODUCT, ((0, place), (1, place))) for place in (0, 1)]
    asked = of_sums(owners, *crossed)
    assert len(planning.factors(asked, 0)) == len(planning.factors(asked, 1)) == 3, "nine pairs"
    joint = two_owners_plan(owners, TAX, asked)
    (answers,) = heard(owners, asked)[TAX][f"{HEALTH}:cipher/answers"]
    one = planning.products(joint.task, asked).parameters.ciphertext_bytes
    assert len(answers) // one == 3 * 2
    assert opened(joint, owners) == sums_in_clear(joint, owners)


def test_where_a_match_stands_is_another_place_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector finds its rows at random places of the inspector's list, which tell nothing of how that lies."""
    seen: list[tuple[int, ...]] = []
    true = comparing.common_rows

    def noted(pairs: Any) -> Any:
        found = true(pairs)
        seen.append(tuple(sorted(found[1].tolist())))
        return found

    monkeypatch.setattr(two_owners, "common_rows", noted)
    owners = lists(range(20), range(18, 60))
    joint = two_owners_plan(owners, TAX, of_sums(owners))
    for attempt in (1, 2, 3, 4):
        assert opened(joint, owners, attempt=attempt) == ((2,),)
    assert len(set(seen)) > 1 and all(len(places) == 2 for places in seen)


# -------------------------------------------------------------------- what is no answer of this plan is not opened


def mixed(monkeypatch: pytest.MonkeyPatch) -> tuple[JointPlan, list[Owner]]:
    """A collector whose answers have their coefficients in another order."""
    true = inner.Right.products

    def products(right: Any, *given: Any) -> bytes:
        words = np.frombuffer(true(right, *given), dtype="<u8").reshape(-1, right.parameters.degree)
        return np.roll(words, 1, axis=1).tobytes()

    monkeypatch.setattr(inner.Right, "products", products)
    owners = lists(range(9), range(9))
    return two_owners_plan(owners, TAX, of_sums(owners, PRODUCT)), owners


def test_answers_that_no_rows_could_have_are_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    joint, owners = mixed(monkeypatch)
    with pytest.raises(EvidenceBroken):
        run(joint, owners, patience=180)


def test_control_without_the_look_at_ranges_random_numbers_would_be_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    joint, owners = mixed(monkeypatch)
    monkeypatch.setattr(two_owners, "require_possible", lambda *_: None)
    monkeypatch.setattr(KeyProcess, "_in_range", lambda _self, numbers, _sender: numbers)
    assert opened(joint, owners) != ((9,), (135,))


@pytest.mark.parametrize("tag", ["cipher/columns", "cipher/answers"])
def test_what_another_attempt_said_is_not_read(tag: str) -> None:
    owners = lists(range(9), range(9))
    sender, receiver = (TAX, HEALTH) if tag == "cipher/columns" else (HEALTH, TAX)
    old = heard(owners)[receiver][f"{sender}:{tag}"][0]

    class Replaying(Noting):
        def send(self, peer: str, kind: str, payload: Any) -> None:
            super().send(peer, kind, old if kind == tag else payload)

    with pytest.raises(LinkBroken) as caught:
        run(
            two_owners_plan(owners, TAX), owners, 2,
            lambda name, end: Replaying(end, defaultdict(list)) if name == sender else end, patience=180,
        )  # fmt: skip
    assert "another plan, attempt" in caught.value.what


def test_everything_of_a_reading_is_asked_for_once() -> None:
    """What the flooding of answers is planned for: each pair of factors is one sum of each cell."""
    owners = pair()
    asked = everything(owners)
    made = {tuple(planning.factor_of(total, place) for place in (0, 1)) for total in asked.sums}
    assert len(made) == len(asked.sums) <= len(planning.factors(asked, 0)) * len(planning.factors(asked, 1))

"""Promise: an inspector opens every sum as it is, from shares that two servers agree on, and nobody else opens any."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc.protocols import inspected, replicated
from mpc.protocols.computation import Totals
from mpc.protocols.opening import hand_over
from mpc.protocols.ring import Ring
from plans.errors import LinkBroken, SharesDisagree
from plans.joint import JointPlan, Scheme
from plans.joint_answer import figure_of
from plans.joint_rules import Matching
from tests.inside.joint_cases import operand
from tests.mpc import test_computation, test_stacked
from tests.mpc.joint_world import Owner, Went, inspected_by, plan_for, run, stacked_plan, vectors_in_clear
from tests.mpc.test_computation import HEALTH, TAX, owner
from tests.mpc.test_stacked import ALL, AMONG, APART, CIVIL, EAST, WEST, holders
from tests.mpc.test_uniform_view import LIMIT, Noting, chi_square

SERVING = pytest.mark.parametrize("servers", [APART, AMONG, ALL], ids=["apart", "one serves", "all serve"])


def opened(went: Went) -> tuple[tuple[int, ...], ...]:
    """What the inspector opened, after a look at that nobody else was handed anything."""
    inspector = went.joint.task.inspector
    found = went.handed[inspector]
    assert isinstance(found, Totals)
    assert (
        {name for name, each in went.handed.items() if each is not None}
        == {*went.joint.handing}
        == {inspector}
    )
    return found.sums


def joined(
    rng: np.random.Generator, servers: tuple[str, ...], matching: Matching
) -> tuple[JointPlan, list[Owner]]:
    owners = [
        owner(HEALTH, rng, 150, 250, ranges=((0, 1, 0), (-50, 70, 0.2)), sizes=(5,), skew=3.0),
        owner(TAX, rng, 200, 250, ranges=((0, 100_000, 0),), sizes=(2,)),
    ]
    joint = plan_for(owners, scheme=Scheme(64, 157, 10, 90), servers=servers, matching=matching)
    return inspected_by(joint, TAX), owners


@SERVING
@pytest.mark.parametrize("inspector", [EAST, WEST])
def test_of_one_table_in_parts_the_inspector_opens_what_duckdb_adds_up(
    servers: tuple[str, ...], inspector: str
) -> None:
    owners = holders(np.random.default_rng(3))
    joint = stacked_plan(owners, servers, inspector=inspector)
    assert opened(run(joint, owners)) == vectors_in_clear(joint, owners)


@pytest.mark.parametrize("matching", [Matching.HELPER, Matching.DIFFIE_HELLMAN])
@pytest.mark.parametrize(
    "servers", [test_computation.NOT_OWNERS, ("nm/civil", HEALTH, TAX)], ids=["apart", "owners serve"]
)
def test_of_joined_rows_too(servers: tuple[str, ...], matching: Matching) -> None:
    joint, owners = joined(np.random.default_rng(4), servers, matching)
    assert opened(run(joint, owners)) == vectors_in_clear(joint, owners)


@settings(max_examples=20, deadline=None)
@given(test_stacked.anybody(), st.sampled_from((APART, AMONG, ALL)))
def test_of_any_schema(owners: list[Owner], servers: tuple[str, ...]) -> None:
    joint = stacked_plan(owners, servers, Scheme(128, 300, 5, 90), inspector=owners[-1].domain)
    assert opened(run(joint, owners)) == vectors_in_clear(joint, owners)


def test_figures_are_those_that_an_answer_would_show() -> None:
    owners = holders(np.random.default_rng(5))
    blind = stacked_plan(owners, APART, Scheme(64, 1000, 1, 100))
    inspected_plan = stacked_plan(owners, APART, Scheme(64, 1000, 1, 100), inspector=EAST)
    answer, sums = run(blind, owners).answer(), opened(run(inspected_plan, owners))
    shown = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    seen = 0
    for figure in blind.reading.figures:
        for cell, row in enumerate(shown):
            if row[figure.name] is not None:
                seen += 1
                assert (
                    figure_of(inspected_plan, figure, [sums[place][cell] for place in figure.sums])
                    == row[figure.name]
                )
    assert seen > 30


def test_with_noise_all_that_is_opened_has_it_and_another_attempt_has_other_noise() -> None:
    owners = [
        replace(each, values=each.values[:1], operands=each.operands[:1])
        for each in holders(np.random.default_rng(5))
    ]
    plain = stacked_plan(owners, APART, inspector=EAST)
    places = [place for place, figure in enumerate(plain.reading.figures) if figure.function != "var_samp"]
    asked = replace(
        plain.reading,
        figures=tuple(plain.reading.figures[place] for place in places),
        outputs=tuple(name for name in plain.reading.outputs if not name.endswith("_var")),
    )
    joint = replace(plain, reading=asked, scheme=replace(plain.scheme, noise_micro=100_000))
    exact = np.array(vectors_in_clear(joint, owners))
    first, second = (np.array(opened(run(joint, owners, attempt))) for attempt in (1, 2))
    for other in (first != exact, first != second):
        # Of the six counts one is 0 off in 80 cells, by chance; five of 18 figures are once in 10^8 runs
        assert other.any(axis=1).all() and other.mean() > 0.75
    assert (abs(first[0] - exact[0]) < 40 * 3 * 10).all(), (
        "counts: scale 30 of three holders' rows of one person"
    )


# --------------------------------------------------------------------- a server that changes a share is seen


def lying(change: int) -> Any:
    """`hand_to` at a server at place 1 that changes a byte of one of its two components."""
    true = inspected.hand_to

    def hand(me: Any, inspector: str, domain: str, sums: Any) -> Any:
        if me.place != 1:
            return true(me, inspector, domain, sums)
        pair = list(hand_over(replicated.refresh(me, sums)))
        pair[change] = bytes([pair[change][0] ^ 1]) + pair[change][1:]
        me.channel.send(inspector, inspected.INSPECTED, pair[0] + pair[1])
        return None

    return hand


@pytest.mark.parametrize("change", [0, 1], ids=["own component", "next component"])
def test_a_share_that_one_server_changes_opens_nothing(monkeypatch: pytest.MonkeyPatch, change: int) -> None:
    monkeypatch.setattr(inspected, "hand_to", lying(change))
    owners = holders(np.random.default_rng(3))
    with pytest.raises(SharesDisagree):
        run(stacked_plan(owners, APART, inspector=EAST), owners)


def test_control_without_the_comparison_the_changed_share_moves_a_sum(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def trusting(ring: Any, shape: Any, pairs: Any) -> Any:
        first, second, third = (ring.from_raw(own, shape) for own, _ in pairs)
        return ring.add(ring.add(first, second), third)

    monkeypatch.setattr(inspected, "hand_to", lying(0))
    monkeypatch.setattr(inspected, "reconstruct", trusting)
    owners = holders(np.random.default_rng(3))
    joint = stacked_plan(owners, APART, inspector=EAST)
    moved, true = np.array(opened(run(joint, owners))), np.array(vectors_in_clear(joint, owners))
    assert (moved != true).sum() == 1 and abs(moved - true).max() == 1


def test_a_server_that_hands_over_less_breaks_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    true = inspected.hand_to

    def short(me: Any, inspector: str, domain: str, sums: Any) -> Any:
        return true(me, inspector, domain, sums[:-1] if me.place == 1 else sums)

    monkeypatch.setattr(inspected, "hand_to", short)
    owners = holders(np.random.default_rng(3))
    with pytest.raises(LinkBroken):
        run(stacked_plan(owners, APART, inspector=EAST), owners)


# ------------------------------------------------------------------------------------------- what parties see


CELLS, COLUMNS = 64, 8


def constant(value: int) -> list[Owner]:
    """Two holders whose every sum is the same in all cells, so that a share without a mask is seen at once."""
    rows = np.repeat(np.arange(CELLS), 5)
    return [
        Owner(
            domain, np.arange(rows.size), tuple(operand(f"v{place}", 0, value) for place in range(COLUMNS)),
            tuple(np.ma.array(np.full(rows.size, value)) for _ in range(COLUMNS)), (CELLS,), (rows,),
        )
        for domain in (EAST, WEST)
    ]  # fmt: skip


def views(servers: tuple[str, ...], inspector: str = "", value: int = 1_000_003) -> dict[str, float]:
    """Chi-square of all that each server received as shares, and of each component that the inspector did."""
    owners = constant(value)
    joint = stacked_plan(owners, servers, Scheme(64, 1000, 2, 100), inspector=inspector)
    kept: dict[str, dict[str, list[bytes]]] = defaultdict(lambda: defaultdict(list))
    coins = {party.domain: bytes([place]) * 32 for place, party in enumerate(joint.parties)}
    run(joint, owners, wrap=lambda name, end: Noting(end, kept[name]), coins=coins)
    found: dict[str, bytes] = defaultdict(bytes)
    for name, messages in kept.items():
        for kind, raw in messages.items():
            if "seed/" not in kind:
                for message in raw:
                    half = (
                        len(message) // 2 if kind.endswith(("sum/shares", "open/inspected")) else len(message)
                    )
                    found[f"{name} from {kind}"] += message[:half]
                    found[f"{name} from {kind}, second"] += message[half:]
    return {kind: chi_square(raw) for kind, raw in found.items() if len(raw) >= 5 * 256}


@pytest.mark.parametrize("inspector", ["", EAST], ids=["oblivious", "inspected"])
@pytest.mark.parametrize(
    "servers", [APART, AMONG, (WEST, EAST, CIVIL)], ids=["apart", "one serves", "two serve"]
)
def test_every_share_of_a_sum_that_reaches_anybody_is_uniform(
    servers: tuple[str, ...], inspector: str
) -> None:
    found = views(servers, inspector)
    assert len(found) >= 6
    assert {kind: each for kind, each in found.items() if each > LIMIT} == {}


def test_control_with_components_that_are_not_drawn_the_sums_are_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Ring, "draw", lambda self, _stream, shape: self.zeros(shape))
    assert all(each > LIMIT for each in views(APART, EAST).values())


SOUTH = "nm/south"


def heard(parts: tuple[int, ...], listener: str, seed: int = 0) -> dict[str, list[bytes]]:
    """What a party receives where one count is made up of three holders' parts."""
    owners = [
        Owner(domain, np.arange(count), spare=40 - count)
        for domain, count in zip((EAST, WEST, SOUTH), parts, strict=True)
    ]
    kept: dict[str, list[bytes]] = defaultdict(list)
    joint = stacked_plan(owners, APART, inspector=EAST)
    coins = {party.domain: f"{seed}/{party.domain}".encode().ljust(32, b".") for party in joint.parties}
    wrap = lambda name, end: Noting(end, kept) if name == listener else end  # noqa: E731
    went = run(joint, owners, wrap=wrap, coins=coins)
    agreed = sum(part >= 10 for part in parts)
    assert opened(went) == ((sum(parts),), (agreed,))
    return kept


def test_the_inspector_sees_the_total_and_not_how_holders_make_it_up() -> None:
    """Its messages have the same sizes, and over 2 × 150 runs its shares the same distribution: 31 classes. Seeds are
    fixed, and differ, so that the test is not chance.
    """
    samples = []
    for first, parts in enumerate(((10, 1, 29), (10, 29, 1))):
        sizes, counts = set(), np.zeros(32)
        for number in range(150):
            kept = heard(parts, EAST, 150 * first + number)
            sizes.add(tuple(len(raw) for messages in kept.values() for raw in messages))
            (pair,) = kept[f"{APART[0]}:open/inspected"]
            counts[pair[0] & 15] += 1
            counts[16 + (pair[16] & 15)] += 1
        assert sizes == {(32, 32, 32)}, (
            "two components of a sum and of votes from each server, and nothing else"
        )
        samples.append(counts)
    one, other = samples
    assert ((one - other) ** 2 / np.maximum(one + other, 1)).sum() < 80, "30 degrees: 2 of 10^6 seeds"


def test_control_without_masks_a_server_reads_each_holders_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ring, "draw", lambda self, _stream, shape: self.zeros(shape))
    for parts in ((10, 1, 29), (10, 29, 1)):
        (pair,) = heard(parts, APART[1])[f"{WEST}:sum/shares"]
        assert int.from_bytes(pair[16:24], "little") == parts[1]

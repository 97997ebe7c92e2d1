"""Promise: a finder learns which of its own persons all others have, exactly; nobody else learns anything of it."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.exchange import Exponent
from mpc.api import trust
from mpc.protocols import common, pseudonyms
from mpc.protocols.computation import Found
from mpc.protocols.identifiers import unpack
from plans.errors import KeyRepeated, LinkBroken, Malformed, TooLarge
from plans.joint import JointPlan
from tests.mpc.joint_world import Owner, common_plan, run
from tests.mpc.test_uniform_view import LIMIT, Noting, chi_square

HEALTH, TAX, SCHOOL, BANK, OFFICE = "nm/health", "nm/tax", "nm/school", "nm/bank", "nm/office"
WAYS = pytest.mark.parametrize("helper", [OFFICE, ""], ids=["helper", "diffie-hellman"])


def found(joint: JointPlan, owners: list[Owner], attempt: int = 1, **how: Any) -> np.ndarray:
    """The finder's own persons whom it found; nobody else was handed anything."""
    went = run(joint, owners, attempt, **how)
    finder = joint.task.finder
    handed = went.handed[finder]
    assert isinstance(handed, Found)
    assert {name for name, each in went.handed.items() if each is not None} == {*joint.handing} == {finder}
    (mine,) = [owner for owner in owners if owner.domain == finder]
    assert handed.everywhere.shape == mine.persons.shape
    names = unpack(mine.rows().keys[handed.everywhere])
    assert names == [f"{15_000_000 + int(person):018d}" for person in mine.persons[handed.everywhere]]
    return mine.persons[handed.everywhere]


def everywhere(owners: list[Owner]) -> set[int]:
    """The oracle: plain sets."""
    return set.intersection(*(set(owner.persons.tolist()) for owner in owners))


def somebody(rng: np.random.Generator, domain: str, count: int, of: int, spare: int = 7) -> Owner:
    return Owner(domain, rng.permutation(of)[:count], spare=spare)


@WAYS
@pytest.mark.parametrize("finder", [HEALTH, TAX])
@pytest.mark.parametrize(
    ("counts", "of"), [((90, 140), 200), ((50, 60), 10**6), ((60, 60), 60), ((0, 9), 9)],
    ids=["some", "nobody", "all", "an empty list"],
)  # fmt: skip
def test_two_owners(helper: str, finder: str, counts: tuple[int, int], of: int) -> None:
    rng = np.random.default_rng(6)
    owners = [somebody(rng, domain, count, of) for domain, count in zip((HEALTH, TAX), counts, strict=True)]
    assert set(found(common_plan(owners, finder, helper), owners).tolist()) == everywhere(owners)


@st.composite
def anybody(draw: st.DrawFn) -> list[Owner]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    of = draw(st.integers(1, 60))
    names = draw(st.lists(st.sampled_from((BANK, HEALTH, SCHOOL, TAX)), min_size=2, max_size=4, unique=True))
    return [somebody(rng, name, draw(st.integers(0, of)), of, draw(st.integers(1, 40))) for name in names]


@settings(max_examples=40, deadline=None)
@given(anybody(), st.data())
def test_any_owners_with_a_helper_and_any_two_without(owners: list[Owner], data: st.DataObject) -> None:
    finder = data.draw(st.sampled_from(owners)).domain
    assert set(found(common_plan(owners, finder, OFFICE), owners).tolist()) == everywhere(owners)
    pair = [owner for owner in owners if owner.domain == finder]
    pair += [owner for owner in owners if owner.domain != finder][:1]
    assert set(found(common_plan(pair, finder), pair).tolist()) == everywhere(pair)


def test_without_a_helper_three_owners_are_refused() -> None:
    owners = [Owner(domain, np.arange(5)) for domain in (HEALTH, SCHOOL, TAX)]
    with pytest.raises(Malformed):
        run(common_plan(owners, TAX), owners)


@WAYS
def test_more_in_common_than_the_plan_says_are_told_to_nobody(helper: str) -> None:
    """What other owners are charged for is the plan's number."""
    owners = [Owner(HEALTH, np.arange(20)), Owner(TAX, np.arange(9, 40))]
    with pytest.raises(TooLarge):
        run(common_plan(owners, TAX, helper, matched=10), owners)
    assert len(found(common_plan(owners, TAX, helper, matched=11), owners)) == 11


@WAYS
def test_rows_beyond_the_bound_are_not_sent(helper: str) -> None:
    owners = [Owner(HEALTH, np.arange(20), spare=7), Owner(TAX, np.arange(20))]
    joint = common_plan(owners, TAX, helper)
    with pytest.raises(TooLarge):
        run(joint, [Owner(HEALTH, np.arange(28)), owners[1]])


def test_a_person_whom_a_list_names_twice_ends_the_attempt() -> None:
    owners = [Owner(HEALTH, np.array([1, 2, 2, 3])), Owner(TAX, np.arange(9))]
    with pytest.raises(KeyRepeated):
        run(common_plan(owners, TAX, OFFICE), owners)


# -------------------------------------------------------------------------------- rows that stand for nobody


@WAYS
def test_rows_that_stand_for_nobody_are_never_found(monkeypatch: pytest.MonkeyPatch, helper: str) -> None:
    """Even where both owners draw the same random blocks for them."""
    monkeypatch.setattr(common, "hide", alike(pseudonyms.hide))
    owners = [Owner(HEALTH, np.arange(5), spare=30), Owner(TAX, np.arange(3, 9), spare=30)]
    assert set(found(common_plan(owners, TAX, helper), owners).tolist()) == {3, 4}


def alike(true: Any) -> Any:
    """`hide` whose random blocks are the same at all owners, and whose order is not."""

    def hide(blocks: np.ndarray, rows: int, owner: str, coins: Any) -> Any:
        hidden, order = true(blocks, rows, owner, coins)
        spare = np.flatnonzero(order >= len(blocks))
        hidden = hidden.copy()
        hidden[spare] = 255
        hidden[spare, 8:] = (order[spare] - len(blocks))[:, None]
        return hidden, order

    return hide


def test_they_begin_with_a_byte_that_no_identifier_has() -> None:
    owner = Owner(TAX, np.arange(50), spare=30)
    hidden, order = pseudonyms.hide(owner.rows().keys, 80, TAX, common_coins())
    assert (hidden[order >= 50, 0] == pseudonyms.NOBODY).all()
    assert set(hidden[order < 50, 0].tolist()) == {18}, "so many characters"


def common_coins() -> Any:
    from keys.randomness import MaskStream

    return MaskStream(b"c" * 32)


# ---------------------------------------------------------------------------------------- what parties see


def heard(owners: list[Owner], helper: str, seed: int = 0) -> dict[str, dict[str, list[bytes]]]:
    """All that each party received, by sender and tag."""
    joint = common_plan(owners, TAX, helper)
    kept: dict[str, dict[str, list[bytes]]] = defaultdict(lambda: defaultdict(list))
    coins = {party.domain: f"{seed}/{party.domain}".encode().ljust(32, b".") for party in joint.parties}
    found(joint, owners, wrap=lambda name, end: Noting(end, kept[name]), coins=coins)
    return kept


def worlds(count: int = 40) -> tuple[list[Owner], list[Owner]]:
    """The tax office's persons are the same, and at the health office nobody is of them, or everybody."""
    tax = Owner(TAX, np.arange(count))
    school = Owner(SCHOOL, np.arange(count))
    return [Owner(HEALTH, np.arange(count) + count), school, tax], [
        Owner(HEALTH, np.arange(count)),
        school,
        tax,
    ]


@WAYS
def test_kinds_and_sizes_of_all_messages_are_the_same_whoever_is_found(helper: str) -> None:
    seen = []
    for owners in worlds():
        owners = owners if helper else [owners[0], owners[2]]
        kept = heard(owners, helper)
        seen.append(
            {to: {kind: [len(raw) for raw in each] for kind, each in by.items()} for to, by in kept.items()}
        )
    assert seen[0] == seen[1]


def test_with_a_helper_owners_that_find_nothing_receive_the_same_bytes_whoever_is_found() -> None:
    """Under the same randomness: so what they receive does not depend on it at all."""
    nobody, everybody = (heard(owners, OFFICE) for owners in worlds())
    assert nobody[HEALTH] == everybody[HEALTH] and nobody[SCHOOL] == everybody[SCHOOL]
    assert nobody[TAX] != everybody[TAX], "the control: the finder is told"
    assert set(nobody[TAX]) == {f"{HEALTH}:match/key", f"{SCHOOL}:match/key", f"{OFFICE}:common/found"}


def test_without_one_the_other_owner_receives_the_same_bytes_whoever_is_found() -> None:
    nobody, everybody = (heard([owners[0], owners[2]], "") for owners in worlds())
    assert nobody[HEALTH] == everybody[HEALTH]
    assert nobody[TAX] != everybody[TAX]


@WAYS
def test_pseudonyms_and_points_are_uniform(helper: str) -> None:
    """Low bits of points, since coordinates are below 2^255 − 19."""
    found = statistics(helper)
    assert found and {kind: each for kind, each in found.items() if each > LIMIT} == {}


def statistics(helper: str) -> dict[str, float]:
    owners = worlds(400)[1]
    kept = heard(owners if helper else [owners[0], owners[2]], helper)
    return {
        f"{to} from {kind}": chi_square(b"".join(raw)[:-1] if "points/o" not in kind else _low(b"".join(raw)))
        for to, by in kept.items()
        for kind, raw in by.items()
        if "key" not in kind and "found" not in kind
    }


def _low(points: bytes) -> bytes:
    return np.frombuffer(points, dtype=np.uint8).reshape(-1, 32)[:, :16].tobytes()


def test_control_without_the_key_pseudonyms_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "permute", lambda _key, blocks: blocks)
    assert all(each > LIMIT for each in statistics(OFFICE).values())


def places(kept: dict[str, dict[str, list[bytes]]], listener: str, kind: str) -> list[int]:
    """At which places of the finder's list a listener sees rows that stand in the other list, too."""
    finders = np.frombuffer(kept[listener][f"{TAX}:{kind}"][0], dtype=np.uint8).reshape(-1, 16)
    others = np.frombuffer(kept[listener][f"{HEALTH}:{kind}"][0], dtype=np.uint8).reshape(-1, 16)
    known = {bytes(block) for block in others}
    return [place for place, block in enumerate(finders) if bytes(block) in known]


def half() -> list[Owner]:
    """Of the tax office's forty the first ten are at the health office."""
    return [Owner(HEALTH, np.arange(10), spare=30), Owner(TAX, np.arange(40), spare=0)]


def test_the_helper_sees_how_many_and_at_random_places_who() -> None:
    """The first ten persons of the finder's list stand anywhere in what the helper sees: 40 places, 100 runs."""
    seen = [places(heard(half(), OFFICE, seed), OFFICE, "common/pseudonyms") for seed in range(100)]
    assert {len(each) for each in seen} == {10}, "the size of the intersection is what the table says it sees"
    counts = np.bincount(np.concatenate(seen), minlength=40)
    assert ((counts - 25) ** 2 / 25).sum() < 90, "39 degrees: one set of seeds in 10^5"


def test_control_in_its_own_order_the_list_tells_the_helper_who(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pseudonyms, "random_order", lambda count, _coins: np.arange(count))
    assert places(heard(half(), OFFICE), OFFICE, "common/pseudonyms") == list(range(10))


def test_of_three_owners_the_finder_sees_only_who_is_everywhere() -> None:
    """Who is missing from which list changes nothing of what it receives."""
    tax, bits = Owner(TAX, np.arange(20)), []
    for health, school in (((0, 9), (5, 14)), ((5, 14), (0, 9))):
        owners = [
            Owner(HEALTH, np.arange(*health), spare=20),
            Owner(SCHOOL, np.arange(*school), spare=20),
            tax,
        ]
        bits.append(heard(owners, OFFICE)[TAX][f"{OFFICE}:common/found"])
    assert bits[0] == bits[1]


def test_the_finder_with_all_others_but_one_knows_whom_that_one_lacks_and_the_plan_says_so() -> None:
    owners = [Owner(HEALTH, np.arange(0, 12)), Owner(SCHOOL, np.arange(6, 18)), Owner(TAX, np.arange(20))]
    joint = common_plan(owners, TAX, OFFICE)
    both = set(range(12))  # what the finder and the health office have
    assert both - set(found(joint, owners).tolist()) == both - set(owners[1].persons.tolist())
    assert any(f"{TAX} with all other owners but one" in line for line in trust(joint).collusions)
    two = trust(common_plan(owners[1:], TAX, OFFICE)).collusions
    assert not any("but one" in line for line in two)


@WAYS
def test_another_attempt_has_no_block_of_the_first(helper: str) -> None:
    """Even where every party draws the same randomness again."""
    owners = half()
    joint, seen = common_plan(owners, TAX, helper), []
    for attempt in (1, 2):
        kept: dict[str, list[bytes]] = defaultdict(list)
        coins = {party.domain: party.domain.encode().ljust(32, b".") for party in joint.parties}
        found(joint, owners, attempt, wrap=lambda _name, end, kept=kept: Noting(end, kept), coins=coins)
        raw = b"".join(b"".join(each) for kind, each in kept.items() if "common/p" in kind)
        seen.append({raw[at : at + 16] for at in range(0, len(raw), 16)})
    assert len(seen[0]) >= 70 and not seen[0] & seen[1]


def test_a_helper_that_says_more_bits_than_there_are_rows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "help_seeking", lambda channel, _joint: _shout(channel))
    owners = [Owner(HEALTH, np.arange(3)), Owner(TAX, np.arange(3))]
    with pytest.raises(LinkBroken):
        run(common_plan(owners, TAX, OFFICE), owners)


def _shout(channel: Any) -> None:
    for owner in (HEALTH, TAX):
        channel.receive(owner, common.PSEUDONYMS, 160)
    channel.send(TAX, common.FOUND, b"\xff\xff")


def test_a_point_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The neutral element under any exponent is itself: it would say "found" of whoever it stands for."""
    monkeypatch.setattr(
        Exponent, "of_identifiers", lambda _self, blocks, _tag: np.zeros((len(blocks), 32), np.uint8)
    )
    owners = [Owner(HEALTH, np.arange(3)), Owner(TAX, np.arange(3))]
    with pytest.raises(LinkBroken):
        run(common_plan(owners, TAX), owners)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("helper", "count"), [(OFFICE, 10**6), ("", 10**5)])
def test_larger_registers_are_as_exact(helper: str, count: int) -> None:
    rng = np.random.default_rng(9)
    owners = [somebody(rng, domain, count, 2 * count) for domain in (HEALTH, TAX)]
    assert set(found(common_plan(owners, TAX, helper), owners, patience=250).tolist()) == everywhere(owners)

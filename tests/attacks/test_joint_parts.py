"""ATTACKS 73, 97 and 99 on one table in parts, whoever opens it: all that is said, and what two servers have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from keys import randomness
from mpc.api import trust
from mpc.protocols import stacked
from mpc.protocols.identifiers import pack_fixed
from mpc.protocols.ring import RINGS, Ring
from plans.joint import Scheme
from tests.attacks.test_joint_protocol import BIG, World, masked_words
from tests.attacks.test_joint_protocol import Overheard as Listening
from tests.inside.joint_cases import operand
from tests.mpc.joint_world import Owner, run, stacked_plan

EAST, WEST = "nm/east", "nm/west"
SERVERS = ("nm/civil", EAST, "nm/tax")
FORMS = pytest.mark.parametrize("inspector", ["", WEST], ids=["oblivious", "inspected"])


def parts(west: int = 30) -> list[Owner]:
    """Two holders of one table; the east's rows never change."""
    return [part(EAST, 40, 0), part(WEST, west, 100)]


def part(domain: str, count: int, first: int) -> Owner:
    persons = np.arange(count) + first
    amounts = (np.ma.array(BIG + 977 * persons),)
    return Owner(
        domain, persons, (operand("v0", 0, 2 * BIG),), amounts, (4,), (persons % 4,), spare=50 - count
    )


def overhear(owners: list[Owner], inspector: str, attempt: int = 1) -> World:
    """A run in which every party draws the same randomness whenever it runs again."""
    joint = stacked_plan(owners, SERVERS, Scheme(128, 100, 3, 100), inspector=inspector)
    said: list[Any] = []
    coins = {party.domain: party.domain.encode().ljust(32, b".") for party in joint.parties}
    return World(run(joint, owners, attempt, lambda name, end: Listening(name, end, said), coins), said)


def found_in_clear(world: World, owners: list[Owner]) -> set[str]:
    """What stands in a message as it is: identifiers, operands, and what one holder's rows of a cell add up to."""
    texts = np.array([f"{15_000_000 + int(p):018d}" for owner in owners for p in owner.persons], dtype="S18")
    ring = RINGS[128]
    sums = [
        number
        for place, owner in enumerate(owners)
        for row in stacked.own_sums(owner.rows(), world.went.joint.reading, place, ring)
        for number in ring.decode(row)
        if number > BIG
    ]
    planted = {
        "identifiers": [*texts.tolist(), *(bytes(block) for block in pack_fixed(texts).blocks)],
        "operands": [int(value).to_bytes(8, "little") for owner in owners for value in owner.values[0]],
        "sums": [number.to_bytes(16, "little") for number in sums],
    }
    everything = b"|".join(payload for *_, payload in world.said)
    return {kind for kind, words in planted.items() if any(word in everything for word in words)}


@FORMS
def test_73_no_message_holds_an_identifier_an_operand_or_a_sum_of_one_holder(inspector: str) -> None:
    owners = parts()
    assert found_in_clear(overhear(owners, inspector), owners) == set()


def test_73_control_without_components_that_are_drawn_each_holders_sums_are_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Ring, "draw", lambda ring, _stream, shape: ring.zeros(shape))
    owners = parts()
    assert found_in_clear(overhear(owners, WEST), owners) == {"sums"}, "rows do not leave even then"


@FORMS
def test_99_kinds_numbers_and_sizes_of_all_messages_are_the_same_whatever_the_rows(inspector: str) -> None:
    worlds = [overhear(parts(count), inspector) for count in (0, 1, 50)]
    assert worlds[0].by_pair() == worlds[1].by_pair() == worlds[2].by_pair()


@FORMS
def test_97_a_second_attempt_has_no_masked_block_of_the_first(inspector: str) -> None:
    first, second = (masked_words(overhear(parts(), inspector, attempt)) for attempt in (1, 2))
    assert len(first) > 100 and not first & second


def test_97_control_where_masks_do_not_depend_on_the_attempt_they_repeat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    true = randomness.mask_key
    forgetful: Callable[..., bytes] = lambda seed, digest, _attempt, stage, purpose: true(  # noqa: E731
        seed, digest, 0, stage, purpose
    )
    monkeypatch.setattr(randomness, "mask_key", forgetful)
    assert masked_words(overhear(parts(), "", 1)) == masked_words(overhear(parts(), "", 2))


def components(world: World, holder: str, server: str) -> tuple[bytes, bytes]:
    """The two components of a holder's sums that a server received."""
    (pair,) = [
        raw for sender, to, tag, raw in world.said if (sender, to, tag) == (holder, server, stacked.SHARES)
    ]
    return pair[: len(pair) // 2], pair[len(pair) // 2 :]


def test_any_two_servers_have_a_holders_sums_as_the_plan_says_and_one_alone_has_not() -> None:
    """What `mpc.visibility` prints of collusion is so: the three components of two servers add up to the sums."""
    owners = parts()
    world = overhear(owners, "")
    ring, joint = RINGS[128], world.went.joint
    own = stacked.own_vectors(owners[1].rows(), joint, 1)
    shape = ring.shape(own)
    (one, two), (third, again) = (components(world, WEST, server) for server in ("nm/tax", "nm/civil"))
    x2, x0, x0_again, x1 = (ring.from_raw(raw, shape) for raw in (one, two, third, again))
    assert (x0 == x0_again).all()
    assert (ring.add(ring.add(x0, x1), x2) == own).all()
    assert "any two of nm/civil, nm/east and nm/tax" in "\n".join(trust(joint).collusions)
    assert not any((known == own).all(axis=-1).any() for known in (ring.add(x2, x0), ring.add(x0, x1)))

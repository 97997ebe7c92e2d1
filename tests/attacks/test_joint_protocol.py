"""ATTACKS 73, 95, 97 and 99 on everything that parties of a joint computation say to each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from keys import randomness
from mpc.protocols import helper, pseudonyms, replicated, rows
from mpc.protocols.channel import Payload, Traffic
from mpc.protocols.identifiers import pack_fixed
from mpc.protocols.layout import Sent
from mpc.protocols.memory import MemoryChannel
from mpc.protocols.ring import Ring
from plans.joint import JointPlan, Scheme
from plans.joint_rules import Matching
from tests.inside.joint_cases import operand
from tests.mpc.joint_world import Owner, Went, plan_for, run

MATCHED = (Matching.HELPER, Matching.DIFFIE_HELLMAN)
HEALTH, TAX, CIVIL = "nm/health", "nm/tax", "nm/civil"
BIG = 1 << 45
"""Incomes above this: eight bytes of one of them are not met by chance."""

Said = tuple[str, str, str, bytes]
"""Sender, receiver, tag and payload of a message."""


@dataclass
class Overheard:
    """A channel that keeps all that its party sends."""

    me: str
    channel: MemoryChannel
    said: list[Said]

    def send(self, peer: str, tag: str, payload: Payload) -> None:
        self.said.append((self.me, peer, tag, bytes(payload)))
        self.channel.send(peer, tag, payload)

    def receive(self, peer: str, tag: str, size: int) -> bytes:
        return self.channel.receive(peer, tag, size)

    def traffic(self) -> Mapping[str, Traffic]:
        return self.channel.traffic()


@dataclass
class World:
    """One run, and what was said in it."""

    went: Went
    said: list[Said] = field(default_factory=list)

    def by_pair(self) -> dict[tuple[str, str], list[tuple[str, int]]]:
        """Tag and size of every message, in the order of each direction."""
        found: dict[tuple[str, str], list[tuple[str, int]]] = {}
        for sender, receiver, tag, payload in self.said:
            found.setdefault((sender, receiver), []).append((tag, len(payload)))
        return found

    def received(self, receiver: str) -> Iterator[tuple[str, bytes]]:
        return ((tag, payload) for _, to, tag, payload in self.said if to == receiver)


def owners(common: int, count: int = 40) -> list[Owner]:
    """Two owners of `count` persons each, who have `common` of them in common; the tax office's rows never change."""
    tax = np.arange(count)
    health = np.arange(count) + count - common
    incomes = np.ma.array(BIG + 977 * tax)
    return [
        Owner(HEALTH, health, sizes=(4,), groups=(health % 4,)),
        Owner(TAX, tax, (operand("v0", 0, 2 * BIG),), (incomes,)),
    ]


def plan(parties: list[Owner], **changes: Any) -> JointPlan:
    return plan_for(parties, scheme=Scheme(128, 40, 3, 100), **changes)


def overhear(parties: list[Owner], joint: JointPlan | None = None, attempt: int = 1, seed: int = 0) -> World:
    joint = joint or plan(parties)
    said: list[Said] = []
    coins = {party.domain: f"{seed}/{party.domain}".encode().ljust(32, b".") for party in joint.parties}
    went = run(joint, parties, attempt, lambda name, channel: Overheard(name, channel, said), coins)
    went.answer()
    return World(went, said)


# ------------------------------------------------------------------------------------ 73: nothing in clear


def found_in_clear(world: World, parties: list[Owner]) -> set[str]:
    """What of the owners' rows stands in a message as it is: identifiers, packed or as text, and operands."""
    texts = np.array([f"{15_000_000 + int(p):018d}" for owner in parties for p in owner.persons], dtype="S18")
    planted = {
        "identifiers": [*texts.tolist(), *(bytes(block) for block in pack_fixed(texts).blocks)],
        "operands": [int(value).to_bytes(8, "little") for value in parties[1].values[0]],
    }
    everything = b"|".join(payload for *_, payload in world.said)
    return {kind for kind, words in planted.items() if any(word in everything for word in words)}


@pytest.mark.parametrize("matching", MATCHED)
def test_73_no_message_holds_an_identifier_or_an_operand(matching: Matching) -> None:
    parties = owners(20)
    joint = plan(parties, matching=matching)
    assert found_in_clear(overhear(parties, joint), parties) == set()


def no_masks(sent: Sent, ring: Ring, _attempt: Any, _seed: bytes) -> tuple[Any, Any]:
    return ring.zeros((sent.columns, sent.rows)), np.zeros((len(sent.codes), sent.rows), dtype=np.uint16)


def test_73_control_without_masks_and_key_both_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (pseudonyms, rows):
        monkeypatch.setattr(module, "masks_of", no_masks)
    monkeypatch.setattr(helper, "permute", lambda _key, blocks: blocks)
    parties = owners(20)
    assert found_in_clear(overhear(parties), parties) == {"identifiers", "operands"}


# ----------------------------------------------------------------- 95 and 99: who matched, and how many


@pytest.mark.parametrize("matching", MATCHED)
def test_99_kinds_numbers_and_sizes_of_all_messages_are_the_same_whoever_matches(matching: Matching) -> None:
    nobody, some = owners(0), owners(31)
    worlds = [overhear(parties, plan(parties, matching=matching)) for parties in (nobody, some)]
    assert worlds[0].by_pair() == worlds[1].by_pair()


def test_99_control_a_list_that_is_as_long_as_the_filter_left_it_tells() -> None:
    """Without rows that stand for nobody the size of a message is the number of rows that passed the filter."""
    sizes = []
    for count in (40, 39):
        parties = [*owners(20, 40)[:1], *owners(20, count)[1:]]
        parties = [Owner(**{**vars_of(each), "spare": 0}) for each in parties]
        world = overhear(parties, plan_for(parties, scheme=Scheme(128, 30, 3, 100)))
        sizes.append(sum(size for _, size in world.by_pair()[TAX, "nm/office"]))
    assert sizes[0] != sizes[1]


def vars_of(owner: Owner) -> dict[str, Any]:
    return {name: getattr(owner, name) for name in Owner.__dataclass_fields__}


def unevenness(world: World, receiver: str) -> float:
    """How far the bytes of shares that a party gets are from uniform: chi-square of 255 degrees, in deviations."""
    content = b"".join(
        payload
        for tag, payload in world.received(receiver)
        if "/" in tag and not tag.startswith(("match/turn", "match/order"))
    )
    counts = np.bincount(np.frombuffer(content, dtype=np.uint8), minlength=256)
    expected = len(content) / 256
    return float((((counts - expected) ** 2 / expected).sum() - 255) / np.sqrt(2 * 255))


@pytest.mark.parametrize("common", [0, 40], ids=["nobody matches", "all match"])
def test_95_what_an_owner_that_serves_is_told_is_uniform_whoever_matches(common: int) -> None:
    """The tax office knows its rows, their order and their masks, and still gets nothing but uniform bytes."""
    world = overhear(owners(common), seed=common)
    assert abs(unevenness(world, TAX)) < 6
    assert all(not tag.endswith(f"order/{TAX}") for tag, _ in world.received(TAX)), (
        "nor is it ever told its σ"
    )


def test_95_control_without_fresh_zeros_the_bytes_are_not_uniform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicated, "zero_part", lambda _me, ring, shape: ring.zeros(shape))
    monkeypatch.setattr(Ring, "draw", lambda ring, _stream, shape: ring.zeros(shape))
    assert unevenness(overhear(owners(40)), TAX) > 6


# ----------------------------------------------------------------------------- 97: a resume has other masks


MASKED = ("match/pseudonyms", "match/numbers", "match/points")


def masked_words(world: World) -> set[bytes]:
    """All 16-byte blocks of what was sent under masks: pseudonyms, numbers, and every share between servers."""
    found = set()
    for _, _, tag, payload in world.said:
        if tag.startswith(MASKED) or not tag.startswith(("match/", "seed/")):
            found |= {payload[at : at + 16] for at in range(0, len(payload) - 15, 16)}
    return found


@pytest.mark.parametrize("matching", MATCHED)
def test_97_a_second_attempt_has_no_masked_block_of_the_first(matching: Matching) -> None:
    """Even where every party draws the same randomness again, and computes on the same rows."""
    parties = owners(20)
    joint = plan(parties, matching=matching)
    first, second = (masked_words(overhear(parties, joint, attempt)) for attempt in (1, 2))
    assert len(first) > 100 and not first & second


def test_97_control_where_masks_do_not_depend_on_the_attempt_they_repeat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    true = randomness.mask_key
    forgetful: Callable[..., bytes] = lambda seed, digest, _attempt, stage, purpose: true(  # noqa: E731
        seed, digest, 0, stage, purpose
    )
    for module in (randomness, pseudonyms):
        monkeypatch.setattr(module, "mask_key", forgetful)
    parties = owners(20)
    first, second = (masked_words(overhear(parties, attempt=attempt)) for attempt in (1, 2))
    assert first == second

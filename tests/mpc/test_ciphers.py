"""Promise: holders' sums are added up as ciphertexts, exactly, and the key opens their total and nothing else."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from keys.sealing import decrypt
from mpc.encrypted import crypto_box, envelope, sums
from mpc.encrypted.envelope import Content
from mpc.encrypted.key_process import KeyProcess
from mpc.encrypted.sums import collect
from mpc.protocols import ciphers
from mpc.protocols.computation import Totals
from mpc.protocols.ring import RINGS
from mpc.protocols.stacked import own_vectors
from plans.errors import EvidenceBroken, LinkBroken, Malformed, Refused, TooLarge
from plans.joint import JointPlan, JointTask, Scheme
from plans.joint_rules import Matching, Opening
from tests.inside.joint_cases import SQL, operand
from tests.mpc.joint_world import Owner, Went, plan_of, run, stacked, vectors_in_clear
from tests.mpc.test_computation import owner
from tests.mpc.test_stacked import EAST, SOUTH, WEST, anybody, holders
from tests.mpc.test_uniform_view import Noting

OFFICE = "nm/office"


@pytest.fixture(autouse=True)
def in_a_box(monkeypatch: pytest.MonkeyPatch) -> None:
    """All parties are threads of this process, which is no box."""
    monkeypatch.setattr(crypto_box, "_entered", [crypto_box.CryptoBox("a test")])


def ciphered(owners: list[Owner], inspector: str = EAST, bits: int = 64) -> JointPlan:
    task = JointTask(SQL, Matching.NONE, Opening.INSPECTED, (), inspector=inspector, collector=OFFICE)
    return plan_of(
        stacked(owners), task, Scheme(bits, sum(len(each.persons) + each.spare for each in owners), 4, 90)
    )


def opened(went: Went) -> tuple[tuple[int, ...], ...]:
    inspector = went.joint.task.inspector
    found = went.handed[inspector]
    assert isinstance(found, Totals)
    assert (
        {name for name, each in went.handed.items() if each is not None}
        == {*went.joint.handing}
        == {inspector}
    )
    return found.sums


@pytest.mark.parametrize("inspector", [EAST, SOUTH])
def test_the_inspector_opens_what_duckdb_adds_up(inspector: str) -> None:
    owners = holders(np.random.default_rng(3))
    joint = ciphered(owners, inspector)
    assert opened(run(joint, owners)) == vectors_in_clear(joint, owners)


def test_totals_that_need_several_plain_moduli_are_exact() -> None:
    """Squares of 10^15 over 400 rows: 109 bits."""
    rng = np.random.default_rng(4)
    owners = [
        owner(domain, rng, 200, 300, ranges=((-(10**15), 10**15, 0.1),), sizes=(3,))
        for domain in (EAST, WEST)
    ]
    joint = ciphered(owners, bits=128)
    assert len(ciphers.planned(joint).parameters.plain_moduli) > 1
    assert opened(run(joint, owners)) == vectors_in_clear(joint, owners)


@settings(max_examples=8, deadline=None)
@given(anybody())
def test_of_any_schema(owners: list[Owner]) -> None:
    joint = ciphered(owners, owners[-1].domain, 128)
    assert opened(run(joint, owners)) == vectors_in_clear(joint, owners)


def test_sums_at_the_end_of_what_was_declared_are_exact() -> None:
    """Every row of every holder has the largest, or the smallest, number of the range."""
    for value in (10**6, -(10**6)):
        owners = [
            Owner(
                domain,
                np.arange(50),
                (operand("v0", -(10**6), 10**6),),
                (np.ma.array(np.full(50, value)),),
                spare=0,
            )
            for domain in (EAST, WEST)
        ]
        joint = ciphered(owners)
        assert opened(run(joint, owners)) == ((100,), (100 * value,), (10**8,), (10**14,), *[(2,)] * 4)


def test_a_plan_with_noise_and_rows_beyond_the_bound_are_refused() -> None:
    owners = holders(np.random.default_rng(3), 20)
    joint = ciphered(owners)
    with pytest.raises(Malformed):
        run(replace(joint, scheme=replace(joint.scheme, noise_micro=1_000)), owners)
    with pytest.raises(TooLarge):
        run(joint, [holders(np.random.default_rng(3), 28)[0], *owners[1:]])


def test_outside_a_box_no_ciphertext_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crypto_box, "_entered", [])
    owners = holders(np.random.default_rng(3), 20)
    with pytest.raises(Refused):
        run(ciphered(owners), owners)


# ------------------------------------------------------------------------------------------- what parties see


def heard(owners: list[Owner], attempt: int = 1) -> dict[str, dict[str, list[bytes]]]:
    kept: dict[str, dict[str, list[bytes]]] = defaultdict(lambda: defaultdict(list))
    run(ciphered(owners), owners, attempt, wrap=lambda name, end: Noting(end, kept[name]))
    return kept


def test_each_party_receives_what_the_plan_says_and_of_the_same_size_whatever_the_rows() -> None:
    seen = []
    for count in (0, 25):
        owners = [
            replace(each, spare=60 - len(each.persons)) for each in holders(np.random.default_rng(5), count)
        ]
        kept = heard(owners)
        seen.append(
            {to: {kind: [len(raw) for raw in each] for kind, each in by.items()} for to, by in kept.items()}
        )
    assert seen[0] == seen[1]
    parts = {f"{EAST}:cipher/key", f"{EAST}:cipher/part", f"{WEST}:cipher/part", f"{SOUTH}:cipher/part"}
    assert {to: set(by) for to, by in seen[0].items()} == {
        EAST: {f"{OFFICE}:cipher/total"}, WEST: {f"{EAST}:cipher/key"}, SOUTH: {f"{EAST}:cipher/key"}, OFFICE: parts,
    }  # fmt: skip


# -------------------------------------------------------------------- what is not the total is not opened


def test_a_total_that_no_rows_could_have_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coefficients of a part in another order are a ciphertext of random numbers."""
    monkeypatch.setattr(ciphers, "collect", mixed)
    owners = holders(np.random.default_rng(3), 20)
    with pytest.raises(EvidenceBroken):
        run(ciphered(owners), owners)


def mixed(parts: list[bytes], count: int, parameters: Any) -> bytes:
    """A collector that adds up a part whose coefficients it put into another order."""
    words = np.frombuffer(parts[1], dtype="<u8").reshape(-1, parameters.degree)
    return collect([np.roll(words, 1, axis=1).tobytes(), parts[0], *parts[2:]], count, parameters)


def test_control_without_the_look_at_ranges_random_numbers_would_be_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ciphers, "collect", mixed)
    monkeypatch.setattr(ciphers, "require_possible", lambda *_: None)
    monkeypatch.setattr(KeyProcess, "_in_range", lambda _self, numbers, _sender: numbers)
    monkeypatch.setattr(sums, "open_total", loosely)
    owners = holders(np.random.default_rng(3), 20)
    joint = ciphered(owners)
    assert opened(run(joint, owners)) != vectors_in_clear(joint, owners)


def loosely(raw: bytes, count: int, opener: Any, whole: Any = sums.open_total) -> list[int]:
    """Open a total whatever stands behind its last number."""
    degree = opener.parameters.degree
    return whole(raw, opener.parameters.blocks(count) * degree, opener)[:count]


class Forwarding(Noting):
    """A collector that hands the inspector one holder's part, as it came, for the total."""

    def send(self, peer: str, tag: str, payload: Any) -> None:
        super().send(peer, tag, self.part if tag == "cipher/total" else payload)

    def receive(self, peer: str, tag: str, size: int) -> bytes:
        raw = super().receive(peer, tag, size)
        if (peer, tag) == (WEST, "cipher/part"):
            self.part = raw
        return raw


def forwarded() -> tuple[Went, list[Owner]]:
    owners = holders(np.random.default_rng(3), 20)
    wrap = lambda name, end: Forwarding(end, defaultdict(list)) if name == OFFICE else end  # noqa: E731
    return run(ciphered(owners), owners, wrap=wrap), owners


def test_one_holders_part_is_not_opened_for_the_total() -> None:
    """ATTACKS 100: a key decrypts what the plan names, and a holder's part is in another envelope."""
    with pytest.raises(LinkBroken):
        forwarded()


def test_control_where_envelopes_are_not_compared_the_part_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = envelope.size_of

    def size_of(front: Any, body: int) -> int:
        part = replace(front, content=Content.PART, sender=WEST, receiver=OFFICE, holders=1)
        return sizes(part if front.content is Content.TOTAL else front, body)

    def unseal(raw: bytes, due: Any, body: int, secret: bytes) -> bytes:
        front = replace(due, content=Content.PART, sender=WEST, receiver=OFFICE, holders=1)
        front = front if due.content is Content.TOTAL else due
        return decrypt(front.body_key(secret), raw[len(front.written) :], front.written)

    monkeypatch.setattr(envelope, "size_of", size_of)
    monkeypatch.setattr(envelope, "unseal", unseal)
    went, owners = forwarded()
    joint = went.joint
    ring = RINGS[64]
    west = own_vectors(owners[1].rows(), joint, 1)
    assert opened(went) == tuple(tuple(ring.decode(row)) for row in west)


def test_a_part_of_another_attempt_is_not_added_up() -> None:
    """The envelope says of which attempt it is; a collector that is handed an old one reads no byte of its body."""
    owners = holders(np.random.default_rng(3), 20)
    old = heard(owners, 1)[OFFICE][f"{WEST}:cipher/part"][0]

    class Replaying(Noting):
        def send(self, peer: str, tag: str, payload: Any) -> None:
            super().send(peer, tag, old if tag == "cipher/part" else payload)

    with pytest.raises(LinkBroken) as refused:
        run(
            ciphered(owners),
            owners,
            2,
            wrap=lambda name, end: Replaying(end, defaultdict(list)) if name == WEST else end,
        )
    assert "another plan, attempt" in refused.value.what

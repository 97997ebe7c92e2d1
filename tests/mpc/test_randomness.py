"""Promise: nothing is masked twice with the same bytes (ATTACKS 97), and the streams are AES-256-CTR."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from keys.randomness import Masks, MaskStream, mask_key, permute
from mpc.protocols.replicated import deal, multiply
from mpc.protocols.ring import RING64
from plans.errors import Malformed, StateConflict
from tests.mpc import trio

SEED = bytes(range(32))


def test_a_stream_is_aes_in_counter_mode() -> None:
    """SP 800-38A: block j is AES of the counter j; the oracle encrypts counters one by one."""
    key = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
    aes = Cipher(algorithms.AES256(key), modes.ECB()).encryptor()
    blocks = b"".join(aes.update(number.to_bytes(16, "big")) for number in range(4))
    assert MaskStream(key).draw(64).tobytes() == blocks


@given(st.lists(st.integers(0, 70), max_size=12))
def test_pieces_of_a_stream_are_the_stream(sizes: list[int]) -> None:
    stream = MaskStream(SEED)
    pieces = b"".join(stream.draw(size).tobytes() for size in sizes)
    assert pieces == MaskStream(SEED).draw(sum(sizes)).tobytes()
    assert stream.position == sum(sizes)


def test_a_stream_longer_than_its_piece_of_zeros_goes_on() -> None:
    size = (1 << 20) + 5
    stream = MaskStream(SEED)
    both = [stream.draw(size).tobytes(), stream.draw(7).tobytes()]
    assert b"".join(both) == MaskStream(SEED).draw(size + 7).tobytes()


PLACES = [
    (seed, digest, attempt, stage, purpose)
    for seed in (SEED, bytes(32))
    for digest in ("d1", "d")
    for attempt in (0, 1, 11)
    for stage in ("1s", "s")
    for purpose in ("p", "sp")
]


def test_each_seed_digest_attempt_stage_and_purpose_has_another_key() -> None:
    """The parts cannot be shifted into each other either: "d" + "1s" is not "d1" + "s"."""
    assert len({mask_key(*place) for place in PLACES}) == len(PLACES)


def test_a_purpose_is_handed_out_once() -> None:
    given_out = Masks(SEED, "d", 0, "s")
    given_out.stream("income")
    with pytest.raises(StateConflict, match="used before"):
        given_out.stream("income")
    assert (
        given_out.stream("visits").draw(16).tobytes()
        != Masks(SEED, "d", 0, "s").stream("income").draw(16).tobytes()
    )


def test_nothing_prints_a_key() -> None:
    stream, masks = MaskStream(SEED), Masks(SEED, "d", 0, "s")
    for shown in (repr(stream), repr(masks)):
        assert SEED.hex() not in shown and str(SEED) not in shown


@pytest.mark.parametrize("seed", [b"", bytes(31), bytes(33)])
def test_a_short_or_long_seed_is_refused(seed: bytes) -> None:
    with pytest.raises(Malformed):
        mask_key(seed, "d", 0, "s", "p")
    with pytest.raises(Malformed):
        MaskStream(seed)
    with pytest.raises(Malformed):
        mask_key(SEED, "d", -1, "s", "p")


# -------------------------------------------------------------------------- resuming (ATTACKS 97)


def blocks_used(attempts: list[int], monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, int]]:
    """Every (key, block number) that masks something in runs of one small computation, once per pair of servers."""
    used: list[tuple[bytes, int]] = []
    init, draw = MaskStream.__init__, MaskStream.draw
    keys: dict[int, bytes] = {}
    alive = []  # so that no other stream gets the number of a dead one

    def noting_init(self: MaskStream, key: bytes) -> None:
        init(self, key)
        alive.append(self)
        keys[id(self)] = key

    def noting_draw(self: MaskStream, size: int):
        start = self.position
        used.extend((keys[id(self)], block) for block in range(start // 8, (start + size + 7) // 8))
        return draw(self, size)

    monkeypatch.setattr(MaskStream, "__init__", noting_init)
    monkeypatch.setattr(MaskStream, "draw", noting_draw)

    def program(me):
        x = deal(me, RING64, 0, RING64.encode(np.arange(5)) if me.place == 0 else None, (5,))
        return multiply(me, x, x)

    for attempt in attempts:
        trio.run(program, attempt=attempt)
    return used


def most_often(used: list[tuple[bytes, int]]) -> int:
    return max(len(list(group)) for _, group in itertools.groupby(sorted(used)))


def test_a_resumed_stage_never_uses_a_mask_again(monkeypatch: pytest.MonkeyPatch) -> None:
    used = blocks_used([0, 1, 2], monkeypatch)
    assert len(used) > 50
    assert most_often(used) == 2, "the two holders of a key each draw a word once"


def test_control_a_stage_that_resumes_under_the_same_attempt_masks_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert most_often(blocks_used([0, 0], monkeypatch)) == 4


# -------------------------------------------------------------------------------------- permutation


@pytest.mark.parametrize("size", [16, 32])
@given(rows=st.lists(st.binary(min_size=16, max_size=16), max_size=20, unique=True))
def test_distinct_blocks_stay_distinct_and_equal_keys_agree(size: int, rows: list[bytes]) -> None:
    key = bytes(range(size))
    blocks = np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(-1, 16)
    found = [row.tobytes() for row in permute(key, blocks)]
    aes = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    assert found == [aes.update(row) for row in rows]
    assert len(set(found)) == len(rows)


@pytest.mark.parametrize("key", [b"", bytes(15), bytes(24)])
def test_other_keys_and_shapes_are_refused(key: bytes) -> None:
    with pytest.raises(Malformed):
        permute(key, np.zeros((1, 16), dtype=np.uint8))
    with pytest.raises(Malformed):
        permute(bytes(16), np.zeros((1, 15), dtype=np.uint8))
    with pytest.raises(Malformed):
        permute(bytes(16), np.zeros(16, dtype=np.uint8))

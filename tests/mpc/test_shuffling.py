"""Promise: orders, samples and codes are uniform, and lists are compared exactly, whatever their bits."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.randomness import MaskStream
from mpc.protocols.comparing import common_rows
from mpc.protocols.shuffling import MOST_ROWS, fresh, random_codes, random_order, random_sample
from plans.errors import KeyRepeated, Malformed


def coins(seed: int = 0) -> MaskStream:
    return MaskStream(seed.to_bytes(32, "little"))


def chi_square(counts: Counter[object], kinds: int) -> float:
    expected = counts.total() / kinds
    missing = kinds - len(counts)
    return sum((count - expected) ** 2 / expected for count in counts.values()) + missing * expected


def test_all_orders_are_equally_likely() -> None:
    stream = coins()
    seen = Counter(tuple(random_order(4, stream).tolist()) for _ in range(6000))
    assert set(seen) == set(permutations(range(4))) and chi_square(seen, 24) < 60  # p < 10^-4


def test_orders_stay_uniform_where_keys_are_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    """With two bits of key most are equal; the control keeps the order in which they stood."""
    stream, few = coins(1), np.uint64(3 << 62 | MOST_ROWS - 1)
    draw = MaskStream.words
    monkeypatch.setattr(
        MaskStream, "words", lambda self, count: draw(self, count) & few | low(draw(self, count))
    )

    def low(words: np.ndarray) -> np.ndarray:
        return words & np.uint64(MOST_ROWS - 1)

    seen = Counter(tuple(random_order(4, stream).tolist()) for _ in range(6000))
    assert chi_square(seen, 24) < 60
    monkeypatch.setattr("mpc.protocols.shuffling._within", lambda groups, _: np.arange(groups.size))
    seen = Counter(tuple(random_order(4, stream).tolist()) for _ in range(6000))
    assert chi_square(seen, 24) > 1000


@given(st.integers(1, 60), st.data())
def test_a_sample_has_different_rows_and_none_that_are_excluded(count: int, data: st.DataObject) -> None:
    without = np.array(sorted(data.draw(st.sets(st.integers(0, count - 1)))), dtype=np.int64)
    size = data.draw(st.integers(0, count - without.size))
    found = random_sample(count, size, without, coins(count)).tolist()
    assert (
        len(set(found)) == size and not set(found) & set(without.tolist()) and set(found) <= set(range(count))
    )
    with pytest.raises(Malformed):
        random_sample(count, count - without.size + 1, without, coins())


@pytest.mark.parametrize("size", [2, 1])
def test_samples_are_uniform_drawn_few_or_many(size: int) -> None:
    """Two of five take the way of many (an order), one of five that of few (draw until they differ)."""
    stream = coins(2)
    seen = Counter(tuple(random_sample(6, size, np.array([3]), stream).tolist()) for _ in range(4000))
    kinds = 20 if size == 2 else 5
    assert len(seen) == kinds and chi_square(seen, kinds) < 60


@pytest.mark.parametrize("size", [1, 2, 3, 50, 65_536])
def test_codes_are_below_their_size_and_uniform(size: int) -> None:
    found = random_codes(size, (3, 2000), coins(size))
    assert found.shape == (3, 2000) and int(found.max()) < size
    if size <= 50:
        assert chi_square(Counter(found.ravel().tolist()), size) < size + 8 * size**0.5 + 8
    with pytest.raises(Malformed):
        random_codes(65_537, (1,), coins())


def test_fresh_randomness_is_not_the_same_twice() -> None:
    assert fresh().draw(32).tobytes() != fresh().draw(32).tobytes()


BLOCKS = st.sets(st.binary(min_size=16, max_size=16), min_size=1, max_size=40)


@settings(max_examples=150)
@given(st.lists(BLOCKS, min_size=2, max_size=4), BLOCKS, st.randoms(use_true_random=False))
def test_common_rows_are_those_of_plain_sets(
    lists: list[set[bytes]], shared: set[bytes], chance: object
) -> None:
    arrays = []
    for blocks in lists:
        order = sorted(blocks | shared)
        chance.shuffle(order)  # type: ignore[attr-defined]
        arrays.append(order)
    found = common_rows([np.frombuffer(b"".join(order), dtype=np.uint8).reshape(-1, 16) for order in arrays])
    rows = [
        tuple(order[at] for order, at in zip(arrays, places, strict=True))
        for places in zip(*found, strict=True)
    ]
    assert all(len(set(row)) == 1 for row in rows)
    assert sorted(row[0] for row in rows) == sorted(set.intersection(*map(set, arrays)))


def test_rows_that_share_most_bits_are_compared_all_the_same() -> None:
    """Blocks that agree in every bit that a place is made of: the rounds give up, and each is compared by itself."""
    low = np.zeros((300, 16), dtype=np.uint8)
    low[:, 0], low[:, 1] = np.arange(300) % 256, np.arange(300) // 256  # the lowest bits make no place
    mine, other = common_rows([low[:200], low[100:]])
    assert (low[:200][mine] == low[100:][other]).all() and mine.size == 100


def test_what_is_no_list_of_pseudonyms_is_refused() -> None:
    low = np.zeros((3000, 16), dtype=np.uint8)
    low[:, 0], low[:, 1] = np.arange(3000) % 256, np.arange(3000) // 256
    with pytest.raises(Malformed, match="no pseudonyms"):
        common_rows([low, low])
    twice = np.frombuffer(fresh().draw(160).tobytes() * 2, dtype=np.uint8).reshape(-1, 16)
    with pytest.raises(KeyRepeated):
        common_rows([twice, twice[:15]])
    with pytest.raises(KeyRepeated):
        common_rows([twice[:10], twice])

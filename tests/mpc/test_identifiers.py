"""Promise: equal identifiers have equal blocks, different ones never; what cannot be matched is refused, uncounted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpc.protocols.identifiers import count_repeated, pack, pack_fixed, pack_texts, require_keys, unpack
from plans.errors import DarkroomError, KeyMissing, KeyRepeated, Malformed

DIGITS = st.text("0123456789X", min_size=1, max_size=30)
WORDS = st.text(min_size=1, max_size=15).filter(lambda text: 0 < len(text.encode()) <= 15)


@given(st.lists(DIGITS | WORDS, unique=True, min_size=2, max_size=30))
def test_different_identifiers_have_different_blocks_and_equal_ones_the_same(texts: list[str]) -> None:
    blocks = pack_texts(texts).blocks
    assert len({block.tobytes() for block in blocks}) == len(texts)
    assert (pack_texts(texts[::-1]).blocks == blocks[::-1]).all()  # alone as among others


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "10"),  # a zero behind is part of the number
        ("0", "00"),
        ("1", "1\0"),
        ("X", "x"),
        ("A", "10"),  # 10 is the nibble of X, and A its hexadecimal digit
        ("\x01", "1"),
        ("\x02\x11", "11"),  # bytes that look like a packed number
        ("11010519491231002X", "110105194912310020"),
        ("汉字汉字汉", "汉字汉字字"),
    ],
)
def test_near_ones_differ(one: str, other: str) -> None:
    blocks = pack_texts([one, other]).blocks
    assert blocks[0].tobytes() != blocks[1].tobytes()


@given(st.lists(DIGITS | WORDS))
def test_what_was_packed_can_be_unpacked(texts: list[str]) -> None:
    assert unpack(pack_texts(texts).blocks) == texts


@given(st.binary(min_size=16, max_size=16))
def test_a_block_is_unpacked_to_the_text_that_packs_to_it_or_refused(block: bytes) -> None:
    blocks = np.frombuffer(block, dtype=np.uint8).reshape(1, 16)
    try:
        (text,) = unpack(blocks)
    except Malformed:
        return
    assert bytes(pack_texts([text]).blocks[0]) == block


@pytest.mark.parametrize(
    "block", ["00" * 16, "0212" + "00" * 13 + "01", "03121b" + "00" * 13, "8131" + "00" * 14]
)
def test_what_is_near_a_packed_identifier_is_refused(block: str) -> None:
    """No length; something behind the end; a nibble that is no character; digits as other text."""
    with pytest.raises(Malformed):
        unpack(np.frombuffer(bytes.fromhex(block), dtype=np.uint8).reshape(1, 16))


@given(st.lists(DIGITS | WORDS | st.just("") | st.text("abc", min_size=16, max_size=40)))
def test_every_source_gives_the_same_blocks(texts: list[str]) -> None:
    packed = pack_texts(texts)
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([7, *map(len, encoded)]).astype(np.int32)  # Arrow's slices do not begin at zero
    again = pack(b"another" + b"".join(encoded), offsets)
    assert (again.blocks == packed.blocks).all() and again.faults == packed.faults
    plain = [text for text in encoded if not text.endswith(b"\0")]
    fixed = pack_fixed(np.array(plain, dtype="S40"))
    assert (fixed.blocks == pack_texts([text.decode() for text in plain]).blocks).all()


@given(st.lists(st.sampled_from(["a", "b", "1", None, "", "x" * 16, "7" * 31]), max_size=12))
def test_faults_are_counted_for_the_owner(texts: list[str | None]) -> None:
    found = pack_texts(texts).faults
    good = [text for text in texts if text and len(text) < 16]
    assert found.missing == sum(not text for text in texts)
    assert found.unpackable == sum(bool(text) and len(text or "") >= 16 for text in texts)
    assert found.repeated == len(good) - len(set(good))


@pytest.mark.parametrize(
    ("texts", "error"),
    [
        (["a", None, "b"], KeyMissing),
        (["a", ""], KeyMissing),
        (["a" * 16], Malformed),
        (["a", "b", "a"], KeyRepeated),
    ],
)
def test_what_cannot_be_matched_is_refused_and_neither_rows_nor_numbers_are_said(
    texts: list[str | None], error: type[DarkroomError]
) -> None:
    with pytest.raises(error) as refused:
        require_keys(pack_texts(texts), "visits.person")
    said = (
        f"{refused.value.what} {refused.value.next_step}".replace("30", "")
        .replace("15", "")
        .replace("0-9X", "")
    )
    assert not any(character.isdigit() for character in said) and "aaa" not in said
    assert "visits.person" in str(refused.value)


def test_offsets_that_do_not_fit_are_refused() -> None:
    for offsets in ([0, 5], [0, 2, 1], [-1, 2], []):
        with pytest.raises(Malformed, match="offsets"):
            pack(b"abc", np.array(offsets, dtype=np.int64))


def test_repeats_are_told_from_words_that_only_mix_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control of the fast way: with a mixing that is always equal the slow one decides, and gives the same."""
    blocks = pack_texts(["1", "2", "3", "2", "2"]).blocks
    monkeypatch.setattr("mpc.protocols.identifiers._mixed", lambda words: words[:, 0] * np.uint64(0))
    assert count_repeated(blocks) == 2 and count_repeated(blocks[:3]) == 0

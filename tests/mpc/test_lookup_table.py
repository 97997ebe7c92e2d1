"""Promise: sealed tables open for who was granted a key, are random bytes to all others, and refuse bad rows."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from keys.exchange import Exponent
from keys.sealing import decrypt_once, encrypt_once
from mpc.lookup import layout as layouts
from mpc.lookup import oprf, table, tree
from mpc.lookup.layout import Layout, chosen, of_columns, overflow, slots_for
from mpc.lookup.table import SealedTable, TableRecord
from plans.errors import HashMismatch, KeyRepeated, LinkBroken, Malformed, TooLarge
from tests.mpc.lookup_world import WIDTH, coins, rows
from tests.mpc.test_uniform_view import LIMIT, chi_square

EXPONENT = Exponent(b"\7" * 32)


def sealed(count: int, shape: Layout | None = None, seed: int = 1) -> SealedTable:
    return table.seal(rows(count), shape or of_columns(count, WIDTH, 16), EXPONENT, coins(seed))


def output(of: SealedTable, key: bytes, exponent: Exponent = EXPONENT) -> bytes:
    return oprf.outputs(exponent, oprf.blocks_of([key]), of.record.name)[0].tobytes()


def opened(of: SealedTable, output: bytes) -> bytes | None:
    place = table.place_of(of.record, output)
    return table.opened(of.record, place, of.matrix[:, place].tobytes(), output)


# ----------------------------------------------------------------------------------- right, and only then


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(0, 30), st.integers(1, 20), st.integers(0, 5), st.integers(0, 99))
def test_every_record_comes_back_and_no_other(
    count: int, more: int, width: int, power: int, seed: int
) -> None:
    bound = count + more
    shape = of_columns(bound, width, min(1 << power, 1 << (bound.bit_length() - 1)))
    keys, records = rows(count, width)
    of = table.seal((keys, records), shape, EXPONENT, coins(seed))
    assert of.matrix.shape == (shape.height, shape.columns)
    for key, record in zip(keys, records, strict=True):
        assert opened(of, output(of, key)) == record
    assert [opened(of, output(of, b"absent%d" % at)) for at in range(5)] == [None] * 5


def test_without_a_grant_a_record_is_useless_bytes() -> None:
    """ATTACKS 73: whoever has the whole table and another exponent, or another key's grant, opens nothing."""
    of = sealed(200)
    granted, other = output(of, rows(200)[0][0]), output(of, rows(200)[0][0], Exponent(b"\x08" * 32))
    assert opened(of, granted) == rows(200)[1][0]
    for place in range(of.record.layout.columns):
        column = of.matrix[:, place].tobytes()
        assert table.opened(of.record, place, column, other) is None
    texts = [table.opened(of.record, place, of.matrix[:, place].tobytes(), granted) for place in range(16)]
    assert sum(text is not None for text in texts) == 1, "a grant is for one record"


def test_a_table_is_uniform_bytes_whatever_its_records_and_however_many() -> None:
    """Full and nearly empty tables of zeros: neither values nor numbers show."""
    shape = of_columns(900, WIDTH, 16)
    for count in (900, 3):
        keys = rows(count)[0]
        of = table.seal((keys, [bytes(WIDTH)] * count), shape, EXPONENT, coins(3))
        assert of.matrix.shape == (shape.height, 16)
        assert chi_square(of.matrix.tobytes()) < LIMIT


def test_control_unsealed_records_and_empty_slots_show(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = of_columns(900, WIDTH, 16)
    monkeypatch.setattr(table, "encrypt_once", lambda key, text, aad: text + bytes(16))
    of = table.seal((rows(900)[0], [bytes(WIDTH)] * 900), shape, EXPONENT, coins(3))
    assert chi_square(of.matrix.tobytes()) > 10 * LIMIT


def test_versions_of_one_table_have_nothing_in_common() -> None:
    """The same rows under the same exponent: names, and so keys and places, are other ones."""
    one, other = sealed(100, seed=1), sealed(100, seed=2)
    key = rows(100)[0][5]
    assert output(one, key) != output(other, key)
    assert opened(other, output(one, key)) is None
    assert (one.matrix == other.matrix).mean() < 0.01


def test_where_in_its_column_a_record_lies_is_drawn() -> None:
    shape = of_columns(4, WIDTH, 1)
    found = set()
    for seed in range(60):
        of = table.seal(([b"k"], [bytes(WIDTH)]), shape, EXPONENT, coins(seed))
        raw, key = of.matrix[:, 0].tobytes(), output(of, b"k")[:32]
        size = shape.sealed
        slots = [raw[at : at + size] for at in range(0, shape.content, size)]
        found |= {
            at
            for at, slot in enumerate(slots)
            if table.decrypt_once(key, slot, of.record.name.encode()) is not None
        }
    assert found == {0, 1, 2, 3}


def test_all_slots_are_tried_wherever_the_record_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    of, tried = sealed(100), []
    decrypt = table.decrypt_once
    monkeypatch.setattr(table, "decrypt_once", lambda *asked: tried.append(1) or decrypt(*asked))
    numbers = set()
    for key in (*rows(100)[0][:10], b"absent"):
        tried.clear()
        opened(of, output(of, key))
        numbers.add(len(tried))
    assert numbers == {of.record.layout.slots}


# ------------------------------------------------------------------------------------------ bad input


BAD = {
    "a key twice": (([b"a", b"b", b"a"], [b"1", b"2", b"3"]), KeyRepeated, "1 rows have a key"),
    "an empty key": (([b"a", b""], [b"1", b"2"]), Malformed, "1 keys are empty"),
    "a long key": (([b"a" * 1025], [b"1"]), Malformed, "longer than 1,024"),
    "ragged records": (([b"a", b"b", b"c"], [b"1", b"22", b""]), Malformed, "2 records do not have 1 bytes"),
    "fewer records": (([b"a", b"b"], [b"1"]), Malformed, "2 keys have 1 records"),
    "too many rows": (([b"%d" % at for at in range(9)], [b"1"] * 9), TooLarge, "9 rows are more than .* 8"),
}


@pytest.mark.parametrize("what", BAD)
def test_rows_that_cannot_be_looked_up_are_refused_with_the_figure(what: str) -> None:
    bad, error, figure = BAD[what]
    with pytest.raises(error, match=figure) as refused:
        table.seal(bad, of_columns(8, 1, 2), EXPONENT, coins(1))
    assert "22" not in str(refused.value), "no value of a row is told"


@pytest.mark.parametrize(
    ("bound", "width", "error", "figure"),
    [
        (0, 4, Malformed, "0 rows"),
        (4, 0, Malformed, "0 bytes"),
        (2**26 + 1, 4, TooLarge, "67,108,865 rows"),
        (4, 65_537, TooLarge, "65,537 bytes"),
    ],
)
def test_sizes_that_no_table_has_are_refused(bound: int, width: int, error: type, figure: str) -> None:
    for make in (chosen, lambda rows, bytes_: of_columns(rows, bytes_, 1)):
        with pytest.raises(error, match=figure):
            make(bound, width)


def test_layouts_and_records_that_contradict_themselves_are_none() -> None:
    for columns, slots in ((3, 9), (0, 9), (2**21, 1), (4, 0), (4, 2), (4, 10)):
        with pytest.raises(Malformed):
            Layout(9, 4, columns, slots)
    good = sealed(20).record
    assert TableRecord.decode(good.canonical()) == good
    for changes in (
        {"name": good.name[1:]},
        {"root": good.root.upper() if good.root != good.root.upper() else "x" * 64},
        {"checks": good.checks[1:]},
        {"hint": "00"},
        {"seed": "zz" * 32},
    ):
        with pytest.raises(Malformed):
            replace(good, **changes)


def test_a_column_of_another_height_is_refused() -> None:
    of = sealed(50)
    found = output(of, b"k")
    with pytest.raises(LinkBroken, match="where a column has"):
        table.opened(of.record, 0, of.matrix[1:, 0].tobytes(), found)


# ------------------------------------------------------------------------------ slots that are enough


@settings(max_examples=200, deadline=None)
@given(st.integers(2, 10**6), st.integers(1, 16), st.integers(0, 400))
def test_the_bound_of_a_full_column_is_above_the_binomial_tail(rows: int, power: int, slots: int) -> None:
    columns = 1 << power
    exact = binom.sf(slots, rows, 1 / columns)
    bound = math.exp(overflow(rows, columns, slots))
    if exact > 1e-100:  # below, the oracle itself is rounded
        assert bound >= exact * (1 - 1e-6)
        assert slots <= 2 * rows / columns + 1 or bound <= 3 * exact, "and not far above where it matters"


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 10**6), st.integers(0, 16))
def test_slots_are_as_few_as_the_bound_allows(rows: int, power: int) -> None:
    columns = 1 << power
    slots = slots_for(rows, columns)
    assert slots * columns >= rows
    if columns > 1:
        assert columns * math.exp(overflow(rows, columns, slots)) <= 0.5
        assert (
            slots == 1
            or columns * math.exp(overflow(rows, columns, slots - 1)) > 0.5
            or slots == math.ceil(rows / columns)
        )


def test_random_places_fit_at_least_as_often_as_the_bound_says() -> None:
    random, bound, columns = np.random.default_rng(5), 2000, 64
    slots = slots_for(bound, columns)
    fits = [np.bincount(random.integers(0, columns, bound)).max() <= slots for _ in range(300)]
    assert np.mean(fits) > 0.5
    tight = [np.bincount(random.integers(0, columns, bound)).max() <= slots - 12 for _ in range(300)]
    assert np.mean(tight) < 0.2, "the control: with a dozen fewer they do not"


def test_a_salt_that_does_not_fit_is_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []
    columns = table._columns

    def crowded(salt: bytes, blocks: np.ndarray, count: int) -> np.ndarray:
        tries.append(salt)
        found = columns(salt, blocks, count)
        return found if len(tries) > 3 or len(blocks) == 1 else np.zeros_like(found)

    monkeypatch.setattr(table, "_columns", crowded)
    of = sealed(200)
    assert len(tries) >= 4 and of.record.salt == tries[-1].hex()


def test_the_chosen_layout_moves_the_fewest_bytes() -> None:
    for bound in (10, 1000, 10**5, 10**7):
        best = layouts.bytes_for_each(chosen(bound, WIDTH, 50), 50)
        shapes = [of_columns(bound, WIDTH, 1 << power) for power in range(21) if 1 << power <= bound]
        assert best == min(layouts.bytes_for_each(shape, 50) for shape in shapes)


# ------------------------------------------------------------------------------------------ the tree


@given(st.integers(0, 5), st.data())
def test_a_column_belongs_to_its_root_at_its_place_only(power: int, data: st.DataObject) -> None:
    columns = 1 << power
    contents = np.random.default_rng(power).integers(0, 256, (columns, 9), dtype=np.uint8)
    root, paths = tree.grown(contents)
    place = data.draw(st.integers(0, columns - 1))
    content, path = contents[place].tobytes(), paths[place].tobytes()
    tree.require_leaf(root, place, content, path)
    other = data.draw(st.integers(0, 2 * columns).filter(lambda at: at != place))
    with pytest.raises(HashMismatch):
        tree.require_leaf(root, other, content, path)
    whole = bytearray(content + path)
    at = data.draw(st.integers(0, 8 * len(whole) - 1))
    whole[at // 8] ^= 1 << at % 8
    with pytest.raises(HashMismatch):
        tree.require_leaf(root, place, bytes(whole[:9]), bytes(whole[9:]))
    with pytest.raises(HashMismatch):
        tree.require_leaf(root, place, content, path + bytes(32))


# --------------------------------------------------------------------- a key that encrypts one record


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=60), st.binary(max_size=9), st.data())
def test_what_a_key_encrypts_once_it_opens_unchanged_and_for_its_use_only(
    key: bytes, text: bytes, use: bytes, data: st.DataObject
) -> None:
    sealed = encrypt_once(key, text, use)
    assert sealed == AESGCM(key).encrypt(bytes(12), text, use) and len(sealed) == len(text) + 16
    assert decrypt_once(key, sealed, use) == text
    changed = bytearray(sealed)
    at = data.draw(st.integers(0, 8 * len(sealed) - 1))
    changed[at // 8] ^= 1 << at % 8
    for attempt in (bytes(changed), sealed[:-1], sealed[:15], b""):
        assert decrypt_once(key, attempt, use) is None
    assert decrypt_once(key, sealed, use + b"x") is None
    assert decrypt_once(bytes([key[0] ^ 1]) + key[1:], sealed, use) is None

"""Promise: identifiers are hashed to the curve as RFC 9380 says, exponents commute, and bad points are refused."""

from __future__ import annotations

import hashlib
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys import ladder
from keys.exchange import POINT, SUITE, Exponent, _mapped, encode, field_elements, on_curve
from keys.exchange_pool import WORTH_COMPILING, ExchangePool
from plans.errors import Defect, LinkBroken, Malformed

P, J = 2**255 - 19, 486_662
TAG = b"QUUX-V01-CS02-with-" + SUITE

# RFC 9380, appendix J.4.2: message, u[0], Q.x, P.x
VECTORS = [
    (
        b"",
        "608d892b641f0328523802a6603427c26e55e6f27e71a91a478148d45b5093cd",
        "51125222da5e763d97f3c10fcc92ea6860b9ccbbd2eb1285728f566721c1e65b",
        "1bb913f0c9daefa0b3375378ffa534bda5526c97391952a7789eb976edfe4d08",
    ),
    (
        b"abc",
        "46f5b22494bfeaa7f232cc8d054be68561af50230234d7d1d63d1d9abeca8da5",
        "7d56d1e08cb0ccb92baf069c18c49bb5a0dcd927eff8dcf75ca921ef7f3e6eeb",
        "7c22950b7d900fa866334262fcaea47a441a578df43b894b4625c9b450f9a026",
    ),
    (
        b"abcdef0123456789",
        "235fe40c443766ce7e18111c33862d66c3b33267efa50d50f9e8e5d252a40aaa",
        "3fbe66b9c9883d79e8407150e7c2a1c8680bee496c62fabe4619a72b3cabe90f",
        "31ad08a8b0deeb2a4d8b0206ca25f567ab4e042746f792f4b7973f3ae2096c52",
    ),
    (
        b"q128_" + b"q" * 128,
        "001e92a544463bda9bd04ddbe3d6eed248f82de32f522669efc5ddce95f46f5b",
        "227e0bb89de700385d19ec40e857db6e6a3e634b1c32962f370d26f84ff19683",
        "027877759d155b1997d0d84683a313eb78bdb493271d935b622900459d52ceaa",
    ),
    (
        b"a512_" + b"a" * 512,
        "1a68a1af9f663592291af987203393f707305c7bac9c8d63d6a729bdc553dc19",
        "3bcd651ee54d5f7b6013898aab251ee8ecc0688166fce6e9548d38472f6bd196",
        "5fd892c0958d1a75f54c3182a18d286efab784e774d1e017ba2fb252998b5dc1",
    ),
]

# RFC 7748, section 6.1, of Curve25519: coordinates of the points of order 1, 2, 4 and 8, and of the twist's
SMALL = [
    0,
    1,
    P - 1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
]


def as_points(*numbers: int) -> np.ndarray:
    return np.frombuffer(b"".join(x.to_bytes(POINT, "little") for x in numbers), dtype=np.uint8).reshape(
        -1, POINT
    )


def times(factor: int, x: int) -> int:
    """[factor]·x on x-coordinates, by doubling and differential addition (RFC 7748, section 5)."""
    x2, z2, x3, z3 = 1, 0, x, 1
    for bit in bin(factor)[2:]:
        if bit == "1":
            x2, z2, x3, z3 = x3, z3, x2, z2
        plus, minus = (x2 + z2) * (x3 - z3), (x2 - z2) * (x3 + z3)
        x3, z3 = (plus + minus) ** 2 % P, x * (plus - minus) ** 2 % P
        square, other = (x2 + z2) ** 2, (x2 - z2) ** 2
        x2, z2 = square * other % P, (square - other) * (square + (J - 2) // 4 * (square - other)) % P
        if bit == "1":
            x2, z2, x3, z3 = x3, z3, x2, z2
    return x2 * pow(z2, P - 2, P) % P


def encode_one(message: bytes) -> int:
    """Hash one message of any length: lists of rows have one width, and not zero."""
    if not message:
        return int(_mapped(field_elements([message], TAG)[0]))
    rows = np.frombuffer(message, dtype=np.uint8).reshape(1, -1)
    return int.from_bytes(encode(rows, TAG).tobytes(), "little")


@pytest.mark.parametrize(
    ("message", "element", "mapped", "cleared"), VECTORS, ids=lambda value: str(value)[:8]
)
def test_the_hash_is_that_of_the_standard(message: bytes, element: str, mapped: str, cleared: str) -> None:
    assert field_elements([message], TAG) == [int(element, 16)]
    assert encode_one(message) == int(mapped, 16)
    assert times(8, int(mapped, 16)) == int(cleared, 16)


def test_exponents_are_those_of_x25519() -> None:
    """RFC 7748, section 5.2, second vector, whose point has the unused highest bit cleared."""
    scalar = bytes.fromhex("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d")
    point = bytearray.fromhex("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493")
    point[-1] &= 0x7F
    rows = np.frombuffer(bytes(point), dtype=np.uint8).reshape(1, -1)
    told = "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"
    assert Exponent(scalar)._raised(rows).tobytes().hex() == told


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=5), st.binary(min_size=96, max_size=96)
)
def test_exponents_commute_and_equal_identifiers_meet(blocks: list[bytes], secrets: bytes) -> None:
    rows = np.frombuffer(b"".join(blocks), dtype=np.uint8).reshape(-1, 16)
    a, b, c = (Exponent(secrets[at : at + 32]) for at in (0, 32, 64))
    one = c.of_points(b.of_points(a.of_identifiers(rows, TAG)))
    other = a.of_points(c.of_points(b.of_identifiers(rows, TAG)))
    assert (one == other).all()
    assert on_curve(one).all()
    assert len({point.tobytes() for point in one}) == len(set(blocks))


def test_every_hash_lies_on_the_curve_where_a_plain_hash_lies_on_the_twist_half_of_the_time() -> None:
    rows = np.random.default_rng(1).integers(0, 256, (2000, 16), dtype=np.uint8)
    assert on_curve(encode(rows, TAG)).all()
    plain = b"".join(hashlib.sha256(row.tobytes()).digest() for row in rows)
    naive = np.frombuffer(plain, dtype=np.uint8).reshape(-1, POINT).copy()
    naive[:, -1] &= 0x7F
    share = on_curve(naive).mean()
    assert 0.45 < share < 0.55
    # and the bit survives every exponent, so that it tells a reader of pseudonyms something of the identifier
    assert (on_curve(Exponent(os.urandom(32))._raised(naive)) == on_curve(naive)).all()


@pytest.mark.parametrize("x", [*SMALL, P, P + 1, 2**255 - 1, 2**256 - 1, 2])
def test_points_of_small_order_of_the_twist_or_not_reduced_are_refused(x: int) -> None:
    """x = 2 lies on the twist."""
    good = Exponent(os.urandom(32)).of_identifiers(np.zeros((3, 16), dtype=np.uint8), TAG)
    rows = np.concatenate([good, as_points(x)])
    with pytest.raises(LinkBroken, match="points for matching") as refused:
        Exponent(os.urandom(32)).of_points(rows)
    assert str(x) not in str(refused.value)


def test_a_point_with_a_small_component_gives_what_the_point_without_it_gives() -> None:
    """Whoever adds such a component to a point would learn three bits of an exponent that is no multiple of 8."""
    plain = int.from_bytes(encode(np.ones((1, 16), dtype=np.uint8), TAG).tobytes(), "little")
    cleared = times(8, plain)
    secret = os.urandom(32)
    order = 2**252 + 27742317777372353535851937790883648493
    same = times(clamped(secret) * pow(8, -1, order) % order, cleared)  # of the point without its component
    assert Exponent(secret).of_points(as_points(plain)).tobytes() == as_points(same).tobytes()


def reduced(x: int) -> bytes:
    return (x % P).to_bytes(POINT, "little")


def test_the_ladder_of_long_lists_gives_what_openssl_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """One test for all of it, since compiling takes seconds: random and odd points, bad ones, and lists in pieces."""
    monkeypatch.setattr("keys.exchange_pool._ROWS", 40)  # a whole block of lanes, and a part of one
    rows = np.frombuffer(os.urandom(16 * 101), dtype=np.uint8).reshape(-1, 16)
    a, b = Exponent(os.urandom(32)), Exponent(bytes(32))
    points = a.of_identifiers(rows, TAG)
    with ExchangePool(a, 2, WORTH_COMPILING) as one, ExchangePool(b, 1, WORTH_COMPILING) as other:
        assert (one.of_identifiers(rows, TAG) == points).all()
        assert (other.of_points(points) == b.of_points(points)).all()
        assert one.of_points(points[:0]).shape == (0, POINT)
        for coordinate in (0, 1, 2, P - 1, P, 2**256 - 1):
            spoilt = points.copy()
            spoilt[77] = as_points(coordinate)
            with pytest.raises(LinkBroken, match="points for matching"):
                other.of_points(spoilt)
        monkeypatch.setattr("keys.ladder.climb", lambda words, _: words)
        with pytest.raises(Defect, match="OpenSSL"):  # a processor or compiler that gets it wrong is noticed
            other.of_points(points)
    monkeypatch.undo()
    edges = [2, 3, 9, P - 2, P - 3, 2**254, 2**255 - 21, *(2**bit - 1 for bit in range(26, 255, 13))]
    for secret in (bytes(32), b"\xff" * 32, os.urandom(32)):
        told = [times(clamped(secret), x) for x in edges]
        words = as_points(*edges).view(np.uint64)
        assert [int.from_bytes(row.tobytes(), "little") for row in ladder.climb(words, secret)] == told


@given(st.lists(st.integers(0, 2**255 - 1) | st.integers(P - 40, 2**255 - 1), min_size=1, max_size=32))
def test_limbs_hold_every_coordinate_and_are_reduced_where_they_leave(numbers: list[int]) -> None:
    words = as_points(*numbers).view(np.uint64)
    x, one, found = (np.zeros(shape, dtype=np.uint64) for shape in (10 * 32, 10 * 32, words.shape))
    ladder._load(x, words, 0)
    ladder._store(found, 0, x, one)
    assert found.tobytes() == b"".join(reduced(number) for number in numbers)


def clamped(secret: bytes) -> int:
    return int.from_bytes(secret, "little") & ~(7 | 3 << 254) | 1 << 254


def test_short_lists_do_without_a_compiler() -> None:
    rows, exponent = np.eye(8, 16, dtype=np.uint8), Exponent(os.urandom(32))
    with ExchangePool(exponent, 4, WORTH_COMPILING - 1) as pool:
        assert repr(pool) == "ExchangePool(climbs=False)"
        points = pool.of_identifiers(rows, TAG)
        assert (points == exponent.of_identifiers(rows, TAG)).all()
        assert (pool.of_points(points) == exponent.of_points(points)).all()


def test_tags_and_exponents_of_other_sizes_are_refused() -> None:
    for tag in (b"", b"x" * 256):
        with pytest.raises(Malformed, match="tag"):
            encode(np.zeros((1, 16), dtype=np.uint8), tag)
    with pytest.raises(Malformed, match="exponent"):
        Exponent(b"short")
    assert repr(Exponent(bytes(range(32)))) == "Exponent()"

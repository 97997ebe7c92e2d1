"""Promise: an owner evaluates a key that it does not see, under the table's exponent, or is found out."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.exchange import Exponent, encode
from mpc.lookup import oprf
from plans.errors import EvidenceBroken, LinkBroken, Malformed, StateConflict
from tests.mpc.lookup_world import ORDER, P, clamped, coins, lifted, multiplied
from tests.mpc.test_uniform_view import LIMIT, chi_square

SECRET = hashlib.sha256(b"an owner").digest()
EXPONENT = Exponent(SECRET)
TABLE = "5a" * 16
DIGESTS = oprf.check_digests(EXPONENT, TABLE)


def hashed(key: bytes) -> int:
    point = encode(oprf.blocks_of([key]), oprf._tag(TABLE))[0]
    return int.from_bytes(point.tobytes(), "little")


def output(key: bytes) -> bytes:
    return oprf.outputs(EXPONENT, oprf.blocks_of([key]), TABLE)[0].tobytes()


# ------------------------------------------------------------------------------------------ right


@settings(max_examples=25, deadline=None)
@given(st.binary(min_size=1, max_size=40), st.integers(0, 1000))
def test_what_a_seeker_gets_is_what_the_owner_has_for_this_key(key: bytes, seed: int) -> None:
    question = oprf.Question.of(key, TABLE, coins(seed))
    assert question.output(oprf.evaluate(EXPONENT, question.blinded), DIGESTS) == output(key)


def test_the_output_is_the_hash_of_the_point_that_affine_arithmetic_finds() -> None:
    point = multiplied(clamped(SECRET), lifted(hashed(b"somebody")))
    assert point is not None and multiplied(ORDER, point) is None, "it is of the subgroup of prime order"
    block = hashlib.sha256(b"key/somebody").digest()
    raw = point[0].to_bytes(32, "little")
    assert output(b"somebody") == hashlib.sha512(b"\0\x20" + block + b"\0\x20" + raw + b"Finalize").digest()


@settings(max_examples=40, deadline=None)
@given(st.one_of(st.integers(1, 40), st.integers(1, 8 * ORDER - 1)), st.binary(min_size=1, max_size=8))
def test_the_ladder_is_multiplication_for_every_number(scalar: int, key: bytes) -> None:
    x = hashed(key)
    point = multiplied(scalar, lifted(x))
    if point is not None and point[0]:
        assert oprf._raised(scalar, x.to_bytes(32, "little")) == point[0].to_bytes(32, "little")


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(min_size=1, max_size=8))
def test_the_ladder_gives_what_openssl_gives_for_clamped_numbers(secret: bytes, key: bytes) -> None:
    x = hashed(key).to_bytes(32, "little")
    theirs = X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(x))
    assert oprf._raised(clamped(secret), x) == theirs


def test_clamped_exponents_could_not_be_undone() -> None:
    """Why the seeker's are not: of the inverses of clamped numbers, half are no clamped number modulo the order."""
    found = 0
    for seed in range(200):
        inverse = pow(clamped(hashlib.sha256(bytes([seed])).digest()), -1, ORDER)
        eighth = (inverse - 2**254) * pow(8, -1, ORDER) % ORDER  # of inverse ≡ 2^254 + 8·eighth
        found += eighth < 2**251
    assert 60 < found < 140


def test_tables_and_keys_have_outputs_of_their_own() -> None:
    blocks = oprf.blocks_of([b"a", b"b", b"ab", b"check/\0"])
    found = np.concatenate([oprf.outputs(EXPONENT, blocks, name) for name in (TABLE, "6b" * 16)])
    assert len({row.tobytes() for row in found}) == 8


# ------------------------------------------------------------------------------ the owner learns nothing


def blinded(key: bytes, count: int = 400) -> bytes:
    stream = coins(7)
    raw = b"".join(oprf.Question.of(key, TABLE, stream).blinded for _ in range(count))
    # the highest byte of a coordinate is less than 128
    return np.frombuffer(raw, np.uint8).reshape(-1, 32)[:, :31].tobytes()


def test_what_the_owner_is_sent_is_uniform_whatever_the_key() -> None:
    for key in (b"1", b"150102198001010000"):
        assert chi_square(blinded(key)) < LIMIT


def test_control_without_blinding_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oprf, "_scalar", lambda _: 1)
    assert chi_square(blinded(b"1")) > 10 * LIMIT


def test_the_owners_guess_of_the_key_is_right_only_without_blinding(monkeypatch: pytest.MonkeyPatch) -> None:
    """ATTACKS 95: the owner hashes every candidate, clears the cofactor, and compares."""
    candidates = [b"%d" % number for number in range(20)]
    tried = {oprf._raised(8, hashed(key).to_bytes(32, "little")): key for key in candidates}

    def guesses(seed: int) -> list[bytes]:
        raw = oprf.Question.of(b"13", TABLE, coins(seed)).blinded
        return [tried[raw[at : at + 32]] for at in range(0, len(raw), 32) if raw[at : at + 32] in tried]

    assert [guesses(seed) for seed in range(5)] == [[]] * 5
    monkeypatch.setattr(oprf, "_scalar", lambda _: 1)
    assert [guesses(seed) for seed in range(5)] == [[b"13"]] * 5


def test_places_of_the_key_among_the_checks_are_all_taken() -> None:
    places = [oprf.Question.of(b"k", TABLE, coins(seed))._place for seed in range(80)]
    assert set(places) == set(range(oprf.CHECKS + 1))


# ----------------------------------------------------------------------- what comes from others is checked

SMALL = [0, 1, P - 1, 39382357235489614581723060781553021112529911719440698176882885853963445705823]
TWIST = next(x for x in range(2, 50) if pow(x * (x * (x + 486_662) + 1), (P - 1) // 2, P) == P - 1)


@pytest.mark.parametrize("point", [*SMALL, TWIST, P, P + 5, 2**255 - 1, 2**256 - 1])
def test_points_that_are_none_are_refused_on_both_sides(point: int) -> None:
    question = oprf.Question.of(b"k", TABLE, coins(1))
    bad = question.blinded[:96] + point.to_bytes(32, "little")
    with pytest.raises(LinkBroken):
        oprf.evaluate(EXPONENT, bad)
    with pytest.raises(LinkBroken):
        question.output(bad, DIGESTS)


@pytest.mark.parametrize("size", [0, 32, 127, 129, 160])
def test_another_number_of_points_is_refused(size: int) -> None:
    with pytest.raises(LinkBroken, match=str(size)):
        oprf.evaluate(EXPONENT, bytes(size))


def test_a_component_of_small_order_that_somebody_adds_is_gone() -> None:
    """The owner adds the point of order 2 to all it returns: neither the output nor a failure tells it anything."""
    question = oprf.Question.of(b"k", TABLE, coins(4))
    evaluated = oprf.evaluate(EXPONENT, question.blinded)
    twisted = b""
    for at in range(0, len(evaluated), 32):
        point = lifted(int.from_bytes(evaluated[at : at + 32], "little"))
        assert point is not None
        twisted += pow(point[0], -1, P).to_bytes(32, "little")  # P + (0, 0) has the coordinate 1/x
    assert twisted != evaluated
    assert question.output(twisted, DIGESTS) == output(b"k")


@pytest.mark.parametrize("keys", [[b""], [b"a", b"", b"b"], [b"x" * 1025]])
def test_keys_that_are_none_are_counted_and_not_shown(keys: list[bytes]) -> None:
    with pytest.raises(Malformed, match="1 keys are empty or longer than 1,024"):
        oprf.blocks_of(keys)


# -------------------------------------------------------------------------- another exponent is found out


def cheated(question: oprf.Question, places: set[int]) -> bytes:
    other = Exponent(hashlib.sha256(b"another").digest())
    right, wrong = (oprf.evaluate(each, question.blinded) for each in (EXPONENT, other))
    parts = [wrong if at in places else right for at in range(oprf.CHECKS + 1)]
    return b"".join(part[32 * at : 32 * at + 32] for at, part in enumerate(parts))


def test_who_evaluates_everything_otherwise_is_always_found_out() -> None:
    for seed in range(10):
        question = oprf.Question.of(b"k", TABLE, coins(seed))
        with pytest.raises(EvidenceBroken, match="another exponent"):
            question.output(cheated(question, {0, 1, 2, 3}), DIGESTS)


def test_who_evaluates_one_otherwise_is_found_out_three_times_of_four() -> None:
    found = 0
    for seed in range(200):
        question = oprf.Question.of(b"k", TABLE, coins(seed))
        try:
            assert question.output(cheated(question, {2}), DIGESTS) != output(b"k")
        except EvidenceBroken:
            found += 1
    assert 125 < found < 175


def test_control_without_check_keys_another_exponent_makes_a_false_output(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(oprf, "_check_digest", lambda _: "same")
    question = oprf.Question.of(b"k", TABLE, coins(1))
    assert question.output(cheated(question, {0, 1, 2, 3}), ["same"] * 3) != output(b"k")


def test_a_question_is_opened_once() -> None:
    question = oprf.Question.of(b"k", TABLE, coins(1))
    evaluated = oprf.evaluate(EXPONENT, question.blinded)
    question.output(evaluated, DIGESTS)
    with pytest.raises(StateConflict):
        question.output(evaluated, DIGESTS)
    assert "k" not in repr(question).replace("blinded", "")[:12] and "_blocks" not in repr(question)

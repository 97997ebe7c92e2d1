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
from tests.mpc.lookup_world import ORDER, P, clamped, coins, lifted, times_point
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


def evaluated(question: oprf.Question, exponent: Exponent = EXPONENT) -> bytes:
    """What an owner reveals that follows the protocol."""
    evaluation = oprf.Evaluation.of(exponent, TABLE, question.blinded)
    return evaluation.revealed(question.opening(evaluation.commitment))


# ------------------------------------------------------------------------------------------ right


@settings(max_examples=25, deadline=None)
@given(st.binary(min_size=1, max_size=40), st.integers(0, 1000))
def test_what_a_seeker_gets_is_what_the_owner_has_for_this_key(key: bytes, seed: int) -> None:
    question = oprf.Question.of(key, TABLE, coins(seed))
    assert question.output(evaluated(question), DIGESTS) == output(key)


def test_the_output_is_the_hash_of_the_point_that_affine_arithmetic_finds() -> None:
    point = times_point(clamped(SECRET), lifted(hashed(b"somebody")))
    assert point is not None and times_point(ORDER, point) is None, "it is of the subgroup of prime order"
    block = hashlib.sha256(b"key/somebody").digest()
    raw = point[0].to_bytes(32, "little")
    assert output(b"somebody") == hashlib.sha512(b"\0\x20" + block + b"\0\x20" + raw + b"Finalize").digest()


@settings(max_examples=40, deadline=None)
@given(st.one_of(st.integers(1, 40), st.integers(1, 8 * ORDER - 1)), st.binary(min_size=1, max_size=8))
def test_the_ladder_is_multiplication_for_every_number(scalar: int, key: bytes) -> None:
    x = hashed(key)
    point = times_point(scalar, lifted(x))
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
        oprf.Evaluation.of(EXPONENT, TABLE, bad)
    with pytest.raises(LinkBroken):
        taken(question, bytes(32) + bad)


@pytest.mark.parametrize("size", [0, 32, 127, 129, 160])
def test_messages_of_another_size_are_refused(size: int) -> None:
    with pytest.raises(LinkBroken, match=str(size)):
        oprf.Evaluation.of(EXPONENT, TABLE, bytes(size))
    question = oprf.Question.of(b"k", TABLE, coins(1))
    evaluation = oprf.Evaluation.of(EXPONENT, TABLE, question.blinded)
    with pytest.raises(LinkBroken, match="no opening"):
        evaluation.revealed(bytes(size))
    with pytest.raises(LinkBroken):
        taken(question, bytes(32 + size))
    if size != 32:
        with pytest.raises(LinkBroken, match="a commitment has"):
            oprf.Question.of(b"k", TABLE, coins(1)).opening(bytes(size))


def taken(question: oprf.Question, revealed: bytes) -> bytes:
    """What a seeker makes of anything that an owner has committed to."""
    question.opening(oprf._commitment(question.blinded, revealed))
    return question.output(revealed, DIGESTS)


def test_a_component_of_small_order_that_somebody_adds_is_gone() -> None:
    """The owner adds the point of order 2 to all it returns: neither the output nor a failure tells it anything."""
    question = oprf.Question.of(b"k", TABLE, coins(4))
    points = EXPONENT.of_points(np.frombuffer(question.blinded, np.uint8).reshape(-1, 32))
    twisted = b""
    for row in points:
        point = lifted(int.from_bytes(row.tobytes(), "little"))
        assert point is not None
        twisted += pow(point[0], -1, P).to_bytes(32, "little")  # P + (0, 0) has the coordinate 1/x
    assert twisted != points.tobytes()
    assert taken(question, bytes(32) + twisted) == output(b"k")


@pytest.mark.parametrize("keys", [[b""], [b"a", b"", b"b"], [b"x" * 1025]])
def test_keys_that_are_none_are_counted_and_not_shown(keys: list[bytes]) -> None:
    with pytest.raises(Malformed, match="1 keys are empty or longer than 1,024"):
        oprf.blocks_of(keys)


# -------------------------------------------------------------------------- another exponent is found out


def cheated(question: oprf.Question, places: set[int]) -> bytes:
    other = Exponent(hashlib.sha256(b"another").digest())
    points = np.frombuffer(question.blinded, np.uint8).reshape(-1, 32)
    right, wrong = EXPONENT.of_points(points), other.of_points(points)
    rows = [wrong[at] if at in places else right[at] for at in range(oprf.CHECKS + 1)]
    return bytes(32) + np.concatenate(rows).tobytes()


def test_who_evaluates_everything_otherwise_is_always_found_out() -> None:
    for seed in range(10):
        question = oprf.Question.of(b"k", TABLE, coins(seed))
        with pytest.raises(EvidenceBroken, match="another exponent"):
            taken(question, cheated(question, {0, 1, 2, 3}))


def test_who_evaluates_one_otherwise_is_found_out_three_times_of_four() -> None:
    found = 0
    for seed in range(200):
        question = oprf.Question.of(b"k", TABLE, coins(seed))
        try:
            assert taken(question, cheated(question, {2})) != output(b"k")
        except EvidenceBroken:
            found += 1
    assert 125 < found < 175


def test_control_without_check_keys_another_exponent_makes_a_false_output(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(oprf, "_check_digest", lambda _: "same")
    question = oprf.Question.of(b"k", TABLE, coins(1))
    raw = cheated(question, {0, 1, 2, 3})
    question.opening(oprf._commitment(question.blinded, raw))
    assert question.output(raw, ["same"] * 3) != output(b"k")


def test_an_owner_cannot_wait_until_it_knows_which_point_is_the_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """It commits to honest points, hears which is the key's, and reveals another one there."""

    def late(seed: int) -> bytes:
        question = oprf.Question.of(b"k", TABLE, coins(seed))
        opening = question.opening(oprf._commitment(question.blinded, cheated(question, set())))
        return question.output(cheated(question, {opening[0]}), DIGESTS)

    with pytest.raises(EvidenceBroken, match="committed to"):
        late(1)
    monkeypatch.setattr(
        oprf, "_commitment", lambda *_: b"c" * 32
    )  # the control: commitments that bind nothing
    assert late(1) != output(b"k")


# ------------------------------------------------------------------------- one grant is for one evaluation


def four_keys(seed: int) -> tuple[oprf.Question, list[bytes]]:
    """A seeker that sends four keys of its own; it says that the last three are the check keys."""
    keys = [b"a", b"b", b"c", b"d"]
    asked = [oprf.Question.of(key, TABLE, coins(seed + at)) for at, key in enumerate(keys)]
    points = [each.blinded[32 * each._place :][:32] for each in asked]
    blinds = [each._blinds[each._place] for each in asked]
    question = oprf.Question(b"".join(points), oprf.blocks_of(keys), blinds, 0)
    return question, keys


def test_a_seeker_that_sends_other_keys_beside_its_own_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: an owner that does not look at the opening gives four outputs for one grant."""
    question, keys = four_keys(1)
    with pytest.raises(EvidenceBroken, match="beside a key"):
        evaluated(question)

    question, keys = four_keys(1)
    raised, sent = oprf._raised, iter([question.blinded[32 * at :][:32] for at in (1, 2, 3)])
    evaluation = oprf.Evaluation.of(EXPONENT, TABLE, question.blinded)
    opening = question.opening(evaluation.commitment)
    with monkeypatch.context() as blind_owner:
        blind_owner.setattr(oprf, "_raised", lambda *_: next(sent))  # it finds whatever came
        raw = evaluation.revealed(opening)
    found = [
        oprf._finalised(block.tobytes(), raised(oprf._undoing(blind), raw[32 + 32 * at :][:32]))
        for at, (block, blind) in enumerate(zip(question._blocks, question._blinds, strict=True))
    ]
    assert found == [output(key) for key in keys]


def test_nothing_of_an_evaluation_is_known_before_it_is_revealed() -> None:
    question = oprf.Question.of(b"k", TABLE, coins(1))
    made = [oprf.Evaluation.of(EXPONENT, TABLE, question.blinded) for _ in range(2)]
    assert made[0].commitment != made[1].commitment, "a nonce hides what was committed to"
    assert chi_square(b"".join(each.commitment for each in made)) < LIMIT
    assert made[0]._evaluated.hex() not in repr(made[0]) and "_evaluated" not in repr(made[0])


def test_each_side_opens_and_reveals_once() -> None:
    question = oprf.Question.of(b"k", TABLE, coins(1))
    evaluation = oprf.Evaluation.of(EXPONENT, TABLE, question.blinded)
    with pytest.raises(StateConflict):
        question.output(bytes(160), DIGESTS)
    opening = question.opening(evaluation.commitment)
    with pytest.raises(StateConflict):
        question.opening(evaluation.commitment)
    revealed = evaluation.revealed(opening)
    with pytest.raises(StateConflict):
        evaluation.revealed(opening)
    question.output(revealed, DIGESTS)
    with pytest.raises(StateConflict):
        question.output(revealed, DIGESTS)
    assert "_blinds" not in repr(question) and "_place" not in repr(question)


@pytest.mark.parametrize("change", [(0, 4), (0, 255), (1, 0)], ids=["no such place", "far", "zero"])
def test_an_opening_that_nobody_makes_is_refused(change: tuple[int, int]) -> None:
    question = oprf.Question.of(b"k", TABLE, coins(1))
    evaluation = oprf.Evaluation.of(EXPONENT, TABLE, question.blinded)
    opening = bytearray(question.opening(evaluation.commitment))
    if change[0]:
        opening[1:33] = bytes(32)
    else:
        opening[0] = change[1]
    with pytest.raises(LinkBroken, match="no opening"):
        evaluation.revealed(bytes(opening))

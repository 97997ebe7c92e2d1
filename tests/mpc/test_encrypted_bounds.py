"""Promise: no ciphertext has more noise than the planner proved, and a plan's last bit of noise still decrypts right.

The oracle of fresh noise is the noise itself, which the secret key lays bare; of products, SEAL's own budget.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import log2

import numpy as np
import pytest
from tenseal import sealapi

from mpc.encrypted import arithmetic, bounds, inner, matrix, planner, scoring, sealing, trees
from mpc.encrypted.numbers import is_prime, joined, primes_below
from mpc.encrypted.packing import Columns
from mpc.encrypted.parameters import SECURE_BITS, Packing, Parameters
from plans.errors import Defect, Malformed
from tests.mpc.encrypted_case import box, budget, noise_of, opener, public  # noqa: F401

pytestmark = pytest.mark.usefixtures("box")
ONE = planner.plan_sums(2, 1, 1 << 20).parameters


def fresh(count: int, seeded: bool) -> np.ndarray:
    """Return the noise of fresh encryptions of zero, coefficient by coefficient."""
    opened, seal = opener(ONE), sealing.Seal(ONE)
    encryptor = sealing.public_encryptor(seal, public(ONE))
    found = []
    for _ in range(count):
        if seeded:
            first, seed = opened.zero()
            words = seal.words(seal.seeded(first, seed))
        else:
            words = sealing.fresh_zero(seal, encryptor)
        found.append(noise_of(opened, words, np.zeros(4096, dtype=np.int64)))
    return np.concatenate(found)


def test_fresh_errors_are_centred_binomials_of_21_coins_on_either_side() -> None:
    """What `bounds.ERROR` rests on; a wider error would be found in these 41 thousand."""
    noise = fresh(10, seeded=True)
    assert np.abs(noise).max() <= bounds.ERROR
    assert abs(noise.var() - 10.5) < 0.5 and abs(noise.mean()) < 0.1
    assert np.abs(np.random.default_rng(1).normal(0, 10.5, noise.size)).max() > bounds.ERROR


def test_noise_under_a_public_key_is_within_its_bound() -> None:
    noise = fresh(10, seeded=False)
    assert np.abs(noise).max() <= bounds.fresh(ONE, seeded=False)
    assert np.abs(noise).max() > bounds.ERROR, "it is another kind of noise than under the secret key"


@pytest.mark.parametrize(
    "parameters", [ONE, planner.plan_sums(3, 1, 1 << 100).parameters], ids=["one", "several"]
)
def test_the_last_noise_that_is_allowed_decrypts_and_noise_beyond_does_not(parameters: Parameters) -> None:
    """Noise of the worst size, put into the ciphertext by hand: 4·t·‖v‖ ≤ q is right, 2·t·‖v‖ > q wrong."""
    t, q, opened = parameters.plains[0], parameters.q, opener(parameters)
    numbers = np.array([0, 1, -1, t // 2 - 1, -(t // 2) + 1] * 800 + [0] * 96, dtype=np.int64)
    encoded = arithmetic.encode(parameters, numbers)
    for noise, right in ((q // (4 * t), True), (-(q // (4 * t)), True), (q // (2 * t) + t, False)):
        words = np.stack([encoded, np.zeros_like(encoded)])
        words[0] = (words[0].astype(object) + noise) % q
        # A second polynomial of zeros would be transparent: an encryption of zero hides the message.
        first, seed = opened.zero()
        seal = sealing.Seal(parameters)
        zero = seal.words(seal.seeded(first, seed))
        arithmetic.add_into(words, zero, parameters)
        found = arithmetic.centred(opened.decrypt(words), t)
        assert bool((found == numbers).all()) is right


def planned_products() -> dict[str, planner.Planned]:
    return {
        "products": planner.plan_products(9000, (1, 1), 1 << 12, 1 << 12),
        "matrix": planner.plan_matrix(64, 1 << 8, 1 << 8),
        "trees": planner.plan_trees(100, 3, 2, 100),
    }


def test_a_product_and_a_switching_stay_within_their_bounds() -> None:
    """Against SEAL's budget, log2 of q/(2·t·‖v‖) rounded down: at least what the bounds leave."""
    parameters = planned_products()["trees"].parameters
    opened, seal = opener(parameters), sealing.Seal(parameters)
    keys = sealing.relinearisation_keys(seal, opened.relinearisation_words())
    values = np.arange(parameters.degree) % 1000
    one, other = (seal.seeded(*opened.slots(values)) for _ in range(2))
    noise = bounds.fresh(parameters, seeded=True)
    assert budget(opened, seal.words(one)) >= left(parameters, noise)
    seal.evaluator.multiply_inplace(one, other)
    noise = bounds.multiplied(parameters, noise, noise)
    assert budget(opened, seal.words(one)) >= left(parameters, noise)
    seal.evaluator.relinearize_inplace(one, keys)
    noise += bounds.switched(parameters)
    assert left(parameters, noise) <= budget(opened, seal.words(one)) < left(parameters, Fraction(1))
    seal.evaluator.multiply_plain_inplace(one, seal.slots(np.arange(parameters.degree, dtype=np.uint64)))
    noise = bounds.times_plain(parameters, noise, bounds.slot_weight(parameters))
    assert budget(opened, seal.words(one)) >= left(parameters, noise)


def left(parameters: Parameters, noise: Fraction) -> int:
    return int(log2(parameters.q) - log2(2 * parameters.plains[0]) - log2(noise)) - 1


def test_switching_is_near_enough_to_its_bound_to_mean_something() -> None:
    """A rotation's noise, read with the secret key, is below the bound and above a millionth of it."""
    parameters = planned_products()["matrix"].parameters
    opened, seal = opener(parameters), sealing.Seal(parameters)
    keys = sealing.rotation_keys(seal, opened.rotation_words())
    before = seal.seeded(*opened.slots(np.zeros(parameters.degree, dtype=np.int64)))
    seal.evaluator.rotate_rows_inplace(before, 1, keys)
    found = budget(opened, seal.words(before))
    bound = left(parameters, bounds.fresh(parameters, seeded=True) + bounds.switched(parameters))
    assert bound <= found <= bound + 20


def bare_answers() -> dict[str, tuple[Parameters, Fraction, bytes]]:
    """Answers without flooding: parameters, the bound that their planner took, and what the other party sends."""
    found: dict[str, tuple[Parameters, Fraction, bytes]] = {}
    rng, signs = np.random.default_rng(8), np.array([1, -1, -1, 0])

    def planned(plan: planner.Planned) -> tuple[Parameters, sealing.Opener]:
        parameters = replace(plan.parameters, flood_bits=0)
        return parameters, opener(parameters)

    parameters, owner = planned(planner.plan_scores(100, 4, 1000, 1 << 15))
    raw = Columns(parameters, 4, 100).encrypt(owner, list(rng.integers(-1000, 1001, (4, 100))), 1000)
    model = scoring.LinearModel(tuple((signs * (1 << 15)).tolist()), -(1 << 15), 1 << 15)
    noise = bounds.times_plain(parameters, bounds.fresh(parameters, seeded=True), 4 << 15)
    found["scores"] = parameters, noise, scoring.Scorer(parameters, public(parameters)).score(raw, 100, model)

    parameters, owner = planned(planner.plan_products(9000, (1, 1), 1000, 1000))
    shape = Columns(parameters, 1, 9000)
    raw = shape.encrypt(owner, [rng.integers(-1000, 1001, 9000)], 1000)
    answer = inner.Right(parameters, public(parameters)).products(raw, shape, [np.full(9000, -1000)], 1000)
    noise = bounds.times_plain(parameters, bounds.fresh(parameters, seeded=True), 9000 * 1000) + 1
    found["products"] = parameters, noise, answer

    parameters, owner = planned(planner.plan_matrix(16, 100, 100))
    multiplier = matrix.Multiplier(parameters, public(parameters), owner.rotation_words())
    vector = multiplier.seal.seeded(*owner.slots(matrix.spread(np.full(16, -100), parameters)))
    noise = planner.noise_of_matrix(parameters, 4, 4)
    found["matrix"] = parameters, noise, multiplier.product(vector, np.full((16, 16), -100), 100)

    parameters, owner = planned(planner.plan_trees(100, 3, 2, 1000))
    shape = Columns(parameters, 3, 100)
    raw = shape.encrypt(owner, list(rng.integers(0, 2, (3, 100))), 1)
    scorer = trees.TreeScorer(parameters, public(parameters), owner.relinearisation_words())
    model = [trees.Tree(0, 1, 2, (1000, -1000, -1000, 1000)), trees.Tree(1, 0, 2, (-1000, 1000, 1000, -1000))]
    noise = planner.noise_of_trees(parameters, 2, 1000)
    found["trees"] = parameters, noise, scorer.score(raw, shape, model, 1000)
    return found


def test_answers_stay_within_their_bounds_before_they_are_flooded() -> None:
    """Flooding must not hide that noise was larger than proved, as it is where SEAL multiplies by a negative number."""
    for name, (parameters, noise, answer) in bare_answers().items():
        words = np.frombuffer(answer, dtype="<u8").reshape(-1, 2, len(parameters.moduli), parameters.degree)
        bound = noise + bounds.fresh(parameters, seeded=False)
        for block in words:
            assert budget(opener(parameters), block) >= left(parameters, bound), name


def test_control_seal_multiplies_noise_by_t_where_a_plaintext_is_one_negative_number() -> None:
    parameters = bare_answers()["scores"][0]
    seal, owner = sealing.Seal(parameters), opener(parameters)
    first, seed = owner.zero()
    ciphertext, t = seal.seeded(first, seed), parameters.plains[0]
    seal.evaluator.multiply_plain_inplace(ciphertext, sealapi.Plaintext(f"{t - 3:x}"))
    proved = bounds.times_plain(parameters, bounds.fresh(parameters, seeded=True), 3)
    assert budget(owner, seal.words(ciphertext)) < left(parameters, proved)
    for number in (-3, 0, t // 2):
        with pytest.raises(Defect, match="positive number below t/2"):
            seal.scalar(number)


@pytest.mark.parametrize("name", ["products", "matrix", "trees"])
def test_every_plan_is_safe_and_decrypts_with_noise_to_spare(name: str) -> None:
    planned = planned_products()[name]
    found = planned.parameters
    assert found.bits <= SECURE_BITS[found.degree] and planned.spare_bits >= 0
    assert found.flood_bits > bounds.STATISTICAL


def test_flooding_covers_what_it_hides_by_forty_bits() -> None:
    for noise in (Fraction(1), Fraction(21), Fraction(10**9, 7)):
        assert Fraction(noise, 1 << bounds.flood_for(noise)) <= Fraction(1, 1 << 40)
        assert Fraction(noise * 8192, 1 << bounds.flood_for(noise, 8192)) <= Fraction(1, 1 << 40)


def test_noise_that_floods_is_uniform_over_its_whole_range() -> None:
    """Mean, width and top bit of 80 thousand numbers, modulo two primes that must agree."""
    parameters = planner.plan_products(9000, (1, 1), 1 << 12, 1 << 12).parameters
    stream = arithmetic.MaskStream(bytes(32))
    primes, size = parameters.primes, 1 << parameters.flood_bits
    drawn = []
    for _ in range(4):
        noise = arithmetic.uniform_noise(parameters, stream)
        drawn += [joined(residues, primes) for residues in zip(*(row.tolist() for row in noise), strict=True)]
    assert min(drawn) >= -size and max(drawn) < size
    scaled = np.array([number / size for number in drawn])
    assert abs(scaled.mean()) < 0.02 and abs(scaled.var() - 1 / 3) < 0.01
    assert abs(np.mean([number & 1 for number in drawn]) - 0.5) < 0.02


def test_primes_are_prime_and_of_the_form_that_was_asked_for() -> None:
    small = [number for number in range(2000) if is_prime(number)]
    assert small == [n for n in range(2, 2000) if all(n % d for d in range(2, int(n**0.5) + 1))]
    assert not is_prime(3215031751) and not is_prime(3825123056546413051), (
        "strong pseudoprimes to 4 and to 9 bases"
    )
    for prime in primes_below(60, 1 << 46, 5):
        assert prime % (1 << 46) == 1 and prime.bit_length() == 60
    with pytest.raises(Malformed, match="not 9 primes"):
        primes_below(20, 1 << 16, 9)


def test_numbers_come_back_from_their_residues() -> None:
    moduli = primes_below(13, 2, 10)
    for number in (0, 1, -1, 2**126, -(2**126)):
        assert joined(tuple(number % modulus for modulus in moduli), moduli) == number


def test_slots_need_a_prime_that_has_roots() -> None:
    good = planner.plan_matrix(64, 4, 4).parameters
    with pytest.raises(Malformed, match="fit the packing"):
        Parameters(good.degree, good.moduli, good.special, ("65536",), Packing.SLOTS)

"""How much noise a ciphertext can have, proved: each function bounds what the step before left, in the worst case.

A ciphertext (c0, c1) under the secret s decrypts to its phase c0 + c1·s = (q/t)·m + v modulo q, over polynomials with
rational coefficients; v is its noise, and `decrypts` says when m comes out. Multiples of t in m do not count, since
(q/t)·t = q. All norms are the largest absolute coefficient; ‖a·b‖ ≤ N·‖a‖·‖b‖, and ‖a·b‖ ≤ ‖a‖₁·‖b‖ (‖·‖₁: the sum of
absolute coefficients). s has coefficients −1, 0, 1. Fresh errors are centred binomials of 2 × 21 coins, so at most 21
(SEAL 4, `SEAL_USE_GAUSSIAN_NOISE` off, as TenSEAL builds it; a test looks at them with the secret key).

These are worst cases, not averages: no plan that is accepted has a chance to decrypt wrongly. That is also what closes
attacks on exact schemes by decryption failures, which need such a chance (Cheon, Choe, Passelègue, Stehlé and Suvanto,
"Attacks Against the IND-CPA-D Security of Exact FHE Schemes", CCS 2024; Checri, Sirdey, Boudguiga and Bultel, "On the
Practical CPA-D Security of 'exact' and Threshold FHE Schemes and Libraries", CRYPTO 2024).
"""

from __future__ import annotations

from fractions import Fraction

from mpc.encrypted.parameters import Packing, Parameters

ERROR = 21
"""The largest absolute value of a fresh error."""

STATISTICAL = 40
"""Bits: how far two distributions of flooded results may be apart, 2^−40 for each result."""

_HALF = Fraction(1, 2)


def fresh(parameters: Parameters, seeded: bool) -> Fraction:
    """Return the bound on a fresh ciphertext's noise.

    Under the secret key it is e with |e| ≤ 21. Under the public key (b, a), b = −a·s + e', it is made modulo q·p as
    (b·u + e0, a·u + e1) with u of −1, 0, 1: the phase is u·e' + e0 + e1·s, at most 21·(2N + 1). SEAL then divides both
    polynomials by p and rounds: that noise becomes 1/p of itself, and rounding adds at most 1/2 · (1 + ‖s‖₁).
    Encoding adds at most 1/2: the plaintext is round(q·m/t).
    """
    n = parameters.degree
    if seeded:
        return ERROR + _HALF
    made = Fraction(ERROR * (2 * n + 1), int(parameters.special))
    return made + Fraction(1 + n, 2) + _HALF


def added(noise: Fraction, count: int) -> Fraction:
    """Return the bound after `count` ciphertexts are added, each with noise up to `noise`."""
    return noise * count


def times_plain(parameters: Parameters, noise: Fraction, weight: int) -> Fraction:
    """Return the bound after products with plaintexts are added up whose absolute coefficients sum to `weight`.

    The phase is multiplied as it is: (q/t)·m·w + v·w, and ‖v·w‖ ≤ ‖v‖·‖w‖₁. Plaintexts are taken with signs, as SEAL
    lifts them (coefficients above t/2 stand for negative ones).
    """
    return noise * weight


def slot_weight(parameters: Parameters) -> int:
    """Return the largest sum of absolute coefficients that a plaintext in slots can have: N·t/2."""
    return parameters.degree * max(parameters.plains) // 2


def multiplied(parameters: Parameters, one: Fraction, other: Fraction) -> Fraction:
    """Return the bound after a product of two ciphertexts, of three polynomials, before relinearisation.

    Let the polynomials be represented by integers of at most K·q. Then c(s) = (q/t)·M + v over the integers, with
    M = m + t·r and ‖M‖ ≤ t·R, R = K·(1 + N) + 2 (since t·(K·q·(1 + N) + ‖v‖)/q ≤ t·R as long as ‖v‖ ≤ q). The scaled
    product is (t/q)·c·c' = (q/t)·M·M' + M·v' + M'·v + (t/q)·v·v', and M·M' is m·m' modulo t. So the noise is at most
    N·t·R·(‖v‖ + ‖v'‖) + N·t·‖v‖·‖v'‖/q, and rounding each of three polynomials to within K adds K·(1 + N + N²).

    SEAL multiplies by the method of Bajard, Eynard, Hasan and Zucca (eprint 2016/510), whose fast conversions leave
    representatives within k·q and floors within k, k the number of primes: K = k + 1 bounds both.
    """
    n, t, q = parameters.degree, max(parameters.plains), parameters.q
    k = len(parameters.moduli) + 1
    reach = k * (1 + n) + 2
    return n * t * reach * (one + other) + n * t * one * other / q + k * (1 + n + n * n)


def switched(parameters: Parameters) -> Fraction:
    """Return what one switching of keys adds (relinearisation, or a rotation).

    Each polynomial is cut into its residues modulo the k primes, below 2^60 each, times errors of at most 21, then
    divided by p: k·N·2^60·21/p, and rounding adds 1/2·(1 + N) (SEAL 4, `switch_key_inplace`: one digit for each prime).
    """
    n = parameters.degree
    digits = len(parameters.moduli) * n * max(parameters.primes) * ERROR
    return Fraction(digits, int(parameters.special)) + Fraction(1 + n, 2)


def flooded(parameters: Parameters, noise: Fraction) -> Fraction:
    """Return the bound after a result was flooded, and made fresh by an encryption of zero."""
    return noise + (1 << parameters.flood_bits) + fresh(parameters, seeded=False)


def flood_for(noise: Fraction, places: int = 1) -> int:
    """Return the bits of uniform noise that hide any noise up to `noise`.

    Uniform numbers in −F … F−1, shifted by any two amounts of at most V, are at most V/F apart in statistical
    distance, and distances of several coefficients add up: F ≥ 2^40 · `places` · V keeps all together below 2^−40
    (noise flooding: Gentry, STOC 2009; Asharov et al., "Multiparty Computation with Low Communication, Computation and
    Interaction via Threshold FHE", EUROCRYPT 2012, lemma 2.1).

    Args:
        noise: V.
        places: how many coefficients are hidden together; 1 bounds each by itself.
    """
    return STATISTICAL + (int(noise) + 1).bit_length() + (places - 1).bit_length()


def decrypts(parameters: Parameters, noise: Fraction) -> bool:
    """Return whether a ciphertext with noise up to `noise` decrypts to its plaintext.

    Rounding t/q times the phase gives m if t·‖v‖/q < 1/2; SEAL's decryption works in residues too, with an error of at
    most k/γ for a prime γ of 61 bits (eprint 2016/510, section 3.2). A quarter is demanded, so that this is far away.
    """
    return 4 * max(parameters.plains) * noise <= parameters.q


def room(parameters: Parameters, noise: Fraction) -> int:
    """Return how many bits of noise are left (negative: how many are missing)."""
    allowed = Fraction(parameters.q, 4 * max(parameters.plains))
    return int(allowed / noise).bit_length() - 1 if allowed >= noise else -int(noise / allowed).bit_length()


def is_plain_in_place(parameters: Parameters) -> bool:
    """Return whether noise depends on no message: one t that divides p_i − 1, so that encoding has no rounding."""
    return parameters.packing is Packing.COEFFICIENTS and len(parameters.plain_moduli) == 1

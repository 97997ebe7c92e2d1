"""Coefficients modulo primes below 2^60, in numpy: encoding, noise that hides noise, and adding without a key."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from keys.randomness import MaskStream
from keys.sealing import fresh_key
from mpc.encrypted.parameters import Packing, Parameters
from plans.errors import Defect, RangeTooWide

Words = NDArray[np.uint64]
Numbers = NDArray[np.int64]

_DIGIT, _STEP = 32, 4  # bits of a digit of noise; how far a word below 2^60 can be shifted within 64 bits
LAZY = 15  # so many words below 2^60 add up below 2^64 without being reduced


def encode(parameters: Parameters, numbers: Numbers, place: int = 0) -> Words:
    """Return round(q·m/t) modulo each prime of q, for signed numbers m of absolute value at most (t − 1)/2.

    Two cases, both within 64 bits. One t that divides p_i − 1 for each prime p_i: then q·m/t is Δ·m + m/t with whole
    Δ = (q − 1)/t, which is (p_i − 1)/t modulo p_i, and m/t is less than a half. Or one prime and a t below 2^20:
    q·m/t is Δ·m + r·m/t with r = q mod t.

    Args:
        parameters: packing `coefficients`.
        numbers: `[… × N]`, centred.
        place: of the plain modulus.

    Returns:
        `[… × primes × N]`.
    """
    if parameters.packing is not Packing.COEFFICIENTS:
        raise Defect("slots are encoded by the engine", "arithmetic.encode")
    t = parameters.plains[place]
    found = []
    for prime in parameters.primes:
        scaled = numbers * np.int64(prime // t)
        scaled += (2 * numbers * np.int64(prime % t) + np.int64(t)) // np.int64(2 * t)
        found.append(np.where(scaled < 0, scaled + np.int64(prime), scaled).astype(np.uint64))
    return np.stack(found, axis=-2)


def centred(numbers: Words, t: int) -> Numbers:
    """Return numbers modulo t as those of smallest absolute value."""
    signed = numbers.astype(np.int64)
    return np.where(signed > (t - 1) // 2, signed - t, signed)


def add_into(total: Words, other: Words, parameters: Parameters) -> None:
    """Add a polynomial `[… × primes × N]` to `total`, modulo each prime."""
    total += other
    reduce(total, parameters)


def reduce(words: Words, parameters: Parameters) -> None:
    """Bring words back below their primes, in place."""
    for place, prime in enumerate(parameters.primes):
        words[..., place, :] %= np.uint64(prime)


def add_up(parts: Iterable[Words], parameters: Parameters) -> Words:
    """Return the sum of ciphertexts `[… × primes × N]`, which needs no key. Words are reduced once in fifteen sums.

    Raises:
        Defect: there is nothing to add up.
    """
    total: Words | None = None
    waiting = 0
    for part in parts:
        if total is None:
            total = part.astype(np.uint64, copy=True)
            continue
        total += part
        waiting += 1
        if waiting == LAZY - 1:
            reduce(total, parameters)
            waiting = 0
    if total is None:
        raise Defect("there are no ciphertexts to add up", "arithmetic.add_up")
    reduce(total, parameters)
    return total


def uniform_noise(parameters: Parameters, stream: MaskStream) -> Words:
    """Return uniform numbers in −2^b … 2^b − 1, b the parameters' `flood_bits`, modulo each prime: `[primes × N]`."""
    bits, n = parameters.flood_bits + 1, parameters.degree
    digits = []
    for left in range(bits, 0, -_DIGIT):
        drawn = stream.draw(4 * n).view("<u4").astype(np.uint64)
        digits.append(drawn >> np.uint64(max(0, _DIGIT - left)))
    digits.reverse()  # the shortest one is the highest
    found = np.empty((len(parameters.primes), n), dtype=np.uint64)
    for place, prime in enumerate(parameters.primes):
        rest = np.zeros(n, dtype=np.uint64)
        for digit in digits:
            for _ in range(_DIGIT // _STEP):
                rest = (rest << np.uint64(_STEP)) % np.uint64(prime)
            rest = (rest + digit) % np.uint64(prime)
        shift = np.uint64(-(1 << parameters.flood_bits) % prime)
        found[place] = (rest + shift) % np.uint64(prime)
    return found


def flood(words: Words, parameters: Parameters) -> None:
    """Add fresh uniform noise to the first polynomial of a ciphertext `[polynomials × primes × N]`, in place."""
    if parameters.flood_bits:
        add_into(words[0], uniform_noise(parameters, MaskStream(fresh_key())), parameters)


def require_within(numbers: Numbers | list[int], cap: int, where: str) -> None:
    """Refuse numbers whose absolute value is above the declared one; none of them is named.

    Raises:
        RangeTooWide: there is one.
    """
    if isinstance(numbers, list):
        outside = sum(abs(number) > cap for number in numbers)
    else:
        outside = int(np.count_nonzero((numbers > cap) | (numbers < -cap)))
    if outside:
        raise RangeTooWide(
            f"numbers are outside the declared range of {cap.bit_length()} bits", where,
            "Correct the declared range, or the rows that are outside it.",
        )  # fmt: skip

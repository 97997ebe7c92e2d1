"""Primes for the rings of ciphertexts: found by rule, so that two sides that know the rule know the primes."""

from __future__ import annotations

from functools import lru_cache

from plans.errors import Malformed

_WITNESSES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)


def is_prime(number: int) -> bool:
    """Return whether a number below 2^81 is prime.

    Miller and Rabin's test is exact there with the first thirteen primes as witnesses, and below 3.1·10^23 with twelve
    (Sorenson and Webster, "Strong pseudoprimes to twelve prime bases", Math. Comp. 86, 2017).
    """
    if number < 2:
        return False
    for prime in _WITNESSES:
        if number % prime == 0:
            return number == prime
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    return all(_passes(number, witness, odd, twos) for witness in _WITNESSES)


def _passes(number: int, witness: int, odd: int, twos: int) -> bool:
    found = pow(witness, odd, number)
    if found in (1, number - 1):
        return True
    for _ in range(twos - 1):
        found = found * found % number
        if found == number - 1:
            return True
    return False


@lru_cache(maxsize=256)
def primes_below(bits: int, step: int, count: int, skip: tuple[int, ...] = ()) -> tuple[int, ...]:
    """Return the `count` largest primes of exactly `bits` bits that are 1 modulo `step`, without those in `skip`.

    Raises:
        Malformed: there are not so many.
    """
    found: list[int] = []
    candidate = ((1 << bits) - 2) // step * step + 1
    while len(found) < count:
        if candidate.bit_length() < bits:
            raise Malformed(
                f"there are not {count} primes of {bits} bits that are 1 modulo {step}", "parameters"
            )
        if candidate not in skip and is_prime(candidate):
            found.append(candidate)
        candidate -= step
    return tuple(found)


def joined(residues: tuple[int, ...], moduli: tuple[int, ...]) -> int:
    """Return the number of smallest absolute value that leaves these residues (Chinese remainder theorem).

    Args:
        residues: one for each modulus.
        moduli: pairwise without a common divisor.
    """
    product, found = 1, 0
    for residue, modulus in zip(residues, moduli, strict=True):
        found += product * ((residue - found) * pow(product, -1, modulus) % modulus)
        product *= modulus
    return found - product if 2 * found > product else found

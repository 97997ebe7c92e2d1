"""Parameters of ciphertexts: what all parties of one computation must have the same, and nothing secret.

The scheme is BFV (Fan and Vercauteren, "Somewhat Practical Fully Homomorphic Encryption", eprint 2012/144) in residue
number form: a ciphertext is two polynomials of degree below N with coefficients modulo q, a product of primes below
2^60. Errors are those of SEAL: at most 21, from a centred binomial; secrets have coefficients −1, 0 and 1.

There is no CKKS here. Whatever is decrypted is published in some form in the end, and the noise of a CKKS value is
part of the value: two such values with their ciphertexts give the secret key away (Li and Micciancio, eprint
2020/1533).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import prod
from typing import ClassVar

from mpc.encrypted.numbers import is_prime
from plans.errors import Malformed
from plans.record import Record

SECURE_BITS = {4096: 109, 8192: 218, 16384: 438, 32768: 881}
"""log2 of the largest q·p at 128 bits against classical attacks, for secrets of −1, 0, 1 (Albrecht et al.,
"Homomorphic Encryption Standard", 2018, table 1)."""

LARGEST_PRIME_BITS = 60
WORD = 8  # bytes of a coefficient in memory and in an envelope
META = 256  # bytes beside the coefficients of anything that travels, at the most


class Packing(StrEnum):
    """Where numbers stand in a plaintext.

    `coefficients`: number i is the coefficient of X^i. Sums, products with one public number, and inner products (by
    one product of polynomials) need nothing else. `slots`: number i is the value at the i-th root of unity modulo t,
    so that products are taken number by number.
    """

    COEFFICIENTS = "coefficients"
    SLOTS = "slots"


@dataclass(frozen=True, slots=True)
class Parameters(Record):
    """The ring, its moduli, and what is added to a result before it is decrypted. Primes are text: JSON has 53 bits.

    Attributes:
        degree: N.
        moduli: the primes of q.
        special: the prime p that fresh ciphertexts and key switching are divided by; no ciphertext carries it.
        plain_moduli: t; several are a Chinese remainder representation of wider numbers, one ciphertext for each.
        packing: where numbers stand.
        flood_bits: a result gets uniform noise below 2^flood_bits in every coefficient before anybody decrypts it, so
            that its noise tells nothing of what it was made of; 0: none, where noise depends on nothing secret.
        relinearise: whether a key for products of ciphertexts is made.
        rotations: how far slots are moved, one key each.
    """

    KIND: ClassVar[str] = "encrypted-parameters"

    degree: int
    moduli: tuple[str, ...]
    special: str
    plain_moduli: tuple[str, ...]
    packing: Packing
    flood_bits: int = 0
    relinearise: bool = False
    rotations: tuple[int, ...] = ()

    def check(self) -> None:
        if self.degree not in SECURE_BITS:
            raise Malformed("the degree is 4096, 8192, 16384 or 32768", "parameters.degree")
        texts = (*self.moduli, self.special, *self.plain_moduli)
        if not self.moduli or not self.plain_moduli or not all(_is_number(text) for text in texts):
            raise Malformed("moduli are whole numbers of at most 60 bits, written as text", "parameters")
        primes = (*self.primes, int(self.special))
        if len(set(primes)) != len(primes) or any(
            prime % (2 * self.degree) != 1 or not is_prime(prime) for prime in primes
        ):
            raise Malformed("moduli are different primes that are 1 modulo 2N", "parameters.moduli")
        if self.bits > SECURE_BITS[self.degree]:
            raise Malformed(
                f"moduli of {self.bits} bits are above the {SECURE_BITS[self.degree]} that are safe at degree "
                f"{self.degree} (128 bits)", "parameters.moduli", "Take a larger degree.",
            )  # fmt: skip
        self._check_plain()

    def _check_plain(self) -> None:
        smallest, step = min(self.primes), 2 * self.degree
        if not all(2 <= t < smallest for t in self.plains):
            raise Malformed("a plain modulus is smaller than every prime of q", "parameters.plain_moduli")
        if self.packing is Packing.SLOTS:
            fits = all(t % step == 1 and is_prime(t) for t in self.plains) and len(set(self.plains)) == len(
                self.plains
            )
        elif len(self.plains) == 1:
            fits = all(prime % self.plains[0] == 1 for prime in self.primes)
        else:
            fits = (
                len(self.primes) == 1 and len(set(self.plains)) == len(self.plains)
                and all(is_prime(t) and t < 1 << 20 for t in self.plains)
            )  # fmt: skip
        if not fits:
            raise Malformed("plain moduli do not fit the packing", "parameters.plain_moduli")
        if not 0 <= self.flood_bits < self.q.bit_length() or any(
            not 0 < step < self.degree // 2 for step in self.rotations
        ):
            raise Malformed("noise or rotations are outside what the ring has", "parameters")

    @property
    def primes(self) -> tuple[int, ...]:
        """The primes of q as numbers."""
        return tuple(int(text) for text in self.moduli)

    @property
    def plains(self) -> tuple[int, ...]:
        """The plain moduli as numbers."""
        return tuple(int(text) for text in self.plain_moduli)

    @property
    def q(self) -> int:
        """The modulus of ciphertexts."""
        return prod(self.primes)

    @property
    def bits(self) -> int:
        """log2 of q·p, rounded up: what the standard's table bounds."""
        return (self.q * int(self.special)).bit_length()

    @property
    def largest(self) -> int:
        """The largest absolute value of a result: numbers in −largest … largest are told apart modulo t."""
        return (prod(self.plains) - 1) // 2

    @property
    def ciphertext_bytes(self) -> int:
        """Bytes of a ciphertext of two polynomials, as it travels."""
        return 2 * len(self.moduli) * self.degree * WORD

    @property
    def seeded_bytes(self) -> int:
        """Bytes of a ciphertext whose second polynomial is a seed: the key's owner made it."""
        return len(self.moduli) * self.degree * WORD + SEED

    def blocks(self, count: int) -> int:
        """Return how many plaintexts `count` numbers fill, for one plain modulus."""
        return -(-count // self.degree)


SEED = 64  # bytes of the seed from which SEAL makes a second polynomial


def _is_number(text: str) -> bool:
    return (
        text.isascii() and text.isdigit() and text[0] != "0" and int(text).bit_length() <= LARGEST_PRIME_BITS
        if 0 < len(text) < 20
        else False
    )

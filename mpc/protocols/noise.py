"""Noise that no server knows: each adds a part, and the parts of any two honest servers are enough.

A discrete Laplace number of scale t, P(z) ∝ exp(−|z|/t), is the difference of two geometric numbers with
p = exp(−1/t), and a geometric number is the sum of two negative binomial ones, NB(½, p). So each of the three servers
adds NB(½, p) − NB(½, p), which nobody else sees: the two that do not collude make up a whole discrete Laplace number,
and the third adds some more (Goryczka and Xiong, "A Comprehensive Comparison of Multiparty Secure Additions with
Differential Privacy", IEEE TDSC 14(5), 2017). A server that learns the answer knows its own part and no more.

Sampling, without floating point: NB(½, p) has P(k) ∝ exp(−k/t) · a_k with a_k = C(2k, k)/4^k. A candidate is k = j² + u
with j from exp(−j²/t) (Canonne, Kamath and Steinke, "The Discrete Gaussian for Differential Privacy", NeurIPS 2020,
algorithms 1 to 3) and u uniform in 0 … 2j; it is taken with the probability exp(−u/t) · a_k · (2j+1)/1.5, which is at
most 1 and mostly above a half. Probabilities of the form exp(−x) are exact; a_k is exact up to k = 512, and above from
its series, to less than 2^−64.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from math import comb, isqrt

from keys.randomness import MaskStream
from mpc.protocols import replicated
from mpc.protocols.replicated import SERVERS, Server, Shared, deal
from plans.errors import Malformed
from plans.joint import JointPlan
from plans.joint_guards import NOISED, noise_scale

_POOL = 4_096  # bytes that are taken from a stream at once
_EXACT = 512
_FINE = 128  # bits of a uniform number that is compared with a_k
_PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")
# a_k · √(πk) as a series in 1/k: numerators and denominators of the coefficients.
_SERIES = ((1, 1), (-1, 8), (1, 128), (5, 1024), (-21, 32_768), (-399, 262_144))


class Coins:
    """Random bits of a stream as whole numbers and as events."""

    def __init__(self, stream: MaskStream) -> None:
        self._stream = stream
        self._pool = self._left = 0

    def bits(self, count: int) -> int:
        """Return `count` random bits as a number."""
        while self._left < count:
            fresh = int.from_bytes(self._stream.draw(_POOL).tobytes(), "little")
            self._pool |= fresh << self._left
            self._left += 8 * _POOL
        found = self._pool & ((1 << count) - 1)
        self._pool >>= count
        self._left -= count
        return found

    def below(self, bound: int) -> int:
        """Return a uniform number in 0 … bound−1."""
        size = (bound - 1).bit_length()
        while True:
            found = self.bits(size)
            if found < bound:
                return found

    def exponential(self, exponent: Fraction) -> bool:
        """Return true with the probability exp(−exponent), exactly (Canonne et al., algorithm 1)."""
        whole, part = divmod(exponent, 1)
        return all(self._below_one(Fraction(1)) for _ in range(whole)) and self._below_one(part)

    def _below_one(self, exponent: Fraction) -> bool:
        turn, up, down = 1, exponent.numerator, exponent.denominator
        while self.below(down * turn) < up:
            turn += 1
        return turn % 2 == 1


def half_binomial(scale: Fraction, coins: Coins) -> int:
    """Return a number with the law NB(½, exp(−1/scale)).

    Raises:
        Malformed: the scale is not positive.
    """
    if scale <= 0:
        raise Malformed("a scale of noise is positive", "noise")
    step = isqrt(int(scale / 2)) + 1
    while True:
        root = _half_gaussian(scale, step, coins)
        beyond = coins.below(2 * root + 1)
        if coins.exponential(beyond / scale) and _kept(root * root + beyond, root, coins):
            return root * root + beyond


def _half_gaussian(scale: Fraction, step: int, coins: Coins) -> int:
    """Return j ≥ 0 with P(j) ∝ exp(−j²/scale), from candidates with P(j) ∝ exp(−j/step) (algorithms 2 and 3)."""
    middle = scale / (2 * step)
    while True:
        found = coins.below(step)
        if not coins.exponential(Fraction(found, step)):
            continue
        while coins.exponential(Fraction(1)):
            found += step
        if coins.exponential((found - middle) ** 2 / scale):
            return found


def _kept(number: int, root: int, coins: Coins) -> bool:
    """Return true with the probability a_k · (2·root + 1)/1.5, k = number."""
    drawn = coins.bits(_FINE)
    if number <= _EXACT:
        return 3 * (drawn << (2 * number)) < 2 * (2 * root + 1) * comb(2 * number, number) << _FINE
    with localcontext() as context:
        context.prec = 60
        return 3 * Decimal(drawn) < 2 * (2 * root + 1) * central(number) * (1 << _FINE)


def central(number: int) -> Decimal:
    """Return a_k = C(2k, k)/4^k for k > 512, to a relative error below 2^−65."""
    with localcontext() as context:
        context.prec = 60
        total = sum(
            (Decimal(up) / (down * number**power) for power, (up, down) in enumerate(_SERIES)), Decimal(0)
        )
        return total / (_PI * number).sqrt()


def part_of_noise(scale: Fraction, count: int, coins: Coins) -> list[int]:
    """Return what one server adds to `count` numbers: NB(½, p) − NB(½, p), p = exp(−1/scale)."""
    return [half_binomial(scale, coins) - half_binomial(scale, coins) for _ in range(count)]


def add_noise(me: Server, x: Shared, scales: Sequence[Fraction | None], coins: Coins) -> Shared:
    """Return x `[A × B]` with discrete Laplace noise, row a with the scale of its place (none: no noise).

    It is added before anything is compared or opened, so that whatever follows is made of noised numbers only.

    Args:
        coins: this server's own, from a stream that nobody shares.
    """
    rows, columns = x.shape
    drawn = [[0] * columns if scale is None else part_of_noise(scale, columns, coins) for scale in scales]
    ring = x.ring
    mine = ring.encode([number for row in drawn for number in row]).reshape(rows, columns, *ring.words)
    for dealer in range(SERVERS):
        x = replicated.add(x, deal(me, ring, dealer, mine if dealer == me.place else None, (rows, columns)))
    return x


def scales_of(joint: JointPlan) -> list[Fraction]:
    """Return the scale of noise on each sum of a plan.

    Raises:
        Malformed: the plan adds none, or a figure is of a function that gets none.
    """
    reading, rate = joint.reading, joint.scheme.noise_micro
    wrong = [figure.name for figure in reading.figures if figure.function not in NOISED]
    if wrong or rate < 1:
        raise Malformed(
            "with noise there are count, sum and avg alone", ", ".join(wrong) or "scheme.noise_micro"
        )
    return [noise_scale(reading, total, rate) for total in reading.sums]

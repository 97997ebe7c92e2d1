"""The discrete Gaussian over the integers with σ = 6.4, by inversion of its distribution function.

SimplePIR's noise (Henzinger, Hong, Corrigan-Gibbs, Meiklejohn and Vaikuntanathan, USENIX Security 2023, section 4.2).
Values beyond ±83 (13 σ) are left out; together they have less than 2^-126. Every value is found by comparing 128
uniform bits with the distribution function, whose 166 steps are rounded to 128 bits, so that one sample is within
2^-120 of the true distribution (`DISTANCE_BITS`), and a question with 2^20 of them within 2^-100. The steps are worked
out with 70 decimal digits when they are first needed.

*Tail.* A discrete Gaussian is subgaussian with its own σ (Micciancio and Peikert, EUROCRYPT 2012, lemma 2.8),
so that Σ dᵢ·eᵢ exceeds t with probability at most 2·exp(−t²/(2·σ²·Σ dᵢ²)); `simple_pir.error_bits` rests on this.

The search takes a time that depends a little on what is drawn: in the seeker's own box, for noise that is used once.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import cache
from typing import cast

import numpy as np
from numpy.typing import NDArray

from keys.randomness import MaskStream
from mpc.lookup.parameters import SIGMA as SIGMA

Integers = NDArray[np.int32]
Steps = tuple[NDArray[np.uint64], NDArray[np.uint64]]

FURTHEST = 83
DISTANCE_BITS = 120
"""One sample is within 2^-120 of the discrete Gaussian, in statistical distance."""

_DIGITS = 70
_BITS = 128
_HALF = 64


def probabilities() -> list[Decimal]:
    """Return the probabilities of −83 … 83, with 70 digits, relative to one another exactly as exp(−x²/2σ²)."""
    with localcontext() as context:
        context.prec = _DIGITS
        weights = [(-Decimal(x * x) / (2 * SIGMA * SIGMA)).exp() for x in range(-FURTHEST, FURTHEST + 1)]
        total = sum(weights)
        return [weight / total for weight in weights]


def sample(count: int, coins: MaskStream) -> Integers:
    """Return so many independent samples."""
    upper, lower = _steps()
    drawn = coins.words(2 * count).reshape(2, count)
    places = np.searchsorted(upper, drawn[0], side="right")
    # Where the upper half stands exactly on a step, the lower half decides: once in 2^56 samples.
    tied = np.flatnonzero(np.isin(drawn[0], upper))
    for at in tied.tolist():
        whole = int(drawn[0, at]) << _HALF | int(drawn[1, at])
        places[at] = sum((int(a) << _HALF | int(b)) <= whole for a, b in zip(upper, lower, strict=True))
    return cast(Integers, (places - FURTHEST).astype(np.int32))


@cache
def _steps() -> Steps:
    """Return the distribution function below its last value, as the upper and lower halves of 128 bits."""
    with localcontext() as context:
        context.prec = _DIGITS
        reached, steps = Decimal(0), []
        for probability in probabilities()[:-1]:
            reached += probability
            steps.append(int((reached * (1 << _BITS)).to_integral_value()))
    mask = (1 << _HALF) - 1
    upper = np.array([step >> _HALF for step in steps], dtype=np.uint64)
    return upper, np.array([step & mask for step in steps], dtype=np.uint64)

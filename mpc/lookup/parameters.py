"""SimplePIR's parameters, and the proof that they are right for a table: public numbers alone, no array. Pure.

`simple_pir` says where they are from. They stand by themselves so that whoever plans a lookup needs no engine.
"""

from __future__ import annotations

import math
from decimal import Decimal

from mpc.lookup.layout import MOST_COLUMNS, Layout
from plans.errors import TooLarge

SIGMA = Decimal("6.4")
"""σ of the noise (`gaussian`)."""

CENTRE = 128
"""What is taken away from every byte of a table, so that the noise it adds up is half as large."""

CHECKS = 3
"""How many check keys go with each blinded key (`oprf`)."""

POINTS = 32 * (CHECKS + 1)
"""Bytes of a blinded key with its check keys."""

COMMITMENT, OPENING, REVEALED = 32, 1 + 32 * CHECKS, 32 + POINTS
"""Bytes of what an owner commits to, of a seeker's opening, and of what is then revealed."""

ASKED, EVALUATED = POINTS + OPENING, COMMITMENT + REVEALED
"""Bytes of an evaluation, to the owner and back."""

LOG_Q, LOG_P = 32, 8
STEP = 1 << (LOG_Q - LOG_P)
"""q/p: what one of a byte is worth in an answer."""

ERROR_BITS = 40
"""A column comes out wrong at most once in 2^40 honest answers."""


def error_bits(columns: int, height: int) -> float:
    """Return b such that an honest column of so many bytes comes out wrong with probability 2^-b at most.

    The union bound over its bytes of 2·exp(−t²/2s²), with t = q/2p and s = 128·σ·√columns.
    """
    size = CENTRE * float(SIGMA) * math.sqrt(columns)
    exponent = (STEP / 2) ** 2 / (2 * size * size)
    return exponent / math.log(2) - 1 - math.log2(height)


def require_parameters(layout: Layout) -> None:
    """Check that these parameters hold for a table.

    Raises:
        TooLarge: it has more columns than they allow; the number that does not fit is said.
    """
    bits = error_bits(layout.columns, layout.height)
    if layout.columns > MOST_COLUMNS or bits < ERROR_BITS:
        raise TooLarge(
            f"a column of {layout.columns:,} comes out right but for 2^-{bits:.0f}, and 2^-{ERROR_BITS} is asked for",
            "lookup",
        )

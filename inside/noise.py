"""The noise of the mode `private`, drawn by OpenDP in the judging box: the discrete Gaussian on whole numbers
(Canonne, Kamath and Steinke 2020), from the randomness of the operating system.

Nobody can have it drawn twice for one plan, or a mean over many draws would be exact: the keeper gives the judging box
its keys once (`keeper.budgets`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import opendp.prelude as dp

from plans.errors import Malformed
from plans.private import Part, Private

dp.enable_features("contrib")


def noise(numbers: Sequence[int], part: Part) -> list[int]:
    """Return the numbers, each with a fresh draw of the part's scale added."""
    return list(_mechanism(part)(list(numbers))) if numbers else []


def require_price(private: Private) -> None:
    """Check with OpenDP's accounting that the parts together cost no more than the plan says, before any is drawn.

    The distance of neighbours is that of one person: `most_groups` cells, each off by the largest that a person adds.

    Raises:
        Malformed: they do; then nothing leaves.
    """
    spent = Fraction(0)
    for part in private.parts:
        distance = math.nextafter(math.sqrt(private.most_groups) * part.largest, math.inf)
        spent += Fraction(float(_mechanism(part).map(d_in=distance)))
    if spent > Fraction(private.rho_micro, 1_000_000):
        raise Malformed("the noise of this program costs more than its plan says", "program.private")


def _mechanism(part: Part) -> Any:
    space = dp.vector_domain(dp.atom_domain(T=dp.i64)), dp.l2_distance(T=dp.f64)
    return dp.m.make_gaussian(*space, scale=float(part.scale))

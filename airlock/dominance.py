"""Dominance: whether one or two persons outweigh all others in a total, so that it tells about them (ATTACKS 29).

Pure. Of every total the query box knows three numbers (`inside.evidence`): what the persons add to it together, the
largest of them and the second largest, all without signs. Two rules look at them (Hundepool and others, Statistical
Disclosure Control, 2012, section 4.2):

* **(n, k)**: the n largest persons hold at least k percent;
* **p percent**: what the others add is less than p percent of the largest, so that the second largest person, who knows
  what is their own, can estimate the largest within p percent.

A mean and a deviation are computed from a sum, and are withheld with it. Numbers are exact decimals here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal

from airlock.secondary import Key, complete
from plans.checks import Checks

TOTALS = ("sum", "avg", "stddev", "ratio")
"""Functions whose figures may be computed from a sum, as outputs name them."""

_EXACT = Context(prec=60)


@dataclass(frozen=True, slots=True)
class Shares:
    """What the persons of a cell add to a total together, the sum with its signs, and the largest two of them."""

    total: Decimal
    net: Decimal
    first: Decimal
    second: Decimal

    @property
    def cancelled(self) -> Decimal:
        """How many times the sum of what persons add is as large as the figure; 1 where all have one sign."""
        if self.net <= 0:
            return Decimal(1)
        return max(Decimal(1), _EXACT.divide(self.total, self.net))


def together(shares: Iterable[Shares]) -> Shares:
    """Return the shares of several cells of different persons as one."""
    listed = list(shares)
    largest = sorted((size for each in listed for size in (each.first, each.second)), reverse=True)
    return Shares(
        sum((each.total for each in listed), Decimal(0)),
        sum((each.net for each in listed), Decimal(0)),
        largest[0] if largest else Decimal(0),
        largest[1] if len(largest) > 1 else Decimal(0),
    )


def applies(checks: Checks) -> bool:
    """Return whether any rule about totals is on."""
    return bool(checks.dominance_largest or checks.p_percent)


def dominated(shares: Shares, checks: Checks) -> bool:
    """Return whether a total tells too much about its largest persons; one in which all add nothing does not."""
    return held_by_few(shares, checks) or tells_largest(shares, checks)


def held_by_few(shares: Shares, checks: Checks) -> bool:
    """Return whether the n largest persons hold at least k percent of a total: the (n, k) rule."""
    largest = (Decimal(0), shares.first, _EXACT.add(shares.first, shares.second))[checks.dominance_largest]
    asked = checks.dominance_largest > 0 and shares.total > 0
    return asked and _EXACT.multiply(largest, 100) >= _EXACT.multiply(shares.total, checks.dominance_percent)


def tells_largest(shares: Shares, checks: Checks) -> bool:
    """Return whether the second largest person can estimate the largest too well: the p percent rule."""
    others = _EXACT.subtract(_EXACT.subtract(shares.total, shares.first), shares.second)
    asked = checks.p_percent > 0
    return asked and _EXACT.multiply(others, 100) < _EXACT.multiply(shares.first, checks.p_percent)


def withheld(shares: Shares, checks: Checks) -> bool:
    """Return whether a figure of these shares does not leave, by any rule about totals."""
    return dominated(shares, checks) or (checks.zeros and only_zeros(shares))


def withheld_cells(
    keys: Sequence[Key], shares: Sequence[Shares], checks: Checks
) -> tuple[set[int], set[int]]:
    """Return the positions of the cells whose total does not leave: those by themselves, and those besides, since the
    margins of the table would give the first back. The withheld cells of a margin together keep the rules themselves.
    """
    first = {place for place, each in enumerate(shares) if withheld(each, checks)}
    found = complete(
        keys,
        first,
        lambda places: not withheld(together(shares[place] for place in places), checks),
        lambda place: float(shares[place].total),
    )
    return first, set(found) - first


def only_zeros(shares: Shares) -> bool:
    """Return whether nobody adds anything: then the figure says of each person that theirs is zero."""
    return shares.total == 0

"""Rounding: how many digits a figure keeps, by the persons it rests on (`airlock.rules`, **Rounding**). Pure."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal

MOST_DIGITS = 6
"""Significant digits of a figure at the most; a double has 15 to 17, of which the last depend on the order of
addition.
"""

_ONE = Decimal(1)


def count(value: int, base: int) -> int:
    """Return a count rounded to the nearest multiple of the base, a half to the even multiple."""
    multiple, rest = divmod(value, base)
    up = 2 * rest > base or (2 * rest == base and multiple % 2 == 1)
    return (multiple + up) * base


def digits(persons: int, base: int) -> int:
    """Return how many significant digits a figure keeps that rests on so many persons."""
    lost = len(str(base - 1)) if base > 1 else 0
    return min(MOST_DIGITS, max(1, len(str(persons)) - lost))


def measure(value: Decimal, persons: int, base: int, cancelled: Decimal = _ONE) -> Decimal:
    """Return a sum, mean or deviation with the digits that its persons support.

    They are counted from `cancelled` times the value, which is the sum without signs, where what persons add cancels
    out: else a constant taken from each value would show digits that rounding hides.
    """
    kept = digits(persons, base)
    lost = (value * cancelled).adjusted() - value.adjusted() if value and cancelled > 1 else 0
    if lost < kept:
        return Context(prec=kept - lost, rounding=ROUND_HALF_EVEN).plus(value)
    unit = Decimal(1).scaleb(value.adjusted() + lost - kept + 1)
    return Context(prec=400, rounding=ROUND_HALF_EVEN).quantize(value, unit)


def plain(number: Decimal) -> str:
    """Return a number in plain notation, without trailing zeros after the point, and zero without a sign."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text

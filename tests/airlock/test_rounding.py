"""How many digits of a figure leave."""

from __future__ import annotations

from decimal import Decimal

import pytest

from airlock import rules


@pytest.mark.parametrize(
    ("value", "cancelled", "text"),
    [
        ("1.2345", "1", "1.2"),
        ("1.2345", "10", "1"),
        ("1.2345", "100", "0"),
        ("7.5", "15", "10"),
        ("0", "9", "0"),
    ],
)
def test_digits_are_counted_from_the_sum_without_signs(value: str, cancelled: str, text: str) -> None:
    found = rules.measure(Decimal(value), 100, 5, Decimal(cancelled))
    assert rules.plain(found) == text

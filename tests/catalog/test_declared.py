"""What an owner declared reaches the manifest in one spelling, and only what the column's type can hold."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.api import CheckDigit, declared
from plans.manifest import Column, Declared, Kind
from plans.trial import twin_of, value_of
from tests.inside.ingest_cases import column
from tests.inside.test_twin import manifest

CASES = [
    ("integer", "1e3", "2500.5", (), Declared("1000", "2500", ())),
    ("integer", "-1e40", "1e40", (), Declared(str(-(2**63)), str(2**63 - 1), ())),
    ("integer", "1.2", "1.8", (), Declared()),
    ("integer", None, None, ("7", "9.0", "9", "1.5"), Declared("", "", ("7", "9"))),
    ("decimal(4,2)", "0.005", "99.999", (), Declared("0.005", "", ())),
    ("real", "-1E-3", "2.50", (), Declared("-0.001", "2.50", ())),
    ("date", "20240101", "2024-12-31", (), Declared("2024-01-01", "2024-12-31", ())),
    ("code", None, None, ("东", "", "西"), Declared("", "", ("东", "", "西"))),
    ("boolean", None, None, ("true",), Declared("", "", ("true",))),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "low", "high", "values", "expected"), CASES)
def test_each_declaration_has_one_spelling(
    kind: str, low: str | None, high: str | None, values: tuple[str, ...], expected: Declared
) -> None:
    assert declared(column("a", kind, minimum=low, maximum=high, categories=values)) == expected


def test_which_code_a_column_is_stands_in_the_manifest() -> None:
    assert declared(column("a", "code", check_digit=CheckDigit.USCC)) == Declared(code="uscc")


@settings(deadline=None)
@given(
    st.sampled_from(["integer", "real", "decimal(12,2)", "decimal(38,38)"]),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.booleans(),
)
def test_whatever_was_declared_a_twin_can_be_made_of_it(
    kind: str, one: Decimal, two: Decimal, only_low: bool
) -> None:
    low, high = sorted((one, two))
    described = column("a", kind, minimum=str(low), maximum=None if only_low else str(high))
    found = declared(described)
    made = twin_of(manifest(Column("a", described.engine_type, "", Kind.PLAIN, 0, found)))
    bounds = [value_of(described.engine_type, text) for text in (made.columns[1].low, made.columns[1].high)]
    assert bounds == sorted(bounds)  # type: ignore[type-var]
    if found.low:
        assert value_of(described.engine_type, found.low) >= low or kind == "integer"  # type: ignore[operator]

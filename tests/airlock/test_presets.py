"""Presets: every number is there, has a source beside it, and is what the source says."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from airlock import presets
from plans.checks import Checks
from plans.errors import Malformed

TEXT = presets._FILE.read_text(encoding="utf-8")
NUMBERS = {field.name for field in fields(Checks)} - {"preset", "enterprises", "differ"}


@pytest.mark.parametrize("name", presets.names())
def test_a_preset_sets_every_number(name: str) -> None:
    found = presets.load(name)
    assert found.checks.preset == name and min(found.minimum_group, found.rounding, found.largest_result) >= 1
    assert set(presets._all()[name]) == NUMBERS | {"minimum_group", "rounding", "largest_result"}


def test_every_number_has_its_source_beside_it() -> None:
    lines = [line for line in TEXT.splitlines() if re.match(r"\w+ = ", line)]
    assert len(lines) == len(presets.names()) * (len(NUMBERS) + 3)
    assert [line for line in lines if not re.search(r"# \S.{2,}", line)] == []


def test_the_numbers_are_those_of_the_published_rules() -> None:
    acro, opensafely, datashield = (presets.load(name) for name in ("acro", "opensafely", "datashield"))
    checks = acro.checks
    assert (acro.minimum_group, checks.dominance_largest, checks.dominance_percent) == (10, 2, 90)
    assert (checks.p_percent, checks.degrees, checks.zeros, acro.rounding) == (10, 10, True, 5)
    assert (opensafely.minimum_group, opensafely.rounding, opensafely.checks.code_bits) == (
        8,
        5,
        16 * 8_000_000,
    )
    assert (datashield.minimum_group, datashield.checks.code_bits) == (3, 0)


def test_the_default_of_the_code_is_the_regions() -> None:
    assert presets.load("region").checks == Checks()


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(Malformed) as told:
        presets.load("none")
    assert "acro" in told.value.next_step

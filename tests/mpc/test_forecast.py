"""Promise: whoever approves ciphertexts or lookups reads what they will take, and every party reads the same."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpc.api import require_same
from mpc.encrypted.planner import plan_sums
from mpc.lookup.plan import planned
from mpc.protocols import planning
from mpc.protocols.forecast import of_ciphertexts, of_lookups
from plans.errors import RederivationMismatch
from tests.mpc.form_cases import FORMS

UNITS = {
    "bytes": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "s": 1_000,
    "min": 60_000,
    "h": 3_600_000,
    "MiB": 1,
}
CIPHERED = ("ciphertexts", "joined by two owners", "scored", "scored by trees", "looked up")
SUMS, LOOKED_UP = plan_sums(3, 1_000, 10**6), planned(10**6, 32, 1 << 22)


def figures(sentence: str) -> list[Fraction]:
    """The figures of a sentence with their units, as bytes or milliseconds; memory as it stands."""
    found = re.findall(r"(?:about|up to) ([\d.,]+) (bytes|kB|MB|GB|s|min|h|MiB)\b", sentence)
    return [Fraction(number.replace(",", "")) * UNITS[unit] for number, unit in found]


@pytest.mark.parametrize("form", CIPHERED)
def test_a_plan_ends_its_reasons_with_bytes_seconds_and_memory_and_no_centre_changes_them(form: str) -> None:
    plan = FORMS[form].plan()
    *others, told = plan.scheme.reasons
    assert told.startswith("predicted: ") and not any(each.startswith("predicted") for each in others)
    assert " of one core" in told and ("MB" in told or "MiB" in told)
    smaller = replace(plan, scheme=replace(plan.scheme, reasons=(*others, told.replace("about", "at most"))))
    with pytest.raises(RederivationMismatch, match="scheme"):
        require_same(smaller)
    require_same(plan)


def test_the_figures_are_those_of_the_planner() -> None:
    plan = FORMS["ciphertexts"].plan()
    found = planning.ciphertexts(plan.task, plan.reading)
    assert found is not None and of_ciphertexts(found) == plan.scheme.reasons[-1]


@given(st.integers(1, 10**12), st.integers(1, 10**12), st.integers(1_000, 10**9), st.integers(1, 10**6))
def test_figures_are_rounded_up_to_two_digits_and_never_tell_less(
    up: int, down: int, milliseconds: int, memory: int
) -> None:
    told = of_ciphertexts(replace(SUMS, up=up, down=down, milliseconds=milliseconds, memory_mb=memory))
    sent, got, spent, held = figures(told)
    for real, said in ((up, sent), (down, got), (memory, held / 10**6)):
        assert real <= said <= Fraction(11, 10) * real
    assert milliseconds <= spent <= 2 * milliseconds


@given(st.integers(1, 100))
def test_a_lookup_counts_the_hint_once_and_every_question(questions: int) -> None:
    moved, spent, held = figures(of_lookups(LOOKED_UP, questions))
    real = LOOKED_UP.once + questions * (LOOKED_UP.up + LOOKED_UP.down)
    assert real <= moved <= Fraction(11, 10) * real
    assert spent >= LOOKED_UP.build_ms and held >= LOOKED_UP.owner_mb


def test_what_takes_no_second_is_not_said_to_take_one() -> None:
    assert "less than 1 s of one core" in of_ciphertexts(replace(SUMS, milliseconds=999))

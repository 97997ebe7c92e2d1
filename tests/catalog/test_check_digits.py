"""Check characters: the standards' own examples, and the slips that they are made to find."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog import check_digits
from catalog.api import id18_check_character, id18_is_right, uscc_check_character, uscc_is_right
from inside.ingest_checks import checks_of
from inside.ingest_task import TaskColumn
from plans.manifest import Kind

DIGITS = st.text("0123456789", min_size=17, max_size=17)
BODIES = st.text(check_digits.USCC_ALPHABET, min_size=17, max_size=17)


@pytest.mark.parametrize("number", ["11010519491231002X", "440524188001010014"])
def test_the_citizen_numbers_printed_in_gb_11643_are_right(number: str) -> None:
    assert id18_is_right(number)


@pytest.mark.parametrize("code", ["91350100M000100Y43"])
def test_the_code_printed_in_gb_32100_is_right(code: str) -> None:
    assert uscc_is_right(code)


def test_weights_are_those_printed_in_the_standards() -> None:
    assert check_digits.ID18_WEIGHTS == (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    assert check_digits.USCC_WEIGHTS == (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
    assert not set("IOSVZ") & set(check_digits.USCC_ALPHABET) and len(check_digits.USCC_ALPHABET) == 31


@given(DIGITS, st.integers(0, 16), st.integers(1, 9))
def test_every_single_wrong_digit_is_found(digits: str, position: int, shift: int) -> None:
    right = digits + id18_check_character(digits)
    wrong = str((int(digits[position]) + shift) % 10)
    assert id18_is_right(right)
    assert not id18_is_right(right[:position] + wrong + right[position + 1 :])


@given(DIGITS, st.integers(0, 15))
def test_every_swap_of_neighbours_is_found(digits: str, n: int) -> None:
    right = digits + id18_check_character(digits)
    swapped = right[:n] + right[n + 1] + right[n] + right[n + 2 :]
    assert id18_is_right(swapped) == (swapped == right)


@given(BODIES, st.integers(0, 16), st.integers(1, 30))
def test_every_single_wrong_character_of_a_code_is_found(body: str, position: int, shift: int) -> None:
    alphabet = check_digits.USCC_ALPHABET
    right = body + uscc_check_character(body)
    wrong = alphabet[(alphabet.index(body[position]) + shift) % 31]
    assert uscc_is_right(right)
    assert not uscc_is_right(right[:position] + wrong + right[position + 1 :])


@pytest.mark.parametrize(
    "text", ["", "1", "１" * 17 + "1", "-10105194912310021", "11010519491231002x", "1" * 19]
)
def test_what_is_no_code_at_all_is_not_right(text: str) -> None:
    assert not id18_is_right(text) and not uscc_is_right(text)


def test_a_check_character_of_something_else_is_refused() -> None:
    for wrong in ("", "1" * 16, "1" * 16 + "I", "１" * 17):
        with pytest.raises(ValueError, match="17"):
            id18_check_character(wrong)
        with pytest.raises(ValueError, match="17"):
            uscc_check_character(wrong)


def engine_finds_wrong(kind: str, texts: list[str]) -> list[str]:
    """What the box's SQL refuses of these texts."""
    column = TaskColumn("x", "x", "VARCHAR", Kind.PLAIN, None, None, (), kind)
    (check,) = checks_of(column)
    with duckdb.connect() as plain:
        plain.execute("CREATE TABLE t (x VARCHAR)")
        plain.executemany("INSERT INTO t VALUES (?)", [[text] for text in texts])
        return [row[0] for row in plain.execute(check.search("x", "t")).fetchall()]


NEARLY_ID = st.one_of(
    DIGITS.map(lambda d: d.replace("0", "1", 1) + id18_check_character(d.replace("0", "1", 1))),
    st.text("0123456789X+-. eE_", min_size=17, max_size=19),
)


@given(st.lists(NEARLY_ID, min_size=1, max_size=20))
def test_the_box_and_the_catalog_agree_on_citizen_numbers(texts: list[str]) -> None:
    texts = [text.strip(" ").upper() for text in texts if not text.startswith("0")]
    if texts:
        wrong = engine_finds_wrong("id18", texts)
        assert sorted(wrong) == sorted(text for text in texts if not id18_is_right(text))


@given(
    st.lists(
        st.one_of(BODIES.map(lambda b: b + uscc_check_character(b)), BODIES.map(lambda b: b + "0")),
        max_size=20,
    )
)
def test_the_box_and_the_catalog_agree_on_credit_codes(texts: list[str]) -> None:
    if texts:
        wrong = engine_finds_wrong("uscc", texts)
        assert sorted(wrong) == sorted(text for text in texts if not uscc_is_right(text))

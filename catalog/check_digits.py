"""Codes whose last character proves the others, as pure functions.

* citizen identity number, 18 characters: GB 11643-1999, check character by ISO 7064 MOD 11-2;
* unified social credit code, 18 characters: GB 32100-2015, check character MOD 31-3.

A right check character says that a code was copied without a slip, and nothing about whether it was ever issued.
"""

from __future__ import annotations

ID18_WEIGHTS = tuple(pow(2, 17 - position, 11) for position in range(17))
ID18_CHECK = "10X98765432"
"""The check character by the weighted sum's remainder (GB 11643-1999, 4.2.4)."""

USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
USCC_WEIGHTS = tuple(pow(3, position, 31) for position in range(17))


def id18_check_character(digits: str) -> str:
    """Return the check character of a citizen number's first 17 digits.

    Raises:
        ValueError: these are not 17 ASCII digits.
    """
    if len(digits) != 17 or not (digits.isascii() and digits.isdigit()):
        raise ValueError("a citizen number starts with 17 digits")
    total = sum(int(digit) * weight for digit, weight in zip(digits, ID18_WEIGHTS, strict=True))
    return ID18_CHECK[total % 11]


def id18_is_right(text: str) -> bool:
    """Return whether an upper-case text is a citizen number with a right check character."""
    return (
        len(text) == 18
        and text[:17].isascii()
        and text[:17].isdigit()
        and id18_check_character(text[:17]) == text[17]
    )


def uscc_check_character(body: str) -> str:
    """Return the check character of a unified social credit code's first 17 characters.

    Raises:
        ValueError: a character is not of the code's alphabet (no I, O, S, V, Z), or there are not 17.
    """
    if len(body) != 17 or any(character not in USCC_ALPHABET for character in body):
        raise ValueError("a unified social credit code starts with 17 characters of its alphabet")
    values = (USCC_ALPHABET.index(character) for character in body)
    total = sum(value * weight for value, weight in zip(values, USCC_WEIGHTS, strict=True))
    return USCC_ALPHABET[-total % 31]


def uscc_is_right(text: str) -> bool:
    """Return whether an upper-case text is a unified social credit code with a right check character."""
    body = text[:17]
    formed = len(text) == 18 and all(character in USCC_ALPHABET for character in body)
    return formed and uscc_check_character(body) == text[17]

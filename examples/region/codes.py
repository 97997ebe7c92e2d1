"""Citizen numbers and social credit codes for whole arrays at once (GB 11643-1999, GB 32100-2015)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from catalog.check_digits import ID18_CHECK, ID18_WEIGHTS, USCC_ALPHABET, USCC_WEIGHTS

_CHECK = np.frombuffer(ID18_CHECK.encode(), np.uint8)
_ALPHABET = np.frombuffer(USCC_ALPHABET.encode(), np.uint8)


def citizen_numbers(banner_codes: np.ndarray, born: np.ndarray, sequence: np.ndarray) -> np.ndarray:
    """Return n × 18 ASCII bytes: region, date of birth, sequence (odd for men), check character."""
    dates = born.astype("datetime64[D]")
    years = dates.astype("datetime64[Y]").astype(np.int64) + 1970
    months = dates.astype("datetime64[M]").astype(np.int64) % 12 + 1
    days = (dates - dates.astype("datetime64[M]")).astype(np.int64) + 1
    number = (banner_codes * 10**8 + years * 10**4 + months * 100 + days) * 1000 + sequence
    digits = _digits(number, 17)
    check = _CHECK[(digits @ np.array(ID18_WEIGHTS)) % 11]
    return np.column_stack([digits.astype(np.uint8) + ord("0"), check])


def credit_codes(count: int) -> np.ndarray:
    """Return `count` × 18 ASCII bytes of distinct codes: an enterprise (91) of a test region, and a number."""
    digits = np.empty((count, 17), np.int64)
    digits[:, :8] = [9, 1, 9, 9, 0, 0, 0, 1]
    digits[:, 8:] = _digits(np.arange(1, count + 1) * 7919 % 10**9, 9)
    check = -(digits @ np.array(USCC_WEIGHTS)) % 31
    return _ALPHABET[np.column_stack([digits, check])]


def as_text(characters: np.ndarray) -> pa.Array:
    """Return n × width ASCII bytes as n texts."""
    flat = np.ascontiguousarray(characters, np.uint8)
    fixed = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(flat.shape[1]), len(flat), [None, pa.py_buffer(flat)]
    )
    return fixed.cast(pa.binary()).cast(pa.string())


def _digits(numbers: np.ndarray, width: int) -> np.ndarray:
    return numbers[:, None] // 10 ** np.arange(width - 1, -1, -1, dtype=np.int64) % 10

"""Products modulo 2^32 of a matrix with vectors: all that an owner does for a question, once over its whole table.

A table is read once for each question and nothing is kept of it, so memory's speed is the bound: the kernel takes four
rows at a time against one stretch of the vector, which stays in the nearest cache, and numba makes vector instructions
of it (`_row_by_vector` is where the goal of 8 GB/s per core is met). Products with *many* vectors, for hints, are bound
by multiplications instead: there a tile of two rows and four vectors is held in registers.

Entries are unsigned and words wrap around, which is exactly arithmetic modulo 2^32 (SimplePIR's q). The centred entries
of a table, x − 128, come of the plain ones by one subtraction: (D − 128)·v = D·v − 128·Σv.

`plain` has the same in numpy, for tests to compare with; `mpc.lookup.gpu` the same for a GPU. Nothing here branches on
an entry or a word, and no address depends on one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from mpc.lookup.parameters import CENTRE as CENTRE
from plans.errors import Defect

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint32]
Entries = Bytes | Words

MOST_THREADS = 8
_WORTH_THREADS = 1 << 22  # bytes of a matrix below which starting threads takes longer than the product
_STRETCH = 2048  # entries of four vectors and two rows that stay in the nearest cache

F = TypeVar("F", bound=Callable[..., None])


def _compiled(function: F) -> F:
    return cast(F, numba.njit(nogil=True, error_model="numpy")(function))


@_compiled
def _row_by_vector(found: Words, matrix: Entries, vector: Words) -> None:
    """Write matrix · vector to found, four rows at a time, and those that are left one at a time."""
    rows, columns = matrix.shape
    whole = rows - rows % 4
    for row in range(0, whole, 4):
        m0, m1, m2, m3 = matrix[row], matrix[row + 1], matrix[row + 2], matrix[row + 3]
        s0, s1, s2, s3 = np.uint32(0), np.uint32(0), np.uint32(0), np.uint32(0)
        for at in range(columns):
            word = vector[at]
            s0 += np.uint32(m0[at]) * word
            s1 += np.uint32(m1[at]) * word
            s2 += np.uint32(m2[at]) * word
            s3 += np.uint32(m3[at]) * word
        found[row], found[row + 1], found[row + 2], found[row + 3] = s0, s1, s2, s3
    for row in range(whole, rows):
        last = np.uint32(0)
        for at in range(columns):
            last += np.uint32(matrix[row, at]) * vector[at]
        found[row] = last


@_compiled
def _tiles(found: Words, matrix: Bytes, vectors: Words) -> None:
    """Add matrix · vectors to found, `[rows × vectors]`; rows are even, and of vectors every whole four is done."""
    rows, columns = matrix.shape
    for start in range(0, columns, _STRETCH):
        end = min(columns, start + _STRETCH)
        for row in range(0, rows, 2):
            m0, m1 = matrix[row, start:end], matrix[row + 1, start:end]
            for each in range(0, len(vectors) - 3, 4):
                v0, v1 = vectors[each, start:end], vectors[each + 1, start:end]
                v2, v3 = vectors[each + 2, start:end], vectors[each + 3, start:end]
                s0, s1, s2, s3 = np.uint32(0), np.uint32(0), np.uint32(0), np.uint32(0)
                t0, t1, t2, t3 = np.uint32(0), np.uint32(0), np.uint32(0), np.uint32(0)
                for at in range(end - start):
                    x, y = np.uint32(m0[at]), np.uint32(m1[at])
                    s0 += x * v0[at]
                    s1 += x * v1[at]
                    s2 += x * v2[at]
                    s3 += x * v3[at]
                    t0 += y * v0[at]
                    t1 += y * v1[at]
                    t2 += y * v2[at]
                    t3 += y * v3[at]
                first, second = found[row], found[row + 1]
                first[each] += s0
                first[each + 1] += s1
                first[each + 2] += s2
                first[each + 3] += s3
                second[each] += t0
                second[each + 1] += t1
                second[each + 2] += t2
                second[each + 3] += t3


@_compiled
def _combine(found: Words, matrix: Words, weights: Words) -> None:
    """Add weights · matrix to found: a weight for each row, a stretch of columns at a time."""
    rows, columns = matrix.shape
    for start in range(0, columns, _STRETCH):
        end = min(columns, start + _STRETCH)
        sums = found[start:end]
        for row in range(rows):
            words, weight = matrix[row, start:end], weights[row]
            for at in range(end - start):
                sums[at] += words[at] * weight


def combine(found: Words, matrix: Words, weights: Words) -> None:
    """Add the rows of a matrix of words, each times its weight, to found `[columns]` mod 2^32, in place.

    Raises:
        Defect: see `times`.
    """
    _require_fit(matrix, len(found))
    if len(weights) != len(matrix):
        raise Defect("a matrix and its weights of different sizes", "lookup.product")
    _combine(found, matrix, weights)


def times(matrix: Entries, vector: Words, threads: int = 0) -> Words:
    """Return matrix · vector mod 2^32, `[rows]`.

    Args:
        matrix: `[rows × columns]`, bytes or words, row by row in memory.
        vector: `[columns]`.
        threads: at most so many; 0 for as many as there are processors, up to eight.

    Raises:
        Defect: the shapes do not fit, or the rows do not lie one after another.
    """
    _require_fit(matrix, vector.shape[-1])
    found = np.empty(len(matrix), dtype=np.uint32)
    _in_threads(
        lambda part: _row_by_vector(found[part], matrix[part], vector), len(matrix), matrix.nbytes, threads
    )
    return found


def times_many(matrix: Bytes, vectors: Words, threads: int = 0) -> Words:
    """Return the products of a matrix of bytes with many vectors mod 2^32, `[rows × vectors]`.

    Args:
        matrix: `[rows × columns]`.
        vectors: `[vectors × columns]`.
        threads: as for `times`.

    Raises:
        Defect: see `times`.
    """
    _require_fit(matrix, vectors.shape[-1])
    rows, count = len(matrix), len(vectors)
    even, fours = rows - rows % 2, count - count % 4
    found = np.zeros((rows, count), dtype=np.uint32)
    _in_threads(lambda part: _tiles(found[part], matrix[part], vectors), even, matrix.nbytes, threads)
    if even < rows:
        found[even:, :fours] = plain(matrix[even:], vectors[:fours].T)
    for each in range(fours, count):
        found[:, each] = times(matrix, vectors[each], threads)
    return found


def plain(matrix: Entries, vector: Words) -> Words:
    """Return matrix · vector mod 2^32 by numpy alone: slow, and what the kernels are compared with."""
    return cast(Words, matrix.astype(np.uint32) @ vector)


def prepare() -> None:
    """Compile all products, which takes about a second: for a box that waits for work."""
    matrix, words = np.zeros((4, 4), dtype=np.uint8), np.zeros((4, 4), dtype=np.uint32)
    times(matrix, words[0])
    times(words, words[0])
    times_many(matrix, words)
    combine(words[0], words, words[1])


def centred(products: Words, vectors: Words) -> Words:
    """Return (D − 128)·v from D·v: of one vector `[columns]`, or of many `[vectors × columns]`."""
    sums = np.multiply(vectors.sum(axis=-1, dtype=np.uint32, keepdims=True), np.uint32(CENTRE))
    return cast(Words, products - (sums if vectors.ndim == 1 else sums.reshape(-1)))


def processors(threads: int = 0) -> int:
    """Return how many threads to use: as asked, or one for each processor, up to eight."""
    return threads or min(MOST_THREADS, len(os.sched_getaffinity(0)))


def _in_threads(work: Callable[[slice], None], rows: int, size: int, threads: int) -> None:
    """Do the work on parts of the rows, in as many threads as are worth it; parts begin at multiples of four."""
    workers = 1 if size < _WORTH_THREADS else processors(threads)
    length = max(4, -(-rows // workers // 4) * 4)
    parts = [slice(start, min(start + length, rows)) for start in range(0, rows, length)]
    if len(parts) <= 1:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(max_workers=workers) as pool:
        list(pool.map(work, parts))


def _require_fit(matrix: Entries, columns: int) -> None:
    if matrix.ndim != 2 or matrix.shape[1] != columns or not matrix.flags.c_contiguous:
        raise Defect("a matrix and a vector of different sizes", "lookup.product")

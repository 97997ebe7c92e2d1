"""X25519 for many points under one exponent: the Montgomery ladder of RFC 7748, section 5, on eight points at once.

OpenSSL works on one point at a time. Here the same arithmetic is written as loops over 32 points, which numba compiles
to vector instructions: on a processor with AVX-512 it takes half the time for each point. Compiling takes some five
seconds, so it is for long lists only (`keys.exchange_pool`). What it gives is compared with OpenSSL's: in tests, and
for a point of every piece of a list while it runs.

A field element is ten limbs of 26 and 25 bits in turn, the lowest first (as in Bernstein's `curve25519`), each in a
word of 64 bits, and `LANES` of them lie limb by limb: limb i of point l is word i·LANES + l. Bounds, which make every
sum fit: after `_carry` limbs are below 2^26 or 2^25 and a little more; sums and differences of two such are below
3·2^26 and 3·2^25; of those a product's coefficient is at most 4482·2^50 < 2^63. Factors, also times 19, are below 2^32,
so that `& LOW` changes nothing and tells the compiler that one multiplication of 32 bits is enough.

No branch and no address depends on the exponent or on a point.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Word = np.uint64
Limbs = tuple[Word, Word, Word, Word, Word, Word, Word, Word, Word, Word]

LANES = 32
_N = LANES  # short, for the places of limbs
_SIZE = 10 * LANES
_LOW = np.uint64(0xFFFFFFFF)
_M26, _M25, _S26, _S25 = np.uint64((1 << 26) - 1), np.uint64((1 << 25) - 1), np.uint64(26), np.uint64(25)
_ZERO, _ONE, _TWO, _FOUR, _C19 = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(4), np.uint64(19)
_A24 = np.uint64(121_665)
# twice the limbs of p, so that a difference is never negative
_P0, _EVEN, _ODD = np.uint64(2 * (2**26 - 19)), np.uint64(2 * (2**26 - 1)), np.uint64(2 * (2**25 - 1))

F = TypeVar("F", bound=Callable[..., None])


def _compiled(function: F) -> F:
    return cast(F, numba.njit(nogil=True, error_model="numpy")(function))


def _inlined(function: F) -> F:
    return cast(F, numba.njit(nogil=True, error_model="numpy", inline="always")(function))


@_inlined
def _carry(h: Words, at: int, limbs: Limbs) -> None:
    """Write ten limbs to the place `at` of h, all but the second within their bits."""
    h0, h1, h2, h3, h4, h5, h6, h7, h8, h9 = limbs
    h1, h0 = h1 + (h0 >> _S26), h0 & _M26
    h2, h1 = h2 + (h1 >> _S25), h1 & _M25
    h3, h2 = h3 + (h2 >> _S26), h2 & _M26
    h4, h3 = h4 + (h3 >> _S25), h3 & _M25
    h5, h4 = h5 + (h4 >> _S26), h4 & _M26
    h6, h5 = h6 + (h5 >> _S25), h5 & _M25
    h7, h6 = h7 + (h6 >> _S26), h6 & _M26
    h8, h7 = h8 + (h7 >> _S25), h7 & _M25
    h9, h8 = h9 + (h8 >> _S26), h8 & _M26
    h0, h9 = h0 + (h9 >> _S25) * _C19, h9 & _M25
    h1, h0 = h1 + (h0 >> _S26), h0 & _M26
    h[at], h[_N + at], h[2 * _N + at], h[3 * _N + at], h[4 * _N + at] = h0, h1, h2, h3, h4
    h[5 * _N + at], h[6 * _N + at], h[7 * _N + at], h[8 * _N + at], h[9 * _N + at] = h5, h6, h7, h8, h9


@_compiled
def _mul(h: Words, f: Words, g: Words) -> None:
    """Write f·g to h."""
    for at in range(_N):
        f0, f1, f2 = f[at] & _LOW, f[_N + at] & _LOW, f[2 * _N + at] & _LOW
        f3, f4, f5 = f[3 * _N + at] & _LOW, f[4 * _N + at] & _LOW, f[5 * _N + at] & _LOW
        f6, f7 = f[6 * _N + at] & _LOW, f[7 * _N + at] & _LOW
        f8, f9 = f[8 * _N + at] & _LOW, f[9 * _N + at] & _LOW
        g0, g1, g2 = g[at] & _LOW, g[_N + at] & _LOW, g[2 * _N + at] & _LOW
        g3, g4, g5 = g[3 * _N + at] & _LOW, g[4 * _N + at] & _LOW, g[5 * _N + at] & _LOW
        g6, g7 = g[6 * _N + at] & _LOW, g[7 * _N + at] & _LOW
        g8, g9 = g[8 * _N + at] & _LOW, g[9 * _N + at] & _LOW
        n1, n2, n3 = g1 * _C19 & _LOW, g2 * _C19 & _LOW, g3 * _C19 & _LOW
        n4, n5, n6 = g4 * _C19 & _LOW, g5 * _C19 & _LOW, g6 * _C19 & _LOW
        n7, n8, n9 = g7 * _C19 & _LOW, g8 * _C19 & _LOW, g9 * _C19 & _LOW
        d1, d3, d5 = f1 * _TWO & _LOW, f3 * _TWO & _LOW, f5 * _TWO & _LOW
        d7, d9 = f7 * _TWO & _LOW, f9 * _TWO & _LOW
        h0 = f0 * g0 + d1 * n9 + f2 * n8 + d3 * n7 + f4 * n6 + d5 * n5 + f6 * n4 + d7 * n3 + f8 * n2 + d9 * n1
        h1 = f0 * g1 + f1 * g0 + f2 * n9 + f3 * n8 + f4 * n7 + f5 * n6 + f6 * n5 + f7 * n4 + f8 * n3 + f9 * n2
        h2 = f0 * g2 + d1 * g1 + f2 * g0 + d3 * n9 + f4 * n8 + d5 * n7 + f6 * n6 + d7 * n5 + f8 * n4 + d9 * n3
        h3 = f0 * g3 + f1 * g2 + f2 * g1 + f3 * g0 + f4 * n9 + f5 * n8 + f6 * n7 + f7 * n6 + f8 * n5 + f9 * n4
        h4 = f0 * g4 + d1 * g3 + f2 * g2 + d3 * g1 + f4 * g0 + d5 * n9 + f6 * n8 + d7 * n7 + f8 * n6 + d9 * n5
        h5 = f0 * g5 + f1 * g4 + f2 * g3 + f3 * g2 + f4 * g1 + f5 * g0 + f6 * n9 + f7 * n8 + f8 * n7 + f9 * n6
        h6 = f0 * g6 + d1 * g5 + f2 * g4 + d3 * g3 + f4 * g2 + d5 * g1 + f6 * g0 + d7 * n9 + f8 * n8 + d9 * n7
        h7 = f0 * g7 + f1 * g6 + f2 * g5 + f3 * g4 + f4 * g3 + f5 * g2 + f6 * g1 + f7 * g0 + f8 * n9 + f9 * n8
        h8 = f0 * g8 + d1 * g7 + f2 * g6 + d3 * g5 + f4 * g4 + d5 * g3 + f6 * g2 + d7 * g1 + f8 * g0 + d9 * n9
        h9 = f0 * g9 + f1 * g8 + f2 * g7 + f3 * g6 + f4 * g5 + f5 * g4 + f6 * g3 + f7 * g2 + f8 * g1 + f9 * g0
        _carry(h, at, (h0, h1, h2, h3, h4, h5, h6, h7, h8, h9))


@_compiled
def _square(h: Words, f: Words) -> None:
    """Write f² to h."""
    for at in range(_N):
        f0, f1, f2 = f[at] & _LOW, f[_N + at] & _LOW, f[2 * _N + at] & _LOW
        f3, f4, f5 = f[3 * _N + at] & _LOW, f[4 * _N + at] & _LOW, f[5 * _N + at] & _LOW
        f6, f7 = f[6 * _N + at] & _LOW, f[7 * _N + at] & _LOW
        f8, f9 = f[8 * _N + at] & _LOW, f[9 * _N + at] & _LOW
        n5, n6, n7 = f5 * _C19 & _LOW, f6 * _C19 & _LOW, f7 * _C19 & _LOW
        n8, n9 = f8 * _C19 & _LOW, f9 * _C19 & _LOW
        d0, d1, d2, d3 = f0 * _TWO & _LOW, f1 * _TWO & _LOW, f2 * _TWO & _LOW, f3 * _TWO & _LOW
        d4, d5, d6, d7 = f4 * _TWO & _LOW, f5 * _TWO & _LOW, f6 * _TWO & _LOW, f7 * _TWO & _LOW
        d8, d9 = f8 * _TWO & _LOW, f9 * _TWO & _LOW
        q1, q3, q5, q7 = f1 * _FOUR & _LOW, f3 * _FOUR & _LOW, f5 * _FOUR & _LOW, f7 * _FOUR & _LOW
        h0 = f0 * f0 + q1 * n9 + d2 * n8 + q3 * n7 + d4 * n6 + d5 * n5
        h1 = d0 * f1 + d2 * n9 + d3 * n8 + d4 * n7 + d5 * n6
        h2 = d0 * f2 + d1 * f1 + q3 * n9 + d4 * n8 + q5 * n7 + f6 * n6
        h3 = d0 * f3 + d1 * f2 + d4 * n9 + d5 * n8 + d6 * n7
        h4 = d0 * f4 + q1 * f3 + f2 * f2 + q5 * n9 + d6 * n8 + d7 * n7
        h5 = d0 * f5 + d1 * f4 + d2 * f3 + d6 * n9 + d7 * n8
        h6 = d0 * f6 + q1 * f5 + d2 * f4 + d3 * f3 + q7 * n9 + f8 * n8
        h7 = d0 * f7 + d1 * f6 + d2 * f5 + d3 * f4 + d8 * n9
        h8 = d0 * f8 + q1 * f7 + d2 * f6 + q3 * f5 + f4 * f4 + d9 * n9
        h9 = d0 * f9 + d1 * f8 + d2 * f7 + d3 * f6 + d4 * f5
        _carry(h, at, (h0, h1, h2, h3, h4, h5, h6, h7, h8, h9))


@_compiled
def _add(h: Words, f: Words, g: Words) -> None:
    """Write f + g to h, limbs not carried."""
    for at in range(_SIZE):
        h[at] = f[at] + g[at]


@_compiled
def _sub(h: Words, f: Words, g: Words) -> None:
    """Write f − g to h, limbs not carried: 2p is added."""
    for at in range(_N):
        h[at] = f[at] + _P0 - g[at]
    for limb in range(1, 10):
        more = _ODD if limb % 2 else _EVEN
        for at in range(limb * _N, limb * _N + _N):
            h[at] = f[at] + more - g[at]


@_compiled
def _add_a24(h: Words, f: Words, g: Words) -> None:
    """Write f + 121665·g to h."""
    for at in range(_N):
        _carry(
            h,
            at,
            (
                f[at] + _A24 * g[at],
                f[_N + at] + _A24 * g[_N + at],
                f[2 * _N + at] + _A24 * g[2 * _N + at],
                f[3 * _N + at] + _A24 * g[3 * _N + at],
                f[4 * _N + at] + _A24 * g[4 * _N + at],
                f[5 * _N + at] + _A24 * g[5 * _N + at],
                f[6 * _N + at] + _A24 * g[6 * _N + at],
                f[7 * _N + at] + _A24 * g[7 * _N + at],
                f[8 * _N + at] + _A24 * g[8 * _N + at],
                f[9 * _N + at] + _A24 * g[9 * _N + at],
            ),
        )


@_compiled
def _swap(f: Words, g: Words, mask: Word) -> None:
    """Exchange f and g where the mask is all ones, and do the same work where it is zero."""
    for at in range(_SIZE):
        both = (f[at] ^ g[at]) & mask
        f[at] ^= both
        g[at] ^= both


@_compiled
def _step(room: Words) -> None:
    """Do one step of the ladder, with the names of RFC 7748 where there are as many."""
    x1, x2, z2, x3, z3 = room[0], room[1], room[2], room[3], room[4]
    a, b, c, d, e = room[5], room[6], room[7], room[8], room[9]
    _add(a, x2, z2)
    _sub(b, x2, z2)
    _add(c, x3, z3)
    _sub(d, x3, z3)
    _mul(x3, d, a)  # DA
    _mul(z3, c, b)  # CB
    _add(c, x3, z3)
    _sub(d, x3, z3)
    _square(x3, c)
    _square(e, d)
    _mul(z3, x1, e)
    _square(c, a)  # AA
    _square(d, b)  # BB
    _mul(x2, c, d)
    _sub(e, c, d)  # E
    _add_a24(a, c, e)
    _mul(z2, e, a)


@_compiled
def _invert(h: Words, z: Words, scratch: Words) -> None:
    """Write z^(p − 2) to h. In binary p − 2 is 255 ones but for a zero at the places 2 and 4."""
    h[:] = z
    for bit in range(253, -1, -1):
        _square(scratch, h)
        if bit == 2 or bit == 4:
            h[:] = scratch
        else:
            _mul(h, scratch, z)


@_compiled
def _load(x: Words, words: Words, start: int) -> None:
    """Write the limbs of up to LANES coordinates, from a row on; the last row stands for those that are missing."""
    for at in range(_N):
        row = min(start + at, len(words) - 1)
        a, b, c, d = words[row, 0], words[row, 1], words[row, 2], words[row, 3]
        x[at] = a & _M26
        x[_N + at] = (a >> np.uint64(26)) & _M25
        x[2 * _N + at] = ((a >> np.uint64(51)) | (b << np.uint64(13))) & _M26
        x[3 * _N + at] = (b >> np.uint64(13)) & _M25
        x[4 * _N + at] = (b >> np.uint64(38)) & _M26
        x[5 * _N + at] = c & _M25
        x[6 * _N + at] = (c >> np.uint64(25)) & _M26
        x[7 * _N + at] = ((c >> np.uint64(51)) | (d << np.uint64(13))) & _M25
        x[8 * _N + at] = (d >> np.uint64(12)) & _M26
        x[9 * _N + at] = (d >> np.uint64(38)) & _M25


@_compiled
def _store(words: Words, start: int, x: Words, one: Words) -> None:
    """Write coordinates, reduced modulo p, from a row on. `one` is an element of scratch, which becomes x + 19."""
    for at in range(_N):
        for _ in range(2):  # twice, so that every limb is within its bits
            _carry(
                x, at, (x[at], x[_N + at], x[2 * _N + at], x[3 * _N + at], x[4 * _N + at],
                x[5 * _N + at], x[6 * _N + at], x[7 * _N + at], x[8 * _N + at], x[9 * _N + at]),
            )  # fmt: skip
    for at in range(_N):
        more = (x[at] + _C19) >> _S26  # the carry of x + 19 out of the highest limb: 1 if x ≥ p, else 0
        for limb in range(1, 10):
            more = (x[limb * _N + at] + more) >> (_S25 if limb % 2 else _S26)
        more *= _C19
        for limb in range(10):
            more += x[limb * _N + at]
            one[limb * _N + at] = more & (_M25 if limb % 2 else _M26)
            more >>= _S25 if limb % 2 else _S26
        row = start + at
        if row < len(words):
            l0, l1, l2, l3, l4 = one[at], one[_N + at], one[2 * _N + at], one[3 * _N + at], one[4 * _N + at]
            l5, l6, l7 = one[5 * _N + at], one[6 * _N + at], one[7 * _N + at]
            l8, l9 = one[8 * _N + at], one[9 * _N + at]
            words[row, 0] = l0 | (l1 << np.uint64(26)) | (l2 << np.uint64(51))
            words[row, 1] = (l2 >> np.uint64(13)) | (l3 << np.uint64(13)) | (l4 << np.uint64(38))
            words[row, 2] = l5 | (l6 << np.uint64(25)) | (l7 << np.uint64(51))
            words[row, 3] = (l7 >> np.uint64(13)) | (l8 << np.uint64(12)) | (l9 << np.uint64(38))


@_compiled
def _climb(found: Words, words: Words, bits: Words) -> None:
    """Write [exponent]·P for all rows of words to found."""
    room = np.zeros((10, _SIZE), dtype=np.uint64)
    x1, x2, z2, x3, z3 = room[0], room[1], room[2], room[3], room[4]
    a, b, c, d = room[5], room[6], room[7], room[8]
    for start in range(0, len(words), _N):
        _load(x1, words, start)
        x2[:], z2[:], x3[:], z3[:] = _ZERO, _ZERO, x1, _ZERO
        x2[:_N], z3[:_N] = _ONE, _ONE
        last = _ZERO
        for place in range(254, -1, -1):
            mask = _ZERO - (bits[place] ^ last)
            last = bits[place]
            _swap(x2, x3, mask)
            _swap(z2, z3, mask)
            _step(room)
        _swap(x2, x3, _ZERO - last)
        _swap(z2, z3, _ZERO - last)
        _invert(a, z2, b)
        _mul(c, x2, a)
        _store(found, start, c, d)


def climb(words: Words, exponent: bytes) -> Words:
    """Return the x-coordinates of [exponent]·P, reduced; 0 for a point of small order.

    Args:
        words: reduced coordinates, four words each, the lowest first, `[n × 4]`.
        exponent: 32 bytes, which are clamped (RFC 7748, section 5).
    """
    number = int.from_bytes(exponent, "little") & ~(7 | 3 << 254) | 1 << 254
    bits = np.array([number >> place & 1 for place in range(255)], dtype=np.uint64)
    found = np.empty(words.shape, dtype=np.uint64)
    if len(words):
        _climb(found, np.ascontiguousarray(words), bits)
    return found

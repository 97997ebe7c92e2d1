"""Whole numbers that wrap around: the rings in which shares are kept, as arrays of 64-bit words.

`RING64` is Z_2^64, an array of uint64 in the shape of the data. `RING128` is Z_2^128, with one more axis of two
words at the end, the low word first. `BITS64` and `BITS128` are the same words as vectors of bits, where adding is
XOR and multiplying is AND: replicated sharing works over any ring, so one code does both worlds.

A signed number x with |x| < 2^(bits−1) stands for itself modulo 2^bits; nothing is ever rounded or cut. Whether a
computation can leave that range is decided before it runs, from public bounds (`mpc.scheme.ring_bits`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keys.randomness import MaskStream
from plans.errors import LinkBroken, RangeTooWide

Words = NDArray[np.uint64]
Shape = tuple[int, ...]

_LOW = np.uint64(0xFFFF_FFFF)
_HALF = np.uint64(32)
_ROWS_AT_ONCE = 1 << 10  # of a 128-bit inner product: the limbs of 50 groups are then 1.6 MB, near the core
_EXACT_ROWS = 1 << 20  # so many products of two 16-bit limbs, added up, are exact as float64


class Ring(ABC):
    """Arithmetic on arrays of elements. Shapes are those of the data, without the axis of words.

    Attributes:
        bits: how many bits an element has.
        size: how many bytes.
        words: the axis of words at the end of an array: `()` or `(2,)`.
        name: the ring's word in tags and messages.
    """

    bits: int
    words: Shape
    name: str

    @property
    def size(self) -> int:
        """Bytes of an element."""
        return self.bits // 8

    def shape(self, x: Words) -> Shape:
        """Return the shape of the data in `x`."""
        return x.shape[: x.ndim - len(self.words)]

    def zeros(self, shape: Shape) -> Words:
        """Return an array of zeros."""
        return np.zeros((*shape, *self.words), dtype=np.uint64)

    def draw(self, stream: MaskStream, shape: Shape) -> Words:
        """Return uniform elements from a stream of masks."""
        whole = (*shape, *self.words)
        return stream.words(int(np.prod(whole, dtype=np.int64))).reshape(whole)

    def raw(self, x: Words) -> memoryview:
        """Return the elements as little-endian bytes, without a copy where `x` is contiguous."""
        return memoryview(np.ascontiguousarray(x, dtype="<u8").reshape(-1).view(np.uint8).data)

    def bytes_of(self, shape: Shape) -> int:
        """Return how many bytes `raw` has for data of this shape."""
        return int(np.prod(shape, dtype=np.int64)) * self.size

    def from_raw(self, raw: bytes, shape: Shape) -> Words:
        """Return what `raw` wrote.

        Raises:
            LinkBroken: there are more or fewer bytes than this shape has.
        """
        if len(raw) != self.bytes_of(shape):
            raise LinkBroken(
                f"elements of {self.name} take {self.bytes_of(shape)} bytes here, not {len(raw)}"
            )
        return np.frombuffer(raw, dtype="<u8").astype(np.uint64, copy=False).reshape((*shape, *self.words))

    def encode(self, numbers: NDArray[np.int64] | Sequence[int]) -> Words:
        """Return signed whole numbers as elements (one axis).

        Raises:
            RangeTooWide: a number has |x| ≥ 2^(bits−1). Which one is not said.
        """
        if isinstance(numbers, np.ndarray):
            return self.widen(numbers.astype(np.int64, casting="safe", copy=False))
        bound = 1 << (self.bits - 1)
        if any(not -bound <= number < bound for number in numbers):
            raise RangeTooWide(f"a number does not fit into {self.bits} bits")
        mask = (1 << self.bits) - 1
        raw = b"".join((number & mask).to_bytes(self.size, "little") for number in numbers)
        return self.from_raw(raw, (len(numbers),))

    def decode(self, x: Words) -> list[int]:
        """Return elements as signed whole numbers, in the order of the array's last axis first (C order)."""
        raw, size = self.raw(x), self.size
        return [int.from_bytes(raw[at : at + size], "little", signed=True) for at in range(0, len(raw), size)]

    @abstractmethod
    def widen(self, numbers: NDArray[np.int64]) -> Words:
        """Return signed 64-bit numbers of any shape as elements."""

    @abstractmethod
    def add(self, x: Words, y: Words) -> Words:
        """Return x + y, with numpy's broadcasting over the data's axes."""

    @abstractmethod
    def sub(self, x: Words, y: Words) -> Words:
        """Return x − y."""

    @abstractmethod
    def mul(self, x: Words, y: Words) -> Words:
        """Return x · y, element by element."""

    @abstractmethod
    def total(self, x: Words) -> Words:
        """Return the sums over the last axis of the data, which stays with one place: `[A × m]` gives `[A × 1]`."""

    @abstractmethod
    def cross(self, x: Words, y: Words) -> Words:
        """Return all inner products of the rows of x `[A × m]` and of y `[B × m]`: `[A × B]`."""

    def neg(self, x: Words) -> Words:
        """Return −x."""
        return self.sub(np.zeros_like(x), x)

    def __repr__(self) -> str:
        return self.name


class Ring64(Ring):
    """Z_2^64."""

    bits, words, name = 64, (), "ring64"

    def widen(self, numbers: NDArray[np.int64]) -> Words:
        """Return signed 64-bit numbers as elements."""
        return numbers.view(np.uint64)

    def add(self, x: Words, y: Words) -> Words:
        """Return x + y."""
        return np.add(x, y)

    def sub(self, x: Words, y: Words) -> Words:
        """Return x − y."""
        return np.subtract(x, y)

    def mul(self, x: Words, y: Words) -> Words:
        """Return x · y."""
        return np.multiply(x, y)

    def total(self, x: Words) -> Words:
        """Return the sums over the last axis."""
        return np.asarray(x.sum(axis=-1, dtype=np.uint64, keepdims=True))

    def cross(self, x: Words, y: Words) -> Words:
        """Return all inner products of rows."""
        return np.stack([np.einsum("am,m->a", x, row) for row in y], axis=1) if len(y) else x[:, :0]


class Ring128(Ring):
    """Z_2^128, two words per element."""

    bits, words, name = 128, (2,), "ring128"

    def widen(self, numbers: NDArray[np.int64]) -> Words:
        """Return signed 64-bit numbers as elements: the high word repeats the sign."""
        return np.stack([numbers.view(np.uint64), (numbers >> 63).view(np.uint64)], axis=-1)

    def add(self, x: Words, y: Words) -> Words:
        """Return x + y."""
        found = np.empty(np.broadcast_shapes(x.shape, y.shape), dtype=np.uint64)
        low, high = found[..., 0], found[..., 1]
        np.add(x[..., 0], y[..., 0], out=low)
        np.add(x[..., 1], y[..., 1], out=high)
        high += low < x[..., 0]
        return found

    def sub(self, x: Words, y: Words) -> Words:
        """Return x − y."""
        found = np.empty(np.broadcast_shapes(x.shape, y.shape), dtype=np.uint64)
        low, high = found[..., 0], found[..., 1]
        np.subtract(x[..., 0], y[..., 0], out=low)
        np.subtract(x[..., 1], y[..., 1], out=high)
        high -= x[..., 0] < y[..., 0]
        return found

    def mul(self, x: Words, y: Words) -> Words:
        """Return x · y: the full product of the low words, and the mixed products in the high word."""
        (x0, x1), (y0, y1) = (x[..., 0], x[..., 1]), (y[..., 0], y[..., 1])
        return np.stack([x0 * y0, _high_product(x0, y0) + x0 * y1 + x1 * y0], axis=-1)

    def total(self, x: Words) -> Words:
        """Return the sums over the last axis: halves of 32 bits, whose sums cannot overflow, then the carries."""
        low, high = x[..., 0], x[..., 1]
        small = (low & _LOW).sum(axis=-1, dtype=np.uint64, keepdims=True)
        large = (low >> _HALF).sum(axis=-1, dtype=np.uint64, keepdims=True)
        return _carried(small, large, high.sum(axis=-1, dtype=np.uint64, keepdims=True))

    def cross(self, x: Words, y: Words) -> Words:
        """Return all inner products of rows.

        The mixed products wrap at 64 bits and are summed as such. The products of low words are needed in full: they
        are cut into limbs of 16 bits, whose products summed over 2^20 rows stay below 2^52 and so are exact as
        float64, at the speed of the machine's matrix product.
        """
        narrow = RING64
        shape = (x.shape[0], y.shape[0])
        high = narrow.cross(x[..., 0], y[..., 1]) + narrow.cross(x[..., 1], y[..., 0])
        found = np.stack([np.zeros(shape, dtype=np.uint64), high], axis=-1)
        for start in range(0, x.shape[1], _EXACT_ROWS):
            rows = slice(start, start + _EXACT_ROWS)
            found = self.add(found, _low_products(x[:, rows], y[:, rows]))
        return found


class Bits(Ring):
    """Vectors of bits in words: adding is XOR, multiplying is AND."""

    def widen(self, numbers: NDArray[np.int64]) -> Words:
        """Return the two's complement of signed numbers as bits."""
        ring: Ring = RING128 if self.words else RING64
        return ring.widen(numbers)

    def add(self, x: Words, y: Words) -> Words:
        """Return x XOR y."""
        return np.bitwise_xor(x, y)

    def sub(self, x: Words, y: Words) -> Words:
        """Return x XOR y, which is its own inverse."""
        return np.bitwise_xor(x, y)

    def mul(self, x: Words, y: Words) -> Words:
        """Return x AND y."""
        return np.bitwise_and(x, y)

    def total(self, x: Words) -> Words:
        """Return the XOR over the last axis of the data."""
        last = -1 - len(self.words)
        return np.asarray(np.bitwise_xor.reduce(x, axis=last, keepdims=True), dtype=np.uint64)

    def cross(self, x: Words, y: Words) -> Words:
        """Return the XOR of the ANDs of all rows."""
        return np.concatenate([self.total(self.mul(x, row[None])) for row in y], axis=1)


class Bits64(Bits):
    """64 bits in a word."""

    bits, words, name = 64, (), "bits64"


class Bits128(Bits):
    """128 bits in two words, the low word first."""

    bits, words, name = 128, (2,), "bits128"


RING64: Final = Ring64()
RING128: Final = Ring128()
BITS64: Final = Bits64()
BITS128: Final = Bits128()
RINGS: Final = {64: RING64, 128: RING128}


def _high_product(x: Words, y: Words) -> Words:
    """Return the high words of the full 128-bit products of 64-bit words, by halves of 32 bits."""
    x0, x1, y0, y1 = x & _LOW, x >> _HALF, y & _LOW, y >> _HALF
    middle = x1 * y0 + ((x0 * y0) >> _HALF)  # at most (2^32−1)^2 + 2^32 − 1 < 2^64
    other = x0 * y1 + (middle & _LOW)
    found: Words = x1 * y1 + (middle >> _HALF) + (other >> _HALF)
    return found


def _carried(small: Words, large: Words, high: Words) -> Words:
    """Return small + 2^32 · large + 2^64 · high as elements of Z_2^128."""
    low = small + (large << _HALF)
    return np.stack([low, high + (large >> _HALF) + (low < small)], axis=-1)


def _limbs(x: Words) -> NDArray[np.float64]:
    """Return the 16-bit limbs of the low words of elements `[A × m]` as floats `[m × 4A]`, lowest limb first.

    Rows of groups often lie in memory turned by 90 degrees, as they were dealt; then nothing is moved here.
    """
    turned = np.ascontiguousarray(x.swapaxes(0, 1), dtype="<u8").view("<u2")
    limbs = turned.reshape(x.shape[1], x.shape[0], 8)[..., :4]
    return limbs.astype(np.float64).reshape(x.shape[1], 4 * x.shape[0])


def _low_products(x: Words, y: Words) -> Words:
    """Return Σ of the products of low words, in Z_2^128, for elements x `[A × m]` and y `[B × m]`, m ≤ 2^20."""
    added = np.zeros((4 * len(x), 4 * len(y)))
    for start in range(0, x.shape[1], _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        added += _limbs(x[:, rows]).T @ _limbs(y[:, rows])
    products = added.astype(np.uint64).reshape(len(x), 4, len(y), 4)
    found = np.zeros((len(x), len(y), 2), dtype=np.uint64)
    for place in range(7):  # limbs i and j meet at 2^(16(i+j)); at most four sums below 2^52 each
        pairs = [(i, place - i) for i in range(4) if 0 <= place - i < 4]
        here = np.stack([products[:, i, :, j] for i, j in pairs]).sum(axis=0, dtype=np.uint64)
        found = RING128.add(found, _shifted(np.asarray(here), 16 * place))
    return found


def _shifted(x: Words, by: int) -> Words:
    """Return x · 2^by of 64-bit words as elements of Z_2^128."""
    if by >= 64:
        return np.stack([np.zeros_like(x), x << np.uint64(by - 64)], axis=-1)
    high = x >> np.uint64(64 - by) if by else np.zeros_like(x)
    return np.stack([x << np.uint64(by), high], axis=-1)

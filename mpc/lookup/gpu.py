"""The same products on a GPU, as products of bytes: for an owner who has one, and many questions.

A table is held there once as signed bytes, x − 128, which is its centred form. A word modulo 2^32 is written with four
signed digits to the base 256, w = Σ dᵢ·256ⁱ with −128 ≤ dᵢ ≤ 127, and a question becomes four columns of digits.
Their products with the table are products of signed bytes added up in 32 bits, for which GPUs have units of their own
(`torch._int_mm`), and which are exact as long as 2^14 · columns stays below 2^31: so no more than 2^16 columns are
taken at a time. What belongs together is then added up with its power of 256, modulo 2^32.

`torch` is looked for, and nothing here needs it: a table takes the product that it is given (`Multiply`), and the tests
give it numpy's. The arithmetic was compared so; a GPU has not been seen by this module.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mpc.lookup.layout import WORD
from mpc.lookup.product import CENTRE
from plans.errors import LinkBroken

Bytes = NDArray[np.uint8]
Signed = NDArray[np.int8]
Words = NDArray[np.uint32]

DIGITS = 4
AT_A_TIME = 1 << 16
"""Columns for which no sum of 32 bits can overflow."""

WORTH = 1 << 26
"""Bytes of a table below which a processor has answered before a library for GPUs is read."""

_MULTIPLE = 8  # `torch._int_mm` takes so many columns, or a multiple

Multiply = Callable[[Any, Signed], NDArray[np.int32]]
"""From a piece of the table, as `Keep` keeps it, and digits `[columns × n]` to their exact product in 32 bits."""

Keep = Callable[[Signed], Any]


def digits(vectors: Words) -> Signed:
    """Return words `[vectors × columns]` as signed digits `[columns × 4·vectors]`, zeros behind to a multiple of 8."""
    count, columns = vectors.shape
    found = np.zeros((columns, -(-DIGITS * count // _MULTIPLE) * _MULTIPLE), dtype=np.int8)
    rest = vectors.copy()
    for place in range(DIGITS):
        digit = rest.astype(np.uint8).view(np.int8)
        found[:, place : DIGITS * count : DIGITS] = digit.T
        rest -= digit.astype(np.int32).view(np.uint32)  # what is left is a multiple of 256
        rest >>= np.uint32(8)
    return found


def joined(products: NDArray[np.int32], count: int) -> Words:
    """Return the words `[vectors × rows]` of which these are the products with their digits."""
    words = products[:, : DIGITS * count].view(np.uint32).reshape(len(products), count, DIGITS)
    shifts = np.uint32(8) * np.arange(DIGITS, dtype=np.uint32)
    return cast(Words, np.left_shift(words, shifts).sum(axis=2, dtype=np.uint32).T)


class DeviceTable:
    """A table on a device, to answer many questions at once."""

    def __init__(self, matrix: Bytes, keep: Keep, multiply: Multiply) -> None:
        """Bring a table `[height × columns]` to the device.

        Args:
            matrix: of a `SealedTable`.
            keep: brings a piece there.
            multiply: multiplies there.
        """
        self._multiply = multiply
        self.height, self.columns = matrix.shape
        self._starts = range(0, self.columns, AT_A_TIME)
        signed = (matrix ^ np.uint8(CENTRE)).view(np.int8)  # x − 128 as two's complement
        self._pieces = [keep(np.ascontiguousarray(signed[:, at : at + AT_A_TIME])) for at in self._starts]

    def times(self, vectors: Words) -> Words:
        """Return (D − 128)·v mod 2^32 for many vectors `[vectors × columns]`, `[vectors × height]`."""
        found = np.zeros((len(vectors), self.height), dtype=np.uint32)
        for at, piece in zip(self._starts, self._pieces, strict=True):
            products = self._multiply(piece, digits(vectors[:, at : at + AT_A_TIME]))
            found += joined(np.ascontiguousarray(products), len(vectors))
        return found

    def answers(self, questions: Sequence[bytes]) -> list[bytes]:
        """Return the answers to questions: the same bytes as `simple_pir.answer`.

        Raises:
            LinkBroken: a question has another size than the table's.
        """
        if any(len(question) != WORD * self.columns for question in questions):
            raise LinkBroken(
                f"a question has {WORD * self.columns:,} bytes, and one came that has not", "lookup"
            )
        if not questions:
            return []
        words = np.frombuffer(b"".join(questions), dtype="<u4").astype(np.uint32)
        found = self.times(words.reshape(len(questions), self.columns))
        return [row.astype("<u4", copy=False).tobytes() for row in found]


def on_gpu(matrix: Bytes) -> DeviceTable | None:
    """Return the table on the first GPU, or nothing: it is too small for it, or there is no torch or no GPU."""
    if matrix.size < WORTH or matrix.shape[1] % _MULTIPLE:
        return None
    try:
        torch: Any = importlib.import_module("torch")
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None

    def keep(piece: Signed) -> Any:
        return torch.from_numpy(piece).cuda()

    def multiply(piece: Any, factors: Signed) -> NDArray[np.int32]:
        right = torch.from_numpy(np.ascontiguousarray(factors.T)).cuda().t()
        return cast(NDArray[np.int32], torch._int_mm(piece, right).cpu().numpy())

    return DeviceTable(matrix, keep, multiply)

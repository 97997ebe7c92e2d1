"""Common randomness of joint computations, and a keyed permutation of identifiers.

`MaskStream` is AES-256 in counter mode (SP 800-38A section 6.5) over zeros: a pseudorandom stream at the speed of
memory, of which two parties with the same key draw the same words. A block of it must never mask two things:
`mask_key` therefore derives the key from the seed *and* the plan's digest, the attempt, the stage and the
purpose (HKDF-SHA256, RFC 5869), so that a resumed or repeated stage has other masks than the one that failed,
and `Masks` hands each purpose out once.

`permute` is AES as what it is, a permutation of 16-byte blocks that looks random to whoever lacks the key. It is
"electronic codebook", whose known fault is that equal blocks become equal blocks. Here that is the purpose: the
blocks are *distinct* packed identifiers of one owner, so that nothing repeats within a list, and owners who agreed
on the key for one plan find the same pseudonym for the same person. It is right for that and nothing else.

This module needs numpy, which members' machines need not have: nothing in `keys.api` imports it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from plans.errors import Malformed, StateConflict

Words = NDArray[np.uint64]
Bytes = NDArray[np.uint8]

KEY = 32  # bytes of a seed and of a mask key
BLOCK = 16  # bytes of an AES block
_ZEROS = bytes(1 << 20)


def mask_key(seed: bytes, digest: str, attempt: int, stage: str, purpose: str) -> bytes:
    """Return the AES-256 key of one mask stream.

    Args:
        seed: 32 secret bytes that the holders of this stream share.
        digest: the plan's.
        attempt, stage: of the stage that runs; another attempt has other masks.
        purpose: what the stream masks, e.g. ``share/health.visits/income``.

    Raises:
        Malformed: the seed does not have 32 bytes, or the attempt is negative.
    """
    if len(seed) != KEY:
        raise Malformed(f"a seed of masks has {KEY} bytes", "seed")
    if attempt < 0:
        raise Malformed("an attempt is not negative", "attempt")
    # Each part stands behind its length, so that no two different lists of parts give the same bytes.
    parts = [part.encode() for part in (digest, str(attempt), stage, purpose)]
    info = b"darkroom/v1/mask" + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return HKDF(hashes.SHA256(), KEY, None, info).derive(seed)


class MaskStream:
    """A pseudorandom stream of which every byte is drawn once, in order. Its key is not in `repr`."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY:
            raise Malformed(f"a key of masks has {KEY} bytes", "key")
        self._encryptor = Cipher(algorithms.AES256(key), modes.CTR(bytes(BLOCK))).encryptor()
        self.position = 0  # bytes drawn so far

    def draw(self, size: int) -> Bytes:
        """Return the next `size` bytes as a writable array."""
        room = np.empty(
            size + BLOCK, dtype=np.uint8
        )  # the library asks for a block of room behind the output
        view = room.data
        for start in range(0, size, len(_ZEROS)):
            length = min(len(_ZEROS), size - start)
            self._encryptor.update_into(memoryview(_ZEROS)[:length], view[start:])
        self.position += size
        return room[:size]

    def words(self, count: int) -> Words:
        """Return the next `count` uniform words of 64 bits."""
        return self.draw(8 * count).view(np.uint64)

    def __repr__(self) -> str:
        return f"MaskStream(position={self.position})"


class Masks:
    """All mask streams of one seed within one attempt of one stage; each purpose is handed out once."""

    def __init__(self, seed: bytes, digest: str, attempt: int, stage: str) -> None:
        self._seed, self._place = seed, (digest, attempt, stage)
        self._given: set[str] = set()

    def stream(self, purpose: str) -> MaskStream:
        """Return the stream of a purpose, from its beginning.

        Raises:
            StateConflict: it was handed out before; the same masks would cover two things.
        """
        if purpose in self._given:
            raise StateConflict("these masks were used before", purpose, "Start the stage as a new attempt.")
        self._given.add(purpose)
        return MaskStream(mask_key(self._seed, *self._place, purpose))

    def __repr__(self) -> str:
        return f"Masks(place={self._place!r}, given={len(self._given)})"


def permute(key: bytes, blocks: Bytes) -> Bytes:
    """Return the AES permutation of `n` blocks, an array `[n × 16]`, in one call.

    Args:
        key: 16 or 32 bytes (AES-128 or AES-256).
        blocks: *distinct* blocks (see above); the caller has checked that they are.

    Raises:
        Malformed: the key or the array has another size.
    """
    if len(key) not in (16, 32):
        raise Malformed("a key of the permutation has 16 or 32 bytes", "key")
    if blocks.ndim != 2 or blocks.shape[1] != BLOCK or blocks.dtype != np.uint8:
        raise Malformed(f"blocks are rows of {BLOCK} bytes", "blocks")
    cipher: Any = Cipher(algorithms.AES(key), modes.ECB())
    size = blocks.size
    room = np.empty(size + BLOCK, dtype=np.uint8)
    cipher.encryptor().update_into(np.ascontiguousarray(blocks).data.cast("B") if size else b"", room.data)
    return room[:size].reshape(-1, BLOCK)

"""How one stage hands a file to the next, or to the owner's keeper: what binds the ciphertext, and its padding.

The key is the owner's (`keeper.keyring`), and its cipher that of `keys`; here is what both sides must agree on.
"""

from __future__ import annotations

from plans import canonical
from plans.errors import Malformed
from plans.plan import Plan

SMALLEST_HANDOVER = 1 << 16


def handover(plan: Plan, attempt: int, name: str) -> bytes:
    """Return the associated data that bind a handed-over file to plan, attempt and name."""
    return handover_of(plan.digest, attempt, name)


def handover_of(plan: str, attempt: int, name: str) -> bytes:
    """Return the same for a plan that is known by its digest."""
    return canonical.encode({"plan": plan, "attempt": attempt, "name": name})


def padded(content: bytes) -> bytes:
    """Return length, content and zeros, together a power of two of bytes and at least `SMALLEST_HANDOVER`."""
    zeros = padded_size(len(content)) - len(content) - 8
    return len(content).to_bytes(8, "big") + content + b"\0" * zeros


def padded_size(size: int) -> int:
    """Return how many bytes `padded` makes of so many."""
    return max(SMALLEST_HANDOVER, 1 << (size + 7).bit_length())


def unpadded(content: bytes) -> bytes:
    """Return what was padded.

    Raises:
        Malformed: it is shorter than it says.
    """
    length = int.from_bytes(content[:8], "big")
    if length > len(content) - 8:
        raise Malformed("a handed-over file is shorter than it says", "box inputs")
    return content[8 : 8 + length]

"""How one stage hands a file to the next, or to the owner's keeper: its name, what binds the ciphertext, its padding.

The key is the owner's (`keeper.keyring`), and its cipher that of `keys`; here is what both sides must agree on.
"""

from __future__ import annotations

from plans import canonical
from plans.errors import Malformed
from plans.plan import Plan

RESULT, TABLE, PROTECTED, FINISHED, SEALED = (
    "result.bin", "table.bin", "protected.bin", "finished.bin", "release.bin",
)  # fmt: skip
"""What the query, parse, protect and finish boxes hand on, and what the judge box leaves for the recipient."""

OUTPUT, ARTIFACTS = "output.bin", "artifacts.bin"
"""What a job hands to the box that re-encodes, and what that box hands to the one that judges."""

SETS = "sets.bin"
"""Secret projections of the persons behind each cell, for the owner's disclosure ledger (`keeper.ledger`)."""

RECORD, HELD, SHOWN = "record.bin", "held.bin", "shown.bin"
"""What the judging box leaves for the owner alone: every rule with its numbers; the sealed bytes of an output that is
held; and the same output as reviewers read it. Each lies under a key that only the keeper can make again.
"""

OPENED = "opened.bin"
"""What the box of a server leaves for whoever opens a joint computation: its shares, sealed (`plans.joint.Opened`)."""

OWN_ROWS = "rows-0"
"""The link over which an owner's rows go from its extracting box to the box that speaks with other parties."""

FILES, EVIDENCE, LOG = "files/", "evidence/", "log.txt"
"""What is packed into a job's output: its outputs by name, what a component says beside its tables, and the log."""

HELD_OUT, OWN_SIGNS = "_held_out", "_signs"
"""Columns that loaders stream beside a relation's: whether the job never saw the row's person, who is there to check a
model by; and the person's 64 signs (`plans.sets`).
"""

SMALLEST_HANDOVER = 1 << 16
"""Bytes of the smallest padded file."""


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

"""Where another party's ciphertexts may be looked at: in a box, one job for each process.

Native code that reads what others sent is kept behind walls. `enter` makes the only `CryptoBox` of a process, and only
if the process is behind the filter of system calls that every box has (`sandbox/syscalls.py`; under gVisor the same).
`require` stands in front of every function that reads another party's bytes: outside a box there is none to find.
"""

from __future__ import annotations

import re
from pathlib import Path

from plans.errors import Refused, StateConflict

_FILTERED = 2  # SECCOMP_MODE_FILTER, as the line "Seccomp:" of /proc/self/status says it

_entered: list[CryptoBox] = []


class CryptoBox:
    """The right to read ciphertexts of others in this process, for one job. Made by `enter` only."""

    __slots__ = ("job",)

    def __init__(self, job: str) -> None:
        self.job = job

    def __repr__(self) -> str:
        return f"CryptoBox({self.job!r})"


def is_confined() -> bool:
    """Return whether this process is behind a filter of system calls."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return False
    found = re.search(r"^Seccomp:\s*(\d+)$", status, re.MULTILINE)
    return found is not None and int(found[1]) == _FILTERED


def enter(job: str) -> CryptoBox:
    """Return the box of this process, for one job (the digest of its plan, and its stage).

    Raises:
        Refused: the process is no box.
        StateConflict: it did another job before; what that left in memory must not meet this one.
    """
    if not is_confined():
        raise Refused(
            "ciphertexts of others are read in a box only, and this process is none", "crypto box",
            "Run it as a stage of a plan.",
        )  # fmt: skip
    if _entered:
        raise StateConflict("a crypto box does one job", "crypto box", "Start another box.")
    _entered.append(CryptoBox(job))
    return _entered[0]


def require(where: str) -> CryptoBox:
    """Return the box of this process.

    Raises:
        Refused: none was entered.
    """
    if not _entered:
        raise Refused(
            "ciphertexts of others are read in a box only, and this process entered none", where,
            "Run it as a stage of a plan.",
        )  # fmt: skip
    return _entered[0]

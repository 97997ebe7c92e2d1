"""Whether this kernel has Landlock, and which; the box itself puts it on (`inside.fence`)."""

from __future__ import annotations

import ctypes

_CREATE_RULESET, _VERSION = 444, 1


def abi() -> int:
    """Return the version of Landlock's interface that the kernel speaks (landlock(7)), or 0 for none."""
    found = int(ctypes.CDLL(None, use_errno=True).syscall(_CREATE_RULESET, None, 0, _VERSION))
    return max(found, 0)

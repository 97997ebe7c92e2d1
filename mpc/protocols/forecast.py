"""What a plan with ciphertexts or lookups will take, in one sentence for those who approve it. Pure.

Figures are predictions of `mpc.encrypted.planner` and `mpc.lookup.plan` from public sizes alone, rounded up to two
digits, so every party makes the same sentence again. Seconds are of one core of a good machine; what a box may use of
memory and time its own party checks before the run (`mpc.estimate`), with room beside these figures.
"""

from __future__ import annotations

from mpc.encrypted.planner import Planned
from mpc.lookup.plan import Plan

_BYTES = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"), (1, "bytes"))
_SECONDS = ((7_200_000, 3_600_000, "h"), (120_000, 60_000, "min"), (1_000, 1_000, "s"))


def of_ciphertexts(found: Planned) -> str:
    """Return what ciphertexts take: bytes on the way, time of all parties together, memory of the largest box."""
    return (
        f"predicted: who encrypts sends {_bytes(found.up)} and who has the key gets {_bytes(found.down)}; "
        f"{_time(found.milliseconds)} of one core, all parties together; a box needs up to {_up(found.memory_mb):,} MB"
    )


def of_lookups(found: Plan, questions: int) -> str:
    """Return what so many lookups take: bytes on the way, time of both parties together, memory of either's box."""
    moved = found.once + questions * (found.up + found.down)
    spent = found.build_ms + questions * (found.answer_ms + found.ask_ms)
    return (
        f"predicted: {_bytes(moved)} between both for {questions:,} lookups; {_time(spent)} of one core, both parties "
        f"together; the register's box needs up to {_up(found.owner_mb):,} MiB, the other {_up(found.seeker_mb):,}"
    )


def _up(count: int) -> int:
    """Return a number rounded up to two digits."""
    step: int = 10 ** max(0, len(str(count)) - 2)
    return -(-count // step) * step


def _bytes(count: int) -> str:
    rounded = _up(count)
    size, unit = next(each for each in _BYTES if rounded >= each[0] or each[0] == 1)
    return f"about {rounded / size:g} {unit}"


def _time(milliseconds: int) -> str:
    for least, size, unit in _SECONDS:
        if milliseconds >= least:
            return f"about {_up(-(-milliseconds // size)):,} {unit}"
    return "less than 1 s"

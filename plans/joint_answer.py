"""The answer of a joint computation, at whoever opens it: from three servers' shares to figures.

Every component of a share is held by two servers; both must say the same, else nothing is opened. Then figures are
made from whole numbers, exactly, and rounded once where they are no whole number: sums and counts have no error, a
quotient, root or correlation is the double that is nearest to its exact value (or one of the two nearest, for roots).

Plain integers of Python: it needs nothing but this package, and an answer has at most some thousand cells.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext

from plans import canonical
from plans.errors import EvidenceBroken, Malformed, SharesDisagree
from plans.joint import SERVERS, JointFigure, JointPlan, Opened
from plans.joint_guards import decimals_of

OPENED_INFO = b"darkroom/v1/joint-opened"
"""For what a server seals to whoever opens (`keys.sealing`)."""

JUDGED_INFO = b"darkroom/v1/joint-judged"
"""For the table (`plans.released`) that who opens first seals to the recipient: an inspector, or a finder."""

_DIGITS = 60
"""Digits in which roots and quotients of large numbers are computed before they become a double."""

Value = int | float | Decimal | str | None
"""A key of groups as text, a figure as a number, and nothing where a figure is withheld or not defined."""


@dataclass(frozen=True, slots=True)
class JointAnswer:
    """The table of an answer: a row for every cell of the public lists, in their order; `suppressed` says of every
    value whether it is a figure that was withheld, which is not one that is not defined.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    suppressed: tuple[tuple[bool, ...], ...]

    @property
    def withheld(self) -> int:
        """How many figures were withheld."""
        return sum(map(sum, self.suppressed))


def opened_bound(joint: str, attempt: int, server: int) -> bytes:
    """Return the associated data that bind a server's sealed shares to plan, attempt and server."""
    return canonical.encode({"joint": joint, "attempt": attempt, "server": server})


def judged_bound(joint: str, attempt: int, opener: str) -> bytes:
    """Return the associated data that bind a judged table to plan, attempt and who opened."""
    return canonical.encode({"joint": joint, "attempt": attempt, "opener": opener})


def answer_of(joint: JointPlan, attempt: int, opened: Sequence[Opened]) -> JointAnswer:
    """Return the answer from what the three servers handed over, in any order.

    Raises:
        EvidenceBroken: they are not the three servers' of this plan and attempt, or have another size.
        SharesDisagree: two servers say different things of a share that both hold; nothing is opened.
    """
    numbers = iter(_numbers(joint, attempt, opened))
    reading, cells = joint.reading, joint.reading.cells
    figures: dict[str, list[Value]] = {}
    hidden: dict[str, list[bool]] = {}
    for figure in reading.figures:
        bits = list(itertools.islice(numbers, cells))
        sums = [list(itertools.islice(numbers, cells)) for _ in figure.sums]
        _require_bits(bits, sums)
        hidden[figure.name] = [bit == 0 for bit in bits]
        figures[figure.name] = [
            figure_of(joint, figure, [each[cell] for each in sums]) if bits[cell] else None
            for cell in range(cells)
        ]
    keys = itertools.product(*(group.codes for group in reading.groups))
    named = [group.name for group in reading.groups]
    rows = []
    for cell, codes in enumerate(keys):
        found = dict(zip(named, codes, strict=True)) | {name: each[cell] for name, each in figures.items()}
        rows.append(tuple(found[name] for name in reading.outputs))
    marks = tuple(
        tuple(name in hidden and hidden[name][cell] for name in reading.outputs) for cell in range(cells)
    )
    return JointAnswer(reading.outputs, tuple(rows), marks)


def _numbers(joint: JointPlan, attempt: int, opened: Sequence[Opened]) -> list[int]:
    """Return the opened elements as signed numbers, each component taken from two servers."""
    by_server = {each.server: each for each in opened}
    if len(opened) != SERVERS or len(by_server) != SERVERS:
        raise EvidenceBroken("an answer is opened from the shares of three servers", "opened")
    if any((each.plan, each.attempt) != (joint.digest, attempt) for each in opened):
        raise EvidenceBroken("these shares are of another plan or attempt", "opened")
    size = joint.reading.cells * sum(1 + len(figure.sums) for figure in joint.reading.figures)
    width = joint.scheme.ring_bits // 4
    for each in opened:
        if len(each.first) != size or any(len(share) != width for share in (*each.first, *each.second)):
            raise EvidenceBroken("a server handed over more or less than the plan opens", "opened")
    for server in range(SERVERS):
        before = (server - 1) % SERVERS
        if by_server[server].first != by_server[before].second:
            raise SharesDisagree("two servers disagree about a share", f"servers {before} and {server}")
    components = [[_unsigned(share) for share in by_server[server].first] for server in range(SERVERS)]
    return [_signed(sum(parts), joint.scheme.ring_bits) for parts in zip(*components, strict=True)]


def _unsigned(share: str) -> int:
    try:
        return int.from_bytes(bytes.fromhex(share), "little")
    except ValueError:
        raise EvidenceBroken("a share is no number", "opened") from None


def _signed(number: int, bits: int) -> int:
    number %= 1 << bits
    return number - (1 << bits) if number >> (bits - 1) else number


def _require_bits(bits: list[int], sums: list[list[int]]) -> None:
    """Raise `EvidenceBroken` unless bits are 0 or 1, and sums 0 where they are: else a server did not compute so."""
    for cell, bit in enumerate(bits):
        if bit not in (0, 1) or (bit == 0 and any(each[cell] for each in sums)):
            raise EvidenceBroken("what the servers opened is no answer to this plan", "opened")


# ------------------------------------------------------------------------------------------------ figures


def figure_of(joint: JointPlan, figure: JointFigure, sums: Sequence[int]) -> Value:
    """Return a figure of one cell from its sums, which stand as `plans.joint_guards` says.

    Raises:
        Malformed: there is no such figure.
    """
    make = _FIGURES.get(figure.function)
    if make is None:
        raise Malformed(f"a joint computation has no figure {figure.function}", figure.name)
    return make(list(sums), decimals_of(joint.reading, joint.reading.sums[figure.sums[0]]))


def _sum(sums: list[int], decimals: int) -> Value:
    if not decimals:
        return sums[0]
    digits = tuple(int(digit) for digit in str(abs(sums[0])))
    return Decimal((int(sums[0] < 0), digits, -decimals))


def _avg(sums: list[int], decimals: int) -> Value:
    total, count = sums
    return total / (count * 10**decimals) if count > 0 else None  # a noised number may be below one


def _variance(sums: list[int], decimals: int, spare: int) -> tuple[int, int] | None:
    """Return a variance as a fraction; `decimals` are those of the squares."""
    squares, total, count = sums
    if count <= spare:
        return None
    return count * squares - total * total, count * (count - spare) * 10**decimals


def _var(spare: int) -> Callable[[list[int], int], Value]:
    def make(sums: list[int], decimals: int) -> Value:
        found = _variance(sums, decimals, spare)
        return found[0] / found[1] if found else None

    return make


def _stddev(spare: int) -> Callable[[list[int], int], Value]:
    def make(sums: list[int], decimals: int) -> Value:
        found = _variance(sums, decimals, spare)
        return _root(*found) if found else None

    return make


def _root(over: int, under: int) -> float:
    with localcontext(prec=_DIGITS):
        return float((Decimal(over) / Decimal(under)).sqrt())


def _corr(sums: list[int], _decimals: int) -> Value:
    """Return Pearson's correlation; scales cancel."""
    count, x, y, xx, yy, xy = sums
    spread = (count * xx - x * x) * (count * yy - y * y)
    if spread <= 0:
        return None
    with localcontext(prec=_DIGITS):
        return float(Decimal(count * xy - x * y) / Decimal(spread).sqrt())


_FIGURES: dict[str, Callable[[list[int], int], Value]] = {
    "count": lambda sums, _decimals: sums[0],
    "sum": _sum,
    "avg": _avg,
    "var_samp": _var(1),
    "var_pop": _var(0),
    "stddev_samp": _stddev(1),
    "stddev_pop": _stddev(0),
    "corr": _corr,
}

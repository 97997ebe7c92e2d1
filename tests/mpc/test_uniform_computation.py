"""Promise: in a whole joint computation, matching included, each share that reaches a server is uniform.

As in `test_uniform_view.py`, with the messages of `computation.take_part`. Positions, turns and seeds are no shares:
`tests/attacks` tests what they tell.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from mpc.protocols.ring import Ring
from plans.joint import JointFigure, Measure, Scheme, Sum
from tests.inside.joint_cases import operand, reading
from tests.mpc.joint_world import Owner, plan_for, run
from tests.mpc.test_uniform_view import LIMIT, Noting, chi_square

ROWS, GROUPS, CAP = 3_000, 4, 1_000_000
SERVERS = ("nm/civil", "nm/health", "nm/tax")
NO_SHARES = re.compile(r"match/|seed/")
SUMS = [Sum(Measure.ROWS, ()), Sum(Measure.TOTAL, ((1, 0),)), Sum(Measure.PRODUCT, ((0, 0), (1, 0)))]
FIGURES = [
    JointFigure("n", "count", (0,), 0),
    JointFigure("total", "sum", (1,), 0),
    JointFigure("both", "sum", (2,), 0),
]


def statistics(ring_bits: int, value: int) -> dict[str, float]:
    """Chi-square of all that each server received as shares, by sender and kind, where everybody has the same data."""
    persons = np.arange(ROWS)
    owners = [
        Owner(
            "nm/health", persons, (operand("v0", 0, 1),), (np.ma.array(np.ones(ROWS, dtype=np.int64)),),
            (GROUPS,), (np.zeros(ROWS, dtype=np.int64),),
        ),
        Owner("nm/tax", persons, (operand("v0", 0, CAP),), (np.ma.array(np.full(ROWS, value)),)),
    ]  # fmt: skip
    asked = reading([owner.portion() for owner in owners], SUMS, FIGURES)
    joint = plan_for(owners, asked, scheme=Scheme(ring_bits, ROWS, 10, 90), servers=SERVERS)
    kept: dict[str, dict[str, list[bytes]]] = {server: defaultdict(list) for server in SERVERS}

    def wrap(name: str, end: Any) -> Any:
        return Noting(end, kept[name]) if name in kept else end

    coins = {party.domain: bytes([place]) * 32 for place, party in enumerate(joint.parties)}
    went = run(joint, owners, wrap=wrap, coins=coins)
    assert went.answer().rows[0][-3:] == (ROWS, ROWS * value, ROWS * value)
    by_kind: dict[str, bytes] = defaultdict(bytes)
    for server, messages in kept.items():
        for kind, raw in messages.items():
            if not NO_SHARES.search(kind):
                by_kind[f"{server} from {re.sub('[0-9]+/', '', kind)}"] += b"".join(raw)
    assert sum(map(len, by_kind.values())) > ROWS * 8 * (GROUPS + 2)
    return {kind: chi_square(raw) for kind, raw in by_kind.items() if len(raw) >= 5 * 256}


@pytest.mark.parametrize("ring_bits", [64, 128])
@pytest.mark.parametrize("value", [100_000, CAP])
def test_every_share_that_reaches_a_server_is_uniform(ring_bits: int, value: int) -> None:
    found = statistics(ring_bits, value)
    assert len(found) >= 6
    assert {kind: each for kind, each in found.items() if each > LIMIT} == {}


def test_control_without_the_masks_of_shares_the_same_statistic_sees_the_data(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only the elements of rings are not drawn; random orders and keys stay."""
    monkeypatch.setattr(Ring, "draw", lambda self, stream, shape: self.zeros(shape))
    found = statistics(64, CAP)
    assert all(each > LIMIT for each in found.values())

"""Promise: another implementation of secret sharing, MPyC, gives the same sums, products and comparisons."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mpc.protocols.boolean import at_least, equals, select
from mpc.protocols.replicated import Server, Shared, add, inner_products, multiply
from mpc.protocols.ring import RING64
from tests.mpc import trio
from tests.mpc.test_replicated import dealt
from tests.ports import free_ports

SCRIPT = Path(__file__).parent / "oracle" / "by_mpyc.py"
PARTS = ("sums", "products", "inner", "reached", "equal", "let_through")


def by_mpyc(asked: dict, parties: int) -> dict:
    """What MPyC answers, with this many parties that are processes of this machine."""
    many = [f"-M{parties}", f"-B{free_ports(parties)}"] if parties > 1 else []
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(SCRIPT), *many, "--no-log"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=SCRIPT.parent, start_new_session=True,
        env={**os.environ, "ASKED": json.dumps(asked)},
    )  # fmt: skip
    try:
        told, complaint = process.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # and the parties that it started
        raise
    assert process.returncode == 0, complaint[-500:]
    return json.loads(told.strip().splitlines()[-1])


def by_us(asked: dict) -> dict:
    def program(me: Server) -> list[Shared]:
        x, y = dealt(me, RING64, 0, asked["left"]), dealt(me, RING64, 2, asked["right"])
        least = RING64.encode([asked["least"]])
        reached = at_least(me, x, least)
        inner = inner_products(me, x.reshape(1, -1), y.reshape(1, -1))
        return [add(x, y), multiply(me, x, y), inner, reached, equals(me, x, least), select(me, reached, x)]

    found = trio.run(program)
    return {part: trio.numbers([each[which] for each in found]) for which, part in enumerate(PARTS)}


def question(rows: int, seed: int) -> dict:
    draw = np.random.default_rng(seed)
    left, right = draw.integers(-(10**6), 10**6, (2, rows)).tolist()
    return {"left": left, "right": right, "least": left[0]}


def test_mpyc_gives_the_same_answers() -> None:
    asked = question(rows=20, seed=1)
    assert by_us(asked) == by_mpyc(asked, parties=1)


@pytest.mark.long
@pytest.mark.parametrize("seed", [2, 3])
def test_three_parties_of_mpyc_give_the_same_answers(seed: int) -> None:
    asked = question(rows=200, seed=seed)
    assert by_us(asked) == by_mpyc(asked, parties=3)

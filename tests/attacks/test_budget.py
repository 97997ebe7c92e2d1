"""Attacks on the mode `private` (ATTACKS 24, 25, 33): each has a control in which it succeeds, the protection off.

How members share a budget, restarts and kills are in `tests/keeper/test_budgets.py`.
"""

from __future__ import annotations

import multiprocessing
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airlock.private import answer
from airlock.rules import Stamp, Table
from inside import noise
from keeper.client import KeeperClient
from keeper.server import serve
from plans.errors import BudgetSpent, StateConflict, Unreachable
from plans.plan import Plan, Program
from plans.private import Part
from plans.statements import Signed
from tests.inside.private_cases import PRIVACY, asked, filled, obligations, program, row, sums
from tests.keeper import house, private

STAMP = Stamp("sha256:" + "0" * 64, "5" * 32)
COUNT = "select count(*) as n from tax.income"


def exact(numbers: Any, _: Part) -> list[int]:
    """The protection off."""
    return list(numbers)


def drawn(made: Program, table: Table, mechanism: Any = noise.noise) -> list[list[str | None]]:
    """One answer from bounded sums."""
    released = answer(table, made, obligations(), STAMP, mechanism).released
    assert released is not None
    return [[cell.v for cell in each] for each in released.rows]


def question(statement: str, spend_micro: int, **changes: Any) -> Program:
    bounds = replace(PRIVACY, most_groups=1, most_rows=1, **changes)
    return program(None, asked(statement, spend_micro=spend_micro), bounds)


# --- what the noise is for -----------------------------------------------------


def guessed_right(made: Program, mechanism: Any, tries: int = 300) -> float:
    """How often an attacker who knows everybody else tells from one answer whether one person is there."""
    right = 0
    for number in range(tries):
        there = number % 2
        ((shown, *_),) = drawn(made, Table(((100 + there,),)), mechanism)
        right += (float(shown or 0) > 100.5) == bool(there)
    return right / tries


def test_whether_one_person_is_there_is_hardly_better_than_guessed() -> None:
    """For rho of 0.005 an attacker is right in 54 of 100 cases at the most: Phi(1 / (2 * 10))."""
    made = question(COUNT, 5_000)
    assert guessed_right(made, noise.noise) < 0.66
    assert guessed_right(made, exact) == 1


def test_a_key_that_one_person_alone_has_does_not_appear() -> None:
    made = question("select age, count(*) as n from tax.income group by age", 500_000)
    rows = [row(n, age=1) for n in range(100)] + [row(999, age=77)]
    found = sums(filled(rows), made)
    table = Table(tuple((*key, *numbers) for key, numbers in found.items()))
    assert (77, 1) in table.rows or (77, 1, 1) in table.rows, "the judging box has it"
    assert all([each[0] for each in drawn(made, table)] == ["1"] for _ in range(50))
    assert made.private is not None
    open_door = replace(made, private=replace(made.private, threshold=1))
    seen = [each[0] for _ in range(50) for each in drawn(open_door, table)]
    assert "77" in seen, "without the threshold it does"


def test_a_mean_of_many_draws_would_be_exact_so_there_is_one(tmp_path: Path) -> None:
    """ATTACKS 33: a centre that has the judging box run again and again on the same table."""
    made = question(COUNT, 5_000)
    draws = [float(drawn(made, Table(((1_234,),)))[0][0] or 0) for _ in range(1_000)]
    assert abs(statistics.mean(draws) - 1_234) < 2 < statistics.pstdev(draws) / 2
    keeper = private.start(private.settings(tmp_path))
    house.believe(keeper, *private.statements())
    about = private.plan(keeper, 1)
    for stage in (spec.entry for spec in about.stages):
        private.unwrap(keeper, about, stage)
    with pytest.raises(StateConflict, match="drawn once"):
        private.unwrap(keeper, about, about.ends)


# --- processes that race -----------------------------------------------------


def _keep(folder: Path, statements: tuple[Signed, ...]) -> None:
    keeper = private.start(private.settings(folder))
    house.believe(keeper, *statements)
    serve(keeper)


def _ask(socket: Path, plans: list[Plan], start: Any, taken: Any) -> None:
    client = KeeperClient(socket)
    start.wait()
    for about in plans:
        statement = house.box(about, client.challenge(about.digest))
        try:
            client.unwrap(statement, about)
        except BudgetSpent:
            taken.put(0)
        else:
            taken.put(private.SPEND)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short folder, since the paths of sockets are short."""
    made = Path(tempfile.mkdtemp(prefix="dr-"))
    yield made
    shutil.rmtree(made)


def test_processes_that_ask_at_once_never_spend_more_than_one_member_may(folder: Path) -> None:
    """ATTACKS 33: a race over the keeper's socket, with a keeper in a process of its own."""
    ways = multiprocessing.get_context("fork")
    twin, statements = private.start(private.settings(folder / "twin")), private.statements()
    house.believe(twin, *statements)
    plans = [private.plan(twin, number) for number in range(12)]
    (folder / "k").mkdir()
    keeper = ways.Process(target=_keep, args=(folder / "k", statements), daemon=True)
    keeper.start()
    socket = house.config(folder / "k").socket
    _wait_for(socket)
    start, taken = ways.Barrier(4), ways.Queue()
    askers = [ways.Process(target=_ask, args=(socket, plans[n::4], start, taken)) for n in range(4)]
    for asker in askers:
        asker.start()
    found = [taken.get(timeout=300) for _ in plans]
    for asker in askers:
        asker.join()
    keeper.kill()
    keeper.join()
    assert sum(found) == private.PRIVACY.rho_micro // 2
    again = private.start(house.config(folder / "k"))
    room = again.budgets.room(house.INCOME, private.PRIVACY, "", again.now())
    assert room.left == private.PRIVACY.rho_micro // 2, "and a killed keeper has forgotten none of it"


def _wait_for(socket: Path) -> None:
    for _ in range(2000):
        try:
            KeeperClient(socket).status()
        except Unreachable:
            time.sleep(0.05)
        else:
            return
    pytest.fail("the keeper does not answer")

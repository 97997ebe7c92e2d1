"""The ledger at a real keeper: no key to the box that judges before what leaves is weighed, and nothing asked twice."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from keeper import server
from keys import api as keys
from plans.box import Entry
from plans.checks import Checks
from plans.errors import (
    BudgetSpent,
    DarkroomError,
    EvidenceBroken,
    HashMismatch,
    NotFound,
    PolicyDenied,
    StateConflict,
)
from plans.handover import handover, padded
from plans.inspection import Applied, Inspection
from plans.inspection import Effect as Did
from plans.plan import Plan
from plans.reading import Output, Role
from plans.request import statement_digest
from plans.statements import Signed
from plans.verdict import Finding
from policies import api as policies
from sandbox import api as sandbox
from sandbox.shelf import output_path
from tests.keeper import house
from tests.keeper.people import lay
from tests.keeper.sides import PEOPLE, READING, Side, some


@pytest.fixture
def side(tmp_path: Path) -> Side:
    return Side.make(house.config(tmp_path))


# --- keys -----------------------------------------------------------------------------------------------------


def test_24_a_count_without_one_person_is_kept_back_across_requests_and_restarts(side: Side) -> None:
    assert side.answer(side.plan("everybody"), PEOPLE.cells(some(0, 90))) == ((),)
    without = PEOPLE.cells(some(1, 90))
    assert side.answer(side.plan("all but one"), without) == ((0,),)
    side.restart()
    assert side.answer(side.plan("all but one, later"), without) == ((0,),)


def test_24_control_with_the_rule_off_the_second_count_leaves(tmp_path: Path) -> None:
    side = Side.make(house.config(tmp_path), Checks(differ=1))
    for text, persons in (("everybody", some(0, 90)), ("all but one", some(1, 90))):
        assert side.answer(side.plan(text), PEOPLE.cells(persons)) == ((),)


def test_89_a_version_that_differs_by_one_person_answers_no_near_question(side: Side) -> None:
    """The sign of a person is the same in every version, and the lineage is what is weighed."""
    text = "everybody"
    assert side.answer(side.plan(text), PEOPLE.cells(some(0, 90))) == ((),)
    signs = side.given(side.plan(text, 1), Entry.QUERY).signs
    version = house.manifest(version=2)
    for file in version.files:
        side.keeper.keyring.store_data_key(file.name, keys.fresh_key())
    side.keeper.believe(house.signed_manifest(version))
    plan = side.plan(text, 2)
    assert plan.program and plan.program.relations[0].manifest == version.digest
    assert side.given(plan, Entry.QUERY).signs == signs
    assert side.answer(side.plan(text, 3), PEOPLE.cells(some(1, 90))) == ((0,),)


def test_the_judging_box_gets_no_key_without_the_sets_of_its_own_plan_and_attempt(side: Side) -> None:
    plan, other = side.plan("one"), side.plan("another")
    lay(side.keeper, other, PEOPLE.cells(some(0, 90)))
    with pytest.raises(PolicyDenied):
        side.given(plan, Entry.JUDGE)
    home = side.settings.launcher_home
    source, target = (
        output_path(home, sandbox.StageName(each.digest, Entry.QUERY, 1), policies.SETS)
        for each in (other, plan)
    )
    target.parent.mkdir(parents=True)
    target.write_bytes(source.read_bytes())
    with pytest.raises(EvidenceBroken):
        side.given(plan, Entry.JUDGE)
    lay(side.keeper, plan, PEOPLE.cells(some(0, 90)))
    with pytest.raises(PolicyDenied):
        side.given(plan, Entry.JUDGE, attempt=2)
    assert side.given(plan, Entry.JUDGE).withheld == ((),)


def test_sets_of_another_number_of_tables_are_refused(side: Side) -> None:
    plan, table = side.plan("one"), PEOPLE.cells(some(0, 90))
    for tables in ((), (table, table)):
        lay(side.keeper, plan, *tables)
        with pytest.raises(PolicyDenied):
            side.given(plan, Entry.JUDGE)
    assert side.keeper.ledger.cells(house.INCOME) == 0


def test_only_boxes_that_read_data_have_the_key_of_signs_and_only_the_weighing_one_waits(side: Side) -> None:
    plan = side.plan("one")
    query, parse = side.given(plan, Entry.QUERY), side.given(plan, Entry.PARSE)
    lay(side.keeper, plan, PEOPLE.cells(some(0, 90)))
    judge = side.given(plan, Entry.JUDGE)
    assert query.signs == side.keeper.keyring.signs_key().hex()
    assert (parse.signs, judge.signs) == ("", "")
    assert (query.withheld, parse.withheld, judge.withheld) == ((), (), ((),))


def test_with_a_finish_it_is_the_protecting_box_that_keeps_rows_back(side: Side) -> None:
    reading = replace(
        READING,
        finish="SELECT max(cells_0.count) AS m FROM cells_0",
        outputs=(Output("m", "BIGINT", Role.DERIVED, "", 0),),
    )
    side.answer(side.plan("everybody"), PEOPLE.cells(some(0, 90)))
    read = replace(reading, statement=statement_digest("finished"))
    side.readings[read.statement] = read
    plan = house.plan(side.keeper.trusted, replace(house.REQUEST, statement="finished", nonce="9" * 32), read)
    lay(side.keeper, plan, PEOPLE.cells(some(1, 90)))
    assert side.given(plan, Entry.PROTECT).withheld == ((0,),)
    assert side.given(plan, Entry.JUDGE).withheld == ()


def test_another_attempt_at_a_plan_gets_the_same_answer(side: Side) -> None:
    side.answer(side.plan("everybody"), PEOPLE.cells(some(0, 90)))
    plan, rows = side.plan("two"), [some(1, 60), some(60, 90)]
    first = side.answer(plan, PEOPLE.cells(*rows))
    assert side.answer(plan, PEOPLE.cells(*rows[::-1]), attempt=2) == tuple(
        tuple(1 - place for place in back) for back in first
    )
    with pytest.raises(HashMismatch):
        side.answer(plan, PEOPLE.cells(some(2, 60), some(60, 90)), attempt=3)


# --- quotas ---------------------------------------------------------------------------------------------------


def test_a_spent_quota_refuses_the_first_box_and_the_grant_is_not_used(tmp_path: Path) -> None:
    side = Side.make(house.config(tmp_path), Checks(exact_cells=4))
    side.answer(side.plan("two cells"), PEOPLE.cells(some(0, 40), some(40, 90)))
    uses = repr(side.keeper.trusted.uses)
    with pytest.raises(BudgetSpent) as told:
        side.given(side.plan("a third"), Entry.QUERY)
    assert "2025-07" in told.value.next_step
    assert repr(side.keeper.trusted.uses) == uses
    assert side.answer(side.plan("two cells", 1), PEOPLE.cells(some(0, 40), some(40, 90))) == ((),)
    side.clock.now += 31 * house.DAY
    with pytest.raises(DarkroomError):
        side.given(side.plan("a third"), Entry.QUERY)  # the request is old by now, and the grant has ended
    assert side.keeper.ledger_status()[0]["quotas"][0]["left"] == 4


@pytest.mark.parametrize(("checks", "amount"), [(Checks(), 9), (Checks(unsafe_exact_cells=True), 20_000)])
def test_34_the_default_is_one_cell_for_ten_persons_and_more_is_said_as_unsafe(
    tmp_path: Path, checks: Checks, amount: int
) -> None:
    """90 persons: nine cells in a period, of which one member has half; the desk says the same number."""
    side = Side.make(house.config(tmp_path), checks)
    side.answer(side.plan("four cells"), PEOPLE.cells(*(some(at, at + 20) for at in range(0, 80, 20))))
    quota = side.keeper.ledger_status()[0]["quotas"][0]
    assert (quota["amount"], quota["left"]) == (amount, amount - 4)
    if amount > 9:
        assert side.answer(side.plan("two more"), PEOPLE.cells(some(0, 40), some(40, 90))) == ((),), (
            "the control"
        )
        return
    with pytest.raises(BudgetSpent):
        side.answer(side.plan("two more"), PEOPLE.cells(some(0, 40), some(40, 90)))


def test_90_a_statement_that_fails_or_has_no_large_group_is_charged_too(side: Side) -> None:
    """Whether a group has ten persons is an answer, whatever it is told by: a failure, an empty table or a cell."""

    def spent() -> int:
        return 20_000 - int(side.keeper.ledger_status()[0]["quotas"][0]["left"])

    failing = side.plan("too many large groups")
    side.given(failing, Entry.QUERY)
    assert spent() == 1
    side.given(failing, Entry.QUERY)
    assert spent() == 1, "the keys of one attempt, asked for again"
    side.given(failing, Entry.QUERY, attempt=2)
    assert spent() == 2
    side.restart()
    assert spent() == 2
    assert side.answer(side.plan("nobody"), PEOPLE.cells()) == ((),)
    assert spent() == 3
    side.answer(side.plan("two cells"), PEOPLE.cells(some(0, 40), some(40, 90)))
    assert spent() == 5, "what an answer costs takes the place of what its failure would have"
    side.answer(side.plan("two cells", 1), PEOPLE.cells(some(0, 40), some(40, 90)))
    assert spent() == 5, "a question that was answered"


def test_the_desk_says_what_is_left_and_what_a_judging_box_found(side: Side) -> None:
    plan = side.plan("everybody")
    side.answer(plan, PEOPLE.cells(some(0, 40), some(40, 90)))
    found = Inspection(
        plan.digest, Finding.PASS, "region", (Applied("small-group", "t", Did.PASSED, 2, {"n": 40}),)
    )
    name = sandbox.StageName(plan.digest, Entry.JUDGE, 1)
    path = output_path(side.settings.launcher_home, name, policies.RECORD)
    path.parent.mkdir(parents=True)
    key = side.keeper.keyring.stage_key(plan.digest, 1, policies.RECORD)
    path.write_bytes(keys.encrypt(key, padded(found.canonical()), handover(plan, 1, policies.RECORD)))

    def ask(**question: str) -> Any:
        return server.answer(side.keeper, server.DESK, question)["ok"]

    (lineage,) = ask(op="ledger")["lineages"]
    assert (lineage["dataset"], lineage["vectors"]) == (house.INCOME, 3)
    assert [quota["left"] for quota in lineage["quotas"]] == [20_000 - 2, 80_000_000]
    assert Inspection.read(ask(op="record", plan=plan.digest)["record"]) == found
    for operation in ("ledger", "record"):
        assert operation not in server.OPEN, "numbers about what others asked are for the owner"
    with pytest.raises(NotFound):
        side.keeper.record(house.digest("no such plan"))


# --- one keeper -----------------------------------------------------------------------------------------------


def test_33_threads_that_race_for_the_last_cells_at_a_keeper_overspend_nothing(tmp_path: Path) -> None:
    """A quota of 20 cells, of which one member has ten; six plans of two cells ask at the same moment, and each was
    charged one before.
    """
    side = Side.make(house.config(tmp_path), Checks(exact_cells=20, unsafe_exact_cells=True))
    plans = [side.plan(f"race {number}") for number in range(6)]
    for plan in plans:
        side.given(plan, Entry.QUERY)
        lay(side.keeper, plan, PEOPLE.table([some(0, 40)], [some(40, 90)]))
    together, given = threading.Barrier(len(plans)), []

    def ask(plan: Plan) -> None:
        together.wait(120)
        try:
            given.append(side.given(plan, Entry.JUDGE).withheld)
        except BudgetSpent:
            return

    threads = [threading.Thread(target=ask, args=(plan,)) for plan in plans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(given) == 4
    side.restart()
    assert side.keeper.ledger_status()[0]["quotas"][0]["left"] == 10


def test_82_a_restored_keeper_gives_nothing_until_its_owner_signs_a_new_epoch(
    side: Side, tmp_path: Path
) -> None:
    """A backup of the keeper's folder brings a spent quota back, journal and pages alike; the mark remembers."""
    side.answer(side.plan("two cells"), PEOPLE.cells(some(0, 40), some(40, 90)))
    shutil.copytree(side.settings.home, tmp_path / "backup")
    side.answer(side.plan("two more"), PEOPLE.cells(some(0, 30), some(30, 90)))
    side.keeper._hold.close()
    shutil.rmtree(side.settings.home)
    shutil.copytree(tmp_path / "backup", side.settings.home)
    side.restart()
    for stage in (Entry.QUERY, Entry.JUDGE):
        with pytest.raises(StateConflict, match="backup"):
            side.given(side.plan("two cells", 1), stage)
    side.keeper.believe(house.roster(2))
    assert side.given(side.plan("two cells", 2), Entry.QUERY)


class Killed(BaseException):
    """The process is gone."""


def release_in_steps(side: Side, plan: Plan) -> Signed:
    """Weigh and release; both write."""
    lay(side.keeper, plan, PEOPLE.cells(some(1, 90), some(0, 40)))
    side.given(plan, Entry.JUDGE)
    return side.keeper.release(plan, house.chain(house.records(plan)))


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_33_killed_at_every_step_of_a_release_it_is_charged_once_and_signed_once(
    side: Side, call: str
) -> None:
    """The process ends before the n-th call that the disk sees, for every n until nothing is left to do."""
    side.answer(side.plan("everybody"), PEOPLE.cells(some(0, 90)))
    left, real = 20_000 - 1, getattr(os, call)
    for step in range(1, 60):
        plan, calls = side.plan(f"step {step}"), itertools.count(1)

        def dies(*words: Any, until: int = step, counted: Iterator[int] = calls, **more: Any) -> Any:
            if next(counted) == until:
                raise Killed
            return real(*words, **more)

        ended = False
        with mock.patch(f"keeper.journal.os.{call}", dies), contextlib.suppress(Killed):
            release_in_steps(side, plan)
            ended = True
        side.restart()
        first = release_in_steps(side, plan)
        left -= 2
        assert side.keeper.ledger.page(plan.digest).withheld == ((0,),)  # type: ignore[union-attr]
        assert side.keeper.ledger_status()[0]["quotas"][0]["left"] == left
        side.restart()
        assert side.keeper.release(plan, ()) == first
        if ended:
            break
    assert ended and step > 2


SECOND = """
import sys
from pathlib import Path
from keeper.journal import hold
from plans.errors import StateConflict
try:
    hold(Path(sys.argv[1]))
except StateConflict:
    sys.exit(3)
"""


def test_33_a_second_process_does_not_become_the_keeper_of_the_same_ledger(side: Side) -> None:
    words = [sys.executable, "-c", SECOND, str(side.settings.home / "lock")]
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run(words, cwd=root).returncode == 3
    side.keeper._hold.close()
    assert subprocess.run(words, cwd=root).returncode == 0, "control: with the first gone it does"

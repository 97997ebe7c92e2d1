"""Programs of members and components at the ledger of a real keeper: bits that end, and sets like a statement's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from keeper.ledger import FAILURE_BITS, Ledger
from keeper.ledger_desk import BIT_BUDGET
from keys import api as keys
from plans.artifacts import Artifact, Form
from plans.box import Entry
from plans.checks import Checks
from plans.constraints import ANY, Access, Action, Effect
from plans.errors import (
    BudgetSpent,
    PolicyDenied,
    StateConflict,
)
from plans.handover import handover, padded
from plans.inspection import Applied, Inspection
from plans.inspection import Effect as Did
from plans.plan import Plan, PlanKind
from plans.request import RequestKind
from plans.statements import StageOutput
from plans.tasks import ComponentTask, Need, PythonTask, Task
from plans.verdict import Finding
from policies import api as policies
from policies.api import short
from sandbox import api as sandbox
from sandbox.shelf import output_path
from tests.keeper import house
from tests.keeper.people import lay
from tests.keeper.sides import PEOPLE, Side, some
from tests.plans import examples

FOLDER = examples.FOLDER
TASK_IMAGES = dict.fromkeys(Entry, (house.IMAGE,))
TRAINING = replace(
    house.INCOME_POLICY,
    access=(Access(Effect.ALLOW, (ANY,), ("researcher",), (Action.TRAIN,), (ANY,)),),
    constraints=(short("income", ("model",)),),
    row_filter="",
)


def python_plan(side: Side, number: int) -> Plan:
    """The plan of a member's own program, which reads incomes and leaves a table."""
    task = PythonTask(
        house.IMAGE, FOLDER.digest, "main.py", (), (Need("tax.income", ("income",)),),
        (Artifact("t.csv", Form.TABLE, persons="n"),),
    )  # fmt: skip
    return task_plan(side, task, number)


def component_plan(side: Side, number: int) -> Plan:
    """The plan of a component, which reads incomes and leaves a table and a model."""
    task = ComponentTask(
        house.IMAGE, "linear-regression", {"of": number}, (Need("tax.income", ("income",)),),
        (Artifact("t.csv", Form.TABLE, persons="n"), Artifact("m.json", Form.MODEL)),
    )  # fmt: skip
    return task_plan(side, task, number)


def task_plan(side: Side, task: Task, number: int) -> Plan:
    """The plan that an honest centre makes of a task."""
    kind = RequestKind.PYTHON if isinstance(task, PythonTask) else RequestKind.COMPONENT
    request = replace(
        house.REQUEST, kind=kind, statement=task.canonical().decode(), nonce=f"{number + 500:032x}"
    )
    trusted = side.keeper.trusted
    assert trusted.bundle and trusted.roster
    case = policies.Case(
        request, policies.reading_of_task(request), trusted.bundle, trusted.current_manifests(),
        trusted.granted(request.digest), (), house.NOW, trusted.roster.number,
    )  # fmt: skip
    decision = policies.decide(case)
    assert decision.obligations, decision.reasons
    program = policies.program_of(case)
    furnishing = policies.Furnishing(dict.fromkeys(Entry, house.IMAGE), house.LIMITS)
    stages = policies.work_boxes(task, program, case.manifests, decision.obligations.tier, furnishing)
    return Plan(
        kind=PlanKind(kind.value), domain=house.DOMAIN, request=request,
        request_signature=keys.sign_bytes("request", request.canonical(), house.key("member")),
        decision=decision, program=program,
        material=FOLDER.canonical().decode() if kind is RequestKind.PYTHON else "", stages=stages,
        nonce="5" * 32, made_at=house.NOW,
    )  # fmt: skip


def inspected(side: Side, plan: Plan, finding: Finding, bits: int) -> None:
    """Leave the record of a plan's inspecting box."""
    found = Inspection(plan.digest, finding, "r", (Applied(BIT_BUDGET, "", Did.PASSED, 0, {"bits": bits}),))
    name = sandbox.StageName(plan.digest, Entry.INSPECT, 1)
    path = output_path(side.settings.launcher_home, name, policies.RECORD)
    path.parent.mkdir(parents=True)
    key = side.keeper.keyring.stage_key(plan.digest, 1, policies.RECORD)
    path.write_bytes(keys.encrypt(key, padded(found.canonical()), handover(plan, 1, policies.RECORD)))


@pytest.fixture
def coding(tmp_path: Path) -> Side:
    checks = Checks(code_bits=400, code_bits_period=1_000, unsafe_exact_cells=True)
    side = Side.make(house.config(tmp_path, work_images=TASK_IMAGES))
    side.keeper.believe(house.bundle(2, (replace(TRAINING, checks=checks),)))
    return side


def test_58_bits_of_members_code_are_reserved_before_they_are_judged_and_end(coding: Side) -> None:
    plan = python_plan(coding, 1)
    for stage in (Entry.LOAD, Entry.PYTHON, Entry.REENCODE, Entry.INSPECT, Entry.INSPECT):
        coding.given(plan, stage)
    (lineage,) = coding.keeper.ledger_status()
    assert lineage["quotas"][-1]["left"] == 600
    second = python_plan(coding, 2)
    coding.given(second, Entry.LOAD)
    with pytest.raises(BudgetSpent):
        coding.given(
            second, Entry.INSPECT
        )  # half of what the others have left is 500, and 400 are this member's
    coding.restart()
    assert coding.keeper.ledger_status()[0]["quotas"][-1]["left"] == 600 - FAILURE_BITS


def test_90_runs_that_fail_are_charged_each_and_end(coding: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which of few ways a program fails in is an answer, and a plan can be attempted often."""
    plan = python_plan(coding, 1)
    for attempt in (1, 1, 2):
        coding.given(plan, Entry.LOAD, attempt=attempt)
    assert coding.keeper.ledger_status()[0]["quotas"][-1]["left"] == 1_000 - 2 * FAILURE_BITS
    coding.restart()
    assert coding.keeper.ledger_status()[0]["quotas"][-1]["left"] == 1_000 - 2 * FAILURE_BITS
    with pytest.raises(BudgetSpent):
        coding.given(plan, Entry.LOAD, attempt=40)
    monkeypatch.setattr(Ledger, "begin", lambda *_: None)
    assert coding.given(plan, Entry.LOAD, attempt=40), "the control: without a charge it goes on for ever"


def test_90_what_failed_before_an_output_left_stays_charged(coding: Side) -> None:
    """Else a centre would have a plan fail a hundred times, each time in a way that tells something, and pay once."""
    plan = python_plan(coding, 1)
    for attempt in (1, 2, 3):
        coding.given(plan, Entry.LOAD, attempt=attempt)
    coding.given(plan, Entry.INSPECT, attempt=3)
    assert coding.keeper.ledger_status()[0]["quotas"][-1]["left"] == 600 - 2 * FAILURE_BITS
    coding.given(plan, Entry.LOAD, attempt=4)
    assert coding.keeper.ledger_status()[0]["quotas"][-1]["left"] <= 600 - 3 * FAILURE_BITS
    coding.keeper.ledger.settle(plan.digest, 120)
    assert coding.keeper.ledger_status()[0]["quotas"][-1]["left"] == 880 - 3 * FAILURE_BITS


def test_58_what_was_measured_takes_the_place_of_what_was_reserved(coding: Side) -> None:
    plan = python_plan(coding, 1)
    coding.given(plan, Entry.LOAD)
    coding.given(plan, Entry.INSPECT)
    inspected(coding, plan, Finding.PASS, 120)
    *before, inspect = house.records(plan)
    sealed = (StageOutput(policies.SEALED, house.digest("sealed"), 100),)
    inspect = replace(inspect, outputs=sealed, report={"verdict": house.verdict(plan).plain()})
    coding.keeper.release(plan, house.chain((*before, inspect)))
    assert coding.keeper.ledger_status()[0]["quotas"][-1]["left"] == 880
    coding.restart()
    assert coding.keeper.ledger_status()[0]["quotas"][-1]["left"] == 880


def test_an_output_that_was_refused_costs_what_a_refusal_tells_and_never_leaves(coding: Side) -> None:
    """Reservations of refused outputs do not lock a member out; but then another attempt cannot be released."""
    checks = Checks(code_bits=8_000, code_bits_period=20_000)
    coding.keeper.believe(house.bundle(3, (replace(TRAINING, checks=checks),)))
    first, second = (python_plan(coding, number) for number in (1, 2))
    coding.given(first, Entry.INSPECT)
    with pytest.raises(BudgetSpent):
        coding.given(second, Entry.INSPECT)
    inspected(coding, first, Finding.REFUSED, 9_000)
    coding.given(second, Entry.INSPECT)
    assert coding.keeper.ledger_status()[0]["quotas"][-1]["left"] == 20_000 - 8_000 - 1_000
    coding.restart()
    with pytest.raises(StateConflict):
        coding.given(first, Entry.INSPECT, attempt=2)
    *before, inspect = house.records(first)
    sealed = (StageOutput(policies.SEALED, house.digest("sealed"), 100),)
    inspect = replace(inspect, outputs=sealed, report={"verdict": house.verdict(first).plain()})
    with pytest.raises(StateConflict):
        coding.keeper.release(first, house.chain((*before, inspect)))
    assert coding.keeper.ledger_status()[0]["quotas"][-1]["left"] == 20_000 - 8_000 - 1_000


def test_25_a_component_and_a_statement_are_weighed_against_each_other(coding: Side) -> None:
    """Every table and model of a component has its sets; a model is one row, its training set."""
    first, second = (component_plan(coding, number) for number in (1, 2))
    everybody, all_but_one = PEOPLE.cells(some(0, 90)), PEOPLE.cells(some(0, 40), some(1, 90))
    for tables in ((everybody,), (everybody,) * 3):
        lay(coding.keeper, first, *tables)
        with pytest.raises(PolicyDenied):
            coding.given(first, Entry.INSPECT)
    lay(coding.keeper, first, PEOPLE.cells(some(0, 40), some(40, 90)), everybody)
    assert coding.given(first, Entry.INSPECT).withheld == ((), ())
    lay(coding.keeper, second, all_but_one, PEOPLE.cells(some(2, 90)))
    assert coding.given(second, Entry.INSPECT).withheld == ((1,), (0,))
    left = coding.keeper.ledger_status()[0]["quotas"][0]["left"]
    assert left == 20_000 - 3 - 3, "a cell for each row of each table and the one sensitive column"

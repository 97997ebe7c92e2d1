"""A centre that lies about code (ATTACKS 78): another folder, image, box or link than the owner derives gets no key."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace

import pytest

from keeper.rederive import House, require_same
from keeper.trust import TrustedSet
from keys import api as keys
from plans.artifacts import Artifact, Form
from plans.box import BoxSpec, Entry, Limits
from plans.constraints import Access, Action, Effect
from plans.decision import Decision
from plans.errors import DarkroomError, PolicyDenied, RederivationMismatch, SignatureWrong
from plans.plan import Plan, PlanKind
from plans.request import RequestKind
from plans.statements import DatasetPolicy, Duty
from plans.tasks import Need, PythonTask
from plans.trial import Folder
from policies import api as policies
from tests.keeper import house

IMAGE, OTHER = house.digest("image python"), house.digest("image of somebody")
IMAGES = dict.fromkeys(Entry, (IMAGE,))
LIMITS = dict.fromkeys(Entry, Limits(512, 256, 0, 16, 30, 60, 32, 64, 1))
HERE = House((house.IMAGE,), LIMITS, IMAGES)
FOLDER, EVIL = (
    Folder({"main.py": base64.b64encode(text).decode()}, "main.py", ())
    for text in (b"print('study')\n", b"print('everything')\n")
)
TASK = PythonTask(
    IMAGE,
    FOLDER.digest,
    "main.py",
    (),
    (Need("tax.income", ("income", "region")),),
    (Artifact("t.csv", Form.TABLE, persons="n"), Artifact("m.json", Form.MODEL)),
)
TRAINING = Access(Effect.ALLOW, ("any",), ("researcher",), (Action.QUERY, Action.TRAIN), ("any",))


def policy(*uses: str, access: Access = TRAINING) -> DatasetPolicy:
    columns = (policies.short("income", uses), policies.short("region", uses))
    return replace(house.INCOME_POLICY, access=(access,), constraints=columns)


ALLOWING = policy("model")


GRANT = house.grant()


def believing(rules: DatasetPolicy = ALLOWING) -> TrustedSet:
    return house.trusted(*house.house_statements(GRANT), house.bundle(2, (rules,)))


def honest(task: PythonTask = TASK, folder: Folder = FOLDER) -> Plan:
    """The plan that a centre makes that believes what the owner believes."""
    trusted = believing()
    request = replace(house.REQUEST, kind=RequestKind.PYTHON, statement=task.canonical().decode())
    reading = policies.reading_of_task(request)
    case = policies.Case(
        request, reading, trusted.in_force()[1], trusted.current_manifests(), trusted.granted(request.digest),
        trusted.in_force()[0].named(Duty.APPROVER), house.NOW, trusted.in_force()[0].number,
    )  # fmt: skip
    decision = policies.decide(case)
    assert decision.obligations, decision.reasons
    program = policies.program_of(case)
    furnishing = policies.Furnishing(dict.fromkeys(Entry, IMAGE), LIMITS)
    return Plan(
        kind=PlanKind.PYTHON,
        domain=house.DOMAIN,
        request=request,
        request_signature=keys.sign_bytes("request", request.canonical(), house.key("member")),
        decision=decision,
        program=program,
        material=folder.canonical().decode(),
        stages=policies.work_boxes(
            task, program, trusted.current_manifests(), decision.obligations.tier, furnishing
        ),
        nonce="5" * 32,
        made_at=house.NOW,
    )


def derive(plan: Plan, rules: DatasetPolicy = ALLOWING) -> Decision:
    """What the owner's keeper does before it gives a key to any box of the plan."""
    assert plan.request is not None
    reading = policies.reading_of_task(plan.request)
    return require_same(plan, reading, believing(rules), HERE, house.NOW)[0]


def stage(entry: Entry, **changes: object) -> Callable[[Plan], Plan]:
    def forge(plan: Plan) -> Plan:
        boxes = tuple(replace(spec, **changes) if spec.entry is entry else spec for spec in plan.stages)
        return replace(plan, stages=boxes)

    return forge


def reading_the_files(plan: Plan) -> Plan:
    """Give the job's own box the owner's files."""
    files = plan.stage(Entry.LOAD).inputs
    return stage(Entry.PYTHON, inputs=files)(plan)


def unlinked(plan: Plan) -> Plan:
    loader: BoxSpec = plan.stage(Entry.LOAD)
    more = replace(loader.links[0], name="rows-9")
    return stage(Entry.PYTHON, links=(*plan.stage(Entry.PYTHON).links, more))(plan)


def resigned(task: PythonTask) -> Callable[[Plan], Plan]:
    """Change the task in the request, whose signature the centre cannot make."""

    def forge(plan: Plan) -> Plan:
        assert plan.request is not None
        request = replace(plan.request, statement=task.canonical().decode())
        return replace(plan, request=request)

    return forge


FORGED: dict[str, tuple[Callable[[Plan], Plan], type[DarkroomError]]] = {
    "another folder": (
        lambda plan: replace(plan, material=EVIL.canonical().decode()), RederivationMismatch,
    ),
    "another image for the job": (stage(Entry.PYTHON, image=OTHER), RederivationMismatch),
    "another image for the airlock": (stage(Entry.INSPECT, image=OTHER), RederivationMismatch),
    "another image for the loader": (stage(Entry.LOAD, image=OTHER), RederivationMismatch),
    "files of the data for the job's box": (reading_the_files, RederivationMismatch),
    "one more link": (unlinked, RederivationMismatch),
    "an argument for the airlock": (stage(Entry.INSPECT, arguments=("--lenient",)), RederivationMismatch),
    "an input for the airlock that was not re-encoded": (
        lambda plan: stage(Entry.INSPECT, inputs=plan.stage(Entry.REENCODE).inputs)(plan), RederivationMismatch,
    ),
    "one more output": (
        resigned(replace(TASK, artifacts=(*TASK.artifacts, Artifact("x.txt", Form.REPORT)))), SignatureWrong,
    ),
    "one more column": (
        resigned(replace(TASK, needs=(Need("tax.income", ("income", "region", "year")),))), SignatureWrong,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("forge", "refusal"), FORGED.values(), ids=FORGED.keys())
def test_78_a_forged_task_gets_no_key(forge: Callable[[Plan], Plan], refusal: type[DarkroomError]) -> None:
    with pytest.raises(refusal) as found:
        derive(forge(honest()))
    assert "decision" not in found.value.where


def test_78_control_the_owner_derives_an_honest_task_again() -> None:
    plan = honest()
    assert derive(plan) == plan.decision
    assert plan.batches == (
        (Entry.LOAD, Entry.PYTHON), (Entry.REENCODE,), (Entry.RELOAD, Entry.INSPECT),
    )  # fmt: skip
    with_files = {spec.entry for spec in plan.stages if any(item.sha256 for item in spec.inputs)}
    assert with_files == {Entry.LOAD, Entry.RELOAD}, "no other box has a file of the data"


def test_a_folder_that_was_not_signed_for_passes_if_the_member_signs_it() -> None:
    """The control of `another folder`: the very same folder, signed for."""
    evil = replace(TASK, folder=EVIL.digest)
    assert derive(honest(evil, EVIL))


@pytest.mark.parametrize(
    "rules",
    [
        policy("group", "sum", "avg", "filter"),
        policy("model", access=replace(TRAINING, actions=(Action.QUERY,))),
    ],
    ids=["no column may feed a program", "no program may run on the dataset"],
)
def test_a_dataset_that_is_open_for_figures_only_is_closed_for_code(rules: DatasetPolicy) -> None:
    with pytest.raises(PolicyDenied):
        derive(honest(), rules)

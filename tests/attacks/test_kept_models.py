"""Models that stay, attacked: by another project, a lying centre, a colluding member, and after their data are gone.

A real keeper holds a model and is asked for the keys of the box that scores with it. The centre here claims whatever
serves it: its plans say that all was allowed. The control of every refusal is the same task, honestly made.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from darkroom import signing
from keeper import ingest, models
from keeper.held import HeldNote
from keys import api as keys
from plans import frames
from plans.artifacts import Artifact, Form, ReleasedArtifact, ReleasedSet
from plans.box import Entry
from plans.constraints import ANY, Access, Action, Effect, Mask, MaskKind, Reveal
from plans.errors import DarkroomError, EvidenceBroken, NotFound, PolicyDenied, SignatureWrong, TooLarge
from plans.handover import handover, padded
from plans.inspection import Inspection
from plans.plan import Plan, PlanKind
from plans.release import KEYS_INFO
from plans.request import Request, RequestKind
from plans.statements import BoxStatement
from plans.tasks import LARGEST_MODELS, KeptModel, Need, PythonTask
from plans.verdict import Finding, Verdict
from policies import api as policies
from policies.api import short
from tests.keeper import house
from tests.keeper.sides import Side
from tests.plans import examples

FOLDER = examples.FOLDER
MODEL = b'{"kind":"linear","canary":"8c21-weights"}'
TRAINING = replace(
    house.INCOME_POLICY,
    access=(Access(Effect.ALLOW, (ANY,), ("researcher",), (Action.TRAIN,), (ANY,)),),
    constraints=(short("income", ("model",)), short("region", ("model",))),
)
FITS = PythonTask(
    house.IMAGE, FOLDER.digest, "main.py", (), (Need("tax.income", ("income", "region")),),
    (Artifact("m.json", Form.MODEL),),
)  # fmt: skip
SCORES = replace(FITS, artifacts=(Artifact("t.csv", Form.TABLE, persons="n"),))


@dataclass
class Office:
    """A keeper and everybody who asks it something."""

    side: Side

    @classmethod
    def make(cls, folder: Path) -> Office:
        side = Side.make(house.config(folder, work_images=dict.fromkeys(Entry, (house.IMAGE,))))
        made = cls(side)
        made.rules(TRAINING, 2)
        return made

    def rules(self, policy: object, number: int) -> None:
        self.side.keeper.believe(house.bundle(number, (policy,)))  # type: ignore[arg-type]

    def plan(self, task: PythonTask, number: int = 1, **asked: Any) -> Plan:
        """What a centre sends that says that every model which the task names may be used."""
        request = replace(
            house.REQUEST, kind=RequestKind.PYTHON, nonce=f"{number:032x}",
            statement=task.canonical().decode(), **asked,
        )  # fmt: skip
        claimed = replace(request, statement=replace(task, models=()).canonical().decode())
        trusted = self.side.keeper.trusted
        roster, bundle = trusted.in_force()
        case = policies.Case(
            claimed, policies.reading_of_task(claimed), bundle, trusted.current_manifests(),
            trusted.granted(request.digest), (), house.NOW, roster.number,
        )  # fmt: skip
        decision = policies.decide(case)
        assert decision.obligations, decision.reasons
        program = policies.program_of(case)
        furnishing = policies.Furnishing(dict.fromkeys(Entry, house.IMAGE), house.LIMITS)
        stages = policies.work_boxes(task, program, case.manifests, decision.obligations.tier, furnishing)
        return Plan(
            kind=PlanKind.PYTHON, domain=house.DOMAIN, request=request, request_signature=signature(request),
            decision=decision, program=program, material=FOLDER.canonical().decode(), stages=stages,
            nonce="5" * 32, made_at=house.NOW,
        )  # fmt: skip

    def keep(self, plan: Plan, model: bytes = MODEL) -> KeptModel:
        """Let the keeper hold what a plan has left, as its inspecting box wrote it; return how a task names it."""
        content = base64.b64encode(model).decode()
        left = ReleasedSet(plan.digest, (ReleasedArtifact("m.json", Form.MODEL, content),), (), "7" * 32)
        verdict = Verdict(
            plan.digest, Finding.HELD, ("untried",), house.digest("judged"), left.digest, sha256(b"sealed")
        )
        record = Inspection(plan.digest, Finding.HELD, "region", ())
        ring = self.side.keeper.keyring
        files = {
            name: keys.encrypt(ring.stage_key(plan.digest, 1, name), padded(inside), handover(plan, 1, name))
            for name, inside in (
                (policies.HELD, b"sealed"), (policies.SHOWN, left.canonical()), (policies.RECORD, record.canonical()),
            )
        }  # fmt: skip
        with self.side.keeper.lock:
            self.side.keeper.reviews.take_in(HeldNote(plan, verdict, 1, house.NOW), files)
        return KeptModel("fit", plan.digest, "m.json", left.digest)

    def scoring(self, model: KeptModel, number: int = 2, task: PythonTask = SCORES, **asked: Any) -> Plan:
        return self.plan(replace(task, models=(model,)), number, **asked)

    def given(self, plan: Plan) -> dict[str, str]:
        """Run the boxes up to the one that scores; return the models that it opens with its own key."""
        self.side.given(plan, Entry.LOAD)
        return dict(self.side.given(plan, Entry.PYTHON).models)


def sha256(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def signature(request: Request) -> str:
    return keys.sign_bytes("request", request.canonical(), house.key("member"))


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office.make(tmp_path)


@pytest.fixture
def model(office: Office) -> KeptModel:
    return office.keep(office.plan(FITS))


# --- the control: what it is for ------------------------------------------------------------------------------


def test_a_model_that_stays_comes_to_the_one_box_that_scores_with_it(
    office: Office, model: KeptModel
) -> None:
    plan = office.scoring(model)
    assert office.side.given(plan, Entry.LOAD).models == {}, "the loader has data, and no model"
    given = office.side.given(plan, Entry.PYTHON)
    assert {name: base64.b64decode(content) for name, content in given.models.items()} == {"fit": MODEL}
    assert given.inputs == {}, "and the box that has it has no key of a file"
    assert office.side.given(plan, Entry.REENCODE).models == {}


def test_a_task_that_names_no_model_gets_none(office: Office, model: KeptModel) -> None:
    assert office.given(office.plan(SCORES, 2)) == {}


def test_whoever_carries_the_keys_sees_no_byte_of_the_model(office: Office, model: KeptModel) -> None:
    plan = office.scoring(model)
    office.side.given(plan, Entry.LOAD)
    statement = house.box(plan, office.side.keeper.challenge(plan.digest), Entry.PYTHON)
    carried = office.side.keeper.unwrap(statement, plan)
    body = BoxStatement.read(statement.statement.body)
    sealed, inside = bytes.fromhex(carried.sealed), base64.b64encode(MODEL)
    seen = plan.canonical() + frames.pack(carried.plain()) + sealed
    assert inside not in seen and MODEL not in seen
    assert inside in house.opening("box").open(sealed, KEYS_INFO, body.canonical()), "the control"
    on_disk = b"".join(path.read_bytes() for path in office.side.settings.home.rglob("*") if path.is_file())
    assert inside not in on_disk and MODEL not in on_disk


def test_whoever_approves_a_plan_reads_which_models_it_scores_with(office: Office, model: KeptModel) -> None:
    plan = office.scoring(model)
    lines = signing.shown(signing.approval_statement(plan, house.key("approver").public), plan)
    assert [line.value for line in lines if line.label == "scores with"] == [f"fit: m.json of {model.plan}"]


# --- whose it is ------------------------------------------------------------------------------------------------


def refused(office: Office, plan: Plan, rule: str, refusal: type[DarkroomError] = PolicyDenied) -> None:
    with pytest.raises(refusal) as found:
        office.given(plan)
    assert rule in str(found.value), found.value


def test_62_another_projects_model_is_as_unknown_as_none(office: Office) -> None:
    elsewhere = house.grant(replace(house.GRANT, project="another", uses=100))
    office.side.keeper.believe(elsewhere)
    theirs = office.keep(office.plan(FITS, project="another"))
    refused(office, office.scoring(theirs), "model-unknown")
    refused(office, office.scoring(replace(theirs, plan=house.digest("nothing"))), "model-unknown")
    assert office.given(office.scoring(theirs, 3, project="another")), "the control: their own project"


def test_a_model_serves_the_purpose_that_it_was_fitted_for(office: Office) -> None:
    office.side.keeper.believe(house.grant(replace(house.GRANT, purpose="Something else", uses=100)))
    other = office.keep(office.plan(FITS, purpose="Something else"))
    refused(office, office.scoring(other), "model-purpose")
    assert office.given(office.scoring(other, 3, purpose="Something else")), "the control"


def test_a_model_is_no_way_around_a_column_that_the_task_may_not_read(
    office: Office, model: KeptModel
) -> None:
    """Whoever may read regions only would else have incomes by way of a model of them."""
    fewer = replace(SCORES, needs=(Need("tax.income", ("region",)),))
    refused(office, office.scoring(model, task=fewer), "model-data")
    office.rules(replace(TRAINING, constraints=(short("region", ("model",)),)), 3)
    with pytest.raises(AssertionError, match="column-use"):
        office.scoring(model)


def test_a_model_of_rows_that_are_hidden_now_is_not_used(office: Office, model: KeptModel) -> None:
    office.rules(replace(TRAINING, row_filter="region <> 'secret'"), 3)
    refused(office, office.scoring(model), "model-data")
    again = office.keep(office.plan(FITS, 8))
    assert office.given(office.scoring(again, 9)), "the control: fitted anew to what is shown"


def test_a_model_of_values_that_are_masked_now_is_not_used(office: Office, model: KeptModel) -> None:
    coarse = Mask("income", MaskKind.BUCKET, "10000")
    income = replace(short("income", ("model",)), reveal=Reveal.MASKED, mask=coarse)
    office.rules(replace(TRAINING, constraints=(income, short("region", ("model",)))), 3)
    refused(office, office.scoring(model), "model-data")


# --- which bytes they are ---------------------------------------------------------------------------------------


def test_another_model_than_the_member_signed_for_is_not_given(office: Office, model: KeptModel) -> None:
    other = office.keep(office.plan(FITS, 7), b'{"kind":"linear","weights":"of somebody else"}')
    refused(office, office.scoring(replace(model, content=other.content)), "model-unknown")
    honest = office.scoring(model)
    assert honest.request is not None
    swapped = replace(SCORES, models=(replace(other, name="fit"),))
    forged = replace(honest, request=replace(honest.request, statement=swapped.canonical().decode()))
    with pytest.raises(SignatureWrong):
        office.given(forged)
    refused(office, office.scoring(replace(model, artifact="t.csv")), "model-unknown")
    assert office.given(honest) != office.given(office.scoring(other, 3)), (
        "the control: each is given its own"
    )


def test_bytes_that_were_changed_where_they_lie_are_not_given(office: Office, model: KeptModel) -> None:
    (place,) = office.side.settings.home.glob(f"held/*/{policies.SHOWN}")
    content, honest = place.read_bytes(), office.scoring(model)
    place.write_bytes(content[:-1] + bytes((content[-1] ^ 1,)))
    with pytest.raises(EvidenceBroken):
        office.given(honest)
    other = office.keep(office.plan(FITS, 7), b"another")
    theirs = office.side.settings.home / "held" / other.plan.removeprefix("sha256:") / policies.SHOWN
    place.write_bytes(theirs.read_bytes())
    with pytest.raises(EvidenceBroken):
        office.given(honest)
    place.write_bytes(content)
    assert office.given(honest), "the control"


def test_the_keeper_gives_no_other_bytes_than_the_member_signed_for_whatever_was_decided(
    office: Office, model: KeptModel
) -> None:
    held = office.side.keeper.reviews.held
    assert models.contents(held, office.scoring(model), Entry.PYTHON), "the control"
    pinned_to_others = office.scoring(replace(model, content=house.digest("other bytes")))
    with pytest.raises(EvidenceBroken, match="not what was judged"):
        models.contents(held, pinned_to_others, Entry.PYTHON)


def test_models_that_do_not_fit_beside_the_keys_are_refused_with_what_to_do(office: Office) -> None:
    large = office.keep(office.plan(FITS), b"x" * (LARGEST_MODELS + 1))
    with pytest.raises(TooLarge, match="MiB"):
        office.given(office.scoring(large))
    fits = office.keep(office.plan(FITS, 7), b"x" * (LARGEST_MODELS - 8))
    plan = office.scoring(fits, 8)
    office.side.given(plan, Entry.LOAD)
    statement = house.box(plan, office.side.keeper.challenge(plan.digest), Entry.PYTHON)
    assert len(frames.pack(office.side.keeper.unwrap(statement, plan).plain())) < frames.LARGEST


# --- when it ends -----------------------------------------------------------------------------------------------


def test_a_model_goes_with_the_data_that_it_was_fitted_to(office: Office, model: KeptModel) -> None:
    keeper = office.side.keeper
    keeper.believe(house.signed_manifest(house.manifest(version=2)))
    for file in house.manifest(version=2).files:
        keeper.keyring.store_data_key(file.name, b"2" * 32)
    plan = office.scoring(model)
    assert office.given(plan), "the control: it outlives a newer version"
    ingest.erase(keeper, house.INCOME, 1)
    with pytest.raises(PolicyDenied):
        office.given(office.scoring(model, 3))
    office.side.restart()
    with pytest.raises(PolicyDenied):
        office.given(office.scoring(model, 4))


def test_a_model_that_was_made_with_a_model_goes_with_the_data_of_both(
    office: Office, model: KeptModel
) -> None:
    keeper = office.side.keeper
    keeper.believe(house.signed_manifest(house.manifest(version=2)))
    child = office.keep(office.plan(replace(FITS, models=(model,)), 5))
    grandchild = office.keep(office.plan(replace(FITS, models=(child,)), 6))
    alone = office.keep(office.plan(FITS, 7))
    ingest.erase(keeper, house.INCOME, 1)
    left = [each["plan"] for each in models_at(office)]
    assert left == [alone.plan], "only what was fitted to the second version alone is left"
    late = office.plan(replace(FITS, models=(grandchild,)), 8)
    with pytest.raises(PolicyDenied):
        office.keep(late)


def test_a_running_box_that_scores_is_ended_when_the_data_behind_its_model_are_erased(
    office: Office, model: KeptModel
) -> None:
    keeper = office.side.keeper
    keeper.believe(house.signed_manifest(house.manifest(version=2)))
    for file in house.manifest(version=2).files:
        keeper.keyring.store_data_key(file.name, b"2" * 32)
    leases = {}
    for name, plan in (("scores", office.scoring(model)), ("reads", office.plan(SCORES, 3))):
        office.side.given(plan, Entry.LOAD)
        statement = house.box(plan, keeper.challenge(plan.digest), Entry.PYTHON)
        leases[name] = keeper.unwrap(statement, plan).lease
    assert all(keeper.renew(lease) for lease in leases.values())
    ingest.erase(keeper, house.INCOME, 1)
    assert not keeper.renew(leases["scores"])
    assert keeper.renew(leases["reads"]), (
        "the control: it reads the second version, and used no model of the first"
    )


def test_a_model_that_its_owner_deleted_does_not_come_back(office: Office, model: KeptModel) -> None:
    keeper = office.side.keeper
    assert [each["plan"] for each in models_at(office)] == [model.plan]
    keeper.delete_model(model.plan)
    with pytest.raises(NotFound):
        keeper.delete_model(model.plan)
    refused(office, office.scoring(model), "model-unknown")
    office.side.restart()
    with pytest.raises(PolicyDenied, match="deleted"):
        office.keep(office.plan(FITS))
    assert models_at(office) == []


@pytest.mark.parametrize("how", ["stands", "ended", "revoked"])
def test_a_grant_that_is_over_gives_no_model(office: Office, how: str) -> None:
    keeper = office.side.keeper
    body = replace(house.GRANT, purpose="For a minute", uses=100)
    granted = house.grant(body, not_after=house.NOW + 60)
    keeper.believe(granted)
    plan = office.scoring(office.keep(office.plan(FITS, purpose=body.purpose)), purpose=body.purpose)
    office.side.given(plan, Entry.LOAD)
    if how == "ended":
        office.side.clock.now += 90
    if how == "revoked":
        keeper.believe(house.revocation(granted))
    vouch = house.Vouch(not_after=house.NOW + 600)
    statement = house.box(plan, keeper.challenge(plan.digest), Entry.PYTHON, vouch)
    if how == "stands":
        assert keeper.unwrap(statement, plan), "the control"
        return
    with pytest.raises(PolicyDenied):
        keeper.unwrap(statement, plan)


def models_at(office: Office) -> list[dict[str, object]]:
    return models.listed(office.side.keeper.reviews.held)

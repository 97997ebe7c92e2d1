"""Attacks on owners of models and registers, and on two who compute alone, at their keeper (72, 73, 74, 78, 84).

Who attacks: a finder who asks often, over versions or through others; a centre whose plans name another finder, other
persons, more of them or another model than was read; a finder's side that hides whom it looked up. Each attack has its
control.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from compute import joint_evidence as centre
from compute.joint_evidence import looked_up
from keeper.config import KeeperConfig
from keeper.joint_quota import JointQuotas, Run
from mpc import derive
from plans import joint_evidence
from plans.errors import BudgetSpent, DarkroomError, HashMismatch, PolicyDenied
from plans.joint import JointPlan
from plans.joint_evidence import JointEvidence, verify_joint
from plans.joint_rules import Matching, Opening
from plans.manifest import Declared, Manifest
from plans.plan import Plan
from plans.statements import Duty, Signed, StageRecord, Type
from policies.reading import read_joint
from tests.attacks.test_joint_forms import everywhere, evidence_of, roots_of, with_task
from tests.attacks.test_joint_quota import failed
from tests.keeper import house, joint_house
from tests.keeper.house import DAY, NOW
from tests.keeper.joint_house import CIVIL, HEALTH, OWN, JointSide
from tests.keeper.joint_persons_house import (
    ASKED,
    BOUND,
    MODEL,
    TERMS,
    allow,
    model,
    plan_of,
    register,
    side_of,
    take,
)
from tests.keeper.joint_refused import Change, require_keys, require_refused
from tests.keeper.test_joint_persons import left
from tests.keeper.test_joint_verify import VERIFIER, name

SCORED, LOOKUP, OWN_KEY = "scored by the own model", "looked up here", "own key, other computes"
LOOKED_UP_THERE = "looked up there"


@pytest.fixture
def settings(tmp_path: Path) -> KeeperConfig:
    """Settings of a keeper in a folder of its own."""
    return house.config(tmp_path)


# --- 73, 74: more than an owner lets another know ------------------------------------------------


@pytest.mark.parametrize(("form", "persons"), [(SCORED, BOUND), (LOOKUP, ASKED), (OWN_KEY, BOUND)])
def test_74_many_plans_tell_no_more_persons_than_one_may(
    settings: KeeperConfig, form: str, persons: int
) -> None:
    side = side_of(settings, members=2 * persons)
    for number in range(2):
        assert side.extract(side.approved(plan_of(side, form, number))).inputs
    side.restart()
    third = side.approved(plan_of(side, form, 2))
    with pytest.raises(BudgetSpent, match="of how many persons here"):
        side.extract(third)
    allow(side, 3, members=3 * persons)
    assert side.extract(side.approved(plan_of(side, form, 3))).inputs, "the control: terms that have room"


@pytest.mark.parametrize(
    ("form", "newer"), [(SCORED, model(2)), (LOOKUP, register(2))], ids=["model", "register"]
)
def test_74_a_new_version_opens_no_new_quota(settings: KeeperConfig, form: str, newer: Manifest) -> None:
    side = side_of(settings, members=2 * (BOUND if form == SCORED else ASKED))
    for number in range(2):
        assert side.extract(side.approved(plan_of(side, form, number))).inputs
    take(side, newer)
    with pytest.raises(BudgetSpent):
        side.extract(side.approved(plan_of(side, form, BOUND)))
    allow(side, 3)
    assert side.extract(side.approved(plan_of(side, form, BOUND + 1))).inputs, "the control: there is room"


@pytest.mark.parametrize(("form", "persons"), [(SCORED, BOUND), (LOOKUP, ASKED), (OWN_KEY, BOUND)])
def test_74_every_attempt_is_charged_since_who_learns_has_it_once_its_own_box_has_ended(
    settings: KeeperConfig, form: str, persons: int
) -> None:
    """It may say that the attempt failed, and put other persons in for the next."""
    side = side_of(settings, members=2 * persons)
    own = side.approved(plan_of(side, form))
    for number in (1, 2):
        assert side.extract(own, number).inputs
        side.keeper.joint.receipt(failed(own, number), own, ())
    side.restart()
    with pytest.raises(BudgetSpent):
        side.extract(own, 3)


@pytest.mark.parametrize("form", ["own rows scored", LOOKED_UP_THERE])
def test_74_control_attempts_of_which_only_the_own_side_learns_cost_nothing(
    settings: KeeperConfig, form: str
) -> None:
    side = side_of(settings)
    own = side.approved(plan_of(side, form))
    for number in range(1, 6):
        assert side.extract(own, number).inputs
        side.keeper.joint.receipt(failed(own, number), own, ())
    assert left(side) == {}


# --- 73: a model that is worked out from what several are told -----------------------------------


def with_finder(plan: JointPlan, finder: str) -> JointPlan:
    """The same plan in the name of another finder, whose quota is another one."""
    rows, own = plan.reading.portions
    parties = {domain: joint_house.party(domain) for domain in (finder, OWN)}
    return replace(
        plan,
        reading=replace(plan.reading, portions=(replace(rows, domain=finder), own)),
        decisions=(replace(plan.decisions[0], domain=finder), plan.decisions[1]),
        task=replace(plan.task, finder=finder),
        parties=tuple(parties[domain] for domain in sorted(parties)),
    )


def of_one(side: JointSide, number: int = 0, finder: str = HEALTH) -> JointPlan:
    """A plan that scores one row of a finder's by a model of two unknowns."""
    plan = with_finder(plan_of(side, SCORED, number), finder)
    return replace(plan, scheme=replace(plan.scheme, matched=1))


def charged(quotas: JointQuotas, plan: JointPlan, at: int = NOW, **terms: Any) -> None:
    """Charge the owner of the model for a plan, as its keeper does."""
    line = quotas.charge(Run(plan, 1, MODEL), replace(TERMS, **terms), at)
    assert line is not None
    quotas.take_in(line, at)


KEPT: dict[str, Any] = {"members": 1, "given_away": False}


@pytest.mark.parametrize(
    ("finder", "later"),
    [(CIVIL, 0), (HEALTH, 91 * DAY), (CIVIL, 3_000 * DAY)],
    ids=["another finder", "another period", "another finder, years later"],
)
def test_73_two_finders_or_two_periods_have_not_enough_scores_together(
    settings: KeeperConfig, finder: str, later: int
) -> None:
    """Terms let each finder have one score in a period, which is below the two that a model of two unknowns takes."""
    side = side_of(settings)
    first, second = of_one(side), of_one(side, 1, finder)
    quotas = JointQuotas()
    charged(quotas, first, **KEPT)
    with pytest.raises(BudgetSpent, match="work it out") as refused:
        charged(quotas, second, NOW + later, **KEPT)
    assert refused.value.where == MODEL and not any(each.isdigit() for each in refused.value.what)
    charged(quotas, second, NOW + later, members=1, given_away=True)  # the control: its owner gives it away


def test_73_control_without_the_count_over_all_both_would_be_told(
    settings: KeeperConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What two scores of made-up rows are is computed in `test_joint_alone`: the model."""
    side = side_of(settings)
    monkeypatch.setattr(JointQuotas, "_require_kept", lambda *_: None)
    quotas = JointQuotas()
    charged(quotas, of_one(side), **KEPT)
    charged(quotas, of_one(side, 1, CIVIL), **KEPT)


def test_73_scores_that_were_told_while_a_model_was_given_away_count_when_it_is_kept(
    settings: KeeperConfig,
) -> None:
    side = side_of(settings)
    quotas = JointQuotas()
    charged(quotas, of_one(side), members=300, given_away=True)
    with pytest.raises(BudgetSpent, match="work it out"):
        charged(quotas, of_one(side, 1, CIVIL), **KEPT)
    charged(JointQuotas(), of_one(side, 1, CIVIL), **KEPT)


def test_73_a_model_whose_owner_keeps_it_gives_no_key_for_a_hundred_scores(settings: KeeperConfig) -> None:
    """The centre compiled under terms of its own invention."""
    side = side_of(settings)
    plan = plan_of(side, SCORED)
    allow(side, 3, given_away=False)
    with pytest.raises(PolicyDenied, match="can work it out"):
        side.extract(side.approved(plan))
    allow(side, 4)
    assert side.extract(side.approved(plan_of(side, SCORED, 1))).inputs


# --- 72, 78, 84: a plan that says something else than was asked, read, or decided -----------------


def with_portion(place: int, **changes: Any) -> Change:
    """Another portion than the readers find, with everything made anew that code makes."""

    def change(plan: JointPlan) -> JointPlan:
        portions = list(plan.reading.portions)
        portions[place] = replace(portions[place], **changes)
        return joint_house.remade(replace(plan, reading=replace(plan.reading, portions=tuple(portions))))

    return change


def with_own(files: tuple[str, ...] = (), **changes: Any) -> Change:
    """Another relation, or other files, of the own portion, which is the second."""

    def change(plan: JointPlan) -> JointPlan:
        theirs, own = plan.decisions
        own = replace(own, relation=replace(own.relation, **changes), files=files or own.files)
        return replace(plan, decisions=(theirs, own))

    return change


def with_narrow_model(plan: JointPlan) -> JointPlan:
    """All is read on a likeness of the model with a narrower range, for which smaller ciphertexts would do."""
    rows, own = plan.shadows
    declared = tuple(replace(each, declared=Declared("0", "1")) for each in own.declared)
    shadows = (rows, replace(own, declared=declared))
    reading = read_joint(plan.task.statement, shadows)
    return joint_house.remade(replace(plan, shadows=shadows, reading=reading))


def swapped(plan: JointPlan) -> JointPlan:
    """The other owner has the key, and the own one computes, in the request as well."""
    return everywhere(inspector=HEALTH, collector=OWN)(plan)


_FILES = (register().attributes.name, house.manifest().files[0].name)
FORGED: dict[str, tuple[str, Change, str]] = {
    "another finder": (LOOKUP, everywhere(finder=OWN), "value.malformed"),
    "another finder's name": (SCORED, lambda plan: with_finder(plan, CIVIL), "evidence.rederivation"),
    "more lookups": (LOOKUP, with_portion(0, bound=50), "evidence.rederivation"),
    "more scored rows": (SCORED, with_portion(0, bound=300), "evidence.rederivation"),
    "a register that seems larger": (LOOKUP, with_portion(1, bound=9_000), "evidence.rederivation"),
    "a register without its rule": (LOOKUP, with_portion(1, stand_in="SELECT count(*) FROM tax.register"),
        "evidence.rederivation"),
    "other persons": (LOOKUP, with_portion(0, where=""), "evidence.rederivation"),
    "another model version": (SCORED, with_own(manifest=house.digest("model 2")),
        "evidence.rederivation"),
    "another file of the model": (SCORED, with_own(file=house.digest("model 2")),
        "evidence.rederivation"),
    "a narrower range of the model": (SCORED, with_narrow_model, "evidence.rederivation"),
    "other names of files": (LOOKUP, with_own(files=_FILES),
        "evidence.rederivation"),
    "the key to the other owner": (OWN_KEY, swapped, "evidence.signature"),
    "the key to the other owner, in the task": (OWN_KEY, with_task(inspector=HEALTH, collector=OWN),
        "evidence.rederivation"),
}  # fmt: skip


@pytest.mark.parametrize(("form", "change", "code"), FORGED.values(), ids=FORGED)
def test_78_a_plan_that_says_otherwise_gets_no_key_though_it_was_approved(
    settings: KeeperConfig, form: str, change: Change, code: str
) -> None:
    side = side_of(settings)
    plan = plan_of(side, form)
    try:
        forged = change(plan)
    except DarkroomError as malformed:  # it is no plan at all
        assert malformed.code == code, malformed
    else:
        require_refused(side, forged, code)
    require_keys(side, plan)


def test_78_a_plan_over_a_model_that_was_replaced_gets_no_key(settings: KeeperConfig) -> None:
    side = side_of(settings)
    before = plan_of(side, SCORED)
    take(side, model(2))
    require_refused(side, before, "evidence.rederivation")
    require_keys(side, plan_of(side, SCORED, 1))


@pytest.mark.parametrize("form", [SCORED, LOOKUP])
def test_84_what_is_told_of_persons_is_told_to_members_of_their_owner_alone(
    settings: KeeperConfig, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Else somebody whom the finder's own domain does not know would have its persons scored or looked up."""
    side = side_of(settings)
    monkeypatch.setattr("mpc.compile.require_possible", lambda *_: None)  # a centre that does not mind
    plan = plan_of(side, form, member=house.MEMBER)
    assert "is no member of it" in require_refused(side, plan, "policy.denied").what
    monkeypatch.setattr(derive, "require_possible", lambda *_: None)
    require_keys(side, plan)  # the control: nothing else is in the way


ONLY: dict[str, tuple[str, dict[str, Any]]] = {
    "no scores": (SCORED, {"openings": (Opening.OBLIVIOUS, Opening.RECORDS)}),
    "fewer scores": (SCORED, {"members": BOUND - 1}),
    "no records": (LOOKUP, {"openings": (Opening.OBLIVIOUS, Opening.SCORES)}),
    "fewer records": (LOOKUP, {"members": ASKED - 1}),
    "no ciphertexts": (OWN_KEY, {"ciphertexts": False}),
    "nobody is matched by the other": (OWN_KEY, {"matchings": (Matching.HELPER,)}),
    "the other learns of nobody": (OWN_KEY, {"openings": (Opening.INSPECTED, Opening.SCORES)}),
    "the other may know of fewer": (OWN_KEY, {"members": BOUND - 1}),
    "own rows are not scored": ("own rows scored", {"openings": (Opening.OBLIVIOUS, Opening.RECORDS)}),
}


@pytest.mark.parametrize(("form", "terms"), ONLY.values(), ids=ONLY)
def test_78_what_the_own_terms_do_not_allow_gets_no_key_though_it_was_approved(
    settings: KeeperConfig, form: str, terms: dict[str, Any]
) -> None:
    side = side_of(settings)
    plan = plan_of(side, form)
    allow(side, 3, **terms)
    with pytest.raises(PolicyDenied):
        side.extract(side.approved(plan))
    allow(side, 4)
    assert side.extract(side.approved(plan_of(side, form, 1))).inputs, "the control: the terms that allow it"


# --- whom a finder looked up ----------------------------------------------------------------------


def reported(plan: Plan, report: dict[str, Any]) -> tuple[Signed, ...]:
    """The own launcher's records of a computation whose box of the protocol said this."""
    *before, last = joint_house.records(plan)
    body = replace(StageRecord.read(last.statement.body), report=report)
    return (*before, house.signed(Type.STAGE, Duty.LAUNCHER, body, "launcher"))


_GOOD = [house.digest(str(place)).removeprefix("sha256:") for place in range(ASKED)]
_TABLE = {"table": house.digest("the table")}
HIDDEN: dict[str, dict[str, Any]] = {
    "nobody": {},
    "one fewer": {"looked_up": _GOOD[1:]},
    "one more": {"looked_up": [*_GOOD, "0" * 64]},
    "one twice": {"looked_up": [*_GOOD[1:], _GOOD[1]]},
    "names": {"looked_up": [*_GOOD[1:], "150102199003071234"]},
    "a text": {"looked_up": "".join(_GOOD)},
}


@pytest.mark.parametrize("report", HIDDEN.values(), ids=HIDDEN)
def test_a_finder_that_hides_whom_it_looked_up_has_no_good_end(
    settings: KeeperConfig, report: dict[str, Any]
) -> None:
    side = side_of(settings)
    own = side.approved(plan_of(side, LOOKED_UP_THERE))
    bad, good = reported(own, _TABLE | report), reported(own, _TABLE | {"looked_up": _GOOD})
    with pytest.raises(HashMismatch, match="as many persons are committed to"):
        side.keeper.joint.receipt(joint_house.receipt(own, ran=bad), own, bad)
    side.keeper.joint.receipt(joint_house.receipt(own, ran=good), own, good)


def test_nobody_but_a_finder_of_records_says_that_it_looked_somebody_up(settings: KeeperConfig) -> None:
    side = side_of(settings)
    own = side.approved(plan_of(side, "own rows scored"))
    good = {"decryptions": 1}
    ran = reported(own, good | {"looked_up": _GOOD})
    with pytest.raises(HashMismatch):
        side.keeper.joint.receipt(joint_house.receipt(own, ran=ran), own, ran)
    bare = reported(own, good | {"sent_bytes": 7})
    side.keeper.joint.receipt(joint_house.receipt(own, ran=bare), own, bare)


# --- how often a key decrypted, and which table was asked ------------------------------------------


OTHERWISE: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "the key's owner says nothing": ("own rows scored", {}, {"decryptions": 1}),
    "it never decrypted": ("own rows scored", {"decryptions": 0}, {"decryptions": 1}),
    "it decrypted twice": ("own rows scored", {"decryptions": 2}, {"decryptions": 1}),
    "it says a truth value": ("own rows scored", {"decryptions": True}, {"decryptions": 1}),
    "it says a text": ("own rows scored", {"decryptions": "1"}, {"decryptions": 1}),
    "the model's owner decrypted": (SCORED, {"decryptions": 1}, {}),
    "it says that it did not": (SCORED, {"decryptions": 0}, {}),
    "an inspector says nothing": (OWN_KEY, {}, {"decryptions": 1}),
    "a register decrypted": (LOOKUP, _TABLE | {"decryptions": 1}, _TABLE),
    "a register says nothing of its table": (LOOKUP, {}, _TABLE),
    "its table is no digest": (LOOKUP, {"table": "the table"}, _TABLE),
    "its table is a number": (LOOKUP, {"table": 7}, _TABLE),
    "a finder says nothing of the table": (
        LOOKED_UP_THERE, {"looked_up": _GOOD}, _TABLE | {"looked_up": _GOOD},
    ),
    "a table where nobody is looked up": (SCORED, _TABLE, {}),
}  # fmt: skip


@pytest.mark.parametrize(("form", "said", "good"), OTHERWISE.values(), ids=OTHERWISE)
def test_a_side_whose_box_did_otherwise_than_its_form_has_no_good_end(
    settings: KeeperConfig, form: str, said: dict[str, Any], good: dict[str, Any]
) -> None:
    """The launcher signs what the box says. The control: what boxes of this form say."""
    side = side_of(settings)
    own = side.approved(plan_of(side, form))
    bad, ran = reported(own, said), reported(own, good)
    with pytest.raises(HashMismatch):
        side.keeper.joint.receipt(joint_house.receipt(own, ran=bad), own, bad)
    side.keeper.joint.receipt(joint_house.receipt(own, ran=ran), own, ran)


def test_nothing_else_than_the_box_of_the_protocol_says_such_things(settings: KeeperConfig) -> None:
    side = side_of(settings)
    own = side.approved(plan_of(side, "own rows scored"))
    first, last = joint_house.records(own)
    body = replace(StageRecord.read(first.statement.body), report={"decryptions": 1})
    ran = (house.signed(Type.STAGE, Duty.LAUNCHER, body, "launcher"), last)
    with pytest.raises(HashMismatch, match="decrypted as often"):
        side.keeper.joint.receipt(joint_house.receipt(own, ran=ran), own, ran)


def saying(good: JointEvidence, domain: str, **report: Any) -> JointEvidence:
    """The same where one side's launcher and keeper signed that its box reported this."""
    place = next(at for at, each in enumerate(good.parties) if each.plan.domain == domain)
    plan = good.parties[place].plan
    *before, last = good.parties[place].records
    was = StageRecord.read(last.statement.body)
    body = replace(was, report={**was.report, **report})
    ran = (*before, house.signed(Type.STAGE, Duty.LAUNCHER, body, name("launcher", domain), domain=domain))
    receipt = joint_house.receipt(plan, ran=ran)
    said = house.signed(Type.RECEIPT, Duty.KEEPER, receipt, name("keeper", domain), domain=domain)
    changed = replace(good.parties[place], records=ran, receipt=said)
    return replace(good, parties=(*good.parties[:place], changed, *good.parties[place + 1 :]))


@pytest.mark.parametrize("who", [OWN, HEALTH])
def test_a_register_cannot_say_afterwards_that_it_answered_from_another_table(
    settings: KeeperConfig, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    """Hint and root of a table are in its record, and each side's launcher signs which one its box was at. All of both
    sides' signatures hold here, and each side's own end is good; only who compares finds it.
    """
    plan = plan_of(side_of(settings), LOOKED_UP_THERE)
    good = evidence_of(plan)
    assert verify_joint(good, roots_of(plan), VERIFIER) and len(looked_up(good)) == ASKED
    bad = saying(good, who, **_TABLE)
    with pytest.raises(HashMismatch, match="different tables"):
        verify_joint(bad, roots_of(plan), VERIFIER)
    with pytest.raises(HashMismatch, match="different tables"):
        looked_up(bad)  # so that the centre hands over no answer of it
    for room in (joint_evidence, centre):
        monkeypatch.setattr(room, "require_one_table", lambda *_: None)
    assert verify_joint(bad, roots_of(plan), VERIFIER), "the control: each side alone ended well"
    assert len(looked_up(bad)) == ASKED


def test_evidence_without_the_commitments_of_the_finder_is_none(settings: KeeperConfig) -> None:
    """All of its side may have signed a good end; whoever checks finds that nobody is committed to."""
    plan = plan_of(side_of(settings), LOOKED_UP_THERE)
    good = evidence_of(plan)
    place = next(at for at, each in enumerate(good.parties) if each.plan.domain == OWN)
    own = good.parties[place].plan
    ran = reported(own, _TABLE)
    said = house.signed(Type.RECEIPT, Duty.KEEPER, joint_house.receipt(own, ran=ran), "keeper")
    changed = replace(good.parties[place], records=ran, receipt=said)
    parties = (*good.parties[:place], changed, *good.parties[place + 1 :])
    with pytest.raises(HashMismatch, match="as many persons are committed to"):
        verify_joint(replace(good, parties=parties), roots_of(plan), VERIFIER)
    assert verify_joint(good, roots_of(plan), VERIFIER)

"""What a keeper asks of launchers' statements: a truth table each for box statements and for chains of records."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keeper.evidence import require_box, require_chain
from keeper.trust import TrustedSet
from plans.box import Entry
from plans.decision import Tier
from plans.errors import DarkroomError, HashMismatch, Malformed, Outdated, SignatureWrong
from plans.plan import Plan
from plans.statements import Duty, RosterEntry, StageInput, StageOutput, StageRecord, Type
from plans.verdict import Finding
from policies.api import RESULT, SEALED, TABLE
from tests.keeper import house
from tests.keeper.house import NOW, Vouch

NONCE = "7" * 32


@pytest.fixture
def believed() -> TrustedSet:
    return house.trusted(*house.house_statements(house.grant()))


@pytest.fixture
def plan(believed: TrustedSet) -> Plan:
    return house.plan(believed)


# --- box statements -----------------------------------------------------


@pytest.mark.parametrize("stage", [Entry.QUERY, Entry.PARSE, Entry.JUDGE])
def test_a_launchers_fresh_statement_about_a_box_of_the_plan_holds(
    believed: TrustedSet, plan: Plan, stage: Entry
) -> None:
    box = require_box(believed, house.box(plan, NONCE, stage), plan, NONCE, NOW)
    assert box.box_key == house.opening("box").public


FILE = StageInput("income-v1-attributes.parquet", house.manifest().attributes.sha256)
BAD_BOXES: dict[str, tuple[type[DarkroomError], dict[str, Any]]] = {
    "launcher not in the roster": (SignatureWrong, {"vouch": Vouch(signer="stranger")}),
    "signed by the steward": (SignatureWrong, {"vouch": Vouch(signer="steward", duty=Duty.STEWARD)}),
    "signed by the keeper as a launcher": (SignatureWrong, {"vouch": Vouch(signer="keeper")}),
    "launcher's key in another duty": (SignatureWrong, {"vouch": Vouch(duty=Duty.KEEPER)}),
    "statement of another type": (SignatureWrong, {"vouch": Vouch(type=Type.STAGE)}),
    "about another domain": (SignatureWrong, {"vouch": Vouch(domain=house.OTHER_DOMAIN)}),
    "without an end": (Outdated, {"vouch": Vouch(not_after=0)}),
    "ended this second": (Outdated, {"vouch": Vouch(not_after=NOW)}),
    "claims to hold for an hour": (Outdated, {"vouch": Vouch(not_after=NOW + 3_600)}),
    "another challenge": (Outdated, {"challenge": "8" * 32}),
    "another plan": (HashMismatch, {"plan": house.digest("another plan")}),
    "another stage's box": (HashMismatch, {"stage": Entry.QUERY, "spec": house.digest("judge box")}),
    "another image": (HashMismatch, {"image": house.digest("image evil")}),
    "a file that the plan does not name": (
        HashMismatch,
        {"inputs": (StageInput("other.parquet", FILE.sha256),)},
    ),
    "another file under the same name": (
        HashMismatch,
        {"inputs": (replace(FILE, sha256=house.digest("x")),)},
    ),
    "an empty hash": (HashMismatch, {"inputs": (replace(FILE, sha256=""),)}),
    "one file more": (HashMismatch, {"inputs": (FILE, StageInput("identifiers.parquet", house.digest("i")))}),
    "the same file twice": (HashMismatch, {"inputs": (FILE, FILE)}),
    "no file": (HashMismatch, {"inputs": ()}),
}


@pytest.mark.parametrize(("error", "change"), BAD_BOXES.values(), ids=BAD_BOXES)
def test_a_box_statement_with_one_thing_wrong_is_refused(
    believed: TrustedSet, plan: Plan, error: type[DarkroomError], change: dict[str, Any]
) -> None:
    challenge = change.pop("challenge", NONCE) if "challenge" in change else NONCE
    with pytest.raises(error):
        require_box(believed, house.box(plan, challenge, **change), plan, NONCE, NOW)


def test_without_an_open_challenge_no_statement_holds(believed: TrustedSet, plan: Plan) -> None:
    with pytest.raises(Outdated):
        require_box(believed, house.box(plan, NONCE), plan, None, NOW)


def test_the_keys_swapped_on_the_way_break_the_signature(believed: TrustedSet, plan: Plan) -> None:
    """ATTACKS 77: a carrier puts its own key where the box's was."""
    honest = house.box(plan, NONCE)
    body = {**honest.statement.body, "box_key": house.opening("carrier").public}
    with pytest.raises(Malformed):
        replace(honest.statement, body=body)
    forged = house.box(plan, NONCE, box_key=house.opening("carrier").public)
    with pytest.raises(SignatureWrong):
        require_box(believed, replace(forged, signature=honest.signature), plan, NONCE, NOW)


def test_a_weaker_tier_than_the_plans_is_refused_and_a_stronger_one_is_not(believed: TrustedSet) -> None:
    strong = replace(house.INCOME_POLICY, tier=Tier.T2)
    believed.add(house.bundle(2, (strong,)), NOW)
    plan = house.plan(believed)
    require_box(believed, house.box(plan, NONCE, tier=Tier.T3), plan, NONCE, NOW)
    with pytest.raises(HashMismatch):
        require_box(believed, house.box(plan, NONCE, tier=Tier.T1), plan, NONCE, NOW)


def test_a_launcher_that_left_the_roster_is_not_heard(believed: TrustedSet, plan: Plan) -> None:
    believed.add(house.roster(2, house.entries_without("launcher:node1")), NOW)
    with pytest.raises(SignatureWrong):
        require_box(believed, house.box(plan, NONCE), plan, NONCE, NOW)


def test_a_launcher_of_two_owners_cannot_use_a_statement_for_both(plan: Plan) -> None:
    entries = (RosterEntry("launcher:shared", Duty.LAUNCHER, house.key("launcher").public),)
    other = TrustedSet(house.OTHER_DOMAIN, house.key("root").public)
    other.add(house.roster(1, entries, domain=house.OTHER_DOMAIN), NOW)
    with pytest.raises(SignatureWrong, match="another domain"):
        require_box(other, house.box(plan, NONCE), plan, NONCE, NOW)
    require_box(other, house.box(plan, NONCE, vouch=Vouch(domain=house.OTHER_DOMAIN)), plan, NONCE, NOW)


# --- chains -----------------------------------------------------


def test_records_that_follow_one_another_give_their_verdict(believed: TrustedSet, plan: Plan) -> None:
    verdict, attempt = require_chain(believed, house.chain(house.records(plan, attempt=2)), plan)
    assert (verdict, attempt) == (house.verdict(plan), 2)


def test_a_refusal_has_no_output(believed: TrustedSet, plan: Plan) -> None:
    no = house.verdict(plan, finding=Finding.REFUSED, reasons=("small-group",), content="", sealed="")
    query, parse, judge = house.records(plan, no)
    verdict, _ = require_chain(believed, house.chain((query, parse, replace(judge, outputs=()))), plan)
    assert verdict.finding is Finding.REFUSED
    with pytest.raises(HashMismatch):
        require_chain(believed, house.chain((query, parse, judge)), plan)


def changed(about: Plan, stage: int, /, **changes: Any) -> tuple[StageRecord, ...]:
    bodies = list(house.records(about))
    bodies[stage] = replace(bodies[stage], **changes)
    return tuple(bodies)


OTHER_BYTES = house.digest("other bytes")
BAD_CHAINS: dict[str, Any] = {
    "a record is missing": lambda plan: house.records(plan)[:2],
    "none at all": lambda plan: (),
    "one is there twice": lambda plan: (*house.records(plan), house.records(plan)[2]),
    "in another order": lambda plan: house.records(plan)[::-1],
    "about another plan": lambda plan: changed(plan, 1, plan=house.digest("another plan")),
    "of another attempt": lambda plan: changed(plan, 0, attempt=2),
    "the query read another file": lambda plan: changed(plan, 0, inputs=(replace(FILE, sha256=OTHER_BYTES),)),
    "the query read one file more": lambda plan: changed(
        plan, 0, inputs=(FILE, StageInput("x", OTHER_BYTES))
    ),
    "parse read other bytes": lambda plan: changed(plan, 1, inputs=(StageInput(RESULT, OTHER_BYTES),)),
    "parse read one file more": lambda plan: changed(
        plan, 1, inputs=(*house.records(plan)[1].inputs, StageInput("x", OTHER_BYTES))
    ),
    "parse read nothing": lambda plan: changed(plan, 1, inputs=()),
    "query wrote nothing": lambda plan: changed(plan, 0, outputs=()),
    "judge read other bytes": lambda plan: changed(plan, 2, inputs=(StageInput(TABLE, OTHER_BYTES),)),
    "judge read the query's result": lambda plan: changed(plan, 2, inputs=house.records(plan)[1].inputs),
    "judge wrote other bytes than it judged": lambda plan: changed(
        plan, 2, outputs=(StageOutput(SEALED, OTHER_BYTES, 1),)
    ),
    "judge wrote one file more": lambda plan: changed(
        plan, 2, outputs=(*house.records(plan)[2].outputs, StageOutput("more.bin", OTHER_BYTES, 1))
    ),
    "judge wrote nothing": lambda plan: changed(plan, 2, outputs=()),
    "verdict of another plan": lambda plan: house.records(
        plan, house.verdict(plan, plan=house.digest("other"))
    ),
    "verdict about other sealed bytes": lambda plan: house.records(
        plan, house.verdict(plan, sealed=OTHER_BYTES)
    ),
    "a yes without sealed bytes": lambda plan: house.records(plan, house.verdict(plan, sealed="")),
}


@pytest.mark.parametrize("attack", BAD_CHAINS.values(), ids=BAD_CHAINS)
def test_a_chain_with_one_thing_wrong_is_refused(believed: TrustedSet, plan: Plan, attack: Any) -> None:
    require_chain(believed, house.chain(house.records(plan)), plan)
    with pytest.raises(HashMismatch):
        require_chain(believed, house.chain(attack(plan)), plan)


@pytest.mark.parametrize(
    "report", [{}, {"verdict": None}, {"verdict": "pass"}, {"verdict": {"finding": "pass"}}]
)
def test_a_judge_without_a_verdict_is_no_yes(
    believed: TrustedSet, plan: Plan, report: dict[str, Any]
) -> None:
    with pytest.raises(Malformed):
        require_chain(believed, house.chain(changed(plan, 2, report=report)), plan)


@pytest.mark.parametrize("stage", [0, 1, 2])
@pytest.mark.parametrize(
    "how",
    [{"signer": "stranger"}, {"signer": "approver"}, {"domain": house.OTHER_DOMAIN}, {"duty": Duty.CENTRE}],
)
def test_each_record_is_a_launchers(
    believed: TrustedSet, plan: Plan, stage: int, how: dict[str, Any]
) -> None:
    good = list(house.chain(house.records(plan)))
    good[stage] = house.chain(house.records(plan), **{"signer": "launcher", **how})[stage]
    with pytest.raises(SignatureWrong):
        require_chain(believed, tuple(good), plan)


def test_a_box_statement_is_no_record(believed: TrustedSet, plan: Plan) -> None:
    query, parse, _ = house.chain(house.records(plan))
    with pytest.raises(SignatureWrong):
        require_chain(believed, (query, parse, house.box(plan, NONCE, Entry.JUDGE)), plan)

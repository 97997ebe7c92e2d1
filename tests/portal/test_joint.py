"""Joint computations at the portal: who sees and approves one, and that only its member fetches what was sealed."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from dataclasses import replace

from starlette.testclient import TestClient

from compute.jobs import JobState
from keys import api as keys
from plans.decision import Decision, Obligations, Outcome, Tier
from plans.joint import JointPlan
from plans.request import Request, RequestKind
from plans.statements import Approval, Duty, Signed, Type
from store import api as store
from tests.plans.joint_examples import JOINT_TASK, joint_plan
from tests.portal.region import DIGEST, OTHER, OWNER, Region, request_of, submission

SignedIn = Callable[..., TestClient]
OLGA, CHEN, DAN, MEI = "olga@nm/centre", "chen@nm/tax", "dan@nm/health", "mei@nm/centre"
DECIDED = Decision(Outcome.ALLOW, (), 1, 1, (DIGEST,), (), Obligations(10, 1, 1000, Tier.T1))


def asked(region: Region, who: str = OLGA) -> Request:
    """A joint request of a member, to be signed."""
    plain = request_of(region, who, JOINT_TASK.canonical().decode()).plain()
    return Request.read(plain | {"kind": RequestKind.JOINT.value})


def submitted(region: Region, signed_in: SignedIn, who: str = OLGA) -> tuple[str, Request]:
    """The number of a computation that was taken, and its request."""
    request = asked(region, who)
    answer = signed_in(who).post("/api/v1/joint", json=submission(region, request))
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"]), request


def waiting(region: Region, signed_in: SignedIn) -> tuple[str, JointPlan]:
    """A computation whose plan waits for its parties."""
    number, request = submitted(region, signed_in)
    plan = joint_plan(DECIDED, request)
    changes = {
        "parties": tuple(party.domain for party in plan.parties),
        "digest": plan.digest,
        "plan": plan.canonical().decode(),
    }
    with region.database.session() as session:
        assert store.joint.move(session, number, "submitted", "waiting-approval", **changes)
    return number, plan


def approval(region: Region, who: str, digest: str) -> Signed:
    """An approver's signed yes to a digest."""
    domain = who.partition("@")[2]
    draft = keys.Draft(Type.APPROVAL, domain, Duty.APPROVER, Approval(digest))
    return keys.sign(draft, region.keys[who].signing)


def handed_in(client: TestClient, signed: Signed) -> int:
    """The status that the portal answers to a statement."""
    return client.post("/api/v1/statements", json={"signed": signed.plain()}).status_code


def test_the_same_request_is_the_same_computation(region: Region, signed_in: SignedIn) -> None:
    request = asked(region)
    first, again = (
        signed_in(OLGA).post("/api/v1/joint", json=submission(region, request)).json() for _ in range(2)
    )
    assert first == again
    assert first["state"] == "submitted"
    assert [each["id"] for each in signed_in(OLGA).get("/api/v1/joint").json()["joint"]] == [first["id"]]


def test_a_request_that_asks_for_no_joint_task_is_refused(region: Region, signed_in: SignedIn) -> None:
    plain = request_of(region, OLGA, "select 1").plain() | {"kind": RequestKind.JOINT.value}
    answer = signed_in(OLGA).post("/api/v1/joint", json=submission(region, Request.read(plain)))
    assert answer.status_code == 422, answer.text


def test_nobody_submits_in_the_name_of_another(region: Region, signed_in: SignedIn) -> None:
    answer = signed_in(MEI).post("/api/v1/joint", json=submission(region, asked(region)))
    assert answer.status_code == 403


def test_approvers_of_parties_read_the_plan_and_others_do_not_know_of_it(
    region: Region, signed_in: SignedIn
) -> None:
    number, plan = waiting(region, signed_in)
    for who in (CHEN, DAN):
        assert [each["id"] for each in signed_in(who).get("/api/v1/joint-approvals").json()["joint"]] == [
            number
        ]
        found = signed_in(who).get(f"/api/v1/joint/{number}/plan").json()
        assert JointPlan.read(found["plan"]).digest == plan.digest == found["digest"]
    assert signed_in(MEI).get(f"/api/v1/joint/{number}").status_code == 404
    assert signed_in(MEI).get(f"/api/v1/joint/{number}/plan").status_code == 404


def test_each_party_approves_for_itself(region: Region, signed_in: SignedIn) -> None:
    number, plan = waiting(region, signed_in)
    assert handed_in(signed_in(CHEN), approval(region, CHEN, plan.digest)) == 200
    view = signed_in(OLGA).get(f"/api/v1/joint/{number}").json()
    assert view["approved"] == [OWNER]
    assert "nm/health" in view["waits_for"] and OWNER not in view["waits_for"]
    assert signed_in(CHEN).get("/api/v1/joint-approvals").json()["joint"] == []
    assert len(signed_in(DAN).get("/api/v1/joint-approvals").json()["joint"]) == 1


def test_an_approval_of_another_plan_or_by_the_asker_is_refused(region: Region, signed_in: SignedIn) -> None:
    number, plan = waiting(region, signed_in)
    assert handed_in(signed_in(CHEN), approval(region, CHEN, "sha256:" + "f" * 64)) == 404
    assert handed_in(signed_in(DAN), approval(region, CHEN, plan.digest)) == 409
    assert signed_in(OLGA).get(f"/api/v1/joint/{number}").json()["approved"] == []


def test_only_the_member_fetches_what_was_sealed(region: Region, signed_in: SignedIn) -> None:
    number, _ = waiting(region, signed_in)
    early = signed_in(OLGA).get(f"/api/v1/joint/{number}/results")
    assert early.status_code == 409
    with region.database.session() as session:
        kept = json.dumps({"sealed": {"nm/tax": "00"}, "receipts": []})
        assert store.joint.move(session, number, "waiting-approval", "running")
        assert store.joint.move(session, number, "running", "released", results=kept)
    assert signed_in(OLGA).get(f"/api/v1/joint/{number}/results").json()["sealed"] == {"nm/tax": "00"}
    assert signed_in(CHEN).get(f"/api/v1/joint/{number}/results").status_code in (403, 404)
    assert signed_in(MEI).get(f"/api/v1/joint/{number}/results").status_code == 404


def test_what_has_ended_is_not_cancelled(region: Region, signed_in: SignedIn) -> None:
    number, _ = submitted(region, signed_in)
    assert signed_in(MEI).post(f"/api/v1/joint/{number}/cancel", json={}).status_code == 404
    assert signed_in(OLGA).post(f"/api/v1/joint/{number}/cancel", json={}).json()["state"] == "cancelled"
    assert signed_in(OLGA).post(f"/api/v1/joint/{number}/cancel", json={}).status_code == 409
    with region.database.reading() as session:
        assert JobState(store.joint.get(session, number).state).ended
    assert OTHER != OWNER


def test_the_page_shows_who_sees_what_before_anybody_signs(region: Region, signed_in: SignedIn) -> None:
    number, plan = waiting(region, signed_in)
    text = html.unescape(signed_in(DAN).get(f"/joint/{number}").text)
    for part in (
        plan.sights[0].what,
        plan.trust.adversary,
        plan.trust.collusions[0],
        "nm/office",
        "协助方",
        plan.digest,
    ):
        assert part in text
    assert f'href="/joint/{number}"' in signed_in(DAN).get("/joint").text
    assert signed_in(MEI).get(f"/joint/{number}").status_code == 404


def test_markup_in_a_statement_stays_text(region: Region, signed_in: SignedIn) -> None:
    task = replace(JOINT_TASK, statement="select '<script>alert(1)</script>'")
    plain = request_of(region, OLGA, task.canonical().decode()).plain() | {"kind": RequestKind.JOINT.value}
    number = signed_in(OLGA).post("/api/v1/joint", json=submission(region, Request.read(plain))).json()["id"]
    text = signed_in(OLGA).get(f"/joint/{number}").text
    assert "<script>" not in text and "&lt;script&gt;" in text

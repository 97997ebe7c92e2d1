"""Attacks on the control plane (ATTACKS.md E and H): 59, 62, 63, 79, 84, 88. Each has a control: the same
call, made rightly, works.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from keys import api as keys
from plans.errors import DiskFull
from plans.statements import Approval, Duty, Revocation, Signed, Type
from portal import api as portal
from store import api as store
from tests.portal.audit_log import actions
from tests.portal.region import (
    DAY,
    ORIGIN,
    OTHER,
    OWNER,
    Region,
    grant_of,
    let_wait,
    request_of,
    signed_by,
    submission,
    wish,
)

pytest_plugins = ["tests.portal.fixtures"]

SignedIn = Callable[..., TestClient]
MEI, LIN, BO, CHEN, DAN, EVA = (
    "mei@nm/centre",
    "lin@nm/centre",
    "bo@nm/tax",
    "chen@nm/tax",
    "dan@nm/health",
    "eva@nm/tax",
)


def code(answer) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


def applied(signed_in: SignedIn, name: str = MEI, **changes: object) -> dict:
    answer = signed_in(name).post("/api/v1/applications", json=wish(**changes))
    assert answer.status_code == 201
    return answer.json()


def hand_in(client: TestClient, signed: Signed, application: str | None = None):
    return client.post("/api/v1/statements", json={"signed": signed.plain(), "application": application})


def submitted(region: Region, signed_in: SignedIn, name: str = MEI) -> dict:
    answer = signed_in(name).post("/api/v1/jobs", json=submission(region, request_of(region, name)))
    assert answer.status_code == 202
    return answer.json()


# --- 59: who may say yes ------------------------------------------------------------------------------------


def test_59_an_approver_grants_another_members_application_and_the_keeper_hears_it(
    region: Region, signed_in: SignedIn
) -> None:
    """The control of this section."""
    application = applied(signed_in)
    signed = signed_by(region, BO, Type.GRANT, grant_of(region, application))
    answer = hand_in(signed_in(BO), signed, application["id"])
    assert answer.status_code == 200 and answer.json()["digest"] == signed.statement.digest
    assert signed.statement.digest in region.owners.sets[OWNER].grants
    mine = signed_in(MEI).get("/api/v1/grants").json()["grants"]
    assert [(each["digest"], each["state"]) for each in mine] == [(signed.statement.digest, "in force")]
    assert signed_in(MEI).get(f"/api/v1/applications/{application['id']}").json()["state"] == "granted"
    assert "grant.handed-in" in actions(region.log)


def test_59_an_approver_cannot_grant_their_own_application(region: Region, signed_in: SignedIn) -> None:
    application = applied(signed_in, CHEN)
    own = grant_of(region, application)
    for signer, caller in ((CHEN, CHEN), (BO, CHEN), (CHEN, BO)):
        answer = hand_in(signed_in(caller), signed_by(region, signer, Type.GRANT, own), application["id"])
        assert answer.status_code in (403, 409)
    assert region.owners.heard == []
    waiting = signed_in(CHEN).get("/api/v1/applications").json()["applications"]
    assert [each["id"] for each in waiting] == [application["id"]]  # as its member, not as its approver
    declined = signed_in(CHEN).post(
        f"/api/v1/applications/{application['id']}/decline", json={"reason": "no"}
    )
    assert code(declined) == (403, "access.not-allowed")
    assert (
        hand_in(signed_in(BO), signed_by(region, BO, Type.GRANT, own), application["id"]).status_code == 200
    )


def test_59_an_approver_cannot_approve_their_own_plan(region: Region, signed_in: SignedIn) -> None:
    job = submitted(region, signed_in, CHEN)
    approval = Approval(let_wait(region, job["id"]).digest)
    assert code(hand_in(signed_in(CHEN), signed_by(region, CHEN, Type.APPROVAL, approval)))[0] == 403
    assert hand_in(signed_in(BO), signed_by(region, BO, Type.APPROVAL, approval)).status_code == 200


def test_59_an_approval_cannot_be_moved_to_a_changed_plan(region: Region, signed_in: SignedIn) -> None:
    job = submitted(region, signed_in)
    plan = let_wait(region, job["id"])
    shown = signed_in(BO).get(f"/api/v1/jobs/{job['id']}/plan").json()
    assert shown["digest"] == plan.digest
    changed = replace(plan, nonce="0" * 32)
    with region.database.session() as session:
        store.jobs.move(
            session, job["id"], "waiting-approval", "waiting-approval", plan_digest=changed.digest,
            plan=changed.canonical().decode(),
        )  # fmt: skip
    old = signed_by(region, BO, Type.APPROVAL, Approval(plan.digest))
    assert code(hand_in(signed_in(BO), old)) == (404, "thing.not-found")
    fresh = signed_by(region, BO, Type.APPROVAL, Approval(changed.digest))
    assert hand_in(signed_in(BO), fresh).status_code == 200


def test_59_an_approver_of_another_domain_neither_sees_nor_decides(
    region: Region, signed_in: SignedIn
) -> None:
    application = applied(signed_in)
    dan = signed_in(DAN)
    assert dan.get("/api/v1/applications").json() == {"applications": []}
    assert code(dan.get(f"/api/v1/applications/{application['id']}")) == (404, "thing.not-found")
    for domain in (OWNER, OTHER):
        signed = signed_by(region, DAN, Type.GRANT, grant_of(region, application), domain=domain)
        assert hand_in(dan, signed, application["id"]).status_code == 403
    assert region.owners.heard == []


def test_59_a_grant_answers_one_application_once(region: Region, signed_in: SignedIn) -> None:
    application = applied(signed_in)
    signed = signed_by(region, BO, Type.GRANT, grant_of(region, application))
    bo = signed_in(BO)
    first, again = hand_in(bo, signed, application["id"]), hand_in(bo, signed, application["id"])
    assert (
        first.json() == again.json() and len(region.owners.heard) == 1
    )  # the same statement is the same grant
    another = signed_by(region, CHEN, Type.GRANT, grant_of(region, application))
    assert code(hand_in(signed_in(CHEN), another, application["id"])) == (409, "state.conflict")


def test_59_a_revoked_grant_is_told_to_the_keeper_at_once(region: Region, signed_in: SignedIn) -> None:
    application = applied(signed_in)
    grant = signed_by(region, BO, Type.GRANT, grant_of(region, application))
    hand_in(signed_in(BO), grant, application["id"])
    end = Revocation(grant.statement.digest)
    by_member = signed_by(region, MEI, Type.REVOCATION, end)
    assert hand_in(signed_in(MEI), by_member).status_code == 403
    by_other = signed_by(region, DAN, Type.REVOCATION, end, domain=OTHER)
    assert hand_in(signed_in(DAN), by_other).status_code == 404
    assert region.owners.sets[OWNER].revoked == set()
    by_steward = signed_by(region, EVA, Type.REVOCATION, end, duty=Duty.STEWARD, not_after=0)
    assert hand_in(signed_in(EVA), by_steward).status_code == 200
    assert region.owners.sets[OWNER].revoked == {grant.statement.digest}
    assert signed_in(MEI).get("/api/v1/grants").json()["grants"][0]["state"] == "revoked"


def test_59_what_the_keeper_did_not_accept_is_not_in_force_at_the_centre(
    region: Region, signed_in: SignedIn
) -> None:
    application = applied(signed_in)
    signed = signed_by(region, BO, Type.GRANT, grant_of(region, application))
    region.owners.down.add(OWNER)
    assert code(hand_in(signed_in(BO), signed, application["id"])) == (503, "service.unreachable")
    assert signed_in(MEI).get("/api/v1/grants").json() == {"grants": []}
    region.owners.down.clear()
    assert hand_in(signed_in(BO), signed, application["id"]).status_code == 200


# --- 62: other people's things ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/v1/jobs/{}", None),
        ("GET", "/api/v1/jobs/{}/plan", None),
        ("GET", "/api/v1/jobs/{}/result", None),
        ("POST", "/api/v1/jobs/{}/cancel", {}),
    ],
)
def test_62_anothers_job_is_as_unknown_as_none(
    region: Region, signed_in: SignedIn, method: str, path: str, body: object
) -> None:
    job = submitted(region, signed_in)["id"]
    let_wait(region, job)
    nobodys = job[:-1] + ("0" if job[-1] != "0" else "1")
    lin = signed_in(LIN)
    for_another, for_none = (lin.request(method, path.format(each), json=body) for each in (job, nobodys))
    assert for_another.status_code == for_none.status_code == 404
    assert for_another.text.replace(job, "ID") == for_none.text.replace(nobodys, "ID")
    assert signed_in(MEI).request(method, path.format(job), json=body).status_code != 404


def test_62_lists_hold_only_ones_own(region: Region, signed_in: SignedIn) -> None:
    submitted(region, signed_in)
    applied(signed_in)
    assert signed_in(LIN).get("/api/v1/jobs").json() == {"jobs": []}
    assert signed_in(LIN).get("/api/v1/applications").json() == {"applications": []}
    assert len(signed_in(MEI).get("/api/v1/jobs").json()["jobs"]) == 1


def test_62_anothers_application_is_as_unknown_as_none(signed_in: SignedIn) -> None:
    application, lin = applied(signed_in)["id"], signed_in(LIN)
    answers = [lin.get(f"/api/v1/applications/{each}").text for each in (application, "a-0000000000000000")]
    assert answers[0] == answers[1]
    assert signed_in(MEI).get(f"/api/v1/applications/{application}").status_code == 200


def test_62_an_approver_reads_a_plan_only_while_it_waits_in_the_own_domain(
    region: Region, signed_in: SignedIn
) -> None:
    job = submitted(region, signed_in)["id"]
    path = f"/api/v1/jobs/{job}/plan"
    assert signed_in(BO).get(path).status_code == 404
    let_wait(region, job)
    assert signed_in(BO).get(path).status_code == 200
    assert signed_in(DAN).get(path).status_code == 404
    assert [each["id"] for each in signed_in(BO).get("/api/v1/approvals").json()["jobs"]] == [job]
    assert signed_in(DAN).get("/api/v1/approvals").json() == {"jobs": []}


# --- 63: forms of forgery -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "extra",
    [
        {"state": "granted"},
        {"member": LIN},
        {"decided_by": BO},
        {"id": "a-1"},
        {"grant": "x"},
        {"created_at": 1},
    ],
)
def test_63_nobody_sets_what_is_not_theirs_to_set(signed_in: SignedIn, extra: dict) -> None:
    answer = signed_in(MEI).post("/api/v1/applications", json=wish() | extra)
    assert code(answer) == (422, "value.malformed")


def test_63_mass_assignment_of_a_request_or_a_statement_is_refused(
    region: Region, signed_in: SignedIn
) -> None:
    body = submission(region, request_of(region, MEI))
    body["request"]["approved"] = True
    assert code(signed_in(MEI).post("/api/v1/jobs", json=body)) == (422, "value.malformed")
    application = applied(signed_in)
    plain = signed_by(region, BO, Type.GRANT, grant_of(region, application)).plain()
    plain["verified"] = True
    answer = signed_in(BO).post(
        "/api/v1/statements", json={"signed": plain, "application": application["id"]}
    )
    assert code(answer) == (422, "value.malformed")


def with_cookie(region: Region, name: str) -> TestClient:
    client = TestClient(portal.create_app(region.services), base_url=ORIGIN)
    body = {"member": name, "password": region.password(name)}
    client.cookies.set("darkroom", client.post("/api/v1/sign-in", json=body).json()["token"])
    return client


@pytest.mark.parametrize(
    "origin", [None, "null", "http://evil.example", ORIGIN + ".evil.example", "https://darkroom.test"]
)
def test_63_another_site_cannot_make_a_browser_change_anything(region: Region, origin: str | None) -> None:
    client = with_cookie(region, MEI)
    headers = {"Origin": origin} if origin else {}
    assert code(client.post("/api/v1/applications", json=wish(), headers=headers)) == (
        403,
        "access.not-allowed",
    )
    assert client.get("/api/v1/applications").json() == {"applications": []}
    assert client.post("/api/v1/applications", json=wish(), headers={"Origin": ORIGIN}).status_code == 201


def test_63_another_site_cannot_sign_a_browser_in_or_out(region: Region) -> None:
    client = with_cookie(region, MEI)
    form = {"Content-Type": "application/x-www-form-urlencoded", "Origin": "http://evil.example"}
    password = region.password(LIN).replace(" ", "+")
    assert (
        client.post("/sign-in", content=f"member={LIN}&password={password}", headers=form).status_code == 403
    )
    assert client.post("/sign-out", headers=form).status_code == 403
    assert client.get("/api/v1/me").json()["name"] == MEI


def test_63_no_answer_may_be_read_by_another_site(client: TestClient) -> None:
    for method in ("GET", "OPTIONS"):
        answer = client.request(method, "/api/v1/me", headers={"Origin": "http://evil.example"})
        assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_63_a_cookie_beside_a_token_is_refused_as_unclear(region: Region, signed_in: SignedIn) -> None:
    """Cookie tossing: a planted cookie must not decide who acts."""
    client = signed_in(MEI)
    client.cookies.set("darkroom", "tossed")
    assert client.get("/api/v1/me").status_code == 422
    client.cookies.clear()
    assert client.get("/api/v1/me").status_code == 200


@pytest.mark.parametrize(
    "header", ["Bearer ", "Basic bWVpOng=", "Bearer x", "bearer", "Bearer \u00e9", "Bearer a b"]
)
def test_63_a_made_up_token_is_nobody(client: TestClient, header: str) -> None:
    answer = client.get("/api/v1/me", headers={"Authorization": header.encode("latin-1")})
    assert code(answer) == (401, "access.not-signed-in")


def test_63_the_stored_hash_of_a_token_is_no_token(region: Region, client: TestClient) -> None:
    body = {"member": MEI, "password": region.password(MEI)}
    token = client.post("/api/v1/sign-in", json=body).json()["token"]
    with region.database.reading() as session:
        (row,) = store.sessions.of_member(session, MEI)
    for shown, status in ((row.token_hash, 401), (token, 200)):
        assert client.get("/api/v1/me", headers={"Authorization": f"Bearer {shown}"}).status_code == status


# --- 79, 84: signatures that are moved ----------------------------------------------------------------------


def test_79_a_sign_in_challenge_cannot_be_an_approval(region: Region, signed_in: SignedIn) -> None:
    job = submitted(region, signed_in)
    approval = Approval(let_wait(region, job["id"]).digest)
    challenge = signed_by(region, BO, Type.SIGN_IN, approval)
    assert code(hand_in(signed_in(BO), challenge)) == (409, "evidence.signature")
    relabelled = signed_by(region, BO, Type.APPROVAL, approval)
    moved = Signed(relabelled.statement, challenge.signature)
    assert code(hand_in(signed_in(BO), moved)) == (409, "evidence.signature")
    assert hand_in(signed_in(BO), relabelled).status_code == 200


def test_79_a_signature_over_bare_bytes_is_no_statement(region: Region, signed_in: SignedIn) -> None:
    """Whoever gets an approver to sign a request or a digest has not got an approval."""
    job = submitted(region, signed_in)
    signed = signed_by(region, BO, Type.APPROVAL, Approval(let_wait(region, job["id"]).digest))
    key = region.keys[BO].signing
    data = signed.statement.canonical()
    bare = (key.sign(data), keys.sign_bytes("request", data, key), key.sign(signed.statement.digest.encode()))
    for signature in bare:
        assert code(hand_in(signed_in(BO), Signed(signed.statement, signature)))[0] == 409
    assert hand_in(signed_in(BO), signed).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"columns": ("region", "income", "birth_year")},
        {"uses": 11},
        {"purpose": "Anything"},
        {"member": LIN},
        {"project": "other"},
    ],
)
def test_79_a_grant_that_says_more_than_was_asked_is_refused(
    region: Region, signed_in: SignedIn, changes: dict
) -> None:
    application = applied(signed_in)
    signed = signed_by(region, BO, Type.GRANT, grant_of(region, application, **changes))
    assert code(hand_in(signed_in(BO), signed, application["id"])) == (403, "rule.refused")
    fitting = signed_by(region, BO, Type.GRANT, grant_of(region, application))
    assert hand_in(signed_in(BO), fitting, application["id"]).status_code == 200


def test_79_a_grant_cannot_last_longer_than_was_asked(region: Region, signed_in: SignedIn) -> None:
    application = applied(signed_in)
    for ends in (0, application["until"] + 1, int(time.time()) - 1):
        signed = signed_by(region, BO, Type.GRANT, grant_of(region, application), not_after=ends)
        assert code(hand_in(signed_in(BO), signed, application["id"])) == (409, "evidence.outdated")


def test_84_another_recipient_fits_neither_signature_nor_enrolment(
    region: Region, signed_in: SignedIn
) -> None:
    request = request_of(region, MEI)
    body = submission(region, request)
    thief = region.keys[LIN].opening.public
    swapped = body | {"request": body["request"] | {"recipient": thief}}
    assert code(signed_in(MEI).post("/api/v1/jobs", json=swapped)) == (409, "evidence.signature")
    resigned = submission(region, replace(request, recipient=thief))
    assert code(signed_in(MEI).post("/api/v1/jobs", json=resigned)) == (409, "evidence.signature")
    assert signed_in(MEI).post("/api/v1/jobs", json=body).status_code == 202


def test_84_nobody_submits_in_anothers_name(region: Region, signed_in: SignedIn) -> None:
    body = submission(region, request_of(region, MEI))
    assert code(signed_in(LIN).post("/api/v1/jobs", json=body)) == (403, "access.not-allowed")
    forged = submission(region, request_of(region, MEI), signer=LIN)
    assert code(signed_in(MEI).post("/api/v1/jobs", json=forged)) == (409, "evidence.signature")


def test_84_the_same_request_again_is_the_same_job(region: Region, signed_in: SignedIn) -> None:
    body, client = submission(region, request_of(region, MEI)), signed_in(MEI)
    assert (
        client.post("/api/v1/jobs", json=body).json()["id"]
        == client.post("/api/v1/jobs", json=body).json()["id"]
    )
    assert len(client.get("/api/v1/jobs").json()["jobs"]) == 1


def test_84_a_grant_names_the_keys_that_the_applicant_enrolled(region: Region, signed_in: SignedIn) -> None:
    application = applied(signed_in)
    for field, key in (
        ("recipient", region.keys[LIN].opening.public),
        ("signer", region.keys[LIN].signing.public),
    ):
        signed = signed_by(region, BO, Type.GRANT, grant_of(region, application, **{field: key}))
        assert code(hand_in(signed_in(BO), signed, application["id"])) == (403, "rule.refused")


# --- 88: tokens ---------------------------------------------------------------------------------------------


def test_88_a_notebooks_token_can_look_and_run_and_nothing_else(region: Region, signed_in: SignedIn) -> None:
    """CHEN may do all of this with a session, so it is the token that is refused, not the member."""
    application, job = applied(signed_in), submitted(region, signed_in, CHEN)["id"]
    for scopes, allowed in ((("catalog", "jobs"), False), ((), True)):
        client = signed_in(CHEN, *scopes)
        grant = signed_by(region, CHEN, Type.GRANT, grant_of(region, application))
        answers = [
            client.post("/api/v1/applications", json=wish()),
            client.get(f"/api/v1/jobs/{job}/result"),
            hand_in(client, grant, application["id"]),
            client.post("/api/v1/me/tokens", json={"scopes": ["approve"], "label": "more", "lasts": 3600}),
            client.get("/api/v1/approvals"),
        ]
        assert {code(answer) == (403, "access.not-allowed") for answer in answers} == {not allowed}
        assert client.get("/api/v1/datasets").status_code == 200
        body = submission(region, request_of(region, CHEN))
        assert client.post("/api/v1/jobs", json=body).status_code == 202
    assert len(region.owners.heard) == 1


def test_88_no_token_without_scopes_or_with_more_than_tokens_have(signed_in: SignedIn) -> None:
    client = signed_in(MEI)
    for scopes, lasts in itertools.product(([], ["self"], ["jobs", "self"], ["everything"]), (3600,)):
        body = {"scopes": scopes, "label": "x", "lasts": lasts}
        assert code(client.post("/api/v1/me/tokens", json=body)) == (422, "value.malformed")
    for lasts in (0, -1, 31 * DAY):
        body = {"scopes": ["jobs"], "label": "x", "lasts": lasts}
        assert client.post("/api/v1/me/tokens", json=body).status_code == 422
    assert (
        client.post("/api/v1/me/tokens", json={"scopes": ["jobs"], "label": "x", "lasts": 3600}).status_code
        == 200
    )


# --- the log ------------------------------------------------------------------------------------------------


def test_nothing_changes_that_the_log_cannot_hold(region: Region, signed_in: SignedIn, monkeypatch) -> None:
    application, client = applied(signed_in), signed_in(BO)

    def full(*_: object) -> None:
        raise DiskFull("the log cannot grow", "audit")

    with monkeypatch.context() as patched:
        patched.setattr(type(region.log), "append", full)
        assert (
            client.post(
                f"/api/v1/applications/{application['id']}/decline", json={"reason": "no"}
            ).status_code
            == 507
        )
    assert client.get(f"/api/v1/applications/{application['id']}").json()["state"] == "open"
    assert (
        client.post(f"/api/v1/applications/{application['id']}/decline", json={"reason": "no"}).status_code
        == 200
    )
    assert signed_in(MEI).get(f"/api/v1/applications/{application['id']}").json()["reason"] == "no"

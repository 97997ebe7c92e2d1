"""What a client believes of a portal that lies: nothing. Each test changes one thing of a release that opens
otherwise.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from darkroom import signing
from darkroom.job import Job
from darkroom.result import Evidence, Result, open_release
from keys import api as keys
from plans.errors import DarkroomError, EvidenceBroken, HashMismatch, Malformed, SignatureWrong, StateConflict
from plans.release import RELEASE_INFO, Release
from plans.released import Cell
from plans.statements import Approval, Duty, Signed, Type
from store import api as store
from tests.client.conftest import Town
from tests.portal.region import CELLS, DATASET, DIGEST, OWNER, Region, let_wait, plan_for, release, table_of

MEI, LIN, BO = "mei@nm/centre", "lin@nm/centre", "bo@nm/tax"
SQL = "select region, count(*) as n from tax.income group by region"


@pytest.fixture
def evidence(town: Town) -> Evidence:
    room = town.connection(MEI)
    room.trust_keeper(OWNER, town.region.keeper.public)
    job = room.sql(SQL, project="housing", purpose="Study of rents")
    release(town.region, job.id)
    return room.evidence(job.id)


def resigned(
    found: Evidence,
    region: Region,
    key: keys.SigningKey | None = None,
    kind: Type = Type.RELEASE,
    **changes: str,
) -> Signed:
    body = replace(Release.read(dict(found.release.statement.body)), **changes)
    return keys.sign(keys.Draft(kind, OWNER, Duty.KEEPER, body), key or region.keeper)


def sealed_to(recipient: str, found: Evidence, info: bytes = RELEASE_INFO, plan: str = "") -> bytes:
    content = table_of(found.plan, CELLS).canonical()
    return keys.seal(recipient, content, info, (plan or found.plan.digest).encode())


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


Change = Callable[[Evidence, Region], Evidence]


def with_bytes(found: Evidence, region: Region, data: bytes) -> Evidence:
    return replace(found, sealed=data, release=resigned(found, region, sealed=sha256(data)))


def mine(region: Region) -> str:
    return region.keys[MEI].opening.public


CHANGES: dict[str, tuple[Change, type[DarkroomError]]] = {
    "signed by another key": (
        lambda f, r: replace(f, release=resigned(f, r, keys.SigningKey.fresh())),
        SignatureWrong,
    ),
    "a broken signature": (
        lambda f, r: replace(f, release=Signed(f.release.statement, "00" * 64)),
        SignatureWrong,
    ),
    "a stage record signed instead": (
        lambda f, r: replace(f, release=resigned(f, r, kind=Type.STAGE)),
        SignatureWrong,
    ),
    "about another plan": (lambda f, r: replace(f, release=resigned(f, r, plan=DIGEST)), HashMismatch),
    "for another recipient": (
        lambda f, r: replace(f, release=resigned(f, r, recipient=r.keys[LIN].opening.public)),
        HashMismatch,
    ),
    "another plan beside it": (lambda f, r: replace(f, plan=replace(f.plan, nonce="0" * 32)), HashMismatch),
    "other sealed bytes": (
        lambda f, r: replace(f, sealed=f.sealed[:-1] + bytes([f.sealed[-1] ^ 1])),
        HashMismatch,
    ),
    "sealed to somebody else": (
        lambda f, r: with_bytes(f, r, sealed_to(r.keys[LIN].opening.public, f)),
        EvidenceBroken,
    ),
    "sealed for another use": (
        lambda f, r: with_bytes(f, r, sealed_to(mine(r), f, info=b"other")),
        EvidenceBroken,
    ),
    "sealed for another plan": (
        lambda f, r: with_bytes(f, r, sealed_to(mine(r), f, plan=DIGEST)),
        EvidenceBroken,
    ),
    "other content than was judged": (
        lambda f, r: replace(f, release=resigned(f, r, content=DIGEST)),
        HashMismatch,
    ),
}


def test_the_release_opens_when_nothing_is_changed(town: Town, evidence: Evidence) -> None:
    """The control; also of the two ways in which the changes below are made."""
    region = town.region
    found = with_bytes(evidence, region, sealed_to(mine(region), evidence))
    for each in (evidence, replace(evidence, release=resigned(evidence, region)), found):
        assert open_release(each, region.keys[MEI], region.keeper.public).rows[0] == ("Baotou", 1250)


@pytest.mark.parametrize("name", CHANGES)
def test_a_release_with_one_thing_changed_does_not_open(town: Town, evidence: Evidence, name: str) -> None:
    change, error = CHANGES[name]
    with pytest.raises(error):
        open_release(change(evidence, town.region), town.region.keys[MEI], town.region.keeper.public)


def test_a_plan_about_another_members_request_does_not_open(town: Town, evidence: Evidence) -> None:
    with pytest.raises(SignatureWrong):
        open_release(evidence, town.region.keys[LIN], town.region.keeper.public)


def test_the_result_of_another_job_of_ones_own_does_not_stand_in(town: Town, evidence: Evidence) -> None:
    """A job's id is the head of its request's digest, so a portal cannot answer one question with another's
    result.
    """
    room = town.connection(MEI)
    other = room.sql(SQL, project="housing", purpose="Another")
    release(town.region, other.id)
    assert other.refresh().result().rows

    class Lying:
        def __getattr__(self, name: str):
            return getattr(room, name)

        def evidence(self, number: str) -> Evidence:
            return evidence

    with pytest.raises(HashMismatch):
        Job(Lying(), other.view).result()  # type: ignore[arg-type]


def test_no_keeper_is_trusted_unless_somebody_said_so(town: Town) -> None:
    room = town.connection(LIN)
    job = room.sql(SQL, project="housing", purpose="Study of rents")
    release(town.region, job.id)
    with pytest.raises(StateConflict, match="not pinned here yet") as told:
        job.result()
    assert 'darkroom.trust("nm/tax", ' in told.value.next_step
    assert room.trusted_keeper(OWNER) is None
    room.trust_keeper(OWNER, town.region.keeper.public)
    assert job.result().rows


def test_a_trusted_keeper_is_never_replaced_silently(town: Town) -> None:
    room = town.connection(MEI)
    room.trust_keeper(OWNER, town.region.keeper.public)
    room.trust_keeper(OWNER, town.region.keeper.public)
    with pytest.raises(StateConflict):
        room.trust_keeper(OWNER, keys.SigningKey.fresh().public)
    assert room.trusted_keeper(OWNER) == town.region.keeper.public


# --- what is signed is what was shown (79) -----------------------------------------------------


def application(town: Town) -> dict:
    room = town.connection(MEI)
    until = "2099-01-01"
    with pytest.raises(Malformed):
        room.apply(DATASET, ["region"], "Study of rents", project="housing", until=until)
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 5 * 86_400))
    return room.apply(DATASET, ["region"], "Study of rents", project="housing", until=day)


def test_everything_that_a_grant_says_is_on_the_screen(town: Town) -> None:
    described = town.connection(BO).application(application(town)["id"])
    statement = signing.grant_statement(described, town.region.keys[BO].signing.public)
    text = "\n".join(line.value for line in signing.shown(statement))
    for value in statement.body.values():
        for each in value if isinstance(value, list) else [value]:
            assert str(each) in text
    assert statement.digest in text and statement.domain in text


def test_a_portal_that_describes_a_wider_application_gets_what_the_screen_showed(town: Town) -> None:
    """The approver signs what was shown; a lie of the portal is on the screen, not behind it."""
    described = town.connection(BO).application(application(town)["id"]) | {
        "columns": ["region", "id_number"]
    }
    statement = signing.grant_statement(described, town.region.keys[BO].signing.public)
    assert "id_number" in "\n".join(line.value for line in signing.shown(statement))


def test_a_plan_with_another_digest_than_it_claims_is_not_shown(town: Town) -> None:
    job = town.connection(MEI).sql(SQL, project="housing", purpose="Study of rents")
    plan = let_wait(town.region, job.id)
    assert signing.plan_from(plan.plain(), plan.digest) == plan
    with pytest.raises(HashMismatch):
        signing.plan_from(plan.plain() | {"nonce": "0" * 32}, plan.digest)
    statement = signing.approval_statement(plan, town.region.keys[BO].signing.public)
    with pytest.raises(HashMismatch):
        signing.shown(statement, replace(plan, nonce="0" * 32))
    with pytest.raises(HashMismatch):
        signing.shown(statement, None)


def test_the_shown_plan_holds_all_that_will_run(town: Town) -> None:
    job = town.connection(MEI).sql(SQL, project="housing", purpose="Study of rents")
    plan = let_wait(town.region, job.id)
    assert plan.program is not None
    relation = replace(plan.program.relations[0], row_filter="birth_year < 2000")
    filtered = replace(plan, program=replace(plan.program, relations=(relation,)))
    text = "\n".join(line.value for line in signing.plan_lines(filtered))
    assert "birth_year < 2000" in text and plan.program.tables[0].counted in text and SQL in text


def test_members_sign_nothing_but_grants_approvals_and_revocations(town: Town) -> None:
    ring = town.region.keys[BO]
    draft = keys.Draft(Type.SIGN_IN, OWNER, Duty.APPROVER, Approval(DIGEST))
    with pytest.raises(Malformed):
        signing.shown(keys.sign(draft, ring.signing).statement)


def test_a_statement_is_signed_by_the_key_that_it_names_only(town: Town) -> None:
    statement = signing.revocation_statement(
        OWNER, DIGEST, town.region.keys[BO].signing.public, Duty.APPROVER
    )
    assert keys.verify(signing.signed(statement, town.region.keys[BO].signing)) == statement
    with pytest.raises(Malformed):
        signing.signed(statement, town.region.keys[MEI].signing)


@pytest.mark.parametrize("hidden", ["\x1b[2K", "\r", "\u202e", "\u200b", "\x07", "\x9b", "\u2066"])
def test_no_character_can_change_what_a_terminal_shows(hidden: str) -> None:
    assert hidden not in signing.visible(f"before{hidden}after")
    assert signing.visible("Löhne 工资 50 %") == "Löhne 工资 50 %"


def test_displays_never_run_or_fetch(town: Town, evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    room = town.connection(MEI)
    job = room.jobs()[0]
    result = job.result()

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a display reached for the network")

    monkeypatch.setattr("darkroom.wire.httpx.Client.request", fail)
    for each in (room, job, result):
        assert repr(each)
    assert "▒" in result._repr_html_() and job._repr_html_()
    with pytest.raises(AssertionError):
        job.refresh()


def test_a_display_escapes_what_it_shows(town: Town) -> None:
    job = town.connection(MEI).sql(SQL, project="housing", purpose="Study of rents")
    with town.region.database.reading() as session:
        plan = plan_for(town.region, store.jobs.get(session, job.id))
    cells = ((Cell("<script>alert(1)</script>", False), Cell("1", False)),)
    assert "<script" not in Result(table_of(plan, cells), plan)._repr_html_()

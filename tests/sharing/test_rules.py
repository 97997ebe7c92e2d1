"""The rules of asking and granting as truth tables: what fits passes, and each single change is refused for
its own reason.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import api as keys
from plans.errors import (
    DarkroomError,
    Malformed,
    NotAllowed,
    Outdated,
    Refused,
    SignatureWrong,
    StateConflict,
)
from plans.manifest import Column, Kind, Manifest
from plans.request import Request
from plans.statements import Approval, Duty, Grant, Revocation, Statement, Type
from sharing import rules
from sharing.rules import Parties, Wish
from store.api import ApplicationRow, JobRow, MemberRow, StatementRow
from tests.portal.region import DATASET, OWNER, PEOPLE, manifest

NOW = 1_800_000_000
DAY = 86_400
RINGS = {name: keys.MemberKeys.fresh(name) for name in PEOPLE}
DIGEST = "sha256:" + "cd" * 32


def member(name: str) -> MemberRow:
    ring = RINGS[name]
    return MemberRow(
        name, name.partition("@")[2], PEOPLE[name], "", ring.signing.public, ring.opening.public, 1
    )


MEI, BO, CHEN, EVA, DAN = (member(name) for name in PEOPLE if name[:3] in ("mei", "bo@", "che", "eva", "dan"))
WISH = Wish(DATASET, ("region", "income"), "housing", "Study of rents", NOW + 30 * DAY, 10)
ASKED = ApplicationRow(
    "a-1",
    MEI.name,
    "researcher",
    "housing",
    "Study of rents",
    DATASET,
    ("region", "income"),
    NOW + 30 * DAY,
    10,
    "",
    "open",
    "",
    "",
    NOW,
)


def grant(**changes: Any) -> Grant:
    fields: dict[str, Any] = {
        "member": MEI.name,
        "signer": MEI.signing_key,
        "recipient": MEI.opening_key,
        "project": ASKED.project,
        "purpose": ASKED.purpose,
        "dataset": ASKED.dataset,
        "columns": ASKED.columns,
        "uses": ASKED.uses,
    }
    return Grant(**(fields | changes))


def without(name: str, *more: Column) -> Manifest:
    """The dataset's next version, without a column."""
    first = manifest()
    left = tuple(column for column in first.columns if column.name != name)
    return replace(first, version=2, columns=(*left, *more))


def statement(kind: Type, body: Any, signer: MemberRow = BO, **changes: Any) -> Statement:
    fields: dict[str, Any] = {"domain": OWNER, "duty": Duty.APPROVER, "not_after": NOW + 10 * DAY} | changes
    return keys.sign(keys.Draft(kind, body=body, **fields), RINGS[signer.name].signing).statement


def test_an_application_that_fits_is_taken() -> None:
    rules.require_wish(WISH, MEI, manifest(), NOW)
    assert rules.allowed(rules.require_wish, WISH, MEI, manifest(), NOW)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"columns": ()}, Malformed),
        ({"columns": ("income", "income")}, Malformed),
        ({"columns": ("wealth",)}, Malformed),
        ({"columns": ("id_number",)}, Refused),
        ({"columns": ("income, region",)}, Malformed),
        ({"columns": ("*",)}, Malformed),
        ({"purpose": ""}, Malformed),
        ({"purpose": "  spaces  "}, Malformed),
        ({"purpose": "two\nlines"}, Malformed),
        ({"purpose": "\u202eright to left"}, Malformed),
        ({"purpose": "x" * 501}, Malformed),
        ({"project": "Housing!"}, Malformed),
        ({"until": NOW}, Malformed),
        ({"until": NOW + 367 * DAY}, Malformed),
        ({"uses": 0}, Malformed),
        ({"uses": 10_001}, Malformed),
        ({"role": "operator"}, NotAllowed),
        ({"role": "approver"}, Malformed),
        ({"role": "administrator"}, Malformed),
        ({"role": "any"}, Malformed),
        ({"role": "Researcher"}, Malformed),
        ({"role": "researcher "}, Malformed),
        ({"role": "rеsearcher"}, Malformed),
        ({"role": "researcher,operator"}, Malformed),
    ],
)
def test_an_application_that_does_not_fit_is_refused(
    changes: dict[str, Any], error: type[DarkroomError]
) -> None:
    with pytest.raises(error):
        rules.require_wish(replace(WISH, **changes), MEI, manifest(), NOW)


def test_nobody_applies_without_keys() -> None:
    with pytest.raises(StateConflict):
        rules.require_wish(WISH, replace(MEI, opening_key=""), manifest(), NOW)


@pytest.mark.parametrize(
    ("roles", "said", "role"),
    [
        (("researcher",), "", "researcher"),
        (("operator",), "", "operator"),
        (("operator", "researcher"), "", "researcher"),
        (("operator", "researcher"), "operator", "operator"),
        (("approver", "operator"), "", "operator"),
        (("researcher",), "operator", None),
        (("approver",), "", None),
        (("approver",), "approver", None),
        (("approver",), "researcher", None),
        ((), "", None),
        (("any", "*"), "", None),
    ],
)
def test_a_member_applies_in_a_role_of_their_own_that_asks(
    roles: tuple[str, ...], said: str, role: str | None
) -> None:
    applicant = replace(MEI, roles=roles)
    assert rules.allowed(rules.asking_role, said, applicant) is (role is not None)
    if role is not None:
        assert rules.asking_role(said, applicant) == role


# --- grants: one line per thing that differs from the grant that fits ---------------------------------------

FITS = Parties(ASKED, MEI, BO, manifest())
OTHER = RINGS["lin@nm/centre"]
GRANTS: list[tuple[str, Statement, Parties, type[DarkroomError] | None]] = [
    ("fits", statement(Type.GRANT, grant()), FITS, None),
    ("fewer columns", statement(Type.GRANT, grant(columns=("region",))), FITS, None),
    ("fewer uses", statement(Type.GRANT, grant(uses=1)), FITS, None),
    ("ends with the application", statement(Type.GRANT, grant(), not_after=ASKED.until), FITS, None),
    (
        "decided already",
        statement(Type.GRANT, grant()),
        Parties(replace(ASKED, state="granted"), MEI, BO, manifest()),
        StateConflict,
    ),
    (
        "declined already",
        statement(Type.GRANT, grant()),
        Parties(replace(ASKED, state="declined"), MEI, BO, manifest()),
        StateConflict,
    ),
    ("no approver", statement(Type.GRANT, grant(), EVA), Parties(ASKED, MEI, EVA, manifest()), NotAllowed),
    (
        "approver of another domain",
        statement(Type.GRANT, grant(), DAN),
        Parties(ASKED, MEI, DAN, manifest()),
        NotAllowed,
    ),
    (
        "own application",
        statement(
            Type.GRANT, grant(member=CHEN.name, signer=CHEN.signing_key, recipient=CHEN.opening_key), CHEN
        ),
        Parties(replace(ASKED, member=CHEN.name), CHEN, CHEN, manifest()),
        NotAllowed,
    ),
    (
        "applicant's key in an approver's name",
        statement(Type.GRANT, grant(), MEI),
        Parties(ASKED, MEI, replace(BO, signing_key=MEI.signing_key), manifest()),
        NotAllowed,
    ),
    ("another approver's signature", statement(Type.GRANT, grant(), CHEN), FITS, SignatureWrong),
    ("as a steward", statement(Type.GRANT, grant(), duty=Duty.STEWARD), FITS, SignatureWrong),
    ("as the root", statement(Type.GRANT, grant(), duty=Duty.ROOT), FITS, SignatureWrong),
    ("about another domain", statement(Type.GRANT, grant(), domain="nm/health"), FITS, SignatureWrong),
    ("of another type", statement(Type.SIGN_IN, grant()), FITS, SignatureWrong),
    ("another member", statement(Type.GRANT, grant(member="lin@nm/centre")), FITS, Refused),
    ("another signing key", statement(Type.GRANT, grant(signer=OTHER.signing.public)), FITS, Refused),
    ("another opening key", statement(Type.GRANT, grant(recipient=OTHER.opening.public)), FITS, Refused),
    ("another project", statement(Type.GRANT, grant(project="hiring")), FITS, Refused),
    ("another role", statement(Type.GRANT, grant(role="operator")), FITS, Refused),
    ("a role that reads no data", statement(Type.GRANT, grant(role="approver")), FITS, Refused),
    ("a role by another spelling", statement(Type.GRANT, grant(role="Researcher")), FITS, Refused),
    ("no role", statement(Type.GRANT, grant(role="")), FITS, Refused),
    (
        "a role that the applicant lost meanwhile",
        statement(Type.GRANT, grant()),
        replace(FITS, applicant=replace(MEI, roles=("operator",))),
        StateConflict,
    ),
    (
        "an application in a role that reads no data, planted in the table",
        statement(Type.GRANT, grant(role="approver")),
        replace(
            FITS, application=replace(ASKED, role="approver"), applicant=replace(MEI, roles=("approver",))
        ),
        StateConflict,
    ),
    (
        "of a dataset that is gone",
        statement(Type.GRANT, grant()),
        replace(FITS, manifest=None),
        StateConflict,
    ),
    (
        "with a column that is gone",
        statement(Type.GRANT, grant()),
        replace(FITS, manifest=without("income")),
        StateConflict,
    ),
    (
        "with a column that identifies people by now",
        statement(Type.GRANT, grant()),
        replace(FITS, manifest=without("income", Column("income", "VARCHAR", "", Kind.IDENTIFIER, 0))),
        StateConflict,
    ),
    (
        "of those columns that are left",
        statement(Type.GRANT, grant(columns=("region",))),
        replace(FITS, manifest=without("income")),
        None,
    ),
    ("another purpose", statement(Type.GRANT, grant(purpose="Study of rent")), FITS, Refused),
    ("another dataset", statement(Type.GRANT, grant(dataset="nm/tax/wealth")), FITS, Refused),
    (
        "one column more",
        statement(Type.GRANT, grant(columns=("region", "income", "birth_year"))),
        FITS,
        Refused,
    ),
    ("a column twice", statement(Type.GRANT, grant(columns=("region", "region"))), FITS, Refused),
    ("one use more", statement(Type.GRANT, grant(uses=11)), FITS, Refused),
    ("no end", statement(Type.GRANT, grant(), not_after=0), FITS, Outdated),
    ("ended", statement(Type.GRANT, grant(), not_after=NOW), FITS, Outdated),
    ("a second longer", statement(Type.GRANT, grant(), not_after=ASKED.until + 1), FITS, Outdated),
]


@pytest.mark.parametrize(("name", "said", "parties", "error"), GRANTS, ids=[line[0] for line in GRANTS])
def test_grants(name: str, said: Statement, parties: Parties, error: type[DarkroomError] | None) -> None:
    assert rules.allowed(rules.require_grant, said, parties, NOW) is (error is None)
    if error is not None:
        with pytest.raises(error):
            rules.require_grant(said, parties, NOW)


@given(
    st.sets(st.sampled_from(["region", "income", "birth_year", "id_number"]), min_size=1), st.integers(1, 20)
)
def test_no_grant_is_wider_than_its_application(columns: set[str], uses: int) -> None:
    said = statement(Type.GRANT, grant(columns=tuple(sorted(columns)), uses=uses))
    narrower = columns <= set(ASKED.columns) and uses <= ASKED.uses
    assert rules.allowed(rules.require_grant, said, FITS, NOW) is narrower


# --- approvals and revocations ------------------------------------------------------------------------------


def job(asker: MemberRow = MEI, **changes: Any) -> JobRow:

    request = Request(
        asker.name,
        asker.signing_key,
        asker.opening_key,
        "housing",
        "Study of rents",
        "select 1",
        "0" * 32,
        NOW,
    )
    row = JobRow("j1", asker.name, "housing", "waiting-approval", request.canonical().decode(), "", NOW, NOW)
    return replace(row, **({"domain": OWNER, "plan_digest": DIGEST} | changes))


ELSE = "sha256:" + "00" * 32
APPROVALS: list[tuple[str, Statement, JobRow, MemberRow, type[DarkroomError] | None]] = [
    ("fits", statement(Type.APPROVAL, Approval(DIGEST)), job(), BO, None),
    ("another plan", statement(Type.APPROVAL, Approval(ELSE)), job(), BO, Refused),
    ("no plan yet", statement(Type.APPROVAL, Approval(DIGEST)), job(plan_digest=""), BO, Refused),
    ("own plan", statement(Type.APPROVAL, Approval(DIGEST), CHEN), job(CHEN), CHEN, NotAllowed),
    (
        "own plan under another name",
        statement(Type.APPROVAL, Approval(DIGEST), CHEN),
        job(CHEN, member="x"),
        CHEN,
        NotAllowed,
    ),
    ("no approver", statement(Type.APPROVAL, Approval(DIGEST), EVA), job(), EVA, NotAllowed),
    ("of another domain", statement(Type.APPROVAL, Approval(DIGEST), DAN), job(), DAN, NotAllowed),
    ("another's signature", statement(Type.APPROVAL, Approval(DIGEST), CHEN), job(), BO, SignatureWrong),
    (
        "as a steward",
        statement(Type.APPROVAL, Approval(DIGEST), duty=Duty.STEWARD),
        job(),
        BO,
        SignatureWrong,
    ),
    ("a sign-in", statement(Type.SIGN_IN, Approval(DIGEST)), job(), BO, SignatureWrong),
]


@pytest.mark.parametrize(
    ("name", "said", "row", "by", "error"), APPROVALS, ids=[line[0] for line in APPROVALS]
)
def test_approvals(
    name: str, said: Statement, row: JobRow, by: MemberRow, error: type[DarkroomError] | None
) -> None:
    assert rules.allowed(rules.require_approval, said, row, by) is (error is None)
    if error is not None:
        with pytest.raises(error):
            rules.require_approval(said, row, by)


GRANTED = StatementRow(DIGEST, "grant", OWNER, BO.signing_key, MEI.name, "", NOW)
REVOCATIONS: list[tuple[str, Statement, StatementRow, MemberRow, type[DarkroomError] | None]] = [
    ("by an approver", statement(Type.REVOCATION, Revocation(DIGEST)), GRANTED, BO, None),
    ("by another approver", statement(Type.REVOCATION, Revocation(DIGEST), CHEN), GRANTED, CHEN, None),
    (
        "by a steward",
        statement(Type.REVOCATION, Revocation(DIGEST), EVA, duty=Duty.STEWARD),
        GRANTED,
        EVA,
        None,
    ),
    (
        "steward as approver",
        statement(Type.REVOCATION, Revocation(DIGEST), EVA),
        GRANTED,
        EVA,
        SignatureWrong,
    ),
    ("by the member", statement(Type.REVOCATION, Revocation(DIGEST), MEI), GRANTED, MEI, NotAllowed),
    ("by another domain", statement(Type.REVOCATION, Revocation(DIGEST), DAN), GRANTED, DAN, NotAllowed),
    ("another statement", statement(Type.REVOCATION, Revocation(ELSE)), GRANTED, BO, Refused),
    (
        "of a revocation",
        statement(Type.REVOCATION, Revocation(DIGEST)),
        replace(GRANTED, type="revocation"),
        BO,
        Refused,
    ),
]


@pytest.mark.parametrize(
    ("name", "said", "row", "by", "error"), REVOCATIONS, ids=[line[0] for line in REVOCATIONS]
)
def test_revocations(
    name: str, said: Statement, row: StatementRow, by: MemberRow, error: type[DarkroomError] | None
) -> None:
    assert rules.allowed(rules.require_revocation, said, row, by) is (error is None)
    if error is not None:
        with pytest.raises(error):
            rules.require_revocation(said, row, by)

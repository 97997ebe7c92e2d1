"""What the centre knows of models that stay: who may name one, and which plan is behind it."""

from __future__ import annotations

import dataclasses
import time

import pytest

from compute import kept
from compute.jobs import JobState
from plans.artifacts import Artifact, Form
from plans.plan import Plan
from plans.statements import Revocation, Signed, Type
from plans.tasks import KeptModel
from plans.verdict import Finding, Verdict
from store import api as store
from tests.compute.test_work import DIGEST, MEI, Office, office, python_task
from tests.portal import region as regions

__all__ = ["office"]

MODEL = Artifact("fit.json", Form.MODEL)
CONTENT = "sha256:" + "c0" * 32


def fitted(office: Office, finding: Finding = Finding.HELD) -> Plan:
    """A job that has left a model, and the verdict about it."""
    task = dataclasses.replace(python_task(), artifacts=(*python_task().artifacts, MODEL))
    job = office.submit(office.request(task))
    plan = office.planned(job)
    verdict = Verdict(plan.digest, finding, ("untried",), DIGEST, CONTENT, DIGEST)
    office.move(job, JobState.HELD, verdict=verdict.canonical().decode())
    return plan


def granted(office: Office, member: str = MEI, **changes: object) -> Signed:
    """Let a member have a grant, as the centre's letter box has it."""
    wish = regions.wish() | {"member": member, "role": "researcher"}
    body = regions.grant_of(office.region, wish, **changes)
    signed = regions.signed_by(office.region, "bo@nm/tax", Type.GRANT, body)
    lay(office, signed, member)
    return signed


def lay(office: Office, signed: Signed, about: str) -> None:
    statement = signed.statement
    row = store.StatementRow(
        statement.digest, statement.type.value, regions.OWNER, statement.signer, about,
        signed.canonical().decode(), int(time.time()),
    )  # fmt: skip
    with office.region.database.session() as session:
        store.statements.add(session, row)


def test_a_model_is_listed_to_the_members_of_its_project_with_what_a_task_has_to_write(
    office: Office,
) -> None:
    plan = fitted(office)
    assert office.jobs.models(MEI) == (), "no grant, no project"
    granted(office)
    (listed,) = office.jobs.models(MEI)
    assert (listed["plan"], listed["artifact"], listed["content"]) == (plan.digest, "fit.json", CONTENT)
    assert listed["tables"] == {"tax.income": ["region"]} and listed["purpose"] == "Study of rents"


def test_62_a_model_of_another_project_is_not_listed(office: Office) -> None:
    fitted(office)
    granted(office, project="another")
    assert office.jobs.models(MEI) == ()


def test_a_grant_that_was_revoked_or_has_ended_lists_nothing(office: Office) -> None:
    fitted(office)
    signed = granted(office)
    assert office.jobs.models(MEI), "the control"
    digest = signed.statement.digest
    lay(office, regions.signed_by(office.region, "bo@nm/tax", Type.REVOCATION, Revocation(digest)), digest)
    assert office.jobs.models(MEI) == ()


@pytest.mark.parametrize("finding", [each for each in Finding if each is not Finding.HELD])
def test_only_what_was_held_is_kept(office: Office, finding: Finding) -> None:
    plan = fitted(office, finding)
    granted(office)
    assert office.jobs.models(MEI) == () and behind(office, plan) == ()


def test_the_plan_behind_a_model_comes_with_what_its_verdict_committed_to(office: Office) -> None:
    plan = fitted(office)
    (found,) = behind(office, plan)
    assert (found.plan.digest, found.content) == (plan.digest, CONTENT)
    unknown = KeptModel("fit", DIGEST, "fit.json", CONTENT)
    task = dataclasses.replace(python_task(), models=(unknown,))
    with office.region.database.reading() as session:
        assert kept.plans_behind(session, office.request(task)) == ()
        assert kept.plans_behind(session, office.request(python_task())) == ()


def behind(office: Office, plan: Plan) -> tuple[object, ...]:
    named = KeptModel("fit", plan.digest, "fit.json", CONTENT)
    request = office.request(dataclasses.replace(python_task(), models=(named,)))
    with office.region.database.reading() as session:
        return kept.plans_behind(session, request)

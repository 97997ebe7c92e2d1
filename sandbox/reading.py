"""Have a statement read in a checker box: one over one owner's relations, or a joint one over several owners'.

A check plan holds no key and no row: the statement and empty likenesses of the relations. It is made the same
way for the same question, so the launcher answers a repeated one from the record that it keeps.
"""

from __future__ import annotations

from plans import canonical, errors
from plans.box import BoxSpec, Entry, Limits, Outputs
from plans.decision import Tier
from plans.errors import EvidenceBroken
from plans.joint import JointReading
from plans.joint_shadows import JointShadow
from plans.plan import Plan, PlanKind
from plans.reading import Reading, Shadow
from plans.request import statement_digest
from plans.statements import StageRecord
from sandbox.client import LauncherClient


def check_plan(domain: str, image: str, limits: Limits, statement: str, shadows: tuple[Shadow, ...]) -> Plan:
    """Return the plan that has `statement` read; the same question gives the same plan."""
    ordered = sorted(shadows, key=lambda shadow: shadow.relation)
    material = canonical.encode({"statement": statement, "shadows": [shadow.plain() for shadow in ordered]})
    return _plan(domain, image, limits, material)


def check_joint_plan(
    domain: str, image: str, limits: Limits, statement: str, shadows: tuple[JointShadow, ...]
) -> Plan:
    """Return the plan that has a joint statement read; the same question gives the same plan."""
    ordered = sorted(shadows, key=lambda each: each.shadow.relation)
    material = canonical.encode({"joint": statement, "shadows": [shadow.plain() for shadow in ordered]})
    return _plan(domain, image, limits, material)


def _plan(domain: str, image: str, limits: Limits, material: bytes) -> Plan:
    nonce = canonical.digest_bytes("check-nonce", material).removeprefix("sha256:")[:32]
    box = BoxSpec(Entry.CHECK, image, (), limits, Tier.T1, outputs=Outputs(0))
    return Plan(
        kind=PlanKind.CHECK,
        domain=domain,
        request=None,
        request_signature="",
        decision=None,
        program=None,
        material=material.decode(),
        stages=(box,),
        nonce=nonce,
        made_at=0,
    )


def read_statement(launcher: LauncherClient, plan: Plan, statement: str) -> Reading:
    """Return what the two readers agree on.

    Raises:
        SqlSyntax, SqlUnsupported: the readers refuse the statement.
        BoxFailed: the checker box ended without an answer.
        EvidenceBroken: the answer is about another statement.
    """
    reading = Reading.read(_found(launcher, plan))
    _require_about(reading.statement, statement)
    return reading


def read_joint_statement(launcher: LauncherClient, plan: Plan, statement: str) -> JointReading:
    """Return what the two readers agree on about a joint statement; raises as `read_statement` does."""
    reading = JointReading.read(_found(launcher, plan))
    _require_about(reading.statement, statement)
    return reading


def _found(launcher: LauncherClient, plan: Plan) -> object:
    launcher.put(plan)
    result = launcher.run(plan.digest, Entry.CHECK, 1)
    record = StageRecord.read(result.record.statement.body)
    if "refused" in record.report:
        raise errors.from_problem(dict(record.report["refused"]))
    if record.plan != plan.digest:
        raise EvidenceBroken("the checker box answered about another statement", "checker box")
    return record.report.get("reading")


def _require_about(found: str, statement: str) -> None:
    if found != statement_digest(statement):
        raise EvidenceBroken("the checker box answered about another statement", "checker box")

"""What a keeper asks of a launcher's signed statements. Pure: values in, a verified body out, or an error."""

from __future__ import annotations

from keeper.trust import TrustedSet
from keys import api as keys
from plans.errors import HashMismatch, Outdated, SignatureWrong
from plans.plan import Plan
from plans.statements import BoxStatement, Duty, Signed, StageRecord, Statement, Type
from plans.verdict import Finding, Verdict
from policies import api as policies


def require_box(
    trusted: TrustedSet, signed: Signed, plan: Plan, challenge: str | None, now: int
) -> BoxStatement:
    """Return a box statement that one of our launchers made for exactly this plan, just now.

    Raises:
        SignatureWrong: the signer is no launcher of the roster, or the key was swapped on the way (77).
        Outdated: it expired, or does not answer a challenge that is open (a replay).
        HashMismatch: it is about another plan, box, image or input.
    """
    statement = _from_launcher(trusted, signed, Type.BOX)
    if not now < statement.not_after <= now + 600:
        raise Outdated("the box statement has expired, or claims to hold too long", "box statement")
    box = BoxStatement.read(statement.body)
    if challenge is None or box.challenge != challenge:
        raise Outdated("the box statement answers no open challenge", "box statement")
    spec = plan.stage(box.stage)
    if (box.plan, box.spec, box.image) != (plan.digest, spec.digest, spec.image):
        raise HashMismatch("the box was not built from this plan", "box statement")
    if box.tier.level < spec.tier.level:
        raise HashMismatch("the box has a lower tier than its plan asks for", "box statement")
    planned = {item.name: item.sha256 for item in spec.inputs}
    if [item.name for item in box.inputs] != list(planned):
        raise HashMismatch("the box was given other inputs than its plan names", "box statement")
    if any(planned[item.name] not in ("", item.sha256) for item in box.inputs):
        raise HashMismatch("an input of the box is not the file that the plan names", "box statement")
    return box


def require_chain(trusted: TrustedSet, signed: tuple[Signed, ...], plan: Plan) -> tuple[Verdict, int]:
    """Return the verdict and attempt of a plan's stages, each fed with what the one before wrote.

    Raises:
        SignatureWrong: a record was not made by one of our launchers.
        HashMismatch: the records do not form this plan's chain.
    """
    records = [require_record(trusted, item) for item in signed]
    stages = [spec.entry for spec in plan.stages]
    if [record.stage for record in records] != stages:
        raise HashMismatch(f"the records are not those of {', '.join(stages)}", "stage records")
    judge = records[-1]
    if {(record.plan, record.attempt) for record in records} != {(plan.digest, judge.attempt)}:
        raise HashMismatch("the records are about another plan or attempt", "stage records")
    wrote: dict[str, str] = {}
    for record in records:
        planned = {item.name: item.sha256 or wrote.get(item.name) for item in plan.stage(record.stage).inputs}
        if {item.name: item.sha256 for item in record.inputs} != planned:
            raise HashMismatch(
                f"the {record.stage} box did not read the files that the plan names, or what the boxes before it wrote",
                "stage records",
            )
        wrote |= {item.name: item.sha256 for item in record.outputs}
    verdict = Verdict.read(judge.report.get("verdict"))
    left = {item.name: item.sha256 for item in judge.outputs}
    if verdict.plan != plan.digest or not _left_as_judged(left, verdict):
        raise HashMismatch("the verdict is about another output", "stage records")
    return verdict, judge.attempt


def _left_as_judged(left: dict[str, str], verdict: Verdict) -> bool:
    """Return whether the judging box left what its finding says, and its record or not, and nothing else."""
    for_recipient = set(left) - {policies.RECORD}
    if verdict.finding is Finding.REFUSED:
        return not for_recipient
    if verdict.finding is Finding.HELD:
        return for_recipient == {policies.HELD, policies.SHOWN}
    return for_recipient == {policies.SEALED} and left[policies.SEALED] == verdict.sealed


def require_record(trusted: TrustedSet, signed: Signed) -> StageRecord:
    """Return a record that one of our launchers made; whoever answers at its socket is not believed without.

    Raises:
        SignatureWrong: the signer is no launcher of the roster.
    """
    return StageRecord.read(_from_launcher(trusted, signed, Type.STAGE).body)


def _from_launcher(trusted: TrustedSet, signed: Signed, kind: Type) -> Statement:
    statement = keys.verify(signed)
    known = trusted.roster is not None and trusted.roster.holds(statement.signer, Duty.LAUNCHER)
    if statement.type is not kind or statement.duty is not Duty.LAUNCHER or not known:
        raise SignatureWrong("the signer is not a launcher of this owner's roster", f"{kind} statement")
    if statement.domain != trusted.domain:
        raise SignatureWrong("the statement is about another domain", f"{kind} statement")
    return statement

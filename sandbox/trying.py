"""Have a member's folder tried on made-up tables (`plans.trial`).

A trial plan holds no key and no row. The same trial gives the same plan, so the launcher runs it once and answers from
its record ever after: what a failure on data is compared with (`sandbox.telling.told`) cannot be drawn again.
"""

from __future__ import annotations

from dataclasses import dataclass

from plans import canonical
from plans.box import BoxSpec, Entry, Limits, Outputs
from plans.decision import Tier
from plans.errors import EvidenceBroken
from plans.plan import Plan, PlanKind
from plans.statements import StageRecord
from plans.trial import Trial, TrialReport
from sandbox.client import LauncherClient
from sandbox.telling import Tried


@dataclass(frozen=True, slots=True)
class Bench:
    """Where trials run: whose launcher, in which image, under which limits, at which tier; those of the job to come."""

    domain: str
    image: str
    limits: Limits
    tier: Tier = Tier.T1


def trial_plan(bench: Bench, trial: Trial) -> Plan:
    """Return the plan that has a folder tried; the same trial on the same bench gives the same plan."""
    material = trial.canonical()
    nonce = canonical.digest_bytes("trial-nonce", material).removeprefix("sha256:")[:32]
    box = BoxSpec(Entry.PYTHON, bench.image, (), bench.limits, bench.tier, outputs=Outputs(0))
    return Plan(
        kind=PlanKind.TRIAL,
        domain=bench.domain,
        request=None,
        request_signature="",
        decision=None,
        program=None,
        material=material.decode(),
        stages=(box,),
        nonce=nonce,
        made_at=0,
    )


def try_out(launcher: LauncherClient, bench: Bench, trial: Trial) -> Tried:
    """Return what came of a trial, from the launcher's record if it ran before.

    Raises:
        BoxLimit, BoxFailed: the box ended without a report.
        EvidenceBroken: the answer is about another plan.
        Malformed: the report is none.
    """
    plan = trial_plan(bench, trial)
    launcher.put(plan)
    record = StageRecord.read(launcher.run(plan.digest, Entry.PYTHON, 1).record.statement.body)
    if record.plan != plan.digest or record.outputs:
        raise EvidenceBroken("the launcher answered about another trial", "trial")
    return Tried(trial.digest, TrialReport.read(dict(record.report)))

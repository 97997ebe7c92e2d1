"""Where plans meet the ledger: which box's keys wait for it, and what it reads of what earlier boxes left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keeper.keyring import Keyring
from keeper.ledger import Ledger, Withheld, without_sets
from keeper.ledger_case import BITS, CELLS, Case, concerns, counting_stage
from keeper.ledger_quota import Quota
from keeper.trust import TrustedSet
from keys import api as keys
from plans import sets as plan_sets
from plans.artifacts import Form
from plans.box import Entry
from plans.errors import NotFound, StateConflict
from plans.handover import handover_of, unpadded
from plans.inspection import Inspection
from plans.manifest import Kind
from plans.plan import Plan, PlanKind
from plans.sets import Sets
from plans.statements import BoxStatement
from plans.tasks import task_of
from plans.verdict import Finding
from policies import api as policies
from sandbox import api as sandbox

MOST_ATTEMPTS = 100
"""How many attempts at a stage a launcher makes at the most (`sandbox.shelf`)."""

_JUDGING = (Entry.JUDGE, Entry.INSPECT)

BIT_BUDGET = "bit-budget"
"""The rule under which the inspecting box says in its record how many bits leave, as the number `bits`."""


def opened_sets(home: Path, keyring: Keyring, plan: Plan, box: BoxStatement) -> tuple[Sets, ...] | None:
    """Return the sets that an earlier box of this plan and attempt left, or none if they are not there.

    The file opens only under the key of this plan and attempt, which the keeper gave to the counting box alone.

    Raises:
        EvidenceBroken: it is not what that box wrote.
    """
    name = sandbox.StageName(plan.digest, counting_stage(plan), box.attempt)
    content = _opened(home, keyring, name, policies.SETS)
    return None if content is None else plan_sets.unpack(content)


def kept_back(
    ledger: Ledger,
    case: Case | None,
    work: tuple[Plan, BoxStatement],
    found: tuple[Path, Keyring],
    now: int,
) -> Withheld:
    """Return the rows that the weighing box keeps back; what leaves is charged or reserved before its keys are given.

    Raises:
        BudgetSpent: there is no room for it.
        PolicyDenied: nobody knows which persons are behind it.
    """
    plan, box = work
    if case is None:
        return ()
    home, keyring = found
    if box.stage is plan.reads_data:
        ledger.begin(case, box.attempt, now)
        return ()
    if plan.kind is PlanKind.PYTHON:
        _close_refused(ledger, home, keyring)
        obligations = plan.decision.obligations if plan.decision else None
        ledger.reserve(case, box.attempt, obligations.checks.code_bits if obligations else 0, now)
        return ()
    sets = opened_sets(home, keyring, plan, box)
    if sets is None or len(sets) != _tables(plan):
        raise without_sets()
    return ledger.weigh(case, box.attempt, sets, now)


def require_weighed(ledger: Ledger, plan: Plan) -> None:
    """Check that what leaves was weighed; no key was given to the box that judges without, so this never fails alone.

    Raises:
        StateConflict: it was not.
    """
    if concerns(plan) and not ledger.may_leave(plan.digest):
        raise StateConflict(
            "the disclosure ledger never weighed what would leave", plan.digest[:19], "Submit the job again."
        )


def _close_refused(ledger: Ledger, home: Path, keyring: Keyring) -> None:
    """Give back what was reserved for outputs that the inspecting box has refused by now."""
    for page in ledger.reserved():
        try:
            refused = record_of(home, keyring, page.plan, page.attempt).finding is Finding.REFUSED
        except NotFound:
            continue
        if refused:
            ledger.close(page.plan)


def _tables(plan: Plan) -> int:
    """Return how many tables of sets a plan's counting box leaves: a model is a table of one row."""
    if plan.kind is PlanKind.SQL or plan.request is None:
        return len(plan.program.tables) if plan.program else 0
    return sum(each.form in (Form.TABLE, Form.MODEL) for each in task_of(plan.request).artifacts)


def require_room(ledger: Ledger, case: Case | None, now: int) -> None:
    """Check that there is room for the least answer, before any box has a key of the data; raises `BudgetSpent`."""
    if case is not None:
        ledger.require_room(case, now)


def record_of(home: Path, keyring: Keyring, plan: str, attempt: int = 0) -> Inspection:
    """Return every rule that was applied to a plan's output, with its numbers; of the newest attempt if 0.

    Raises:
        NotFound: the launcher's folder has no record of this plan (any more).
        EvidenceBroken: it is not what the judging box wrote.
    """
    for number in [attempt] if attempt else range(MOST_ATTEMPTS, 0, -1):
        for stage in _JUDGING:
            content = _opened(home, keyring, sandbox.StageName(plan, stage, number), policies.RECORD)
            if content is not None:
                return Inspection.decode(content)
    raise NotFound(
        "there is no record of this plan's inspection here",
        plan[:19],
        "Launchers keep records for 30 days; those of held outputs stay until they are settled.",
    )


def bits_of(home: Path, keyring: Keyring, plan: Plan, attempt: int) -> int | None:
    """Return how many bits of members' code leave, as the inspecting box has measured them; none if it did not say."""
    if plan.kind is not PlanKind.PYTHON:
        return None
    try:
        record = record_of(home, keyring, plan.digest, attempt)
    except NotFound:
        return None
    found = [each.numbers.get("bits") for each in record.applied if each.rule == BIT_BUDGET]
    return found[0] if len(found) == 1 and isinstance(found[0], int) else None


def status(ledger: Ledger, trusted: TrustedSet, now: int) -> list[dict[str, Any]]:
    """Return for every dataset what is left of its quotas, and how much the ledger keeps about it: for the owner."""
    _, bundle = trusted.in_force()
    found = []
    for manifest in trusted.current_manifests():
        policy = bundle.policy(manifest.dataset)
        if policy is None or not manifest.about_persons:
            continue
        checks = policy.checks
        columns = [c.name for c in manifest.columns if c.kind is Kind.SENSITIVE]
        cells = checks.cells_of(manifest.persons)
        quotas = [Quota(f"{CELLS}/{manifest.relation}.{c}", cells, checks.period_days) for c in columns]
        quotas.append(Quota(f"{BITS}/{manifest.dataset}", checks.code_bits_period, checks.period_days))
        found.append(
            {
                "dataset": manifest.dataset,
                "vectors": ledger.cells(manifest.dataset),
                "persons": manifest.persons,
                "cells": cells,
                "quotas": [_told(ledger, quota, now) for quota in quotas],
            }
        )
    return found


def _told(ledger: Ledger, quota: Quota, now: int) -> dict[str, Any]:
    room = ledger.room(quota, "", now)
    return {
        "subject": quota.subject,
        "amount": quota.amount,
        "days": quota.days,
        "left": room.left,
        "renews": room.renews,
    }


def _opened(home: Path, keyring: Keyring, name: sandbox.StageName, file: str) -> bytes | None:
    try:
        with sandbox.open_output(home, name, file) as source:
            sealed = source.read()
    except NotFound:
        return None
    key = keyring.stage_key(name.plan, name.attempt, file)
    return unpadded(keys.decrypt(key, sealed, handover_of(name.plan, name.attempt, file)))

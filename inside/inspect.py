"""The box that judges a job's outputs: a fresh process, which reads what the re-encoding box wrote as untrusted bytes.

It leaves `release.bin`, sealed to the recipient, only if something leaves at once; `held.bin` (the same sealed
bytes, under a key that only the owner's keeper can make again) and `shown.bin` (what reviewers read) if people have
to look; and always `record.bin`, every rule with its numbers, for the owner. The report holds the verdict:
commitments and rule classes.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from airlock.outputs import values
from airlock.outputs.ground import Ground
from airlock.outputs.judging import Judged, judge_outputs
from airlock.rules import Stamp
from inside.checked_rows import tables
from inside.session import Session
from keys import sealing
from plans import canonical
from plans.errors import Malformed
from plans.handover import ARTIFACTS, HELD, RECORD, SEALED, SHOWN
from plans.plan import Plan
from plans.release import RELEASE_INFO
from plans.tasks import PythonTask, task_of
from plans.verdict import Finding, Verdict


def run(session: Session) -> dict[str, Any]:
    """Judge, seal, report.

    Where a model is among the outputs the reloading box streams the rows: by them it is checked (`airlock.models`).

    Raises:
        BoxFailure: `inspect.rows` where these rows did not come to their end.
        OutputRefused: the bytes are not outputs in the form of `airlock.outputs.values`.
        Malformed: the plan has no recipient, task or obligations; then nothing leaves.
    """
    plan = session.plan
    if plan.request is None or plan.decision is None or plan.decision.obligations is None:
        raise Malformed("a plan without a recipient and obligations lets nothing leave", "plan")
    task = task_of(plan.request)
    data = session.read(ARTIFACTS)
    handed = values.read(data, task.artifacts)
    ground = Ground(plan.decision.obligations, isinstance(task, PythonTask), tables(session))
    stamp = Stamp(plan.digest, secrets.token_hex(16))
    judged = judge_outputs(handed, task.artifacts, ground, stamp, session.keys.withheld)
    sealed = _seal(judged, plan, plan.request.recipient)
    _leave(session, judged, sealed)
    return {"verdict": _verdict(plan, judged, data, sealed).plain()}


def _seal(judged: Judged, plan: Plan, recipient: str) -> bytes:
    if judged.released is None:
        return b""
    return sealing.seal(recipient, judged.released.canonical(), RELEASE_INFO, plan.digest.encode())


def _leave(session: Session, judged: Judged, sealed: bytes) -> None:
    """Write what the finding lets leave. A held output is readable by reviewers alone, and not yet by its recipient."""
    session.write(RECORD, judged.record.canonical())
    if judged.finding is Finding.HELD and judged.released is not None:
        session.write(HELD, sealed)
        session.write(SHOWN, judged.released.canonical())
    elif sealed:
        (session.out / SEALED).write_bytes(sealed)


def _verdict(plan: Plan, judged: Judged, data: bytes, sealed: bytes) -> Verdict:
    return Verdict(
        plan=plan.digest,
        finding=judged.finding,
        reasons=judged.reasons,
        judged=canonical.digest_bytes("artifacts", data),
        content=judged.released.digest if judged.released else "",
        sealed="sha256:" + hashlib.sha256(sealed).hexdigest() if sealed else "",
    )

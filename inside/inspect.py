"""The box that judges a job's outputs: a fresh process, which reads what the re-encoding box wrote as untrusted bytes.

What it leaves, and for whom, is the same for every kind of output (`inside.vouching`).
"""

from __future__ import annotations

import secrets
from typing import Any

from airlock.outputs import values
from airlock.outputs.ground import Ground
from airlock.outputs.judging import judge_outputs
from airlock.rules import Stamp
from inside.checked_rows import tables
from inside.session import Session
from inside.vouching import Judged, vouch
from plans import canonical
from plans.errors import Malformed
from plans.handover import ARTIFACTS
from plans.tasks import PythonTask, task_of


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
    digest = canonical.digest_bytes("artifacts", data)
    return vouch(session, Judged(digest, judged.reasons, judged.released, judged.record))

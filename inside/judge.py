"""The judge box: a fresh process that judges the re-encoded table and seals what leaves to its recipient.

It writes one file, `release.bin`, only if something leaves. The report holds the verdict: commitments and
rule classes, no value and no number of the data.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from airlock.rules import Judgement, Stamp, judge
from inside.parse import TABLE
from inside.session import Session
from inside.table import read_table
from keys import sealing
from plans import canonical
from plans.errors import Malformed
from plans.plan import Plan
from plans.release import RELEASE_INFO
from plans.verdict import Verdict

SEALED = "release.bin"


def run(session: Session) -> dict[str, Any]:
    """Judge, seal, report.

    Raises:
        OutputRefused: the table is not one that the parse box writes.
        Malformed: the plan has no recipient, program or obligations; then nothing leaves.
    """
    plan, data = session.plan, session.read(TABLE)
    if plan.request is None or plan.program is None or plan.decision is None or not plan.decision.obligations:
        raise Malformed("a plan without a recipient, a program and obligations lets nothing leave", "plan")
    found = read_table(data, plan.program.tables[0], salted=True)
    stamp = Stamp(plan.digest, secrets.token_hex(16))
    judgement = judge(found.table, plan.program, plan.decision.obligations, stamp)
    sealed = _seal(judgement, plan, plan.request.recipient)
    if sealed:
        (session.out / SEALED).write_bytes(sealed)
    return {"verdict": _verdict(plan, judgement, data, sealed).plain()}


def _seal(judgement: Judgement, plan: Plan, recipient: str) -> bytes:
    """Return the released bytes sealed to the recipient and bound to the plan, or nothing when refused."""
    if judgement.released is None:
        return b""
    return sealing.seal(recipient, judgement.released.canonical(), RELEASE_INFO, plan.digest.encode())


def _verdict(plan: Plan, judgement: Judgement, judged: bytes, sealed: bytes) -> Verdict:
    return Verdict(
        plan=plan.digest,
        finding=judgement.finding,
        reasons=judgement.reasons,
        judged=canonical.digest_bytes("table", judged),
        content=judgement.released.digest if judgement.released else "",
        sealed="sha256:" + hashlib.sha256(sealed).hexdigest() if sealed else "",
    )

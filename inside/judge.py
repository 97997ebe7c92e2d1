"""The judge box: a fresh process that judges an answer and seals what leaves to its recipient.

It reads the one table that the parse box re-encoded, or the one that a finish box computed from protected ones.
Both are untrusted bytes to it. To what it judged it commits by a digest over bytes with a salt in them.

It writes one file, `release.bin`, only if something leaves; of an output that people must look at first it writes the
sealed bytes and what reviewers read under the owner's keys instead. For the owner alone it writes a record of every
rule with its numbers (`plans.inspection`). The report holds the verdict: commitments and
rule classes, no value and no number of the data.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from airlock.private import answer
from airlock.rules import Judgement, Stamp, Table, judge
from inside import private
from inside.session import Session
from inside.table import Bare, read_tables
from keys import sealing
from plans import canonical
from plans.decision import Obligations
from plans.errors import Malformed
from plans.handover import FINISHED, HELD, RECORD, SEALED, SHOWN, TABLE
from plans.inspection import Inspection
from plans.plan import Plan, Program
from plans.release import RELEASE_INFO
from plans.verdict import Finding, Verdict


def run(session: Session) -> dict[str, Any]:
    """Judge, seal, report.

    Raises:
        OutputRefused: the bytes are not the program's one table, in the form of `inside.table`.
        Malformed: the plan has no recipient, program or obligations; then nothing leaves.
    """
    plan = session.plan
    if plan.request is None or plan.program is None or plan.decision is None or not plan.decision.obligations:
        raise Malformed("a plan without a recipient, a program and obligations lets nothing leave", "plan")
    data = session.read(FINISHED if plan.program.finish else TABLE)
    forms = [Bare(plan.program.outputs)] if plan.program.finish else private.forms(plan.program)
    (table,) = read_tables(data, forms, salted=True).tables
    stamp = Stamp(plan.digest, secrets.token_hex(16))
    obligations = plan.decision.obligations
    if plan.program.private is None:
        withheld = next(iter(session.keys.withheld), ()) if not plan.program.finish else ()
        judgement = judge(table, plan.program, obligations, stamp, withheld)
    else:
        judgement = _with_noise(table, plan.program, obligations, stamp)
    sealed = _seal(judgement, plan, plan.request.recipient)
    _leave(session, judgement, sealed)
    if RECORD in session.keys.outputs:
        record = Inspection(plan.digest, judgement.finding, obligations.checks.preset, judgement.applied)
        session.write(RECORD, record.canonical())
    return {"verdict": _verdict(plan, judgement, data, sealed).plain()}


def _leave(session: Session, judgement: Judgement, sealed: bytes) -> None:
    """Write what leaves; of a held output both forms go to the owner alone, under keys that only the keeper makes."""
    if judgement.released is None:
        return
    if judgement.finding is Finding.HELD:
        session.write(HELD, sealed)
        session.write(SHOWN, judgement.released.canonical())
    else:
        (session.out / SEALED).write_bytes(sealed)


def _with_noise(table: Table, program: Program, obligations: Obligations, stamp: Stamp) -> Judgement:
    """Return the judgement about bounded sums, once the noise is on them."""
    from inside import noise  # its library is large, and no other answer needs it

    if program.private is None:
        raise Malformed("this program is not private", "program.private")
    noise.require_price(program.private)
    return answer(table, program, obligations, stamp, noise.noise)


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

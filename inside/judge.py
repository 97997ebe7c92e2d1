"""The judge box: a fresh process that judges an answer and seals what leaves to its recipient.

It reads the one table that the parse box re-encoded, or the one that a finish box computed from protected ones.
Both are untrusted bytes to it. To what it judged it commits by a digest over bytes with a salt in them.

What it leaves, and for whom, is the same for every kind of output (`inside.vouching`).
"""

from __future__ import annotations

import secrets
from typing import Any

from airlock.private import answer
from airlock.rules import Judgement, Stamp, Table, judge
from inside import private
from inside.session import Session
from inside.table import Bare, read_tables
from inside.vouching import Judged, vouch
from plans import canonical
from plans.decision import Obligations
from plans.errors import Malformed
from plans.handover import FINISHED, TABLE
from plans.inspection import Inspection
from plans.plan import Program


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
    preset = obligations.checks.preset
    record = Inspection(plan.digest, judgement.finding, preset, judgement.applied)
    digest = canonical.digest_bytes("table", data)
    return vouch(session, Judged(digest, judgement.reasons, judgement.released, record))


def _with_noise(table: Table, program: Program, obligations: Obligations, stamp: Stamp) -> Judgement:
    """Return the judgement about bounded sums, once the noise is on them."""
    from inside import noise  # its library is large, and no other answer needs it

    if program.private is None:
        raise Malformed("this program is not private", "program.private")
    noise.require_price(program.private)
    return answer(table, program, obligations, stamp, noise.noise)

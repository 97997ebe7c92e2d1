"""How a judging box vouches for what it judged: what it leaves, for whom, and the verdict about it.

    release.bin   sealed to the recipient, if it leaves at once
    held.bin      the same sealed bytes if people have to look first, under a key of the owner's
    shown.bin     what these people read, under another
    record.bin    always: every rule with its numbers, for the owner alone

The last three lie under keys that only the owner's keeper can make again. The verdict commits to what was judged, and
holds rule classes, no value and no number of the data.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from inside.session import Session
from keys import sealing
from plans.artifacts import ReleasedSet
from plans.errors import Malformed
from plans.handover import HELD, RECORD, SEALED, SHOWN
from plans.inspection import Inspection
from plans.release import RELEASE_INFO
from plans.released import Released
from plans.verdict import Finding, Verdict


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found: the digest of the bytes that were judged, the reasons, what may leave (nothing when refused) and
    the record of it.
    """

    digest: str
    reasons: tuple[str, ...]
    released: Released | ReleasedSet | None
    record: Inspection


def vouch(session: Session, judged: Judged) -> dict[str, Any]:
    """Write what the finding lets leave, and return the report with the verdict.

    Raises:
        Malformed: the plan has no recipient; then nothing leaves.
    """
    plan, finding, released = session.plan, judged.record.finding, judged.released
    if plan.request is None:
        raise Malformed("a plan without a recipient lets nothing leave", "plan")
    session.write(RECORD, judged.record.canonical())
    sealed = b""
    if released is not None:
        content = released.canonical()
        sealed = sealing.seal(plan.request.recipient, content, RELEASE_INFO, plan.digest.encode())
        if finding is Finding.HELD:
            session.write(HELD, sealed)
            session.write(SHOWN, content)
        else:
            (session.out / SEALED).write_bytes(sealed)
    verdict = Verdict(
        plan=plan.digest,
        finding=finding,
        reasons=judged.reasons,
        judged=judged.digest,
        content=released.digest if released else "",
        sealed="sha256:" + hashlib.sha256(sealed).hexdigest() if sealed else "",
    )
    return {"verdict": verdict.plain()}

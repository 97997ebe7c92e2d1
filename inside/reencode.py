"""The box that reads what a job left, believes none of it, and writes values and nothing else.

The job's box ran code of members, or large libraries over data; this one runs parsers. A file that would exploit a
parser meets it here, where there is nothing to gain; the box that judges never sees the bytes of the job (ATTACKS
94).
"""

from __future__ import annotations

import secrets
from typing import Any

from airlock.outputs import values
from airlock.outputs.reading import read_outputs
from inside import leavings
from inside.session import Session
from plans.errors import Malformed
from plans.handover import ARTIFACTS, OUTPUT
from plans.tasks import ComponentTask, task_of


def run(session: Session) -> dict[str, Any]:
    """Read and write again, under a fresh salt, so that the next box can commit to it; the report says nothing
    about it.

    What cannot be read is handed on as a refusal: whoever asked then reads a rule, as of every other refusal.

    Raises:
        OutputRefused: the packed file is not one that a job's box writes.
        Malformed: the plan asks for no task, or a component says nonsense about its tables.
    """
    if session.plan.request is None:
        raise Malformed("a plan without a request declares no outputs", "plan.request")
    task = task_of(session.plan.request)
    files = leavings.unpack(session.read(OUTPUT))
    component = isinstance(task, ComponentTask)
    handed = read_outputs(files, task.artifacts, component, secrets.token_hex(16))
    session.write(ARTIFACTS, values.write(handed))
    return {}

"""The parse box: reads what the query box wrote, believes none of it, and writes it again in canonical form.

The query box ran a member's statement in a large engine; this one runs a small reader. A result that would
exploit a reader meets it here, where there is nothing to gain; the box that decides never sees the bytes of
the first (ATTACKS 94).
"""

from __future__ import annotations

import secrets
from typing import Any

from inside import private
from inside.session import Session
from inside.table import read_tables, write_tables
from plans.errors import Malformed
from plans.handover import RESULT, TABLE


def run(session: Session) -> dict[str, Any]:
    """Re-encode the result under a fresh salt, so that the judge can commit to it; the report says nothing
    about it.

    Raises:
        OutputRefused: the result does not hold the tables of the plan's program.
    """
    program = session.plan.program
    if program is None:
        raise Malformed("a plan without a program has no result", "plan.program")
    forms = private.forms(program)
    found = read_tables(session.read(RESULT), forms, salted=False)
    session.write(TABLE, write_tables(found.tables, forms, secrets.token_hex(16)))
    return {}

"""The protect box: turns tables of cells into tables with which a statement may compute whatever it likes.

The rules are the airlock's, the same that are applied to an answer (`airlock.rules`): groups of too few persons are
gone, as are rows that the owner's ledger keeps back, and figures are rounded or have no value. The numbers of
persons, and what they add to totals, stay here. This box is the only one that sees both sides, and it runs no
statement.
"""

from __future__ import annotations

import secrets
from typing import Any

from airlock.rules import protect, too_large
from inside.session import BoxFailure, Session
from inside.table import Bare, read_tables, write_tables
from plans.errors import Malformed
from plans.handover import PROTECTED, TABLE


def run(session: Session) -> dict[str, Any]:
    """Protect every table and hand all to the finish box; the report says nothing about them.

    Raises:
        OutputRefused: the tables are not ones that the parse box writes.
        BoxFailure: `protect.too-large` when what is left of a table is more than may leave at once; else a
            condition outside would take it out page after page.
        Malformed: the plan has no program or obligations; then nothing goes on.
    """
    program, decision = session.plan.program, session.plan.decision
    if program is None or decision is None or decision.obligations is None:
        raise Malformed("a plan without a program and obligations protects nothing", "plan")
    obligations = decision.obligations
    found = read_tables(session.read(TABLE), program.tables, salted=True)
    withheld = session.keys.withheld or ((),) * len(program.tables)
    protected = [
        protect(table, cells, obligations, back)
        for table, cells, back in zip(found.tables, program.tables, withheld, strict=True)
    ]
    if any(
        too_large(table.rows, cells.outputs, obligations)
        for table, cells in zip(protected, program.tables, strict=True)
    ):
        raise BoxFailure("protect.too-large")
    forms = [Bare(cells.outputs) for cells in program.tables]
    session.write(PROTECTED, write_tables(protected, forms, secrets.token_hex(16)))
    return {}

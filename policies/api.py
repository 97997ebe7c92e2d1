"""What other rooms use of `policies`."""

from __future__ import annotations

from policies.constraints import short
from policies.decide import Case, decide
from policies.derive import FINISHED, PROTECTED, RESULT, SEALED, TABLE, program, program_of, sql_boxes
from policies.grants import Granted, Grants
from policies.view import shadows

__all__ = [
    "FINISHED",
    "PROTECTED",
    "RESULT",
    "SEALED",
    "TABLE",
    "Case",
    "Granted",
    "Grants",
    "decide",
    "program",
    "program_of",
    "shadows",
    "short",
    "sql_boxes",
]

"""What other rooms use of `policies`."""

from __future__ import annotations

from policies.checking import Problem, problems
from policies.constraints import short
from policies.decide import Case, decide
from policies.derive import FINISHED, PROTECTED, RESULT, SEALED, TABLE, program, program_of, sql_boxes
from policies.grants import Granted, Grants
from policies.telling import access_line, constraint_line, settings_lines, tag_line
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
    "Problem",
    "access_line",
    "constraint_line",
    "decide",
    "problems",
    "program",
    "program_of",
    "settings_lines",
    "shadows",
    "short",
    "sql_boxes",
    "tag_line",
]

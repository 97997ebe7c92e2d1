"""What other rooms use of `policies`."""

from __future__ import annotations

from plans.handover import (
    ARTIFACTS,
    FINISHED,
    HELD,
    OUTPUT,
    PROTECTED,
    RECORD,
    RESULT,
    SEALED,
    SETS,
    SHOWN,
    TABLE,
)
from policies.checking import Problem, grant_problems, problems
from policies.columns import grade_of, grade_of_output
from policies.constraints import short
from policies.decide import ASKING_ROLES, Case, decide
from policies.derive import (
    WRITES,
    Furnishing,
    program,
    program_of,
    sql_boxes,
    work_boxes,
)
from policies.explain import Explanation, Line, Remedy, RemedyKind, explain
from policies.grants import Granted, Grants
from policies.joint import reading_of_model
from policies.kept import KeptPlan, models_left
from policies.private import SHARE as USUAL_SHARE
from policies.tasks import reading_of_task
from policies.telling import access_line, constraint_line, settings_lines, tag_line
from policies.view import View, shadows, views
from policies.vocabulary import Sort, Word, about, sentence

__all__ = [
    "ASKING_ROLES",
    "ARTIFACTS",
    "FINISHED",
    "HELD",
    "OUTPUT",
    "PROTECTED",
    "RECORD",
    "RESULT",
    "SEALED",
    "SETS",
    "SHOWN",
    "TABLE",
    "USUAL_SHARE",
    "WRITES",
    "Case",
    "Explanation",
    "Furnishing",
    "Granted",
    "Grants",
    "KeptPlan",
    "Line",
    "Problem",
    "Remedy",
    "RemedyKind",
    "Sort",
    "View",
    "Word",
    "about",
    "access_line",
    "constraint_line",
    "decide",
    "explain",
    "grade_of",
    "grade_of_output",
    "grant_problems",
    "models_left",
    "problems",
    "program",
    "program_of",
    "reading_of_model",
    "reading_of_task",
    "sentence",
    "settings_lines",
    "shadows",
    "short",
    "sql_boxes",
    "tag_line",
    "views",
    "work_boxes",
]

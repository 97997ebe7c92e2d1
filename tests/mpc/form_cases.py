"""What plans of every form are compiled from: inspected, one table in parts, ciphertexts, persons in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from plans.joint import MOST_HOLDERS, JointReading, JointTask
from plans.joint_rules import Matching, Opening
from tests.mpc.compile_cases import RULES, TASK, Asked
from tests.plans import joint_examples, joint_forms
from tests.plans.joint_forms import (
    CIPHERTEXTS,
    COMMON,
    COMMON_OF_TWO,
    COMMON_READING,
    COMMON_SQL,
    HEALTH,
    STACKED,
    STACKED_INSPECTED,
    STACKED_READING,
    TAX,
)
from tests.policies.joint_cases import INCOME, SCHOOL, VISITS, between, joint_shadow

EDU = "nm/edu"
ALL_RULES = replace(
    RULES, matchings=tuple(Matching), openings=tuple(Opening), ciphertexts=True, members=5_000
)
"""Terms that accept every form."""

WAGES = joint_shadow("health.wages", HEALTH, income=("DECIMAL(12,2)", between("0", "1000000")))
SHADOWS = (VISITS, INCOME, SCHOOL, WAGES)


def formed(task: JointTask, reading: JointReading | None = None, **changes: Any) -> Asked:
    """A task with what is read of it, under terms that accept it."""
    return Asked(**{"task": task, "reading": reading, "shadows": SHADOWS, "rules": ALL_RULES, **changes})


INSPECTED = replace(TASK, opening=Opening.INSPECTED, inspector=TAX)

SCHOOLS = joint_forms.portion_in_parts(EDU, "edu.pupils")
THREE_PARTS = joint_forms.stacked_reading(joint_forms.STACKED_SQL, (*STACKED_READING.portions, SCHOOLS))
THREE_REGISTERS = joint_forms.common_reading(COMMON_SQL, (*COMMON_READING.portions, SCHOOLS))

FORMS: Mapping[str, Asked] = {
    "inspected": formed(INSPECTED),
    "stacked": formed(STACKED, STACKED_READING),
    "stacked and inspected": formed(STACKED_INSPECTED, THREE_PARTS),
    "inspected by one of two": formed(STACKED_INSPECTED, STACKED_READING),
    "ciphertexts": formed(CIPHERTEXTS, THREE_PARTS),
    "common": formed(COMMON, THREE_REGISTERS),
    "common of two": formed(COMMON_OF_TWO, COMMON_READING),
}


def _largest() -> Asked:
    """As many holders of one table as there may be, and three servers that hold none of it."""
    names = [f"banner{place:02}" for place in range(MOST_HOLDERS)]
    servers = ("nm/civil", "nm/land", "nm/office")
    portions = tuple(joint_forms.portion_in_parts(f"nm/{name}", f"{name}.wages") for name in names)
    shadows = tuple(
        joint_shadow(each.relation, each.domain, income=("DECIMAL(12,2)", between("0", "1000000")))
        for each in portions
    )
    domains = (*(each.domain for each in portions), *servers)
    return replace(
        formed(
            replace(STACKED, servers=servers), joint_forms.stacked_reading(joint_forms.STACKED_SQL, portions)
        ),
        shadows=shadows,
        parties=tuple(joint_examples.party(domain, place) for place, domain in enumerate(domains)),
    )


LARGEST = _largest()

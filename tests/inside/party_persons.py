"""Joint plans that tell something of single persons: scores by another's model, and what another's register has."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from keys import sealing
from mpc.protocols.planning import reasons_of
from plans.joint import (
    Field,
    JointPlan,
    JointReading,
    JointTask,
    Portion,
    Scheme,
    Score,
    ScoreFunction,
    Shape,
)
from plans.joint_rules import Matching, Opening
from plans.request import statement_digest
from tests.inside.joint_cases import SQL, Files, Table, operand
from tests.inside.party_forms import CANARY, CIVIL, HEALTH, TAX, plan_of

BANK, OWN = HEALTH, HEALTH
"""Whose persons are scored, and looked up."""

KEY = sealing.OpeningKey.fresh()

# ------------------------------------------------------------------------------------------------------------- scores

_rng = random.Random(11)
APPLICANTS = [
    (str(int(CANARY) - 7 * n), Decimal(_rng.randrange(10_000_000)) / 100, _rng.randrange(18, 90))
    for n in range(50)
]
COEFFICIENTS = [-12_345, 73, -271]
"""The constant, of a yuan, of a year, in ten-thousandths."""

MODEL = Table(
    "tax.risk_model",
    dict.fromkeys(("base", "income", "age"), "DECIMAL(9,4)"),
    [(None, *(Decimal(number) / 10_000 for number in COEFFICIENTS))],
    key="",
)


def score_files(folder: Path, model: Table = MODEL, applicants: Any = APPLICANTS) -> dict[str, Files]:
    own = Table("bank.applicants", {"income": "DECIMAL(12,2)", "age": "INTEGER"}, applicants)
    return {BANK: Files(folder / "bank", own), TAX: Files(folder / "model", model)}


def scored(
    files: Mapping[str, Files],
    recipient: sealing.OpeningKey,
    function: ScoreFunction = ScoreFunction.LINEAR,
    decimals: int = 2,
    where: str = "",
) -> JointPlan:
    """Applicants of a bank by the model of the tax bureau, from income and age."""
    features = (operand('"income"', 0, 10**7, 2), operand('"age"', 0, 150))
    coefficients = tuple(operand(f'"{name}"', -99_999, 99_999, 4) for name in MODEL.columns)
    portions = (
        Portion(BANK, "bank.applicants", "id_number", where, (), features, "SELECT 1", 100),
        Portion(TAX, MODEL.relation, "", "", (), coefficients, "SELECT 1", 1),
    )
    score = Score("score", function, ((-1, 0), (0, 1), (1, 2)), decimals)
    asked = JointReading(statement_digest(SQL), portions, (), (), ("person", "score"), Shape.SCORED, score)
    return told(asked, Opening.SCORES, files, recipient, 100)


def scores_in_clear(decimals: int = 2) -> dict[str, str]:
    base, income, age = (Decimal(number) / 10_000 for number in COEFFICIENTS)
    step = Decimal(1).scaleb(-decimals)
    return {
        key: str((base + value * income + years * age).quantize(step, ROUND_HALF_UP))
        for key, value, years in APPLICANTS
    }


def probabilities_in_clear(decimals: int) -> dict[str, str]:
    exact = scores_in_clear(6)  # six decimals are all that terms with two and four have
    return {key: f"{1 / (1 + math.exp(-float(score))):.{decimals}f}" for key, score in exact.items()}


# ------------------------------------------------------------------------------------------------------------ lookups

REGISTER = Table(
    "civil.register",
    {"region": "VARCHAR", "status": "VARCHAR", "note": "VARCHAR"},
    [
        (str(int(CANARY) - 7 * n), ("east", "west")[n % 2], f"status-{n}", None if n % 3 else f"注{n}")
        for n in range(80)
    ],
)
FIELDS = (
    Field("place", "region", "VARCHAR", 8),
    Field("status", "status", "VARCHAR", 12),
    Field("note", "note", "VARCHAR", 64),
)
CASES = [
    *((str(int(CANARY) - 7 * n), 17 if n in (3, 30, 79) else 18) for n in range(60, 90)),
    (str(int(CANARY) + 5), 17),
    (str(int(CANARY) - 7 * 3), 17),
    (str(int(CANARY) - 7 * 30), 17),
]
"""Persons of cases; of the one with the number 17 one is not in the register."""

ASKED = sum(case == 17 for _, case in CASES)


def lookup_files(folder: Path, register: Table = REGISTER, cases: Any = CASES) -> dict[str, Files]:
    own = Table("court.cases", {"case_no": "INTEGER"}, cases)
    return {OWN: Files(folder / "cases", own), CIVIL: Files(folder / "register", register)}


def looked_up(
    files: Mapping[str, Files],
    recipient: sealing.OpeningKey,
    fields: tuple[Field, ...] = FIELDS,
    where: str = '"case_no" = 17',
    most: int = 6,
) -> JointPlan:
    """What the register has of the persons of one case, of whom there are at most so many."""
    portions = (
        Portion(OWN, "court.cases", "id_number", where, (), (), "SELECT 1", most),
        Portion(CIVIL, "civil.register", "id_number", "", (), (), "SELECT 1", 100, fields),
    )
    outputs = ("person", *(field.name for field in fields))
    asked = JointReading(statement_digest(SQL), portions, (), (), outputs, Shape.LOOKUP)
    return told(asked, Opening.RECORDS, files, recipient, most)


def records_in_clear() -> list[tuple[str | None, ...]]:
    register = {row[0]: row[1:] for row in REGISTER.rows}
    absent = (None,) * len(FIELDS)
    asked = sorted(key for key, case in CASES if case == 17)
    return [(key, *register.get(key, absent)) for key in asked]


def told(
    asked: JointReading,
    opening: Opening,
    files: Mapping[str, Files],
    recipient: sealing.OpeningKey,
    matched: int,
) -> JointPlan:
    """The plan of a reading, for the owner of its first portion."""
    finder = asked.portions[0].domain
    task = JointTask(SQL, Matching.NONE, opening, (), finder=finder)
    scheme = Scheme(64, matched, 10, 100)
    return plan_of(asked, task, files, recipient, replace(scheme, reasons=reasons_of(task, asked)))

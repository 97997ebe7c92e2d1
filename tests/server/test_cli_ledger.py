"""What an owner reads of the ledger, as text."""

from __future__ import annotations

from plans.inspection import Applied, Effect, Inspection
from plans.verdict import Finding
from server.cli_ledger import record_lines, status_lines
from tests.keeper import house

QUOTA = {"subject": "cells/tax.income.income", "amount": 200, "days": 30, "left": 150, "renews": house.NOW}
LINEAGE = {"dataset": house.INCOME, "vectors": 12, "persons": 2_000, "cells": 200, "quotas": [QUOTA]}


def test_a_quota_is_told_with_the_day_from_which_there_is_more() -> None:
    text = "\n".join(status_lines([LINEAGE]))
    assert "150 of 200 left within 30 days, more from 2025-06-15" in text and "!" not in text


def test_a_quota_that_is_too_large_for_its_lineage_is_pointed_out() -> None:
    text = "\n".join(status_lines([LINEAGE | {"persons": 1_990}]))
    assert "! unsafe_exact_cells: more than 199, one for ten persons, bounds little" in text


def test_every_rule_is_told_with_its_numbers() -> None:
    found = Inspection(
        house.digest("p"), Finding.PASS, "region", (Applied("ledger", "t", Effect.WITHHELD, 2, {"rows": 2}),)
    )
    assert [line.split() for line in record_lines(found)][1] == ["withheld", "ledger", "t", "rows", "2"]

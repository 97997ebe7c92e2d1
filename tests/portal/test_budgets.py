"""What a member is told of what is left: their own grants and jobs, and rules; never what others did."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from plans.checks import Mode, Privacy
from plans.statements import Bundle, Revocation, Type
from portal import budgets
from store import api as store
from tests.drawn import without_drawn
from tests.keeper.house import INCOME_POLICY
from tests.portal.region import (
    DATASET,
    OWNER,
    Region,
    grant_of,
    let_wait,
    release,
    request_of,
    signed_by,
    submission,
    wish,
)
from tests.portal.test_rule_pages import offer_bundle

SignedIn = Callable[..., TestClient]
MEI, LIN, BO = "mei@nm/centre", "lin@nm/centre", "bo@nm/tax"


def granted(region: Region, signed_in: SignedIn, name: str = MEI) -> str:
    application = signed_in(name).post("/api/v1/applications", json=wish()).json()
    signed = signed_by(region, BO, Type.GRANT, grant_of(region, application))
    answer = signed_in(BO).post(
        "/api/v1/statements", json={"signed": signed.plain(), "application": application["id"]}
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["digest"])


def told(signed_in: SignedIn, name: str = MEI) -> dict:
    answer = signed_in(name, "catalog", "jobs").get("/api/v1/budgets")
    assert answer.status_code == 200, answer.text
    return answer.json()


def run_under(region: Region, signed_in: SignedIn, grant: str, name: str = MEI) -> str:
    job = signed_in(name).post("/api/v1/jobs", json=submission(region, request_of(region, name))).json()["id"]
    with region.database.session() as session:
        decision = json.dumps({"grants": [grant]})
        assert store.jobs.move(session, job, "submitted", "queued", domain=OWNER, decision=decision)
        assert store.jobs.move(session, job, "queued", "running")
    return str(job)


def test_without_grants_there_is_the_place_for_jobs_alone(signed_in: SignedIn) -> None:
    assert told(signed_in) == {"jobs": {"active": 0, "most": 20}, "grants": []}


def test_uses_and_places_are_counted_of_ones_own_alone(region: Region, signed_in: SignedIn) -> None:
    mine, lins = granted(region, signed_in), granted(region, signed_in, LIN)
    run_under(region, signed_in, mine)
    for _ in range(2):
        run_under(region, signed_in, lins, LIN)
    found = told(signed_in)
    (grant,) = found["grants"]
    assert (grant["dataset"], grant["project"], grant["columns"]) == (
        DATASET,
        "housing",
        ["region", "income"],
    )
    assert (grant["uses"], grant["uses_left"], found["jobs"]["active"]) == (10, 9, 1)
    assert told(signed_in, LIN)["grants"][0]["uses_left"] == 8


def test_a_job_that_only_waits_has_used_nothing_and_one_that_ended_takes_no_place(
    region: Region, signed_in: SignedIn
) -> None:
    granted(region, signed_in)
    ids = [
        signed_in(MEI).post("/api/v1/jobs", json=submission(region, request_of(region, MEI))).json()["id"]
        for _ in range(2)
    ]
    let_wait(region, ids[0])
    release(region, ids[1])
    found = told(signed_in)
    assert found["jobs"]["active"] == 1 and found["grants"][0]["uses_left"] == 10


def test_a_grant_that_was_revoked_is_gone(region: Region, signed_in: SignedIn) -> None:
    digest = granted(region, signed_in)
    signed = signed_by(region, BO, Type.REVOCATION, Revocation(digest))
    assert (
        signed_in(BO)
        .post("/api/v1/statements", json={"signed": signed.plain(), "application": None})
        .status_code
        == 200
    )
    assert told(signed_in)["grants"] == []


def test_the_rules_are_told_and_what_is_left_of_them_is_not(region: Region, signed_in: SignedIn) -> None:
    """What is left of a quota or budget tells what others asked, so no number of it is here to be told."""
    granted(region, signed_in)
    offer_bundle(region, Bundle(OWNER, 1, (INCOME_POLICY,)))
    (grant,) = told(signed_in)["grants"]
    checks = INCOME_POLICY.checks
    assert grant["mode"] == "rules" and grant["private"] is None
    assert grant["exact"] == {"cells": checks.exact_cells, "period_days": checks.period_days}


def test_of_a_private_budget_the_rule_and_ones_own_part_is_told(
    region: Region, signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant = granted(region, signed_in)
    private = replace(INCOME_POLICY, mode=Mode.PRIVATE, privacy=Privacy(1_000_000, 30))
    offer_bundle(region, Bundle(OWNER, 1, (private,)))
    expected = {"rho_micro": 1_000_000, "period_days": 30, "usual_price_micro": 50_000, "own_micro": 0}
    assert told(signed_in)["grants"][0]["private"] == expected
    for name, rho, dataset in ((MEI, 70_000, DATASET), (MEI, 1, "nm/tax/other"), (LIN, 400_000, DATASET)):
        job = run_under(region, signed_in, grant, name)
        plan = json.dumps({"program": {"private": {"rho_micro": rho, "datasets": [dataset]}}})
        with region.database.session() as session:
            assert store.jobs.move(session, job, "running", "running", plan=plan)
    assert told(signed_in)["grants"][0]["private"] == expected | {"own_micro": 70_000}
    assert told(signed_in)["grants"][0]["exact"] is None
    monkeypatch.setattr(budgets, "DAY_S", -1)  # as if the period were over
    assert told(signed_in)["grants"][0]["private"] == expected


@pytest.mark.parametrize("scopes", [("catalog",), ("jobs",), ("results",)])
def test_both_scopes_are_needed(signed_in: SignedIn, scopes: tuple[str, ...]) -> None:
    assert signed_in(MEI, *scopes).get("/api/v1/budgets").status_code == 403
    assert signed_in(BO).get("/api/v1/budgets").status_code == 403, "who asks for nothing has no budget"


def test_nothing_of_the_manifests_facts_is_told(region: Region, signed_in: SignedIn) -> None:
    granted(region, signed_in)
    answer = without_drawn(signed_in(MEI).get("/api/v1/budgets").text)
    assert DATASET in answer and not any(number in answer for number in ("800123", "800019", "4217"))

"""Pages that answer why, what would be shown, and which rules exist: to whom they answer, and that they escape."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from plans.impact import impact
from plans.statements import Bundle, Duty, Type
from portal.guards import HEADERS
from store import api as store
from tests.drawn import without_drawn
from tests.keeper.house import INCOME_POLICY
from tests.portal.region import (
    DATASET,
    OWNER,
    Region,
    let_wait,
    manifest,
    refuse,
    request_of,
    signed_by,
    submission,
)

SignedIn = Callable[..., TestClient]
MEI, LIN, BO, DAN = "mei@nm/centre", "lin@nm/uni", "bo@nm/tax", "dan@nm/health"


@pytest.fixture
def waiting(region: Region, signed_in: SignedIn) -> str:
    """A job of Mei's that waits for an approver."""
    number = submitted(region, signed_in)
    let_wait(region, number)
    return number


def submitted(region: Region, signed_in: SignedIn, **changes: str) -> str:
    body = submission(region, request_of(region, MEI, **changes))
    return str(signed_in(MEI).post("/api/v1/jobs", json=body).json()["id"])


def offer_bundle(region: Region, bundle: Bundle) -> None:
    """Put a bundle into the letter box, as the steward's command does."""
    signed = signed_by(region, BO, Type.BUNDLE, bundle, duty=Duty.STEWARD, not_after=0)
    statement = signed.statement
    text = signed.canonical().decode()
    row = store.StatementRow(statement.digest, "bundle", OWNER, statement.signer, statement.subject, text, 1)
    with region.database.session() as session:
        store.statements.add(session, row)


def test_a_denied_job_says_every_rule_and_what_would_help(region: Region, signed_in: SignedIn) -> None:
    number = submitted(region, signed_in)
    refuse(region, number)
    text = signed_in(MEI).get(f"/jobs/{number}").text
    assert "no-grant" in text and f"No grant on {DATASET} fits." in text
    assert f"darkroom apply {DATASET} --columns region" in text and "not enough" not in text


def test_a_job_that_waits_says_for_whom(signed_in: SignedIn, waiting: str) -> None:
    assert "an approver" in signed_in(MEI).get(f"/jobs/{waiting}").text
    assert waiting in signed_in(MEI).get("/jobs").text


def test_a_job_of_somebody_else_is_not_there(signed_in: SignedIn, waiting: str) -> None:
    for name in (BO, DAN):
        assert signed_in(name).get(f"/jobs/{waiting}").status_code in (403, 404)


def test_an_approver_reads_the_same_report_that_the_plan_gives(region: Region, signed_in: SignedIn) -> None:
    number = submitted(region, signed_in)
    plan = let_wait(region, number)
    answer = signed_in(BO).get(f"/approvals/{number}")
    assert answer.status_code == 200
    for line in impact(plan, (manifest(),)).lines:
        assert line.chinese in answer.text
    assert number in signed_in(BO).get("/approvals").text


def test_only_the_owners_approvers_read_it(signed_in: SignedIn, waiting: str) -> None:
    for name in (MEI, DAN):
        answer = signed_in(name).get(f"/approvals/{waiting}")
        assert answer.status_code in (403, 404) and "800123" not in without_drawn(answer.text)


def test_the_whole_manifest_goes_to_the_owners_approvers_alone(signed_in: SignedIn, waiting: str) -> None:
    """How many rows and persons there are is a fact about the data."""
    path = f"/api/v1/jobs/{waiting}/plan"
    assert signed_in(BO).get(path).json()["manifests"][0]["rows"] == 800_123
    own = signed_in(MEI).get(path)
    assert own.status_code == 200 and "manifests" not in own.json()
    assert "800123" not in without_drawn(own.text)


def test_the_rules_of_a_dataset_are_its_policy_in_words(region: Region, signed_in: SignedIn) -> None:
    assert "no policy" in signed_in(MEI).get(f"/rules/{DATASET}").text
    for number, minimum in ((2, 12), (1, 10)):
        policy = replace(INCOME_POLICY, minimum_group=minimum)
        offer_bundle(region, Bundle(OWNER, number, (policy,)))
    text = signed_in(MEI).get(f"/rules/{DATASET}").text
    assert "Bundle 2 of nm/tax" in text and "<dd>12</dd>" in text
    assert "allow avg(), sum(); reveals after-aggregation" in text and "may not be used" in text
    assert DATASET in signed_in(MEI).get("/rules").text


def facts(text: str) -> list[str]:
    """Numbers that the manifest tells of the rows; digits within a digest or a key are none."""
    return re.findall(r"(?<![0-9a-f])(?:800123|800019|4217)(?![0-9a-f])", text)


def test_rules_tell_no_fact_about_rows(region: Region, signed_in: SignedIn) -> None:
    offer_bundle(region, Bundle(OWNER, 1, (INCOME_POLICY,)))
    text = signed_in(MEI).get(f"/rules/{DATASET}").text
    assert not facts(text)


@pytest.mark.parametrize(
    "path", ["/jobs", "/jobs/x", "/approvals", "/approvals/x", "/rules", f"/rules/{DATASET}"]
)
def test_nobody_reads_them_without_signing_in(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 401


@pytest.mark.parametrize("path", ["/rules/nm/none", "/rules/<script>", "/jobs/none", "/approvals/none"])
def test_what_is_not_there_is_a_problem_and_no_page(signed_in: SignedIn, path: str) -> None:
    for name in (MEI, BO):
        answer = signed_in(name).get(path)
        assert answer.status_code in (403, 404, 422) and "text/html" not in answer.headers["content-type"]


def test_a_statement_is_shown_and_never_becomes_markup(region: Region, signed_in: SignedIn) -> None:
    number = submitted(region, signed_in, statement="select '<script>alert(1)</script>' from tax.income")
    let_wait(region, number)
    answer = signed_in(BO).get(f"/approvals/{number}")
    assert "<script" not in answer.text and "&lt;script&gt;" in answer.text
    for name, value in HEADERS.items():
        assert answer.headers[name] == value


def test_what_others_wrote_is_shown_in_the_order_in_which_it_runs(
    region: Region, signed_in: SignedIn
) -> None:
    written = "select count(*) as n\nfrom tax.income where region = '\u202e\u200b\x07东' -- \u2066"
    number = submitted(region, signed_in, statement=written)
    let_wait(region, number)
    text = signed_in(BO).get(f"/approvals/{number}").text
    assert not any(sign in text for sign in "\u202e\u200b\x07\u2066") and "\\u202e\\u200b\\x07东" in text
    assert "as n\nfrom" in text


def test_links_that_would_lead_to_an_error_are_left_out(signed_in: SignedIn) -> None:
    asker, approver = signed_in(MEI).get("/rules").text, signed_in(BO).get("/rules").text
    assert 'href="/jobs"' in asker and 'href="/approvals"' not in asker
    assert 'href="/approvals"' in approver and 'href="/jobs"' not in approver


def test_pages_change_nothing(signed_in: SignedIn, waiting: str) -> None:
    for path in ("/jobs", f"/jobs/{waiting}", "/approvals", f"/approvals/{waiting}", "/rules"):
        assert signed_in(BO).post(path).status_code in (403, 405)

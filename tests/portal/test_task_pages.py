"""Pages about tasks and twins: what a job reads and leaves, who looks at what is held, and of what a twin is made."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

from starlette.testclient import TestClient

from keys import api as keys
from plans.artifacts import Artifact, Form
from plans.decision import Decision, Obligations, Outcome, Tier
from plans.manifest import Manifest
from plans.request import RequestKind
from plans.statements import Duty, Signed, Type
from plans.tasks import ComponentTask, Need
from plans.trial import twin_of
from plans.twins import Making, Recipe, Twin
from plans.verdict import Finding
from store import api as store
from tests.portal.region import DATASET, DIGEST, OWNER, Region, request_of, submission

SignedIn = Callable[..., TestClient]
MEI = "mei@nm/centre"
TASK = ComponentTask(
    DIGEST,
    "describe",
    {"columns": ["income"], "by": "region"},
    (Need("tax.income", ("income", "region"), ("region",)),),
    (Artifact("summary.csv", Form.TABLE, persons="persons"),),
)


def held(region: Region, signed_in: SignedIn) -> str:
    request = replace(request_of(region, MEI, TASK.canonical().decode()), kind=RequestKind.COMPONENT)
    answer = signed_in(MEI).post("/api/v1/jobs", json=submission(region, request))
    number = str(answer.json()["id"])
    decided = Decision(Outcome.ALLOW, (), 1, 1, (DIGEST,), (), Obligations(10, 5, 1000, Tier.T1))
    changes = {"domain": OWNER, "plan_digest": DIGEST, "decision": decided.canonical().decode()}
    with region.database.session() as session:
        for before, after in itertools.pairwise(("submitted", "queued", "running", "inspecting", "held")):
            assert store.jobs.move(session, number, before, after, **changes)
    return number


def test_a_held_task_says_what_it_reads_and_leaves_and_who_looks_at_it(
    region: Region, signed_in: SignedIn
) -> None:
    text = signed_in(MEI).get(f"/jobs/{held(region, signed_in)}").text
    for part in (
        "describe",
        "by = region, columns = income",
        "tax.income",
        "income, region",
        "summary.csv",
        "2 reviewers of nm/tax",
        "审查员",
    ):
        assert part in text


def twin_signed_by(region: Region, key: keys.SigningKey) -> None:
    with region.database.session() as session:
        version = store.manifests.current(session, DATASET)
        assert version is not None
        manifest = Manifest.read(dict(Signed.decode(version.signed.encode()).statement.body))
        table = replace(twin_of(manifest), seed="ab" * 16)
        recipe = Recipe(DATASET, Making.DECLARED, 0, table)
        twin = Twin(manifest.version, version.digest, recipe, Finding.PASS, "")
        signed = keys.sign(keys.Draft(Type.TWIN, OWNER, Duty.KEEPER, twin), key)
        text = signed.canonical().decode()
        store.statements.add(
            session,
            store.StatementRow(signed.statement.digest, "twin", OWNER, key.public, version.digest, text, 1),
        )


def test_a_twin_is_shown_where_its_owners_keeper_signed_it_and_not_where_somebody_else_did(
    region: Region, signed_in: SignedIn
) -> None:
    page = f"/rules/{DATASET}"
    assert "None is released" in signed_in(MEI).get(page).text
    twin_signed_by(region, keys.SigningKey.fresh())
    assert "None is released" in signed_in(MEI).get(page).text, "anybody can lay a twin there"
    twin_signed_by(region, region.keeper)
    text = signed_in(MEI).get(page).text
    assert "1,000 made-up rows" in text and "declared about each column" in text

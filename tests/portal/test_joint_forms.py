"""The page of a joint computation says for each form what every party is, who sees figures first, and nothing else."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from plans.joint import JointPlan, JointTask, Shape
from plans.joint_rules import Matching, Opening
from plans.request import Request, RequestKind
from store import api as store
from tests.client.test_joint_judged import told_of_persons
from tests.plans.joint_examples import JOINT_SQL, JOINT_TASK, joint_plan
from tests.portal.region import Region, request_of, submission
from tests.portal.test_joint import DECIDED, OLGA

SignedIn = Callable[..., TestClient]
INSPECTED = replace(JOINT_TASK, opening=Opening.INSPECTED, inspector="nm/tax")
ADDED_UP = JointTask(
    JOINT_SQL, Matching.NONE, Opening.INSPECTED, (), inspector="nm/tax", collector="nm/office"
)
SCORED = JointTask(JOINT_SQL, Matching.NONE, Opening.SCORES, (), finder="nm/health")
LOOKUP = JointTask(JOINT_SQL, Matching.NONE, Opening.RECORDS, (), finder="nm/health")
COMMON = JointTask(JOINT_SQL, Matching.DIFFIE_HELLMAN, Opening.INTERSECTION, (), finder="nm/health")


def planned(task: JointTask, request: Request) -> JointPlan:
    """A plan of this task."""
    plan = joint_plan(DECIDED, request)
    reading = plan.reading
    if task.finder:
        reading = told_of_persons(reading, task.opening)
    elif task.collector:
        parts = tuple(
            replace(reading.portions[1], domain=portion.domain, relation=portion.relation)
            for portion in reading.portions
        )
        sums = tuple(
            replace(total, operands=tuple((0, operand) for _, operand in total.operands))
            for total in reading.sums
        )
        reading = replace(reading, portions=parts, sums=sums, outputs=("mean", "n"), shape=Shape.STACKED)
    named = {*(portion.domain for portion in reading.portions), *task.servers, *task.others}
    parties = tuple(party for party in plan.parties if party.domain in named)
    decisions = tuple(
        part if portion.key else replace(part, identifiers="", files=part.files[:1])
        for part, portion in zip(plan.decisions, reading.portions, strict=True)
    )
    scheme = replace(plan.scheme, reasons=("The ring is the smallest one that is safe.",))
    return replace(
        plan, request=request, task=task, reading=reading, parties=parties, decisions=decisions, scheme=scheme
    )


def shown(region: Region, signed_in: SignedIn, task: JointTask) -> str:
    """The page of a computation that waits for its parties."""
    plain = request_of(region, OLGA, task.canonical().decode()).plain()
    request = Request.read(plain | {"kind": RequestKind.JOINT.value})
    number = str(signed_in(OLGA).post("/api/v1/joint", json=submission(region, request)).json()["id"])
    plan = planned(task, request)
    changes: dict[str, str | tuple[str, ...]] = {
        "parties": tuple(party.domain for party in plan.parties),
        "digest": plan.digest,
        "plan": plan.canonical().decode(),
    }
    with region.database.session() as session:
        assert store.joint.move(session, number, "submitted", "waiting-approval", **changes)
    return " ".join(html.unescape(signed_in(OLGA).get(f"/joint/{number}").text).split())


@pytest.mark.parametrize(
    ("task", "said", "unsaid"),
    [
        (
            JOINT_TASK,
            ("协助方", "only the recipient", "joined by persons", "sums are exact"),
            ("检查方", "查得方", "汇集方"),
        ),
        (
            INSPECTED,
            ("检查方", "the airlock of nm/tax sees every figure first", "airlock rounds"),
            ("sums are exact",),
        ),
        (ADDED_UP, ("汇集方", "one table in parts", "无需匹配"), ("计算方", "协助方")),
        (
            COMMON,
            (
                "查得方",
                "nm/health learns which of its own persons",
                "1,000 persons are in the list",
                "without a helper",
            ),
            ("Smallest group", "Dominance", "Noise", "计算方"),
        ),
        (
            SCORED,
            (
                "逐人评分",
                "what the model says of each of its own persons",
                "1,000 persons are scored",
                "参数依据",
            ),
            ("Smallest group", "in the list"),
        ),
        (
            LOOKUP,
            ("匿踪查询", "what the register has of the persons", "as many questions asked", "无需匹配"),
            ("Smallest group", "in the list"),
        ),
    ],
    ids=["on shares", "inspected", "ciphertexts", "in common", "scores", "records"],
)
def test_a_page_says_what_every_party_is_and_who_sees_figures_first(
    region: Region, signed_in: SignedIn, task: JointTask, said: tuple[str, ...], unsaid: tuple[str, ...]
) -> None:
    text = shown(region, signed_in, task)
    assert [part for part in said if part not in text] == []
    assert [part for part in unsaid if part in text] == []

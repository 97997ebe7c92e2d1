"""The corpus: faulty outputs are caught, good ones are not stopped."""

from __future__ import annotations

import json

import pytest

from plans.artifacts import Artifact, Form
from plans.verdict import Finding
from tests.airlock.outputs.corpus import Case, cases, contents, judge, through

CASES = cases()
GOOD = [case for case in CASES if case.folder == "good"]
FAULTY = [case for case in CASES if case.folder == "faulty"]
STOPPED = {Finding.HELD, Finding.REFUSED}


def caught(case: Case) -> bool:
    """A faulty output is caught if people or nobody see it, or if the repair took the fault out."""
    judged = judge(case)
    left = contents(judged)
    if any(each.encode() in content for each in case.never for content in left.values()):
        return False
    if case.withheld:
        rows = json.loads(left[case.name])["rows"]
        return sum(cell is False for row in rows for cell in row) == case.withheld
    if case.sorted:
        rows = json.loads(left[case.name])["rows"]
        return rows == sorted(rows)
    return judged.finding in STOPPED or bool(case.never)


def test_the_corpus_is_as_large_as_it_should_be() -> None:
    assert len(GOOD) >= 60 and len(FAULTY) >= 60
    assert len({(case.folder, case.name) for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.folder}/{case.name}")
def test_an_output_is_judged_as_the_index_says(case: Case) -> None:
    judged = judge(case)
    assert judged.finding.value == case.expect, (judged.reasons, judged.record.applied)
    struck = {each.rule for each in judged.record.applied if each.effect != "passed"}
    assert not case.rule or case.rule in struck
    assert case.folder == "good" or caught(case) is not case.missed


def test_nearly_all_faulty_outputs_are_caught_and_hardly_a_good_one_is_stopped() -> None:
    found = [case for case in FAULTY if caught(case)]
    by_design = {"picture", "model", "untried"}
    stopped = [
        case
        for case in GOOD
        if (judged := judge(case)).finding in STOPPED and not set(judged.reasons) <= by_design
    ]
    assert len(found) >= 0.95 * len(FAULTY)
    assert len(stopped) < 0.05 * len(GOOD)


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("他说：“我是巴彦村唯一的老师，丈夫三月去世了。”", True),
        ("> I am the only teacher left in Bayan village.", True),
        ("收入随“年龄”上升。", False),
        ('We call this "low income".', False),
    ],
)
def test_what_somebody_said_is_looked_at_in_reports_of_members_code_alone(text: str, held: bool) -> None:
    said = {"files/r.txt": text.encode()}, (Artifact("r.txt", Form.REPORT),)
    assert (through(*said).finding is Finding.HELD) is held
    assert through(*said, component=True).finding is Finding.PASS, "the control"


@pytest.mark.parametrize(
    ("rows", "held"),
    [
        ("left_out,mean_income,persons\nnobody,412,1200\nfarmer,404,1199\n", True),
        ("left_out,mean_income,persons\nnobody,412,1200\nHohhot,404,900\n", False),
        ("arm,day,survival,persons\na,3,0.99,100\na,5,0.98,100\na,9,0.97,100\n", True),
        ("arm,day,survival,persons\na,3,0.9,1000\na,5,0.8,1000\na,9,0.7,1000\n", False),
        ("year,survival_rate,persons\n2001,0.90,1000\n2002,0.899,1000\n2003,0.91,1000\n", False),
    ],
)
def test_rows_that_differ_by_single_persons_are_looked_at(rows: str, held: bool) -> None:
    files = {"files/t.csv": rows.encode()}
    judged = through(files, (Artifact("t.csv", Form.TABLE, persons="persons"),))
    assert (judged.finding is Finding.HELD) is held


@pytest.mark.parametrize(("name", "held"), [("score_person_17", True), ("persons_2024", False)])
def test_a_metric_of_a_numbered_person_is_looked_at(name: str, held: bool) -> None:
    files = {"files/m.json": json.dumps({"auc": 0.8, name: 0.7}).encode()}
    assert (through(files, (Artifact("m.json", Form.METRICS),)).finding is Finding.HELD) is held

"""What a denied job's problem document says beside the problem: what would make it pass, and nothing of the data."""

from __future__ import annotations

from dataclasses import replace

from compute.dispatcher import _denied, _explained
from plans.errors import from_problem
from policies import api as policies
from tests.policies import cases


def test_a_denial_carries_what_would_make_it_pass() -> None:
    case = replace(cases.GOOD, grants=())
    decision = policies.decide(case)
    problem = _denied(decision).problem() | _explained(policies.explain(case))
    told = problem["explanation"]
    assert told["complete"] and [remedy["kind"] for remedy in told["remedies"]] == ["apply"]
    assert told["remedies"][0]["sentence"].startswith("Apply as researcher: darkroom apply nm/tax/income")
    assert told["remedies"][0]["columns"] == ["income", "region"] and told["alternatives"] == []
    assert str(from_problem(problem)) == str(_denied(decision))


def test_without_an_explanation_the_problem_stands_alone() -> None:
    assert _explained(None) == {}

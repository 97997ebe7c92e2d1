"""An approver's machine makes the impact report itself, from what it can verify."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from click.testing import Result

from darkroom import signing
from darkroom.wire import Wire
from plans.constraints import Mask, MaskKind
from plans.errors import HashMismatch
from plans.impact import impact
from plans.plan import Plan
from plans.reading import Cells, Level, Output, Role
from tests.client.conftest import Town
from tests.portal.region import let_wait, manifest

Typed = Callable[..., Result]
MEI, BO = "mei@nm/centre", "bo@nm/tax"
SQL = "select region, count(*) as n from tax.income group by region"


@pytest.fixture
def waiting(town: Town) -> tuple[str, Plan]:
    """A job of Mei's that waits, and its plan."""
    job = town.connection(MEI).sql(SQL, project="housing", purpose="Study of rents")
    return job.id, let_wait(town.region, job.id)


def lines(plan: Plan) -> str:
    """All that is shown of a plan before it is signed."""
    return "\n".join(f"{line.label}: {line.value}" for line in signing.plan_lines(plan))


def test_the_report_is_shown_before_anything_is_signed(typed: Typed, waiting: tuple[str, Plan]) -> None:
    number, plan = waiting
    answer = typed(BO, "approve", number, "--dry-run")
    assert answer.exit_code == 0 and "Nothing was signed" in answer.stderr
    told = " ".join(answer.stderr.split())
    for line in impact(plan, (manifest(),)).lines:
        assert " ".join(line.english.split())[:60] in told
    assert answer.stderr.index("What this plan means") < answer.stderr.index("what your signature will say")


def test_the_report_is_made_from_the_plan_and_not_from_the_portals_word(
    town: Town, waiting: tuple[str, Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A portal that hands over another manifest, in which nothing is sensitive, is found out."""
    number, plan = waiting
    approver = town.connection(BO)
    assert approver.plan_to_approve(number) == (plan, impact(plan, (manifest(),)))
    asked = Wire.get

    def lying(wire: Wire, path: str) -> dict[str, Any]:
        answer = asked(wire, path)
        for column in (column for told in answer["manifests"] for column in told["columns"]):
            column["kind"] = "plain"
        return answer

    monkeypatch.setattr(Wire, "get", lying)
    with pytest.raises(HashMismatch):
        approver.plan_to_approve(number)


def test_a_portal_that_keeps_the_manifests_back_leaves_a_caution(
    town: Town, waiting: tuple[str, Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    number, _ = waiting
    approver = town.connection(BO)
    answer = approver._wire.get(f"/api/v1/jobs/{number}/plan")
    del answer["manifests"]
    monkeypatch.setattr(Wire, "get", lambda wire, path: answer)
    _, report = approver.plan_to_approve(number)
    assert any("No manifest of tax.income" in line.english for line in report.lines)


def test_the_shown_plan_tells_masks_levels_tables_and_the_finish(waiting: tuple[str, Plan]) -> None:
    _, plan = waiting
    program = plan.program
    assert program is not None
    masked = replace(program.relations[0], masks=(Mask("region", MaskKind.LAST, "4"),))
    assert "region (masked: last 4)" in lines(replace(plan, program=replace(program, relations=(masked,))))
    derived = tuple(replace(output, role=Role.DERIVED) for output in program.outputs)
    two = (program.tables[0], replace(program.tables[0], counted="SELECT second"))
    finish = replace(program, tables=two, finish="SELECT * FROM cells_0", outputs=derived)
    inner = (plan.stages[0], plan.stages[1], plan.stages[1], plan.stages[1], plan.stages[2])
    stages = tuple(replace(box, entry=entry) for box, entry in zip(inner, finish.stages, strict=True))
    told = lines(replace(plan, program=finish, stages=stages))
    assert "SELECT second" in told and "SELECT * FROM cells_0" in told and "figures about groups" in told
    values = (Output("region", "VARCHAR", Role.VALUE, "", 0),)
    rows = replace(program, level=Level.ROWS, tables=(Cells("select region", values, 0),), outputs=values)
    assert "ROWS" in lines(replace(plan, program=rows))

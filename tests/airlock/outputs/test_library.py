"""What the algorithm library leaves goes through the airlock: no example is refused, and only models are held."""

from __future__ import annotations

import json

import pytest
from threadpoolctl import threadpool_limits

from components import api as components
from components.api import Component, Rules
from examples.components import tables
from plans.artifacts import Form
from plans.verdict import Finding
from tests.airlock.outputs.corpus import contents, obligations, through

SLOW = {"certificate-reading", "anomaly-detection"}
CASES = [
    pytest.param(each, id=each.name, marks=[pytest.mark.long] if each.name in SLOW else [])
    for each in components.describe_all()
]


@pytest.mark.parametrize("component", CASES)
def test_the_outputs_of_a_component_leave(component: Component) -> None:
    values = components.checked(component, component.example)
    with threadpool_limits(1):
        work = components.perform(component.name, tables(component.name), values, Rules(10, 10))
    declared = components.artifacts(component, values)
    files = {f"files/{name}": content for name, content in work.files.items()}
    files |= {f"evidence/{name}.json": content for name, content in work.evidence.items()}
    judged = through(files, declared, obligations(), component=True)
    held = any(each.form is Form.MODEL for each in declared)
    assert judged.finding is (Finding.HELD if held else Finding.REPAIRED), (
        judged.reasons,
        judged.record.applied,
    )
    for name, content in contents(judged).items():
        if next(each for each in declared if each.name == name).form is Form.TABLE:
            rows = json.loads(content)["rows"]
            shown = [cell for row in rows for cell in row if cell is not None]
            assert rows and shown.count(False) <= len(shown) / 2, f"{name}: most figures are withheld"

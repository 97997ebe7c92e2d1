"""However a box ends without a result, the member gets one sentence and a next step that fits."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sandbox.contract import Cause
from sandbox.conversation import GAVE_UP
from sandbox.stage import KILLED

INSIDE = Path(__file__).parents[2] / "inside"
PYTHON = ("alone", "feeding", "leavings", "python")


def codes_of_boxes_with_data() -> set[str]:
    """Those of every program but the ingest, whose faults have sentences of their own (`catalog.problems`)."""
    told = [
        path for path in INSIDE.glob("*.py") if path.stem not in PYTHON and not path.stem.startswith("ingest")
    ]
    text = "".join(path.read_text() for path in told)
    python = "".join((INSIDE / f"{name}.py").read_text() for name in PYTHON)
    return {
        *re.findall(r'raise BoxFailure\(\s*"([a-z.-]+)"', text),
        *re.findall(r'^FAILED = "([a-z.-]+)"', text, re.MULTILINE),
        *re.findall(r'"(python\.[a-z]+)"', python),
    }


def test_every_way_of_giving_up_has_its_sentence() -> None:
    assert codes_of_boxes_with_data() == set(GAVE_UP)


@pytest.mark.parametrize("cause", sorted(set(Cause) - {Cause.NONE, Cause.PROTOCOL}))
def test_every_cause_of_a_killing_has_its_sentence(cause: Cause) -> None:
    sentence, next_step = KILLED[cause]
    assert sentence and next_step
    assert cause.is_limit == ("limit" in sentence)

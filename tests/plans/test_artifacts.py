"""Outputs that a task declares: a figure never goes without the table that it draws."""

from __future__ import annotations

import pytest

from plans.artifacts import MOST_ARTIFACTS, Artifact, Form, require_artifacts
from plans.errors import Malformed

TABLE = Artifact("t.csv", Form.TABLE, persons="n")


def test_a_figure_without_its_data_is_refused_and_says_what_to_declare() -> None:
    with pytest.raises(Malformed) as unnamed:
        Artifact("f.png", Form.FIGURE)
    with pytest.raises(Malformed) as undeclared:
        require_artifacts((TABLE, Artifact("f.png", Form.FIGURE, data="other.csv")), "job")
    assert "names the table" in unnamed.value.what and "as a table" in undeclared.value.next_step
    require_artifacts((TABLE, Artifact("f.png", Form.FIGURE, data="t.csv")), "job")


def test_what_is_behind_a_figure_is_a_table_and_nothing_else() -> None:
    text = Artifact("notes.txt", Form.REPORT)
    with pytest.raises(Malformed):
        require_artifacts((TABLE, text, Artifact("f.png", Form.FIGURE, data="notes.txt")), "job")


@pytest.mark.parametrize("count", [0, MOST_ARTIFACTS + 1])
def test_outputs_are_few_and_at_least_one(count: int) -> None:
    many = tuple(Artifact(f"t{number}.csv", Form.TABLE, persons="n") for number in range(count))
    with pytest.raises(Malformed):
        require_artifacts(many, "job")


def test_an_output_is_declared_once() -> None:
    with pytest.raises(Malformed):
        require_artifacts((TABLE, TABLE), "job")

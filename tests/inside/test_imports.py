"""What a box has loaded is what a flaw in it could use; and every box waits for its imports."""

from __future__ import annotations

import subprocess
import sys

import pytest


def loaded(program: str) -> set[str]:
    """Return the top-level modules of a fresh process that has imported a program."""
    code = f"import sys, inside.{program}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(answer.stdout.split())


@pytest.mark.parametrize("program", ["parse", "protect", "judge"])
def test_boxes_that_only_read_and_judge_load_neither_engine_nor_parser_of_sql(program: str) -> None:
    """94: the box that judges never meets the large engine that a member's statement ran in."""
    assert not loaded(program) & {"duckdb", "sqlglot", "pyarrow"}


def test_the_box_that_runs_statements_does_load_the_engine() -> None:
    """The control: what is looked for would be found."""
    assert "duckdb" in loaded("query")

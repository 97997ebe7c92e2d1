"""A member's own script is checked by `mypy --strict`: what the manual shows passes, and a mistake is found."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")

ROOT = Path(__file__).resolve().parents[2]
USERS = Path(__file__).with_name("users")
SETTINGS = f"""
[mypy]
strict = true
python_version = 3.11
mypy_path = {ROOT / "client"}:{ROOT}
explicit_package_bases = true
follow_imports = silent

[mypy-casbin.*,duckdb.*,pyarrow.*,pandas.*,sqlglot.*]
ignore_missing_imports = true
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What mypy says of both scripts, as members of another project would run it."""
    place = tmp_path_factory.mktemp("typed")
    (place / "mypy.ini").write_text(SETTINGS)
    command = [sys.executable, "-m", "mypy", "--config-file", str(place / "mypy.ini")]
    command += ["--cache-dir", str(place / "cache"), str(USERS / "study.py"), str(USERS / "wrong.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=place)
    assert done.returncode in (0, 1), done.stderr
    return [line for line in done.stdout.splitlines() if ": error: " in line]


def test_what_the_manual_shows_passes(told: list[str]) -> None:
    assert [line for line in told if "wrong.py" not in line] == []


def test_control_a_mistake_is_found_at_its_line(told: list[str]) -> None:
    lines = (USERS / "wrong.py").read_text().splitlines()
    marked = {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}
    assert {int(found[1]) for line in told if (found := re.search(r"wrong\.py:(\d+):", line))} == marked

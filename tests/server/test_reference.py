"""A command, option or setting that is not documented fails the build."""

from __future__ import annotations

from pathlib import Path

from server import reference

PAGE = Path(__file__).resolve().parents[2] / "docs" / "commands-darkroom-server.md"


def test_the_reference_of_the_operators_commands_is_current():
    assert PAGE.read_text() == reference.commands(), "write it anew: make docs"


def test_every_command_and_option_has_a_meaning():
    rows = [line.split("|") for line in reference.commands().splitlines() if line.startswith("| `")]
    assert rows and not [row for row in rows if not row[2].strip()]

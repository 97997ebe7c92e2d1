"""The reference of the `darkroom` command is current, and says something about everything that can be typed."""

from __future__ import annotations

from pathlib import Path

from darkroom import reference

PAGE = Path(__file__).resolve().parents[2] / "docs" / "commands-darkroom.md"


def test_the_reference_is_current() -> None:
    assert PAGE.read_text() == reference.text(), "write it anew: .venv/bin/python -m darkroom.reference docs"


def test_every_command_and_option_has_a_meaning() -> None:
    rows = [line.split("|") for line in reference.text().splitlines() if line.startswith("| `")]
    assert rows and not [row for row in rows if not row[2].strip()]
    assert "None" not in reference.text()

"""An audit log for tests, and what it holds."""

from __future__ import annotations

from pathlib import Path

from audit import api as audit


def open_log(folder: Path) -> audit.Log:
    return audit.Log()


def actions(log: audit.Log) -> list[str]:
    """Return the actions of all events, in order."""
    return [event.action for event in log.events]

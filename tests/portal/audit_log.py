"""A real audit log for tests, and what it holds."""

from __future__ import annotations

from pathlib import Path

from audit import api as audit
from keys import api as keys


def open_log(folder: Path) -> audit.Log:
    return audit.Log.open(folder / "audit", keys.SigningKey.fresh())


def actions(log: audit.Log) -> list[str]:
    """Return the actions of all events, in order."""
    return [event.action for event in log.events(0)]

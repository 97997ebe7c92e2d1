"""One setting: its default, its meaning for the reference, and the check that most numbers need."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from plans.errors import SettingsWrong


def setting(default: Any, meaning: str, secret: bool = False) -> Any:
    """Return a setting's field; a secret one is not shown with the settings."""
    return field(default=default, repr=not secret, metadata={"meaning": meaning})


def at_least(value: int, least: int, where: str) -> None:
    """Check a number.

    Raises:
        SettingsWrong: it is smaller.
    """
    if value < least:
        raise SettingsWrong(f"this setting is at least {least}", where)

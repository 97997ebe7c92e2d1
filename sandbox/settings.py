"""Settings of a process: one JSON file with exactly the members that its record has, written by whoever composes.

A record of settings says how each member is read, by the readers below. A reader raises `TypeError`, `ValueError` or
`Malformed` for what is not of its form.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from plans import names
from plans.box import Entry, Limits
from plans.errors import Malformed, SettingsWrong

Reader = Callable[[Any], Any]


def load(path: Path, whose: str, readers: Mapping[str, Reader], older: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of a settings file as what they have to be.

    Args:
        path: the file.
        whose: the process, as sentences name it: "the launcher".
        readers: how each member is read; there are exactly these.
        older: what members stand for that a file from before there were any does not have.

    Raises:
        SettingsWrong: it is missing, is no JSON object, or has a member too many, too few or of the wrong type.
    """
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        raise SettingsWrong(f"{whose}'s settings cannot be read as JSON", str(path)) from None
    if isinstance(content, dict):
        content = {**older, **content}
    if not isinstance(content, dict) or sorted(content) != sorted(readers):
        raise SettingsWrong(f"{whose}'s settings have exactly the members {', '.join(readers)}", str(path))
    return {
        name: _read(reader, content[name], f"{whose}'s setting {name}", path)
        for name, reader in readers.items()
    }


def _read(reader: Reader, value: Any, what: str, path: Path) -> Any:
    try:
        return reader(value)
    except (TypeError, ValueError, Malformed):
        raise SettingsWrong(f"{what} has the wrong type or is empty", str(path)) from None


def save(settings: Any, path: Path) -> None:
    """Write a record of settings as JSON, readable by nobody else."""
    content = {field.name: _plain(getattr(settings, field.name)) for field in fields(settings)}
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(json.dumps(content, indent=1) + "\n")


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, Limits):
        return value.plain()
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value


# --- readers -----------------------------------------------------


def text(value: Any) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value:
        raise TypeError
    return value


def place(value: Any) -> Path:
    """A path."""
    return Path(text(value))


def number(value: Any) -> int:
    """A whole number."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return value


def maybe(reader: Reader) -> Reader:
    """What this reader reads, or none."""
    return lambda value: None if value is None else reader(value)


def several(reader: Reader) -> Reader:
    """A list of what this reader reads, as a tuple."""

    def read(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise TypeError
        return tuple(reader(item) for item in value)

    return read


def by_name(reader: Reader) -> Reader:
    """An object whose values are what this reader reads, and whose names are plain."""

    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise TypeError
        return {names.require("file", name): reader(item) for name, item in value.items()}

    return read


def digest(value: Any) -> str:
    """A digest."""
    return names.require("digest", text(value))


def limits(value: Any) -> dict[Entry, Limits]:
    """Limits of boxes by their programs."""
    if not isinstance(value, dict):
        raise TypeError
    return {Entry(name): Limits.read(plain) for name, plain in value.items()}

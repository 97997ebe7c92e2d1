"""What calls take: a value of another type is refused by its name, before anything is asked of anybody."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from plans.errors import Malformed


def text(value: object, name: str) -> str:
    """Return a text.

    Raises:
        Malformed: it is none.
    """
    if not isinstance(value, str):
        raise Malformed(
            f"{name} is a text, and not of the type {type(value).__name__}", name, "Write it in quotes."
        )
    return value


def texts(value: object, name: str) -> list[str]:
    """Return a list of texts; one text is a list of one.

    Raises:
        Malformed: it is neither.
    """
    if isinstance(value, str):
        return [value]
    found: list[Any] = list(value) if isinstance(value, Iterable) else [value]
    for each in found:
        if not isinstance(each, str):
            raise Malformed(
                f"{name} is a list of texts, and none of {type(each).__name__}",
                name,
                'For example: ["region", "income"].',
            )
    return found


def whole(value: object, name: str) -> int:
    """Return a whole number.

    Raises:
        Malformed: it is none.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise Malformed(
            f"{name} is a whole number, and not of the type {type(value).__name__}",
            name,
            "Write it in digits, without quotes.",
        )
    return value


def seconds(value: object) -> float | None:
    """Return a time in seconds; none where nobody gave one.

    Raises:
        Malformed: it is no number.
    """
    if value is not None and (not isinstance(value, int | float) or isinstance(value, bool)):
        raise Malformed(
            f"timeout is a number of seconds, and not of the type {type(value).__name__}",
            "timeout",
            "Write it in digits, without quotes.",
        )
    return value

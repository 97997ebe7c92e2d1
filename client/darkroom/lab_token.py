"""What a lab's token is not let do, and what a member does in the lab instead."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from darkroom import advice
from darkroom.local import in_lab
from plans.errors import NotAllowed


@contextlib.contextmanager
def naming_what_shows(what: str) -> Iterator[None]:
    """In a lab, whose token lists neither grants nor applications, say what shows the grants there."""
    try:
        yield
    except NotAllowed:
        if not in_lab():
            raise
        step = "darkroom.budget() shows your grants: on what, until when, and what is left of each."
        told = NotAllowed(f"a lab's token cannot list your {what}", f"darkroom.{what}()", step)
        raise advice.teach(told, advice.Lesson(whom="")) from None

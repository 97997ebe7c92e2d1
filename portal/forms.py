"""What the pages' own forms bring: fields of text, each given once unless it is one that may come several times."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import parse_qs

from fastapi import Request

from plans.errors import Malformed

FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 520
"""As many as a form with a tick for each column of a wide dataset has."""


async def body_fields(request: Request, several: Collection[str] = ()) -> dict[str, list[str]]:
    """Return the fields of a form in a request's body.

    Raises:
        Malformed: it is no form, or a field that is not among `several` is given twice.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != FORM:
        raise Malformed("this page takes the fields of its form", "Content-Type")
    return fields(await request.body(), several)


def fields(text: bytes, several: Collection[str] = ()) -> dict[str, list[str]]:
    """Return the fields of a form or query.

    Raises:
        Malformed: as `body_fields`.
    """
    try:
        found = parse_qs(text.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        raise Malformed("these are no fields of a form", "form") from None
    if any(len(values) > 1 for name, values in found.items() if name not in several):
        raise Malformed("a field is given twice", "form")
    return found

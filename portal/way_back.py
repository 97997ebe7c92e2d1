"""Leading a person who is not signed in to the form, and from there to the page that they wanted.

Programs are answered a problem document, as everywhere. A browser that asks for a page, by `Accept: text/html` (RFC
9110 section 12.5.1) and without a bearer token, is led to the form. Where the way leads afterwards is said by whoever
made the link, so it is believed only if it is spelled as one of our own pages is: a path of plain segments under one
of three names. No address of another place, and no second slash, is spelled so.
"""

from __future__ import annotations

import re

from fastapi import Request

_FIRST = ("jobs", "approvals", "rules")
_PAGE = re.compile(rf"/({'|'.join(_FIRST)})(/[A-Za-z0-9_-]{{1,100}}){{0,9}}")
LEAVING = "/sign-out"


def way_back(path: str) -> str:
    """Return a path if it is spelled as one of our pages is, else the empty text."""
    return path if _PAGE.fullmatch(path) else ""


def form_for(request: Request) -> str:
    """Return the address of the form to which somebody who is not signed in is led, or nothing for a program."""
    path: str = request.scope["path"]
    page = request.method in ("GET", "HEAD") and path.split("/")[1] in _FIRST
    leaving = request.method == "POST" and path == LEAVING
    if not (page or leaving) or "authorization" in request.headers or not _takes_html(request):
        return ""
    back = way_back(path)
    return f"/sign-in?next={back}" if back else "/sign-in"


def _takes_html(request: Request) -> bool:
    for offered in request.headers.get("accept", "").lower().split(","):
        media, *parameters = (part.strip() for part in offered.split(";"))
        if media == "text/html":
            return not any(re.fullmatch(r"q=0(\.0*)?", each) for each in parameters)
    return False

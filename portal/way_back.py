"""Leading a person who is not signed in to the form, and from there to the page that they wanted.

Programs are answered a problem document, as everywhere. A browser that asks for a page, by `Accept: text/html` (RFC
9110 section 12.5.1) and without a bearer token, is led to the form. Where the way leads afterwards is said by whoever
made the link, so it is believed only if it is spelled as one of our own pages is: a path of plain segments under one
of few names. No address of another place, and no second slash, is spelled so. Two pages are asked with a query, which
they read as strictly whoever it comes from: the form of an application, and the way to labs.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from fastapi import Request

_FIRST = ("jobs", "approvals", "rules", "labs", "keys", "apply")
_PAGE = re.compile(rf"/({'|'.join(_FIRST)})(/[A-Za-z0-9_-]{{1,100}}){{0,9}}")
_ASKED = re.compile(r"/(apply|oauth/authorize)\?[A-Za-z0-9_.~%&=+,/-]{1,4000}")
LEAVING = ("/sign-out", "/apply", "/keys")
"""Forms that lead to the sign-in form when the session is over."""


def way_back(path: str) -> str:
    """Return a path if it is spelled as one of our pages is, else the empty text."""
    return path if _PAGE.fullmatch(path) or _ASKED.fullmatch(path) else ""


def form_for(request: Request) -> str:
    """Return the address of the form to which somebody who is not signed in is led, or nothing for a program."""
    path: str = request.scope["path"]
    page = request.method in ("GET", "HEAD") and path.split("/")[1] in _FIRST
    leaving = request.method == "POST" and path in LEAVING
    if not (page or leaving) or "authorization" in request.headers or not _takes_html(request):
        return ""
    asked = f"{path}?{request.url.query}" if request.url.query and not leaving else path
    back = way_back(asked) or way_back(path)
    return f"/sign-in?next={quote(back, safe='/')}" if back else "/sign-in"


def _takes_html(request: Request) -> bool:
    for offered in request.headers.get("accept", "").lower().split(","):
        media, *parameters = (part.strip() for part in offered.split(";"))
        if media == "text/html":
            return not any(re.fullmatch(r"q=0(\.0*)?", each) for each in parameters)
    return False

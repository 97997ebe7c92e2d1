"""Every error leaves as a problem document (RFC 9457) with a stable code; no input, trace or library text
leaves with it. Only a person before a page who is not signed in is led to the form instead.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from plans.errors import DarkroomError, Defect, Malformed, NotFound, NotSignedIn
from portal.way_back import form_for

MEDIA_TYPE = "application/problem+json"


def install(app: FastAPI) -> None:
    """Let every error of the application be answered here."""

    @app.exception_handler(DarkroomError)
    def refuse(request: Request, error: DarkroomError) -> Response:
        form = form_for(request) if isinstance(error, NotSignedIn) else ""
        return RedirectResponse(form, 303) if form else answer(error)

    @app.exception_handler(RequestValidationError)
    def malformed(_: Request, error: RequestValidationError) -> Response:
        # Only *where* and *which rule*: the values may be passwords, and the library's message repeats them.
        found = error.errors()[0]
        where = ".".join(str(part) for part in found["loc"])
        return answer(Malformed("the request does not have the form that the reference describes", where))

    @app.exception_handler(HTTPException)
    def http(_: Request, error: HTTPException) -> Response:
        if error.status_code == 404:
            return answer(NotFound("there is no such page"))
        refusal = Malformed("this page does not take such a request", "", "See the reference of the API.")
        return answer(refusal, status=error.status_code)

    @app.exception_handler(Exception)
    def defect(_: Request, error: Exception) -> Response:
        return answer(Defect("something went wrong in Darkroom itself"))


def answer(error: DarkroomError, *, status: int | None = None) -> Response:
    """Return an error's answer; a 401 names how to sign in (RFC 9110 section 11.6.1)."""
    problem: dict[str, Any] = error.problem()
    if status is not None:
        problem["status"] = status
    headers = {"WWW-Authenticate": "Bearer"} if problem["status"] == 401 else {}
    return JSONResponse(problem, problem["status"], headers, media_type=MEDIA_TYPE)

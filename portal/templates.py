"""Pages from templates: escaped text, one stylesheet, no script."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse

from plans.chinese import in_chinese
from plans.errors import DarkroomError
from portal.access import services_of
from portal.permissions import Action, Who, may

FOLDER = Path(__file__).parent / "pages"

_LINKS = (
    (Action.SEE_OWN_JOBS, "/jobs", "Jobs", "任务"),
    (Action.READ_PLAN_TO_APPROVE, "/approvals", "Plans to approve", "待审批"),
    (Action.SEE_OWN_JOBS, "/joint", "Joint", "联合计算"),
    (Action.READ_PLAN_TO_APPROVE, "/joint", "Joint", "联合计算"),
    (Action.READ_CATALOG, "/rules", "Rules", "规则"),
    (Action.APPLY, "/apply", "Apply", "申请"),
    (Action.OPEN_LAB, "/labs", "Labs", "实验室"),
    (Action.ENROL_KEYS, "/keys", "Keys", "密钥"),
)
"""The pages, and the action that each needs; a link that would only lead to an error is left out."""


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _legible(value: Any) -> Any:
    """Return text with the signs escaped that reorder or hide what a person reads, such as those of a statement that
    somebody else wrote; line breaks and tabs stay.
    """
    if type(value) is not str:
        return value
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in value
    )


_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(FOLDER),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    finalize=_legible,
)
_templates.filters["moment"] = _moment
_templates.filters["chinese"] = in_chinese


def page(request: Request, template: str, who: Who | None, status: int = 200, **content: Any) -> HTMLResponse:
    """Return a page for a member, or for nobody; `content` is what its template shows."""
    links = list(dict.fromkeys(link[1:] for link in _LINKS if who and may(who, link[0])))
    origin = services_of(request).site.origin
    shown = _templates.get_template(template).render(who=who, links=links, origin=origin, **content)
    return HTMLResponse(shown, status)


def problem_page(request: Request, who: Who | None, problem: DarkroomError) -> HTMLResponse:
    """Return the page that tells a person why something did not happen."""
    return page(request, "problem.html", who, problem.status, problem=problem)

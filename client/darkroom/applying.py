"""Applying for columns of a dataset: what is not there is said before anybody is asked, and a cell that runs twice
applies once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from darkroom import advice, signing, taken
from darkroom.listing import Application, Applications, Description
from darkroom.local import in_lab, portal_page
from darkroom.twin_recipes import as_in_catalog
from darkroom.wire import Wire
from plans import names
from plans.errors import NotAllowed, NotFound

_SAME = ("dataset", "columns", "purpose", "project", "until", "uses")


class Applying:
    """The part of a connection that applies."""

    _wire: Wire
    member: str

    if TYPE_CHECKING:

        def describe(self, dataset: str) -> Description: ...
        def applications(self) -> Applications: ...

    def apply(  # noqa: PLR0913 - each is a thing that an application says
        self,
        dataset: str,
        columns: Sequence[str] | str,
        purpose: str,
        *,
        project: str,
        until: str | date,
        uses: int = 100,
        role: str = "",
    ) -> Application:
        """Apply for columns of a dataset (or of its relation), until the end of the day `until` (a date, or
        `YYYY-MM-DD`; UTC); at most `uses` plans. `role` is the one in which the member will ask; the portal says which,
        if it is left out. Where the very same application of the member's still waits, that one is returned.

        Raises:
            NotFound: there is no such dataset, or in a lab no such column.
            NotAllowed: this is a lab, which cannot apply; the error has the portal's page with everything filled in.
            DarkroomError: what the portal says.
        """
        day = until.isoformat()[:10] if isinstance(until, date) else until
        dataset = as_in_catalog(dataset)
        body = {
            "dataset": self._dataset_of(dataset) if names.is_a("relation", dataset) else dataset,
            "columns": taken.texts(columns, "columns"),
            "purpose": purpose,
            "project": project,
            "until": signing.end_of(taken.text(day, "until")),
            "uses": uses,
            "role": role,
        }
        waiting = None if in_lab() else self._waiting(body)
        if waiting is not None:
            return waiting
        try:
            return Application(self._wire.post("/api/v1/applications", body))
        except NotAllowed as problem:
            raise self._on_the_portal(problem, body | {"until": day}) from None

    def _dataset_of(self, relation: str) -> str:
        return str(self.describe(relation)["dataset"])

    def _waiting(self, body: dict[str, Any]) -> Application | None:
        """Return the member's own application of the same content that nobody has decided about, or none."""
        wanted = [_content(body, name) for name in _SAME]
        for each in self.applications():
            mine = each.get("member") == self.member and each.get("state") == "open"
            role = body["role"] in ("", each.get("role"))
            if mine and role and [_content(each, name) for name in _SAME] == wanted:
                return Application(each)
        return None

    def _on_the_portal(self, problem: NotAllowed, body: dict[str, Any]) -> NotAllowed:
        """Return where a member applies whose token may not: a page of the portal with what was said filled in, once
        all of it is there to apply for.

        Raises:
            NotFound: there is no such dataset or column.
        """
        _require_columns(self.describe(body["dataset"]), body["columns"])
        named = {"columns": ",".join(body["columns"])} | {
            name: str(body[name]) for name in ("dataset", "project", "purpose", "until", "uses", "role")
        }
        page = portal_page("/apply", **named)
        if not page:
            return problem
        told = NotAllowed(
            "a lab cannot apply for you", body["dataset"], f"Apply on the portal, it is filled in: {page}"
        )
        advice.teach(told, advice.Lesson(whom=""))
        return told


def _content(said: dict[str, Any], name: str) -> Any:
    return sorted(map(str, said.get(name) or ())) if name == "columns" else said.get(name)


def _require_columns(described: Description, columns: Sequence[str]) -> None:
    there = [str(each.get("name")) for each in described.get("columns") or ()]
    for column in columns:
        if column not in there:
            what = f"{described.get('dataset')} has no column {column}"
            raise NotFound(what, "columns", f"There are {', '.join(there)}.")

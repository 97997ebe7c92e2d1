"""Drawings of what the portal lists: datasets, a description, grants, applications, components, budgets."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from darkroom.display import SHOWN_LINES, Drawing, Facts, Grid, Lines, Sheet, Title, head_of, sheet
from darkroom.display_words import Tongue, known, language, say, term

LONGEST = 20_000
"""Characters of a log or an error's text that a display shows."""


def cut(text: str) -> str:
    """Return a long text's end, which says most."""
    return text if len(text) <= LONGEST else "…" + text[-LONGEST:]


def datasets(thing: Any) -> Sheet:
    """The catalog: what it is called in SQL, what it is, whose it is."""
    if not thing:
        return sheet(Lines((say("datasets.none"),)))
    first = str(_plain(thing[0]).get("dataset", ""))
    return sheet(
        Title(say("datasets.title", count=len(thing))),
        _listed(thing, ("relation", "title", "domain", "grade", "version")),
        Lines((say("datasets.next", dataset=first),)),
    )


def description(thing: Any) -> Sheet:
    """One dataset: its columns with types and units, and what each may be used for."""
    view = _plain(thing)
    columns = view.get("columns") or ()
    about = view.get("about_persons")
    pairs = [
        (say(f"head.{name}"), str(view[name]))
        for name in ("relation", "domain", "grade", "version")
        if view.get(name)
    ]
    badge = "" if about is None else say("description.persons" if about else "description.reference")
    return sheet(
        Title(str(view.get("title") or view.get("dataset", "")), badge),
        Facts(tuple(pairs)),
        _columns(columns),
        Lines((say("description.sample", dataset=str(view.get("dataset", ""))),)),
    )


def _columns(columns: Sequence[Any]) -> Grid:
    shown, more = head_of([_plain(each) for each in columns], SHOWN_LINES)
    with_uses = any("uses" in each for each in shown)
    heads = ["name", "type", "unit", "kind", *(["uses"] if with_uses else [])]
    rows = tuple(
        (
            str(each.get("name", "")),
            str(each.get("type", "")),
            str(each.get("unit") or ""),
            term("kind", str(each.get("kind", ""))),
            *([_uses(each.get("uses"))] if with_uses else []),
        )
        for each in shown
    )
    notes = (say("list.more", more=more),) if more else ()
    return Grid(tuple(say(f"head.{head}") for head in heads), rows, notes=notes)


def _uses(uses: Any) -> str:
    """Return what a column may be used for, in words; functions stand for themselves."""
    if not uses:
        return say("use.none")
    return ", ".join(term("use", str(use)) for use in (uses if not isinstance(uses, str) else [uses]))


def grants(thing: Any) -> Sheet:
    """What the member was granted, and until when."""
    if not thing:
        return sheet(Lines((say("grants.none"),)))
    names = ("dataset", "columns", "state", "project", "purpose", "until")
    return sheet(Title(say("grants.title", count=len(thing))), _listed(thing, names))


def applications(thing: Any) -> Sheet:
    """Applications and what became of them."""
    names = ("id", "dataset", "columns", "state", "project", "until")
    return sheet(Title(say("applications.title", count=len(thing))), _listed(thing, names))


def application(thing: Any) -> Sheet:
    """One application: what was asked for, and what became of it."""
    view = _plain(thing)
    names = ("dataset", "columns", "purpose", "project", "until", "role")
    pairs = [(say(f"head.{name}"), _value(name, view[name])) for name in names if view.get(name)]
    if view.get("uses"):
        pairs.append((say("head.at-most"), say("application.uses", uses=view["uses"])))
    return sheet(
        Title(say("application.title", id=view.get("id", "")), term("state", str(view.get("state", "")))),
        Facts(tuple(pairs)),
        Lines((say("application.next"),)) if view.get("state") == "open" else None,
    )


def components(thing: Any) -> Sheet:
    """The algorithm library: names, what each does, its parameters."""
    chinese = language() is Tongue.ZH
    rows = [
        {
            "name": each.get("name", ""),
            "description": (each.get("title_zh") if chinese else "")
            or each.get("title")
            or each.get("description", ""),
            "parameters": _parameter_names(each.get("parameters")),
        }
        for each in map(_plain, thing)
    ]
    return sheet(
        Title(say("components.title", count=len(rows))), _listed(rows, ("name", "description", "parameters"))
    )


def _parameter_names(parameters: Any) -> str:
    if isinstance(parameters, Mapping):
        return ", ".join(map(str, parameters))
    return ", ".join(str(_plain(each).get("name", each)) for each in parameters or ())


def packages(thing: Any) -> Sheet:
    """The images that a program may run in, and what it can import there."""
    return sheet(Title(say("packages.title")), _listed(thing, ("name", "stage", "modules")))


def budget(thing: Any) -> Sheet:
    """What is left of each grant: how many plans, until when, and what bounds the figures that leave."""
    rows = [_plain(each) for each in thing]
    if not rows:
        return sheet(Lines((say("budget.none"),)))
    told = [{**row, "left": _left(row), "bound": _bound(row)} for row in rows]
    names = ("dataset", "columns", "project", "purpose", "until", "left", "bound")
    jobs = getattr(thing, "jobs", None) or {}
    active = (
        (say("budget.jobs", active=jobs["active"], most=jobs["most"]),)
        if {"active", "most"} <= set(jobs)
        else ()
    )
    return sheet(Title(say("budget.title")), _listed(told, names), Lines(active))


def _left(row: Mapping[str, Any]) -> str:
    if row.get("uses_left") is None:
        return ""
    return say("budget.left", left=row["uses_left"], uses=row.get("uses", "?"))


def _bound(row: Mapping[str, Any]) -> str:
    """Return what bounds the figures of a grant beside the number of plans, in words."""
    exact, private = row.get("exact"), row.get("private")
    if isinstance(private, Mapping) and {"rho_micro", "own_micro", "period_days"} <= set(private):
        return say(
            "budget.rho", own=private["own_micro"], rho=private["rho_micro"], days=private["period_days"]
        )
    if isinstance(exact, Mapping) and {"cells", "period_days"} <= set(exact):
        return say("budget.cells", cells=exact["cells"], days=exact["period_days"])
    return ""


def _listed(rows: Sequence[Any], names: Sequence[str]) -> Grid:
    plain = [_plain(row) for row in rows]
    shown, more = head_of(plain, SHOWN_LINES)
    there = [name for name in names if any(row.get(name) not in (None, "") for row in shown)]
    body = tuple(tuple(_value(name, row.get(name)) for name in there) for row in shown)
    heads = tuple(say(f"head.{name}") if known(f"head.{name}") else name for name in there)
    numbers = frozenset(
        place for place, name in enumerate(there) if all(isinstance(row.get(name), int) for row in shown)
    )
    return Grid(heads, body, numbers, (say("list.more", more=more),) if more else ())


def _value(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "until" and isinstance(value, int) and value:
        return time.strftime("%Y-%m-%d", time.gmtime(value))
    if name == "state":
        return term("state", str(value))
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value)


def _plain(each: Any) -> Mapping[str, Any]:
    """Return one entry as names and values: a mapping as it is, a record by its fields."""
    if isinstance(each, Mapping):
        return each
    fields = getattr(type(each), "__dataclass_fields__", {})
    return {name: getattr(each, name) for name in fields if not name.startswith("_")}


KINDS: dict[str, Drawing] = {
    "Datasets": datasets, "datasets": datasets, "Catalog": datasets,
    "Description": description, "description": description, "Dataset": description,
    "Grants": grants, "grants": grants,
    "Applications": applications, "applications": applications, "Application": application,
    "Components": components, "components": components,
    "Packages": packages,
    "packages": packages,
    "Budget": budget, "Budgets": budget, "budget": budget,
}  # fmt: skip
"""Kinds of lists and entries, with their drawings."""

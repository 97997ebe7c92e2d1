"""What pages make of the client's answers: rows for templates, and the text that "insert" puts into a cell.

Names of tables and columns in that text are checked: what is no plain name is left out, so that what is inserted is
what is shown. Inserted text is never run by itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_RELATION = re.compile(r"[a-z][a-z0-9_]{0,39}\.[a-z][a-z0-9_]{0,39}")
_DATASET = re.compile(r"[a-z][a-z0-9_]{0,39}(/[a-z][a-z0-9_]{0,39}){1,8}")

STEPS = (
    ("help.step.see", "import darkroom\n\ndarkroom.datasets()"),
    ("help.step.twin", 'darkroom.use(on="twin")\n\ndarkroom.sample("DATASET")'),
    ("help.step.sql", 'darkroom.sql("""\nselect count(*) as n\nfrom TABLE\n""", on="twin").result()'),
    (
        "help.step.apply",
        'darkroom.apply("DATASET", ["COLUMN"], "PURPOSE", project="PROJECT", until="2027-12-31")',
    ),
    (
        "help.step.real",
        'job = darkroom.sql("""\nselect count(*) as n\nfrom TABLE\n""", on="real")\njob.wait().result()',
    ),
    ("help.step.job", 'darkroom.job_from("study.ipynb", into="study")\ndarkroom.submit("study", on="twin")'),
)
"""First steps: a word of the panel, and text for a cell."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the catalog's page shows it."""

    name: str
    type: str
    unit: str
    kind: str
    uses: tuple[str, ...] | None
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """A job as pages show it."""

    id: str
    kind: str
    state: str
    means: str
    waits: str
    project: str
    verdict: str
    reason: str
    helps: tuple[str, ...]
    finished: bool


def column(said: dict[str, Any]) -> Column:
    """Return a column; `uses` is none where the platform does not tell."""
    uses = said.get("uses")
    return Column(
        str(said["name"]),
        str(said["type"]),
        str(said.get("unit") or ""),
        str(said["kind"]),
        tuple(map(str, uses)) if isinstance(uses, list | tuple) else None,
        tuple(map(str, said.get("rules") or ())),
    )


def query(dataset: dict[str, Any]) -> str:
    """Return a first statement over a dataset: a count by the first column by which one may group."""
    relation = str(dataset["relation"])
    if not _RELATION.fullmatch(relation):
        return ""
    groups = [each for each in map(column, dataset["columns"]) if "group" in (each.uses or ())]
    by = next((each.name for each in groups if _NAME.fullmatch(each.name)), "")
    lines = [f"select {by}, count(*) as n", f"from {relation}", f"group by {by}", f"order by {by}"]
    if not by:
        lines = ["select count(*) as n", f"from {relation}"]
    text = "\n".join(lines)
    return f'import darkroom\n\ndarkroom.sql("""\n{text}\n""", on="twin").result()'


def sample(dataset: dict[str, Any]) -> str:
    """Return the text that shows made-up rows of a dataset."""
    name = str(dataset["dataset"])
    return f'import darkroom\n\ndarkroom.sample("{name}")' if _DATASET.fullmatch(name) else ""


def apply(dataset: dict[str, Any]) -> str:
    """Return the way to the portal's form of application for a dataset; empty for what is no name."""
    name = str(dataset["dataset"])
    return f"/apply?dataset={name}" if _DATASET.fullmatch(name) else ""


def job(found: Any, language: str) -> Seen:
    """Return a job as a page shows it, from what the client knows already; nothing is fetched."""
    view = found.view
    verdict = view.get("verdict") or {}
    reasons = found.explain()
    problem = view.get("problem") or {}
    reason = (
        str(reasons[0].get("sentence", ""))
        if reasons and found.state in ("refused", "waiting-approval")
        else ""
    )
    reason = told(reason or (_ended(str(problem.get("title", ""))) if problem else ""), language)
    helps = (
        [str(each.get("help", "")) for each in reasons]
        if reasons and not found.remedies()
        else found.remedies()
    )
    return Seen(
        id=found.id,
        kind=found.kind,
        state=_term("state", found.state, language),
        means=_term("means", found.state, language, found.sentence),
        waits=_who(found.waits_for, language)
        + (f" ({before})" if (before := int(view.get("position") or 0)) else ""),
        project=str(view.get("project", "")),
        verdict=_term("finding", str(verdict.get("finding") or ""), language),
        reason=reason,
        helps=tuple(told(each, language) for each in (*helps, str(problem.get("next_step", ""))) if each)
        if found.state != "released"
        else (),
        finished=found.finished,
    )


def grant(said: dict[str, Any]) -> dict[str, Any]:
    """Return a grant as the page shows it."""
    until = int(said.get("until") or 0)
    return {
        "dataset": str(said["dataset"]),
        "project": str(said["project"]),
        "purpose": str(said["purpose"]),
        "columns": [str(each) for each in said.get("columns") or ()],
        "uses": int(said["uses"]),
        "left": said.get("uses_left"),
        "until": datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%d") if until else "",
        "private": said.get("private"),
        "exact": said.get("exact"),
    }


def told(sentence: str, language: str) -> str:
    """Return a sentence of the house in the page's language; one that has no Chinese stays as it is."""
    from plans.chinese import in_chinese

    return in_chinese(sentence) if language == "zh" else sentence


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "。", "!", "?")) else f"{sentence}." if sentence else ""


def _who(said: str, language: str) -> str:
    return _term("who", said, language, said) if said else ""


def _term(group: str, word: str, language: str, otherwise: str = "") -> str:
    """Return a word of records as a person reads it, in the client's own words; the word itself where it has none."""
    from darkroom.display_terms import TERMS

    pair = TERMS.get(f"{group}.{word}")
    return pair[language == "zh"] if pair else otherwise or word

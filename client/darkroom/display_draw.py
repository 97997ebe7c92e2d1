"""The drawing of each kind of object: what its display shows. Nothing here calls a method that could fetch.

A class says its kind by a class attribute `DISPLAY`; otherwise its name stands for it. Drawings read fields and
properties of what was handed out already, and leave out what is not there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from darkroom import display_lists as lists
from darkroom.display import (
    SHOWN_COLUMNS,
    Banner,
    Block,
    Code,
    Drawing,
    Facts,
    Grid,
    Lines,
    Mark,
    Sheet,
    Title,
    head_of,
    sheet,
)
from darkroom.display_words import Tongue, known, language, say, term, told

_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "DOUBLE", "FLOAT", "DECIMAL")
DIGEST, KEY = 12, 8
"""Characters of a digest and of a key that a display shows."""


def drawing_of(thing: Any) -> Drawing | None:
    """Return how an object is drawn, or none."""
    return _KINDS.get(str(getattr(type(thing), "DISPLAY", "") or type(thing).__name__))


def short(digest: str, length: int = DIGEST) -> str:
    """Return the head of a digest or key, as people compare them; of a key with the name of its kind."""
    kind, colon, value = digest.rpartition(":")
    return value[:length] if kind == "sha256" else f"{kind}{colon}{value[:length]}"


# --- results -----------------------------------------------------


def result(thing: Any) -> Sheet:
    """A released table: its head, what was withheld and why, how it is protected, and where it is from."""
    types = _types(thing)
    hidden = thing.suppressed
    count = sum(map(sum, hidden))
    size = say("result.size", rows=len(hidden), columns=len(types))
    withheld = say("result.withheld", cells=count) if count else say("result.none-withheld")
    return sheet(
        Title(say("result.title"), f"{size}, {withheld}"),
        table(thing.columns, types, (thing.texts(), hidden), _why(thing.plan)),
        Lines((*_protection(thing.plan), *_notes(thing))),
        Lines((_from(thing),)),
    )


def table(
    names: Sequence[str],
    types: Sequence[str],
    cells: tuple[Sequence[Sequence[str]], Sequence[Sequence[bool]]],
    why: str,
) -> Grid:
    """Return the head of a table of texts; cells of which the second part is true are marked."""
    wide = len(names) - SHOWN_COLUMNS
    texts, more = head_of(cells[0])
    shown = zip(texts, cells[1], strict=False)
    rows = tuple(
        tuple(
            Mark(why) if hidden else text
            for text, hidden in list(zip(row, marks, strict=True))[:SHOWN_COLUMNS]
        )
        for row, marks in shown
    )
    numbers = frozenset(place for place, kind in enumerate(types) if kind.lstrip("U").startswith(_NUMBERS))
    notes = [say("result.head", shown=len(rows), rows=len(rows) + more)] if more else []
    notes += [say("result.wide", more=wide)] if wide > 0 else []
    return Grid(tuple(names)[:SHOWN_COLUMNS], rows, numbers, tuple(notes))


def twin_result(thing: Any) -> Sheet:
    """A table of look-alike data, which says so before, beside and after the figures."""
    texts = _texts(thing)
    nothing = [[False] * len(row) for row in texts]
    size = say("result.size", rows=len(texts), columns=len(thing.columns))
    return sheet(
        Title(say("result.title"), say("twin.title"), "twin"),
        Banner(say("twin.banner"), "twin"),
        table(_column_names(thing.columns), _types(thing), (texts, nothing), ""),
        Lines((size, *_told(getattr(thing, "notes", ())), say("twin.next"))),
    )


def sample(thing: Any) -> Sheet:
    """Look-alike rows of one dataset."""
    texts = _texts(thing)
    nothing = [[False] * len(row) for row in texts]
    named = str(getattr(thing, "dataset", "") or getattr(thing, "relation", "") or getattr(thing, "name", ""))
    return sheet(
        Title(say("sample.title", name=named), say("twin.title"), "twin"),
        Banner(say("twin.banner"), "twin"),
        table(_column_names(thing.columns), _types(thing), (texts, nothing), ""),
        Lines(_told(getattr(thing, "told", ()))),
    )


def files(thing: Any) -> Sheet:
    """Released files: names and forms, what was done to them, and where they are from."""
    rows = tuple((each.name, str(each.form)) for each in thing.released.artifacts)
    return sheet(
        Title(say("files.title")),
        Grid((say("head.name"), say("head.form")), rows),
        Lines((*_notes(thing), say("files.save"))),
        Lines((_from(thing),)),
    )


def output_table(thing: Any) -> Sheet:
    """A released table among the outputs of a task."""
    types, hidden = _types(thing), thing.suppressed
    size = say("result.size", rows=len(hidden), columns=len(types))
    return sheet(
        Title(say("output.title", name=thing.name), size),
        table(thing.columns, types, (thing.texts(), hidden), say("cell.withheld-plain")),
        Lines(_told(thing.notes)),
    )


def twin_files(thing: Any) -> Sheet:
    """What a program left on look-alike data, which says so before and after the names."""
    rows = tuple((each.name, str(each.form)) for each in thing.artifacts)
    return sheet(
        Title(say("trial.left"), say("twin.title"), "twin"),
        Banner(say("twin.banner"), "twin"),
        Grid((say("head.name"), say("head.form")), rows),
        Lines((*_told(thing.notes), say("files.save"), say("twin.next"))),
    )


def would_leave(thing: Any) -> Sheet:
    """What a component would leave; nothing has run."""
    rows = tuple((each.name, str(each.form), each.meaning) for each in thing.outputs)
    return sheet(
        Title(say("check.title"), say("twin.title"), "twin"),
        Lines(_told(thing.notes)),
        Grid((say("head.name"), say("head.form"), say("check.leaves")), rows),
        Lines((say("twin.next"),)),
    )


def joint_result(thing: Any) -> Sheet:
    """A joint answer: the table, and under which model it holds."""
    texts, hidden = thing.texts(), thing.suppressed
    names = tuple(thing.columns)
    return sheet(
        Title(say("joint.result"), say("result.size", rows=len(texts), columns=len(names))),
        table(names, [""] * len(names), (texts, hidden), say("cell.withheld-plain")),
        Lines(_told(thing.notes)),
        Lines((say("result.plan", digest=short(thing.plan.digest)),)),
    )


def _told(sentences: Any) -> tuple[str, ...]:
    """Return sentences in the language that is spoken."""
    return tuple(told(str(each)) for each in sentences or ())


def _notes(thing: Any) -> list[str]:
    obligations = _obligations(thing.plan)
    values = {
        "persons": obligations.minimum_group if obligations else "?",
        "rounding": obligations.rounding if obligations else "?",
    }
    chinese = language() is Tongue.ZH
    return [
        say(f"note.{note.rule}", **values) if chinese and known(f"note.{note.rule}") else told(note.sentence)
        for note in thing.released.notes
    ]


def _protection(plan: Any) -> list[str]:
    obligations = _obligations(plan)
    if obligations is None:
        return []
    if str(obligations.mode) == "private":
        return [say("result.private")]
    return [say("result.protection", persons=obligations.minimum_group, rounding=obligations.rounding)]


def _why(plan: Any) -> str:
    obligations = _obligations(plan)
    return (
        say("cell.withheld", persons=obligations.minimum_group) if obligations else say("cell.withheld-plain")
    )


def _obligations(plan: Any) -> Any:
    decision = getattr(plan, "decision", None)
    return decision.obligations if decision else None


def _from(thing: Any) -> str:
    """Return where a result is from, and by which key that was checked."""
    plan, keeper = thing.plan, str(getattr(thing, "keeper", "") or "")
    found = [say("result.plan", digest=short(thing.released.plan))]
    domain = str(getattr(plan, "domain", "") or "")
    if keeper:
        found.append(say("result.verified", key=short(keeper, KEY), domain=domain))
    elif domain:
        found.append(say("result.owner", domain=domain))
    return "; ".join(found)


def _texts(thing: Any) -> list[list[str]]:
    found = thing.texts() if callable(getattr(thing, "texts", None)) else thing.rows
    return [["" if cell is None else str(cell) for cell in row] for row in found]


def _column_names(columns: Sequence[Any]) -> list[str]:
    return [str(getattr(column, "name", column)) for column in columns]


def _types(thing: Any) -> list[str]:
    given = getattr(thing, "types", None)
    if given is not None and not callable(given):
        return [str(each) for each in given]
    return [str(getattr(column, "type", "")) for column in thing.columns]


# --- jobs -----------------------------------------------------

_TONES = {
    "released": "good",
    "look-alike": "twin",
    "tried": "good",
    "refused": "bad",
    "failed": "bad",
    "cancelled": "plain",
}
_NEXT = {
    "waiting-approval": "next.approval",
    "held": "next.held",
    "released": "next.released",
    "refused": "next.refused",
    "cancelled": "next.ended",
    "look-alike": "next.released",
    "tried": "next.released",
}


def job(thing: Any) -> Sheet:
    """A job: state, what it waits for and who must act, what happened so far, the inspection, and the next step."""
    view = thing.view
    state = str(view["state"])
    made_up = bool(getattr(thing, "look_alike", False))
    return sheet(
        Title(say("job.title", id=view["id"]), term("state", state), "twin" if made_up else _tone(state)),
        Banner(say("twin.banner"), "twin") if made_up else None,
        Facts(tuple(_job_facts(view, state))),
        Lines((told(str(view.get("sentence", ""))),) if made_up and view.get("kind") != "sql" else ()),
        *_problem(view),
        Lines(tuple(_passed(view)), say("job.timeline")),
        Lines((say(_next(view, state)),), say("job.next")),
    )


def _tone(state: str) -> str:
    return _TONES.get(state, "waits")


def progress(view: Mapping[str, Any], seconds: float) -> Sheet:
    """A job that is being waited for: state, time so far, and how to come back to it."""
    state = str(view["state"])
    return sheet(
        Title(say("job.title", id=view["id"]), term("state", state), _tone(state)),
        Facts((*_job_facts(view, state), ("", say("magic.elapsed", seconds=seconds)))),
        Lines((say("job.back", id=str(view["id"])),)),
    )


def _job_facts(view: Mapping[str, Any], state: str) -> list[tuple[str, str]]:
    meaning = say(f"means.{state}") if known(f"means.{state}") else told(str(view.get("sentence", "")))
    waits = str(view.get("waits_for") or "")
    before = int(view.get("position") or 0)
    who = term("who", waits) if waits else say("job.nobody")
    pairs = [
        (say("job.meaning"), meaning),
        (say("job.waits"), say("job.before", who=who, before=before) if before else who),
    ]
    approvers = (view.get("decision") or {}).get("approvers") or ()
    if state == "waiting-approval" and approvers:
        pairs.append((say("job.acts"), ", ".join(map(str, approvers))))
    elif state == "held":
        pairs.append((say("job.acts"), f"{term('who', 'reviewers')}, {view.get('domain', '')}"))
    if view.get("domain"):
        pairs.append((say("job.owner"), str(view["domain"])))
    verdict = view.get("verdict") or {}
    if verdict:
        finding = term("finding", str(verdict.get("finding", "")))
        rules = ", ".join(term("rule", str(rule)) for rule in verdict.get("reasons") or ())
        pairs.append(
            (say("job.verdict"), say("job.rules", finding=finding, rules=rules) if rules else finding)
        )
    if view.get("cost"):
        pairs.append((say("job.cost"), say("job.cost-told", cost=view["cost"])))
    if int(view.get("attempt") or 0) > 1:
        pairs.append((say("job.attempt"), str(view["attempt"])))
    return pairs


def _problem(view: Mapping[str, Any]) -> list[Block]:
    """Return why a job ended without a result."""
    problem = view.get("problem")
    if not problem:
        return []
    code = str(problem.get("code", ""))
    title = say(f"code.{code}") if known(f"code.{code}") else ""
    blocks: list[Block] = [
        Banner(": ".join(filter(None, (title, told(str(problem.get("title", "")))))), "bad")
    ]
    return [*blocks, *reasons(view)]


def reasons(view: Mapping[str, Any]) -> list[Block]:
    """Return the failing rules of a job, and what would make it pass."""
    decision = view.get("decision") or {}
    rows = tuple(
        (
            term("rule", str(each.get("rule", ""))),
            told(str(each.get("sentence", ""))),
            told(str(each.get("help", ""))),
        )
        for each in decision.get("reasons") or ()
    )
    explanation = (view.get("problem") or {}).get("explanation") or {}
    found: list[Block] = []
    if rows:
        found.append(Grid((say("head.rule"), say("head.why"), say("head.help")), rows))
    for part, head in (
        ("remedies", "error.remedies" if explanation.get("complete") else "error.remedies-some"),
        ("alternatives", "error.alternatives"),
    ):
        sentences = tuple(told(str(each.get("sentence", ""))) for each in explanation.get(part) or ())
        if sentences:
            found.append(Lines(sentences, say(head)))
    return found


def _next(view: Mapping[str, Any], state: str) -> str:
    if state == "failed":
        return "next.failed" if view.get("retries") else "next.ended"
    return _NEXT.get(state, "next.wait")


def _passed(view: Mapping[str, Any]) -> list[str]:
    """Return the states that a job passed, each with its time; the portal writes `<Unix seconds> <state>`."""
    passed = []
    for entry in view.get("timeline") or ():
        at, _, state = str(entry).partition(" ")
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(int(at))) if at.isdigit() else at
        passed.append(f"{moment}  {term('state', state)}")
    return passed


def jobs(thing: Any) -> Sheet:
    """A list of jobs."""
    if not thing:
        return sheet(Lines((say("jobs.none"),)))
    shown, more = head_of(list(thing))
    rows = tuple(
        (
            str(each.id),
            term("state", each.state),
            term("who", each.waits_for),
            str(each.view.get("project", "")),
        )
        for each in shown
    )
    heads = tuple(say(f"head.{name}") for name in ("id", "state", "waits", "project"))
    notes = (say("list.more", more=more),) if more else ()
    return sheet(Title(say("jobs.title", count=len(thing))), Grid(heads, rows, notes=notes))


def joint(thing: Any) -> Sheet:
    """A joint computation."""
    view = thing.view
    state = str(view.get("state", ""))
    pairs = [(say("job.meaning"), told(str(view.get("sentence", ""))))]
    pairs.append((say("job.waits"), told(str(view.get("waits_for") or "")) or say("job.nobody")))
    parties = [
        str(each.get("domain", each)) if isinstance(each, dict) else str(each)
        for each in view.get("parties") or ()
    ]
    if parties:
        pairs.append((say("joint.parties"), ", ".join(parties)))
    problem = view.get("problem") or {}
    return sheet(
        Title(say("joint.title", id=view.get("id", "")), term("state", state), _tone(state)),
        Facts(tuple(pairs)),
        Banner(told(str(problem.get("title", ""))), "bad") if problem else None,
    )


def trial(thing: Any) -> Sheet:
    """What came of a trial: how it ended, where, what it printed and what it leaves."""
    ended = say("trial.failed", code=thing.code) if thing.code else say("trial.well")
    place = thing.place
    where = say("trial.place", error=place.error, file=place.file, line=place.line) if place else ""
    rows = tuple((each.name, say("size", size=each.size)) for each in thing.left)
    return sheet(
        Title(say("trial.title"), ended, "bad" if thing.code else "good"),
        Banner(say("twin.banner"), "twin"),
        Lines((where,) if where else ()),
        Code(lists.cut(thing.text), say("trial.text")) if thing.text else None,
        Code(lists.cut(thing.log), say("trial.log")) if thing.log else None,
        Grid((say("trial.left"), say("head.size")), rows) if rows else None,
    )


_KINDS: dict[str, Drawing] = {
    "Result": result, "result": result,
    "TwinResult": twin_result, "twin-result": twin_result,
    "Sample": sample, "sample": sample,
    "Files": files, "files": files,
    "OutputTable": output_table, "TwinFiles": twin_files, "WouldLeave": would_leave,
    "Job": job, "job": job, "TwinJob": job, "TwinRun": job, "TwinCheck": job, "TrialJob": job,
    "Jobs": jobs, "jobs": jobs,
    "JointJob": joint, "JointComputation": joint, "joint": joint,
    "JointResult": joint_result, "joint-result": joint_result,
    "TrialReport": trial, "trial-report": trial,
    **lists.KINDS,
}  # fmt: skip

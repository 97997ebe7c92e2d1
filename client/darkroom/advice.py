"""Errors that teach: what an error says to its member, where, by which rule, whom to ask, and a rewrite to copy.

An error of a statement gets its *lesson* where the client raises it (`taught`, `teaching`); `str(error)` stays as it
is, for scripts. In IPython the lesson is one card. Rewrites are proposals, made here from the refusal and from the
catalog as it was fetched already: nothing is asked or spent for them. `error.try_it()` asks, by a dry run each.
"""

from __future__ import annotations

import os
import re
import sys
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Protocol

from darkroom import advice_rewrites as rewrites
from darkroom import advice_width
from darkroom import display_words as words
from darkroom.advice_rewrites import Columns, Rewrite
from darkroom.advice_sql import calls, parsed, relations, words_in
from darkroom.completion_functions import FUNCTIONS
from darkroom.display import Banner, Block, Code, Facts, Lines, Link, Sheet, Shown, Title, sheet
from darkroom.local import in_lab, portal_page, project_and_purpose
from plans import names
from plans.errors import DarkroomError

if TYPE_CHECKING:
    from darkroom.job import Job
    from plans.request import Request

MOST_REMEMBERED = 200
"""Statements that this session keeps in mind, to advise about their jobs."""

MIRROR = "/mirror"
"""Where a lab has the packages that its operator allows."""

_PACKAGES = (".whl", ".tar.gz", ".zip")
_asked: OrderedDict[str, Asked] = OrderedDict()


class Asks(Protocol):
    """What can say what would be answered to a statement: a connection."""

    def dry_run(
        self, statement: str, *, project: str, purpose: str, spend_micro: int = 0
    ) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked: the statement, and for which project and purpose."""

    statement: str
    project: str = ""
    purpose: str = ""
    spend_micro: int = 0


@dataclass(frozen=True, slots=True)
class Lesson:
    """What there is to say about an error beside its text. `view` is the portal's view of the job, if there is one."""

    asked: Asked | None = None
    view: Mapping[str, Any] = field(default_factory=dict)
    connection: Asks | None = field(default=None, repr=False)
    title: str = ""
    """The message that is the card's title, where the code's own words would say too much."""
    whom: str | None = None
    """Whom to ask, where the code does not say it; nobody if empty."""
    command: str = ""
    """What to do next for who uses the command line, where that differs."""

    @property
    def reasons(self) -> Sequence[Mapping[str, Any]]:
        """The reasons of a decision."""
        return _mappings(_mapping(self.view.get("decision")).get("reasons"))

    @property
    def explanation(self) -> Mapping[str, Any]:
        """What would help, as the portal found it by trying."""
        told = _mapping(_mapping(self.view.get("problem")).get("explanation"))
        return {
            **told,
            "remedies": _mappings(told.get("remedies")),
            "alternatives": _mappings(told.get("alternatives")),
        }


def _mapping(found: Any) -> Mapping[str, Any]:
    """Return a part of the portal's answer, empty where it has another form: advice never fails on it."""
    return found if isinstance(found, Mapping) else {}


def _mappings(found: Any) -> tuple[Mapping[str, Any], ...]:
    listed = found if isinstance(found, list | tuple) else ()
    return tuple(
        each
        for each in listed
        if isinstance(each, Mapping) and isinstance(each.get("columns", []), list | tuple)
    )


def remember(number: str, request: Request) -> None:
    """Keep in mind what a job was asked, in this session only."""
    _asked[number] = Asked(request.statement, request.project, request.purpose, request.spend_micro)
    while len(_asked) > MOST_REMEMBERED:
        _asked.popitem(last=False)


def taught(problem: DarkroomError, job: Job[Any]) -> DarkroomError:
    """Return a job's error with its lesson."""
    view = job.view
    asked = _asked.get(job.id) if str(view.get("kind", "sql")) == "sql" else None
    return teach(problem, Lesson(asked, view, job.connection))


@contextmanager
def teaching(
    connection: Asks, statement: str, *, project: str = "", purpose: str = "", spend_micro: int = 0
) -> Iterator[None]:
    """Give errors inside this block the lesson of a statement."""
    try:
        yield
    except DarkroomError as problem:
        if lesson_of(problem) is None:
            teach(problem, Lesson(Asked(statement, project, purpose, spend_micro), connection=connection))
        raise


def teach(problem: DarkroomError, lesson: Lesson) -> DarkroomError:
    """Return an error with a lesson, and with `try_it`."""
    problem.lesson = lesson  # type: ignore[attr-defined]
    problem.try_it = lambda: try_it(problem)  # type: ignore[attr-defined]
    return problem


def lesson_of(problem: BaseException) -> Lesson | None:
    """Return an error's lesson, or none."""
    found = getattr(problem, "lesson", None)
    return found if isinstance(found, Lesson) else None


# --- rewrites -----------------------------------------------------


def proposals(problem: DarkroomError, columns: Columns | None = None) -> tuple[Rewrite, ...]:
    """Return rewrites of the statement that an error is about, the likeliest first; none where none follows.

    `columns` describe relations; what this session has fetched already, if left out.
    """
    lesson = lesson_of(problem)
    if lesson is None or lesson.asked is None:
        return ()
    text = lesson.asked.statement
    known = _fetched(text) if columns is None else columns
    found = chain(_by_rules(text, lesson, known), _by_words(text, problem, known))
    different = {each.sql: each for each in found if each.sql.split() != text.split()}
    return tuple(islice(different.values(), rewrites.MOST))


def _by_rules(text: str, lesson: Lesson, columns: Columns) -> Iterator[Rewrite]:
    """Yield what follows from the portal's explanation, and from the rules of the airlock that spoke."""
    has_star = parsed(text) is not None and "*" in [
        span.of(text)
        for span in (parsed(text).items("select"))  # type: ignore[union-attr]
    ]
    if has_star and lesson.reasons:
        yield from rewrites.star(text, columns)
    yield from rewrites.by_remedies(text, lesson.explanation.get("remedies") or ())
    for reason in lesson.reasons:
        if str(reason.get("rule")) in ("column-use", "identifier", "column-rules", "grant-columns"):
            yield from _extremes(text, str(reason.get("subject", "")).rpartition(".")[2], columns)


def _extremes(text: str, column: str, columns: Columns) -> Iterator[Rewrite]:
    """Yield percentiles in place of min and max of a column, where the catalog says that those are allowed."""
    uses = {each.name: each.uses or () for listed in columns.values() for each in listed}
    for function in ("max", "min"):
        for other in rewrites.QUANTILES:
            if other in uses.get(column, ()) and calls(text, function):
                yield from rewrites.instead(text, function, other, column)


_TOO_SMALL = ("output.refused", "budget.spent")


def _by_words(text: str, problem: DarkroomError, columns: Columns) -> Iterator[Rewrite]:
    """Yield what follows from the error's own sentence and code."""
    if problem.code in _TOO_SMALL:
        yield from rewrites.coarser(text, columns)
    if problem.code in ("sql.syntax", "sql.unsupported"):
        yield from advice_width.rewrites(text)
        yield from _by_name(text, problem, columns)
        yield from _by_shape(text, problem.what, columns)
        yield from _by_engine(text, problem.what, columns)


_SPELT = re.compile(
    r'(?:[Cc]olumn (?:named )?"(?P<column>\w+)"|with name (?P<name>\w+) does not exist)'
    r'.{0,80}?(?:Candidate bindings: (?:: )?|Did you mean )"(?P<right>[\w.]+)"'
)
_FUNCTION = re.compile(r"\bfunction with name", re.IGNORECASE)
_UNGROUPED = re.compile(r'column "(\w+)" must appear in the GROUP BY clause')


def _by_engine(text: str, what: str, columns: Columns) -> Iterator[Rewrite]:
    """Yield what follows from DuckDB's own words, which are told of look-alike data alone. It knows neither the guard
    nor the catalog, so its proposals pass the same sieve as all others.
    """
    if spelt := _SPELT.search(what):
        wrong, right = spelt["column"] or spelt["name"], spelt["right"]
        if spelt["name"] and not _FUNCTION.search(what):
            yield from rewrites.renamed(text, wrong, right, "")  # a relation or schema
        elif spelt["name"] and (right.lower() not in FUNCTIONS or right.lower() in rewrites.OF_ONE_ROW):
            yield from _other_function(text, wrong.lower(), columns)
        elif spelt["name"] or _may_name(right, columns):
            yield from rewrites.renamed(text, wrong, right, "")
    if ungrouped := _UNGROUPED.search(what):
        yield from _grouped(text, ungrouped[1], columns)


def _may_name(column: str, columns: Columns) -> bool:
    """Return whether a statement may name a column; one that nothing is known of may, and where no column has a use,
    as before an owner's first policies, all but identifiers.
    """
    name = column.rpartition(".")[2].lower()
    every = [each for listed in columns.values() for each in listed]
    told = any(each.uses for each in every)
    return all(
        each.usable if told else each.kind != "identifier" for each in every if each.name.lower() == name
    )


def _grouped(text: str, column: str, columns: Columns) -> Iterator[Rewrite]:
    """Yield the statement with a column as a key of its groups, or its mean, where its values would show persons."""
    known = [each for listed in columns.values() for each in listed if each.name.lower() == column.lower()]
    if any(rewrites.is_amount(each) for each in known):
        yield from rewrites.averaged(text, column)
    elif _may_name(column, columns):
        yield from rewrites.grouped_by(text, column)


def _by_name(text: str, problem: DarkroomError, columns: Columns) -> Iterator[Rewrite]:
    """Yield what follows where the guard names a column, relation or function."""
    what = problem.what
    if problem.next_step.startswith("Did you mean ") and "'" in what:
        right = problem.next_step.removeprefix("Did you mean ").rstrip("?")
        if re.fullmatch(r"[\w.]+", right):
            yield from rewrites.renamed(text, what.split("'")[1], right, problem.where)
    if "is neither in an aggregate nor a GROUP BY key" in what:
        column = what.partition("row-level output: ")[2].partition(" is neither")[0]
        yield from _grouped(text, column, columns) if column.isidentifier() else ()
    if what.startswith("the function "):
        function = what.split()[2]
        yield from _other_function(text, function, columns)
    if "stands beside an aggregate" in what:
        column = what.partition("row-level output: ")[2].partition(" stands")[0]
        yield from _grouped(text, column, columns) if column.isidentifier() else ()


def _by_shape(text: str, what: str, columns: Columns) -> Iterator[Rewrite]:
    """Yield what follows where the guard refuses the form of a statement."""
    if what.startswith("LIMIT takes a whole number"):
        yield from rewrites.limited(text)
    if "over single rows is not in the subset" in what:
        yield from rewrites.unlimited(text)
    if "yields no figure about a group" in what:
        yield from rewrites.groups(text, columns)
    if "*" in what:
        yield from rewrites.star(text, columns)


def _other_function(text: str, function: str, columns: Columns) -> Iterator[Rewrite]:
    function = rewrites.WRITTEN.get(function, function)
    if function in rewrites.INSTEAD:
        yield from rewrites.instead(text, function, rewrites.INSTEAD[function])
    elif function in rewrites.OF_ONE_ROW:
        for column in (each for listed in columns.values() for each in listed):
            if column.usable and column.type.lstrip("U").startswith(_NUMBERS):
                yield from rewrites.instead(text, function, "avg", column.name)


_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "DOUBLE", "FLOAT", "DECIMAL")


def _fetched(text: str) -> Columns:
    from darkroom.completion import fetched

    return {
        relation: tuple(
            rewrites.Column(
                str(column.get("name", "")),
                str(column.get("type", "")),
                str(column.get("kind", "")),
                tuple(map(str, column["uses"])) if isinstance(column.get("uses"), (list, tuple)) else None,
            )
            for column in fetched.columns(relation)
        )
        for relation in relations(text)
    }


# --- trying them -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trial:
    """A rewrite and what a dry run answered: `allow`, `deny`, `needs-approval`, or why there is no answer."""

    sql: str
    outcome: str


class Trials(Shown):
    """Rewrites and what dry runs answered. `passing` are the statements that would be answered."""

    __slots__ = ("trials",)

    def __init__(self, drawn: Sheet, trials: tuple[Trial, ...]) -> None:
        super().__init__(drawn)
        self.trials = trials

    @property
    def passing(self) -> tuple[str, ...]:
        """The statements that would be answered, at once or after an approval."""
        return tuple(each.sql for each in self.trials if each.outcome in ("allow", "needs-approval"))


def try_it(problem: DarkroomError | None = None) -> Trials:
    """Check each rewrite of an error by a dry run, and return what was answered. Nothing runs on data. In IPython the
    last error is meant where none is given.
    """
    last = getattr(sys, "last_value", None) if problem is None else problem
    lesson = lesson_of(last) if isinstance(last, DarkroomError) else None
    found = proposals(last) if isinstance(last, DarkroomError) else ()
    if lesson is None or lesson.asked is None or lesson.connection is None or not found:
        return Trials(sheet(Lines((words.say("error.nothing-to-try"),))), ())
    tried = tuple(Trial(each.sql, _outcome(lesson.connection, lesson.asked, each.sql)) for each in found)
    blocks = [
        Code(
            each.sql,
            words.say("error.tried", label=_why(rewrite), outcome=words.term("outcome", each.outcome)),
        )
        for rewrite, each in zip(found, tried, strict=True)
    ]
    late = Lines((words.say("error.dry-limits"),) if last.code in _TOO_SMALL else ())  # type: ignore[union-attr]
    return Trials(sheet(Title(words.say("magic.dry")), *blocks, late), tried)


def _outcome(connection: Asks, asked: Asked, statement: str) -> str:
    try:
        project, purpose = project_and_purpose(asked.project, asked.purpose)
        answer = connection.dry_run(
            statement, project=project, purpose=purpose, spend_micro=asked.spend_micro
        )
    except DarkroomError as problem:
        return str(problem)
    return str(answer["outcome"])


def _why(rewrite: Rewrite) -> str:
    return words.say(rewrite.why, **dict(rewrite.values))


# --- the card -----------------------------------------------------


def card(problem: DarkroomError, line: str = "") -> Sheet:
    """Return an error as a card. `line` says in which line of the member's it came up."""
    lesson = lesson_of(problem) or Lesson()
    named = lesson.title or f"code.{problem.code}"
    title = words.say(named) if words.known(named) else words.told(problem.what)
    facts = [
        (words.say("error.where"), "; ".join(filter(None, (words.place(problem.where), line)))),
        (words.say("error.rule"), _rules(lesson)),
        (words.say("error.whom"), whom(problem, lesson)),
        (words.say("error.do"), words.told(problem.next_step)),
    ]
    found = proposals(problem)
    return sheet(
        Title(title, problem.code, "bad"),
        Banner(words.told(problem.what), "bad"),
        Facts(tuple((label, value) for label, value in facts if value)),
        *_helps(lesson),
        Lines((words.say("note.limit-late"),) if _limits(problem, lesson) else ()),
        *(Code(each.sql, f"{words.say('error.rewrite')}: {_why(each)}") for each in found),
        Lines((words.say("error.unchecked"),) if found and lesson.connection is not None else ()),
        *_applications(lesson),
        Lines((words.say("error.last"),) if line else ()),
    )


def _rules(lesson: Lesson) -> str:
    rules = [str(reason.get("rule", "")) for reason in lesson.reasons]
    rules += [str(rule) for rule in (lesson.view.get("verdict") or {}).get("reasons") or ()]
    told = (f"{rule} ({words.term('rule', rule)})" for rule in dict.fromkeys(rules) if rule)
    return "; ".join(told)


def whom(problem: DarkroomError, lesson: Lesson) -> str:
    """Return whom to ask about an error."""
    code = problem.code
    if lesson.whom is not None:
        return lesson.whom
    approvers = (lesson.view.get("decision") or {}).get("approvers") or ()
    if approvers:
        return words.say("whom.approvers", names=", ".join(map(str, approvers)))
    if code.startswith(("evidence.", "audit.")):
        return words.say("whom.owner-and-auditor")
    if code in ("access.not-allowed", "disk.full", "platform.defect") or code.startswith(
        ("service.", "cluster.")
    ):
        return os.environ.get("DARKROOM_ADMINISTRATOR") or words.say("whom.administrator")
    domain = str(lesson.view.get("domain") or "") or _domain_of(lesson)
    if code in ("policy.denied", "output.refused", "budget.spent", "rule.refused") and domain:
        return words.say("whom.owner", domain=domain)
    return words.say("whom.nobody") if code.startswith("sql.") else ""


def _domain_of(lesson: Lesson) -> str:
    subjects = (str(reason.get("subject", "")) for reason in lesson.reasons)
    return next((names.domain_of(subject) for subject in subjects if subject.count("/") > 1), "")


def _helps(lesson: Lesson) -> list[Block]:
    found: list[Block] = []
    complete = "error.remedies" if lesson.explanation.get("complete") else "error.remedies-some"
    for part, head in (("remedies", complete), ("alternatives", "error.alternatives")):
        sentences = tuple(
            words.told(str(each.get("sentence", ""))) for each in lesson.explanation.get(part) or ()
        )
        if sentences:
            found.append(Lines(sentences, words.say(head)))
    if not found and lesson.reasons:
        found.append(Lines(tuple(words.told(str(reason.get("sentence", ""))) for reason in lesson.reasons)))
    return found


def _applications(lesson: Lesson) -> Iterator[Code | Link]:
    """Yield what to run to apply for a grant, with everything filled in that is known; in a lab, which cannot apply for
    its member, the portal's page that can.
    """
    asked = lesson.asked or Asked("")
    for remedy in lesson.explanation.get("remedies") or ():
        if remedy.get("kind") != "apply":
            continue
        role = str(remedy.get("role", ""))
        if in_lab() and (page := _page(remedy, asked)):
            yield Link(page, words.say("error.apply-page"))
            continue
        given = (
            f"{str(remedy['subject'])!r}, {list(map(str, remedy.get('columns') or ()))!r}, {asked.purpose!r}"
        )
        yield Code(
            f'darkroom.apply({given}, project={asked.project!r}, until="YYYY-MM-DD", role={role!r})',
            words.say("error.apply"),
        )


def _page(remedy: Mapping[str, Any], asked: Asked) -> str:
    """Return the address of the portal's page for an application, filled in; empty where none is known."""
    return portal_page(
        "/apply",
        columns=",".join(map(str, remedy.get("columns") or ())),
        dataset=str(remedy.get("subject", "")),
        project=asked.project or os.environ.get("DARKROOM_PROJECT", ""),
        purpose=asked.purpose or os.environ.get("DARKROOM_PURPOSE", ""),
        role=str(remedy.get("role", "")),
    )


def _limits(problem: DarkroomError, lesson: Lesson) -> bool:
    """Return whether to say that LIMIT does not help: where too much or too little would leave."""
    return (
        problem.code in _TOO_SMALL
        and lesson.asked is not None
        and "limit" in words_in(lesson.asked.statement)
    )


def missing_module(problem: ModuleNotFoundError) -> str:
    """Return how to ask for a module that this lab's image does not have."""
    module = str(problem.name or "").partition(".")[0]
    mirror = words.say("module.mirror", module=module) if _in_mirror(module) else ""
    administrator = os.environ.get("DARKROOM_ADMINISTRATOR") or words.say("module.administrator")
    return words.say("module.missing", module=module, whom=administrator, mirror=mirror)


def _in_mirror(module: str) -> bool:
    """Whether the operator's folder of packages has one of this name; packages of another name are not known here."""
    try:
        there = os.listdir(MIRROR)
    except OSError:
        return False
    packages = (re.split(r"-\d", file.lower())[0] for file in there if file.endswith(_PACKAGES))
    return module.lower() in (package.replace("-", "_").replace(".", "_") for package in packages)

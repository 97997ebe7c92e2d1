"""`%%darkroom` and `%darkroom`: SQL in a cell of its own.

    %%darkroom --on twin --as by_region
    select region, count(*) as n from tax.income group by region

    --on twin|real     on look-alike or on real data
    --as NAME          keep the answer in this variable, too
    --project NAME     for which project; the lab's own, if left out
    --purpose TEXT     for which purpose; the lab's own, if left out
    --spend MICRO      what it may cost where figures leave with noise, in millionths of rho
    --dry-run          say what would be answered; nothing runs on data

While a job runs its state is shown in place. An interrupt ends the watching, not the job.
"""

from __future__ import annotations

import shlex
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from darkroom import display_draw as draw
from darkroom.advice import Asked, Lesson, proposals, teach
from darkroom.display import Block, Code, Facts, Grid, Lines, Shown, Title, sheet, show
from darkroom.display_text import plain
from darkroom.display_words import say, term, told
from plans.errors import Malformed, PolicyDenied

if TYPE_CHECKING:
    from collections.abc import Mapping

    from darkroom.job import Job

_TAKES = {"--on": "on", "--as": "name", "--project": "project", "--purpose": "purpose", "--spend": "spend"}
_HELP = "For example: %%darkroom --on twin --as answer"


@dataclass(frozen=True, slots=True)
class Options:
    """What stands behind `%%darkroom`; empty texts leave it to the session."""

    on: str = ""
    name: str = ""
    project: str = ""
    purpose: str = ""
    spend: int = 0
    dry: bool = False

    def given(self) -> dict[str, Any]:
        """Return the keyword arguments that were given."""
        found = {"project": self.project, "purpose": self.purpose, "spend_micro": self.spend}
        return {name: value for name, value in found.items() if value}


class Stopped(KeyboardInterrupt):
    """The member stopped watching. IPython shows no traceback of it, and runs no further cells of a queue."""

    def _render_traceback_(self) -> list[str]:
        return []


def options(line: str) -> tuple[Options, str]:
    """Return the options at the head of a line, and what follows them.

    Raises:
        Malformed: an option is not known, or has no value.
    """
    values: dict[str, Any] = {}
    rest = line.strip()
    while rest.startswith("--") and not rest.startswith("-- "):
        word, _, rest = rest.partition(" ")
        option, equals, value = word.partition("=")
        if option == "--dry-run":
            values["dry"] = True
        elif option in _TAKES:
            if not equals:
                value, rest = _value(rest, option)
            elif value[:1] in "'\"" and value:
                value, rest = _value(f"{value} {rest}", option)
            values[_TAKES[option]] = value
        else:
            raise Malformed(
                "this option is not known", option, f"There are {', '.join(_TAKES)}, --dry-run. {_HELP}"
            )
        rest = rest.lstrip()
    return _checked(values), rest


def _value(rest: str, option: str) -> tuple[str, str]:
    """Return an option's value, in quotes if it has blanks, and what follows it."""
    lexer = shlex.shlex(rest, posix=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        value = lexer.get_token()
    except ValueError:
        raise Malformed("a quote is not closed", option, _HELP) from None
    if not value:
        raise Malformed("this option takes a value", option, _HELP)
    left: Any = lexer.instream
    return value, str(left.read())


def _checked(values: dict[str, Any]) -> Options:
    if "name" in values and not str(values["name"]).isidentifier():
        raise Malformed("--as takes the name of a variable", "--as", _HELP)
    if values.get("on", "twin") not in ("twin", "real"):
        raise Malformed("a statement runs on twin or real", "--on", _HELP)
    if "spend" in values:
        if not str(values["spend"]).isdecimal():
            raise Malformed("--spend takes a whole number, in millionths of rho", "--spend", "--spend 10000")
        values["spend"] = int(values["spend"])
    return Options(**values)


def run(ip: Any, line: str, cell: str | None) -> Any:
    """Run a statement as its options say, and return the answer.

    Raises:
        DarkroomError: what is not right with it, with advice.
    """
    chosen, rest = options(line)
    statement = (cell if cell is not None else rest).strip()
    if cell is not None and rest:
        raise Malformed("the statement stands below the line of %%darkroom", rest[:40], _HELP)
    if not statement:
        raise Malformed("there is no statement", "%%darkroom", "Write it below: select …")
    answer = _dry(statement, chosen) if chosen.dry else _answered(statement, chosen)
    if chosen.name:
        ip.push({chosen.name: answer})
    return answer


def _answered(statement: str, chosen: Options) -> Any:
    import darkroom

    found: Any = darkroom.sql(statement, on=chosen.on, **chosen.given())
    if not hasattr(found, "wait"):
        return found.result() if hasattr(found, "result") else found
    if not found.finished:
        watch(found)
    return found.result()


def watch(job: Job) -> None:
    """Show a job's states until it has finished: in place, or in a terminal a line for each.

    Raises:
        Stopped: the member interrupted; the job goes on.
    """
    began = time.monotonic()
    handle: Any = None

    def moved_on(moved: Job) -> None:
        if handle is not None:
            handle.update(Shown(draw.progress(moved.view, time.monotonic() - began)))
        else:
            sys.stderr.write(plain(f"{moved.id}  {term('state', moved.state)}") + "\n")

    try:
        if _in_place():
            handle = show(draw.progress(job.view, 0), kept=True)
        job.wait(progress=moved_on)
    except KeyboardInterrupt:
        show(sheet(Lines((say("job.left", id=job.id), say("job.back", id=job.id)))))
        raise Stopped from None
    if handle is not None:
        handle.update(Shown(draw.job(job)))


def _in_place() -> bool:
    """Return whether what is displayed can be updated in its place: in a notebook, and not in a terminal."""
    from IPython.core.getipython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


def _dry(statement: str, chosen: Options) -> Shown:
    from darkroom.session import connection

    room, said = connection(), _full(chosen)
    answer = room.dry_run(statement, **said)
    return Shown(sheet(*dry_blocks(answer), *_advice(answer, Lesson(Asked(statement), connection=room))))


def _advice(answer: Mapping[str, Any], lesson: Lesson) -> list[Block]:
    """Return rewrites of a statement that would be denied, where some follow from the reasons."""
    if answer["outcome"] != "deny":
        return []
    denied = teach(PolicyDenied("denied"), replace(lesson, view={"decision": answer}))
    return [Code(each.sql, say(each.why, **dict(each.values))) for each in proposals(denied)]


def _full(chosen: Options) -> dict[str, Any]:
    from darkroom.local import project_and_purpose

    project, purpose = project_and_purpose(chosen.project, chosen.purpose)
    return {"project": project, "purpose": purpose, "spend_micro": chosen.spend}


def dry_blocks(answer: Mapping[str, Any]) -> list[Block]:
    """Return what a dry run was answered: whether, why not, at what price and with how much noise."""
    outcome = str(answer["outcome"])
    tone = {"allow": "good", "deny": "bad"}.get(outcome, "waits")
    blocks: list[Block] = [Title(say("magic.dry"), term("outcome", outcome), tone)]
    rows = tuple(
        (
            term("rule", str(each.get("rule", ""))),
            told(str(each.get("sentence", ""))),
            told(str(each.get("help", ""))),
        )
        for each in answer.get("reasons") or ()
    )
    if rows:
        blocks.append(Grid((say("head.rule"), say("head.why"), say("head.help")), rows))
    noise = answer.get("noise")
    if noise:
        price = say("magic.price", rho=noise["rho_micro"], datasets=", ".join(map(str, noise["datasets"])))
        errors = [
            (say("magic.noise", output=each["output"]), f"± {each['error']}") for each in noise["errors"]
        ]
        blocks.append(Facts(((say("magic.cost"), price), *errors)))
    return blocks


def install(ip: Any) -> None:
    """Make `%%darkroom` and `%darkroom` known to a shell. Names in braces stay as they are written."""

    def darkroom(line: str, cell: str | None = None) -> Any:
        return run(ip, line, cell)

    darkroom.__doc__ = __doc__
    darkroom._ipython_magic_no_var_expand = True  # type: ignore[attr-defined]
    ip.register_magic_function(darkroom, magic_kind="line_cell", magic_name="darkroom")


def uninstall(ip: Any) -> None:
    """Forget them."""
    for kind in ("line", "cell"):
        ip.magics_manager.magics[kind].pop("darkroom", None)

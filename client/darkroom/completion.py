"""Completion in `%%darkroom` cells and `%darkroom` lines: options with their values, tables, columns and functions,
from the catalog as it is known here.

What was fetched already is kept (`fetched`); what is missing is fetched beside the typing, by one short call at a time
of which typing waits `PATIENCE_S` at the most. Nothing is asked that needs a key, spends anything or holds a row.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from darkroom.advice_sql import Token, tokens
from darkroom.completion_functions import FUNCTIONS
from plans import names
from plans.errors import DarkroomError

PATIENCE_S = 0.3
"""How long typing waits for the catalog, once in a while."""

AGAIN_S, OLD_S = 20.0, 600.0
"""After how long a failed look is tried again, and after how long the catalog is looked at anew."""

MOST = 200
OPTIONS = ("--on", "--as", "--project", "--purpose", "--spend", "--dry-run")
VALUES = {"--on": ("twin", "real")}
"""Options whose values are known words."""

_LINE = re.compile(r"\s*(?:[\w., ]+=\s*)?%darkroom(?=\s)")
"""The magic in a line of its own, which may keep its answer."""

_GIVEN = re.compile(r"""\s*--(?:dry-run|[a-z]+(?:=|\s+)(?:"[^"]*"|'[^']*'|[^\s"']\S*))(?=\s)""")
"""An option that is written out."""

KEYWORDS = (
    "select", "from", "where", "group by", "order by", "having", "limit", "join", "left join", "using", "on", "as",
    "with", "case", "when", "then", "else", "end", "and", "or", "not", "in", "between", "is null", "distinct", "desc",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Word:
    """A completion, and what it is: `table`, `column`, `function`, `keyword`, `option` or `value`."""

    text: str
    kind: str


@dataclass
class Fetched:
    """What this session knows of the catalog: datasets by relation, and columns of those that were described."""

    datasets: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    described: dict[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    at: float = 0.0

    def columns(self, relation: str) -> Sequence[Mapping[str, Any]]:
        """Return the columns of a relation, as they were described; nothing of one that was not."""
        return self.described.get(relation.lower(), ())


fetched = Fetched()
"""The catalog as this session has seen it."""


def keep_datasets(listed: Iterable[Mapping[str, Any]]) -> None:
    """Keep the catalog that was fetched; what has no well-formed name is left out, for names go into statements."""
    fetched.datasets = {
        str(each.get("relation")): each for each in listed if names.is_a("relation", each.get("relation"))
    }
    fetched.at = time.monotonic()


def keep_description(view: Mapping[str, Any]) -> None:
    """Keep a description that was fetched, as `keep_datasets` does."""
    columns = view.get("columns")
    if names.is_a("relation", view.get("relation")) and isinstance(columns, list | tuple):
        fetched.described[str(view["relation"])] = tuple(
            each for each in columns if isinstance(each, Mapping) and names.is_a("column", each.get("name"))
        )


def words_at(before: str, after: str = "", known: Fetched | None = None) -> list[Word]:
    """Return what may stand where the cursor is, in a statement of this text before and after it."""
    known = known or fetched
    written = _word(before)
    found = tokens(before[: len(before) - len(written)])
    if _inside_text(before):
        return []
    return list(_ranked(_possible(found, written, before + after, known), written))


def options_at(before: str) -> tuple[list[Word], str]:
    """Return what may stand where the cursor is among options, and what is written of it: an option that is not there
    yet, or a value of the one before. They begin after the magic's name.
    """
    *earlier, written = re.split(r"\s", before)
    given = [each for each in earlier if each]
    name, equals, _ = written.partition("=")
    if equals:
        found = [Word(f"{name}={value}", "value") for value in VALUES.get(name, ())]
    elif given and given[-1] in OPTIONS and given[-1] != "--dry-run":
        found = [Word(value, "value") for value in VALUES.get(given[-1], ())]
    else:
        there = {each.partition("=")[0] for each in given}
        found = [Word(option, "option") for option in OPTIONS if option not in there]
    return [word for word in found if word.text.startswith(written)], written


def statement_in(line: str) -> int:
    """Return where the statement of a line begins, behind its options; the end, if it has none yet."""
    at = 0
    while given := _GIVEN.match(line, at):
        at = given.end()
    return at + len(line[at:]) - len(line[at:].lstrip())


def _possible(found: Sequence[Token], written: str, text: str, known: Fetched) -> Iterator[Word]:
    tables = _tables(text)
    if "." in written:
        head = written.rpartition(".")[0].lower()
        yield from (Word(f"{head}.{name}", "column") for name in _columns([tables.get(head, head)], known))
        yield from (Word(name, "table") for name in known.datasets if name.startswith(f"{head}."))
        return
    last = found[-1].word if found else ""
    if last in ("from", "join") or (found and found[-1].text == "," and _in_from(found)):
        yield from (Word(name, "table") for name in known.datasets)
        return
    yield from (Word(name, "column") for name in _columns(tables.values(), known))
    yield from (Word(alias, "table") for alias in tables if "." not in alias)
    yield from (Word(name, "function") for name in FUNCTIONS)
    yield from (Word(word, "keyword") for word in KEYWORDS)


def _tables(text: str) -> dict[str, str]:
    """Return the relations in a statement by alias, by their last name, and by their whole name."""
    found = tokens(text)
    named: dict[str, str] = {}
    for place, token in enumerate(found):
        if token.text != "." or not 0 < place < len(found) - 1:
            continue
        first, second = found[place - 1], found[place + 1]
        before = found[place - 2].word if place > 1 else ""
        if not (before in ("from", "join") or (place > 1 and found[place - 2].text == ",")):
            continue
        relation = f"{first.word}.{second.word}"
        rest = [each.word for each in found[place + 2 : place + 4]]
        alias = rest[1] if rest[:1] == ["as"] and len(rest) > 1 else rest[0] if rest else ""
        named |= {relation: relation, second.word: relation}
        if alias and alias not in _AFTER:
            named[alias] = relation
    return named


_AFTER = {word for each in KEYWORDS for word in each.split()} | {
    "inner",
    "cross",
    "union",
    "offset",
    "qualify",
}


def _columns(relations: Iterable[str], known: Fetched) -> list[str]:
    names = (
        str(each.get("name", "")) for relation in dict.fromkeys(relations) for each in known.columns(relation)
    )
    return list(dict.fromkeys(names))


def _in_from(found: Sequence[Token]) -> bool:
    for token in reversed(found):
        if token.word in ("from", "select", "where", "by", "having"):
            return token.word == "from"
    return False


def _ranked(possible: Iterable[Word], written: str) -> Iterator[Word]:
    seen: set[str] = set()
    for word in possible:
        if word.text.lower().startswith(written.lower()) and word.text not in seen and len(seen) < MOST:
            seen.add(word.text)
            yield word


def _word(before: str) -> str:
    """Return the name that is being written: letters, digits, `_` and dots up to the cursor."""
    at = len(before)
    while at and (before[at - 1].isalnum() or before[at - 1] in "_."):
        at -= 1
    return before[at:]


def _inside_text(before: str) -> bool:
    line = before.rpartition("\n")[2]
    return before.count("'") % 2 == 1 or "--" in line


# --- fetching, beside the typing -----------------------------------------------------


class Looking:
    """The looks at the catalog: one at a time, in a thread of its own."""

    def __init__(self, datasets: Callable[[], Any], describe: Callable[[str], Any]) -> None:
        self._datasets, self._describe = datasets, describe
        self._running: threading.Thread | None = None
        self._failed = float("-inf")

    def look(self, text: str, patience: float = PATIENCE_S) -> None:
        """Fetch what completing this statement would need, and wait for it no longer than `patience` seconds."""
        missing = self._missing(text)
        if not missing or time.monotonic() - self._failed < AGAIN_S:
            return
        if self._running is None or not self._running.is_alive():
            self._running = threading.Thread(target=self._fetch, args=(missing,), daemon=True)
            self._running.start()
            self._running.join(patience)

    def _missing(self, text: str) -> tuple[str, ...]:
        if not fetched.datasets or time.monotonic() - fetched.at > OLD_S:
            return ("",)
        named = dict.fromkeys(_tables(text).values())
        return tuple(each for each in named if each in fetched.datasets and each not in fetched.described)

    def _fetch(self, missing: Sequence[str]) -> None:
        try:
            if missing == ("",):
                keep_datasets(self._datasets())
                return
            for relation in missing:
                keep_description(self._describe(str(fetched.datasets[relation]["dataset"])))
        except (DarkroomError, KeyError, OSError):
            self._failed = time.monotonic()


# --- IPython -----------------------------------------------------


def install(ip: Any) -> None:
    """Complete in cells that begin with `%%darkroom`, before IPython's own completions."""
    from IPython.core.completer import context_matcher

    if any(getattr(each, "of_darkroom", False) for each in ip.Completer.custom_matchers):
        return
    looking = Looking(*_by_client())

    @context_matcher(priority=250, identifier="darkroom")  # type: ignore[untyped-decorator, unused-ignore]
    def matcher(context: Any) -> dict[str, Any]:
        return _matched(context, looking)

    matcher.of_darkroom = True
    ip.Completer.custom_matchers.append(matcher)


def uninstall(ip: Any) -> None:
    """Complete as IPython does."""
    kept = [each for each in ip.Completer.custom_matchers if not getattr(each, "of_darkroom", False)]
    ip.Completer.custom_matchers[:] = kept


def _by_client() -> tuple[Callable[[], Any], Callable[[str], Any]]:
    def datasets() -> Any:
        import darkroom

        return darkroom.datasets()

    def describe(dataset: str) -> Any:
        import darkroom

        return darkroom.describe(dataset)

    return datasets, describe


def _matched(context: Any, looking: Looking) -> dict[str, Any]:
    """Return the answer of a matcher of IPython; nothing in cells and lines that are not ours."""
    lines, place = context.full_text.split("\n"), context.cursor_line
    line, cursor = lines[place], context.cursor_position
    before = line[:cursor]
    if lines[0].startswith("%%darkroom"):
        if place == 0:
            return _answer(*options_at(before.removeprefix("%%darkroom")))
        after = [line[cursor:], *lines[place + 1 :]]
        return _in_statement("\n".join([*lines[1:place], before]), "\n".join(after), looking)
    magic = _LINE.match(before)
    if magic is None or lines[0].startswith("%%"):
        return {"completions": []}
    begins = magic.end() + statement_in(line[magic.end() :])
    if cursor <= begins or line[begins:].startswith("-"):
        return _answer(*options_at(before[magic.end() :]))
    return _in_statement(before[begins:], line[cursor:], looking)


def _in_statement(before: str, after: str, looking: Looking) -> dict[str, Any]:
    looking.look(before + after)
    return _answer(words_at(before, after), _word(before))


def _answer(words: Sequence[Word], written: str) -> dict[str, Any]:
    from IPython.core.completer import SimpleCompletion

    found = [SimpleCompletion(text=word.text, type=word.kind) for word in words]
    return {"completions": found, "matched_fragment": written, "suppress": True, "ordered": True}

"""A statement as a member wrote it, cut into words and clauses, so that advice can change one place of it.

This reads just enough to rewrite plain statements: words, texts, comments and brackets, and of one plain SELECT its
clauses and items. It decides nothing; whether a rewrite passes is for a dry run to say. What it does not understand
it leaves alone, so a rewrite is the member's own text, spaces and comments included, with one place changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""(?P<comment>--[^\n]*|/\*.*?\*/)|(?P<text>'(?:[^']|'')*')|(?P<quoted>"(?:[^"]|"")*")"""
    r"""|(?P<number>\d+(?:\.\d+)?)|(?P<word>[^\W\d]\w*)|(?P<space>\s+)|(?P<sign>.)""",
    re.DOTALL,
)
_CLAUSES = ("select", "from", "where", "group by", "having", "qualify", "order by", "limit", "offset")
_SET_WORDS = ("union", "intersect", "except", "with")
LONGEST = 100_000


@dataclass(frozen=True, slots=True)
class Token:
    """A word, number, text or sign, where it stands, and in how many brackets."""

    kind: str
    text: str
    start: int
    depth: int

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.start + len(self.text)

    @property
    def word(self) -> str:
        """It in small letters, if it is a name or keyword; empty otherwise."""
        if self.kind == "quoted":
            return self.text[1:-1].replace('""', '"').lower()
        return self.text.lower() if self.kind == "word" else ""


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a statement, from `start` up to `end`."""

    start: int
    end: int

    def of(self, text: str) -> str:
        """Return the piece, without spaces around it."""
        return text[self.start : self.end].strip()


@dataclass(frozen=True, slots=True)
class Edit:
    """A piece to replace."""

    start: int
    end: int
    text: str


def tokens(text: str) -> tuple[Token, ...]:
    """Return the words and signs of a statement, without spaces and comments; none of one that is too long."""
    return tuple(_tokens(text)) if len(text) <= LONGEST else ()


def _tokens(text: str) -> Iterator[Token]:
    depth = 0
    for found in _TOKEN.finditer(text):
        kind = found.lastgroup or "sign"
        if kind in ("space", "comment"):
            continue
        depth -= found[0] in (")", "]")
        yield Token(kind, found[0], found.start(), depth)
        depth += found[0] in ("(", "[")


def edited(text: str, edits: Iterable[Edit]) -> str:
    """Return a text with pieces replaced; pieces do not overlap."""
    for edit in sorted(edits, key=lambda each: each.start, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text.strip()


@dataclass(frozen=True, slots=True)
class Statement:
    """One plain SELECT: its text, and the clauses by name, each from its keyword on and from its content on."""

    text: str
    clauses: dict[str, tuple[int, Span]]

    def items(self, clause: str) -> tuple[Span, ...]:
        """Return what stands between commas in a clause; nothing where it is not there."""
        return pieces(self.text, self.clauses[clause][1], ",") if clause in self.clauses else ()

    def content(self, clause: str) -> str:
        """Return a clause's content, empty where it is not there."""
        return self.clauses[clause][1].of(self.text) if clause in self.clauses else ""

    def relations(self) -> tuple[str, ...]:
        """Return the names `schema.table` in FROM and JOIN."""
        return relations(self.text)

    def before(self, *clauses: str) -> int:
        """Return where the first of these clauses begins, or the end of the statement."""
        found = [self.clauses[name][0] for name in clauses if name in self.clauses]
        return min(found, default=len(self.text.rstrip().rstrip(";")))


def parsed(text: str) -> Statement | None:
    """Return a statement cut into clauses; none if it is anything but one plain SELECT."""
    found = tokens(text)
    if not found or found[0].word != "select" or found[0].kind != "word":
        return None
    marks: list[tuple[str, Token, Token]] = []
    for token, after in zip(found, (*found[1:], found[-1]), strict=True):
        if token.depth or token.kind != "word":
            continue
        if token.word in _SET_WORDS:
            return None
        name = f"{token.word} {after.word}" if token.word in ("group", "order") else token.word
        if name in _CLAUSES:
            marks.append((name, token, after if " " in name else token))
    if any(token.depth < 0 for token in found) or len({name for name, _, _ in marks}) != len(marks):
        return None
    whole = len(text.rstrip().rstrip(";"))
    ends = [mark[1].start for mark in marks[1:]] + [whole]
    clauses = {
        name: (first.start, Span(last.end, end)) for (name, first, last), end in zip(marks, ends, strict=True)
    }
    return Statement(text, clauses)


def pieces(text: str, span: Span, between: str) -> tuple[Span, ...]:
    """Return the pieces of a span that a sign or word separates, outside brackets."""
    inside = [token for token in tokens(text) if span.start <= token.start < span.end]
    depth = min((token.depth for token in inside), default=0)
    starts, ends, within = [span.start], [], False
    for token in inside:
        within = token.word == "between" or (within and token.word != "and")
        splits = token.depth == depth and between in (token.text, token.word)
        if splits and not (between == "and" and _ends_between(inside, token)):
            ends.append(token.start)
            starts.append(token.end)
    return tuple(Span(start, end) for start, end in zip(starts, [*ends, span.end], strict=True))


def _ends_between(inside: Sequence[Token], here: Token) -> bool:
    """Return whether this AND belongs to a BETWEEN before it."""
    before = [token.word for token in inside if token.start < here.start and token.depth == here.depth]
    for word in reversed(before):
        if word in ("and", "or"):
            return False
        if word == "between":
            return True
    return False


def words_in(text: str) -> frozenset[str]:
    """Return the names and keywords of a piece, in small letters."""
    return frozenset(token.word for token in tokens(text) if token.word)


def relations(text: str) -> tuple[str, ...]:
    """Return every name `schema.table` that follows FROM, JOIN or a comma after them."""
    found, named = tokens(text), []
    for place, token in enumerate(found[:-3]):
        first, dot, second = found[place + 1 : place + 4]
        if token.word in ("from", "join") and first.word and dot.text == "." and second.word:
            named.append(f"{first.word}.{second.word}")
    return tuple(dict.fromkeys(named))


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a function: where its name stands, and its arguments."""

    name: Token
    arguments: Span


def calls(text: str, function: str) -> tuple[Call, ...]:
    """Return the calls of a function."""
    found, called = tokens(text), []
    for place, token in enumerate(found[:-1]):
        opening = found[place + 1]
        if token.word == function.lower() and opening.text == "(":
            closing = next(
                (each for each in found[place + 2 :] if each.text == ")" and each.depth == opening.depth),
                None,
            )
            if closing is not None:
                called.append(Call(token, Span(opening.end, closing.start)))
    return tuple(called)

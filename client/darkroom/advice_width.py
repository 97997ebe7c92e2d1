"""Signs of full width in a statement, as a Chinese input method types them: count（*），n；‘a’.

SQL knows the plain ones alone, and takes a bracket of full width for a letter, so that what an engine says of it leads
nowhere. What stands in texts, quoted names and comments is the member's own and stays as it is. Where plain signs could
mean something else than was meant, nothing is proposed: two of them that begin a comment, and curved quotes that may be
a name or a text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from darkroom.advice_rewrites import Rewrite
from darkroom.advice_sql import LONGEST
from plans.errors import DarkroomError, SqlSyntax

_PIECE = re.compile(
    r"""(?P<kept>--[^\n]*|/\*.*?\*/|(?P<dollar>\$\w*\$).*?(?P=dollar)|'(?:[^']|'')*'|"(?:[^"]|"")*")"""
    r"""|(?P<text>[‘’＇](?P<said>[^‘’＇'\n]*)[‘’＇])|(?P<named>[“”＂](?P<name>[^“”＂"\n]*)[“”＂])|(?P<sign>.)""",
    re.DOTALL,
)
_AS = re.compile(r"\b[Aa][Ss]\s*\Z")
_COMPARED = tuple("=<>＝＜＞≥≤≠")
_BEFORE_TEXTS = frozenset({"LIKE", "ILIKE", "THEN", "ELSE"})
_COMMENTS = ("--", "/*", "*/")
_PLAIN = {
    "、": ",",
    "。": ".",
    "\u3000": " ",
    "≥": ">=",
    "≤": "<=",
    "≠": "<>",
    "−": "-",
    "–": "-",
    "—": "-",
} | {chr(code + 0xFEE0): chr(code) for code in range(ord("!"), ord("~") + 1) if not chr(code).isalpha()}
"""Signs and digits, and the plain ones in their place. Letters of full width may be a name's own."""


def narrowed(text: str) -> str:
    """Return a statement with plain signs in place of those of full width."""
    return "".join(plain for _, plain in _pieces(text)) if len(text) <= LONGEST else text


def signs(text: str) -> tuple[str, ...]:
    """Return the signs of full width in a statement, each once, outside of what is the member's own text."""
    if len(text) > LONGEST:
        return ()
    found = "".join(sign for sign, plain in _pieces(text) if sign and sign != plain)
    return tuple(dict.fromkeys(sign for sign in found if not sign.isspace()))


def rewrites(text: str) -> Iterator[Rewrite]:
    """Yield the statement with plain signs, where it has others and they can mean but one thing."""
    if (made := signs(text)) and not _is_unclear(text):
        yield Rewrite(narrowed(text), "why.full-width", (("signs", " ".join(made)),))


def _is_unclear(text: str) -> bool:
    """Whether plain signs would begin or end a comment, or curved quotes may be a name as well as a text."""
    plain = narrowed(text)
    if any(plain.count(sign) != text.count(sign) for sign in _COMMENTS):
        return True
    named = (found for found in _PIECE.finditer(text) if found["named"] is not None)
    return any(
        not _AS.search(text, 0, found.start()) and not _is_text(text[: found.start()]) for found in named
    )


def _is_text(before: str) -> bool:
    """Whether what stands in curved quotes behind this is compared, or chosen, and so is a text and no name."""
    before = before.rstrip()
    words = before.upper().split()
    if before.endswith(_COMPARED) or (words and words[-1] in _BEFORE_TEXTS):
        return True
    opened = max(before.rfind("("), before.rfind("（"))
    listed = before.endswith(tuple("(（,，、")) and max(before.rfind(")"), before.rfind("）")) < opened
    return listed and re.search(r"\bIN\s*\Z", before[:opened], re.IGNORECASE) is not None


def explained(text: str, problem: DarkroomError) -> DarkroomError:
    """Return what an engine says of a statement; of one with signs of full width that these are what is wrong."""
    found = signs(text)
    if not found:
        return problem
    listed = " ".join(found)
    return SqlSyntax(
        f"SQL does not know signs of full width, and this statement has: {listed}",
        problem.where,
        "Type them without the Chinese input method; inside texts they may stay.",
    )


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """Yield the signs of a statement that may be of full width, and what stands in their place; what is kept has none.

    Curved quotes are a text, and behind AS a name.
    """
    for found in _PIECE.finditer(text):
        piece = found[0]
        if found["text"] is not None:
            yield from _quoted(piece, found["said"], "'")
        elif found["named"] is not None:
            name = _AS.search(text, 0, found.start()) is not None
            yield from _quoted(piece, found["name"], '"' if name else "'")
        elif found["sign"] is not None:
            yield piece, _PLAIN.get(piece, piece)
        else:
            yield "", piece


def _quoted(piece: str, inside: str, quote: str) -> Iterator[tuple[str, str]]:
    yield piece[0], quote
    yield "", inside.replace(quote, 2 * quote)
    yield piece[-1], quote


__all__ = ["explained", "narrowed", "rewrites", "signs"]

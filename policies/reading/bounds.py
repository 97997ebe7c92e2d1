"""Bounds that hold before anything recursive sees a statement.

A parser of nested input recurses, and Python's stack ends before a hostile statement does. So the statement
is first cut into tokens, which needs no recursion, and refused when it is too long or nests too deeply
(ATTACKS 22). How *long* reading may take is the box's limit, not ours.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import SqlglotError, TokenError
from sqlglot.tokens import Token, TokenType

from plans.errors import SqlSyntax, SqlUnsupported, TooLarge

DIALECT = "duckdb"

logging.getLogger("sqlglot").setLevel(logging.CRITICAL)  # the parser's warnings quote the statement


@dataclass(frozen=True, slots=True)
class Bounds:
    """The largest statement: characters, tokens, depth of nesting, and signs or NOTs in a row."""

    characters: int = 100_000
    tokens: int = 20_000
    depth: int = 40
    prefixes: int = 8
    tree_depth: int = 250
    branches: int = 64
    list_items: int = 1_000
    text: int = 256
    relations: int = 8


BOUNDS = Bounds()

_STUMBLES = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""How the parser stumbles over half of a construct, such as a struct without its first name, instead of saying so."""

_OPENING = {TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE, TokenType.CASE}
_CLOSING = {TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE, TokenType.END}
_PREFIX = {TokenType.NOT, TokenType.DASH, TokenType.PLUS, TokenType.TILDE}


def parse(text: str) -> exp.Expression:
    """Return the one statement in `text` as the parser sees it; comments are dropped.

    Raises:
        TooLarge: the statement is longer than the bounds.
        SqlUnsupported: it nests too deeply.
        SqlSyntax: it does not parse, or is no statement, or more than one.
    """
    if len(text) > BOUNDS.characters:
        raise TooLarge(f"the statement has more than {BOUNDS.characters:,} characters", "statement")
    if "\0" in text:
        raise SqlSyntax("the statement holds a zero character", "statement")
    try:
        dialect = Dialect.get_or_raise(DIALECT)
        tokens = dialect.tokenize(text)
        _require_flat(tokens)
        statements = dialect.parser().parse(tokens, text)
    except TokenError:
        raise SqlSyntax(
            "the statement holds a character or an unfinished text that is no SQL", "statement"
        ) from None
    except SqlglotError as problem:
        raise SqlSyntax("the statement does not parse", _place(problem)) from None
    except _STUMBLES:
        raise SqlSyntax("the statement does not parse", "statement") from None
    except RecursionError:
        raise too_deep() from None
    found = [each for each in statements if each is not None and not isinstance(each, exp.Semicolon)]
    if len(found) != 1:
        raise SqlSyntax(
            "exactly one statement is needed", "statement", "Send one SELECT, without anything after it."
        )
    require_shallow(found[0])
    return found[0]


def _require_flat(tokens: list[Token]) -> None:
    if len(tokens) > BOUNDS.tokens:
        raise TooLarge(f"the statement has more than {BOUNDS.tokens:,} words and signs", "statement")
    depth = prefixes = 0
    for token in tokens:
        depth += (token.token_type in _OPENING) - (token.token_type in _CLOSING)
        prefixes = prefixes + 1 if token.token_type in _PREFIX else 0
        if depth > BOUNDS.depth or prefixes > BOUNDS.prefixes:
            raise too_deep()


def require_shallow(root: exp.Expression) -> None:
    """Measure the tree without recursion: a chain of a thousand ORs is as deep as it is long."""
    waiting = [(root, 1)]
    while waiting:
        node, depth = waiting.pop()
        if depth > BOUNDS.tree_depth:
            raise too_deep()
        waiting += [(child, depth + 1) for child in node.iter_expressions()]


def too_deep() -> SqlUnsupported:
    """Return the refusal of a statement that nests too deeply."""
    return SqlUnsupported(
        "the statement nests too deeply, or chains too many operators",
        "statement",
        "Use IN (…) for long lists of values.",
    )


def _place(problem: SqlglotError) -> str:
    """Return where parsing stopped; the parser's own text stays here, it quotes the statement."""
    for error in getattr(problem, "errors", ()):
        if error.get("line"):
            return f"line {error['line']}, character {error['col']}"
    return "statement"

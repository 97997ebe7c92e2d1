"""The words of a statement as they are written, beside the parser's tree.

The parser rewrites some of what it reads: it calls functions by names of its own, and makes a bare word of a
column where it expects the name of a unit (`date_trunc(region, day)`). The engine reads the words. So each of
these two questions is asked of the words: is every function that is called in the table, and does every word
that could name a column stand in the tree as a name?
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import sqlglot
from sqlglot import exp
from sqlglot.tokens import Token, TokenType

from plans.errors import SqlUnsupported
from policies.reading import functions, refusal
from policies.reading.bounds import DIALECT
from policies.reading.values import not_listed

_SYNTAX_TEXT = """
all and any as between by case cast char cube decimal distinct else end escape except exclude exists
filter from group grouping_sets having ilike in inner intersect interval is join lateral like limit not
numeric offset on or order over over_sets partition qualify rename rollup select sets similar some then
to try_cast union using values varchar when where window with within materialized
"""
_SYNTAX = frozenset(_SYNTAX_TEXT.split())
"""Words of SQL after which a parenthesis may open, and no function is called."""


def tokens(text: str) -> list[Token]:
    """Return the words and signs of a statement that has been parsed already."""
    return list(sqlglot.tokenize(text, read=DIALECT))


def called(words: list[Token], root: exp.Expression, *, finish: bool = False) -> tuple[str, ...]:
    """Return the functions that a statement calls, by the names that are written, each once, sorted.

    Raises:
        SqlUnsupported: one of them is not in the table.
    """
    named = _tables_with_columns(root)
    found = set()
    for before, word, after in zip([None, *words], words, words[1:], strict=False):
        name = word.text.lower()
        if after.token_type is not TokenType.L_PAREN or not _is_word(word):
            continue
        quoted = word.token_type is TokenType.IDENTIFIER
        if (not quoted and (name in _SYNTAX or " " in name)) or name in named:
            continue
        if before is not None and before.token_type is TokenType.DOT:
            raise SqlUnsupported(f"{refusal.shown(name)} is called with a dot", _place(word), "Write f(x).")
        if functions.written(name, finish=finish) is None:
            raise _at(word, not_listed(None, name))
        found.add(name)
    for pad in root.find_all(exp.Pad):
        require_short(pad)
    return tuple(sorted(found))


def require_names(words: list[Token], root: exp.Expression, columns: Iterable[str]) -> None:
    """Refuse a statement in which a word that could name a column does not stand as a name in the tree.

    Raises:
        SqlUnsupported: it does not.
    """
    tree = _names_in(root)
    known = set(columns) | {name for name, count in tree.items() if count}
    written: Counter[str] = Counter()
    last: dict[str, Token] = {}
    for word, after in zip(words, [*words[1:], None], strict=True):
        is_call = after is not None and after.token_type is TokenType.L_PAREN
        if word.token_type in (TokenType.VAR, TokenType.IDENTIFIER) and not is_call:
            written[word.text.lower()] += 1
            last[word.text.lower()] = word
    for name, count in written.items():
        if name in known and count > tree[name]:
            raise SqlUnsupported(
                f"the name {refusal.shown(name)!r} stands where a constant or a word of SQL belongs",
                _place(last[name]),
                "Write units as text: date_trunc('month', day).",
            )


def _names_in(root: exp.Expression) -> Counter[str]:
    """Return how often each name stands in the tree, words that SQL itself asks for among them."""
    found: Counter[str] = Counter()
    for node in root.walk():
        if (
            isinstance(node, exp.Identifier)
            or isinstance(node, exp.Var)
            and isinstance(node.parent, exp.Interval | exp.Extract | exp.WindowSpec)
        ):
            found[node.name.lower()] += 1
        elif isinstance(node, exp.DataType):
            found[str(node.this.name).lower()] += 1
    return found


def _tables_with_columns(root: exp.Expression) -> set[str]:
    """Return the names of tables that are followed by names of columns: `WITH t(a, b)`."""
    aliases = root.find_all(exp.TableAlias)
    return {alias.name.lower() for alias in aliases if alias.args.get("columns")} - set(functions.LEFT_OUT)


def require_short(pad: exp.Pad) -> None:
    """Refuse to pad a text to a length that is no small constant.

    Raises:
        SqlUnsupported: it is none.
    """
    length = pad.expression
    text = str(length.this) if isinstance(length, exp.Literal) and not length.is_string else ""
    if not re.fullmatch(r"[0-9]{1,4}", text) or int(text) > functions.LONGEST_PAD:
        raise refusal.unsupported(
            pad,
            f"a text is padded to a constant length, at most {functions.LONGEST_PAD:,}",
            "lpad(code, 6, '0')",
        )


def _is_word(token: Token) -> bool:
    if token.token_type is TokenType.STRING:
        return False
    return token.token_type is TokenType.IDENTIFIER or (token.text[:1].isalpha() or token.text[:1] == "_")


def _place(token: Token) -> str:
    return f"line {token.line}, character {max(1, token.col - len(token.text) + 1)}"


def _at(token: Token, refused: SqlUnsupported) -> SqlUnsupported:
    return SqlUnsupported(refused.what, _place(token), refused.next_step)

"""How the guard says no: what, where in the statement, and what to write instead.

Names of relations and columns may be said, since whoever asks may know that the dataset exists; constants of
the statement are not repeated.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from sqlglot import exp

from plans.errors import SqlSyntax, SqlUnsupported


def unsupported(node: exp.Expression | None, what: str, instead: str = "") -> SqlUnsupported:
    """Return the refusal of a construct."""
    return SqlUnsupported(what, place(node), instead)


def wrong(node: exp.Expression | None, what: str, instead: str = "") -> SqlSyntax:
    """Return the refusal of a statement that cannot mean anything."""
    return SqlSyntax(what, place(node), instead)


def unknown(node: exp.Expression, kind: str, name: str, known: Iterable[str]) -> SqlSyntax:
    """Return the refusal of a name that is not there, with the nearest one that is."""
    names = sorted(known)
    near = difflib.get_close_matches(name.lower()[:64], names, n=1, cutoff=0.6)
    if near:
        advice = f"Did you mean {near[0]}?"
    elif len(names) <= 12:
        advice = f"Known here: {', '.join(names) or 'none'}."
    else:
        advice = "List the names with `darkroom describe`."
    return wrong(node, f"there is no {kind} {shown(name)!r}", advice)


def shown(name: str) -> str:
    """Return a name as it may be shown: short, and without characters that a terminal would act on."""
    return "".join(sign if sign.isprintable() else "?" for sign in name[:63])


def place(node: exp.Expression | None) -> str:
    """Return where in the statement a node begins, as far as the parser remembers."""
    if not isinstance(node, exp.Expression):  # the parser may leave an empty text where a name is missing
        return "statement"
    for inner in node.walk():
        if "line" in inner.meta and "col" in inner.meta:
            column = max(1, inner.meta["col"] - (inner.meta.get("end", 0) - inner.meta.get("start", 0)))
            return f"line {inner.meta['line']}, character {column}"
    return "statement"


def word(node: exp.Expression) -> str:
    """Return what people call a kind of node: `Window` is a window, `GroupingSets` grouping sets."""
    name = type(node).__name__.replace("ILike", "Ilike")
    return "".join(" " + sign.lower() if sign.isupper() else sign for sign in name).strip()

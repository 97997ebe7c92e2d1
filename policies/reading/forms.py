"""The guard's whole finding about a statement: the reading, and what the second reader needs to look at it again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain

from sqlglot import exp

from plans.errors import SqlSyntax, SqlUnsupported
from plans.reading import ColumnUse, Level, Output, Reading, Role, Shadow
from plans.request import statement_digest
from policies.reading.bounds import parse
from policies.reading.rows import not_shown, read_rows
from policies.reading.splitting import Split, split
from policies.reading.statement import Found, read_plain

ROW_LEVEL = "row-level"
"""How the refusal of a statement begins that yields rows."""


@dataclass(frozen=True, slots=True)
class Forms:
    """A reading; the plain form of each of its tables, without numbers of persons; and the columns (with their
    relation) that definitions in the statement mention, although nothing may be computed from them.
    """

    reading: Reading
    plain: tuple[str, ...]
    mentioned: frozenset[tuple[str, str]]


def read(text: str, shadows: tuple[Shadow, ...]) -> Reading:
    """Return what a statement uses and yields; the outputs' types are empty, for the engine to fill in.

    Raises:
        TooLarge: the statement is longer than the bounds.
        SqlSyntax: it does not parse, is not one statement, or names what is not there.
        SqlUnsupported: it uses something that is not in the subset, or yields rows that not all may be seen.
    """
    return read_forms(text, shadows).reading


def read_forms(text: str, shadows: tuple[Shadow, ...]) -> Forms:
    """Return the whole finding; raises like `read`."""
    root = parse(text)
    shown = any(column.shown for shadow in shadows for column in shadow.columns)
    if shown and (rows := read_rows(root, text, shadows)) is not None:
        return Forms(rows, (), frozenset())
    try:
        found = read_plain(root, shadows)
        return Forms(_direct(text, found), (text,), frozenset())
    except (SqlUnsupported, SqlSyntax):
        # What one plain SELECT cannot say, a split statement may; if it cannot either, it says why.
        return _split(text, root, shadows)


def _split(text: str, root: exp.Expression, shadows: tuple[Shadow, ...]) -> Forms:
    try:
        found = split(root, shadows)
    except SqlUnsupported as refused:
        raise _with_hidden(refused, lambda: not_shown(root, shadows)) from None
    if "~" in text and "REGEXP_MATCHES(" in found.finish:
        # The parser takes `text ~ pattern` for a search; the engine wants the whole text to match.
        raise SqlUnsupported(
            "the operator ~ is not in the subset over figures",
            "statement",
            "Write regexp_full_match(text, pattern).",
        )
    if not found.finish:
        return Forms(_direct(text, found.tables[0]), found.plain, found.mentioned)
    return Forms(_finished(text, found), found.plain, found.mentioned)


def _with_hidden(refused: SqlUnsupported, hidden: Callable[[], tuple[str, ...]]) -> SqlUnsupported:
    """Say with a refusal of rows which columns would have to be shown; nothing where even that is unclear."""
    if not refused.what.startswith(ROW_LEVEL):
        return refused
    try:
        names = hidden()
    except (SqlUnsupported, SqlSyntax):
        return refused
    if not names:
        return refused
    listed = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    sentence = f"Rows leave only if every column may be seen as it is; these may not: {listed}."
    return SqlUnsupported(refused.what, refused.where, f"{refused.next_step} {sentence}".strip())


def _direct(text: str, found: Found) -> Reading:
    return Reading(
        statement=statement_digest(text),
        level=Level.CELLS,
        relations=found.relations,
        uses=found.uses,
        functions=found.functions,
        tables=(found.cells,),
        finish="",
        outputs=found.cells.outputs,
        order=found.order,
        limit=found.limit,
    )


def _finished(text: str, found: Split) -> Reading:
    sources = _sorted(
        chain.from_iterable(output.sources for table in found.tables for output in table.cells.outputs)
    )
    outputs = tuple(Output(name, "", Role.DERIVED, "", 0, sources) for name in found.names)
    return Reading(
        statement=statement_digest(text),
        level=Level.CELLS,
        relations=_sorted(chain.from_iterable(table.relations for table in found.tables)),
        uses=_uses(chain.from_iterable(table.uses for table in found.tables)),
        functions=_sorted(chain.from_iterable(table.functions for table in found.tables)),
        tables=tuple(table.cells for table in found.tables),
        finish=found.finish,
        outputs=outputs,
        order=(),
        limit=None,
    )


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


def _uses(uses: Iterable[ColumnUse]) -> tuple[ColumnUse, ...]:
    return tuple(
        sorted(set(uses), key=lambda use: (use.relation, use.column, use.clause.value, use.function))
    )

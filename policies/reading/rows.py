"""The first reader at the level of rows: may this statement yield rows, and which columns does it use?

It may if every column that it uses is one whose values the asker may see as they are. Then it may compute
whatever it likes, and what runs is **the member's own text**, without what follows the statement. The parser
could write the statement anew from its tree, but its dialect is not the engine's to the last operator, and
a difference would be a wrong answer that nobody notices. What the parser misreads cannot do harm either: the
second reader binds the same text that runs, and finds no column or function that is not allowed
(`inside.rows`). So the text is one, and both readers read it.

The engine's names of columns are not used: outputs are named here, by position, from the aliases that are
harmless names and from nothing else.
"""

from __future__ import annotations

import re

from sqlglot import exp
from sqlglot.tokens import Token, TokenType

from plans import names
from plans.reading import Cells, Clause, ColumnUse, Level, Output, Reading, Role, Shadow
from plans.request import statement_digest
from policies.reading import functions, refusal, words
from policies.reading.general import Found, find
from policies.reading.places import Item
from policies.reading.sources import NAME

MOST_OUTPUTS = 100
LONGEST_NAME = 63


def read_rows(root: exp.Expression, text: str, shadows: tuple[Shadow, ...]) -> Reading | None:
    """Return the reading of a statement that may yield rows, or none where it uses a column that is not shown.

    `root` is the parsed `text`. The outputs' types are empty, for the second reader to fill in.

    Raises:
        SqlSyntax, SqlUnsupported: the statement is refused; never one that reads relations without any shown
            column, which are not read here at all.
    """
    if not any(column.shown for shadow in shadows for column in shadow.columns):
        return None
    written = words.tokens(text)
    called = words.called(written, root)
    found = find(root, shadows)
    if _hidden(found, shadows):
        return None
    words.require_names(written, root, _columns(found, shadows))
    if not found.relations:
        raise refusal.unsupported(root, "a statement needs a relation", "Add FROM schema.table.")
    if not 0 < len(found.outputs) <= MOST_OUTPUTS:
        raise refusal.unsupported(root, f"a statement yields 1 to {MOST_OUTPUTS} columns")
    outputs = _outputs(found.outputs, _said(root))
    return Reading(
        statement=statement_digest(text),
        level=Level.ROWS,
        relations=found.relations,
        uses=found.uses,
        functions=called,
        tables=(Cells(_statement(text, written), outputs, 0),),
        finish="",
        outputs=outputs,
        order=(),
        limit=None,
    )


def not_shown(root: exp.Expression, shadows: tuple[Shadow, ...]) -> tuple[str, ...]:
    """Return what keeps a statement from yielding rows, sorted: columns as `relation.column`, and relations that
    show no column at all.

    Raises:
        SqlSyntax, SqlUnsupported: the statement cannot be read at all.
    """
    return _hidden(find(root, shadows), shadows)


def is_link(use: ColumnUse) -> bool:
    """Return whether a use of the person token only links rows or counts persons.

    That needs the owner's consent: whether rows of two relations are about one person is no value of either.
    The token of a relation whose owner gave it is `shown` in the shadow, and still never seen.
    """
    return use.clause is Clause.JOIN or (use.clause, use.function) == (Clause.AGGREGATE, "count_distinct")


def _hidden(found: Found, shadows: tuple[Shadow, ...]) -> tuple[str, ...]:
    shown = {
        (shadow.relation, column.name) for shadow in shadows for column in shadow.columns if column.shown
    }
    hidden = {f"{use.relation}.{use.column}" for use in found.uses if not may_be_seen(use, shown)}
    # Whoever sees a column of a relation may count its rows; of one that shows nothing, even their number is hidden.
    visible = {relation for relation, column in shown if column != names.PERSON}
    hidden |= {f"the number of rows of {relation}" for relation in found.relations if relation not in visible}
    return tuple(sorted(hidden))


def may_be_seen(use: ColumnUse, shown: set[tuple[str, str]]) -> bool:
    """Return whether rows may depend on a use; `shown` are pairs of relation and column."""
    return (use.relation, use.column) in shown and (use.column != names.PERSON or is_link(use))


def _columns(found: Found, shadows: tuple[Shadow, ...]) -> set[str]:
    return {
        column.name for shadow in shadows if shadow.relation in found.relations for column in shadow.columns
    }


def _statement(text: str, written: list[Token]) -> str:
    """Return the statement without the semicolon and comments after it."""
    last = next(token for token in reversed(written) if token.token_type is not TokenType.SEMICOLON)
    return text[written[0].start : last.end + 1]


def _outputs(items: tuple[Item, ...], said: list[str]) -> tuple[Output, ...]:
    given: list[str] = []
    for number, item in enumerate(items):
        wanted = item.name or (said[number] if len(said) == len(items) else "")
        given.append(_name(wanted, number + 1, given))
    return tuple(
        Output(name, "", Role.VALUE, "", 0, tuple(sorted(".".join(base) for base in item.bases)))
        for name, item in zip(given, items, strict=True)
    )


def _said(root: exp.Expression) -> list[str]:
    """Return what the outputs of the (first) SELECT compute: `avg_income` for the mean of income."""
    while isinstance(root, exp.Subquery | exp.SetOperation):
        root = root.this
    return [_computed(item) for item in root.expressions]


def _computed(item: exp.Expression) -> str:
    columns = {column.name.lower() for column in item.find_all(exp.Column)}
    if not isinstance(item, exp.Func) or len(columns) > 1:
        return ""
    name = item.name if isinstance(item, exp.Anonymous) else item.sql_name()
    name = functions.aggregate_name(type(item).__name__, name.lower())
    if isinstance(item, exp.Count) and isinstance(item.this, exp.Distinct):
        name = "count_distinct"
    known = name == "count_distinct" or functions.written(name) is not None
    return "_".join([name, *columns]) if known else ""


def _name(wanted: str, number: int, taken: list[str]) -> str:
    """Return a harmless name that is not taken: the member's, with `_` for other signs, else one with its position."""
    name = re.sub(r"[^a-z0-9_]+", "_", wanted).strip("_")
    name = f"_{name}" if name[:1].isdigit() else name
    if not NAME.fullmatch(name) or name.startswith(("_persons_", "_enterprises_")):
        name = f"column_{number}"
    given, extra = name, number
    while given in taken or len(given) > LONGEST_NAME:
        given, extra = f"{name[: LONGEST_NAME - 8]}_{extra}", extra + 1
    return given

"""An owner's row filter, read by the same list as a member's statement: a slip cannot do more than filter."""

from __future__ import annotations

from sqlglot import exp

from plans.errors import SqlSyntax
from plans.reading import Shadow
from policies.reading import listed, refusal, translate
from policies.reading.attempts import attempt_condition
from policies.reading.bounds import parse
from policies.reading.sources import Scope, Source, refuse_extra
from policies.reading.tree import columns
from policies.reading.writer import write


def read_predicate(text: str, shadow: Shadow) -> tuple[str, tuple[str, ...]]:
    """Return a predicate over one relation as SQL that names columns by `"row"."column"`, and the columns it
    uses.

    Raises:
        SqlSyntax: it does not parse, or names a column that is not there.
        SqlUnsupported: it uses something that is not in the subset.
    """
    root = parse(f"SELECT 1 WHERE {text}")
    if not isinstance(root, exp.Select) or root.args.get("where") is None:
        raise SqlSyntax("a row filter is one condition", shadow.relation)
    refuse_extra(root, {"expressions", "where"})
    if len(root.expressions) != 1 or not isinstance(root.expressions[0], exp.Literal):
        raise refusal.unsupported(root, "a row filter is one condition")
    scope = Scope((Source("row", shadow, optional=False),))
    found = translate.condition(root.args["where"].this, listed.rows(scope))
    return write(attempt_condition(found)), tuple(sorted({column.name for column in columns(found)}))
